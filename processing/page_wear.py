"""What light, camera, copier and time do to the picture of a page; nothing here moves a point."""

import cv2
import numpy as np

from .page_warp import Warp, lit


def _noise_field(rng: np.random.Generator, size: tuple[int, int], cells: tuple[int, int]) -> np.ndarray:
    """Smooth random field of about unit spread over an image of `size`."""
    coarse = rng.normal(0, 1, (max(2, cells[0]), max(2, cells[1]))).astype(np.float32)
    return cv2.resize(coarse, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)


def _along(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """float32 columns (1, width) and rows (height, 1) of an image of `size`."""
    return np.arange(size[1], dtype=np.float32)[None], np.arange(size[0], dtype=np.float32)[:, None]


def table(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """uint8 RGB picture of what the page lies on: wood, cloth, stone or a plain desk."""
    small = (max(8, size[0] // 4), max(8, size[1] // 4))
    kind = rng.choice(["wood", "plain", "cloth", "dark"], p=[0.45, 0.25, 0.15, 0.15])
    base = {
        "wood": rng.uniform((70, 45, 25), (200, 160, 120)),
        "plain": np.full(3, rng.uniform(30, 235)) + rng.normal(0, 12, 3),
        "cloth": rng.uniform(20, 220, 3),
        "dark": np.full(3, rng.uniform(8, 50)) + rng.normal(0, 4, 3),
    }[str(kind)]
    field = 8 * _noise_field(rng, small, (4, 5))
    if kind == "wood":
        across = (int(rng.integers(40, 140)), int(rng.integers(2, 6)))
        field = field + rng.uniform(6, 22) * _noise_field(rng, small, across if rng.random() < 0.5 else across[::-1])
    if kind in ("cloth", "dark"):
        field = field + rng.uniform(2, 10) * rng.normal(0, 1, small).astype(np.float32)
    # channel by channel: numpy is slow where the innermost axis is short
    picture = cv2.merge(
        [np.clip(shade + field * (0.6 + 0.4 * shade / 255.0), 0, 255).astype(np.uint8) for shade in base]
    )
    return cv2.resize(picture, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)


def _light(rng: np.random.Generator, warp: Warp, strength: float) -> np.ndarray:
    """(rows, columns, 3) brightness at the nodes: uneven light, colour of the lamp, soft shadows, glare."""
    size = warp.shade.shape
    x, y = _along(size)
    x, y = x / size[1] - 0.5, y / size[0] - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    level = 1.0 + strength * rng.uniform(0, 0.5) * (x * np.cos(angle) + y * np.sin(angle))
    level += strength * 0.05 * _noise_field(rng, size, (3, 4))
    if rng.random() < 0.4 * strength:
        corners = rng.uniform(-0.7, 0.7, (int(rng.integers(3, 7)), 2)) * rng.uniform(0.4, 1.0) + rng.uniform(
            -0.6, 0.6, 2
        )
        shadow = np.zeros(size, np.float32)
        points = ((corners + 0.5) * (size[1], size[0])).astype(np.int32)
        cv2.fillPoly(shadow, [cv2.convexHull(points)], 1.0)
        level *= 1.0 - rng.uniform(0.1, 0.55) * cv2.GaussianBlur(shadow, (0, 0), float(rng.uniform(1.5, 25)))
    level = level * warp.shade
    colour = 1.0 + strength * rng.normal(0, 0.07, 3)
    colour = colour.astype(np.float32)
    glare = np.float32(0.0)
    if rng.random() < 0.15 * strength:
        centre, spread = rng.uniform(-0.5, 0.5, 2), rng.uniform(0.03, 0.15)
        glare = rng.uniform(0.1, 0.6) * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / spread**2)
    exposure = rng.uniform(0.45, 1.08) if strength > 0.7 and rng.random() < 0.5 else rng.uniform(0.85, 1.05)
    channels = [np.clip((level * share + glare) * exposure, 0.05, 1.7).astype(np.float32) for share in colour]
    return cv2.merge(channels)


def _tone(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    """Gamma and contrast of camera or scanner."""
    gamma, low, high = (
        float(np.exp(rng.normal(0, 0.2 * strength))),
        rng.uniform(0, 30) * strength,
        255 - rng.uniform(0, 30) * strength,
    )
    curve = low + (high - low) * (np.arange(256) / 255.0) ** gamma
    return cv2.LUT(image, np.clip(curve, 0, 255).astype(np.uint8))


def _blur(rng: np.random.Generator, image: np.ndarray, pixels: float) -> np.ndarray:
    if rng.random() < 0.25:
        length = max(2, int(rng.uniform(2, 2 + 2.5 * pixels)))
        kernel = np.zeros((length, length), np.float32)
        angle = rng.uniform(0, np.pi)
        half = (length - 1) / 2
        ends = [
            (half - half * np.cos(angle), half - half * np.sin(angle)),
            (half + half * np.cos(angle), half + half * np.sin(angle)),
        ]
        cv2.line(kernel, *(tuple(int(round(c)) for c in end) for end in ends), 1.0)  # type: ignore[call-overload]
        return cv2.filter2D(image, -1, kernel / kernel.sum())
    sigma = rng.uniform(0.25, 0.25 + pixels)
    return cv2.GaussianBlur(image, (0, 0), float(sigma)) if sigma > 0.3 else image


_SHEET, _BAND = 800, 40
_GRAIN = np.random.default_rng(0).normal(0, 1, (1100, 1100, 3)).astype(np.float32)


def _grain(rng: np.random.Generator, image: np.ndarray, spread: float) -> np.ndarray:
    """Sensor noise cut from a fixed sheet of grain at a random place, in bands that the processor keeps at hand."""
    y, x = rng.integers(0, 300, 2)
    grey = rng.random() < 0.4
    height, width = image.shape[:2]
    grained = np.empty_like(image)
    for top in range(0, height, _BAND):
        row = y + top % _SHEET
        band = _GRAIN[row : row + _BAND, x : x + min(width, _SHEET), : 1 if grey else 3] * np.float32(spread)
        grain = cv2.merge([band] * 3) if grey else band
        for left in range(0, width, _SHEET):
            part = image[top : top + _BAND, left : left + _SHEET]
            cut = grain[: part.shape[0], : part.shape[1]]
            grained[top : top + _BAND, left : left + _SHEET] = cv2.add(part, cut, dtype=cv2.CV_8U)
    return grained


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """The picture after JPEG at a quality."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))


def wide_blur(grey: np.ndarray, sigma: float) -> np.ndarray:
    """float32 of what `cv2.GaussianBlur` gives of a uint8 picture, to the bit and in a third of its time.

    OpenCV takes weights of whole 256ths, the rounding error of each added to the next; sums of these are whole numbers
    that float32 holds.
    """
    reach = round(3 * sigma)
    bell = np.exp(-0.5 * np.square(np.arange(-reach, 1) / sigma))
    steps = np.diff(np.rint(np.cumsum(256 * bell / (2 * bell.sum() - 1))), prepend=0)[:-1]
    weights = np.concatenate([steps, [256 - 2 * steps.sum()], steps[::-1]]).astype(np.float32)
    total = np.asarray(cv2.sepFilter2D(grey, cv2.CV_32F, weights, weights), np.float32)
    return np.floor((total + 32768) * np.float32(1 / 65536))


def _copy(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """A black-and-white or grey copy."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if rng.random() < 0.45:
        ink = wide_blur(grey, 12)
        offset = rng.uniform(8, 45)
        ink -= offset
        ink -= grey
        np.clip(ink, 0, 255, out=ink)
        ink *= rng.uniform(3, 15)
        grey = np.clip(255 - ink, 0, 255, out=ink).astype(np.uint8)
        if rng.random() < 0.5:
            _, grey = cv2.threshold(grey, int(rng.integers(90, 190)), 255, cv2.THRESH_BINARY)
    return cv2.merge([grey] * 3)


def _stains(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Coffee, water or mould: a few soft coloured blots."""
    size, image = image.shape[:2], image.copy()
    for _ in range(int(rng.integers(1, 4))):
        blot = np.zeros((size[0] // 8 + 1, size[1] // 8 + 1), np.float32)
        centre = (int(rng.uniform(0, blot.shape[1])), int(rng.uniform(0, blot.shape[0])))
        cv2.circle(blot, centre, int(rng.uniform(3, 25)), 1.0, -1 if rng.random() < 0.6 else 2)
        blot = cv2.GaussianBlur(blot, (0, 0), float(rng.uniform(0.8, 4)))
        mask = cv2.resize(blot, (size[1], size[0]))
        x, y, width, height = cv2.boundingRect((mask != 0).view(np.uint8))
        inside = np.s_[y : y + height, x : x + width]
        cover = mask[inside] * rng.uniform(0.1, 0.4)
        for channel, kept in enumerate(rng.uniform(0.3, 0.9, 3)):
            part = image[(*inside, channel)]
            part[:] = part * (1 - cover * (1 - kept))
    return image


def _creases(rng: np.random.Generator, image: np.ndarray, long: int, short: int) -> np.ndarray:
    """Lines where paper was folded (long, with a step of brightness) or crumpled (short)."""
    rows, columns = image.shape[0] // 2 + 1, image.shape[1] // 2 + 1
    level = np.ones((rows, columns), np.float32)
    lines = np.zeros((rows, columns), np.float32)
    x, y = _along((rows, columns))
    for _ in range(long):
        angle = float(rng.choice([0.0, np.pi / 2]) + rng.normal(0, 0.12))
        right = (x - columns * rng.uniform(0.1, 0.9)) * np.sin(angle)
        down = (y - rows * rng.uniform(0.1, 0.9)) * np.cos(angle)
        across = right - down
        reach, step = columns * rng.uniform(0.02, 0.3), rng.normal(0, 0.12)
        # a product of two rows of numbers; where the second would be too large nothing falls
        fall = np.exp(-right / reach) * np.exp(np.minimum(down / reach, 600.0))
        fall *= step
        fall *= across > 0
        fall += 1.0
        level *= fall
        depth, wide = rng.normal(0, 0.18), rng.uniform(0.5, 1.5)
        near = np.flatnonzero(np.abs(across) < 9 * wide)
        lines.ravel()[near] += depth * np.exp(-0.5 * (across.ravel()[near] / wide) ** 2)
    for _ in range(short):
        place = rng.uniform((0, 0), (columns, rows))
        bend = np.cumsum(rng.normal(0, 0.3, 6)) + rng.uniform(0, np.pi)
        steps = np.stack([np.cos(bend), np.sin(bend)], 1) * rng.uniform(5, 40)
        path = np.rint(place + np.cumsum(steps, axis=0)).astype(np.int32)
        cv2.polylines(lines, [path], False, float(rng.normal(0, 0.18)), 1, cv2.LINE_AA)
    level = level + cv2.GaussianBlur(lines, (0, 0), 0.7)
    spread = cv2.resize(np.clip(level, 0.5, 1.4), (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
    return cv2.merge([cv2.multiply(channel, spread, dtype=cv2.CV_8U) for channel in cv2.split(image)])


def wear_scan(rng: np.random.Generator, image: np.ndarray, warp: Warp, pixels_per_mm: float) -> np.ndarray:
    """A flatbed scan or copy of the page."""
    image = lit(image, _light(rng, warp, 0.35))
    if rng.random() < 0.12:
        image = _stains(rng, image)
    if rng.random() < 0.6:
        image = _blur(rng, image, 0.12 * pixels_per_mm)
    image = _tone(rng, image, 0.8)
    if rng.random() < 0.35:
        image = _copy(rng, image)
    if rng.random() < 0.6:
        image = _grain(rng, image, float(rng.uniform(1, 9)))
    return jpeg(image, int(rng.integers(45, 97))) if rng.random() < 0.8 else image


def wear_photo(rng: np.random.Generator, image: np.ndarray, warp: Warp, pixels_per_mm: float) -> np.ndarray:
    """A phone photo of the page."""
    image = lit(image, _light(rng, warp, 1.0))
    if rng.random() < 0.45:
        image = _creases(rng, image, int(rng.integers(0, 4)), int(rng.integers(0, 120) * (rng.random() < 0.6)))
    if rng.random() < 0.1:
        image = _stains(rng, image)
    if rng.random() < 0.8:
        image = _blur(rng, image, 0.2 * pixels_per_mm)
    image = _tone(rng, image, 1.0)
    if rng.random() < 0.08:
        image = _copy(rng, image)
    if rng.random() < 0.85:
        image = _grain(rng, image, float(rng.uniform(1, 12)))
    return jpeg(image, int(rng.integers(35, 96))) if rng.random() < 0.9 else image
