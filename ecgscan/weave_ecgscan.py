"""The printed grid followed over paper that is bent or seen at an angle, by the spectra of small windows.

Dots and faint lines 1 mm apart that a locator does not see are peaks in the spectra of two or three centimetres of a
page. Each window tells how many lines a millimetre there are; a smooth map on which most of them agree is the page's.
The phase of the lines, slow enough on that map to be followed, brings it onto them.
"""

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np

from .geometry_ecgscan import PageGeometry, unwrap
from .rasters_ecgscan import LEAST_PX_PER_MM, RASTER_PX_PER_MM, Box, demodulated, flat_darkness, overlapping

# ours, chosen on rendered validation pages with and without a grid: side of a window and steps between them (mm), how
# far around one line a millimetre lines are sought, at first and on the map that was found
_WINDOW_MM, _STEP_MM = 24, 10
_REACHES = (0.22, 0.16, 0.12, 0.12)
_CLEAR = 8.0  # times a peak must be stronger than the median of waves as long in other directions
_NOISE = 1.23  # median of noise's power over its geometric mean
_NODES_MM = (45.0, 25.0, 18.0, 18.0)  # between nodes of the map
_BEND = 0.003  # price of bending
_TRUSTS = (0.08, 0.04, 0.02, 0.02)  # lines a millimetre by which a window may differ, from look to look
# how near the map windows agree with it, and the share of them that must, from pass to pass
_AGREE, _SHARES = 0.03, (0.4, 0.55, 0.55, 0.55)
# a facet of crumpled paper: lines a millimetre by which it differs, and the share of the windows around, so many steps
# away, that must tell the same
_FACET, _MOST, _AROUND = 0.08, 0.75, 1.6
_PHASE_MM, _CELL_MM = 4.0, 2  # window in which the lines' phase is measured, and where
_LINES, _BETWEEN = 5.0, (4.5, 5.5)  # waves in 5 mm: the lines', and what is noise beside them
# ours: scales that are thought possible, how slanted lines may be then and how alike those of most windows must be, and
# share of the windows, along x and along y, that must show them
_SCALES = np.exp(np.arange(-40, 29) * 0.02)
_OCTAVE = 35  # steps between a scale and twice that
_SLANT, _ALIKE, _LIKELY, _FUNDAMENTAL = 0.25, 0.08, 0.3, 0.15
# ours: which harmonic of lines 5 mm apart the one a millimetre is, and may be instead; how clear their comb must be at
# least, times how much clearer than the fifth's, or what share of it
_FIFTH, _OTHERS, _TENTH = 5, (4, 6, 8), 10
_CLEAR_COMB, _CLEARER, _CLEAR_TENTH, _COMPLETE = 1.0, 2.0, 0.6, 0.85
_COMB_MM, _BAND_MM, _LONGEST = 60, 40, 0.15  # parts and bands of the page (mm), and least lines a millimetre
_SEEN = 3.0  # times the noise from which a phase counts fully
_PHASE_NODES = 6.0  # cells


def on_weave(image: np.ndarray, geometry: PageGeometry, box_mm: Box) -> PageGeometry | None:
    """The geometry with lines 1 mm apart along x and along y everywhere; None where they are not clear.

    Args:
        image: (H, W, 3) uint8 that `geometry` maps to.
        geometry: within 20 per cent of the true scale in all parts of the page, and as near to the true direction.
        box_mm: left, top, right, bottom of the part of the page that counts.
    """
    if geometry.px_per_mm() < LEAST_PX_PER_MM:
        return None
    for reach, share, node_mm in zip(_REACHES, _SHARES, _NODES_MM, strict=True):
        grid = flat_darkness(image, geometry, box_mm)
        if grid is None:
            return None
        places, lines = _counted(grid, reach)
        fields = [_agreed(places, lines[:, axis], _Field(grid.shape, node_mm), axis, share) for axis in (0, 1)]
        # copies may lose the lines of one direction
        along = fields[0] or (fields[1] and _turned(fields[1], grid.shape, node_mm, -1.0))
        across = fields[1] or (fields[0] and _turned(fields[0], grid.shape, node_mm, 1.0))
        if along is None or across is None:
            return None
        geometry, box_mm = _carried(geometry, box_mm, [along, across])
    grid = flat_darkness(image, geometry, box_mm)
    if grid is None:
        return None
    paper, off_mm = _on_lines(grid, geometry.paper, box_mm)
    return replace(geometry, paper=paper, residual_mm=off_mm)


