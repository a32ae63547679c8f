"""The page's map stretched until the printed grid's lines lie 5 mm apart everywhere, as spectra of the picture show.

A map made without seeing the grid is off by several per cent, and differently across a page seen at an angle: too
far for a matched filter to find the lines. The spectrum of a part of the page tells how far apart lines are there,
whatever their phase; one smooth stretch is sought that fits the spectra of all parts.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from .geometry_ecgscan import GRID_MM, PageGeometry
from .rasters_ecgscan import HARMONICS, LEAST_PX_PER_MM, RASTER_PX_PER_MM, Box, flat_darkness, overlapping

GRID_CLEAR = 1.5  # sum over the harmonics of the logarithm of their power, above which a grid is there; none: 0.8
_PART_MM, _BAND_MM = 60, 40  # parts of the page, along and across
_LOG_STEP = 0.004
_LOG_SCALES = np.arange(-100, 101) * _LOG_STEP
_PASSES = 3
_GAIN_SHARE, _GAIN = 1.25, 0.4  # times and by how much a stretch must be clearer than none
_ALIGNED = 0.9  # share of what the parts could show one by one, from which no stretch is sought
_PRICE, _USUAL = 0.25, 0.08  # of a stretch, and how large a usual one is (in logarithms of the scale)
# first coarse, then around what was found: scale in the middle, and its slopes towards the ends along and across
_COARSE = (np.arange(-60, 61) * _LOG_STEP, np.arange(-10, 11) * 0.02)
_FINE = (np.arange(-6, 7) * 0.002, np.arange(-3, 4) * 0.005)


@dataclass(frozen=True)
class _Stretch:
    """How many times too narrow (logarithm) the grid lies: in the middle, and by how much more at the far ends."""

    middle: float = 0.0
    along: float = 0.0
    across: float = 0.0


@dataclass(frozen=True)
class _Spectra:
    """Parts of the page: their middles (-1 to 1) along and across, and how clear the grid is at `_LOG_SCALES`."""

    along: np.ndarray
    across: np.ndarray
    clear: np.ndarray


def stretch_to_grid(image: np.ndarray, geometry: PageGeometry, box_mm: Box) -> tuple[PageGeometry, float]:
    """The geometry with the grid's lines 5 mm apart along x and along y, and how clear the grid is.

    Args:
        image: (H, W, 3) uint8 that `geometry` maps to.
        box_mm: left, top, right, bottom of the part of the page that counts.

    Returns:
        The geometry, unchanged where no grid is seen, and a clearness to compare with `GRID_CLEAR`.
    """
    if geometry.px_per_mm() < LEAST_PX_PER_MM:
        return geometry, 0.0
    before, clear = geometry, -np.inf
    for _ in range(_PASSES):
        grid = flat_darkness(image, geometry, box_mm)
        if grid is None:
            return before, max(clear, 0.0)
        stretches, scores, shown = zip(*(_sought(_spectra(field)) for field in (grid, grid.T)), strict=True)
        # what a stretch promises may be another scale's lines: the page itself must show it
        if min(shown) < clear:
            return before, clear
        before, clear = geometry, min(shown)
        if min(scores) < GRID_CLEAR or not any(stretches):
            break
        paper = geometry.paper.copy()
        for axis, stretch in enumerate(stretches):
            if stretch is not None:
                paper[..., axis] = _stretched(geometry.paper, box_mm, axis, stretch)
        geometry = replace(geometry, paper=paper)
        box_mm = _grown(box_mm, stretches)
    return before, clear


def clearness(image: np.ndarray, geometry: PageGeometry, box_mm: Box) -> float:
    """How clear the grid is with the geometry as it stands, to compare with `GRID_CLEAR`; 0 where it can't be seen."""
    grid = flat_darkness(image, geometry, box_mm) if geometry.px_per_mm() >= LEAST_PX_PER_MM else None
    return 0.0 if grid is None else min(_as_it_is(_spectra(field)) for field in (grid, grid.T))


def _as_it_is(spectra: _Spectra) -> float:
    """How clear the grid is without a stretch."""
    centre = len(_LOG_SCALES) // 2
    return float(spectra.clear[:, centre - 1 : centre + 2].mean(0).max())


