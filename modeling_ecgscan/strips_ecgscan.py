"""From dense maps in paper coordinates to strips: rows, columns and the name of every lead."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from .printed_names_ecgscan import PrintedNames

LEADS: tuple[str, ...] = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
_BIN_MM = 1.5
_ROW_BIN_MM = 0.25
_SHADOW_NEAR, _SHADOW_SHORT = 0.55, 0.5  # of the rows' distance, and of the other row's length
_EVIDENCE_PER_MM = 0.5
STANDARD_ROW_MM = 250.0
_OTHER_LENGTH_MM = 6.0  # from the standard length, for a layout to be tried at that too
# What a rhythm strip of each lead must explain first: a row that may be any lead explains too much.
_RHYTHM_COST = np.array([{"II": 8.0, "V1": 20.0, "V5": 20.0}.get(lead, 60.0) for lead in LEADS])
_PER_NAME = 30.0  # weight of the log odds of printed names beside the evidence of the maps
_CUT_PRICE = 60.0  # of a layout of which rows are missing
_AS_LONG = 0.6  # of a row's length, for another to be one of traces too
_MUCH_LONGER = 1.5  # ours: times, of what is seen of a row, beside what its leads explain
_FREE_GAIN = 2.2  # a free layout must explain this much more than the best known one


@dataclass(frozen=True)
class FoundStrip:
    """A stretch of one row that shows one lead; millimetres in the coordinates of the page's geometry.

    `printed` is the (12,) log odds of every lead's name where the strip begins, None where names were not looked for.
    """

    lead: str
    row: int
    column: int
    start_mm: float
    end_mm: float
    baseline_mm: float
    is_rhythm: bool = False
    name_probability: float = 1.0
    printed: np.ndarray | None = field(default=None, compare=False)


@dataclass
class RowEvidence:
    """What the maps say along one row, in bins of `_BIN_MM` from `origin_mm`."""

    baseline_mm: float
    length_mm: float
    origin_mm: float
    log_lead: np.ndarray  # (bins, 13) log probability of none and the twelve leads
    start: np.ndarray  # (bins,) heat of strip starts
    cumulative: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.cumulative = (
            np.concatenate([np.zeros((1, 13)), np.cumsum(self.log_lead, axis=0)]) * _BIN_MM * _EVIDENCE_PER_MM
        )

    def sums(self, positions_mm: np.ndarray, lead: int) -> np.ndarray:
        """Cumulated evidence of a lead up to positions."""
        bins = (positions_mm - self.origin_mm) / _BIN_MM
        return np.interp(bins, np.arange(len(self.cumulative)), self.cumulative[:, lead])

    def start_heat(self, positions_mm: np.ndarray) -> np.ndarray:
        bins = (positions_mm - self.origin_mm) / _BIN_MM - 0.5
        return np.interp(bins, np.arange(len(self.start)), self.start, left=0.0, right=0.0)


def find_rows(paper: np.ndarray, baseline: np.ndarray, minimum_mm: float = 18.0) -> list[tuple[float, float]]:
    """Baselines (mm) of the rows from top to bottom and the printed length (mm) seen on each.

    Args:
        paper: (cells, 2) millimetres.
        baseline: (cells,) probability of a baseline.
        minimum_mm: shorter rows are left out.
    """
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import find_peaks

    strong = baseline > 0.08
    if strong.sum() < 10:
        return []
    v, weight = paper[strong, 1], baseline[strong]
    area = _cell_area(paper)
    low = v.min() - 5
    counts = np.bincount(
        ((v - low) / _ROW_BIN_MM).astype(int), weight * area, int((v.max() - low + 5) / _ROW_BIN_MM) + 1
    )
    profile = gaussian_filter1d(counts / _ROW_BIN_MM, 0.9 / _ROW_BIN_MM)
    peaks, _ = find_peaks(profile, distance=int(6.5 / _ROW_BIN_MM))
    rows: list[tuple[float, float]] = []
    # the strongest first, so that the foot of a row does not take its place
    for peak in sorted(peaks, key=lambda peak: -profile[peak]):
        centre = low + (peak + 0.5) * _ROW_BIN_MM
        for reach in (3.0, 2.0, 2.0):
            near = np.abs(v - centre) < reach
            centre = float(np.average(v[near], weights=weight[near])) if near.any() else centre
        near = np.abs(v - centre) < 3.0
        # a row's heat is a Gaussian of 1.2 mm: its integral across is 3 mm for each millimetre of length
        length = float((weight[near] * area).sum() / 3.0)
        if length >= minimum_mm and not any(abs(centre - other) < 5 for other, _ in rows):
            rows.append((centre, length))
    longest = max((length for _, length in rows), default=0.0)
    return _without_shadows([row for row in sorted(rows) if row[1] > 0.3 * longest])


def _without_shadows(rows: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The rows without short ones that stand much nearer to a longer one than rows do on this page."""
    if len(rows) < 3:
        return rows
    close = _SHADOW_NEAR * float(np.median(np.diff([centre for centre, _ in rows])))
    return [
        (centre, length)
        for centre, length in rows
        if not any(
            0 < abs(centre - other) < close and length < _SHADOW_SHORT * its_length for other, its_length in rows
        )
    ]


