"""Calibration pulses measured: the scale of a page without a grid, and where the rows' 0 mV is."""

from dataclasses import dataclass, field
from itertools import product

import numpy as np

from .geometry_ecgscan import PageGeometry
from .printed_names_ecgscan import PrintedNames
from .rasters_ecgscan import RASTER_PX_PER_MM, darkness, flat_raster
from .strips_ecgscan import FoundStrip
from .terms_ecgscan import GAINS, SPEEDS

_REACH_MM = 30.0  # a pulse stands this near the ends of the rows
_LEAST_MM, _MOST_MM = (4.0, 2.0), (34.0, 20.0)  # height and width of what may be a pulse, on a page of unknown scale
_LEVEL_MM = 0.6  # by which the ends of its two strokes may differ
_INK = 0.4  # share of the darkness of full ink from which a pixel counts as ink
_FULL_INK = 99.5  # percentile of darkness that is full ink, where thin strokes are all that is printed
_FULL = 0.9  # share of the top that is ink, and of the inside that is none
# ours: widths that machines draw at 25 mm/s and what else is unusual (log odds), how far a measured side may be off
# and (logarithm) a page be stretched one way; the price of giving the rows' standard length up for the pulse's word
_WIDTHS_MM = {5.0: 0.0, 4.0: -1.5, 2.5: -1.5, 3.2: -2.0, 2.0: -2.0}
_UNUSUAL_GAIN, _FAST, _NOT_STANDARD = -2.5, -1.5, -2.5
_ANY_WIDTH = -4.0  # log odds of a width that says nothing of the scale
_HEIGHT_ERROR_MM, _WIDTH_ERROR_MM, _STRETCHED = 0.1, 0.03, 0.004
# ours: rows whose pulses make those errors, and the error of either side (logarithm) on a page seen at an angle
_ROWS, _AT_ANGLE = 6.0, 0.03
_WORDS_KNOW = 2.0  # ours: weight of what is printed in words
_WHOLE_PIXELS = 0.41  # standard deviation of a distance whose two ends were rounded
_FARTHEST = 0.7  # logarithm of the farthest scale
_LEAST_SCORE = -9.0
_WINDOW = 4  # pixels to either side of a line in which its middle is measured


@dataclass(frozen=True)
class PulseSize:
    """The calibration pulses of a page as measured on it.

    Attributes:
        height_mm, width_mm: median over the rows that show one, between the middles of the strokes.
        feet_mm: by number of the row, where the pulse stands: at 0 mV.
    """

    height_mm: float
    width_mm: float
    feet_mm: dict[int, float] = field(default_factory=dict)


def pulse_ratio(
    pulse: PulseSize, px_per_mm: float, printed: PrintedNames | None = None, *, at_angle: bool = False
) -> float:
    """Factor by which lengths on the page are to be multiplied, 1 where the standard length may be right.

    A pulse of 1 mV is `GAINS` high and, as a rule, 0.2 s wide; height and width must say the same.

    Args:
        px_per_mm: resolution of the picture: pulses drawn on whole pixels are all too narrow or too wide by the same.
        printed: what is printed in words of paper speed and gain.
        at_angle: whether the page was seen at an angle, so that its scale may not be the same everywhere.
    """
    best, ratio = -np.inf, 1.0
    said = dict.fromkeys((*GAINS, *SPEEDS), 0.0)
    if printed is not None:
        shares = np.clip([*printed.gains, *printed.speeds], 0.01, 1.0)
        said = dict(zip(said, _WORDS_KNOW * np.log(shares), strict=True))
    fewer = max(1.0, np.sqrt(_ROWS / (len(pulse.feet_mm) or _ROWS)))
    stretched = _AT_ANGLE if at_angle else 0.0
    height_error = np.hypot(fewer * _HEIGHT_ERROR_MM / pulse.height_mm, max(_STRETCHED, stretched))
    width_error = np.hypot(fewer * _WIDTH_ERROR_MM, _WHOLE_PIXELS / px_per_mm) / pulse.width_mm
    errors = np.array([height_error, np.hypot(width_error, stretched)])
    for gain, speed, (width, likely) in product(GAINS, SPEEDS, (*_WIDTHS_MM.items(), (None, _ANY_WIDTH))):
        off = np.log([gain / pulse.height_mm, width * speed / SPEEDS[0] / pulse.width_mm if width else 1.0])
        mean = float(np.average(off, weights=errors**-2.0))
        likely += _UNUSUAL_GAIN * (gain != GAINS[0]) + _FAST * (speed != SPEEDS[0]) + said[gain] + said[speed]
        for scale, price in ((0.0, 0.0), (mean, _NOT_STANDARD)):
            score = likely + price - 0.5 * float((np.square((off - scale) / errors)).sum())
            if abs(scale) < _FARTHEST and score > best:
                best, ratio = score, float(np.exp(scale))
    clear = _LEAST_SCORE + max(said[gain] + said[speed] for gain, speed in product(GAINS, SPEEDS))
    return ratio if best > clear else 1.0


