"""What strips tell about one another: where they begin and end, and which lead a rhythm strip repeats."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .pulse_size_ecgscan import PulseSize
from .rectifying_ecgscan import StripColumns
from .strips_ecgscan import LEADS, STANDARD_ROW_MM, FoundStrip
from .witnesses_ecgscan import likeness

OFFSETS_MM = np.arange(-5.5, 5.5 + 1e-9, 0.1)
_EVIDENCE = 0.125  # columns of a tile are not independent witnesses
_IRREGULAR_MM = 0.3
_PULL = 8.0  # price of a column that does not stand at the regular place, per square millimetre
_LENGTH_MM, _LENGTH_PRICE = 0.15, 12.0
_SHORTEST_MM = 5.0
# ours: of a gap between a pulse's foot and the row: where behind the start, presence in it and after it, and how near
# the standard length a row must come without the foot
_FOOT_MM, _GAP, _AFTER_GAP, _NEAR_LENGTH_MM = (0.5, 5.0), 0.4, 0.8, 1.0
# ours: of rows that lack a part of the standard length: how much, how far beyond an end traces are looked for, and
# their mean presence there: on validation pages up to 0.08 beyond rows that are whole, from 0.12 beyond hidden ends
_LACKING_MM, _BEYOND_MM, _GOES_ON = (4.0, 25.0), (0.5, 5.5), 0.1
_STEP = 0.4  # ours: in presence, where a row begins behind its pulse
_AROUND_MM = 3.0  # over which presence is averaged where the ends of rows are looked for far off
_ASIDE_MM, _LEAST_STEP = (0.6, 1.6), 0.15  # from an edge, where its two sides are measured, and their least difference
_MEDIAN_TRUST = 0.75  # against the row's middle as found, from both errors' spread on validation pages
# of a pulse's foot as 0 mV: its height against the gain (logarithm), and how far from the row it may stand
_PULSE_SIZE, _PULSE_NEAR_MM = 0.05, 4.0
_WITNESSES = 12.0  # ours: a short strip's worth of independent moments
_USUAL_RHYTHM = {"II": 3.0, "V1": 2.0, "V5": 2.0}  # what machines print below the columns, as evidence
_UNSEEN_LIKENESS = 0.75  # between a rhythm strip and a lead that is not on the page
# ours: of the log odds of a printed name, chosen on 49 rendered validation pages: 105 of their 106 rhythm strips are
# named right from 3 on, 98 without
_IN_WORDS = 4.0
_AT_ONCE = 6.0  # by which columns of one moment must explain rhythm strips better


def _edge_evidence(columns: StripColumns, expected: float, rising: bool, offsets: np.ndarray) -> np.ndarray:
    """Log likelihood of an edge at `expected + offsets`: absent before, present after (or the reverse)."""
    p = np.clip(columns.presence, 0.02, 0.98)
    step = np.log(p) - np.log(1 - p)
    if not rising:
        step = -step
    cumulative = np.concatenate([[0.0], np.cumsum(step)])
    pixel = np.interp(expected + offsets, columns.x_mm, np.arange(len(columns.x_mm)), left=0, right=len(columns.x_mm))
    # an edge lies between two columns: evidence for it is the sum of what lies behind it minus what lies before it
    pixel = np.clip(pixel + 0.5, 0, len(columns.x_mm))
    return cumulative[-1] - 2 * np.interp(pixel, np.arange(len(cumulative)), cumulative)


def edge_curve(members: list[tuple[StripColumns, float]], rising: bool) -> np.ndarray:
    """Evidence, over `OFFSETS_MM`, for the edge that some strips share."""
    total = np.sum([_edge_evidence(columns, expected, rising, OFFSETS_MM) for columns, expected in members], axis=0)
    # strips err together, where a pulse or a name stands at their edge
    return _EVIDENCE * total / np.sqrt(len(members)) - 0.04 * OFFSETS_MM**2


def _regular_offsets(nominal: np.ndarray, curves: list[np.ndarray], in_mm: bool) -> np.ndarray:
    """Offsets of the columns' starts: a regular spacing for all, then each to its own best place near it."""
    stretch = np.linspace(-0.03, 0.03, 61)
    along = nominal - nominal[0]
    spacing = along[-1] / max(len(nominal) - 1, 1)
    best, line = -np.inf, np.zeros(len(nominal))
    for share in stretch:
        places = [OFFSETS_MM + share * distance for distance in along]
        total = np.sum([np.interp(p, OFFSETS_MM, curve) for p, curve in zip(places, curves, strict=True)], axis=0)
        total = total - in_mm * _spacing_cost(spacing * (1 + share), len(nominal))
        index = int(np.argmax(total))
        if total[index] > best:
            best, line = float(total[index]), OFFSETS_MM[index] + share * along
    offsets = []
    for place, curve in zip(line, curves, strict=True):
        near = np.abs(OFFSETS_MM - place) <= _IRREGULAR_MM
        pulled = np.where(near, curve - _PULL * (OFFSETS_MM - place) ** 2, -np.inf)
        offsets.append(OFFSETS_MM[int(np.argmax(pulled))] if near.any() else place)
    return np.array(offsets)


