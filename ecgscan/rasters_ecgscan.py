"""Parts of a page drawn flat, in paper millimetres, and what of them is printed grid."""

import cv2
import numpy as np

from .geometry_ecgscan import GRID_MM, PageGeometry

Box = tuple[float, float, float, float]

RASTER_PX_PER_MM = 5
HARMONICS = np.arange(2, 11)  # of the 5 mm grid; lines 1 mm apart are the fifth and the tenth
LEAST_PX_PER_MM = 1.5
_NODE = 16  # OpenCV interpolates in steps of 1/32: exact between nodes of a power of two
_INK = 0.45  # darkness in every colour, relative to the surroundings


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


def overlapping(whole: int, part: int) -> np.ndarray:
    """Where parts begin that cover the whole and overlap by half and more."""
    return np.linspace(0, whole - part, 1 + int(np.ceil((whole - part) / (part / 2)))).astype(int)


def darkness(grey: np.ndarray) -> np.ndarray:
    """How much darker than its surroundings, as a share of their brightness."""
    values = grey.astype(np.float32)
    around = cv2.blur(values, (4 * RASTER_PX_PER_MM + 1,) * 2)
    return (around - values) / np.maximum(around, 16.0)


def harmonic_cells(grid: np.ndarray, harmonics: np.ndarray, start_mm: float) -> np.ndarray:
    """(harmonics, rows, columns) complex amplitude of the grid along the columns, in every square millimetre."""
    rows, columns = (side // RASTER_PX_PER_MM for side in grid.shape)
    thin = grid.reshape(rows, RASTER_PX_PER_MM, columns, RASTER_PX_PER_MM).mean(1)
    along = start_mm + (np.arange(columns * RASTER_PX_PER_MM) + 0.5) / RASTER_PX_PER_MM
    wave = np.exp(-2j * np.pi / GRID_MM * harmonics[:, None] * along).astype(np.complex64)
    return np.einsum("rck,hck->hrc", thin, wave.reshape(len(harmonics), columns, RASTER_PX_PER_MM))


def demodulated(grid: np.ndarray, harmonics: np.ndarray, start_mm: float, window_mm: float) -> np.ndarray:
    """The same in a Gaussian window around every square millimetre."""
    cells = harmonic_cells(grid, harmonics, start_mm)
    return np.stack([blurred(part.real, window_mm) + 1j * blurred(part.imag, window_mm) for part in cells])


def blurred(field: np.ndarray, width_mm: float, height_mm: float = 0.0) -> np.ndarray:
    """A field of square millimetres averaged by a Gaussian, as high as it is wide unless told otherwise."""
    cells = np.ascontiguousarray(field, np.float32)
    return cv2.GaussianBlur(cells, (0, 0), width_mm, sigmaY=height_mm, borderType=cv2.BORDER_REFLECT)
