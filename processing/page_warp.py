"""From flat paper to the picture of it: camera, curl, folds and crumple, with the exact map kept both ways."""

from dataclasses import dataclass

import cv2
import numpy as np

STRIDE = 4  # pixels between the nodes of the map; between nodes it is bilinear, by definition


@dataclass
class Warp:
    """The map between image pixels and paper millimetres.

    Attributes:
        nodes: (rows, columns, 2) paper millimetres at image pixels (STRIDE * column, STRIDE * row).
        size: height and width of the image in pixels.
        camera: (3, 3) homography from paper millimetres to pixels, without the bending of the paper.
        shade: (rows, columns) brightness of the bent surface at the nodes, 1 where flat.
    """

    nodes: np.ndarray
    size: tuple[int, int]
    camera: np.ndarray
    shade: np.ndarray

    def to_paper(self, points_px: np.ndarray) -> np.ndarray:
        """(N, 2) paper millimetres of (N, 2) image pixels; the map is continued beyond the frame."""
        position = np.asarray(points_px, np.float64) / STRIDE
        rows, columns = self.nodes.shape[:2]
        cell = np.clip(np.floor(position), 0, (columns - 2, rows - 2)).astype(int)
        part = position - cell
        x, y = cell[:, 0], cell[:, 1]
        fx, fy = part[:, :1], part[:, 1:]
        top = self.nodes[y, x] * (1 - fx) + self.nodes[y, x + 1] * fx
        bottom = self.nodes[y + 1, x] * (1 - fx) + self.nodes[y + 1, x + 1] * fx
        return top * (1 - fy) + bottom * fy

    def to_image(self, points_mm: np.ndarray) -> np.ndarray:
        """(N, 2) image pixels of (N, 2) paper millimetres, by fixed-point iteration on the exact inverse map."""
        points = np.asarray(points_mm, np.float64)
        flat = points.copy()
        for _ in range(25):
            pixels = project(self.camera, flat)
            wrong = points - self.to_paper(pixels)
            flat = flat + wrong
            if np.abs(wrong).max(initial=0.0) < 1e-4:
                break
        return project(self.camera, flat)

    def pixel_map(self, pixels_per_mm: float) -> np.ndarray:
        """(height, width, 2) float32 pixels of the flat drawing for every image pixel."""
        pairs = _between(self.nodes * np.float32(pixels_per_mm) - np.float32(0.5))
        return pairs[: self.size[0], : self.size[1]]


def _between(values: np.ndarray) -> np.ndarray:
    """(STRIDE * (rows - 1), STRIDE * (columns - 1), 2) of node values (rows, columns, 2), bilinear between them.

    What `cv2.warpAffine` gives to the bit, in half its time.
    """
    rows, columns = values.shape[0] - 1, values.shape[1] - 1
    corners = [np.ascontiguousarray(values[y : y + rows, x : x + columns]) for y in (0, 1) for x in (0, 1)]
    result = np.empty((rows, STRIDE, columns, 2 * STRIDE), np.float32)
    for step in range(STRIDE):
        across = [_weighted(corners, place / STRIDE, step / STRIDE) for place in range(STRIDE)]
        # a pair of float32 is moved as one float64
        result[:, step] = cv2.merge([pairs.view(np.float64) for pairs in across]).view(np.float32)
    return result.reshape(STRIDE * rows, STRIDE * columns, 2)


def _weighted(corners: list[np.ndarray], x: float, y: float) -> np.ndarray:
    """Bilinear mean of upper left, upper right, lower left and lower right corners."""
    total = corners[0] * np.float32((1 - x) * (1 - y))
    for corner, weight in zip(corners[1:], (x * (1 - y), (1 - x) * y, x * y), strict=True):
        if weight:
            total += corner * np.float32(weight)
    return total


def lit(image: np.ndarray, light: np.ndarray) -> np.ndarray:
    """A picture (height, width, 3) uint8 under light (rows, columns, 3) float32 that is given at the nodes."""
    # OpenCV maps four channels twice as fast as three, to the same values
    image, light = (cv2.cvtColor(part, cv2.COLOR_RGB2RGBA) for part in (image, light))
    grow = np.array([[STRIDE, 0, 0], [0, STRIDE, 0]], np.float64)
    everywhere = cv2.warpAffine(light, grow, image.shape[1::-1], flags=cv2.INTER_LINEAR)
    shown = cv2.multiply(image, everywhere, dtype=cv2.CV_8U)
    return cv2.cvtColor(shown, cv2.COLOR_RGBA2RGB)


