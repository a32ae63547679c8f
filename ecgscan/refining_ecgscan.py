"""The page's map refined on the picture itself: the printed grid, as a periodic pattern, tells how far the map is off.

A matched filter: the harmonics of the 5 mm grid, averaged over the page, are the pattern; in a small window around
every square millimetre the shift is sought that fits it best, in units of the noise between the harmonics. What is left
is small, so that the likeliest bend of the map is found from the slope of that fit alone.
"""

from dataclasses import replace

import cv2
import numpy as np

from .flattening_ecgscan import flat_page
from .geometry_ecgscan import GRID_MM, PageGeometry
from .levelling_ecgscan import level
from .rasters_ecgscan import HARMONICS, LEAST_PX_PER_MM, Box, blurred, demodulated, flat_darkness, harmonic_cells

_SHIFTS_MM = np.arange(-0.8, 0.801, 0.05)
_FARTHER = 0.3  # of the fit, that the farthest shift costs
_WINDOWS_MM = (10.0, 5.0)  # first coarse, then fine
_WIDE_MM = 12.0  # over which noise, and what lies where no grid is seen, are averaged
_SEEN = 8.0  # standard deviations of the noise from which a shift counts
# ours, chosen on 29 rendered validation photos: how far a map is thought to be bent in one window, windows along and
# across the lines' distance (lines are long), rounds; 26 other pages are .024 mm off without, .021 with (geometric
# mean)
_BENT_MM = 0.015
_BENDS_MM = ((12.0, 24.0), (8.0, 16.0), (5.0, 12.0), (4.0, 8.0))
_ROUNDS = 2
_CLEAR, _CLEAR_WINDOW_MM = 4.0, 8.0  # ours: standard deviations of the noise from which lines are where a map has them


def refine_geometry(image: np.ndarray, geometry: PageGeometry, box_mm: Box) -> PageGeometry:
    """The geometry moved onto the grid lines printed in a part of the page, unchanged where none are seen.

    Args:
        image: (H, W, 3) uint8 that `geometry` maps to.
        geometry: off by less than 0.8 mm.
        box_mm: left, top, right, bottom of the part.
    """
    grid = flat_darkness(image, geometry, box_mm) if geometry.px_per_mm() >= LEAST_PX_PER_MM else None
    if grid is None:
        return geometry
    level_geometry = level(grid, geometry, box_mm)
    if level_geometry is not None:
        geometry, grid = level_geometry, None
    seen = np.zeros(geometry.paper.shape, np.float32)
    for window in _WINDOWS_MM:
        if grid is None:
            grid = flat_darkness(image, geometry, box_mm)
        if grid is None:
            return geometry
        paper = geometry.paper.copy()
        for axis in (0, 1):
            found = _displacement(grid if axis == 0 else grid.T, box_mm[axis], window)
            if found is None:
                continue
            ahead, trust = (field if axis == 0 else field.T for field in found)
            paper[..., axis] -= _on_map(ahead, geometry, box_mm, cv2.BORDER_REPLICATE)
            # a window's middle may lie beside the grid that it sees
            inner = cv2.erode(trust, np.ones((round(window),) * 2, np.uint8))
            seen[..., axis] = _on_map(inner, geometry, box_mm, cv2.BORDER_CONSTANT)
        plane = flat_page(paper, seen)
        if plane is not None:
            return replace(geometry, paper=plane)
        geometry, grid = replace(geometry, paper=paper), None
    for _ in range(_ROUNDS):
        grid = flat_darkness(image, geometry, box_mm)
        if grid is None:
            return geometry
        fields = _bend(grid, box_mm[0]), _bend(grid.T, box_mm[1]).T
        ahead = np.stack([_on_map(field, geometry, box_mm, cv2.BORDER_REPLICATE) for field in fields], -1)
        geometry = replace(geometry, paper=geometry.paper - ahead)
    return geometry


def share_on_grid(image: np.ndarray, geometry: PageGeometry, box_mm: Box) -> float:
    """Share of the box in which the lines upright on the rows are clearly where the geometry has them."""
    grid = flat_darkness(image, geometry, box_mm)
    if grid is None:
        return 0.0
    found, noise, pattern = _matched(grid, box_mm[0], _CLEAR_WINDOW_MM)
    fit = (np.conj(pattern) * found / noise).real.sum(0)
    return float((fit > _CLEAR * np.sqrt((np.abs(pattern) ** 2 / noise).sum(0) / 2)).mean())


def _on_map(field: np.ndarray, geometry: PageGeometry, box_mm: Box, border: int) -> np.ndarray:
    """A field of the box's square millimetres at the cells of the map."""
    place = (geometry.paper - np.array(box_mm[:2])).astype(np.float32) - 0.5
    return cv2.remap(np.ascontiguousarray(field), place[..., 0], place[..., 1], cv2.INTER_LINEAR, borderMode=border)


