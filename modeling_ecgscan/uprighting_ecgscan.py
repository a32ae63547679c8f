"""A page without a grid made to lie flat by its rows: they run level, and begin and end one below the other."""

from dataclasses import dataclass, replace

import numpy as np

from .edges_ecgscan import OFFSETS_MM, edge_curve, soft_edge
from .geometry_ecgscan import PageGeometry
from .rectifying_ecgscan import StripColumns
from .settling_ecgscan import borders_of, carried
from .strips_ecgscan import FoundStrip

_SAME_END_MM, _PIECE_MM = 5.0, 60.0  # ends that belong together, and pieces of traces whose middle is where they rest
_CLEAR_EDGE = 0.25  # of a strip's end, from which it counts there
_REST_MM, _END_MM, _BORDER_MM = 1.0, 0.4, 1.0  # ours: errors of rests, of starts and ends, of borders between columns
# ours: how much pages usually lean, are sheared, and shrink with distance over a row's length; how much they must
# shrink to be taken for seen at an angle
_LEANS, _SHEARED, _SHRINKS, _ROW_MM, _AT_ANGLE = 0.1, 0.06, 0.2, 250.0, 0.02
_LEAST = 3  # rows that tell how a page was seen, and borders that tell whether columns are equally long


@dataclass
class _Points:
    """Places (mm) whose coordinate along an axis, 0 for x, belongs together within a group."""

    places: list[tuple[float, float]]
    groups: list[int]
    axis: int
    error_mm: float

    def off(self, terms: np.ndarray, middle: np.ndarray) -> np.ndarray:
        """How far each lies from the mean of its group on an upright page, in errors."""
        if not self.places:
            return np.zeros(0)
        along = _flat(np.array(self.places) - middle, terms)[:, self.axis]
        groups = np.unique(self.groups, return_inverse=True)[1]
        means = np.bincount(groups, along) / np.bincount(groups)
        return (along - means[groups]) / self.error_mm


def made_upright(
    geometry: PageGeometry, strips: list[FoundStrip], columns: list[StripColumns]
) -> tuple[PageGeometry, list[FoundStrip], bool]:
    """Geometry and strips of a page turned upright and, where its rows show an angle, as it is seen from above.

    Where rows come closer together, they shrink along their length too: a projection divides both by the distance.
    Columns, where there are some, come out equally long. Strips of a column begin and end together then.

    Args:
        strips, columns: as they were read on this geometry.

    Returns:
        Geometry, strips, and whether the page was seen at an angle.
    """
    from scipy.optimize import least_squares

    points = _points(strips, columns)
    if len(set(points[0].groups)) < _LEAST:
        return geometry, strips, False
    middle = np.mean(points[0].places, axis=0)
    borders = np.array([[place, middle[1]] for place in borders_of(strips)]).reshape(-1, 2)

    def off(terms: np.ndarray) -> np.ndarray:
        lean, shear, *shrinks = terms
        usual = [lean / _LEANS, shear / _SHEARED, *(_ROW_MM / _SHRINKS * np.array(shrinks))]
        uneven = _uneven(_flat(borders - middle, terms)[:, 0]) / _BORDER_MM
        return np.concatenate([*(group.off(terms, middle) for group in points), uneven, usual])

    terms = least_squares(off, np.zeros(4), loss="soft_l1").x
    at_angle = bool(np.abs(terms[2:]).max() * _ROW_MM > _AT_ANGLE)
    if not at_angle:
        lean = least_squares(lambda some: off(np.append(some, np.zeros(3))), np.zeros(1), loss="soft_l1").x
        terms = np.append(lean, np.zeros(3))
    other = replace(geometry, paper=_flat(geometry.paper - middle, terms) + middle)
    return other, _together(carried(_with_own_ends(strips, columns), geometry, other)), at_angle


def _uneven(places: np.ndarray) -> np.ndarray:
    """How far places lie from the equally spaced ones nearest to them."""
    if len(places) < _LEAST:
        return np.zeros(0)
    number = np.arange(len(places)) - (len(places) - 1) / 2
    return places - places.mean() - number * (number @ places) / (number @ number)


