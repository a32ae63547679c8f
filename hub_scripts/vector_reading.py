"""A reading straight from the lines of a PDF page, or none where they do not explain the page beyond doubt."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from modeling_ecgscan.laws_ecgscan import law_residual_uv
from modeling_ecgscan.readings_ecgscan import ECGReading
from modeling_ecgscan.reporting_ecgscan import SAMPLING_RATE, heart_rate
from processing.layouts import LAYOUTS
from processing.leads import LEADS
from processing.vector_pages import DrawnLine, DrawnWord, VectorPage

from .vector_scale import POINTS_PER_MM, Doubt, Pulse, find_pulses, grid_units, printed_scale, pulse_gain
from .vector_strips import Strip, check_lengths, find_strips, levelled, without_pulses

CONFIDENCE = QUALITY = 0.99
_LEAST_POINTS = 40  # of a trace
_LEAST_TRACES = 3
_LEAST_WIDTH = 25.0  # points
_NEAR_SCALE = 1.5  # a grid this far off its true size may be 1 or 5 mm only
_SQUARE = 1.25
_EXACT = 0.01  # of a scale that has no grid to show it
_ROW_S, _ROW_OFF = 10.0, 0.03  # of a page that does not say its speed
_PULSE_MM = 5.0
_SNAP_S, _GAP_S = 0.06, 0.3  # of a column's start
_QUARTER_S = 0.03


@dataclass(frozen=True)
class _Scale:
    """Points per millimetre, mm/s and mm/mV with their sources."""

    x: float
    y: float
    speed: tuple[float, str]
    gain: tuple[float, str]


def read_vectors(page: VectorPage, image_size: tuple[int, int], columns: str = "sequential") -> ECGReading:
    """Reads a page from its lines.

    Args:
        image_size: (height, width) in pixels of the page's picture, which the reading's geometry refers to.
        columns: "sequential" or "simultaneous".

    Raises:
        Doubt: the lines do not explain the page beyond doubt: read its picture.
    """
    traces = _traces(page.lines)
    if len(traces) < _LEAST_TRACES:
        raise Doubt(f"{len(traces)} traces are drawn as lines")
    scale, pulses, lines = _scale(page, traces)
    upright = [line.points / (scale.x, scale.y) for line in page.lines if _is_upright(line)]
    words = [
        DrawnWord(w.text, w.left / scale.x, w.top / scale.y, w.right / scale.x, w.bottom / scale.y) for w in page.words
    ]
    strips = levelled(find_strips(without_pulses(lines, pulses), pulses, words, upright))
    if len(strips) < _LEAST_TRACES:
        raise Doubt(f"{len(strips)} strips are drawn")
    if not pulses:
        check_lengths(strips, scale.speed[0])
    return _report(page, strips, scale, image_size, columns)


def _is_upright(line: DrawnLine) -> bool:
    return len(line.points) == 2 and abs(line.points[1, 0] - line.points[0, 0]) < 0.02


def _forward(points: np.ndarray) -> np.ndarray | None:
    """The line from left to right, or None where it turns back."""
    if points[0, 0] > points[-1, 0]:
        points = points[::-1]
    return points if (np.diff(points[:, 0]) > -0.02).all() else None


def _traces(lines: list[DrawnLine]) -> list[np.ndarray]:
    found = []
    for line in lines:
        if len(line.points) >= _LEAST_POINTS and np.ptp(line.points[:, 0]) > _LEAST_WIDTH:
            points = _forward(line.points)
            if points is not None and len(np.unique(points[:, 0])) >= _LEAST_POINTS:
                found.append(points)
    return found


def _scale(page: VectorPage, traces: list[np.ndarray]) -> tuple[_Scale, list[Pulse], list[np.ndarray]]:
    """The page's scale, its pulses, and its traces and pulses as lines in millimetres."""
    speed, gain = printed_scale(page.text)
    corners = np.concatenate([(trace.min(0), trace.max(0)) for trace in traces])
    units = grid_units(page.lines, (*corners.min(0), *corners.max(0)))
    short = [
        points
        for line in page.lines
        if 4 <= len(line.points) < _LEAST_POINTS and (points := _forward(line.points)) is not None
    ]
    lines = [*traces, *short]
    pulses = find_pulses([line / POINTS_PER_MM for line in lines])
    if units is None:
        units = (_unit_without_grid(pulses, speed, gain, traces),) * 2
    pulses = find_pulses([line / units for line in lines])
    seen = pulse_gain(pulses)
    if max(abs(np.log(unit / POINTS_PER_MM)) for unit in units) > np.log(_NEAR_SCALE) and (
        seen is None or gain is None
    ):
        raise Doubt("the page is of an unusual scale")
    if abs(np.log(units[0] / units[1])) > np.log(_SQUARE):
        raise Doubt("the grid's fields are not square")
    if gain is None and seen is None:
        raise Doubt("nothing tells the gain")
    if gain is not None and seen is not None and gain != seen:
        raise Doubt(f"the pulses are of {seen:g} mm/mV, the page says {gain:g}")
    sourced = (speed, "read") if speed is not None else (_usual_speed(pulses, traces, units[0]), "assumed")
    return _Scale(*units, sourced, (gain or seen or 10.0, "read")), pulses, [line / units for line in lines]


