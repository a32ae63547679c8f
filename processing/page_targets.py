"""What the locating and the reading network learn from a rendered page."""

import cv2
import numpy as np

from .leads import LEADS
from .other_traces import first_look, stroke, trace_in_tile
from .page_drawing import PrintedScale
from .renderer import Page

LOCATE_STRIDE = 4
FINEST_PX_PER_MM = 3.4  # no finer picture is ever made to locate on
SPEED_CLASSES: tuple[float, ...] = (25.0, 50.0)
GAIN_CLASSES: tuple[float, ...] = (10.0, 5.0, 20.0)
TILE_SHAPE: tuple[int, int] = (256, 608)
NAME_PATCH, NAME_PX_PER_MM, NAME_STRIDE = 160, 5, 8
SCALE_SHARE = 0.35  # ours: of the pieces of a page around a speed or a gain in words
TILE_PX_PER_MM: tuple[float, float] = (8.0, 4.5)
TILE_COLUMNS = 2  # per pixel
SECOND_LOOKS = 0.5  # ours: share of the tiles that show the traces of the other rows
_SAMPLES = 2  # a tile's row, as where strips are read: rows are wider apart than pixels
_NODE = 16
# ours: around the ends of a strip, where its presence counts for more, as the page's time axis hangs on them
_END_MM, _END_WEIGHT = 0.6, 16.0