def _flat(places: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """(..., 2) places about the middle of a page turned, sheared and divided by their distance."""
    lean, shear, along, across = terms
    u, v = places[..., 0], places[..., 1]
    turned = np.stack([u - (lean - shear) * v, v + lean * u], -1)
    return turned / np.maximum(1.0 + along * u + across * v, 0.3)[..., None]


def _points(strips: list[FoundStrip], columns: list[StripColumns]) -> list[_Points]:
    """Where the traces of each row rest, where the first strips begin, and where the last end."""
    rests, starts, ends = _Points([], [], 1, _REST_MM), _Points([], [], 0, _END_MM), _Points([], [], 0, _END_MM)
    for strip, trace, (first, last) in zip(strips, columns, _outer(strips), strict=True):
        if first:
            place, weight = _own_start(trace, strip.start_mm)
            _add(starts, (place, strip.baseline_mm), 0, weight > _CLEAR_EDGE)
        if last:
            place, weight = _own_end(trace, strip.end_mm)
            _add(ends, (place, strip.baseline_mm), 0, weight > _CLEAR_EDGE)
        on = np.nonzero((trace.x_mm > strip.start_mm) & (trace.x_mm < strip.end_mm))[0]
        for part in np.array_split(on, max(1, int((strip.end_mm - strip.start_mm) // _PIECE_MM))):
            if len(part):
                rest = strip.baseline_mm - float(np.median(trace.height_mm[part]))
                _add(rests, (float(trace.x_mm[part].mean()), rest), strip.row, True)
    return [rests, starts, ends]


def _add(points: _Points, place: tuple[float, float], group: int, clear: bool) -> None:
    if clear:
        points.places.append(place)
        points.groups.append(group)


def _with_own_ends(strips: list[FoundStrip], columns: list[StripColumns]) -> list[FoundStrip]:
    """Strips that begin and end a row with the ends that they show themselves, where those are clear."""
    own = []
    for strip, trace, (first, last) in zip(strips, columns, _outer(strips), strict=True):
        start, begins = _own_start(trace, strip.start_mm)
        end, ceases = _own_end(trace, strip.end_mm)
        own.append(
            replace(
                strip,
                start_mm=start if first and begins > _CLEAR_EDGE else strip.start_mm,
                end_mm=end if last and ceases > _CLEAR_EDGE else strip.end_mm,
            )
        )
    return own


def _together(strips: list[FoundStrip]) -> list[FoundStrip]:
    """Strips of a column with one start and one end, those of a row on one baseline; rows begin and end together."""
    outer = _outer(strips)
    first = float(np.median([strip.start_mm for strip, (begins, _) in zip(strips, outer, strict=True) if begins]))
    last = float(np.median([strip.end_mm for strip, (_, ends) in zip(strips, outer, strict=True) if ends]))
    moved = []
    for strip, (begins, ends) in zip(strips, outer, strict=True):
        column = [(s.start_mm, s.end_mm) for s in strips if (s.column, s.is_rhythm) == (strip.column, strip.is_rhythm)]
        start, end = (float(place) for place in np.median(column, axis=0))
        moved.append(
            replace(
                strip,
                start_mm=first if begins else start,
                end_mm=last if ends else end,
                baseline_mm=float(np.mean([s.baseline_mm for s in strips if s.row == strip.row])),
            )
        )
    return moved


def _outer(strips: list[FoundStrip]) -> list[tuple[bool, bool]]:
    """Whether each strip begins where the rows begin, and whether it ends where they end."""
    last = max(strip.end_mm for strip in strips)
    return [(strip.column == 0, strip.end_mm > last - _SAME_END_MM) for strip in strips]


def _own_start(columns: StripColumns, near_mm: float) -> tuple[float, float]:
    """Where one strip begins by its own evidence alone, and how much that counts, as `soft_edge` says."""
    curve = edge_curve([(columns, near_mm)], rising=True)
    return soft_edge(columns, near_mm + float(OFFSETS_MM[int(curve.argmax())]))


def _own_end(columns: StripColumns, near_mm: float) -> tuple[float, float]:
    """The same of its end."""
    place, weight = _own_start(_backwards(columns), -near_mm)
    return -place, weight


def _backwards(columns: StripColumns) -> StripColumns:
    return StripColumns(-columns.x_mm[::-1], columns.height_mm[::-1], columns.spread_mm[::-1], columns.presence[::-1])
