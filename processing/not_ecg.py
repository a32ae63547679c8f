"""Pictures that hold no ECG: empty grids, documents, charts, EEG, scenery; to learn to abstain from."""

import cv2
import numpy as np

from .page_drawing import _text_mask
from .page_style import sample_style
from .page_wear import jpeg, table

KINDS: tuple[str, ...] = ("grid", "text", "chart", "eeg", "scene", "figures")
_WORDS = (
    *("patient", "history", "of", "the", "left", "pressure", "normal", "study", "dose", "with"),
    *("and", "report", "12", "mg", "clinic", "date", "blood", "no", "sign", "total"),
)


def _canvas(rng: np.random.Generator) -> np.ndarray:
    shade = int(rng.integers(200, 256))
    return np.full((int(rng.integers(500, 900)), int(rng.integers(600, 1100)), 3), shade, np.uint8)


def _text(rng: np.random.Generator, image: np.ndarray) -> None:
    size, y = int(rng.integers(8, 20)), 20
    font = str(rng.choice(["sans", "serif", "mono"]))
    while y < image.shape[0] - size:
        x, end = 20, image.shape[1] * rng.uniform(0.5, 0.95)
        while x < end and rng.random() < 0.97:
            mask = _text_mask(str(rng.choice(_WORDS)), font, size)
            part = image[y : y + mask.shape[0], x : x + mask.shape[1]]
            part[:] = np.minimum(part, 255 - mask[: part.shape[0], : part.shape[1], None])
            x += mask.shape[1] + size // 2
        y += int(size * rng.uniform(1.6, 2.4))


def _curve(rng: np.random.Generator, length: int, roughness: float) -> np.ndarray:
    steps = np.cumsum(rng.normal(0, 1, length)) * roughness
    return steps - np.linspace(steps[0], steps[-1], length)


def _chart(rng: np.random.Generator, image: np.ndarray) -> None:
    height, width = image.shape[:2]
    if rng.random() < 0.6:
        for position in np.arange(50, max(height, width), rng.uniform(20, 80)):
            cv2.line(image, (int(position), 0), (int(position), height), (215, 215, 215), 1)
            cv2.line(image, (0, int(position)), (width, int(position)), (215, 215, 215), 1)
    cv2.line(image, (40, 20), (40, height - 40), (20, 20, 20), 2)
    cv2.line(image, (40, height - 40), (width - 20, height - 40), (20, 20, 20), 2)
    for _ in range(int(rng.integers(1, 4))):
        x = np.linspace(40, width - 20, 200)
        y = height * rng.uniform(0.3, 0.7) + _curve(rng, 200, rng.uniform(2, 12))
        colour = tuple(int(c) for c in rng.integers(0, 200, 3))
        if rng.random() < 0.25:
            for left, top in zip(x[::10], y[::10], strict=True):
                cv2.rectangle(image, (int(left), int(top)), (int(left + 10), height - 40), colour, -1)
        else:
            cv2.polylines(
                image, [np.stack([x, y], 1).astype(np.int32)], False, colour, int(rng.integers(1, 4)), cv2.LINE_AA
            )


def _eeg(rng: np.random.Generator, image: np.ndarray) -> None:
    height, width = image.shape[:2]
    if rng.random() < 0.5:
        for x in np.arange(0, width, rng.uniform(20, 90)):
            cv2.line(image, (int(x), 0), (int(x), height), (210, 210, 225), 1)
    rows = int(rng.integers(6, 22))
    for row in range(rows):
        samples = 900
        noise = np.fft.rfft(rng.normal(0, 1, samples))
        rates = np.fft.rfftfreq(samples, 1 / 90.0)
        noise *= np.exp(-0.5 * ((rates - rng.uniform(1, 11)) / rng.uniform(0.5, 4)) ** 2) + 0.1 / (1 + rates)
        wave = np.fft.irfft(noise, samples)
        y = height * (row + 0.7) / (rows + 0.4) + wave / wave.std() * height / rows * rng.uniform(0.08, 0.3)
        x = np.linspace(50, width - 10, samples)
        cv2.polylines(image, [np.stack([x, y], 1).astype(np.int32)], False, (20, 20, 40), 1, cv2.LINE_AA)


def _grid(rng: np.random.Generator, image: np.ndarray) -> None:
    style = sample_style(rng)
    image[:] = style.paper
    step = rng.uniform(4, 9)
    for every, colour in ((1, style.minor), (5, style.major)):
        for position in np.arange(0, max(image.shape[:2]), step * every):
            cv2.line(image, (int(position), 0), (int(position), image.shape[0]), colour, 1)
            cv2.line(image, (0, int(position)), (image.shape[1], int(position)), colour, 1)


def _scene(rng: np.random.Generator, image: np.ndarray) -> None:
    image[:] = table(rng, image.shape[:2])
    for _ in range(int(rng.integers(2, 25))):
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        centre = (int(rng.uniform(0, image.shape[1])), int(rng.uniform(0, image.shape[0])))
        axes = (int(rng.uniform(5, 250)), int(rng.uniform(5, 250)))
        cv2.ellipse(image, centre, axes, rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
    image[:] = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 12)))


def _figures(rng: np.random.Generator, image: np.ndarray) -> None:
    for _ in range(int(rng.integers(4, 16))):
        x, y = int(rng.uniform(0, image.shape[1])), int(rng.uniform(0, image.shape[0]))
        w, h = int(rng.uniform(40, 240)), int(rng.uniform(30, 150))
        cv2.rectangle(image, (x, y), (x + w, y + h), (30, 30, 30), int(rng.integers(1, 3)))
        if rng.random() < 0.6:
            cv2.arrowedLine(image, (x + w, y + h // 2), (x + w + 60, y + h // 2), (30, 30, 30), 2)
    _text(rng, image[: image.shape[0] // 2])


def draw_not_ecg(rng: np.random.Generator, kind: str | None = None) -> np.ndarray:
    """uint8 RGB picture without an ECG."""
    kind = kind or str(rng.choice(KINDS))
    image = _canvas(rng)
    {"grid": _grid, "text": _text, "chart": _chart, "eeg": _eeg, "scene": _scene, "figures": _figures}[kind](rng, image)
    if rng.random() < 0.3:
        image = 255 - image
    if rng.random() < 0.5:
        angle = float(rng.normal(0, 8))
        turn = cv2.getRotationMatrix2D((image.shape[1] / 2, image.shape[0] / 2), angle, float(rng.uniform(0.7, 1.1)))
        backdrop = table(rng, image.shape[:2])
        image = cv2.warpAffine(image, turn, image.shape[1::-1], dst=backdrop, borderMode=cv2.BORDER_TRANSPARENT)
    return jpeg(image, int(rng.integers(40, 96)))
