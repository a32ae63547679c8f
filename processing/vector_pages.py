"""What a page of a PDF holds as drawing: lines and words, and where they are shown."""

import ctypes
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .leads import canonical_lead
from .vector_words import DrawnWord, Point, characters_of, mapped, quarter_map, words_of

Box = tuple[float, float, float, float]
Matrix = tuple[float, float, float, float, float, float]

MAX_OBJECTS = 400_000  # a page of more is no recording, and takes minutes
_JOINED = 0.01  # points between the end of one line and the start of the next that goes on from it
_CURVE_STEPS = 4
_PALE = 245  # of 255 in every colour: drawn so, a line can't be seen on paper
_THIN = 1.5  # points: a filled rectangle narrower than this is a line
_DEPTH = 6  # of forms within forms
_DEVICE = 10_000_000
_IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


@dataclass(frozen=True)
class DrawnLine:
    """A stroked line.

    Attributes:
        points: (N, 2) in points (1/72 inch) from the upper left corner, y downwards.
        style: colour and width, equal for what was drawn with one pen.
    """

    points: np.ndarray
    style: tuple[float, ...]


@dataclass(frozen=True)
class VectorPage:
    """The drawing of one page, turned so that the names of leads are upright.

    Attributes:
        lines: what was stroked; pieces that go on from one another are joined.
        words: in the order of the file, upright ones only.
        text: all of the page's text.
        size: (width, height) in points of the page as it is shown.
        to_shown: (2, 3) affine map from the points of `lines` and `words` to those of the page as it is shown.
    """

    lines: list[DrawnLine]
    words: list[DrawnWord]
    text: str
    size: Point
    to_shown: np.ndarray


def read_drawing(page: Any) -> VectorPage | None:
    """The drawing of a page of pypdfium2, or None where it holds no three names of leads beside lines.

    Args:
        page: `pypdfium2.PdfPage`.
    """
    shown = _shown_map(page)
    characters, text = characters_of(page, shown)
    best: tuple[int, list[DrawnWord]] = (2, [])
    quarter = 0
    for turn in range(4):
        words = words_of(characters, turn, page.get_size())
        named = sum(canonical_lead(word.text) is not None for word in words)
        if named > best[0]:
            best, quarter = (named, words), turn
    if not best[1]:
        return None
    pen = _Pen()
    if not _draw(page, pen):
        return None
    upright = quarter_map(quarter, page.get_size())
    into = _compose(upright, shown)
    lines = [DrawnLine(mapped(into, points), style) for points, style in pen.drawn(into)]
    back = np.linalg.inv(np.vstack([upright, [0, 0, 1]]))[:2]
    return VectorPage([line for line in lines if len(line.points) > 1], best[1], text, page.get_size(), back)


def _shown_map(page: Any) -> np.ndarray:
    """(2, 3) from the page's own coordinates to points from the shown page's upper left corner."""
    import pypdfium2.raw as raw

    width, height = page.get_size()
    places = []
    for x, y in ((0.0, 0.0), (100.0, 0.0), (0.0, 100.0)):
        column, row = ctypes.c_int(), ctypes.c_int()
        # the renderer's own map, asked for on a raster so fine that its whole numbers do not matter
        raw.FPDF_PageToDevice(page.raw, 0, 0, _DEVICE, _DEVICE, 0, x, y, column, row)
        places.append((column.value / _DEVICE * width, row.value / _DEVICE * height))
    origin, right, up = (np.array(place) for place in places)
    return np.column_stack([(right - origin) / 100, (up - origin) / 100, origin])