def _cell_area(paper: np.ndarray) -> float:
    """Square millimetres of a cell, from how densely the cells fill the page."""
    low, high = np.percentile(paper, 2, axis=0), np.percentile(paper, 98, axis=0)
    inside = ((paper > low) & (paper < high)).all(1).sum()
    return float(np.prod(high - low) / max(inside, 1))


def row_evidence(
    paper: np.ndarray, log_lead: np.ndarray, start: np.ndarray, rows: list[tuple[float, float]]
) -> list[RowEvidence]:
    """Evidence along each row from (cells, 2) millimetres, (cells, 13) log probabilities and (cells,) start heat."""
    centres = [centre for centre, _ in rows]
    gap = min(np.diff(centres), default=30.0)
    reach = float(min(5.0, 0.4 * gap))
    low, high = paper[:, 0].min(), paper[:, 0].max()
    bins = int((high - low) / _BIN_MM) + 2
    evidence = []
    for centre, length in rows:
        near = np.abs(paper[:, 1] - centre) < reach
        index = ((paper[near, 0] - low) / _BIN_MM).astype(int)
        count = np.bincount(index, minlength=bins).astype(float)
        logs = np.stack([np.bincount(index, log_lead[near, k], bins) for k in range(13)], 1)
        heat = np.bincount(index, start[near], bins)
        filled = count > 0
        where = np.arange(bins)
        logs = (
            np.stack([np.interp(where, where[filled], logs[filled, k] / count[filled]) for k in range(13)], 1)
            if filled.any()
            else np.full((bins, 13), -2.5)
        )
        outside = (where < where[filled].min()) | (where > where[filled].max()) if filled.any() else np.ones(bins, bool)
        logs[outside] = [-0.05] + [-4.0] * 12
        evidence.append(RowEvidence(centre, length, low, np.maximum(logs, -7.0), heat / np.maximum(count, 1)))
    return evidence


def _template_places(
    evidence: list[RowEvidence], rows: list[list[str]], n_columns: int
) -> Iterator[tuple[float, float, float]]:
    """Score, left edge and column width of a layout: the best of any width, and the best of the standard one.

    Where columns fade, the maps see shorter rows; their printed names still tell that they go on.
    """
    low = evidence[0].origin_mm
    span = len(evidence[0].log_lead) * _BIN_MM
    left = np.arange(low - 3, low + span * 0.7, 2.5)
    _, at, wide = _best_place(evidence, rows, n_columns, left, np.arange(40.0, span + 4, 2.5) / n_columns)
    fine = np.arange(-3, 3.01, 0.3)
    best = _best_place(evidence, rows, n_columns, at + fine, wide + fine / max(1, n_columns / 2))
    yield best
    standard = np.array([STANDARD_ROW_MM / n_columns])
    if abs(n_columns * best[2] - STANDARD_ROW_MM) > _OTHER_LENGTH_MM:
        _, at, _ = _best_place(evidence, rows, n_columns, left, standard)
        yield _best_place(evidence, rows, n_columns, at + fine, standard)


