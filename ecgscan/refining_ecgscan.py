"""The page's map refined on the picture itself: the printed grid, as a periodic pattern, tells how far the map is off.

A matched filter: the harmonics of the 5 mm grid, averaged over the page, are the pattern; in a small window around
every square millimetre the shift is sought that fits it best, in units of the noise between the harmonics.
"""

from dataclasses import replace

import cv2
import numpy as np

from .geometry_ecgscan import GRID_MM, PageGeometry

Box = tuple[float, float, float, float]

RASTER_PX_PER_MM = 5
HARMONICS = np.arange(2, 11)  # of the 5 mm grid; lines 1 mm apart are the fifth and the tenth
_SHIFTS_MM = np.arange(-0.8, 0.801, 0.05)
_FARTHER = 0.3  # of the fit, that the farthest shift costs
LEAST_PX_PER_MM = 1.5
_NODE = 15
_WINDOWS_MM = (10.0, 5.0)  # first coarse, then fine
_WIDE_MM = 12.0  # over which noise, and what lies where no grid is seen, are averaged
_INK = 0.45  # darkness in every colour, relative to the surroundings
_SEEN = 8.0  # standard deviations of the noise from which a shift counts


def refine_geometry(image: np.ndarray, geometry: PageGeometry, box_mm: Box) -> PageGeometry:
    """The geometry moved onto the grid lines printed in a part of the page, unchanged where none are seen.

    Args:
        image: (H, W, 3) uint8 that `geometry` maps to.
        geometry: off by less than 0.8 mm.
        box_mm: left, top, right, bottom of the part.
    """
    if geometry.px_per_mm() < LEAST_PX_PER_MM:
        return geometry
    for window in _WINDOWS_MM:
        grid = flat_darkness(image, geometry, box_mm)
        if grid is None:
            return geometry
        paper = geometry.paper.copy()
        place = (geometry.paper - np.array(box_mm[:2])).astype(np.float32) - 0.5
        for axis in (0, 1):
            ahead = _displacement(grid if axis == 0 else grid.T, box_mm[axis], window)
            if ahead is None:
                continue
            ahead = ahead if axis == 0 else np.ascontiguousarray(ahead.T)
            paper[..., axis] -= cv2.remap(
                ahead, place[..., 0], place[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
        geometry = replace(geometry, paper=paper)
    return geometry


def flat_darkness(image: np.ndarray, geometry: PageGeometry, box_mm: Box) -> np.ndarray | None:
    """Darkness of the part on a raster of paper millimetres, without the ink of the traces where that tells apart."""
    flat = flat_raster(image, geometry, box_mm)
    if flat is None:
        return None
    dark = darkness(flat.min(axis=2))
    ink = darkness(flat.max(axis=2)) > _INK
    if ink.mean() < 0.08:
        dark[cv2.dilate(ink.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0] = 0.0
    limit = max(float(np.percentile(np.abs(dark[::3, ::3]), 97)), 1e-3)
    return np.clip(dark, -limit, limit)


def flat_raster(image: np.ndarray, geometry: PageGeometry, box_mm: Box) -> np.ndarray | None:
    """(rows, columns, 3) part of the page at `RASTER_PX_PER_MM`; None where the part is of no sensible size."""
    left, top, right, bottom = box_mm
    width, height = (int(np.ceil(side)) * RASTER_PX_PER_MM for side in (right - left, bottom - top))
    if min(width, height) < 20 * RASTER_PX_PER_MM or max(width, height) > 600 * RASTER_PX_PER_MM:
        return None
    y, x = np.mgrid[0 : height // _NODE + 2, 0 : width // _NODE + 2].astype(np.float64) * _NODE
    nodes = np.stack([left + (x + 0.5) / RASTER_PX_PER_MM, top + (y + 0.5) / RASTER_PX_PER_MM], -1)
    pixels = geometry.image_of(nodes.reshape(-1, 2)).reshape(nodes.shape).astype(np.float32)
    grow = np.array([[_NODE, 0, 0], [0, _NODE, 0]], np.float64)
    source = cv2.warpAffine(pixels, grow, (width, height), flags=cv2.INTER_LINEAR)
    return cv2.remap(image, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]


def darkness(grey: np.ndarray) -> np.ndarray:
    """How much darker than its surroundings, as a share of their brightness."""
    values = grey.astype(np.float32)
    around = cv2.blur(values, (4 * RASTER_PX_PER_MM + 1,) * 2)
    return (around - values) / np.maximum(around, 16.0)


def _demodulated(grid: np.ndarray, harmonics: np.ndarray, start_mm: float, window_mm: float) -> np.ndarray:
    """(harmonics, rows, columns) complex amplitude along the columns in a window around every square millimetre."""
    rows, columns = (side // RASTER_PX_PER_MM for side in grid.shape)
    thin = grid.reshape(rows, RASTER_PX_PER_MM, columns, RASTER_PX_PER_MM).mean(1)
    along = start_mm + (np.arange(columns * RASTER_PX_PER_MM) + 0.5) / RASTER_PX_PER_MM
    wave = np.exp(-2j * np.pi / GRID_MM * harmonics[:, None] * along).astype(np.complex64)
    found = np.einsum("rck,hck->hrc", thin, wave.reshape(len(harmonics), columns, RASTER_PX_PER_MM))
    return np.stack([_blurred(part.real, window_mm) + 1j * _blurred(part.imag, window_mm) for part in found])


def _blurred(field: np.ndarray, width_mm: float) -> np.ndarray:
    return cv2.GaussianBlur(np.ascontiguousarray(field, np.float32), (0, 0), width_mm, borderType=cv2.BORDER_REFLECT)


def _displacement(grid: np.ndarray, start_mm: float, window_mm: float) -> np.ndarray | None:
    """(rows, columns) millimetres along the columns that the map is ahead of the grid; None without a grid."""
    found = _demodulated(grid, HARMONICS, start_mm, window_mm)
    between = _demodulated(grid, np.append(HARMONICS - 0.5, HARMONICS[-1] + 0.5), start_mm, window_mm)
    power = np.stack([_blurred(np.abs(part) ** 2, _WIDE_MM) for part in between])
    noise = np.maximum((power[1:] + power[:-1]) / 2, 1e-12)
    clear = np.median(noise, axis=(1, 2), keepdims=True)
    pattern = (found / (noise + clear)).sum((1, 2), keepdims=True) / (1 / (noise + clear)).sum((1, 2), keepdims=True)
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
    near = _blurred(trust, window_mm / 2)
    wide = _blurred(trust * shift, _WIDE_MM) / (_blurred(trust, _WIDE_MM) + 0.02)
    return ((_blurred(trust * shift, window_mm / 2) + 0.1 * wide) / (near + 0.1)).astype(np.float32)