def likely_scale(image: np.ndarray, geometry: PageGeometry, box_mm: Box) -> float:
    """How many lines a millimetre most of the page shows along x and along y, 1 where that is not clear.

    Args:
        image, geometry, box_mm: as for `on_weave`, but of any scale; on a map by which the page is more than a tenth
            too large, dots may show twice their number.
    """
    grid = flat_darkness(image, geometry, box_mm) if geometry.px_per_mm() >= LEAST_PX_PER_MM else None
    windows = [] if grid is None else list(_windows(grid, 2 * _STEP_MM))
    if not windows:
        return 1.0
    waves = np.fft.fftfreq(len(windows[0][1])) * RASTER_PX_PER_MM
    within = (waves > _SCALES[0]) & (waves < _SCALES[-1]) & (np.abs(waves[:, None]) < _SLANT * waves)
    shares = np.ones(len(_SCALES))
    for axis in (0, 1):
        powers = [np.where(within, power if axis == 0 else power.T, 0.0) for _, power in windows]
        strongest = np.array([np.unravel_index(int(power.argmax()), power.shape) for power in powers])
        clear = np.array([power.max() > _CLEAR for power in powers])
        lines = np.maximum(np.hypot(*waves[strongest.T]), 1e-6)
        shares *= (clear & (np.abs(np.log(lines / _SCALES[:, None])) < _ALIKE)).mean(1)
    best = int(shares.argmax())
    half = best - _OCTAVE
    if half >= 0 and shares[half] > _FUNDAMENTAL**2:
        return float(_SCALES[half])  # dots may show twice their number more clearly
    return float(_SCALES[best]) if shares[best] > _LIKELY**2 else 1.0


def true_pitch(image: np.ndarray, geometry: PageGeometry, box_mm: Box) -> float:
    """How many millimetres what was taken for one is: other harmonics of clear lines 5 mm apart look like it.

    Args:
        image, geometry, box_mm: as for `on_weave`, of the map that it returned.
    """
    grid = flat_darkness(image, geometry, box_mm)
    if grid is None:
        return 1.0
    spectra = [_spectrum(field) for field in (grid, grid.T)]
    fifth, *others, tenth = (min(_comb(*shown, taken) for shown in spectra) for taken in (_FIFTH, *_OTHERS, _TENTH))
    best = int(np.argmax(others))
    if others[best] > max(_CLEAR_COMB, _CLEARER * fifth):
        return _FIFTH / _OTHERS[best]
    # of the lines of a tenth, those of a fifth are every other one
    return _FIFTH / _TENTH if tenth > max(_CLEAR_TENTH, _COMPLETE * fifth) else 1.0