def _bend(grid: np.ndarray, start_mm: float) -> np.ndarray:
    """(rows, columns) millimetres along the columns that the map is ahead of the grid, where that is little.

    From wide windows to small ones, the most likely shift given that bends are small: slope of the log likelihood of
    the harmonics, by its curvature. What every other harmonic says must agree with what the rest say, over the page:
    where nothing is bent, or the lines themselves are uneven, they do not.
    """
    window = _WINDOWS_MM[0]
    _, noise, pattern = _matched(grid, start_mm, window)
    noise = noise * 4.0 * np.pi * window**2  # of one square millimetre
    turn = (2 * np.pi / GRID_MM * HARMONICS)[:, None, None]
    cells = harmonic_cells(grid, HARMONICS, start_mm)
    slope = -2.0 * turn * (np.conj(pattern) * cells).imag / noise
    curvature = 2.0 * turn**2 * np.abs(pattern) ** 2 / noise
    slopes, curvatures = ([field[half::2].sum(0) for half in (0, 1)] for field in (slope, curvature))
    ahead = np.zeros(slope.shape[1:], np.float32)
    for along, across in _BENDS_MM:
        size = 4.0 * np.pi * along * across  # square millimetres that a window averages
        left = [size * blurred(s - c * ahead, along, across) for s, c in zip(slopes, curvatures, strict=True)]
        bent = [size * blurred(c, along, across) for c in curvatures]
        if (np.minimum(*bent) * (left[0] / bent[0]) * (left[1] / bent[1])).sum() > 0:
            ahead += sum(left) / (sum(bent) + 1.0 / _BENT_MM**2)
    return ahead - np.median(ahead)


def _matched(grid: np.ndarray, start_mm: float, window_mm: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(harmonics, rows, columns) amplitudes of the grid along the columns, power of the noise, and the pattern."""
    found = demodulated(grid, HARMONICS, start_mm, window_mm)
    between = demodulated(grid, np.append(HARMONICS - 0.5, HARMONICS[-1] + 0.5), start_mm, window_mm)
    power = np.stack([blurred(np.abs(part) ** 2, _WIDE_MM) for part in between])
    noise = np.maximum((power[1:] + power[:-1]) / 2, 1e-12)
    clear = np.median(noise, axis=(1, 2), keepdims=True)
    pattern = (found / (noise + clear)).sum((1, 2), keepdims=True) / (1 / (noise + clear)).sum((1, 2), keepdims=True)
    return found, noise, pattern


def _displacement(grid: np.ndarray, start_mm: float, window_mm: float) -> tuple[np.ndarray, np.ndarray] | None:
    """(rows, columns) millimetres along the columns that the map is ahead of the grid, and where the grid is seen.

    None without a grid.
    """
    found, noise, pattern = _matched(grid, start_mm, window_mm)
    matched = np.conj(pattern) * found / noise
    turns = np.exp(2j * np.pi / GRID_MM * HARMONICS[:, None] * _SHIFTS_MM).astype(np.complex64)
    fit = np.einsum("hrc,hs->src", matched, turns).real
    fit /= np.sqrt((np.abs(pattern) ** 2 / noise).sum(0) / 2)
    # lines 1 mm apart that are all alike fit again a millimetre further: the nearer place is the right one
    fit *= (1.0 - _FARTHER * (_SHIFTS_MM / _SHIFTS_MM[-1]) ** 2).astype(np.float32)[:, None, None]
    best = fit.argmax(0)
    sure = np.take_along_axis(fit, best[None], 0)[0]
    trust = np.clip((sure - _SEEN) / _SEEN, 0.0, 1.0) * ((best > 0) & (best < len(_SHIFTS_MM) - 1))
    if trust.mean() < 0.15:
        return None
    inner = np.clip(best, 1, len(_SHIFTS_MM) - 2)
    low, middle, high = (np.take_along_axis(fit, (inner + step)[None], 0)[0] for step in (-1, 0, 1))
    bend = np.minimum(low - 2 * middle + high, -1e-6)
    shift = _SHIFTS_MM[inner] + np.clip((low - high) / (2 * bend), -0.5, 0.5) * (_SHIFTS_MM[1] - _SHIFTS_MM[0])
    shift = shift - (trust * shift).sum() / trust.sum()
    near = blurred(trust, window_mm / 2)
    wide = blurred(trust * shift, _WIDE_MM) / (blurred(trust, _WIDE_MM) + 0.02)
    ahead = (blurred(trust * shift, window_mm / 2) + 0.1 * wide) / (near + 0.1)
    return ahead.astype(np.float32), near.astype(np.float32)
