"""The scale of a page: that of the printed grid where there is one, else that of rows of the standard length."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from .geometry_ecgscan import PageGeometry
from .rasters_ecgscan import Box
from .refining_ecgscan import refine_geometry, share_on_grid
from .stretching_ecgscan import GRID_CLEAR, clearness, stretch_to_grid
from .strips_ecgscan import STANDARD_ROW_MM, FoundStrip
from .weave_ecgscan import likely_scale, on_weave, true_pitch

# as far as rows are measured before their ends are read, and with a pulse taken for their start
_STANDARD_WITHIN_MM, _STANDARD_NEAR_MM = 8.0, 18.0
# share of another scale's clearness that is enough for the standard one; where that is twice as large or half, the same
# lines are seen at both
_USUAL_CLEAR, _USUAL_CLEAR_TWICE, _TWICE = 0.8, 0.5, 0.1
# ours: amplitude of the located phase from which the grid was seen; of 187 such rendered validation pages the scale was
# right to 0.5 per cent on all, and a stretch sought all the same made it wrong on two
_SEEN = 0.6
# ours: amplitude that is enough where the map follows the phase so closely, before windows of the page are asked and
# where these tell nothing: on rendered validation pages without a grid the map is 0.2 mm off the phase or more
_HALF_SEEN, _FOLLOWED_MM = (0.3, 0.2), (0.12, 0.135)
# ours: below this amplitude no grid was seen at all, and rows of an unusual length must show theirs this clearly
_UNSEEN, _ODD_CLEAR = 0.2, 2.5
# ours: variation of a flat page's scale as the map has it where little of the grid is seen, and cells from which it is
# measured
_FLAT, _LEAST_CELLS = 0.06, 100
# ours: share of the grid's clearness, as located, from which the page is taken for flat: on 54 rendered validation
# pages from 0.90 on flat ones, up to 0.86 on bent ones
_AS_CLEAR = 0.9
_SLIPPED_MM = 0.2  # ours: by which the map must be off the flat page, or one that is evenly bent, along some rows
_APART_MM = 0.7  # from where columns stand apart; ends between columns are found no better
# ours: borders of three columns; how uneven they must be and what share of that may be left; the bend of the strongest
# perspective; columns' ends and starts that are found within this are one border
_LEAST_BORDERS, _UNEVEN_MM, _EXPLAINED, _MOST_BENT, _JOINED_MM = 4, 0.7, 0.5, 0.12, 4.0
# ours: by how much (logarithm) a page seen at an angle may be shorter one way; another harmonic would be off by .18
_SLANTING = 0.16
_SAME_EDGE_MM = 0.5  # by which strips of one layout's column may begin or end apart
_RESCALED = 0.15  # of the scale (logarithm), from where windows of the page tell it better than the rows
# ours, chosen on 31 rendered validation photos: share of the page that is enough whose lines are where the map has
# them, how much of the rest a woven map must meet as well, and per share by which rows are longer on that
_WHOLLY_MET, _ALSO_MET, _PER_LENGTH = 0.985, 0.21, 2.0
# ours: share that shows that there is a grid at all, where its phase was not located; without one 0.0002, faint 0.01
_LEAST_MET = 0.005
_BEYOND = 1.1  # half rows from the middle, from where the scale stays as it is
_SQUARE = 0.1  # by which (logarithm) a page may have been stretched more one way than the other


@dataclass
class _OnGrid:
    """A page with its printed grid's lines 5 mm apart, and how clear they are then."""

    geometry: PageGeometry
    strips: list[FoundStrip]
    clear: float
    square: bool

    def is_standard(self, within_mm: float) -> bool:
        return abs(_row_length(self.strips) - STANDARD_ROW_MM) < within_mm


