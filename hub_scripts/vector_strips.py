"""Which line of a drawn page is which lead: rows, columns, names and where each strip begins."""

from dataclasses import dataclass, replace

import numpy as np

from processing.leads import canonical_lead
from processing.vector_pages import DrawnWord

from .vector_scale import Doubt, Pulse

_LEAST_WIDTH_MM = 20.0
_OVERLAP_MM = 1.0  # of two strips of one row
_ROW_MM = 8.0  # by which the middles of one row's strips may differ
_NAME_REACH_MM = (18.0, 15.0)  # of a name before and after its strip's start
_NAME_ABOVE, _NAME_BELOW = 1.0, 0.6  # of the distance between rows
_NAME_LEVEL = 0.3  # of that distance, by which names may stand unevenly
_NAME_PLACE_MM = 6.0  # the same along the row
_SEPARATOR_MM = (2.0, 20.0)
_REST_MM = 0.2
_ODD_S = 0.05
_EQUAL_MM = 1.0  # by which strips of one row may differ in length


@dataclass(frozen=True)
class Strip:
    """A stretch of a row; `points` (N, 2) in millimetres, x increasing, y downwards, `zero` the height of 0 mV."""

    lead: str
    row: int
    column: int
    points: np.ndarray
    zero: float = 0.0
    zero_known: bool = False

    @property
    def step(self) -> float:
        return float(np.median(np.diff(self.points[:, 0])))


@dataclass
class _Row:
    pieces: list[np.ndarray]
    zero: float | None = None

    @property
    def level(self) -> float:
        return self.zero if self.zero is not None else float(np.median([np.median(p[:, 1]) for p in self.pieces]))

    @property
    def start(self) -> float:
        return float(self.pieces[0][0, 0])


def without_pulses(lines: list[np.ndarray], pulses: list[Pulse]) -> list[np.ndarray]:
    """Lines without the calibration pulses at their ends.

    Raises:
        Doubt: where a trace begins after its pulse can't be told.
    """
    cut = list(lines)
    for pulse in pulses:
        line = lines[pulse.line]
        if cut[pulse.line] is not line:
            raise Doubt("a line holds two calibration pulses")
        if pulse.left - line[0, 0] > line[-1, 0] - pulse.right:
            cut[pulse.line] = _before_pulse(line, pulse)
            continue
        rest = line[pulse.last :]
        if np.ptp(rest[:, 0]) < _LEAST_WIDTH_MM:
            cut[pulse.line] = rest[:1]
            continue
        step = np.diff(rest[:, 0])
        usual = float(np.median(step))
        level = np.abs(np.diff(rest[:, 1])) < 0.02
        first = 0
        while level[first] and step[first] > 2.5 * usual:
            first += 1
        still = 0 if level[first:].all() else int(np.argmin(level[first:]))
        if first == 0 and still * usual > 0.5:
            raise Doubt("where the trace begins after its calibration pulse can't be told")
        # the pulse's foot and the first sample may stand above one another
        cut[pulse.line] = rest[first + (1 if step[first] < 0.3 * usual else 0) :]
    return cut


def _before_pulse(line: np.ndarray, pulse: Pulse) -> np.ndarray:
    """The trace to the left of a pulse at the end of its line."""
    rest = line[: pulse.first + 1]
    if np.ptp(rest[:, 0]) < _LEAST_WIDTH_MM:
        return rest[:1]
    step = np.diff(rest[:, 0])
    usual = float(np.median(step))
    last = len(rest) - 1
    while last > 0 and (step[last - 1] > 2.5 * usual or step[last - 1] < 0.3 * usual):
        last -= 1
    if last == len(rest) - 1 and abs(rest[-1, 1] - rest[-int(0.5 / usual) - 2 :, 1]).max() < 0.02:
        raise Doubt("where the trace ends before its calibration pulse can't be told")
    return rest[: last + 1]


