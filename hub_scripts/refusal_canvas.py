"""What the pages of `ecgscan benchmark refusal` are drawn with: a sheet with lines, text and axes.

These pages measure and are never trained on: nothing here or in the modules that draw with it is shared with
`processing.not_ecg`, whose pictures the networks saw.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels

BLACK, WHITE = (0, 0, 0), (255, 255, 255)
PALETTES: tuple[tuple[Colour, ...], ...] = (
    ((31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189)),
    ((0, 63, 92), (88, 80, 141), (188, 80, 144), (255, 99, 97), (255, 166, 0)),
    ((20, 20, 20), (90, 90, 90), (140, 140, 140), (60, 60, 60), (170, 170, 170)),
    ((66, 133, 244), (219, 68, 55), (244, 180, 0), (15, 157, 88), (171, 71, 188)),
)
_SHIFT = 4
_MEGAPIXELS = (0.55, 1.95)


class Canvas:
    """A sheet to draw on.

    Attributes:
        image: (height, width, 3) uint8 RGB.
        unit: pixels that small print is high; everything else is measured in it.
    """

    def __init__(self, rng: np.random.Generator, aspect: float, paper: Colour = WHITE) -> None:
        area = 1e6 * float(rng.uniform(*_MEGAPIXELS))
        self.rng = rng
        self.height, self.width = round(float(np.sqrt(area / aspect))), round(float(np.sqrt(area * aspect)))
        self.image = np.full((self.height, self.width, 3), paper, np.uint8)
        self.unit = float(np.sqrt(area)) / 75.0

    def thin(self, times: float = 1.0) -> int:
        """Pixels of a thin line, `times` as thick."""
        return max(1, round(self.unit * 0.1 * times))

    def line(self, points: Any, colour: Colour, thickness: int = 1, closed: bool = False) -> None:
        """A line through (N, 2) pixels."""
        fixed = np.rint(np.asarray(points, np.float64) * (1 << _SHIFT)).astype(np.int32)
        cv2.polylines(self.image, [fixed.reshape(-1, 1, 2)], closed, colour, thickness, cv2.LINE_AA, _SHIFT)

    def curve(self, x: np.ndarray, y: np.ndarray, colour: Colour, thickness: int = 1) -> None:
        """A line through places `x`, `y`."""
        self.line(np.stack([x, y], axis=1), colour, thickness)

    def fill(self, points: Any, colour: Colour) -> None:
        """A filled polygon of (N, 2) pixels."""
        fixed = np.rint(np.asarray(points, np.float64) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(self.image, [fixed.reshape(-1, 1, 2)], colour, cv2.LINE_AA, _SHIFT)

    def box(self, box: Box, edge: Colour | None = BLACK, inside: Colour | None = None, thickness: int = 1) -> None:
        """A rectangle with its edge, its inside, or both."""
        left, top, right, bottom = (round(side) for side in box)
        if inside is not None:
            cv2.rectangle(self.image, (left, top), (right, bottom), inside, -1)
        if edge is not None:
            cv2.rectangle(self.image, (left, top), (right, bottom), edge, thickness)

    def dot(self, x: float, y: float, radius: float, colour: Colour, thickness: int = -1) -> None:
        """A disc, or a ring where a thickness is given."""
        centre = (round(x * (1 << _SHIFT)), round(y * (1 << _SHIFT)))
        cv2.circle(self.image, centre, round(radius * (1 << _SHIFT)), colour, thickness, cv2.LINE_AA, _SHIFT)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        colour: Colour = BLACK,
        *,
        font: str = "sans",
        align: str = "left",
        weight: int = 400,
    ) -> float:
        """Text whose line is about `size` pixels high and stands on `y`; returns its width.

        Args:
            font: "sans", "italic", or "hand" for letters that dance as written ones do.
            align: "left", "centre" or "right" of `x`.
        """
        width = text_width(text, size, font, weight)
        left = x - {"left": 0.0, "centre": 0.5, "right": 1.0}[align] * width
        if font != "hand":
            place = (round(left), round(y))
            cv2.putText(self.image, text, place, colour, cv2.FontFace(font), max(6, round(size)), weight)
            return width
        for letter in text:
            place = (round(left), round(y + self.rng.normal(0, 0.05) * size))
            tall = max(6, round(size * self.rng.uniform(0.88, 1.12)))
            cv2.putText(
                self.image, letter, place, colour, cv2.FontFace("italic"), tall, int(self.rng.integers(250, 420))
            )
            left += text_width(letter, size, font) * self.rng.uniform(0.92, 1.06)
        return width

    def upward(self, x: float, y: float, text: str, size: float, colour: Colour = BLACK) -> None:
        """Text that runs upward, its middle at `x`, `y`."""
        width, height = round(text_width(text, size)) + 4, round(1.5 * size)
        flat = np.zeros((height, width, 3), np.uint8)
        cv2.putText(flat, text, (2, round(1.1 * size)), WHITE, cv2.FontFace("sans"), max(6, round(size)), 400)
        self.stamp(x - height / 2, y - width / 2, np.rot90(flat)[..., 0], colour)

    def stamp(self, left: float, top: float, mask: np.ndarray, colour: Colour) -> None:
        """Ink where a (height, width) uint8 mask covers the sheet; what lies beyond the edge is lost."""
        first_row, first_column = max(0, round(top)), max(0, round(left))
        part = self.image[first_row : round(top) + mask.shape[0], first_column : round(left) + mask.shape[1]]
        share = mask[first_row - round(top) :, first_column - round(left) :][: part.shape[0], : part.shape[1], None]
        part[:] = (part + (np.array(colour) - part.astype(np.float32)) * (share / 255.0)).astype(np.uint8)

    def grid(self, box: Box, step: tuple[float, float], colour: Colour, thickness: int = 1) -> None:
        """Upright and level lines every `step` pixels from the box's left and top."""
        left, top, right, bottom = box
        for x in np.arange(left, right + 0.5, step[0]):
            self.line([(x, top), (x, bottom)], colour, thickness)
        for y in np.arange(top, bottom + 0.5, step[1]):
            self.line([(left, y), (right, y)], colour, thickness)

    def inner(self, left: float, top: float, right: float, bottom: float) -> Box:
        """The box that lies so many units inside the sheet's edges."""
        return left * self.unit, top * self.unit, self.width - right * self.unit, self.height - bottom * self.unit


