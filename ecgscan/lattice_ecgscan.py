"""The printed grid as a pattern that repeats every millimetre, as the spectra of large parts of the page show it.

Dots and faint lines that the eye hardly sees are sharp peaks in the spectrum of sixty millimetres of a page. A map that
follows them from place to place takes them for their neighbours; a spectrum knows no places, only how many there are.
"""

from dataclasses import replace

import numpy as np

from .geometry_ecgscan import PageGeometry
from .rasters_ecgscan import LEAST_PX_PER_MM, RASTER_PX_PER_MM, Box, flat_darkness, overlapping

# ours: size (mm) of the parts, and degree of the polynomial that joins what they show; first coarse, then fine
PASSES = (((80, 60), 2), ((60, 45), 3))
_OFF = 0.08  # where lines 1 mm apart are sought, in lines a millimetre, and as far across their direction
_LOWEST, _HIGHEST = 0.45, 1.35  # a stronger peak between these is another pattern's
# ours: how many times stronger than what is around it a peak must be, and in what share of the parts
_CLEAR, _SHARE = 40.0, 0.6
_UNEVEN, _SLANTED = 0.05, 0.03  # how far the page's middle may be from square
_TOGETHER = 0.015  # lines a millimetre, by which the parts may differ from their polynomial
_LOOKS = 5  # at the parts, each time less at those that differ
_BEYOND = 1.1  # times the part of the page, from where the map goes straight on


def on_lattice(
    image: np.ndarray, geometry: PageGeometry, box_mm: Box, part_mm: tuple[int, int], degree: int
) -> PageGeometry | None:
    """The geometry with the pattern's lines 1 mm apart along x and along y everywhere; None where they are not clear.

    Args:
        image: (H, W, 3) uint8 that `geometry` maps to.
        geometry: within 8 per cent of the true scale, and as near to the true direction.
        box_mm: left, top, right, bottom of the part of the page that counts.
        part_mm: width and height of the parts in which lines are counted.
        degree: of the polynomial through what they show.
    """
    grid = flat_darkness(image, geometry, box_mm) if geometry.px_per_mm() >= LEAST_PX_PER_MM else None
    if grid is None:
        return None
    low, high = np.array(box_mm[:2]), np.array(box_mm[2:])
    middle, unit = (low + high) / 2, float((high - low).max() / 2)
    places, lines = _counted(grid, part_mm)
    places, place = (low + places - middle) / unit, (geometry.paper - middle) / unit
    edge = _BEYOND * (high - low) / (2 * unit)
    paper, slopes, worst = np.empty_like(geometry.paper), np.empty((2, 2)), 0.0
    for axis in (0, 1):
        clear = np.isfinite(lines[:, axis, 0])
        if clear.mean() < _SHARE:
            return None
        weights, apart = _joined(places[clear], lines[clear, axis], degree)
        if apart > _TOGETHER:
            return None
        slopes[axis], worst = weights[:2], max(worst, apart)
        paper[..., axis] = middle[axis] + unit * _carried_on(place, edge, weights, degree)
    if abs(slopes[0, 0] - slopes[1, 1]) > _UNEVEN or abs(slopes[0, 1] + slopes[1, 0]) > _SLANTED:
        return None
    off_mm = worst * part_mm[0] / 2  # from the middle of a part to its end
    return replace(geometry, paper=paper, amplitude=np.ones_like(geometry.amplitude), residual_mm=off_mm)


def _counted(grid: np.ndarray, part_mm: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(parts, 2) middles (mm) of parts that overlap by half, and (parts, 2, 2) lines a millimetre in each.

    For the lines that follow one another along x, then for those along y: how many there are in a millimetre to the
    right, and down; NaN where they are not clear.
    """
    width, height = (min(RASTER_PX_PER_MM * mm, side) for mm, side in zip(part_mm, grid.shape[::-1], strict=True))
    window = np.outer(np.hanning(height), np.hanning(width))
    places, lines = [], []
    for top in overlapping(grid.shape[0], height):
        for left in overlapping(grid.shape[1], width):
            power = np.abs(np.fft.fft2(grid[top : top + height, left : left + width] * window)) ** 2
            places.append((left + width / 2, top + height / 2))
            lines.append((_line(power), _line(power.T)[::-1]))
    return np.array(places) / RASTER_PX_PER_MM, np.array(lines)


def _line(power: np.ndarray) -> np.ndarray:
    """(2,) lines a millimetre along the columns and along the rows, NaN where none are clear."""
    rows, columns = power.shape
    low, high = (round(edge * columns / RASTER_PX_PER_MM) for edge in (_LOWEST, _HIGHEST))
    reach = round(_OFF * rows / RASTER_PX_PER_MM)
    near = np.roll(power, reach, axis=0)[: 2 * reach + 1, low:high]
    row, column = np.unravel_index(int(near.argmax()), near.shape)
    none = np.full(2, np.nan)
    if not (0 < row < len(near) - 1 and 0 < column < near.shape[1] - 1):
        return none
    if near[row, column] < _CLEAR * np.median(near):
        return none
    along = low + column + _summit(near[row, column - 1 : column + 2])
    across = row - reach + _summit(near[row - 1 : row + 2, column])
    found = RASTER_PX_PER_MM * np.array([along / columns, across / rows])
    return found if abs(found[0] - 1.0) < _OFF else none


def _summit(power: np.ndarray) -> float:
    """Place of a peak between the middle one of three neighbours and the others."""
    before, middle, after = np.log(power)
    return float(0.5 * (before - after) / (before - 2 * middle + after))


def _powers(degree: int) -> list[tuple[int, int]]:
    """Exponents of x and y, x and y themselves first."""
    return [(total - down, down) for total in range(1, degree + 1) for down in range(total + 1)]


def _slopes(place: np.ndarray, degree: int) -> np.ndarray:
    """(..., 2, terms) derivatives to the right and down of all terms of a polynomial."""
    x, y = place[..., 0], place[..., 1]
    right = [i * x ** max(i - 1, 0) * y**j for i, j in _powers(degree)]
    down = [j * x**i * y ** max(j - 1, 0) for i, j in _powers(degree)]
    return np.stack([np.stack(right, -1), np.stack(down, -1)], -2)


def _joined(places: np.ndarray, lines: np.ndarray, degree: int) -> tuple[np.ndarray, float]:
    """Weights of the polynomial whose slopes are what most (parts, 2) `lines` say, and how far they are from it."""
    terms, told = _slopes(places, degree).reshape(2 * len(places), -1), lines.ravel()
    trust = np.ones(len(told))
    for _ in range(_LOOKS):
        weights = np.linalg.lstsq(terms * trust[:, None], told * trust, rcond=None)[0]
        apart = np.abs(terms @ weights - told)
        trust = 1 / np.maximum(1.0, apart / max(2 * float(np.median(apart)), 2e-4))
    return weights, float(np.median(apart))


def _carried_on(place: np.ndarray, edge: np.ndarray, weights: np.ndarray, degree: int) -> np.ndarray:
    """The polynomial at places; straight on beyond the edges to the right and below, and as far to the other sides."""
    near = np.clip(place, -edge, edge)
    values = sum(w * near[..., 0] ** i * near[..., 1] ** j for w, (i, j) in zip(weights, _powers(degree), strict=True))
    return values + ((place - near) * (_slopes(near, degree) @ weights)).sum(-1)