def letterbox(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(2, 3) affine map from the pixels of a picture of `size` that holds the whole image to image pixels."""
    scale = max(image.shape[0] / size[0], image.shape[1] / size[1])
    return np.array([[scale, 0, 0.5 * scale - 0.5], [0, scale, 0.5 * scale - 0.5]])


def close_up(page: Page, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """(2, 3) affine map of a roughly upright picture that the strips fill, as a first look at a page finds it."""
    corners = np.array(
        [[s.x_mm + dx, s.baseline_mm + dy] for s in page.strips for dx in (0, s.width_mm) for dy in (-6, 6)]
    )
    pixels = page.to_image(corners)
    middle = corners.mean(0)
    step = page.to_image(np.array([middle, middle + [10, 0], middle + [0, 10]]))
    right, down = (step[1] - step[0]) / 10, (step[2] - step[0]) / 10
    angle = np.angle(complex(*right) + complex(down[1], -down[0])) + rng.normal(0, 0.04)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    along = pixels @ turn.T
    px_per_mm = float(np.sqrt(abs(right[0] * down[1] - right[1] * down[0])))
    margin = 22.0 * px_per_mm
    low = along.min(0) - margin * rng.uniform(0.5, 1.4, 2)
    high = along.max(0) + margin * rng.uniform(0.5, 1.4, 2)
    span = high - low
    scale = max(span[0] / size[1], span[1] / size[0], px_per_mm / FINEST_PX_PER_MM)
    linear = turn.T * scale
    offset = turn.T @ ((low + high) / 2 - scale * (np.array(size[::-1]) - 1) / 2)
    return np.column_stack([linear, offset])


def picture_of(image: np.ndarray, to_image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The picture of `size` that an affine map cuts out of an image; grey beyond its edge."""
    scale = 1.0 / max(float(np.sqrt(abs(np.linalg.det(to_image[:, :2])))), 1e-6)
    lifted = np.vstack([to_image, [0, 0, 1]])
    if scale < 1 / 1.15:
        small = (max(1, round(image.shape[1] * 1.15 * scale)), max(1, round(image.shape[0] * 1.15 * scale)))
        sx, sy = image.shape[1] / small[0], image.shape[0] / small[1]
        lifted = np.linalg.inv([[sx, 0, 0.5 * sx - 0.5], [0, sy, 0.5 * sy - 0.5], [0, 0, 1.0]]) @ lifted
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(
        image, lifted[:2], size[::-1], flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=(128, 128, 128)
    )


def locate_targets(
    page: Page, size: tuple[int, int], to_image: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Picture and dense truth of one page.

    Args:
        to_image: (2, 3) affine map from picture to image pixels.

    Returns:
        picture: (H, W, 3) uint8.
        maps: (15, H/4, W/4) float32: phase sin/cos x, sin/cos y; Jacobian (4) in mm per picture pixel;
            paper, baseline, start, end, lead index (0 none), inside the image, on paper.
        page_truth: (3,) int64: ECG (1), speed class, gain class.
    """
    picture = picture_of(page.image, to_image, size)
    rows, columns = size[0] // LOCATE_STRIDE, size[1] // LOCATE_STRIDE
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float64) * LOCATE_STRIDE + (LOCATE_STRIDE - 1) / 2
    pixels = np.stack([x, y, np.ones_like(x)], -1) @ to_image.T
    height, width = page.image.shape[:2]
    inside = (
        (pixels[..., 0] >= 0) & (pixels[..., 0] <= width - 1) & (pixels[..., 1] >= 0) & (pixels[..., 1] <= height - 1)
    )
    paper = page.to_paper(pixels.reshape(-1, 2)).reshape(rows, columns, 2).astype(np.float32)
    style = page.style
    on_paper = inside & (paper >= 0).all(-1) & (paper <= style.page_mm).all(-1)
    maps = np.zeros((15, rows, columns), np.float32)
    gridded = style.grid_kind != "none" and not (style.grid_kind == "dotted" and style.grid_alpha[0] > 0.7)
    x0, y0, x1, y1 = style.grid_box
    in_grid = on_paper & (paper[..., 0] > x0) & (paper[..., 0] < x1) & (paper[..., 1] > y0) & (paper[..., 1] < y1)
    turn = 2 * np.pi / 5 * (paper - np.array(style.grid_phase, np.float32))
    maps[0], maps[1], maps[2], maps[3] = (
        np.sin(turn[..., 0]),
        np.cos(turn[..., 0]),
        np.sin(turn[..., 1]),
        np.cos(turn[..., 1]),
    )
    maps[:4] *= in_grid & gridded
    gradient_x, gradient_y = (np.asarray(np.gradient(paper, LOCATE_STRIDE, axis=axis)) for axis in (1, 0))
    maps[4], maps[5], maps[6], maps[7] = gradient_x[..., 0], gradient_y[..., 0], gradient_x[..., 1], gradient_y[..., 1]
    maps[8] = on_paper
    _strip_maps(page, paper, on_paper, maps)
    maps[13] = inside
    maps[14] = on_paper
    truth = np.array([1, SPEED_CLASSES.index(style.speed), GAIN_CLASSES.index(style.gain)])
    return picture, maps, truth


def _strip_maps(page: Page, paper: np.ndarray, on_paper: np.ndarray, maps: np.ndarray) -> None:
    baselines = sorted(set(page.style.baselines_mm))
    gap = min(np.diff(baselines), default=30.0)
    reach = float(min(7.0, 0.45 * gap))
    u, v = paper[..., 0], paper[..., 1]
    for strip in page.strips:
        near = on_paper & (np.abs(v - strip.baseline_mm) < 8.0)
        along = (u >= strip.x_mm) & (u <= strip.x_mm + strip.width_mm)
        maps[9] = np.maximum(maps[9], near * along * np.exp(-0.5 * ((v - strip.baseline_mm) / 1.2) ** 2))
        band = near & (np.abs(v - strip.baseline_mm) < reach)
        maps[10] = np.maximum(maps[10], band * np.exp(-0.5 * ((u - strip.x_mm) / 1.2) ** 2))
        maps[11] = np.maximum(maps[11], band * np.exp(-0.5 * ((u - strip.x_mm - strip.width_mm) / 1.2) ** 2))
        maps[12][band & along] = 1 + LEADS.index(strip.lead)


def _tile_nodes(origin_mm: np.ndarray, turn_rad: float, px_per_mm: tuple[float, float]) -> np.ndarray:
    """Paper millimetres (rows, columns, 2) of tile pixels at multiples of the node step."""
    rows, columns = TILE_SHAPE[0] // _NODE + 1, TILE_SHAPE[1] // _NODE + 1
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float64) * _NODE
    across, down = x / px_per_mm[0], (y - TILE_SHAPE[0] / 2) / px_per_mm[1]
    return np.stack([origin_mm[0] + across - turn_rad * down, origin_mm[1] + down + turn_rad * across], -1)


def _sampled(page: Page, nodes: np.ndarray, shape: tuple[int, int], samples: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The part of the page's image under paper millimetres given at every node, and its image pixels.

    Every row is the mean of `samples`.
    """
    rows, columns = shape
    pixels = page.to_image(nodes.reshape(-1, 2)).reshape(nodes.shape).astype(np.float32)
    grow = np.array([[_NODE, 0, 0], [0, samples * _NODE, (samples - 1) / 2]], np.float64)
    source = cv2.warpAffine(pixels, grow, (columns, samples * rows), flags=cv2.INTER_LINEAR)
    crop = cv2.remap(page.image, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return cv2.resize(crop, (columns, rows), interpolation=cv2.INTER_AREA), source[::samples]


def reading_tile(page: Page, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A jittered tile of one strip.

    Returns:
        tile: (256, 608, 5) float32: normalised red, green, blue, marker of the own baseline, of the others; in a
            second look -1 along the traces of the other rows.
        height: (1216,) float32 millimetres above the tile's middle row, of two columns per pixel; along the tile's edge
            where the trace leaves it.
        presence: (1216,) float32 share of the column on which the strip is printed.
        weight: (1216,) 0 outside the picture, more than 1 at the strip's ends.
        readable: (1216,) float32 1 where the height is known.
        scale: (2,) int64 speed class and gain class, -1 in a tile of twice the height.
    """
    strip = page.strips[index]
    # tall waves are read again in a tile that holds twice the height
    squeezed = rng.random() < (0.5 if page.gain > 10 else 0.12)
    px_per_mm = (
        TILE_PX_PER_MM[0] * float(rng.normal(1, 0.006)),
        TILE_PX_PER_MM[1] * (float(rng.uniform(0.5, 0.55)) if squeezed else 1.0) * float(rng.normal(1, 0.006)),
    )
    span = TILE_SHAPE[1] / px_per_mm[0]
    low, high = strip.x_mm - rng.uniform(2, 14), strip.x_mm + strip.width_mm + rng.uniform(2, 14) - span
    first = low if rng.random() < 0.45 or high < low else float(rng.uniform(low, high))
    origin = np.array([first, strip.baseline_mm + rng.normal(0, 0.6) * (1 + 3 * (rng.random() < 0.1))])
    turn = float(rng.normal(0, 0.004))
    nodes = _tile_nodes(origin, turn, px_per_mm)
    crop, source = _sampled(page, nodes, TILE_SHAPE, _SAMPLES)
    height, width = page.image.shape[:2]
    outside = (source[..., 0] < 0) | (source[..., 0] > width - 1) | (source[..., 1] < 0) | (source[..., 1] > height - 1)
    tile = np.zeros((*TILE_SHAPE, 5), np.float32)
    tile[..., :3] = normalise_tile(crop, outside)
    columns = np.arange(TILE_SHAPE[1], dtype=np.float32)
    x_mm = origin[0] + columns / px_per_mm[0]
    rows_mm = (np.arange(TILE_SHAPE[0], dtype=np.float32) - TILE_SHAPE[0] / 2) / px_per_mm[1]
    # ends may be found several millimetres out, at a pulse or a name: the trace decides, not the marker
    start, end = strip.x_mm + _marker_error(rng), strip.x_mm + strip.width_mm + _marker_error(rng)
    tile[..., 3] = np.exp(-0.5 * (rows_mm / 1.0) ** 2)[:, None] * ((x_mm >= start) & (x_mm <= end))
    for row, baseline in enumerate(page.style.baselines_mm):
        offset = baseline - origin[1] + rng.normal(0, 0.5)
        if row != strip.row and abs(offset) < 35:
            tile[..., 4] += np.exp(-0.5 * ((rows_mm - offset) / 1.0) ** 2)[:, None]
    places = (np.arange(TILE_COLUMNS * TILE_SHAPE[1]) + 0.5) / TILE_COLUMNS - 0.5
    x_mm = origin[0] + places / px_per_mm[0]
    truth = trace_in_tile(page, index, x_mm, origin, turn)
    if rng.random() < SECOND_LOOKS:
        for line in first_look(page, index, x_mm, origin, turn, rng):
            tile[..., 4][stroke(line, rows_mm)] = -1.0
    known = np.isfinite(truth)
    reach = (TILE_SHAPE[0] / 2 - 2) / px_per_mm[1]
    middle = np.repeat(outside[TILE_SHAPE[0] // 2 - 24 : TILE_SHAPE[0] // 2 + 24].mean(0) > 0.5, TILE_COLUMNS)
    covered = _covered(x_mm - strip.x_mm, px_per_mm[0]) - _covered(x_mm - strip.x_mm - strip.width_mm, px_per_mm[0])
    presence = covered > 0.5
    at_end = np.minimum(np.abs(x_mm - strip.x_mm), np.abs(x_mm - strip.x_mm - strip.width_mm)) < _END_MM
    return {
        "tile": tile,
        # in tile units: pixels at the nominal scale
        "height": (np.where(known, np.clip(truth, -reach, reach), 0) * px_per_mm[1] / TILE_PX_PER_MM[1]).astype(
            np.float32
        ),
        "presence": covered.astype(np.float32),
        "weight": ((1.0 + (_END_WEIGHT - 1.0) * at_end) * ~middle).astype(np.float32),
        "readable": (known & presence & ~middle).astype(np.float32),
        "scale": np.array(
            [-1, -1] if squeezed else [SPEED_CLASSES.index(page.speed), GAIN_CLASSES.index(page.gain)], np.int64
        ),
    }


def _covered(after_mm: np.ndarray, px_per_mm: float) -> np.ndarray:
    """Share of a column that lies behind an edge, from how far its middle does: ends are told finer than columns."""
    return np.clip(after_mm * px_per_mm * TILE_COLUMNS + 0.5, 0.0, 1.0)


def _marker_error(rng: np.random.Generator) -> float:
    return float(rng.normal(0, 1.2 if rng.random() < 0.65 else 4.5))


def normalise_tile(crop: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32 with the paper near 0 and ink negative; what lies outside the picture is 0."""
    sample = crop[::4, ::4].reshape(-1, 3)
    inside = ~outside[::4, ::4].reshape(-1)
    paper = np.median(sample[inside], axis=0) if inside.any() else np.full(3, 255.0)
    scaled = np.clip(crop * (2.0 / np.maximum(paper, 20.0)).astype(np.float32) - 2.0, -2.0, 1.0)
    scaled[outside] = 0.0
    return scaled.astype(np.float32)


def name_patch(page: Page, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A piece of a flattened page, upright in seven of eight cases, and what is printed there in words.

    Returns:
        picture: (160, 160, 3) uint8.
        names: (20, 20) int64 class of what has its middle in the cell: a lead's name (1 to 12), then the paper speeds
            and the gains in the order of `SPEED_CLASSES` and `GAIN_CLASSES`; 0 nothing, -1 just beside one.
    """
    printed = [(strip.name_mm, 1 + LEADS.index(strip.lead)) for strip in page.strips]
    printed += [(scale.middle_mm, _scale_class(scale)) for scale in page.scales]
    chosen = rng.integers(len(page.strips))
    if page.scales and rng.random() < SCALE_SHARE:
        chosen = rng.integers(len(page.strips), len(printed))
    span = NAME_PATCH / NAME_PX_PER_MM
    away = rng.uniform(-0.45, 0.45, 2) * span if rng.random() < 0.8 else rng.uniform(-1.5, 1.5, 2) * span
    quarters = int(rng.integers(1, 4)) if rng.random() < 0.125 else 0
    turn = quarters * np.pi / 2 + float(rng.normal(0, 0.012))
    unit = np.exp(rng.normal(0, 0.04, 2)) / NAME_PX_PER_MM
    middle = np.array(printed[int(chosen)][0]) + away
    axes = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * unit
    y, x = np.mgrid[0 : NAME_PATCH // _NODE + 1, 0 : NAME_PATCH // _NODE + 1].astype(np.float64) * _NODE
    nodes = (np.stack([x, y], -1) + 0.5 - NAME_PATCH / 2) @ axes.T + middle
    picture, _ = _sampled(page, nodes, (NAME_PATCH, NAME_PATCH))
    cells = NAME_PATCH // NAME_STRIDE
    names = np.zeros((cells, cells), np.int64)
    if quarters == 0:
        y, x = np.mgrid[0:cells, 0:cells].astype(np.float64)
        places = np.linalg.inv(axes) @ (np.array([place for place, _ in printed]) - middle).T
        places = (places.T + NAME_PATCH / 2) / NAME_STRIDE - 0.5
        apart = np.hypot(x[..., None] - places[:, 0], y[..., None] - places[:, 1]) * NAME_STRIDE / NAME_PX_PER_MM
        classes = np.array([number for _, number in printed])
        names[(apart < 2.8).any(-1)] = -1
        nearest = apart.argmin(-1)
        names = np.where(apart.min(-1) < 1.4, classes[nearest], names)
    return {"picture": picture, "names": names}


def _scale_class(scale: PrintedScale) -> int:
    if scale.unit == "mm/s":
        return 13 + SPEED_CLASSES.index(scale.value)
    return 13 + len(SPEED_CLASSES) + GAIN_CLASSES.index(scale.value)