def text_width(text: str, size: float, font: str = "sans", weight: int = 400) -> float:
    """Pixels from a text's beginning to its end."""
    face, weight = ("italic", 330) if font == "hand" else (font, weight)
    if font == "hand" and len(text) == 1:
        # a space alone has no ink to be measured by
        return text_width(f"n{text}n", size, "italic", weight) - text_width("nn", size, "italic", weight)
    return float(cv2.getTextSize((0, 0), text, (0, 0), cv2.FontFace(face), max(6, round(size)), weight)[2])


@dataclass
class Axes:
    """A box of the sheet and the values at its edges."""

    canvas: Canvas
    box: Box
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    ink: Colour = BLACK

    def place(self, x: Any, y: Any) -> np.ndarray:
        """(N, 2) pixels of values."""
        left, top, right, bottom = self.box
        across = (np.asarray(x, np.float64) - self.x_range[0]) / (self.x_range[1] - self.x_range[0])
        up = (np.asarray(y, np.float64) - self.y_range[0]) / (self.y_range[1] - self.y_range[0])
        across, up = np.broadcast_arrays(across, up)
        return np.stack([left + across.ravel() * (right - left), bottom - up.ravel() * (bottom - top)], axis=1)

    def plot(self, x: Any, y: Any, colour: Colour, thickness: int = 1) -> None:
        """A line through values."""
        self.canvas.line(self.place(x, y), colour, thickness)

    def ticks(self, values: Any, axis: str, grid: Colour | None = None, names: list[str] | None = None) -> None:
        """Marks and numbers of the "x" or "y" axis, with lines through the box where a colour is given."""
        canvas, unit = self.canvas, self.canvas.unit
        left, top, right, bottom = self.box
        values = np.asarray(values, np.float64)
        step = float(values[1] - values[0]) if len(values) > 1 else 1.0
        digits = max(0, -int(np.floor(np.log10(abs(step))))) if step else 0
        for index, value in enumerate(values):
            name = names[index] if names else f"{value + 0.0:.{digits}f}"
            if axis == "x":
                x = float(self.place(value, self.y_range[0])[0, 0])
                if grid:
                    canvas.line([(x, top), (x, bottom)], grid)
                canvas.line([(x, bottom), (x, bottom + 0.4 * unit)], self.ink)
                canvas.text(x, bottom + 1.5 * unit, name, unit, self.ink, align="centre")
            else:
                y = float(self.place(self.x_range[0], value)[0, 1])
                if grid:
                    canvas.line([(left, y), (right, y)], grid)
                canvas.line([(left - 0.4 * unit, y), (left, y)], self.ink)
                canvas.text(left - 0.7 * unit, y + 0.35 * unit, name, unit, self.ink, align="right")

    def labels(self, title: str = "", below: str = "", beside: str = "") -> None:
        """Title above, names of the axes below and beside the box."""
        left, top, right, bottom = self.box
        canvas, unit, middle = self.canvas, self.canvas.unit, (left + right) / 2
        canvas.text(middle, top - unit, title, 1.5 * unit, self.ink, align="centre", weight=600)
        canvas.text(middle, bottom + 3.2 * unit, below, 1.1 * unit, self.ink, align="centre")
        if beside:
            canvas.upward(left - 4.2 * unit, (top + bottom) / 2, beside, 1.1 * unit, self.ink)

    def frame(self, closed: bool, thickness: int = 1) -> None:
        """The two axes, or the whole box."""
        left, top, right, bottom = self.box
        edges = [(left, top), (left, bottom), (right, bottom), *([(right, top)] if closed else [])]
        self.canvas.line(edges, self.ink, thickness, closed)


