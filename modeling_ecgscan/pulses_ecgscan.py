"""Paper speed and gain: from the calibration pulse beside the strips, from what is printed, from the look of all."""

from dataclasses import dataclass

import cv2
import numpy as np

from .geometry_ecgscan import PageGeometry
from .printed_names_ecgscan import PrintedNames
from .pulse_size_ecgscan import PulseSize
from .rasters_ecgscan import RASTER_PX_PER_MM, darkness, flat_raster
from .strips_ecgscan import FoundStrip
from .terms_ecgscan import GAINS, SPEEDS

_REACH_MM = 26.0  # a pulse stands this near the ends of the rows
# 0.2 s as a rule, and how much (log odds) a width speaks for 50 against 25 mm/s
_WIDTHS_MM = {5.0: -1.0, 2.5: -3.0, 4.0: -3.0, 8.0: 3.0, 10.0: 3.0}
_LOW_PULSE = 0.23  # grid squares and letters are 5 mm high as well: a pulse at 5 mm/mV must be this much clearer
_CLEAR = 0.55  # share of a pulse's outline that must be ink, less what is ink where none should be
# ours, chosen on rendered validation pages: 103 gains of 105 are right, 98 where the pulse alone decides
_PULSE_KNOWS_GAIN = 4.0  # log odds
# ours, of one measured in true millimetres in several rows: on 99 rendered validation pages 38 of 38 were right, and
# none was seen where none is printed
_MEASURED_KNOWS_GAIN = 8.0
_STRIPS_KNOW_GAIN = 0.5  # beside the whole page, where names and texts are seen
# rendered pages have unusual gains more often than archives, by our estimate three times: odds of 3 to 1
_UNUSUAL_GAIN = 0.75  # probability from which a page without a pulse has another gain than the standard one
_WORDS_CLEAR = 0.5  # probability from which a warning says that other words are printed
# ours: evidence of a speed or gain in words, times: a little more than all the rest together, and less of it where the
# other one is not printed beside it, as handwriting may look like one
_WORDS_KNOW, _ALONE = 2.5, 0.4
_INK = 0.25  # of full ink, beyond the grid's darkness
_MEASURED_HEIGHT, _MEASURED_WIDTH = 0.04, 0.08  # by which (logarithm) a measured pulse may be off what is drawn


@dataclass(frozen=True)
class CalibrationPulse:
    """A calibration pulse of 1 mV.

    Attributes:
        gain: mm/mV, from its height.
        fast: log odds, from its width, that the paper speed is 50 and not 25 mm/s.
        score: share of its outline that was found, 0 to about 1.
        measured: whether its sides were measured, and not only compared with those that are usual.
    """

    gain: float
    fast: float
    score: float
    measured: bool = False


def find_pulse(image: np.ndarray, geometry: PageGeometry, strips: list[FoundStrip]) -> CalibrationPulse | None:
    """The calibration pulse to the left or the right of the rows, or None where none is clear.

    Args:
        image: (H, W, 3) uint8 that `geometry` maps to.
        strips: what was found on the page, good to a few millimetres.
    """
    baselines = sorted({strip.baseline_mm for strip in strips})
    left, right = min(strip.start_mm for strip in strips), max(strip.end_mm for strip in strips)
    best: CalibrationPulse | None = None
    for start in (left - _REACH_MM, right - 3.0):
        box = (start, baselines[0] - 28.0, start + _REACH_MM + 3.0, baselines[-1] + 10.0)
        flat = flat_raster(image, geometry, box)
        if flat is None:
            continue
        dark = darkness(flat.max(axis=2))
        # lines 5 mm apart look like pulses of 5 mm: what is no darker than the grid is not ink
        ink = np.clip((dark - max(float(np.percentile(dark, 90)), 0.0) - 0.05) / _INK, 0.0, 1.0)
        rows = [round((baseline - box[1]) * RASTER_PX_PER_MM) for baseline in baselines]
        for gain in GAINS:
            for width, fast in _WIDTHS_MM.items():
                score = _score(ink, rows, gain, width) - _LOW_PULSE * (gain == 5.0)
                if score > _CLEAR and (best is None or score > best.score):
                    best = CalibrationPulse(gain, fast, score)
    return best


def measured_pulse(size: PulseSize | None) -> CalibrationPulse | None:
    """What pulses measured on a page in true millimetres say; None where they have no height that is drawn."""
    if size is None:
        return None
    gain = min(GAINS, key=lambda gain: abs(np.log(size.height_mm / gain)))
    width = min(_WIDTHS_MM, key=lambda width: abs(np.log(size.width_mm / width)))
    if abs(np.log(size.height_mm / gain)) > _MEASURED_HEIGHT:
        return None
    known = abs(np.log(size.width_mm / width)) < _MEASURED_WIDTH
    return CalibrationPulse(gain, _WIDTHS_MM[width] if known else 0.0, 1.0, measured=True)