def _compose(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    return np.column_stack([after[:, :2] @ before[:, :2], after[:, :2] @ before[:, 2] + after[:, 2]])


@dataclass
class _Stroke:
    points: list[Point]
    style: tuple[float, ...]
    clip: Box | None


@dataclass
class _Pen:
    """Collects strokes in the page's own coordinates, and joins those that go on from one another."""

    strokes: list[_Stroke] = field(default_factory=list)
    _ends: dict[tuple, int] = field(default_factory=dict)
    _pens: dict[tuple, int] = field(default_factory=dict)

    def add(self, points: list[Point], style: tuple[float, ...], clip: Box | None) -> None:
        """One open or closed line of two points or more."""
        start = points[0]
        pen = self._pens.setdefault((style, clip), len(self._pens))
        for key in _near_keys(start, pen):
            index = self._ends.get(key)
            if index is None:
                continue
            stroke = self.strokes[index]
            x, y = stroke.points[-1]
            if abs(x - start[0]) <= _JOINED and abs(y - start[1]) <= _JOINED:
                del self._ends[key]
                stroke.points.extend(points[1:])
                self._ends[_key(points[-1], pen)] = index
                return
        self._ends[_key(points[-1], pen)] = len(self.strokes)
        self.strokes.append(_Stroke(list(points), style, clip))

    def drawn(self, into: np.ndarray) -> Iterator[tuple[np.ndarray, tuple[float, ...]]]:
        """Lines, without what lies beside their clip in the direction in which `into` makes x run."""
        axis = 0 if abs(into[0, 0]) > abs(into[0, 1]) else 1
        for stroke in self.strokes:
            points = np.array(stroke.points)
            if stroke.clip is None:
                yield points, stroke.style
                continue
            low, high = stroke.clip[axis] - 0.05, stroke.clip[axis + 2] + 0.05
            seen = (points[:, axis] >= low) & (points[:, axis] <= high)
            if len(points) == 2 and np.ptp(points[:, axis]) > 0:
                points[:, axis] = np.clip(points[:, axis], low, high)
                if np.ptp(points[:, axis]) > 0:
                    yield points, stroke.style
                continue
            for piece in np.split(np.arange(len(points)), np.flatnonzero(np.diff(seen)) + 1):
                if seen[piece[0]]:
                    yield points[piece], stroke.style


def _key(point: Point, pen: int) -> tuple:
    return math.floor(point[0] / (4 * _JOINED)), math.floor(point[1] / (4 * _JOINED)), pen


def _near_keys(point: Point, pen: int) -> list[tuple]:
    """Where a line that ends within `_JOINED` of a point is kept, the likeliest place first."""
    x, y = point
    places = [(x, y), *((x + dx, y + dy) for dx in (-_JOINED, _JOINED) for dy in (-_JOINED, _JOINED))]
    return list(dict.fromkeys(_key(place, pen) for place in places))


def _draw(page: Any, pen: _Pen) -> bool:
    """Hands all lines of a page to the pen; False where there are too many objects."""
    import pypdfium2.raw as raw

    left = MAX_OBJECTS

    def visit(count: int, get: Any, outer: Matrix, depth: int) -> bool:
        nonlocal left
        for index in range(count):
            item = get(index)
            left -= 1
            if left < 0:
                return False
            kind = raw.FPDFPageObj_GetType(item)
            if kind == raw.FPDF_PAGEOBJ_PATH:
                _draw_path(item, outer, pen)
            elif kind == raw.FPDF_PAGEOBJ_FORM and depth < _DEPTH:
                inner = _chained(_matrix(item), outer)
                count_inside = raw.FPDFFormObj_CountObjects(item)
                if not visit(count_inside, lambda k, form=item: raw.FPDFFormObj_GetObject(form, k), inner, depth + 1):
                    return False
        return True

    return visit(raw.FPDFPage_CountObjects(page.raw), lambda k: raw.FPDFPage_GetObject(page.raw, k), _IDENTITY, 0)


def _matrix(item: Any) -> Matrix:
    import pypdfium2.raw as raw

    matrix = raw.FS_MATRIX()
    raw.FPDFPageObj_GetMatrix(item, matrix)
    return matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f


def _chained(first: Matrix, then: Matrix) -> Matrix:
    a, b, c, d, e, f = first
    p, q, r, s, t, u = then
    return a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s, e * p + f * r + t, e * q + f * s + u


def _draw_path(item: Any, outer: Matrix, pen: _Pen) -> None:
    import pypdfium2.raw as raw

    fill, stroke = ctypes.c_int(), ctypes.c_int()
    raw.FPDFPath_GetDrawMode(item, fill, stroke)
    count = raw.FPDFPath_CountSegments(item)
    if not stroke.value and not (fill.value and count <= 6):
        return
    colour = _colour(raw.FPDFPageObj_GetStrokeColor if stroke.value else raw.FPDFPageObj_GetFillColor, item)
    if colour is None:
        return
    matrix = _chained(_matrix(item), outer)
    clip = _clip(item, outer)
    pieces = _pieces([raw.FPDFPath_GetPathSegment(item, index) for index in range(count)], matrix)
    if stroke.value:
        width = ctypes.c_float()
        raw.FPDFPageObj_GetStrokeWidth(item, width)
        style = (*colour, round(width.value * math.sqrt(abs(matrix[0] * matrix[3] - matrix[1] * matrix[2])), 3))
        for points in pieces:
            pen.add(points, style, clip)
        return
    for points in pieces:
        thin = _middle_of_thin(points)
        if thin is not None:
            pen.add(thin[0], (*colour, -round(thin[1], 2)), clip)


def _colour(get: Any, item: Any) -> tuple[int, ...] | None:
    """Red, green and blue, or None where the line can't be seen on white paper."""
    parts = [ctypes.c_uint(0) for _ in range(4)]
    get(item, *parts)
    *colour, opacity = (part.value for part in parts)
    return None if opacity == 0 or min(colour) >= _PALE else tuple(colour)


def _clip(item: Any, outer: Matrix) -> Box | None:
    """The box (left, bottom, right, top) beyond which an object is not shown, or None."""
    import pypdfium2.raw as raw

    clip = raw.FPDFPageObj_GetClipPath(item)
    count = raw.FPDFClipPath_CountPaths(clip) if clip else 0
    box: Box | None = None
    for path in range(max(count, 0)):
        segments = raw.FPDFClipPath_CountPathSegments(clip, path)
        pieces = _pieces([raw.FPDFClipPath_GetPathSegment(clip, path, k) for k in range(segments)], outer)
        corners = [point for piece in pieces for point in piece]
        if corners:
            xs, ys = zip(*corners, strict=True)
            new = (min(xs), min(ys), max(xs), max(ys))
            box = new if box is None else (*map(max, box[:2], new[:2]), *map(min, box[2:], new[2:]))  # type: ignore[assignment]
    return box


def _pieces(segments: list[Any], matrix: Matrix) -> Iterator[list[Point]]:
    """Lines of a path, curves as short straight pieces, closed ones back to their start."""
    import pypdfium2.raw as raw

    a, b, c, d, e, f = matrix
    x, y = ctypes.c_float(), ctypes.c_float()
    points: list[Point] = []
    curve: list[Point] = []
    for segment in segments:
        raw.FPDFPathSegment_GetPoint(segment, x, y)
        point = (a * x.value + c * y.value + e, b * x.value + d * y.value + f)
        kind = raw.FPDFPathSegment_GetType(segment)
        if kind == raw.FPDF_SEGMENT_MOVETO:
            if len(points) > 1:
                yield points
            points = [point]
        elif kind == raw.FPDF_SEGMENT_BEZIERTO:
            curve.append(point)
            if len(curve) == 3:
                points += _curve(points[-1] if points else curve[0], *curve)
                curve = []
        else:
            points.append(point)
        if raw.FPDFPathSegment_GetClose(segment) and points:
            points.append(points[0])
    if len(points) > 1:
        yield points


def _curve(start: Point, first: Point, second: Point, end: Point) -> list[Point]:
    steps = np.arange(1, _CURVE_STEPS + 1)[:, None] / _CURVE_STEPS
    rest = 1 - steps
    places = rest**3 * start + 3 * rest**2 * steps * first + 3 * rest * steps**2 * second + steps**3 * np.array(end)
    return [tuple(place) for place in places.tolist()]


def _middle_of_thin(points: list[Point]) -> tuple[list[Point], float] | None:
    """The line in the middle of a thin upright rectangle, and its width."""
    xs, ys = zip(*points, strict=True)
    left, right, bottom, top = min(xs), max(xs), min(ys), max(ys)
    if min(right - left, top - bottom) > _THIN or max(right - left, top - bottom) < 4 * _THIN:
        return None
    if right - left < top - bottom:
        middle = (left + right) / 2
        return [(middle, bottom), (middle, top)], right - left
    middle = (bottom + top) / 2
    return [(left, middle), (right, middle)], top - bottom


__all__ = ["DrawnLine", "DrawnWord", "VectorPage", "read_drawing"]
