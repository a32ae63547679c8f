"""Draw the flat page: paper, grid, traces, pulses, names and print, and keep where every strip stands."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import ImageFont

from .leads import LEADS
from .page_pens import stroked
from .page_style import RGB, PageStyle
from .records import Recording

_SHIFT = 4
_LEAST_PEN_PX = 0.8
_HERSHEY = {"hershey": cv2.FONT_HERSHEY_SIMPLEX, "hershey2": cv2.FONT_HERSHEY_DUPLEX}
_FONT_FILES = {
    "sans": "DejaVuSans.ttf",
    "serif": "STIXGeneral.ttf",
    "mono": "DejaVuSansMono.ttf",
    "bold": "DejaVuSans-Bold.ttf",
    "condensed": "STIXGeneralBol.ttf",
}
_STATEMENTS = (
    "Sinus rhythm", "Normal ECG", "Abnormal ECG", "Left axis deviation", "Nonspecific T wave abnormality",
    "*** Unconfirmed ***", "Borderline ECG", "Atrial fibrillation", "Possible left atrial enlargement",
    "Vent. rate 72 bpm", "PR interval 158 ms", "QRS duration 92 ms", "QT/QTc 392/417 ms", "P-R-T axes 45 12 38",
)  # fmt: skip
_HEADERS = (
    *("ID: {n}_hr", "Age: {a} yrs", "Sex: Male", "Name:", "Height: 17{d}", "Weight: {a} Kgs", "Room {n}"),
    *("Date: 19{a}-0{d}-1{d}, 1{d}:4{d}:{a}", "Dept. of Cardiology"),
)


@dataclass(frozen=True)
class Strip:
    """One printed stretch of one lead: when it was recorded and where it stands on paper."""

    lead: str
    row: int
    column: int
    start_s: float
    end_s: float
    x_mm: float
    width_mm: float
    baseline_mm: float
    is_rhythm: bool = False
    name_mm: tuple[float, float] = (np.nan, np.nan)  # middle of the printed name

    def x_of(self, time_s: np.ndarray) -> np.ndarray:
        """Place on paper (mm) of moments of the recording (s)."""
        return self.x_mm + (time_s - self.start_s) * self.width_mm / (self.end_s - self.start_s)


@dataclass(frozen=True)
class PrintedScale:
    """A paper speed ("mm/s") or a gain ("mm/mV") in words, and the place (mm) of its middle."""

    unit: str
    value: float
    middle_mm: tuple[float, float]


def place_strips(style: PageStyle) -> list[Strip]:
    """The strips of a page in reading order."""
    strips = []
    columns_end = len(style.layout.rows) - style.layout.rhythm_rows
    for row, leads in enumerate(style.layout.rows):
        rhythm = row >= columns_end
        slot_s = style.column_s * (style.layout.n_columns if rhythm else 1)
        for column, lead in enumerate(leads):
            start = 0.0 if style.columns == "simultaneous" else column * slot_s
            printed_s = slot_s if rhythm else slot_s * style.printed_share
            x = style.left_mm + column * slot_s * style.speed
            strips.append(
                Strip(
                    lead,
                    row,
                    column,
                    start,
                    start + printed_s,
                    x,
                    printed_s * style.speed,
                    style.baselines_mm[row],
                    rhythm,
                )
            )
    return strips


@lru_cache(maxsize=64)
def _truetype(name: str, size: int) -> ImageFont.FreeTypeFont:
    import matplotlib

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf" / _FONT_FILES[name]), size)


@lru_cache(maxsize=4096)
def _text_mask(text: str, font: str, height_px: int) -> np.ndarray:
    """uint8 coverage of a line of text whose capitals are about `height_px` high."""
    if font in _HERSHEY:
        scale = height_px / 21.0
        thickness = max(1, round(height_px / 11))
        (width, height), base = cv2.getTextSize(text, _HERSHEY[font], scale, thickness)
        mask = np.zeros((height + base + 2, max(width, 1) + 2), np.uint8)
        cv2.putText(mask, text, (1, height), _HERSHEY[font], scale, 255, thickness, cv2.LINE_AA)
        return mask
    face = _truetype(font, max(5, round(height_px / 0.72)))
    drawn, _ = face.getmask2(text, mode="L")
    width, height = drawn.size
    mask = np.zeros((max(height, 1) + 2, max(width, 1) + 2), np.uint8)
    mask[1 : height + 1, 1 : width + 1] = np.array(drawn, np.uint8).reshape(height, width)
    return mask


class _Sheet:
    """Two coverage layers, grid and ink, on millimetre coordinates."""

    def __init__(self, style: PageStyle) -> None:
        self.style, self.scale = style, style.pixels_per_mm
        self.size = (round(style.page_mm[1] * self.scale), round(style.page_mm[0] * self.scale))
        self.ink = np.zeros(self.size, np.uint8)

    def line(self, points_mm: np.ndarray, thickness: int, layer: np.ndarray | None = None, value: int = 255) -> None:
        # pixel centres stand at whole numbers: paper millimetre x is pixel x * scale - 0.5
        fixed = np.rint((np.asarray(points_mm, np.float64) * self.scale - 0.5) * (1 << _SHIFT)).astype(np.int32)
        cv2.polylines(
            self.ink if layer is None else layer,
            [fixed.reshape(-1, 1, 2)],
            False,
            value,
            thickness,
            cv2.LINE_AA,
            _SHIFT,
        )

    def trace(self, lines_mm: list[np.ndarray]) -> None:
        style = self.style
        lines = [line * self.scale for line in lines_mm]
        width = max(style.trace_mm * self.scale, _LEAST_PEN_PX)
        np.maximum(self.ink, stroked(self.size, lines, width, style.join), out=self.ink)

    def text(
        self, text: str, x_mm: float, y_mm: float, height_mm: float, font: str, value: int = 255
    ) -> tuple[float, float]:
        """Text with its top left corner at a place; returns the place (mm) of its middle."""
        mask = _text_mask(text, font, max(5, round(height_mm * self.scale)))
        x, y = round(x_mm * self.scale), round(y_mm * self.scale)
        x0, y0, x1, y1 = (
            max(x, 0),
            max(y, 0),
            min(x + mask.shape[1], self.size[1]),
            min(y + mask.shape[0], self.size[0]),
        )
        if x1 > x0 and y1 > y0:
            part = mask[y0 - y : y1 - y, x0 - x : x1 - x]
            if value < 255:
                part = cv2.convertScaleAbs(part, alpha=value / 255.0)
            np.maximum(self.ink[y0:y1, x0:x1], part, out=self.ink[y0:y1, x0:x1])
        return (x + mask.shape[1] / 2) / self.scale, (y + mask.shape[0] / 2) / self.scale


def _grid_positions(low: float, high: float, phase: float, step: float, scale: float) -> np.ndarray:
    """Pixels at which lines `step` millimetres apart stand."""
    return np.arange(low + (phase - low) % step, high, step) * scale - 0.5


@dataclass(frozen=True)
class _Grid:
    """Shades of grid lines, 0 none to 127 full minor, 128 to 255 major; where two cross the stronger one shows.

    Attributes:
        columns: (width,) of the upright lines, which run over `rows_in`.
        rows: (height,) of the level lines, which run over `columns_in`.
        dots: rows and columns of the pixels at full strength.
        border: as `columns_in` and `rows_in` meet.
    """

    columns: np.ndarray
    rows: np.ndarray
    columns_in: slice
    rows_in: slice
    dots: tuple[np.ndarray, ...] | None
    border: bool


def _grid(style: PageStyle, size: tuple[int, int]) -> _Grid:
    columns, rows = np.zeros(size[1], np.uint8), np.zeros(size[0], np.uint8)
    x0, y0, x1, y1 = style.grid_box
    scale, major = style.pixels_per_mm, int(128 + 127 * style.grid_alpha[1])
    top, bottom, left, right = (int(round(v * scale)) for v in (y0, y1, x0, x1))
    if style.grid_kind == "none":
        return _Grid(columns, rows, slice(left, right), slice(top, bottom), None, False)

    def draw(step: float, value: int, width: int) -> None:
        _lines(columns, _grid_positions(x0, x1, style.grid_phase[0], step, scale), value, width)
        _lines(rows, _grid_positions(y0, y1, style.grid_phase[1], step, scale), value, width)

    if style.grid_kind in ("full", "faint"):
        draw(1.0, int(127 * style.grid_alpha[0]), style.minor_px)
    dots = None
    if style.grid_kind == "dotted":
        xs = np.rint(_grid_positions(x0, x1, style.grid_phase[0], 1.0, scale)).astype(int)
        ys = np.rint(_grid_positions(y0, y1, style.grid_phase[1], 1.0, scale)).astype(int)
        dots = np.ix_(ys[(ys >= 0) & (ys < size[0])], xs[(xs >= 0) & (xs < size[1])])
    alone = dots is not None and style.grid_alpha[0] > 0.7
    if not alone:
        draw(5.0, major, style.major_px)
    return _Grid(columns, rows, slice(left, right), slice(top, bottom), dots, style.grid_border and not alone)


def _lines(shades: np.ndarray, pixels: np.ndarray, value: int, width: int) -> None:
    """Parallel lines with sub-pixel place: each covers two neighbouring pixels in proportion."""
    low = 128 if value > 127 else 0
    places = pixels - (width - 1) / 2
    whole = np.floor(places).astype(int)
    part = places - whole
    for index, share in (
        (whole, 1.0 - part),
        *((whole + k, np.ones_like(part)) for k in range(1, width)),
        (whole + width, part),
    ):
        seen = (index >= 0) & (index < len(shades)) & (share > 0.04)
        np.maximum.at(shades, index[seen], (low + (value - low) * share[seen]).astype(np.uint8))


def _paint(style: PageStyle, grid: _Grid, ink: np.ndarray) -> np.ndarray:
    """Colours from the grid and the coverage with ink."""
    paper, minor, major = (np.array(c, np.float32) for c in (style.paper, style.minor, style.major))
    levels = np.linspace(0, 1, 128, dtype=np.float32)[:, None]
    table = np.concatenate([paper + (minor - paper) * levels, paper + (major - paper) * levels])
    table = np.column_stack([np.rint(table), np.full(256, 255)]).astype(np.uint8)
    # rows of pixels differ by the shade of their own line and by whether upright lines cross them, no more
    inside = np.zeros(len(ink), int)
    inside[grid.rows_in] = 256
    kinds, kind = np.unique(grid.rows + inside, return_inverse=True)
    shades = np.where(kinds[:, None] >= 256, grid.columns, np.uint8(0))
    part = shades[:, grid.columns_in]
    np.maximum(part, (kinds % 256).astype(np.uint8)[:, None], out=part)
    image = cv2.LUT(cv2.merge([shades] * 4), table.reshape(1, 256, 4))[kind]
    full = table[255].tolist()
    if grid.dots is not None:
        image[grid.dots] = full
    if grid.border:
        corners = ((box.start, box.stop - 1) for box in (grid.columns_in, grid.rows_in))
        (left, right), (top, bottom) = corners
        cv2.rectangle(image, (left, top), (right, bottom), full, style.major_px)
    return _inked(image, ink, style.ink)


def _inked(image: np.ndarray, ink: np.ndarray, colour: RGB) -> np.ndarray:
    """(height, width, 3) RGB of a picture (height, width, 4) under ink."""
    # whole pixels are moved as one number each
    pixels = image.view(np.uint32).ravel()
    where = np.flatnonzero(ink != 0)
    cover = ink.ravel()[where].astype(np.float32)[:, None] / 255.0
    under = pixels[where].view(np.uint8).reshape(-1, 4).astype(np.float32)
    over = np.rint(under + (np.array([*colour, 255], np.float32) - under) * cover).astype(np.uint8)
    pixels[where] = over.view(np.uint32).ravel()
    return cv2.cvtColor(image, cv2.COLOR_RGBA2RGB)


def _draw_traces(sheet: _Sheet, style: PageStyle, strips: list[Strip], recording: Recording) -> None:
    lines: list[np.ndarray] = []
    step = max(1, round(recording.sampling_rate / style.trace_rate))
    previous: tuple[int, np.ndarray] | None = None
    for strip in strips:
        first = round(strip.start_s * recording.sampling_rate)
        last = min(round(strip.end_s * recording.sampling_rate) + 1, recording.signal.shape[1])
        index = np.arange(first, last)
        values = recording.signal[LEADS.index(strip.lead), first:last]
        # a slower pen joins the samples that it is given, and misses what lies between
        index, values = index[::step], values[::step]
        points = np.stack(
            [strip.x_of(index / recording.sampling_rate), strip.baseline_mm - values * style.gain], axis=1
        )
        if style.joined and previous is not None and previous[0] == strip.row and style.printed_share == 1.0:
            points = np.concatenate([previous[1], points])
        good = np.isfinite(points[:, 1])
        if good.all():
            lines.append(points)
        else:
            for part in np.split(points, np.nonzero(np.diff(good))[0] + 1):
                if np.isfinite(part[:, 1]).all() and len(part) > 1:
                    lines.append(part)
        previous = (strip.row, points[-1:])
    sheet.trace(lines + _pulses(style, strips))


def _pulses(style: PageStyle, strips: list[Strip]) -> list[np.ndarray]:
    if style.pulse == "none":
        return []
    pulses = []
    rows = sorted({strip.row for strip in strips})
    rows = {"all": rows, "first": rows[:1], "last": rows[-1:]}[style.pulse_rows]
    for row in rows:
        in_row = [strip for strip in strips if strip.row == row]
        base, foot = in_row[0].baseline_mm, 0.2 * style.pulse_mm
        if style.pulse == "left":
            end = in_row[0].x_mm - style.pulse_gap_mm
            start = end - style.pulse_mm - foot
        else:
            start = in_row[-1].x_mm + in_row[-1].width_mm + style.pulse_gap_mm
            end = start + style.pulse_mm + foot
        left, right = (start + foot, end) if style.pulse_gap_mm == 0 else (start + foot, end - foot)
        top = base - style.gain
        pulses.append(np.array([[start, base], [left, base], [left, top], [right, top], [right, base], [end, base]]))
    return pulses


def _draw_separators(sheet: _Sheet, style: PageStyle, strips: list[Strip]) -> None:
    if style.separator == "none":
        return
    half = style.separator_mm / 2
    for strip in strips:
        if strip.column == 0 or strip.is_rhythm:
            continue
        x, y = strip.x_mm, strip.baseline_mm
        if style.separator == "bar":
            sheet.line(np.array([[x, y - half], [x, y + half]]), style.separator_px)
        elif style.separator == "ticks":
            for sign in (-1, 1):
                sheet.line(np.array([[x, y + sign * half], [x, y + sign * (half + 4)]]), style.separator_px)
        elif style.separator == "dashed":
            for start in np.arange(y - 12, y + 12, 3.0):
                sheet.line(np.array([[x, start], [x, start + 1.5]]), 1)
        elif strip.row == 0:
            bottom = max(s.baseline_mm for s in strips if not s.is_rhythm) + 12
            sheet.line(np.array([[x, y - 14], [x, bottom]]), min(style.separator_px, 2))


def _draw_names(sheet: _Sheet, style: PageStyle, strips: list[Strip], rng: np.random.Generator) -> list[Strip]:
    """The strips, with the place of their names."""
    across, down = style.label_offset_mm
    jitter = 0.0 if rng.random() < 0.6 else 1.0
    named = []
    for strip in strips:
        shift = across if strip.column == 0 or style.label_place != "before" else 1.0
        x = strip.x_mm + shift + jitter * rng.normal(0, 0.5)
        y = strip.baseline_mm + down - style.label_mm / 2 + jitter * rng.normal(0, 0.5)
        if style.label_place == "before" and strip.column > 0:
            y = strip.baseline_mm - 6 - style.label_mm
        named.append(replace(strip, name_mm=sheet.text(strip.lead, x, y, style.label_mm, style.font)))
    return named


def _scales_in_words(
    style: PageStyle, rng: np.random.Generator, words: np.random.Generator
) -> list[tuple[str, float, str, str]]:
    """Unit, value, what stands before and how it is written, of paper speed and gain; ours, as many makers do."""
    found = []
    for unit, value in (("mm/s", style.speed), ("mm/mV", style.gain)):
        before = words.choice(["", "", "", "", "Speed: " if unit == "mm/s" else "Gain: ", "- "])
        number = f"{value:g}" if words.random() < 0.85 else f"{value:.1f}"
        written = "mm/sec" if unit == "mm/s" and words.random() < 0.2 else unit
        found.append((unit, value, str(before), f"{number}{rng.choice([' ', ''])}{written}"))
    return found


def _draw_scale(
    sheet: _Sheet, scale: tuple[str, float, str, str], x_mm: float, y_mm: float, size: float
) -> tuple[float, list[PrintedScale]]:
    """Where a scale in words ends, and what is there, unless it is cut off."""
    unit, value, before, text = scale
    style = sheet.style
    if before:
        x_mm = 2 * sheet.text(before, x_mm, y_mm, size, style.font)[0] - x_mm + size / 2
    middle = sheet.text(text, x_mm, y_mm, size, style.font)
    end = 2 * middle[0] - x_mm
    whole = x_mm > 0 and end < style.page_mm[0] and 0 < middle[1] < style.page_mm[1]
    return end, [PrintedScale(unit, value, middle)] if whole else []


def _draw_print(sheet: _Sheet, style: PageStyle, rng: np.random.Generator) -> list[PrintedScale]:
    width, height = style.page_mm
    # a stream of its own: how scales are written changes nothing else of a page
    words = rng.spawn(1)[0]
    printed: list[PrintedScale] = []
    size = float(rng.uniform(2.0, 3.2))
    fields = {"n": int(rng.integers(1000, 99999)), "a": int(rng.integers(20, 90)), "d": int(rng.integers(0, 9))}
    if style.header:
        for column in range(int(rng.integers(1, 4))):
            x = 3 + column * width / 3 + rng.uniform(0, 10)
            lines = rng.choice(_HEADERS if rng.random() < 0.6 else _STATEMENTS, int(rng.integers(1, 5)))
            for row, line in enumerate(lines):
                sheet.text(str(line).format(**fields), x, 3 + row * size * 1.6, size, style.font)
    if style.footer:
        scales = _scales_in_words(style, rng, words)
        filters = (
            str(rng.choice(["0.05-150 Hz", "40 Hz", "0.5-40Hz AC50", "F 60~ 0.15-100 Hz"]))
            if rng.random() < 0.5
            else ""
        )
        x, gap = width * rng.uniform(0.02, 0.3), rng.uniform(4, 40)
        for scale in scales:
            end, found = _draw_scale(sheet, scale, x, height - size - rng.uniform(2.0, 4.0), size)
            printed += found
            x = max(x + gap + 18, end + size)
        if filters:
            sheet.text(filters, x, height - size - rng.uniform(2.0, 4.0), size, style.font)
    elif words.random() < 0.3:
        x, y = width * words.uniform(0.02, 0.7), words.uniform(1.0, 12.0)
        for scale in _scales_in_words(style, words, words):
            end, found = _draw_scale(sheet, scale, x, y, size)
            printed += found
            x = end + words.uniform(1.0, 20.0)
    if style.handwriting:
        _scribble(sheet, rng)
    return printed


def _scribble(sheet: _Sheet, rng: np.random.Generator) -> None:
    """A few lines of a pen that look like a note."""
    width, height = sheet.style.page_mm
    x, y, size = rng.uniform(0.1, 0.7) * width, rng.uniform(0.05, 0.9) * height, rng.uniform(2, 5)
    t = np.linspace(0, rng.uniform(8, 20), 160)
    wave = np.cumsum(rng.normal(0, 0.35, (160, 2)), axis=0) * 0.15
    loops = np.stack(
        [
            x + t * size * 0.5 + np.sin(t * 5.1) * size * 0.4,
            y + np.sin(t * 4.3 + wave[:, 0]) * size * rng.uniform(0.4, 1),
        ],
        1,
    )
    sheet.line(loops + wave, max(1, round(sheet.scale * 0.35)))


def draw_page(
    style: PageStyle, recording: Recording, rng: np.random.Generator
) -> tuple[np.ndarray, list[Strip], list[PrintedScale]]:
    """Draw a flat page.

    Args:
        style: what to draw.
        recording: 12 leads in millivolts; NaN leaves a gap in the trace.

    Returns:
        uint8 RGB image (height, width, 3) at `style.pixels_per_mm`, the strips on it, and its scales in words.
    """
    strips = place_strips(style)
    sheet = _Sheet(style)
    _draw_traces(sheet, style, strips, recording)
    _draw_separators(sheet, style, strips)
    strips = _draw_names(sheet, style, strips, rng)
    scales = _draw_print(sheet, style, rng)
    return _paint(style, _grid(style, sheet.size), sheet.ink), strips, scales