def settle_gain(
    page: np.ndarray, strips: np.ndarray, pulse: CalibrationPulse | None, printed: PrintedNames | None
) -> tuple[float, float]:
    """Gain (mm/mV) and how sure it is.

    Args:
        page, strips: probabilities of the gains, in the order of `GAINS`, from the whole page and from its strips.
        pulse: what was measured beside the rows; a network that is quite sure may still overrule it. Without one, a
            page that leaves doubt has the standard gain.
        printed: what is printed in words.
    """
    evidence = _log(page) + _STRIPS_KNOW_GAIN * _log(strips)
    if printed is not None:
        evidence += _weight(printed.speeds) * _log(printed.gains)
    if pulse is not None:
        evidence[GAINS.index(pulse.gain)] += _MEASURED_KNOWS_GAIN if pulse.measured else _PULSE_KNOWS_GAIN
    share = np.exp(evidence - evidence.max())
    share /= share.sum()
    best = int(share.argmax())
    if pulse is None and share[best] < _UNUSUAL_GAIN:
        best = 0
    return GAINS[best], float(share[best])


def settle_speed(
    page: np.ndarray, strips: np.ndarray, pulse: CalibrationPulse | None, printed: PrintedNames | None
) -> tuple[float, float]:
    """Paper speed (mm/s) and how sure it is; arguments as for `settle_gain`, probabilities in the order of `SPEEDS`."""
    odds = float(np.diff((_log(page) + _log(strips)) / 2)[0]) + (pulse.fast if pulse is not None else 0.0)
    if printed is not None:
        odds += _weight(printed.gains) * float(np.diff(_log(printed.speeds))[0])
    fast = 1.0 / (1.0 + np.exp(-odds))
    return (SPEEDS[1], fast) if fast > 0.5 else (SPEEDS[0], 1.0 - fast)


def contradictions(
    speed: float, gain: float, pulse: CalibrationPulse | None, printed: PrintedNames | None
) -> list[str]:
    """What speaks against the paper speed and the gain that were settled, a sentence each."""
    words: list[tuple[str, float, float, float]] = []
    if printed is not None:
        words += [("mm/s", speed, *other) for other in zip(SPEEDS, printed.speeds, strict=True)]
        words += [("mm/mV", gain, *other) for other in zip(GAINS, printed.gains, strict=True)]
    said = [
        f"{other:g} {unit} is printed, but {taken:g} {unit} was taken"
        for unit, taken, other, share in words
        if other != taken and share > _WORDS_CLEAR
    ]
    if pulse is not None and pulse.gain != gain:
        said.append(f"the calibration pulse is {pulse.gain:g} mm high, but {gain:g} mm/mV was taken")
    return said


def _weight(beside: np.ndarray) -> float:
    """How much words count, from probabilities of those that are usually printed beside them."""
    return _WORDS_KNOW * (1.0 if beside.max() > _WORDS_CLEAR else _ALONE)


def _log(share: np.ndarray) -> np.ndarray:
    """Logarithm of probabilities, none held for impossible."""
    return np.log(np.clip(share, 0.01, 1.0))


def _score(ink: np.ndarray, rows: list[int], height_mm: float, width_mm: float) -> float:
    """How well pulses of one size fit: the same place beside most rows, or one row alone."""
    unit = RASTER_PX_PER_MM
    height, width = round(height_mm * unit), round(width_mm * unit)
    line = cv2.dilate(ink, np.ones((3, 3), np.uint8))
    stroke = _mean_above(line, height)
    top = _shifted(_mean_right(line, width), height)
    outline = np.minimum(np.minimum(stroke, _shifted(stroke, 0, -width)), top)
    inside = _shifted(_mean_above(_mean_right(ink, width - 2 * unit), height - 2 * unit), unit, -unit)
    # strokes that go on are longer than the pulse would be
    beyond = np.maximum(_shifted(_mean_above(ink, unit), height + unit), _shifted(ink, -2 * unit))
    beyond = np.maximum(beyond, _shifted(beyond, 0, -width))
    fit = outline - inside - 0.5 * beyond
    reach = 2 * unit
    lines = []
    for row in rows:
        if row - reach < 0 or row + reach >= len(fit):
            continue
        lines.append(fit[row - reach : row + reach + 1, : max(fit.shape[1] - width, 1)].max(0))
    if not lines:
        return 0.0
    per_row = cv2.dilate(np.stack(lines).astype(np.float32), np.ones((1, unit), np.uint8))
    return float(max(per_row.mean(0).max() + 0.1 * (len(rows) > 1), per_row.max() - 0.1))


def _mean_above(field: np.ndarray, count: int) -> np.ndarray:
    """Mean of the `count` pixels that end at each pixel, upwards."""
    total = np.cumsum(np.vstack([np.zeros((count, field.shape[1])), field]), axis=0)
    return (total[count:] - np.vstack([np.zeros((1, field.shape[1])), total[:-count]])[: len(field)]) / count


def _mean_right(field: np.ndarray, count: int) -> np.ndarray:
    """Mean of the `count` pixels that begin at each pixel, to the right."""
    return _mean_above(field.T[::-1], count)[::-1].T


def _shifted(field: np.ndarray, down: int, right: int = 0) -> np.ndarray:
    """The field moved; 0 where it has nothing."""
    moved = np.zeros_like(field)
    height, width = field.shape
    source = field[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
    moved[max(0, down) : height - max(0, -down), max(0, right) : width - max(0, -right)] = source
    return moved