def _spacing_cost(spacing: float, columns: int) -> float:
    """Price of a column width that is not a standard row's share."""
    if columns < 2:
        return 0.0
    return min(0.5 * ((spacing - STANDARD_ROW_MM / columns) / 0.3) ** 2, 6.0)


def _length_cost(length: np.ndarray) -> np.ndarray:
    """Price of rows that are not of the standard length."""
    return np.minimum(0.5 * ((length - STANDARD_ROW_MM) / _LENGTH_MM) ** 2, _LENGTH_PRICE)


def refine_edges(strips: list[FoundStrip], columns: list[StripColumns], *, in_mm: bool) -> list[FoundStrip]:
    """Strips with their starts and ends moved to where the reader sees them begin and end.

    Strips that begin at the same place begin together: their evidence is added, so that a row without a
    mark follows those that have one. Where the scale of the page is known (`in_mm`), rows of nearly the standard length
    have it.
    """

    def groups(edge: Callable[[FoundStrip], float]) -> list[list[int]]:
        found: list[list[int]] = []
        for index in sorted(range(len(strips)), key=lambda k: edge(strips[k])):
            if found and edge(strips[index]) - edge(strips[found[-1][0]]) < 3.0:
                found[-1].append(index)
            else:
                found.append([index])
        return found

    moved = list(strips)
    starts, ends = groups(lambda strip: strip.start_mm), groups(lambda strip: strip.end_mm)
    nominal = np.array([np.median([strips[k].start_mm for k in group]) for group in starts])
    curves = [edge_curve([(columns[k], strips[k].start_mm) for k in group], rising=True) for group in starts]
    closing = [edge_curve([(columns[k], strips[k].end_mm) for k in group], rising=False) for group in ends]
    lengths = np.median([strips[k].end_mm for k in ends[-1]]) - nominal[0] + OFFSETS_MM
    both = closing[-1] - in_mm * _length_cost(lengths - OFFSETS_MM[:, None])
    curves[0] = curves[0] + both.max(axis=1)
    offsets = _regular_offsets(nominal, curves, in_mm)
    if in_mm:
        end = nominal[0] + lengths[int(np.argmax(closing[-1]))]
        offsets[0] += _foot_length([columns[k] for k in starts[0]], nominal[0] + offsets[0], end)
    closing[-1] = closing[-1] - in_mm * _length_cost(lengths - offsets[0])
    for group, offset in zip(starts, offsets, strict=True):
        for k in group:
            moved[k] = replace(moved[k], start_mm=strips[k].start_mm + float(offset))
    for group, curve in zip(ends, closing, strict=True):
        for k in group:
            end = strips[k].end_mm + float(OFFSETS_MM[int(np.argmax(curve))])
            moved[k] = replace(moved[k], end_mm=max(end, moved[k].start_mm + _SHORTEST_MM))
    return moved