def settle_on_grid(
    image: np.ndarray, geometry: PageGeometry, strips: list[FoundStrip]
) -> tuple[PageGeometry, list[FoundStrip]] | None:
    """Geometry and strips in true millimetres as the printed grid shows them; None where no grid is clear.

    Args:
        image: (H, W, 3) uint8 that `geometry` maps to.
        geometry: good to 30 per cent, or scaled so that rows of the standard length would make it so.
    """
    amplitude = float(np.percentile(geometry.amplitude, 75))
    clearly, seen = (
        amplitude > _SEEN or (amplitude > enough and geometry.residual_mm < near)
        for enough, near in zip(_HALF_SEEN, _FOLLOWED_MM, strict=True)
    )
    woven = None if clearly else _on_weave(image, geometry, strips)
    if woven is not None:
        return woven
    best = (_as_located if seen else _on_grid)(image, geometry, strips)
    if seen:
        # where little of the grid is seen the map may be bent though the page is flat: the grid itself tells
        flat = squared(geometry, strips)
        if flat is not None and _uneven_mm(geometry, flat[0], strips) > _SLIPPED_MM:
            straight = _as_located(image, *flat)
            best = straight if straight.clear > _AS_CLEAR * best.clear else best
    if not ((seen or best.clear > GRID_CLEAR) and best.square and best.is_standard(_STANDARD_WITHIN_MM)):
        # a grid fits at several scales: that of the standard length comes first
        other = _on_grid(image, *standard_width(geometry, strips))
        enough = 1.0 if seen else _enough(best, other)
        usual = other.is_standard(_STANDARD_NEAR_MM) and other.clear > enough * best.clear
        if usual or (other.clear > best.clear and not seen):
            best = other
    odd = amplitude < _UNSEEN and not best.is_standard(_STANDARD_NEAR_MM)
    if best.clear <= (_ODD_CLEAR if odd else GRID_CLEAR) and not seen:
        return None
    settled = _followed(image, *_refined(image, best.geometry, best.strips))
    return settled if seen or settled[0].met > _LEAST_MET else None


def _refined(
    image: np.ndarray, geometry: PageGeometry, strips: list[FoundStrip]
) -> tuple[PageGeometry, list[FoundStrip]]:
    """Geometry and strips moved onto the lines of a grid that is nearly theirs."""
    refined = refine_geometry(image, geometry, _strips_box(strips))
    return refined, carried(strips, geometry, refined)


def _followed(
    image: np.ndarray, geometry: PageGeometry, strips: list[FoundStrip]
) -> tuple[PageGeometry, list[FoundStrip]]:
    """Geometry and strips on a woven map, where theirs does not meet the grid in a part of the page and that does."""
    met = share_on_grid(image, geometry, _strips_box(strips))
    woven = on_weave(image, geometry, _strips_box(strips)) if met < _WHOLLY_MET else None
    geometry = replace(geometry, met=met)
    if woven is None:
        return geometry, strips
    other, moved = _refined(image, woven, _together(carried(strips, geometry, woven), strips))
    longer = float(np.log(_row_length(moved) / _row_length(strips)))
    other = replace(other, met=share_on_grid(image, other, _strips_box(moved)))
    return (other, moved) if follows_better(met, other.met, longer) else (geometry, strips)


def follows_better(met: float, then_met: float, longer: float) -> bool:
    """Whether a woven map, by which rows are longer or shorter (logarithm), meets enough of what was not met before."""
    return then_met - met > max(_ALSO_MET * (1.0 - met), _PER_LENGTH * abs(longer))


def _on_weave(
    image: np.ndarray, geometry: PageGeometry, strips: list[FoundStrip]
) -> tuple[PageGeometry, list[FoundStrip]] | None:
    """Geometry and strips of a page that is bent or seen at an angle, with rows of any length."""
    located = strips
    geometry, strips = standard_width(*(squared(geometry, strips) or (geometry, strips)))
    scale = likely_scale(image, geometry, _strips_box(strips))
    if abs(np.log(scale)) > _RESCALED:
        geometry, strips = scaled(geometry, strips, scale)
    found = on_weave(image, geometry, _strips_box(strips))
    if found is None:
        return None
    before, strips = strips, carried(strips, geometry, found)
    grown = np.log(_spans(strips) / _spans(before))
    if abs(grown[0] - grown[1]) > _SLANTING:
        return None
    geometry, strips = _refined(image, *scaled(found, strips, true_pitch(image, found, _strips_box(strips))))
    return replace(geometry, met=share_on_grid(image, geometry, _strips_box(strips))), _together(strips, located)


