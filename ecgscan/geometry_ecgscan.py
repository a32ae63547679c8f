"""From the phase of the printed grid to millimetres on paper: unwrapping and a smooth map, in both directions."""

from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np

from .pitch_ecgscan import at_pitch, pitch_ratio, turning_as

GRID_MM = 5.0
CELL_PX = 4  # picture pixels per cell of the locator's maps
_NEAR_CELLS = 11  # a neighbourhood over which the slope of the phase is measured
# of the correction that spreads: passes, price of bending and of leaning, share of the picture it must start from
_SPREADS, _CORRECTION_BENDS, _CORRECTION_LEANS, _LEAST_HELD = 15, 3e-3, 1e-4, 0.03
# spacings of the nodes, as shares of the usual one, that are tried where a share of a clear grid is missed, that is by
# so many turns; a finer one must miss clearly less
_FINER, _CLEAR_GRID, _MISSED, _FOLLOWED, _CLEARLY = (2 / 3, 1 / 2, 3 / 8), 0.6, 0.02, 0.12, 0.7
_CREASE_CELLS = (8.0, 5.0)
_GRID_SEEN = 0.5  # amplitude that a quarter of the cells must reach to count as showing the grid


@lru_cache(maxsize=16)
def spline_basis(cells: int, spacing: float) -> np.ndarray:
    """(cells, nodes) cubic B-spline basis sampled at the cell centres, nodes `spacing` cells apart."""
    from scipy.interpolate import BSpline

    intervals = max(1, round((cells - 1) / spacing))
    step = (cells - 1) / intervals
    knots = (np.arange(-3, intervals + 4)) * step
    return BSpline.design_matrix(np.clip(np.arange(cells, dtype=float), 0, cells - 1 - 1e-9), knots, 3).toarray()


@lru_cache(maxsize=16)
def _roughness(nodes: int) -> np.ndarray:
    second = np.diff(np.eye(nodes), 2, axis=0)
    return second.T @ second


@lru_cache(maxsize=16)
def _slant(nodes: int) -> np.ndarray:
    first = np.diff(np.eye(nodes), axis=0)
    return first.T @ first


