"""The page's map turned and bent as a whole until the printed grid is in phase across the page.

Where the lines are all alike, as in a dotted grid, a map that is off by more than half a line's distance at the far
ends can't be put right place by place. For the whole page there are few ways to be off: five numbers for each
coordinate, the terms of a polynomial of second degree, sought where the grid's harmonics add up best.
"""

from dataclasses import replace

import numpy as np

from .geometry_ecgscan import GRID_MM, PageGeometry
from .rasters_ecgscan import HARMONICS, Box, demodulated

_WINDOW_MM = 4.0
_TILTS_MM = np.arange(-20, 21) * 0.1  # from the middle of the page to its ends
_BENDS_MM = np.arange(-12, 13) * 0.05
_ROUNDS = 3
# of a harmonic that is in phase everywhere: what is clear enough, and how much clearer it must become, times and by
_CLEAR, _GAIN, _LEAST = 0.8, 3.0, 0.6
_BEYOND = 1.3  # of the way to the ends, from where it goes on straight


def level(grid: np.ndarray, geometry: PageGeometry, box_mm: Box) -> PageGeometry | None:
    """The geometry with the grid in phase across the page, None where that is not much clearer.

    Args:
        grid: darkness of the part of the page that counts, on a raster of paper millimetres.
        geometry: its lines nearly 5 mm apart everywhere.
        box_mm: left, top, right, bottom of that part.
    """
    aheads = [_ahead(grid if axis == 0 else grid.T, box_mm[axis]) for axis in (0, 1)]
    if not np.any(aheads):
        return None
    low, high = np.array(box_mm[:2]), np.array(box_mm[2:])
    place = np.clip((geometry.paper - (low + high) / 2) / ((high - low) / 2), -_BEYOND, _BEYOND)
    paper = geometry.paper.copy()
    for axis, ahead in enumerate(aheads):
        paper[..., axis] -= _terms(place[..., axis], place[..., 1 - axis]) @ ahead
    return replace(geometry, paper=paper)


def _terms(along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """(..., 5) terms of the polynomial at places from -1 to 1; the constant one doesn't matter."""
    return np.stack([along, across, along**2, along * across, across**2], -1)


def _ahead(grid: np.ndarray, start_mm: float) -> np.ndarray:
    """(5,) millimetres by which the map runs ahead of the grid along the columns, for each of the terms."""
    found = demodulated(grid, HARMONICS, start_mm, _WINDOW_MM)[:, :: int(_WINDOW_MM), :: int(_WINDOW_MM)]
    found = found / (np.sqrt((np.abs(found) ** 2).mean((1, 2), keepdims=True)) + 1e-12)
    turn = 2j * np.pi / GRID_MM * HARMONICS[:, None, None]
    across, along = (np.linspace(-1, 1, count) for count in found.shape[1:])
    waves = [np.exp(turn * _TILTS_MM[:, None] * way).astype(np.complex64) for way in (across, along)]
    clear = (np.abs(waves[0] @ found @ waves[1].transpose(0, 2, 1) / found[0].size) ** 2).sum(0)
    best = np.zeros(5)
    as_it_is = float(clear[len(_TILTS_MM) // 2, len(_TILTS_MM) // 2])
    if as_it_is > _CLEAR:
        return best
    best[1], best[0] = _TILTS_MM[list(np.unravel_index(clear.argmax(), clear.shape))]
    terms = _terms(*np.meshgrid(along, across)).reshape(-1, 5)
    flat, turn = found.reshape(len(found), -1), turn[..., 0]

    def clearness(ahead: np.ndarray) -> float:
        return float((np.abs((flat * np.exp(turn * (terms @ ahead))).mean(1)) ** 2).sum())

    for _ in range(_ROUNDS):
        for term in (2, 3, 4, 0, 1):
            tried = best + np.eye(5)[term] * _BENDS_MM[:, None]
            best = tried[int(np.argmax([clearness(ahead) for ahead in tried]))]
    return best if clearness(best) > _GAIN * as_it_is + _LEAST else np.zeros(5)