def _spectra(grid: np.ndarray) -> _Spectra:
    """How clear a grid is along the columns, in parts of the page that overlap by half."""
    rows = grid.shape[0] // RASTER_PX_PER_MM
    thin = grid[: rows * RASTER_PX_PER_MM].reshape(rows, RASTER_PX_PER_MM, -1).mean(1)
    length = min(_PART_MM * RASTER_PX_PER_MM, grid.shape[1])
    starts = overlapping(grid.shape[1], length)
    bands = np.linspace(0, rows, 1 + max(1, round(rows / _BAND_MM))).astype(int)
    per_mm = np.fft.rfftfreq(4 * length, 1 / RASTER_PX_PER_MM)
    around = 2 * round(0.2 / per_mm[1]) + 1
    lines = np.exp(_LOG_SCALES) * HARMONICS[:, None] / GRID_MM
    window = np.hanning(length).astype(np.float32)
    clear = []
    for top, bottom in zip(bands[:-1], bands[1:], strict=True):
        for start in starts:
            part = thin[top:bottom, start : start + length] * window
            power = (np.abs(np.fft.rfft(part, 4 * length)) ** 2).mean(0)
            wide = cv2.blur(power[None], (around, 1))[0]
            beyond = np.log1p(np.maximum(power / np.maximum(wide, 1e-12) - 1.0, 0.0))
            clear.append(np.interp(lines, per_mm, beyond).sum(0))
    along = np.tile((starts + length / 2) * 2 / grid.shape[1] - 1, len(bands) - 1)
    across = np.repeat((bands[:-1] + bands[1:]) / rows - 1, len(starts))
    return _Spectra(along, across, np.array(clear))


def _sought(spectra: _Spectra) -> tuple[_Stretch | None, float, float]:
    """The stretch that makes the grid clearest, None where the map is right as it is; how clear it is then and now."""
    centre = len(_LOG_SCALES) // 2
    as_it_is = _as_it_is(spectra)
    if as_it_is > _ALIGNED * spectra.clear.max(1).mean():
        return None, as_it_is, as_it_is
    best, score = _Stretch(), -np.inf
    for middles, slopes in (_COARSE, _FINE):
        around = best
        for along in around.along + slopes:
            for across in around.across + slopes:
                off = (around.middle + middles) + (along * spectra.along + across * spectra.across)[:, None]
                index = np.clip(np.round(off / _LOG_STEP).astype(int) + centre, 0, len(_LOG_SCALES) - 1)
                price = ((around.middle + middles) ** 2 + along**2 + across**2) * (_PRICE / _USUAL**2)
                total = np.take_along_axis(spectra.clear, index, 1).mean(0) - price
                if total.max() > score:
                    best = _Stretch(float(around.middle + middles[total.argmax()]), float(along), float(across))
                    score = float(total.max())
    clearer = score > _GAIN_SHARE * as_it_is + _GAIN
    return best if clearer else None, max(score, as_it_is), as_it_is


def _stretched(paper: np.ndarray, box_mm: Box, axis: int, stretch: _Stretch) -> np.ndarray:
    """One coordinate of places on paper: the scale's integral from the middle of the box; constant scale far away."""
    low, high = np.array(box_mm[:2]), np.array(box_mm[2:])
    half = (high - low) / 2
    place = (paper - (low + high) / 2) / half
    near = np.clip(place, -1.6, 1.6)
    along, across = near[..., axis], near[..., 1 - axis]
    scale = np.exp(stretch.middle + stretch.across * across)
    inside = np.expm1(stretch.along * along) / stretch.along if abs(stretch.along) > 1e-6 else along
    beyond = (place[..., axis] - along) * np.exp(stretch.along * along)
    return (low + half)[axis] + half[axis] * scale * (inside + beyond)


def _grown(box_mm: Box, stretches: tuple[_Stretch | None, ...]) -> Box:
    """The box as large as its middle makes it."""
    low, high = np.array(box_mm[:2]), np.array(box_mm[2:])
    half = (high - low) / 2 * np.exp([stretch.middle if stretch is not None else 0.0 for stretch in stretches])
    middle = (low + high) / 2
    return (*(middle - half).tolist(), *(middle + half).tolist())