def _spectrum(grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lines a millimetre along the columns, and how clear they are: the logarithm of their power beside others'."""
    length = min(_COMB_MM * RASTER_PX_PER_MM, grid.shape[1])
    waves = np.fft.rfftfreq(4 * length, 1 / RASTER_PX_PER_MM)
    around = 2 * round(0.2 / waves[1]) + 1
    rows = grid.shape[0] // (_BAND_MM * RASTER_PX_PER_MM) or 1
    bands = np.stack([band.mean(0) for band in np.array_split(grid, rows * _BAND_MM)])
    parts = [bands[:, left : left + length] * np.hanning(length) for left in overlapping(grid.shape[1], length)]
    power = np.stack([(np.abs(np.fft.rfft(part, 4 * length)) ** 2).mean(0) for part in parts]).astype(np.float32)
    beside = np.maximum(cv2.blur(power, (around, 1)), 1e-12)
    return waves, np.log1p(np.maximum(power / beside - 1.0, 0.0)).mean(0)


def _comb(waves: np.ndarray, clear: np.ndarray, taken: int) -> float:
    """How clear lines are, on average, of which the one a millimetre would be that harmonic."""
    lines = np.arange(1, int(1.2 * taken) + 1) / taken
    near = lines[lines > _LONGEST][:, None] + np.array([-0.01, 0.0, 0.01])
    return float(np.interp(near, waves, clear).max(1).mean())


def _windows(grid: np.ndarray, step_mm: float) -> Iterator[tuple[tuple[float, float], np.ndarray]]:
    """Middles (mm) of windows and their spectra, (rows, columns) power beside what is usual for waves as long."""
    side = _WINDOW_MM * RASTER_PX_PER_MM
    if min(grid.shape) <= side:
        return
    tops, lefts = (
        np.linspace(0, whole - side, 1 + int(np.ceil((whole - side) / (step_mm * RASTER_PX_PER_MM)))).astype(int)
        for whole in grid.shape
    )
    taper = np.outer(np.hanning(side), np.hanning(side)).astype(np.float32)
    rings = _rings(side)
    for top in tops:
        for left in lefts:
            power = np.abs(np.fft.fft2(grid[top : top + side, left : left + side] * taper)) ** 2
            middle = (left + side / 2) / RASTER_PX_PER_MM, (top + side / 2) / RASTER_PX_PER_MM
            yield middle, power / _usual(power, rings)


def _counted(grid: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """(windows, 2) middles (mm) and (windows, 2, 2) lines a millimetre, of those that follow one another along x and
    along y: to the right, and down; NaN where they are not clear."""
    windows = list(_windows(grid, _STEP_MM))
    places = np.array([middle for middle, _ in windows]).reshape(-1, 2)
    lines = np.array([(_line(power, reach), _line(power.T, reach)[::-1]) for _, power in windows]).reshape(-1, 2, 2)
    return places, lines


def _rings(side: int) -> np.ndarray:
    """(side, side) number of the ring that a wave's length puts it in."""
    waves = np.fft.fftfreq(side) * side
    return (np.hypot(waves[:, None], waves) / 2).astype(int)


def _usual(power: np.ndarray, rings: np.ndarray) -> np.ndarray:
    """Power that is usual for waves of a length, in all directions: its geometric mean, which peaks hardly raise."""
    logs = np.bincount(rings.ravel(), np.log(power + 1e-12).ravel()) / np.bincount(rings.ravel())
    return _NOISE * np.exp(logs)[rings]


def _line(power: np.ndarray, reach: float) -> np.ndarray:
    """(2,) lines a millimetre along the columns and along the rows near one and none, NaN where none are clear."""
    side = len(power)
    middle, off = round(side / RASTER_PX_PER_MM), max(2, round(reach * side / RASTER_PX_PER_MM))
    near = np.roll(power, off, axis=0)[: 2 * off + 1, middle - off : middle + off + 1]
    row, column = np.unravel_index(int(near.argmax()), near.shape)
    inside = 0 < row < 2 * off and 0 < column < 2 * off
    if not inside or near[row, column] < _CLEAR:
        return np.full(2, np.nan)
    along = middle - off + column + _summit(near[row, column - 1 : column + 2])
    across = row - off + _summit(near[row - 1 : row + 2, column])
    return np.array([along, across]) * RASTER_PX_PER_MM / side


def _summit(power: np.ndarray) -> float:
    """Place of a peak between the middle one of three neighbours and the others."""
    before, middle, after = np.log(power)
    return float(0.5 * (before - after) / (before - 2 * middle + after))


class _Field:
    """A smooth function over the part of the page, on a lattice of cubic splines, in raster millimetres."""

    def __init__(self, shape: tuple[int, int], node_mm: float) -> None:
        self.size = np.array(shape[::-1]) / RASTER_PX_PER_MM
        self.counts = np.maximum(np.round(self.size / node_mm).astype(int), 1)
        self.weights = np.zeros(int(np.prod(self.counts + 3)))
        self.fine = node_mm < _NODES_MM[0]

    def terms(self, places: np.ndarray) -> np.ndarray:
        """(n, nodes) of (n, 2) places."""
        x, y = (self._along(places[:, axis], axis) for axis in (0, 1))
        return (y[:, :, None] * x[:, None, :]).reshape(len(places), -1)

    def _along(self, at: np.ndarray, axis: int) -> np.ndarray:
        from scipy.interpolate import BSpline

        step = self.size[axis] / self.counts[axis]
        knots = np.arange(-3, self.counts[axis] + 4) * step
        return BSpline.design_matrix(np.clip(at, 0.0, self.size[axis] - 1e-6), knots, 3).toarray()

    def bends(self) -> np.ndarray:
        """(differences, nodes) second differences in both directions."""
        m, n = self.counts + 3
        second = [np.diff(np.eye(count), 2, axis=0) for count in (m, n)]
        return np.concatenate([np.kron(np.eye(n), second[0]), np.kron(second[1], np.eye(m))])

    def values(self, places: np.ndarray) -> np.ndarray:
        """(n,) at (n, 2) places; straight on beyond the edges."""
        near = np.clip(places, 0.5, self.size - 0.5)
        total = self.terms(near) @ self.weights
        beyond = places - near
        outside = np.flatnonzero(beyond.any(1))
        for axis in (0, 1):
            aside = np.eye(2)[axis] * 0.5
            slope = (self.terms(near[outside] + aside) - self.terms(near[outside] - aside)) @ self.weights
            total[outside] += slope * beyond[outside, axis]
        return total


def _agreed(places: np.ndarray, lines: np.ndarray, field: _Field, axis: int, share: float) -> _Field | None:
    """How far the page's lines run ahead of the raster's (mm) where most windows agree; None where they do not."""
    clear = np.isfinite(lines[:, 0])
    if not len(clear) or clear.mean() < share:
        return None
    told = (lines[clear] - np.eye(2)[axis]).T.ravel()
    slopes = np.concatenate(
        [field.terms(places[clear] + aside) - field.terms(places[clear] - aside) for aside in 0.5 * np.eye(2)]
    )
    bends = _BEND * field.bends() * np.sqrt(len(told) / len(field.weights))
    facet = _like_neighbours(places[clear], lines[clear]) if field.fine else np.zeros(int(clear.sum()), bool)
    trust = np.ones(len(told))
    for width in _TRUSTS:
        terms = np.concatenate([slopes * trust[:, None], bends])
        field.weights = np.linalg.lstsq(terms, np.concatenate([told * trust, np.zeros(len(bends))]), rcond=None)[0]
        off = np.abs(slopes @ field.weights - told).reshape(2, -1).max(0)
        trust = np.tile(np.maximum(1.0 / (1.0 + (off / width) ** 2), facet & (off > _FACET)), 2)
    return field if (off < _AGREE).sum() > share * len(clear) else None


def _like_neighbours(places: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """(windows,) bool, where most of the windows around one tell the same lines."""
    near = np.abs(places[:, None] - places).max(2) < _AROUND * _STEP_MM
    same = near & (np.abs(lines[:, None] - lines).max(2) < _AGREE)
    return same.sum(1) - 1 >= np.maximum((near.sum(1) - 1) * _MOST, 1)


def _on_lines(grid: np.ndarray, paper: np.ndarray, box_mm: Box) -> tuple[np.ndarray, float]:
    """The map of the page brought onto the lines of a grid that are nearly where it has them, by their phase, and how
    far (mm) lines that are seen are from it in the median."""
    place = ((paper - np.array(box_mm[:2])) / _CELL_MM).astype(np.float32) - 0.5 / _CELL_MM
    moved, apart = paper.copy(), []
    for axis in (0, 1):
        waves = demodulated(grid if axis == 0 else grid.T, np.array([_LINES, *_BETWEEN]), box_mm[axis], _PHASE_MM)
        line, *beside = waves[:, ::_CELL_MM, ::_CELL_MM]
        noise = np.sqrt(np.mean(np.abs(beside) ** 2, axis=0)) + 1e-9
        amplitude = np.clip((np.abs(line) / noise - 1.0) / _SEEN, 0.0, 1.0)
        flat = np.zeros((2, *line.shape))
        ahead, off = unwrap(np.angle(line) / (2 * np.pi), amplitude, flat, 0.05 + flat[0], _PHASE_NODES)
        apart.append(np.abs(off)[amplitude > 0.5])
        ahead = (ahead if axis == 0 else ahead.T).astype(np.float32)
        moved[..., axis] += cv2.remap(
            ahead, place[..., 0], place[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    seen = np.concatenate(apart)
    return moved, float(np.median(seen)) if seen.size else float("nan")


def _turned(field: _Field, shape: tuple[int, int], node_mm: float, quarter: float) -> _Field:
    """The field of the other direction as a page that is flat as a whole has it: turned by a quarter."""
    low, high = np.zeros(2), field.size
    corners = field.values(np.array([low, (high[0], 0.0), (0.0, high[1]), high]))
    right = (corners[1] - corners[0] + corners[3] - corners[2]) / (2 * high[0])
    down = (corners[2] - corners[0] + corners[3] - corners[1]) / (2 * high[1])
    other = _Field(shape, node_mm)
    x, y = ((np.arange(count + 3) - 1.0) * size / count for count, size in zip(other.counts, other.size, strict=True))
    other.weights = (quarter * (right * y[:, None] - down * x)).ravel()
    return other


def _carried(geometry: PageGeometry, box_mm: Box, fields: list[_Field]) -> tuple[PageGeometry, Box]:
    """The geometry with the fields added to its millimetres, and the box around the same part of the page."""
    low = np.array(box_mm[:2])
    corners = np.array([[x, y] for x in box_mm[0::2] for y in box_mm[1::2]])

    def moved(points: np.ndarray) -> np.ndarray:
        flat = points.reshape(-1, 2)
        return (flat + np.stack([field.values(flat - low) for field in fields], 1)).reshape(points.shape)

    around = moved(corners)
    box = (*around.min(0).tolist(), *around.max(0).tolist())
    return replace(geometry, paper=moved(geometry.paper)), box