def _best_place(
    evidence: list[RowEvidence], rows: list[list[str]], n_columns: int, left: np.ndarray, width: np.ndarray
) -> tuple[float, float, float]:
    lefts, widths = (a.ravel() for a in np.meshgrid(left, width, indexing="ij"))
    score = _score_at(evidence, rows, n_columns, lefts, widths)
    best = int(np.argmax(score))
    return float(score[best]), float(lefts[best]), float(widths[best])


def _width_prior(total_mm: np.ndarray) -> np.ndarray:
    """Log odds of a row's length: ten seconds at 25 mm/s or five at 50, more often than any other."""
    standard = np.exp(-0.5 * ((total_mm - STANDARD_ROW_MM) / 1.5) ** 2) / (1.5 * np.sqrt(2 * np.pi))
    return 2.0 * np.log(0.25 / 200 + 0.75 * standard)


def _score_at(
    evidence: list[RowEvidence], rows: list[list[str]], n_columns: int, left: np.ndarray, width: np.ndarray
) -> np.ndarray:
    right = left + n_columns * width
    total = _width_prior(right - left)
    for row, leads in zip(evidence, rows, strict=True):
        total += row.sums(left, 0) + (row.cumulative[-1, 0] - row.sums(right, 0))
        slot = width * n_columns / len(leads)
        if len(leads) == 1 and n_columns > 1:
            total += np.max(
                [row.sums(right, k) - row.sums(left, k) - cost for k, cost in enumerate(_RHYTHM_COST, start=1)], axis=0
            )
            total += 2.0 * row.start_heat(left)
            continue
        for column, lead in enumerate(leads):
            start = left + column * slot
            index = 1 + LEADS.index(lead)
            total += row.sums(start + slot, index) - row.sums(start, index) + 2.0 * row.start_heat(start)
    return total


def _best_lead(row: RowEvidence, start: float, end: float, printed: np.ndarray) -> tuple[str, float]:
    edges = np.array([start, end])
    sums = np.array([np.diff(row.sums(edges, k))[0] for k in range(1, 13)]) - _RHYTHM_COST + printed
    share = np.exp((sums - sums.max()) / 4)
    return LEADS[int(sums.argmax())], float(share.max() / share.sum())


def _name_probability(row: RowEvidence, strip_lead: str, start: float, end: float, printed: np.ndarray) -> float:
    edges = np.array([start, end])
    sums = np.array([np.diff(row.sums(edges, k))[0] for k in range(1, 13)]) + printed
    share = np.exp((sums - sums.max()) / 4)
    return float(share[LEADS.index(strip_lead)] / share.sum())


@dataclass
class FoundLayout:
    """The layout that explains the page best.

    Attributes:
        score_per_mm: mean log probability of the leads along their strips.
        gain: how much better the maps are explained by these strips than by none.
        printed: log odds, per strip, that its name is printed where it should be.
        further_rows: rows of traces on the page that are none of these strips.
    """

    name: str
    strips: list[FoundStrip]
    score_per_mm: float
    gain: float
    printed: float = 0.0
    further_rows: int = 0


def decode_layout(
    evidence: list[RowEvidence], layouts: dict[str, list[list[str]]], names: PrintedNames | None = None
) -> FoundLayout | None:
    """The layout, out of the known ones or free, whose leads and names explain the rows best.

    Args:
        evidence: rows from top to bottom.
        layouts: name -> rows of lead names; a single lead below rows of several is a rhythm strip of any lead.
        names: printed names of the leads, where they were looked for.
    """
    if not evidence:
        return None
    empty = np.array([row.cumulative[-1, 0] for row in evidence])
    nothing = float(empty.sum())
    best: tuple[float, float, str, list[list[str]], list[int], float, float] | None = None
    for name, rows, price in (*((name, rows, 0.0) for name, rows in layouts.items()), *_cut(layouts, len(evidence))):
        n_columns = max(len(leads) for leads in rows)
        for chosen in _row_choices(evidence, len(rows)):
            of = [evidence[k] for k in chosen]
            for explained, left, width in _template_places(of, rows, n_columns):
                score = explained + nothing - float(empty[chosen].sum()) - price
                fit = 0.0 if names is None else _names_fit(names, of, rows, left, width)[0]
                if best is None or score + _PER_NAME * fit > best[0] + _PER_NAME * best[1]:
                    best = (score, fit, name, rows, chosen, left, width)
    free = _free_layout(evidence)
    if best is None:
        return None if free is None else _free_to_layout(free[1], free[0] - nothing, evidence, names)
    score, fit, name, rows, chosen, left, width = best
    if free is not None and free[0] - nothing > _FREE_GAIN * max(score - nothing, 1.0):
        own = _free_to_layout(free[1], free[0] - nothing, evidence, names)
        if names is None or own.printed > fit / sum(len(leads) for leads in rows):
            return own
    return _template_to_layout([evidence[k] for k in chosen], name, rows, (left, width), score - nothing, names)