def measure_pulses(image: np.ndarray, geometry: PageGeometry, strips: list[FoundStrip]) -> PulseSize | None:
    """Size of the calibration pulses to the left or the right of the rows, None where fewer than two rows agree.

    Args:
        image: (H, W, 3) uint8 that `geometry` maps to.
        geometry: of any scale within a factor of two.
        strips: what was found on the page, good to a few millimetres.
    """
    rows = {strip.row: strip.baseline_mm for strip in strips}
    first, last = min(rows.values()), max(rows.values())
    left, right = min(strip.start_mm for strip in strips), max(strip.end_mm for strip in strips)
    found: dict[int, tuple[float, float, float]] = {}
    for start in (left - _REACH_MM, right - 3.0):
        box = (start, first - _MOST_MM[0] - 2.0, start + _REACH_MM + 6.0, last + 10.0)
        flat = flat_raster(image, geometry, box)
        if flat is None:
            continue
        dark = np.clip(darkness(flat.max(axis=2)), 0.0, None)
        dark = dark / max(float(np.percentile(dark, _FULL_INK)), 0.1)
        pulses = {row: _pulse_at(dark, (place - box[1]) * RASTER_PX_PER_MM) for row, place in rows.items()}
        sizes = {
            row: (*pulse[:2], box[1] + (pulse[2] + 0.5) / RASTER_PX_PER_MM)
            for row, pulse in pulses.items()
            if pulse is not None
        }
        if len(sizes) > len(found):
            found = sizes
    if not found:
        return None
    sizes_mm = np.array([size[:2] for size in found.values()])
    middle = np.median(sizes_mm, axis=0)
    agree = (np.abs(np.log(sizes_mm / middle)) < 0.04).all(1)
    if agree.sum() < min(2, len(rows)) or agree.mean() < 0.6:
        return None
    height, width = (float(side) for side in np.median(sizes_mm[agree], axis=0))
    return PulseSize(
        height, width, {row: size[2] for (row, size), same in zip(found.items(), agree, strict=True) if same}
    )


def _pulse_at(dark: np.ndarray, row: float) -> tuple[float, float, float] | None:
    """Height and width (mm) of the pulse that stands on a row of a raster, and the pixel of its foot."""
    unit = RASTER_PX_PER_MM
    ink = dark > _INK
    strokes = _upright_strokes(ink, row)
    best: tuple[float, float, float] | None = None
    tallest = 0.0
    for k, (x, top, bottom) in enumerate(strokes):
        for other_x, other_top, other_bottom in strokes[k + 1 :]:
            width = other_x - x
            level = max(abs(top - other_top), abs(bottom - other_bottom)) < 2 * _LEVEL_MM * unit
            if not level or not _LEAST_MM[1] * unit < width < _MOST_MM[1] * unit:
                continue
            size = _measured(dark, ink, (x, other_x), (max(top, other_top), min(bottom, other_bottom)))
            if size is not None and size[0] > tallest:
                best, tallest = size, size[0]
    return best


def _upright_strokes(ink: np.ndarray, row: float) -> list[tuple[int, int, int]]:
    """Column, top and bottom (pixels) of the upright strokes that stand on a row."""
    unit = RASTER_PX_PER_MM
    # strokes lean a little
    wide = ink | np.roll(ink, 1, 1) | np.roll(ink, -1, 1)
    height = np.zeros(ink.shape, np.int32)
    height[0] = wide[0]
    for y in range(1, len(ink)):
        height[y] = (height[y - 1] + 1) * wide[y]
    low, high = max(int(row - 3 * unit), 0), min(int(row + 3 * unit) + 1, len(ink))
    if high - low < 2:
        return []
    feet = height[low:high]
    tall = feet.max(0)
    foot = low + feet.argmax(0)
    strokes = []
    for x in range(1, ink.shape[1] - 1):
        if tall[x] >= _LEAST_MM[0] * unit and tall[x] >= tall[x - 1] and tall[x] > tall[x + 1]:
            strokes.append((x, int(foot[x] - tall[x] + 1), int(foot[x])))
    return strokes


def _measured(
    dark: np.ndarray, ink: np.ndarray, sides: tuple[int, int], ends: tuple[int, int]
) -> tuple[float, float, float] | None:
    """Height and width (mm) between the middles of the strokes, and the pixel of the foot; None if it is no pulse."""
    unit = RASTER_PX_PER_MM
    (left, right), (top, bottom) = sides, ends
    inside = ink[top + unit : bottom - unit, left + unit : right - unit]
    cap = ink[max(top - 2, 0) : top + unit, left:right].any(0)
    if min(inside.shape) < 2 or inside.mean() > 1 - _FULL or cap.mean() < _FULL:
        return None
    profile = dark[:, left + unit // 2 : right - unit // 2].mean(1)
    lid = _middle(profile, top)
    # beside the strokes, however thick they are
    line = profile[max(top - _WINDOW, 0) : top + _WINDOW + 1]
    half = max(round(float(line.sum() / line.max()) / 2), 1)
    feet = [dark[:, max(left - unit, 0) : left - half - 1], dark[:, right + half + 2 : right + 1 + unit]]
    floors = [_middle(foot.mean(1), bottom) for foot in feet if foot.shape[1] > 1 and _stands(foot, bottom)]
    upright = dark[top + unit : bottom - unit].mean(0)
    if not floors:
        return None
    # the trace may go on from the right foot at another height
    return (floors[0] - lid) / unit, (_middle(upright, right) - _middle(upright, left)) / unit, floors[0]


def _stands(foot: np.ndarray, bottom: int) -> bool:
    """Whether a foot is drawn beside the end of a stroke."""
    return bool((foot[max(bottom - 3, 0) : bottom + 4] > _INK).any(0).mean() > _FULL)


def _middle(profile: np.ndarray, near: int) -> float:
    """Where (pixels) the line nearest to a place of a profile has its middle."""
    around = slice(max(near - _WINDOW, 0), near + _WINDOW + 1)
    peak = around.start + int(np.convolve(profile[around], np.ones(3), "same").argmax())
    around = slice(max(peak - _WINDOW, 0), peak + _WINDOW + 1)
    part = np.clip(profile[around] - 0.15 * profile[around].max(), 0.0, None)
    return around.start + float((part * np.arange(len(part))).sum() / max(part.sum(), 1e-6))


__all__ = ["PulseSize", "measure_pulses", "pulse_ratio"]