def _unit_without_grid(pulses: list[Pulse], speed: float | None, gain: float | None, traces: list[np.ndarray]) -> float:
    """Points per millimetre of a page without a grid: what its pulse, its texts and its ten seconds agree on."""
    if speed is None or gain is None:
        raise Doubt("there is no grid, and the page does not say its speed and gain")
    longest = max(np.ptp(trace[:, 0]) for trace in traces) / POINTS_PER_MM
    if pulses:
        share = float(np.median([pulse.height for pulse in pulses])) / gain
        seconds = longest / share / speed
        if abs(share - 1) < _EXACT or abs(seconds / 2.5 - round(seconds / 2.5)) < _EXACT * seconds / 2.5:
            return POINTS_PER_MM * (1.0 if abs(share - 1) < _EXACT / 2 else share)
    elif abs(longest / speed / _ROW_S - 1) < _EXACT:
        return POINTS_PER_MM
    raise Doubt("there is no grid, and nothing else confirms the page's scale")


def _usual_speed(pulses: list[Pulse], traces: list[np.ndarray], unit: float) -> float:
    """25 mm/s where the page does not say, its rows are of ten seconds then, and no pulse speaks against it."""
    across = (max(trace[:, 0].max() for trace in traces) - min(trace[:, 0].min() for trace in traces)) / unit
    if any(abs(pulse.width - _PULSE_MM) > 1.5 for pulse in pulses):
        raise Doubt("the page does not say its speed, and its pulses are of an unusual width")
    # a pulse may stand before the row on the same line
    if not _ROW_S * (1 - _ROW_OFF) < across / 25.0 < _ROW_S * (1 + _ROW_OFF) + 0.5:
        raise Doubt("the page does not say its speed, and its rows are not of ten seconds at the usual one")
    return 25.0


def _starts(strips: list[Strip], speed: float, columns: str) -> list[float]:
    """When each strip was recorded, in seconds from the first moment on the page."""
    if columns == "simultaneous":
        return [0.0] * len(strips)
    first = min(strip.points[0, 0] for strip in strips)
    starts = []
    for strip in strips:
        row = [other for other in strips if other.row == strip.row]
        usual = float(np.median([(np.ptp(other.points[:, 0]) + other.step) / speed for other in row]))
        quarter = round(usual * 4) / 4
        start, regular = float(strip.points[0, 0] - first) / speed, strip.column * quarter
        # where a gap or a mark stands between columns, time goes on all the same
        gap = abs(usual - quarter) < _QUARTER_S and 0 <= start - regular < _GAP_S
        starts.append(regular if gap or abs(start - regular) < _SNAP_S else start)
    return starts


def _millivolts(strip: Strip, speed: float, gain: float) -> np.ndarray:
    """Millivolts at 500 Hz from the strip's first moment."""
    from scipy.interpolate import CubicSpline

    x, y = strip.points.T
    index = np.arange(len(x))
    step, start = np.polyfit(index, x, 1)
    values = (strip.zero - y) / gain
    if np.abs(start + step * index - x).max() < 0.35 * step:
        times = index * step / speed  # evenly sampled: coordinates are only rounded
        wanted = np.arange(int(np.floor(times[-1] * SAMPLING_RATE + 0.5)) + 1) / SAMPLING_RATE
        return CubicSpline(times, values)(np.minimum(wanted, times[-1]))
    # what stands above one another is one moment
    places, which = np.unique(np.round(x, 4), return_inverse=True)
    means = np.bincount(which, values) / np.bincount(which)
    times = (places - places[0]) / speed
    wanted = np.arange(int(np.floor(times[-1] * SAMPLING_RATE + 0.5)) + 1) / SAMPLING_RATE
    return np.interp(wanted, times, means)