def _cut(layouts: dict[str, list[list[str]]], count: int) -> Iterator[tuple[str, list[list[str]], float]]:
    """Layouts of which only some neighbouring rows are on the page, and what that costs.

    Of twelve rows of a single lead more than six must be there: fewer are the limb or the chest leads alone.
    """
    for name, rows in layouts.items():
        single = max(len(leads) for leads in rows) == 1
        for first in range(len(rows) - count + 1 if count < len(rows) else 0):
            part = rows[first : first + count]
            if count > 6 if single else 2 * sum(len(leads) > 1 for leads in part) >= count:
                yield name, part, _CUT_PRICE


def further_rows(layout: FoundLayout, rows: list[tuple[float, float]]) -> int:
    """How many rows (middle and length, mm) as long as those of a layout are none of its own."""
    own = {strip.baseline_mm for strip in layout.strips}
    usual = float(np.median([length for middle, length in rows if middle in own])) if own else 0.0
    return sum(middle not in own and length > _AS_LONG * usual for middle, length in rows)


def as_long_as_rows(layout: FoundLayout, rows: list[tuple[float, float]], end_mm: float) -> FoundLayout:
    """Rows of one lead end where baselines do, if the maps tell which lead it is along a small part of them only.

    Args:
        rows: middle and printed length (mm) of each.
        end_mm: the last place with a baseline.
    """
    own = {strip.baseline_mm: strip.end_mm - strip.start_mm for strip in layout.strips}
    longer = [length / own[middle] for middle, length in rows if middle in own]
    if any(strip.column for strip in layout.strips) or np.median(longer) < _MUCH_LONGER:
        return layout
    strips = [replace(strip, end_mm=max(strip.end_mm, end_mm)) for strip in layout.strips]
    return replace(layout, strips=strips)


def _names_fit(
    names: PrintedNames, evidence: list[RowEvidence], rows: list[list[str]], left: float, width: float
) -> tuple[float, np.ndarray]:
    """Log odds of the printed names of a layout, and (strips, 12) what is printed at each strip, in reading order."""
    n_columns = max(len(leads) for leads in rows)
    places, leads_at, columns = [], [], []
    for row, leads in zip(evidence, rows, strict=True):
        slot = width * n_columns / len(leads)
        for column, lead in enumerate(leads):
            places.append((left + column * slot, row.baseline_mm))
            leads_at.append(-1 if len(leads) == 1 and n_columns > 1 else LEADS.index(lead))
            columns.append(column)
    at, of, standing = np.array(places), np.array(leads_at), np.array(columns)
    # some machines print the first column's names before the strips and the others' above, or space them otherwise
    score, printed = 0.0, np.zeros((len(at), 12))
    for column in range(n_columns):
        group = standing == column
        fit, printed[group] = names.fit(at[group], of[group])
        score += fit
    return score, printed


def _row_choices(evidence: list[RowEvidence], count: int) -> list[list[int]]:
    """Rows that a layout of `count` rows may stand on: neighbours, and those that look most like leads."""
    spare = len(evidence) - count
    if spare < 0:
        return []
    choices = [list(range(first, first + count)) for first in range(spare + 1)]
    if spare:
        likeness = [np.maximum(row.log_lead[:, 1:].max(1) - row.log_lead[:, 0], 0.0).sum() for row in evidence]
        strongest = sorted(int(k) for k in np.argsort(likeness)[::-1][:count])
        if strongest not in choices:
            choices.append(strongest)
    return choices