def round_ticks(low: float, high: float, about: int) -> np.ndarray:
    """Some `about` round values between two."""
    rough = (high - low) / about
    size = 10.0 ** np.floor(np.log10(rough))
    step = size * next(times for times in (1, 2, 5, 10) if times * size >= rough)
    return np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step


def walk(rng: np.random.Generator, length: int, spread: float = 1.0) -> np.ndarray:
    """Sums of random steps whose whole has about `spread`."""
    return np.cumsum(rng.normal(0, spread / np.sqrt(length), length))


def smooth(rng: np.random.Generator, length: int, turns: int) -> np.ndarray:
    """A soft curve of about unit spread with so many turns."""
    knots = np.linspace(0, turns, turns + 3)
    heights = rng.normal(0, 1, turns + 3)
    place = np.linspace(0.01, turns - 0.01, length)
    low = np.searchsorted(knots, place) - 1
    part = 0.5 - 0.5 * np.cos(np.pi * (place - knots[low]) / (knots[1] - knots[0]))
    return heights[low] * (1 - part) + heights[low + 1] * part


def cloud(rng: np.random.Generator, size: tuple[int, int], octaves: int = 6, fall: float = 0.55) -> np.ndarray:
    """(height, width) float32 between 0 and 1: noise at every scale, the finer the weaker."""
    field = np.zeros(size, np.float32)
    for octave in range(octaves):
        cells = (3 * 2**octave, max(2, round(3 * 2**octave * size[1] / size[0])))
        coarse = rng.random(cells, np.float32)
        field += np.float32(fall**octave) * cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
    return (field - field.min()) / (field.max() - field.min())


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """A colour between two."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def jittered(rng: np.random.Generator, colour: Colour, spread: float) -> Colour:
    """A colour near another."""
    red, green, blue = (int(np.clip(part + rng.normal(0, spread), 0, 255)) for part in colour)
    return red, green, blue