def _together(strips: list[FoundStrip], located: list[FoundStrip]) -> list[FoundStrip]:
    """The strips with common starts and ends as those located had them, in a map that slanted and bent them since."""

    def common(edge: Callable[[FoundStrip], float]) -> list[float]:
        before, now = (np.array([edge(strip) for strip in group]) for group in (located, strips))
        return [float(np.median(now[np.abs(before - place) < _SAME_EDGE_MM])) for place in before]

    edges = zip(strips, common(lambda strip: strip.start_mm), common(lambda strip: strip.end_mm), strict=True)
    return [replace(strip, start_mm=start, end_mm=end) for strip, start, end in edges]


def _enough(own: _OnGrid, other: _OnGrid) -> float:
    """Share of the own scale's clearness that another one needs."""
    octaves = abs(np.log2(_row_length(other.strips) / _row_length(own.strips)))
    return _USUAL_CLEAR_TWICE if abs(octaves - 1.0) < _TWICE else _USUAL_CLEAR


def standard_width(geometry: PageGeometry, strips: list[FoundStrip]) -> tuple[PageGeometry, list[FoundStrip]]:
    """Scale a page so that its rows have the standard length, where that is possible at all.

    Columns that stand apart begin at regular moments: the gap after the last of them belongs to the row as well.
    """
    ratio = STANDARD_ROW_MM / (_row_length(strips) + _gap(strips))
    return scaled(geometry, strips, ratio) if 0.45 < ratio < 2.2 else (geometry, strips)


def evenly_spaced(geometry: PageGeometry, strips: list[FoundStrip]) -> tuple[PageGeometry, list[FoundStrip]]:
    """A page seen at an angle, without a grid to tell, as its columns tell: three and more last equally long.

    Their borders are brought to equal distances by a parabola along the rows, where that clearly explains them.
    """
    borders = borders_of(strips)
    if len(borders) < _LEAST_BORDERS:
        return geometry, strips
    middle, half = (borders[0] + borders[-1]) / 2, (borders[-1] - borders[0]) / 2
    place = (borders - middle) / half
    even = np.linspace(-1.0, 1.0, len(borders))
    bend = np.polyfit(place, even, 2)
    before, after = (half * float(np.sqrt(np.mean((even - found) ** 2))) for found in (place, np.polyval(bend, place)))
    if before < _UNEVEN_MM or after > _EXPLAINED * before or abs(bend[0]) > _MOST_BENT:
        return geometry, strips
    along = (geometry.paper[..., 0] - middle) / half
    near = np.clip(along, -_BEYOND, _BEYOND)
    straight = np.polyval(bend, near) + (along - near) * np.polyval(np.polyder(bend), near)
    other = replace(geometry, paper=np.stack([middle + half * straight, geometry.paper[..., 1]], -1))
    return other, carried(strips, geometry, other)


def borders_of(strips: list[FoundStrip]) -> np.ndarray:
    """Where (mm) the first column begins, the following ones, and the last ends; nothing where columns stand apart."""
    ends: dict[int, list[tuple[float, float]]] = {}
    for strip in strips:
        if not strip.is_rhythm:
            ends.setdefault(strip.column, []).append((strip.start_mm, strip.end_mm))
    middle = np.array([np.median(ends[column], axis=0) for column in sorted(ends)])
    if not len(middle) or np.abs(middle[1:, 0] - middle[:-1, 1]).max(initial=0.0) > _JOINED_MM:
        return np.zeros(0)
    return np.concatenate([middle[:1, 0], (middle[1:, 0] + middle[:-1, 1]) / 2, middle[-1:, 1]])


def scaled(
    geometry: PageGeometry, strips: list[FoundStrip], ratio: float | np.ndarray
) -> tuple[PageGeometry, list[FoundStrip]]:
    """Geometry and strips with all lengths multiplied, by one factor or by one to the right and one down."""
    other = replace(geometry, paper=geometry.paper * ratio)
    return other, carried(strips, geometry, other)


def squared(geometry: PageGeometry, strips: list[FoundStrip]) -> tuple[PageGeometry, list[FoundStrip]] | None:
    """A flat page as a scanner sees it, turned and of one scale in all directions; None for others."""
    left, top, right, bottom = _strips_box(strips)
    u, v = geometry.paper[..., 0], geometry.paper[..., 1]
    among = (u > left) & (u < right) & (v > top) & (v < bottom)
    if among.sum() < _LEAST_CELLS:
        return None
    along, across = (np.hypot(*np.gradient(field))[among] for field in (u, v))
    if max(float(np.std(size) / np.mean(size)) for size in (along, across)) > _FLAT:
        return None
    other = replace(geometry, paper=_similar(geometry.paper * np.array([1.0, along.mean() / across.mean()]), among))
    return other, carried(strips, geometry, other)