def _foot_length(rows: list[StripColumns], start: float, end: float) -> float:
    """Millimetres from a start to the end of the gap behind it, 0 where rows without that part are not standard.

    The foot of a calibration pulse looks like a row's beginning, but all rows have the same gap behind it.
    """
    behind = np.arange(0.0, _FOOT_MM[1] + 2.0, 0.1)
    presence = np.mean([np.interp(start + behind, row.x_mm, row.presence) for row in rows], axis=0)
    gap = np.flatnonzero((presence < _GAP) & (behind > _FOOT_MM[0]) & (behind < _FOOT_MM[1]))
    if not len(gap):
        return 0.0
    after = gap[-1] + int(np.argmax(presence[gap[-1] :] > 0.5))
    lacking = abs(end - start - behind[after] - STANDARD_ROW_MM)
    whole = presence[after + 3 :].mean() > _AFTER_GAP
    return float(behind[after]) if whole and lacking < min(_NEAR_LENGTH_MM, abs(end - start - STANDARD_ROW_MM)) else 0.0


def lengthened(strips: list[FoundStrip], columns: list[StripColumns]) -> list[FoundStrip] | None:
    """Strips made to last a standard row where traces go on beyond the first start or the last end; None elsewhere.

    Args:
        strips: in true millimetres.
    """
    first, last = min(strip.start_mm for strip in strips), max(strip.end_mm for strip in strips)
    lacking = STANDARD_ROW_MM - (last - first)
    if not _LACKING_MM[0] < lacking < _LACKING_MM[1]:
        return None
    before = _presence_beyond(
        [(columns[k], s.start_mm, -1.0) for k, s in enumerate(strips) if s.start_mm < first + 3.0]
    )
    after = _presence_beyond([(columns[k], s.end_mm, 1.0) for k, s in enumerate(strips) if s.end_mm > last - 3.0])
    if max(before, after) < _GOES_ON:
        return None
    grown, start = STANDARD_ROW_MM / (last - first), first - lacking if before > after else first
    return [
        replace(
            strip,
            start_mm=start + grown * (strip.start_mm - first),
            end_mm=start + grown * (strip.end_mm - first),
        )
        for strip in strips
    ]


def much_longer(strips: list[FoundStrip]) -> list[FoundStrip] | None:
    """Rows of one lead with all that they lack of a standard row at either end; None where they lack little.

    Maps of dark, faint or crowded pages may show a part of the rows only. The reader is told where a strip begins and
    ends, and hardly looks for it beyond.
    """
    first, last = min(strip.start_mm for strip in strips), max(strip.end_mm for strip in strips)
    lacking = STANDARD_ROW_MM - (last - first)
    if any(strip.column for strip in strips) or lacking < _LACKING_MM[1]:
        return None
    return [replace(strip, start_mm=first - lacking, end_mm=last + lacking) for strip in strips]