def find_strips(
    traces: list[np.ndarray], pulses: list[Pulse], words: list[DrawnWord], upright: list[np.ndarray]
) -> list[Strip]:
    """Strips of all traces, named.

    Args:
        traces: (N, 2) millimetres each, without pulses.
        words: in millimetres.
        upright: (2, 2) upright strokes of two points that may be separators.

    Raises:
        Doubt: a trace has no name or several, or names and traces do not fit together.
    """
    rows = _rows([trace for trace in traces if np.ptp(trace[:, 0]) >= _LEAST_WIDTH_MM])
    _set_zeros(rows, pulses)
    strips = []
    for number, (row, names) in enumerate(zip(rows, _names_by_row(rows, words), strict=True)):
        pieces = _one_piece_a_name(row, names, upright)
        for column, (piece, (lead, _)) in enumerate(zip(pieces, names, strict=True)):
            strips.append(Strip(lead, number, column, piece, row.level, row.zero is not None))
    _check_doubles(strips)
    return strips


def _rows(traces: list[np.ndarray]) -> list[_Row]:
    """Traces side by side at one height, from top to bottom."""
    rows: list[_Row] = []
    for trace in sorted(traces, key=lambda trace: float(np.median(trace[:, 1]))):
        middle = float(np.median(trace[:, 1]))
        if rows and abs(middle - rows[-1].level) < _ROW_MM and not _overlaps(trace, rows[-1].pieces):
            rows[-1].pieces.append(trace)
        else:
            rows.append(_Row([trace]))
    for row in rows:
        row.pieces.sort(key=lambda piece: float(piece[0, 0]))
    starts = [row.start for row in rows]
    if not rows or max(starts) - min(starts) > 2.0:
        raise Doubt("the rows do not begin below one another")
    return rows


def _overlaps(trace: np.ndarray, pieces: list[np.ndarray]) -> bool:
    return any(min(trace[-1, 0], piece[-1, 0]) - max(trace[0, 0], piece[0, 0]) > _OVERLAP_MM for piece in pieces)


def _pitch(rows: list[_Row]) -> float:
    return float(np.median(np.diff([row.level for row in rows]))) if len(rows) > 1 else 25.0


def _set_zeros(rows: list[_Row], pulses: list[Pulse]) -> None:
    """A pulse's foot is the zero of the row that it stands beside."""
    pitch = _pitch(rows)
    levels = np.array([row.level for row in rows])
    for pulse in pulses:
        row = int(np.argmin(np.abs(levels - pulse.foot)))
        if abs(levels[row] - pulse.foot) > 0.4 * pitch:
            raise Doubt("a calibration pulse stands beside no row")
        if rows[row].zero is not None and abs((rows[row].zero or 0.0) - pulse.foot) > 0.1:
            raise Doubt("two calibration pulses of one row stand at different heights")
        rows[row].zero = pulse.foot


def _names_by_row(rows: list[_Row], words: list[DrawnWord]) -> list[list[tuple[str, float]]]:
    """Per row the names that stand in it, left to right, each with its place from its row's start."""
    left, right = min(row.start for row in rows), max(row.pieces[-1][-1, 0] for row in rows)
    names = [(lead, word) for word in words if (lead := _lead_of(word)) is not None]
    names = [(lead, word) for lead, word in names if left - _NAME_REACH_MM[0] < word.left < right]
    levels = np.array([row.level for row in rows])
    heights = np.array([(word.top + word.bottom) / 2 for _, word in names])
    pitch = _pitch(rows)
    first = np.array([word.left < left + _NAME_REACH_MM[1] for _, word in names], bool)
    offset = _offset(levels, heights[first] if len(names) else heights, pitch)
    found: list[list[tuple[str, float]]] = [[] for _ in rows]
    for (lead, word), height in zip(names, heights, strict=True):
        away = np.abs(height - levels - offset)
        row = int(np.argmin(away))
        if away[row] < _NAME_LEVEL * pitch:
            found[row].append((lead, word.left - left))
        elif levels[0] + offset < height < levels[-1] + offset:
            raise Doubt(f"{lead} stands between the rows")
    return [sorted(row, key=lambda name: name[1]) for row in found]


def _lead_of(word: DrawnWord) -> str | None:
    lead = canonical_lead(word.text)
    if lead is not None and word.text[0] in "-–−":
        raise Doubt(f"{word.text} is printed upside down")
    return lead


def _offset(levels: np.ndarray, heights: np.ndarray, pitch: float) -> float:
    """How far names stand below their rows' middles, from those of the first column: one for every row."""
    fits = []
    for start in heights - levels[0]:
        if not -_NAME_ABOVE * pitch < start < _NAME_BELOW * pitch:
            continue
        away = np.abs(heights[None, :] - levels[:, None] - start)
        if ((away < _NAME_LEVEL * pitch).sum(1) == 1).all():
            taken = heights[np.argmin(away, axis=1)]
            if len(set(taken)) == len(levels):
                fits.append((float(np.ptp(taken - levels)), float(np.median(taken - levels))))
    if not fits:
        raise Doubt("not every row has a name at its start")
    return min(fits)[1]