def seen(picture: np.ndarray, source: np.ndarray, backdrop: np.ndarray) -> np.ndarray:
    """What a map (height, width, 2) takes from a picture uint8 RGB, before a backdrop of the map's size."""
    rgba, behind = (cv2.cvtColor(part, cv2.COLOR_RGB2RGBA) for part in (picture, backdrop))
    mapped = cv2.remap(rgba, source, None, cv2.INTER_LINEAR, dst=behind, borderMode=cv2.BORDER_TRANSPARENT)  # type: ignore[call-overload]
    return cv2.cvtColor(mapped, cv2.COLOR_RGBA2RGB)


def project(homography: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N, 2) points through a (3, 3) homography."""
    lifted = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ homography.T
    return lifted[:, :2] / lifted[:, 2:]


def _flat_nodes(size: tuple[int, int], camera: np.ndarray) -> np.ndarray:
    """(rows, columns, 2) float32 paper millimetres of the nodes, were the paper flat."""
    rows, columns = -(-size[0] // STRIDE) + 1, -(-size[1] // STRIDE) + 1
    back = np.linalg.inv(camera)
    x, y = np.arange(columns) * float(STRIDE), np.arange(rows)[:, None] * float(STRIDE)
    depth = back[2, 0] * x + (back[2, 1] * y + back[2, 2])
    flat = np.empty((rows, columns, 2), np.float32)
    for axis in (0, 1):
        np.divide(
            back[axis, 0] * x + (back[axis, 1] * y + back[axis, 2]), depth, out=flat[..., axis], casting="same_kind"
        )
    return flat


def flat_warp(page_mm: tuple[float, float], pixels_per_mm: float) -> Warp:
    """The map of an undistorted page."""
    size = (round(page_mm[1] * pixels_per_mm), round(page_mm[0] * pixels_per_mm))
    camera = np.array([[pixels_per_mm, 0, -0.5], [0, pixels_per_mm, -0.5], [0, 0, 1.0]])
    return _warp(size, camera, None, None)


def _warp(size: tuple[int, int], camera: np.ndarray, bend: np.ndarray | None, shade: np.ndarray | None) -> Warp:
    flat = _flat_nodes(size, camera)
    if bend is None or shade is None:
        return Warp(flat, size, camera, np.ones(flat.shape[:2], np.float32))
    where = (flat - _ORIGIN_MM) / _CELL_MM
    moved = cv2.remap(bend, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    light = cv2.remap(shade, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return Warp(flat + moved, size, camera, light)


_CELL_MM = np.float32(2.0)
_ORIGIN_MM = np.float32(-40.0)


def _surface(rng: np.random.Generator, page_mm: tuple[float, float], kind: str) -> tuple[np.ndarray, float]:
    """Height (mm) of the paper over the table on a 2 mm mesh that starts 40 mm outside the page, and its gloss."""
    columns, rows = (int((side + 80) / 2) + 1 for side in page_mm)
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32) * _CELL_MM + _ORIGIN_MM
    width, height = page_mm
    u, v = x / width - 0.5, y / height - 0.5
    surface = np.zeros_like(x)
    angle = rng.uniform(0, np.pi)
    along = u * np.cos(angle) + v * np.sin(angle)
    surface += rng.normal(0, 10) * along**2 + rng.normal(0, 5) * np.cos(along * rng.uniform(2, 7) + rng.uniform(0, 6))
    if kind in ("folded", "crumpled"):
        for _ in range(int(rng.integers(1, 4))):
            across = u if rng.random() < 0.5 else v
            across = across + rng.normal(0, 0.05) * (v if across is u else u)
            distance = np.abs(across - rng.uniform(-0.3, 0.3))
            surface += rng.choice([-1, 1]) * rng.uniform(1, 9) * np.exp(-distance * rng.uniform(2, 12))
    if kind == "crumpled":
        strength = rng.uniform(0.3, 1.9)
        for count, size in ((10, 5.0), (40, 2.6), (140, 0.9)):
            surface += strength * size * _facets(rng, count, x, y, page_mm)
    return surface, float(rng.uniform(0.5, 1.6))


def _facets(
    rng: np.random.Generator, count: int, x: np.ndarray, y: np.ndarray, page_mm: tuple[float, float]
) -> np.ndarray:
    """A surface of flat facets between random corners."""
    from scipy.interpolate import LinearNDInterpolator

    low, high = np.array([-60.0, -60.0]), np.array(page_mm) + 60.0
    corners = np.concatenate(
        [
            rng.uniform(low, high, (count, 2)),
            [[low[0], low[1]], [low[0], high[1]], [high[0], low[1]], [high[0], high[1]]],
        ]
    )
    heights = rng.normal(0, 1, len(corners)) * (rng.random(len(corners)) < 0.7)
    return LinearNDInterpolator(corners, heights, fill_value=0.0)(x, y).astype(np.float32)


def _camera(
    rng: np.random.Generator, page_mm: tuple[float, float], turn_deg: float, tilt_deg: float, pixels_per_mm: float
) -> tuple[np.ndarray, float]:
    """Homography from paper to a plane in pixels, not yet placed in a frame, and the distance in page widths."""
    tilt = np.deg2rad(rng.normal(0, 1, 2) * tilt_deg / 2)
    turn = np.deg2rad(turn_deg)
    distance = float(rng.uniform(1.1, 2.5))
    centre = np.array(page_mm) / 2
    reach = distance * max(page_mm)
    ca, sa, cb, sb, ct, st = (
        np.cos(tilt[0]),
        np.sin(tilt[0]),
        np.cos(tilt[1]),
        np.sin(tilt[1]),
        np.cos(turn),
        np.sin(turn),
    )
    rotation = (
        np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
        @ np.array([[1, 0, 0], [0, ca, -sa], [0, sa, ca]])
        @ np.array([[ct, -st, 0], [st, ct, 0], [0, 0, 1.0]])
    )
    corners = np.array([[0, 0], [page_mm[0], 0], [page_mm[0], page_mm[1]], [0, page_mm[1]]], np.float64)
    placed = np.concatenate([corners - centre, np.zeros((4, 1))], axis=1) @ rotation.T
    seen = placed[:, :2] * (reach / (reach + placed[:, 2:])) * pixels_per_mm
    return cv2.getPerspectiveTransform(corners.astype(np.float32), seen.astype(np.float32)).astype(np.float64), distance


def _frame(
    rng: np.random.Generator,
    camera: np.ndarray,
    page_mm: tuple[float, float],
    keep_mm: np.ndarray,
    crop: float,
    margin: float,
) -> tuple[np.ndarray, tuple[int, int]]:
    """Place the seen page in a picture: a margin of table around it, or cropped down to what must stay."""
    width, height = page_mm
    page = project(camera, np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64))
    keep = project(camera, keep_mm)
    low, high = page.min(0), page.max(0)
    span = high - low
    for axis in (0, 1):
        for edge, sign, inner in ((low, -1, keep[:, axis].min()), (high, 1, keep[:, axis].max())):
            if rng.random() < crop:
                edge[axis] += rng.uniform(0, 1) * (inner - edge[axis])
            else:
                edge[axis] += sign * span[axis] * margin * rng.uniform(0, 1) ** 2
    size = (int(np.clip(high[1] - low[1], 64, 6000)), int(np.clip(high[0] - low[0], 64, 6000)))
    return np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1.0]]) @ camera, size


def sample_warp(
    rng: np.random.Generator,
    page_mm: tuple[float, float],
    keep_mm: np.ndarray,
    *,
    condition: str,
    turn_deg: float,
    pixels_per_mm: float,
) -> Warp:
    """A random picture of a page.

    Args:
        page_mm: width and height of the paper.
        keep_mm: (N, 2) places that a crop must leave in the picture.
        condition: "scan" (flat, slightly turned) or "photo" (camera, curl, folds, crumple).
        turn_deg: rotation of the page in the picture, any angle.
        pixels_per_mm: resolution at the middle of the page.
    """
    if condition == "scan":
        camera, _ = _camera(rng, page_mm, turn_deg, 0.0, pixels_per_mm)
        stretch = np.diag([1.0, float(rng.normal(1.0, 0.004)), 1.0])
        camera, size = _frame(rng, stretch @ camera, page_mm, keep_mm, crop=0.45, margin=0.03)
        return _warp(size, camera, None, None)
    kind = str(rng.choice(["flat", "curled", "folded", "crumpled"], p=[0.2, 0.2, 0.25, 0.35]))
    camera, distance = _camera(rng, page_mm, turn_deg, float(rng.uniform(0, 24)), pixels_per_mm)
    camera, size = _frame(rng, camera, page_mm, keep_mm, crop=0.3, margin=0.3 if rng.random() < 0.7 else 0.8)
    if kind == "flat":
        return _warp(size, camera, None, None)
    surface, gloss = _surface(rng, page_mm, kind)
    rows, columns = surface.shape
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32) * _CELL_MM + _ORIGIN_MM
    reach = distance * max(page_mm)
    lean = rng.normal(0, 0.15, 2)
    slant = np.stack([(x - page_mm[0] / 2) / reach + lean[0], (y - page_mm[1] / 2) / reach + lean[1]], axis=-1)
    bend = (surface[..., None] * slant).astype(np.float32)
    light = rng.normal(0, 1, 2)
    light /= np.linalg.norm(light) + 1e-6
    slope_y, slope_x = np.gradient(surface, float(_CELL_MM))
    shade = np.clip(1.0 - gloss * (slope_x * light[0] + slope_y * light[1]), 0.55, 1.25).astype(np.float32)
    return _warp(size, camera, bend, cv2.GaussianBlur(shade, (0, 0), 0.6))