def as_far_as_seen(strips: list[FoundStrip], columns: list[StripColumns]) -> list[FoundStrip]:
    """Rows from where their traces begin to where they end, most of them together, around the rows' middle."""
    low, high = min(strip.start_mm for strip in strips), max(strip.end_mm for strip in strips)
    along = np.arange(low, high, 0.1)
    presence = np.median([np.interp(along, row.x_mm, row.presence) for row in columns], axis=0)
    width = round(_AROUND_MM / 0.1)
    seen = np.convolve(presence, np.ones(width) / width, "same") > 0.5
    gaps = np.flatnonzero(~seen)
    middle = int(np.flatnonzero(seen)[seen.sum() // 2]) if seen.any() else len(along) // 2
    before, after = gaps[gaps < middle], gaps[gaps > middle]
    start = along[before[-1] + 1] if len(before) else low
    end = along[after[0]] if len(after) else high
    return [replace(strip, start_mm=float(start), end_mm=float(end)) for strip in strips]


def shortened(strips: list[FoundStrip], columns: list[StripColumns]) -> list[FoundStrip] | None:
    """Strips without what calibration pulses add to a standard row, where traces begin or end there; None elsewhere.

    Args:
        strips: in true millimetres.
    """
    first, last = min(strip.start_mm for strip in strips), max(strip.end_mm for strip in strips)
    added = last - first - STANDARD_ROW_MM
    if not _LACKING_MM[0] < added < _LACKING_MM[1]:
        return None
    begins = [(columns[k], first + added) for k, strip in enumerate(strips) if strip.start_mm < first + 3.0]
    ends = [(columns[k], last - added) for k, strip in enumerate(strips) if strip.end_mm > last - 3.0]
    rises, falls = _greatest_step(begins, 1.0), _greatest_step(ends, -1.0)
    if max(rises, falls) < _STEP:
        return None
    if rises >= falls:
        return [replace(s, start_mm=first + added) if s.start_mm < first + 3.0 else s for s in strips]
    return [replace(s, end_mm=last - added) if s.end_mm > last - 3.0 else s for s in strips]


def _greatest_step(edges: list[tuple[StripColumns, float]], onwards: float) -> float:
    """By how much presence, mean of some strips, rises near places that they share, onwards being 1 or -1 in time."""
    aside = np.arange(-4.0, 4.0, 0.1)
    presence = np.mean([np.interp(at + onwards * aside, row.x_mm, row.presence) for row, at in edges], axis=0)
    width = 8
    means = np.convolve(presence, np.ones(width) / width, "valid")
    return float((means[width:] - means[:-width]).max())


def lasts_as_printed(strips: list[FoundStrip], columns: list[StripColumns]) -> bool:
    """Whether rows have the standard length and traces go all along each of their strips."""
    length = max(strip.end_mm for strip in strips) - min(strip.start_mm for strip in strips)
    seen = [
        trace.presence[(trace.x_mm > strip.start_mm) & (trace.x_mm < strip.start_mm + _LACKING_MM[0])].mean()
        for strip, trace in zip(strips, columns, strict=True)
    ]
    return abs(length - STANDARD_ROW_MM) < _LACKING_MM[0] and float(np.median(seen)) > 0.5


def _presence_beyond(ends: list[tuple[StripColumns, float, float]]) -> float:
    """Mean presence of traces just beyond some ends (mm), outwards being -1 or 1."""
    seen = []
    for columns, end, outwards in ends:
        beyond = (columns.x_mm - end) * outwards
        seen += list(columns.presence[(beyond > _BEYOND_MM[0]) & (beyond < _BEYOND_MM[1])])
    return float(np.mean(seen)) if seen else 0.0


def soft_edge(columns: StripColumns, near_mm: float) -> tuple[float, float]:
    """Where a strip begins, to a part of a column, and how much that counts: the fourth power of the step in presence.

    The presence before and after, measured aside, are the levels between which the share of each column is counted.
    """
    place, weight = near_mm, 1e-6
    for _ in range(2):
        aside = columns.x_mm - place
        before = columns.presence[(aside > -_ASIDE_MM[1]) & (aside < -_ASIDE_MM[0])]
        after = columns.presence[(aside > _ASIDE_MM[0]) & (aside < _ASIDE_MM[1])]
        if not len(before) or not len(after) or after.mean() - before.mean() < _LEAST_STEP:
            break
        low, high = before.mean(), after.mean()
        fine = np.arange(-_ASIDE_MM[0], _ASIDE_MM[0], 0.01) + 0.005
        share = np.clip((np.interp(place + fine, columns.x_mm, columns.presence) - low) / (high - low), 0.0, 1.0)
        place, weight = place + _ASIDE_MM[0] - 2.0 * _ASIDE_MM[0] * float(share.mean()), float((high - low) ** 4)
    return place, weight


def settle_baselines(
    strips: list[FoundStrip], columns: list[StripColumns]
) -> tuple[list[FoundStrip], list[StripColumns]]:
    """Rows moved most of the way to the height at which their traces spend half of their time.

    Recorders couple leads through a capacitor, so that over a whole row the median lies near 0 mV: on PTB-XL within
    0.03 mV of it on average, nearer than a row's middle is found on the page.
    """
    settled, levelled = list(strips), list(columns)
    for row in {strip.row for strip in strips}:
        members = [k for k, strip in enumerate(strips) if strip.row == row]
        middles = []
        for k in members:
            on = (columns[k].x_mm >= strips[k].start_mm) & (columns[k].x_mm <= strips[k].end_mm)
            middles.append(float(np.median(columns[k].height_mm[on])) if on.any() else 0.0)
        offset = _MEDIAN_TRUST * float(np.mean(middles))
        for k in members:
            settled[k] = replace(strips[k], baseline_mm=strips[k].baseline_mm - offset)
            levelled[k] = replace(columns[k], height_mm=columns[k].height_mm - offset)
    return settled, levelled


def rest_on_pulses(
    strips: list[FoundStrip], columns: list[StripColumns], pulse: PulseSize | None, gain: float
) -> tuple[list[FoundStrip], list[StripColumns]]:
    """Rows at the height of their calibration pulses' feet, which stand at 0 mV, where those have the size of 1 mV."""
    if pulse is None or abs(np.log(pulse.height_mm / gain)) > _PULSE_SIZE:
        return strips, columns
    rested, levelled = list(strips), list(columns)
    for k, strip in enumerate(strips):
        lower = pulse.feet_mm.get(strip.row, np.inf) - strip.baseline_mm
        if abs(lower) < _PULSE_NEAR_MM:
            rested[k] = replace(strip, baseline_mm=strip.baseline_mm + lower)
            levelled[k] = replace(columns[k], height_mm=columns[k].height_mm + lower)
    return rested, levelled


def name_rhythm_strips(strips: list[FoundStrip], columns: list[StripColumns]) -> list[FoundStrip]:
    """Rhythm strips named after the leads whose short strips above show the same waves at the same place.

    The printed name and what machines usually print count as evidence too; no lead is given twice. Where columns were
    clearly recorded at one moment, their waves stand at the beginning of the rhythm strip instead.
    """
    from scipy.optimize import linear_sum_assignment

    rhythm = [k for k, strip in enumerate(strips) if strip.is_rhythm]
    if not rhythm:
        return strips
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for at_once in (False, True):
        scores = _rhythm_scores(strips, columns, rhythm, at_once)
        leads = linear_sum_assignment(-scores)[1]
        total = float(scores[np.arange(len(rhythm)), leads].sum()) - _AT_ONCE * at_once
        if best is None or total > best[0]:
            best = total, scores, leads
    assert best is not None
    named = list(strips)
    for k, scores, lead in zip(rhythm, *best[1:], strict=True):
        share = np.exp(scores - scores.max())
        named[k] = replace(strips[k], lead=LEADS[lead], name_probability=float(share[lead] / share.sum()))
    return named


def _rhythm_scores(
    strips: list[FoundStrip], columns: list[StripColumns], rhythm: list[int], at_once: bool
) -> np.ndarray:
    """(rhythm strips, 12) evidence of every lead: name, custom, and the waves of short strips.

    Args:
        at_once: whether short strips show the moment at which the rhythm strip begins, not the one above which they
            stand.
    """
    scores = np.array([[_USUAL_RHYTHM.get(lead, 0.0) for lead in LEADS]] * len(rhythm))
    # of a lead that nothing above shows, nothing is known
    shown = {strip.lead for strip in strips if not strip.is_rhythm}
    scores[:, [lead not in shown for lead in LEADS]] -= _WITNESSES / 2 * np.log(1.0 - _UNSEEN_LIKENESS)
    for row, k in enumerate(rhythm):
        scores[row, LEADS.index(strips[k].lead)] += 3.0 * strips[k].name_probability
        words = strips[k].printed
        if words is not None:
            scores[row] += _IN_WORDS * words
        for other, strip in enumerate(strips):
            if not strip.is_rhythm:
                aside = strips[k].start_mm - strip.start_mm if at_once else 0.0
                alike = likeness(columns[k], columns[other], strip, aside)
                scores[row, LEADS.index(strip.lead)] -= _WITNESSES / 2 * np.log(1.0 - alike + 0.005)
    return scores