def _report(
    page: VectorPage, strips: list[Strip], scale: _Scale, image_size: tuple[int, int], columns: str
) -> ECGReading:
    speed, gain = scale.speed[0], scale.gain[0]
    starts = _starts(strips, speed, columns)
    read = [_millivolts(strip, speed, gain) for strip in strips]
    end = max(start + len(values) / SAMPLING_RATE for start, values in zip(starts, read, strict=True))
    samples = 10 * SAMPLING_RATE if abs(end - 10.0) < 0.25 else int(np.ceil(end * SAMPLING_RATE - 1e-6))
    signal = np.full((len(LEADS), samples), np.nan, np.float32)
    # of two strips of a lead the longer one counts
    for strip, start, values in sorted(zip(strips, starts, read, strict=True), key=lambda item: len(item[2])):
        lead, first = LEADS.index(strip.lead), round(start * SAMPLING_RATE)
        signal[lead] = np.nan
        signal[lead, first : first + len(values)] = values[: samples - first]
    confidence = np.where(np.isfinite(signal), CONFIDENCE, 0.0).astype(np.float32)
    missing = [lead for lead in LEADS if lead not in {strip.lead for strip in strips}]
    rows: list[list[str]] = [[] for _ in range(1 + max(strip.row for strip in strips))]
    for strip in strips:
        rows[strip.row].append(strip.lead)
    to_image = _to_image(page, scale, image_size)
    return ECGReading(
        status="partial" if missing else "read",
        reason=f"the page shows {12 - len(missing)} of 12 leads; missing: {', '.join(missing)}" if missing else None,
        signal=signal,
        confidence=confidence,
        layout={"name": _layout_name(rows), "rows": rows},
        quality=QUALITY,
        speed=scale.speed,
        gain=scale.gain,
        columns=(columns, "assumed"),
        strips=[
            _described(strip, start, len(values), to_image)
            for strip, start, values in zip(strips, starts, read, strict=True)
        ],
        heart_rate_bpm=heart_rate(signal, confidence),
        lead_law_residual_uv=law_residual_uv(signal),
        grid_px_per_mm=scale.x * image_size[1] / page.size[0],
        source="vectors",
    )


def _layout_name(rows: list[list[str]]) -> str:
    """The known layout of these rows (rhythm strips may show any lead), else their numbers."""
    for layout in LAYOUTS.values():
        upper = len(layout.rows) - layout.rhythm_rows
        known = [list(row) for row in layout.rows[:upper]]
        if len(rows) == len(layout.rows) and rows[:upper] == known and all(len(row) == 1 for row in rows[upper:]):
            return layout.name
    return f"{len(rows)}x{max(map(len, rows))}"


def _to_image(page: VectorPage, scale: _Scale, image_size: tuple[int, int]) -> np.ndarray:
    """(2, 3) from the strips' millimetres to the picture's pixels."""
    height, width = image_size
    pixels = np.array([[width / page.size[0]], [height / page.size[1]]])
    return pixels * page.to_shown * (scale.x, scale.y, 1.0) - [[0, 0, 0.5]]


def _described(strip: Strip, start: float, samples: int, to_image: np.ndarray) -> dict[str, Any]:
    left, right = strip.points[0, 0], strip.points[-1, 0]
    corners = np.array([(left, -6.0), (right, -6.0), (right, 6.0), (left, 6.0)]) + (0.0, strip.zero)

    def pixels(points: np.ndarray) -> np.ndarray:
        return points @ to_image[:, :2].T + to_image[:, 2]

    return {
        "lead": strip.lead,
        "row": strip.row,
        "column": strip.column,
        "start_s": start,
        "end_s": start + samples / SAMPLING_RATE,
        "confidence": CONFIDENCE,
        "name_probability": 1.0,
        "polyline_px": pixels(strip.points),
        "outline_px": pixels(corners),
    }