def _one_piece_a_name(row: _Row, names: list[tuple[str, float]], upright: list[np.ndarray]) -> list[np.ndarray]:
    """A row's pieces, cut so that each has one name; none are joined: a name may be missing."""
    start = row.start
    places = [start + place - names[0][1] for _, place in names]
    pieces = row.pieces
    if len(pieces) == 1:
        pieces = _cut(pieces[0], places, row.level, upright)
    if len(pieces) != len(names):
        raise Doubt(f"a row of {len(pieces)} traces has {len(names)} names")
    if any(abs(piece[0, 0] - place) > _NAME_PLACE_MM for piece, place in zip(pieces, places, strict=True)):
        raise Doubt("names do not stand at the starts of their traces")
    return pieces


def _cut(piece: np.ndarray, places: list[float], level: float, upright: list[np.ndarray]) -> list[np.ndarray]:
    """One line of several leads, cut at its separators, or in equal parts where there are none."""
    x = piece[:, 0]
    step = float(np.median(np.diff(x)))
    length = x[-1] - x[0] + step
    cuts = x[0] + length * np.arange(1, len(places)) / len(places)
    marks = sorted(
        {
            round(float(mark[0, 0]), 2)
            for mark in upright
            if _SEPARATOR_MM[0] < np.ptp(mark[:, 1]) < _SEPARATOR_MM[1]
            and mark[:, 1].min() - 6 < level < mark[:, 1].max() + 6
            and x[0] + 5 < mark[0, 0] < x[-1] - 5
        }
    )
    if len(marks) == len(cuts):
        cuts = np.array(marks)
    elif marks:
        raise Doubt(f"a row of {len(places)} names has {len(marks)} separators")
    if np.abs(cuts - places[1:]).max(initial=0.0) > _NAME_PLACE_MM:
        raise Doubt("names do not stand where their leads begin")
    return [part for part in np.split(piece, np.searchsorted(x, cuts - 0.3 * step)) if len(part) > 1]


def _check_doubles(strips: list[Strip]) -> None:
    """A lead is printed twice only where one of both is a rhythm strip, alone in its row."""
    for lead in {strip.lead for strip in strips}:
        alike = [strip for strip in strips if strip.lead == lead]
        shared = [strip for strip in alike if sum(other.row == strip.row for other in strips) > 1]
        if len(alike) > 2 or (len(alike) == 2 and len(shared) != 1):
            raise Doubt(f"{lead} is printed {len(alike)} times")


def check_lengths(strips: list[Strip], speed: float) -> None:
    """On a page without pulses rows are of half seconds, in equal parts: a pulse not known as one would show.

    Raises:
        Doubt: a row is of another length, or its strips differ.
    """
    for number in {strip.row for strip in strips}:
        row = [strip for strip in strips if strip.row == number]
        lengths = [float(np.ptp(strip.points[:, 0])) for strip in row]
        first, last = min(strip.points[0, 0] for strip in row), max(strip.points[-1, 0] for strip in row)
        seconds = (last - first) / speed
        if max(lengths) - min(lengths) > _EQUAL_MM or abs(seconds - round(2 * seconds) / 2) > _ODD_S:
            raise Doubt(f"a row of {seconds:.2f} s may hold more than its leads")


def levelled(strips: list[Strip]) -> list[Strip]:
    """Strips of rows without a pulse, with the height at which the row's traces rest as zero."""
    zeros = {
        number: float(np.median([_resting(strip.points[:, 1]) for strip in strips if strip.row == number]))
        for number in {strip.row for strip in strips}
    }
    return [strip if strip.zero_known else replace(strip, zero=zeros[strip.row]) for strip in strips]


def _resting(heights: np.ndarray) -> float:
    """The height (mm) near which a trace stays longest."""
    edges = np.arange(heights.min() - 0.5, heights.max() + 0.7, _REST_MM)
    counts = np.convolve(np.histogram(heights, edges)[0], (1, 2, 3, 2, 1), "same")
    return float(edges[counts.argmax()] + _REST_MM / 2)