class _SplineFit:
    """Weighted least squares of a tensor-product spline on a map of cells, from values and from differences."""

    def __init__(self, shape: tuple[int, int], spacing: float) -> None:
        self.rows, self.columns = spline_basis(shape[0], spacing), spline_basis(shape[1], spacing)
        self.size = (self.rows.shape[1], self.columns.shape[1])

    def normal(
        self, rows: np.ndarray, columns: np.ndarray, weight: np.ndarray, target: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Normal matrix and right side of sum w (rows c columns' - target)^2 over the cells."""
        n, m = self.size
        outer_rows = (rows[:, :, None] * rows[:, None, :]).reshape(len(rows), n * n)
        outer_columns = (columns[:, :, None] * columns[:, None, :]).reshape(len(columns), m * m)
        matrix = (outer_rows.T @ weight @ outer_columns).reshape(n, n, m, m)
        side = rows.T @ (weight * target) @ columns
        return matrix.transpose(0, 2, 1, 3).reshape(n * m, n * m), side.ravel()

    def smoothness(self) -> np.ndarray:
        n, m = self.size
        return np.kron(_roughness(n), np.eye(m)) + np.kron(np.eye(n), _roughness(m))

    def steadiness(self) -> np.ndarray:
        n, m = self.size
        return np.kron(_slant(n), np.eye(m)) + np.kron(np.eye(n), _slant(m))

    def solve(self, matrix: np.ndarray, side: np.ndarray) -> np.ndarray:
        from scipy.linalg import cho_factor, cho_solve

        ridge = 1e-9 * np.trace(matrix) / len(matrix)
        factor = cho_factor(matrix + ridge * np.eye(len(matrix)), check_finite=False)
        return cho_solve(factor, side, check_finite=False).reshape(self.size)

    def values(self, nodes: np.ndarray) -> np.ndarray:
        return self.rows @ nodes @ self.columns.T


def _wrap(cycles: np.ndarray) -> np.ndarray:
    return cycles - np.round(cycles)


def _measured_slope(phase: np.ndarray, amplitude: np.ndarray, axis: int, predicted: np.ndarray) -> np.ndarray:
    """Cycles per cell along an axis (0: columns, 1: rows): measured over a neighbourhood where its cells agree."""
    from scipy.ndimage import uniform_filter

    turned = amplitude * np.exp(2j * np.pi * phase)
    ahead, behind = (turned[:, 1:], turned[:, :-1]) if axis == 0 else (turned[1:], turned[:-1])
    # relative to the prediction, so that a neighbourhood may be curved
    relative = ahead * np.conj(behind) * np.exp(-2j * np.pi * predicted)
    mean = uniform_filter(relative.real, _NEAR_CELLS) + 1j * uniform_filter(relative.imag, _NEAR_CELLS)
    size = uniform_filter(np.abs(relative), _NEAR_CELLS)
    agree = np.abs(mean) / np.maximum(size, 1e-6)
    trust = np.clip(3.0 * (agree - 0.4), 0.0, 1.0) * np.clip(size / 0.1, 0.0, 1.0)
    return predicted + trust * np.angle(mean) / (2 * np.pi)


def unwrap(
    phase: np.ndarray, amplitude: np.ndarray, slope: np.ndarray, slope_weight: np.ndarray, spacing: float
) -> tuple[np.ndarray, np.ndarray]:
    """Unwrap one grid direction into a smooth map.

    Gradients of the wrapped phase, taken as the whole number of turns that fits the predicted slope best,
    are integrated by least squares; the smooth map is then pulled onto the phase itself.

    Args:
        phase: (rows, columns) in cycles of the 5 mm grid, wrapped.
        amplitude: (rows, columns) 0 to 1, how visible the grid is.
        slope: (2, rows, columns) predicted cycles per cell along columns and along rows.
        slope_weight: (rows, columns) trust in the slope, also where no grid is visible.
        spacing: cells between spline nodes.

    Returns:
        (rows, columns) map in cycles, and the residual of the phase (cycles, 0.25 rms when meaningless).
    """
    fit = _SplineFit(phase.shape, spacing)
    strong = amplitude**2
    matrix = 1e-3 * fit.smoothness() * max(strong.sum(), slope_weight.sum()) / np.prod(fit.size)
    side = np.zeros(int(np.prod(fit.size)))
    for axis in (0, 1):
        expected = 0.5 * (
            np.take(slope[axis], np.arange(1, phase.shape[1 - axis]), 1 - axis)
            + np.take(slope[axis], np.arange(phase.shape[1 - axis] - 1), 1 - axis)
        )
        step = np.diff(phase, axis=1 - axis)
        expected = _measured_slope(phase, amplitude, axis, expected)
        both = np.minimum(
            np.take(strong, np.arange(1, phase.shape[1 - axis]), 1 - axis),
            np.take(strong, np.arange(phase.shape[1 - axis] - 1), 1 - axis),
        )
        trust = np.take(slope_weight, np.arange(1, phase.shape[1 - axis]), 1 - axis)
        off = _wrap(step - expected)
        # a step that needs most of half a turn beyond the expected slope is as likely a slip
        measured = both * np.clip(1.5 - 5 * np.abs(off), 0.02, 1.0)
        weight = measured + 0.03 * trust
        target = expected + off * measured / np.maximum(weight, 1e-9)
        rows, columns = (
            (fit.rows, np.diff(fit.columns, axis=0)) if axis == 0 else (np.diff(fit.rows, axis=0), fit.columns)
        )
        part, right = fit.normal(rows, columns, weight, target)
        matrix += part
        side += right
    nodes = fit.solve(matrix, side)
    return _pull(fit, nodes, phase, strong, spacing)


def _pull(
    fit: _SplineFit, nodes: np.ndarray, phase: np.ndarray, strong: np.ndarray, spacing: float
) -> tuple[np.ndarray, np.ndarray]:
    """Move the unwrapped map onto the phase, robustly."""
    surface = fit.values(nodes)
    offset = np.angle((strong * np.exp(2j * np.pi * (phase - surface))).sum()) / (2 * np.pi)
    fine = _SplineFit(phase.shape, spacing)
    surface = _spread(fine, surface + offset, phase, strong)
    smooth = fine.smoothness() * strong.sum() / np.prod(fine.size)
    for stiffness, width in ((3e-3, 0.15), (1e-3, 0.08), (1e-3, 0.06)):
        residual = _wrap(phase - surface)
        weight = strong / (1 + (residual / width) ** 2) + 1e-6
        matrix, side = fine.normal(fine.rows, fine.columns, weight, residual)
        surface = surface + fine.values(fine.solve(matrix + stiffness * smooth, side))
    return surface, _wrap(phase - surface)


def _unwrapped_finely(
    phase: np.ndarray, amplitude: np.ndarray, slope: np.ndarray, slope_weight: np.ndarray, spacing: float
) -> tuple[np.ndarray, np.ndarray]:
    """As `unwrap`, with nodes as near to one another as the creases of the page need."""
    surface, residual = unwrap(phase, amplitude, slope, slope_weight, spacing)
    missed = _missed(residual, amplitude)
    clear = (amplitude**2).sum() > _CLEAR_GRID * amplitude.sum()
    for share in _FINER if clear and missed > _MISSED else ():
        other, _ = unwrap(phase, amplitude, slope, slope_weight, share * spacing)
        other = _creased(other, phase, amplitude**2)
        off = _wrap(phase - other)
        if _missed(off, amplitude) < _CLEARLY * missed:
            surface, residual, missed = other, off, _missed(off, amplitude)
    return surface, residual


def _followed(
    turned: np.ndarray, slope: np.ndarray, paper: np.ndarray, spacing: float, blind_spacing: float
) -> tuple[np.ndarray, np.ndarray]:
    """One grid direction unwrapped, nodes as near as the grid is seen; as `unwrap` returns it."""
    amplitude, phase = np.abs(turned), np.angle(turned) / (2 * np.pi)
    nodes = spacing if np.percentile(amplitude, 75) > _GRID_SEEN else blind_spacing
    follow = _unwrapped_finely if nodes == spacing else unwrap
    return follow(phase, amplitude, slope, 0.05 + paper, nodes)


def _at_own_pitch(
    turned: np.ndarray, slopes: np.ndarray, paper: np.ndarray, spacing: float, blind_spacing: float
) -> tuple[np.ndarray, np.ndarray]:
    """Phases without what turns otherwise than a first map of them does, and that map's slopes."""
    surfaces = [
        _followed(at_pitch(phase, slope), slope, paper, spacing, blind_spacing)[0]
        for phase, slope in zip(turned, slopes, strict=True)
    ]
    phases = [turning_as(surface, phase) for surface, phase in zip(surfaces, turned, strict=True)]
    return np.stack(phases), np.stack([np.gradient(surface)[::-1] for surface in surfaces])


def _missed(residual: np.ndarray, amplitude: np.ndarray) -> float:
    """Share of the grid that the map does not follow."""
    return float((amplitude**2 * (np.abs(residual) > _FOLLOWED)).sum() / max((amplitude**2).sum(), 1e-6))


def _creased(surface: np.ndarray, phase: np.ndarray, strong: np.ndarray) -> np.ndarray:
    """The map moved where the cells of a neighbourhood agree that it is off: creases are sharper than the nodes."""
    for width in _CREASE_CELLS:
        turned = strong * np.exp(2j * np.pi * (phase - surface))
        mean = _smoothed(turned.real, width) + 1j * _smoothed(turned.imag, width)
        size = _smoothed(strong, width)
        agree = np.abs(mean) / np.maximum(size, 1e-6)
        trust = np.clip(5.0 * (agree - 0.6), 0.0, 1.0) * np.clip((size - 0.12) / 0.15, 0.0, 1.0)
        off = np.angle(mean) / (2 * np.pi)
        surface = surface + _smoothed(trust * size * off, width) / (_smoothed(trust * size, width) + 0.02)
    return surface


def _smoothed(values: np.ndarray, width: float) -> np.ndarray:
    return cv2.GaussianBlur(np.ascontiguousarray(values, np.float32), (0, 0), width)


def _spread(fine: _SplineFit, start: np.ndarray, phase: np.ndarray, strong: np.ndarray) -> np.ndarray:
    """The map corrected from the part of the page where it follows the phase outwards, so that no turn is lost.

    A map off by more than half a turn would be pulled onto the wrong line. The correction found where map and phase
    agree goes on smoothly beyond, which brings the neighbourhood within half a turn, and so on.
    """
    surface, held = start, np.zeros(phase.shape, bool)
    shape = fine.smoothness() * _CORRECTION_BENDS + fine.steadiness() * _CORRECTION_LEANS
    size = cv2.blur(strong, (_NEAR_CELLS, _NEAR_CELLS))
    for _ in range(_SPREADS):
        turned = strong * np.exp(2j * np.pi * (phase - surface))
        mean = cv2.blur(turned.real, (_NEAR_CELLS, _NEAR_CELLS)) + 1j * cv2.blur(turned.imag, (_NEAR_CELLS,) * 2)
        agree = np.abs(mean) / np.maximum(size, 1e-6)
        clear = (agree > 0.7) & (size > 0.02)
        near = clear & (np.abs(np.angle(mean)) < 0.4 * np.pi)
        count, parts = cv2.connectedComponents(near.astype(np.uint8), connectivity=4)
        # the part held before goes on growing; at first it is the one that shows most of the grid
        worth = strong * held if (near & held).any() else strong
        shares = np.bincount(parts.ravel(), worth.ravel(), count)[1:]
        held = parts == 1 + int(shares.argmax()) if count > 1 else np.zeros_like(held)
        if held.mean() < _LEAST_HELD:
            return start
        residual = _wrap(phase - surface)
        weight = agree * held / (1 + (residual / 0.15) ** 2)
        matrix, side = fine.normal(fine.rows, fine.columns, weight, surface - start + residual)
        nodes = fine.solve(matrix + shape * weight.sum() / np.prod(fine.size), side)
        surface = start + fine.values(nodes)
        if held.sum() > 0.98 * clear.sum():
            break
    return surface


@dataclass
class PageGeometry:
    """Map between picture cells and paper.

    Attributes:
        paper: (rows, columns, 2) millimetres at the cell centres; the origin is arbitrary, axes lie along the grid.
        amplitude: (rows, columns) visibility of the grid, the weaker of both directions.
        residual_mm: median distance of the grid lines from the map where the grid is visible.
        to_image: (2, 3) affine map from picture pixels to image pixels.
        met: share of the rows' part of the page whose printed lines are where the map has them; 0 where none are.
    """

    paper: np.ndarray
    amplitude: np.ndarray
    residual_mm: float
    to_image: np.ndarray
    met: float = 0.0
    _spline: list[np.ndarray] | None = field(default=None, init=False, repr=False)

    def px_per_mm(self) -> float:
        """Image pixels per millimetre in the middle of the picture."""
        middle = self.paper[
            self.paper.shape[0] // 4 : -self.paper.shape[0] // 4, self.paper.shape[1] // 4 : -self.paper.shape[1] // 4
        ]
        across = np.median(np.diff(middle[..., 0], axis=1)) / CELL_PX
        return float(np.sqrt(abs(np.linalg.det(self.to_image[:, :2]))) / max(abs(across), 1e-6))

    def image_of(self, points_mm: np.ndarray) -> np.ndarray:
        """(N, 2) image pixels of (N, 2) paper millimetres; the map is continued linearly beyond the picture."""
        cells = self.cells_of(points_mm)
        picture = cells * CELL_PX + (CELL_PX - 1) / 2
        return picture @ self.to_image[:, :2].T + self.to_image[:, 2]

    def _coefficients(self) -> list[np.ndarray]:
        from scipy.ndimage import spline_filter

        if self._spline is None:
            self._spline = [spline_filter(self.paper[..., axis], order=3, mode="mirror") for axis in (0, 1)]
        return self._spline

    def cells_of(self, points_mm: np.ndarray) -> np.ndarray:
        """(N, 2) fractional cells of (N, 2) paper millimetres."""
        rows, columns = self.paper.shape[:2]
        grid = np.mgrid[0:rows:8, 0:columns:8].reshape(2, -1).T[:, ::-1].astype(float)
        known = self.paper[grid[:, 1].astype(int), grid[:, 0].astype(int)]
        lifted = np.concatenate([known, np.ones((len(known), 1))], axis=1)
        affine = np.linalg.lstsq(lifted, grid, rcond=None)[0]
        slope = affine[:2]
        cells = np.concatenate([points_mm, np.ones((len(points_mm), 1))], axis=1) @ affine
        for _ in range(12):
            wrong = points_mm - self.paper_at(cells)
            cells = cells + wrong @ slope
            if np.abs(wrong).max(initial=0.0) < 2e-3:
                break
        return cells

    def paper_at(self, cells: np.ndarray) -> np.ndarray:
        """(N, 2) millimetres at fractional cells, cubic inside, continued linearly outside."""
        from scipy.ndimage import map_coordinates

        rows, columns = self.paper.shape[:2]
        inside = np.clip(cells, 0, (columns - 1.0, rows - 1.0))
        values = np.stack(
            [
                map_coordinates(part, inside.T[::-1], order=3, prefilter=False, mode="mirror")
                for part in self._coefficients()
            ],
            1,
        )
        beyond = cells - inside
        if not beyond.any():
            return values
        edge_x = np.median(np.diff(self.paper, axis=1), axis=(0, 1))
        edge_y = np.median(np.diff(self.paper, axis=0), axis=(0, 1))
        return values + beyond[:, :1] * edge_x + beyond[:, 1:] * edge_y


def fit_geometry(
    phase_maps: np.ndarray,
    jacobian: np.ndarray,
    paper: np.ndarray,
    to_image: np.ndarray,
    spacing: float,
    blind_spacing: float,
) -> PageGeometry:
    """Millimetres on paper from the locator's maps.

    Args:
        phase_maps: (4, rows, columns) sin and cos along x and along y.
        jacobian: (4, rows, columns) millimetres per picture pixel: dx/dpx, dx/dpy, dy/dpx, dy/dpy.
        paper: (rows, columns) probability of paper.
        to_image: (2, 3) affine map from picture to image pixels.
        spacing: cells between spline nodes.
        blind_spacing: the same where hardly any grid is seen, and only slopes tell the way.
    """
    sines, cosines = phase_maps[0::2], phase_maps[1::2]
    turned = np.clip(np.hypot(sines, cosines), 0, 1) * paper * np.exp(1j * np.arctan2(sines, cosines))
    slopes = jacobian.reshape(2, 2, *paper.shape) * (CELL_PX / GRID_MM)
    ratio = pitch_ratio(turned, slopes)
    if ratio != 1.0:
        turned, slopes = _at_own_pitch(turned, ratio * slopes, paper, spacing, blind_spacing)
        blind_spacing = spacing
    surfaces, residuals = zip(
        *(_followed(phase, slope, paper, spacing, blind_spacing) for phase, slope in zip(turned, slopes, strict=True)),
        strict=True,
    )
    amplitudes = np.abs(turned)
    seen = GRID_MM * np.abs(np.stack(residuals))[amplitudes > 0.5]
    return PageGeometry(
        paper=GRID_MM * np.stack(surfaces, -1),
        amplitude=np.minimum(*amplitudes),
        residual_mm=float(np.median(seen)) if seen.size else float("nan"),
        to_image=to_image,
    )