def _template_to_layout(
    evidence: list[RowEvidence],
    name: str,
    rows: list[list[str]],
    place: tuple[float, float],
    gain: float,
    names: PrintedNames | None,
) -> FoundLayout:
    left, width = place
    fit, printed = (0.0, None) if names is None else _names_fit(names, evidence, rows, left, width)
    n_columns = max(len(leads) for leads in rows)
    strips: list[FoundStrip] = []
    gained = 0.0
    for number, leads in enumerate(rows):
        row = evidence[number]
        slot = width * n_columns / len(leads)
        rhythm = len(leads) == 1 and n_columns > 1
        for column, lead in enumerate(leads):
            start, end = left + column * slot, left + (column + 1) * slot
            words = None if printed is None else printed[len(strips)]
            seen = np.zeros(12) if words is None else _PER_NAME * words
            probability = _name_probability(row, lead, start, end, seen)
            if rhythm:
                lead, probability = _best_lead(row, start, end, seen)
            edges = np.array([start, end])
            gained += float(np.diff(row.sums(edges, 1 + LEADS.index(lead)))[0])
            strips.append(FoundStrip(lead, number, column, start, end, row.baseline_mm, rhythm, probability, words))
    length = sum(strip.end_mm - strip.start_mm for strip in strips)
    return FoundLayout(name, strips, gained / length / _EVIDENCE_PER_MM, gain, fit / len(strips))


def _viterbi(log_probability: np.ndarray, switch: float) -> np.ndarray:
    """Most probable class per bin with a price for every change."""
    score = log_probability[0].copy()
    back = np.zeros(log_probability.shape, int)
    for index in range(1, len(log_probability)):
        jump = int(score.argmax())
        stay = score >= score[jump] - switch
        back[index] = np.where(stay, np.arange(len(score)), jump)
        score = np.where(stay, score, score[jump] - switch) + log_probability[index]
    path = np.zeros(len(log_probability), int)
    path[-1] = int(score.argmax())
    for index in range(len(log_probability) - 1, 0, -1):
        path[index - 1] = back[index, path[index]]
    return path


def _free_layout(evidence: list[RowEvidence]) -> tuple[float, list[FoundStrip]] | None:
    """Each row cut into leads on its own, for pages of no known layout."""
    strips, total = [], 0.0
    for number, row in enumerate(evidence):
        logs = row.log_lead * _BIN_MM * _EVIDENCE_PER_MM
        path = _viterbi(logs, 10.0)
        total += float(logs[np.arange(len(path)), path].sum()) - 10.0 * np.count_nonzero(np.diff(path))
        edges = np.concatenate([[0], np.nonzero(np.diff(path))[0] + 1, [len(path)]])
        column = 0
        for first, last in zip(edges[:-1], edges[1:], strict=True):
            if path[first] > 0 and (last - first) * _BIN_MM > 15:
                start, end = row.origin_mm + first * _BIN_MM, row.origin_mm + last * _BIN_MM
                lead = LEADS[path[first] - 1]
                strips.append(
                    FoundStrip(
                        lead,
                        number,
                        column,
                        start,
                        end,
                        row.baseline_mm,
                        False,
                        _name_probability(row, lead, start, end, np.zeros(12)),
                    )
                )
                column += 1
    return (total, strips) if strips else None


def _free_to_layout(
    strips: list[FoundStrip], gain: float, evidence: list[RowEvidence], names: PrintedNames | None
) -> FoundLayout:
    rows = sorted({strip.row for strip in strips})
    columns = 1 + max(strip.column for strip in strips)
    gained = sum(
        float(np.diff(evidence[s.row].sums(np.array([s.start_mm, s.end_mm]), 1 + LEADS.index(s.lead)))[0])
        for s in strips
    )
    length = sum(strip.end_mm - strip.start_mm for strip in strips)
    fit = 0.0
    if names is not None:
        places = np.array([(strip.start_mm, strip.baseline_mm) for strip in strips])
        fit, _ = names.fit(places, np.array([LEADS.index(strip.lead) for strip in strips]))
    renumbered = [replace(strip, row=rows.index(strip.row)) for strip in strips]
    return FoundLayout(
        f"{len(rows)}x{columns}", renumbered, gained / length / _EVIDENCE_PER_MM, gain, fit / len(strips)
    )
