"""What a camera or a wire adds to the picture of a page: screens, fax, glare, a thumb, a paper clip."""

import cv2
import numpy as np

from .page_warp import Warp

# Ours: share of photos, and of scans, that show each.
PHOTO_SHARES: dict[str, float] = {"screen": 0.05, "thumb": 0.06, "clip": 0.03, "flash": 0.07}
FAX_SHARE = 0.04


def _wave(phase: np.ndarray, profile: np.ndarray) -> np.ndarray:
    """A periodic profile (256,) at phases in periods."""
    return cv2.LUT((phase * np.float32(256.0)).astype(np.int32).astype(np.uint8), profile)


def screen(rng: np.random.Generator, image: np.ndarray, source: np.ndarray) -> np.ndarray:
    """The page shown on a display: the display's red, green and blue columns, sampled by the camera, beat.

    Args:
        source: (height, width, 2) float32 pixels of the flat drawing for every image pixel.
    """
    height, width = image.shape[:2]
    step = source[height // 2, width // 2 + 1] - source[height // 2, width // 2]
    period = float(np.hypot(*step)) * rng.uniform(1.15, 3.2)
    angle = np.angle(complex(*step)) * (rng.random() < 0.5) + rng.normal(0, 0.03)
    cos, sin = np.float32(np.cos(angle) / period), np.float32(np.sin(angle) / period)
    across = cv2.transform(source, np.array([[cos, sin], [-sin, cos]]))
    turn = np.arange(256) / 256.0
    depth = rng.uniform(0.08, 0.4)
    rows = np.clip(1 - 0.6 * depth * np.exp(-np.square((turn - 0.5) / 0.12)), 0, 1)
    level = _wave(across[..., 1], np.rint(255 * rows).astype(np.uint8))
    shown = [
        _wave(
            across[..., 0] + np.float32(colour / 3),
            np.rint(255 * (1 - depth * (0.5 + 0.5 * np.cos(2 * np.pi * turn)))).astype(np.uint8),
        )
        for colour in range(3)
    ]
    lit = cv2.multiply(image, cv2.merge(shown), scale=1 / 255 * rng.uniform(1.05, 1.25))
    return cv2.multiply(lit, cv2.merge([level] * 3), scale=1 / 255)


def fax(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Black or white lines of about a quarter of a millimetre, some of them lost, and streaks of a dirty glass."""
    height, width = image.shape[:2]
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    lines = max(64, round(height / rng.uniform(1.2, 2.2)))
    small = cv2.resize(grey, (width, lines), interpolation=cv2.INTER_AREA).astype(np.float32)
    soft = cv2.GaussianBlur(small, (0, 0), 15)
    grain = rng.normal(0, rng.uniform(2, 9), (lines, width))
    black = small - soft + grain < -rng.uniform(14, 45)
    for _ in range(int(rng.integers(0, 6))):
        line = int(rng.integers(lines))
        black[line : line + int(rng.integers(1, 3))] = rng.random() < 0.25
    for _ in range(int(rng.integers(0, 4))):
        column = int(rng.integers(width))
        streak = rng.random(lines) < rng.uniform(0.3, 1.0)
        black[:, column : column + int(rng.integers(1, 3))] |= streak[:, None]
    bits = np.where(black, np.uint8(0), np.uint8(255))
    return cv2.merge([cv2.resize(bits, (width, height), interpolation=cv2.INTER_NEAREST)] * 3)


def flash(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Light thrown back by glossy paper; at its brightest a fifth of the contrast is left."""
    height, width = image.shape[:2]
    small = (height // 8 + 1, width // 8 + 1)
    y, x = np.mgrid[0 : small[0], 0 : small[1]].astype(np.float32) * np.float32(8 / max(height, width))
    glow = np.zeros(small, np.float32)
    for _ in range(int(rng.integers(1, 4))):
        across, down = rng.uniform(0, width / max(height, width)), rng.uniform(0, height / max(height, width))
        way, long, thin = rng.uniform(0, np.pi), rng.uniform(0.04, 0.25), rng.uniform(0.02, 0.07)
        u = (x - across) * np.cos(way) + (y - down) * np.sin(way)
        v = (y - down) * np.cos(way) - (x - across) * np.sin(way)
        away = np.square(u / long) + np.square(v / thin)
        glow += rng.uniform(0.3, 0.9) * (0.75 * np.exp(-np.square(away)) + 0.25 * np.exp(-np.sqrt(away)))
    spread = cv2.resize(np.minimum(glow, 0.8), (width, height), interpolation=cv2.INTER_LINEAR)
    dark = cv2.multiply(255 - image, cv2.merge([1 - spread] * 3), dtype=cv2.CV_8U)
    return 255 - dark


def thumb(rng: np.random.Generator, image: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """A finger that holds the page at the picture's edge, where it covers nothing that must stay in sight.

    Args:
        keep: (N, 2) image pixels of the corners of what must stay.
    """
    height, width = image.shape[:2]
    size = rng.uniform(0.05, 0.085) * max(height, width)
    side, share = int(rng.integers(4)), rng.uniform(0.15, 0.9)
    root = np.array([[0, share * height], [width, share * height], [share * width, 0], [share * width, height]][side])
    way = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]][side], float) + rng.normal(0, 0.35, 2)
    way /= np.linalg.norm(way)
    tip = root + way * size * rng.uniform(0.2, 2.2)
    low = np.maximum(np.floor(np.minimum(root, tip) - 2 * size), 0).astype(int)
    high = np.ceil(np.maximum(root, tip) + 2 * size).astype(int)
    part = (slice(low[1], high[1]), slice(low[0], high[0]))
    y = np.arange(height, dtype=np.float32)[part[0], None] - tip[1]
    x = np.arange(width, dtype=np.float32)[None, part[1]] - tip[0]
    u, v = x * way[0] + y * way[1], y * way[0] - x * way[1]
    # a capsule that narrows towards its tip
    radius = size * (0.92 - 0.06 * np.clip(u / size + 1, -3, 0))
    away = np.where(u > -0.6 * size, np.hypot(u + 0.6 * size, v) / (1.0 * size), np.abs(v) / radius)
    sharp = np.float32(size / 1.5)
    cover = np.clip((1 - away) * sharp, 0, 1)
    kept = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(kept, cv2.convexHull(np.rint(keep).astype(np.int32)), 1)
    if (kept[part] * (away < 1.25)).any():
        return image
    skin = rng.uniform((95, 60, 45), (235, 190, 165))
    lit = 1.08 - 0.55 * np.square(np.clip(away, 0, 1)) - 0.08 * v / size
    colour = skin * lit[..., None] * (1 + 0.02 * rng.normal(0, 1, (*u.shape, 1)))
    nail = np.square((u + 0.35 * size) / (0.42 * size)) + np.square(v / (0.52 * size))
    shine = np.clip((1.05 - nail) * 5, 0, 1)[..., None] * (rng.random() < 0.7)
    pale = np.minimum(skin * 1.06 + (22, 14, 14), 255) * (1.02 - 0.12 * nail[..., None])
    colour = colour * (1 - 0.75 * shine) + 0.75 * shine * pale
    rim = np.exp(-np.square((nail - 1.05) / 0.09))[..., None] * (shine.max() > 0)
    colour = np.clip(colour * (1 - 0.2 * rim), 0, 255)
    shade = 1 - 0.45 * np.clip(1.22 - away, 0, 0.22)[..., None] / 0.22 * (1 - cover[..., None])
    result = image.copy()
    result[part] = (image[part] * shade * (1 - cover[..., None]) + colour * cover[..., None]).astype(np.uint8)
    return result


def clip(
    rng: np.random.Generator, image: np.ndarray, warp: Warp, page_mm: tuple[float, float], top_mm: float
) -> np.ndarray:
    """A paper clip over the upper edge, short of what stands `top_mm` below it."""
    long = min(26.0, top_mm + 4.0)
    if long < 12:
        return image
    x = rng.uniform(0.05, 0.9) * page_mm[0]
    turn = np.linspace(0, np.pi, 12)

    def bend(middle: float, half: float, y: float, sign: int) -> np.ndarray:
        return np.stack([middle - half * np.cos(turn), y + sign * half * np.sin(turn)], 1)

    wire = np.concatenate(
        [
            [[-2.6, long * 0.3]],
            bend(0.0, 2.6, long * 0.78, 1),
            bend(0.3, 2.3, 2.6, -1)[::-1],
            bend(0.1, 2.1, long * 0.9, 1)[::1] * (1.0, 1.0),
        ]
    )
    lean = rng.normal(0, 0.08)
    wire = wire @ np.array([[np.cos(lean), np.sin(lean)], [-np.sin(lean), np.cos(lean)]]) + (x, -5.0)
    scale = float(np.hypot(*np.diff(warp.to_image(np.array([[x, 2.0], [x + 10.0, 2.0]])), axis=0)[0]) / 10)
    result = image.copy()
    for shift, colour, width in ((0.7, None, 1.1), (0.0, (128, 130, 136), 1.0), (-0.12, (222, 224, 228), 0.3)):
        points = np.rint(warp.to_image(wire + shift) * 16).astype(np.int32)
        target = result if colour else np.zeros(image.shape[:2], np.uint8)
        cv2.polylines(target, [points], False, colour or 110, max(1, round(width * scale)), cv2.LINE_AA, 4)
        if colour is None:
            soft = cv2.GaussianBlur(target, (0, 0), max(0.5, 0.5 * scale))
            result = cv2.multiply(result, cv2.merge([1 - soft * np.float32(1 / 255)] * 3), dtype=cv2.CV_8U)
    return result


def handle(
    rng: np.random.Generator,
    image: np.ndarray,
    warp: Warp,
    source: np.ndarray,
    page_mm: tuple[float, float],
    keep_mm: np.ndarray,
    kinds: tuple[str, ...] | None = None,
) -> np.ndarray:
    """A photo with what came between page and camera; before light and lens.

    Args:
        source: (height, width, 2) float32 pixels of the flat drawing for every image pixel.
        keep_mm: (N, 2) corners on paper of what must stay in sight.
        kinds: out of `PHOTO_SHARES`, or None for any.
    """
    chosen = [kind for kind, share in PHOTO_SHARES.items() if rng.random() < share] if kinds is None else kinds
    if "screen" in chosen:
        image = screen(rng, image, source)
    if "clip" in chosen:
        image = clip(rng, image, warp, page_mm, float(keep_mm[:, 1].min()))
    if "thumb" in chosen:
        image = thumb(rng, image, warp.to_image(keep_mm))
    return flash(rng, image) if "flash" in chosen else image