def _uneven_mm(geometry: PageGeometry, flat: PageGeometry, strips: list[FoundStrip]) -> float:
    """How far along time a map is off a flat page, but for an even bend and the hundredth where it is farthest."""
    left, top, right, bottom = _strips_box(strips)
    u, v = geometry.paper[..., 0], geometry.paper[..., 1]
    among = (u > left) & (u < right) & (v > top) & (v < bottom)
    x, y = (u[among] - left) / (right - left), (v[among] - top) / (bottom - top)
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], 1)
    off = (flat.paper[..., 0] - u)[among]
    return float(np.percentile(np.abs(off - terms @ np.linalg.lstsq(terms, off, rcond=None)[0]), 99))


def _similar(paper: np.ndarray, among: np.ndarray) -> np.ndarray:
    """(rows, columns, 2) the turned and scaled picture nearest to a map, as seen among some of its cells."""
    y, x = np.mgrid[0 : paper.shape[0], 0 : paper.shape[1]]
    cell, place = x + 1j * y, paper[..., 0] + 1j * paper[..., 1]
    around = cell - cell[among].mean()
    factor = np.vdot(around[among], place[among]) / np.vdot(around[among], around[among])
    found = place[among].mean() + factor * around
    return np.stack([found.real, found.imag], -1)


def _as_located(image: np.ndarray, geometry: PageGeometry, strips: list[FoundStrip]) -> _OnGrid:
    """Geometry and strips as they were located."""
    return _OnGrid(geometry, strips, clearness(image, geometry, _strips_box(strips)), square=True)


def _on_grid(image: np.ndarray, geometry: PageGeometry, strips: list[FoundStrip]) -> _OnGrid:
    """Geometry and strips moved onto the printed grid, where there is one."""
    stretched, clear = stretch_to_grid(image, geometry, _strips_box(strips))
    moved = carried(strips, geometry, stretched)
    grown = np.log(_spans(moved) / _spans(strips))
    return _OnGrid(stretched, moved, clear, abs(grown[0] - grown[1]) < _SQUARE)


def carried(strips: list[FoundStrip], old: PageGeometry, new: PageGeometry) -> list[FoundStrip]:
    """The strips at the same places of the picture in another geometry of it."""
    ends = np.array([[at, strip.baseline_mm] for strip in strips for at in (strip.start_mm, strip.end_mm)])
    places = new.paper_at(old.cells_of(ends)).reshape(len(strips), 2, 2)
    return [
        replace(strip, start_mm=float(start), end_mm=float(end), baseline_mm=float(rows.mean()))
        for strip, (start, end), rows in zip(strips, places[..., 0], places[..., 1], strict=True)
    ]


def _spans(strips: list[FoundStrip]) -> np.ndarray:
    """(2,) extent (mm) of the strips along and across; 1 across where there is one row."""
    rows = [strip.baseline_mm for strip in strips]
    return np.array([_row_length(strips), max(rows) - min(rows) or 1.0])


def _row_length(strips: list[FoundStrip]) -> float:
    """Length (mm) of the rows."""
    return max(strip.end_mm for strip in strips) - min(strip.start_mm for strip in strips)


def _gap(strips: list[FoundStrip]) -> float:
    """How far (mm) columns stand apart, 0 where they are joined."""
    ends: dict[int, list[tuple[float, float]]] = {}
    for strip in strips:
        if not strip.is_rhythm:
            ends.setdefault(strip.column, []).append((strip.start_mm, strip.end_mm))
    middle = [np.median(ends[column], axis=0) for column in sorted(ends)]
    apart = [float(right[0] - left[1]) for left, right in pairwise(middle)]
    return min(apart) if apart and min(apart) > _APART_MM else 0.0


def _strips_box(strips: list[FoundStrip]) -> Box:
    """Left, top, right and bottom (mm) of the part of the page that holds the strips and their waves."""
    rows = [strip.baseline_mm for strip in strips]
    return (
        min(strip.start_mm for strip in strips) - 12.0,
        min(rows) - 16.0,
        max(strip.end_mm for strip in strips) + 8.0,
        max(rows) + 14.0,
    )
