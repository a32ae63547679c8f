"""From columns read along strips to a reading: millivolts on a time axis, confidence, quality and reasons."""

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from .edges_ecgscan import soft_edge
from .laws_ecgscan import agreed, law_residual_uv
from .readings_ecgscan import ECGReading, Located
from .rectifying_ecgscan import StripColumns
from .strips_ecgscan import LEADS, STANDARD_ROW_MM, FoundStrip
from .timing_ecgscan import out_of_step
from .witnesses_ecgscan import recorded_at_once, rhythm_residual_uv

SAMPLING_RATE = 500
_SURE_SPREAD_MM = 0.8
_QUARTER_S, _NEAR_S = 0.008, 0.06  # of a column's width and of a strip's start, for the regular time to hold
_WHOLE_S = (5.0, 10.0)  # that the rows of whole pages last
_JOINED_MM, _FARTHER_MM = 0.7, 3.0  # ours: from a strip's usual end, for it to hold, and where most ends are near
_SAME_MM = 0.5  # of a strip's start, for its column's to hold
_HIDDEN_MM = 4.0  # ours: by which a strip may seem to begin late, as behind a steep wave, where columns are regular
_AGREE_MM = 0.3  # ours: of all columns but one from regular places, for those to hold
_PRINTED_WIDE = 0.02  # by how much a whole page may be printed too wide
_LEAST_CONFIDENCE = 0.3  # mean over the strips, below which they show no traces


def nothing_read(reason: str, quality: float) -> ECGReading:
    """A reading of a page on which nothing could be read."""
    return ECGReading(
        status="no_ecg",
        reason=reason,
        signal=np.full((len(LEADS), 10 * SAMPLING_RATE), np.nan, np.float32),
        confidence=np.zeros((len(LEADS), 10 * SAMPLING_RATE), np.float32),
        layout={"name": "none", "rows": []},
        quality=quality,
    )


def strip_times(strips: list[FoundStrip], speed: float, columns: str) -> list[tuple[float, float]]:
    """When each strip was recorded, in seconds from the first moment on the page."""
    first = min(strip.start_mm for strip in strips)
    regular = _spacing(strips, speed)
    times = []
    for strip in strips:
        start = 0.0 if columns == "simultaneous" else (strip.start_mm - first) / speed
        if columns == "sequential" and regular and abs(start - strip.column * regular[1] / speed) < _NEAR_S:
            start = strip.column * regular[0]
        times.append((start, start + (strip.end_mm - strip.start_mm) / speed))
    return times


def settled_starts(strips: list[FoundStrip], traces: list[StripColumns], speed: float) -> list[FoundStrip]:
    """Strips that begin where all of them together show that they do, the clearest beginnings counting most.

    Strips of one column begin together; where columns are regular, one place settles them all, also those whose
    beginning a steep wave hides.
    """
    regular = _spacing(strips, speed)
    edges = [soft_edge(trace, strip.start_mm) for strip, trace in zip(strips, traces, strict=True)]
    shares = np.array([weight for _, weight in edges])
    if regular is not None:
        apart = np.array([strip.column * regular[1] for strip in strips])
        near = _NEAR_S * speed
        places = apart + _weighted_median(np.array([place for place, _ in edges]) - apart, shares)
    else:
        columns = np.array([strip.column for strip in strips])
        near = _SAME_MM
        found = np.array([place for place, _ in edges])
        places = np.array([_weighted_median(found[columns == c], shares[columns == c]) for c in columns])
    late = near if regular is None else _HIDDEN_MM
    return [
        replace(strip, start_mm=float(place)) if -near < strip.start_mm - place < late else strip
        for strip, place in zip(strips, places, strict=True)
    ]


def settled_ends(strips: list[FoundStrip], speed: float) -> list[FoundStrip]:
    """Strips that end after the seconds that machines print, where their ends were found near them.

    A column ends where the next one begins, unless they stand clearly apart; a row lasts 5 or 10 s. Where most ends
    say so, those farther off do too: a steep wave at an end may look like no more than a stroke beside it.
    """
    regular = _spacing(strips, speed)
    usual = []
    for strip in strips:
        rows = [seconds * speed for seconds in _WHOLE_S]
        lengths = np.array([*rows, *((regular[0] * speed, regular[1]) if regular and not strip.is_rhythm else ())])
        off = strip.start_mm + lengths - strip.end_mm
        usual.append(float(off[np.abs(off).argmin()]))
    last = max(strip.end_mm for strip in strips) - _FARTHER_MM
    inner = [abs(off) for strip, off in zip(strips, usual, strict=True) if strip.end_mm < last]
    near = _FARTHER_MM if not inner or np.median(inner) < _JOINED_MM else _JOINED_MM
    return [
        replace(strip, end_mm=strip.end_mm + off) if abs(off) < near else strip
        for strip, off in zip(strips, usual, strict=True)
    ]


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    # halfway between the weights, so that few values are interpolated
    return float(np.interp(total[-1] / 2, total - weights[order] / 2, values[order]))


def _column_starts(strips: list[FoundStrip]) -> dict[int, float]:
    """Where (mm) each column begins."""
    starts: dict[int, list[float]] = {}
    for strip in strips:
        starts.setdefault(strip.column, []).append(strip.start_mm)
    return {column: float(np.median(places)) for column, places in starts.items()}


def _spacing(strips: list[FoundStrip], speed: float) -> tuple[float, float] | None:
    """Seconds and millimetres from one column to the next, where that is a multiple of a quarter second, else None.

    So it is on every machine we know. Pages of ten or five seconds may be printed a little too narrow or too wide;
    another length must fit exactly, as a part of a page may have any.
    """
    middles = _column_starts(strips)
    if len(middles) < 2:
        return None
    spacing = float(np.median([(middles[b] - middles[a]) / (b - a) for a, b in combinations(sorted(middles), 2)]))
    usual = round(spacing / speed * 4) / 4
    off = abs(spacing / speed - usual)
    if usual == 0:
        return None
    apart = np.array([middles[column] - column * usual * speed for column in sorted(middles)])
    if len(apart) > 2 and (np.abs(apart - np.median(apart)) < _AGREE_MM).sum() >= len(apart) - 1:
        return usual, usual * speed
    whole = usual * len(middles) in _WHOLE_S and off < _PRINTED_WIDE * usual
    # rows of the right length are not printed too wide: inner beginnings, under names or in joined traces, err
    length = max(strip.end_mm for strip in strips) - min(strip.start_mm for strip in strips)
    if off < _QUARTER_S or (whole and abs(length / len(middles) / speed - usual) < _QUARTER_S):
        return usual, usual * speed
    return (usual, spacing) if whole else None


def column_confidence(columns: StripColumns) -> np.ndarray:
    """0 to 1 per column: the trace is there, and its height is sure."""
    return columns.presence * np.exp(-((columns.spread_mm / _SURE_SPREAD_MM) ** 2) / 2)


def _place(
    located: Located,
    strip: FoundStrip,
    columns: StripColumns,
    start_s: float,
    scale: tuple[float, float],
    samples: int,
    late: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[slice, np.ndarray, np.ndarray]:
    """Millivolts and confidence of a strip on the page's 500 Hz time axis; none where it runs out of the picture.

    Args:
        scale: paper speed (mm/s) and gain (mm/mV).
        late: moments (s) and by how much (s) what is printed there is read late, as `out_of_step` tells it.
    """
    from scipy.interpolate import CubicSpline

    speed, gain = scale
    duration = (strip.end_mm - strip.start_mm) / speed
    # a sample that the strip touches belongs to it
    first = int(np.floor(start_s * SAMPLING_RATE + 1e-6))
    last = min(samples, int(np.ceil((start_s + duration) * SAMPLING_RATE - 1e-6)) + 1)
    last = max(first, last)
    times = np.arange(first, last) / SAMPLING_RATE - start_s
    moved = 0.0 if late is None else np.interp(times + start_s, *late)
    x = strip.start_mm + (times + moved) * speed
    millivolts = CubicSpline(columns.x_mm, columns.height_mm)(x) / gain
    sure = np.interp(x, columns.x_mm, column_confidence(columns))
    # beyond the picture's edge there is nothing to follow but the edge
    lines = np.stack([np.full(len(x), strip.baseline_mm), strip.baseline_mm - millivolts * gain])
    pixels = located.geometry.image_of(np.stack([np.stack([x, x]), lines], -1).reshape(-1, 2)).reshape(2, -1, 2)
    height, width = located.image_size
    seen = ((pixels > -0.5) & (pixels < (width - 0.5, height - 0.5))).all((0, 2))
    return slice(first, last), np.where(seen, millivolts, np.nan), np.where(seen, sure, 0.0)


def _placed(
    located: Located,
    strips: list[FoundStrip],
    traces: list[StripColumns],
    times: list[tuple[float, float]],
    order: list[int],
    scale: tuple[float, float],
    samples: int,
    late: dict[int, tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Millivolts and confidence (12, samples) of the page, later strips of `order` over earlier ones of their lead,
    and the mean confidence of every strip."""
    signal = np.full((len(LEADS), samples), np.nan, np.float32)
    confidence = np.zeros((len(LEADS), samples), np.float32)
    sures = [0.0] * len(strips)
    for k in order:
        lead = LEADS.index(strips[k].lead)
        where, millivolts, sure = _place(located, strips[k], traces[k], times[k][0], scale, samples, late.get(lead))
        signal[lead], confidence[lead] = np.nan, 0.0
        signal[lead, where], confidence[lead, where] = millivolts, sure
        sures[k] = float(sure.mean()) if len(sure) else 0.0
    return signal, confidence, sures


def heart_rate(signal: np.ndarray, confidence: np.ndarray) -> float | None:
    """Beats per minute from the R peaks of the longest leads, or None where fewer than three are sure."""
    from scipy.ndimage import uniform_filter1d
    from scipy.signal import find_peaks

    printed = np.isfinite(signal).sum(1)
    if printed.max(initial=0) < 2 * SAMPLING_RATE:
        return None
    sure = np.where(printed > 0, confidence.sum(1) / np.maximum(printed, 1), 0.0)
    order = np.argsort(-(printed + 100 * sure))
    rates = []
    for lead in order[: max(1, int((printed >= printed.max() * 0.98).sum()))]:
        values = signal[lead][np.isfinite(signal[lead])]
        energy = uniform_filter1d(np.gradient(uniform_filter1d(values, 7)) ** 2, 50)
        threshold = 0.3 * np.percentile(energy, 98)
        peaks, _ = find_peaks(energy, height=threshold, distance=int(0.27 * SAMPLING_RATE))
        if len(peaks) >= 3:
            rates.append(60.0 * SAMPLING_RATE / np.median(np.diff(peaks)))
    return float(np.median(rates)) if rates else None


def quality_of(features: dict[str, float], calibration: dict[str, Any]) -> float:
    """Calibrated probability that the reading reaches 10 dB."""
    weights = calibration.get("quality")
    if not weights:
        return float(np.clip(features["confidence"], 0, 1))
    logit = weights["bias"] + sum(weights[name] * features[name] for name in features if name in weights)
    return float(1.0 / (1.0 + np.exp(-np.clip(logit, -30, 30))))


def _features(
    located: Located,
    strips: list[FoundStrip],
    traces: list[StripColumns],
    residual_uv: float | None,
    rhythm_uv: float | None,
    scale_sure: float,
) -> dict[str, float]:
    sure = np.concatenate(
        [column_confidence(t)[(t.x_mm > s.start_mm) & (t.x_mm < s.end_mm)] for s, t in zip(strips, traces, strict=True)]
    )
    amplitude = located.geometry.amplitude
    length = max(strip.end_mm for strip in strips) - min(strip.start_mm for strip in strips)
    return {
        "confidence": float(sure.mean()),
        "weakest": float(np.percentile(sure, 10)),
        "grid": float(np.percentile(amplitude, 75)),
        "grid_residual": float(np.nan_to_num(located.geometry.residual_mm, nan=1.0)),
        "names": float(np.mean([strip.name_probability for strip in strips])),
        "layout": float(located.layout.score_per_mm),
        "ecg": located.ecg_probability,
        "law": float(min(residual_uv, 300.0) / 100.0) if residual_uv is not None else 0.6,
        "rhythm": float(min(rhythm_uv, 300.0) / 100.0) if rhythm_uv is not None else 0.6,
        "leads": len({strip.lead for strip in strips}) / 12.0,
        "unusual_length": float(min(abs(np.log(length / STANDARD_ROW_MM)), 0.3)) * 10.0,
        "scale": scale_sure,
        "printed": located.layout.printed,
        "gridded": float(located.gridded),
        "met": located.geometry.met,
    }


def report(
    located: Located,
    strips: list[FoundStrip],
    traces: list[StripColumns],
    *,
    speed: tuple[float, float],
    gain: tuple[float, float],
    columns: str | None,
    calibration: dict[str, Any],
) -> ECGReading:
    """Put a reading together.

    Args:
        speed, gain: mm/s and mm/mV, each with its probability.
        columns: "sequential" or "simultaneous"; None where rhythm strips are to tell, sequential if none does.
    """
    strips = settled_ends(settled_starts(strips, traces, speed[0]), speed[0])
    at_once = recorded_at_once(strips, traces)
    if columns is None:
        columns = "simultaneous" if at_once else "sequential"
    times = strip_times(strips, speed[0], columns)
    end = max(stop for _, stop in times)
    samples = 10 * SAMPLING_RATE if abs(end - 10.0) < 0.25 else int(np.ceil(end * SAMPLING_RATE))
    # of two strips of a lead the longer one counts, unless its name is in doubt
    order = sorted(
        range(len(strips)),
        key=lambda k: (not strips[k].is_rhythm or strips[k].name_probability > 0.5, times[k][1] - times[k][0]),
    )
    scale = speed[0], gain[0]
    signal, confidence, sures = _placed(located, strips, traces, times, order, scale, samples, {})
    if at_once is None or at_once == (columns == "simultaneous"):
        late = out_of_step(signal, confidence)
        if late:
            signal, confidence, sures = _placed(located, strips, traces, times, order, scale, samples, late)
    first = min(strip.start_mm for strip in strips)
    moved_s = np.zeros_like(confidence)
    for k in order if columns == "sequential" else []:
        moved_s[LEADS.index(strips[k].lead)] = times[k][0] - (strips[k].start_mm - first) / speed[0]
    residual = law_residual_uv(signal)
    rhythm = rhythm_residual_uv(strips, traces, gain[0], columns)
    features = _features(located, strips, traces, residual, rhythm, speed[1] * gain[1])
    quality = quality_of(features, calibration)
    if features["confidence"] < calibration.get("confidence_threshold", _LEAST_CONFIDENCE):
        return replace(
            nothing_read("no trace that could be followed was found on the page", quality), features=features
        )
    read_source = calibration.get("scale_threshold", 0.9)
    missing = [lead for lead in LEADS if lead not in {strip.lead for strip in strips}]
    rows: list[list[str]] = [[] for _ in range(1 + max(strip.row for strip in strips))]
    for strip in strips:
        rows[strip.row].append(strip.lead)
    return ECGReading(
        status="partial" if missing else "read",
        reason=f"the page shows {12 - len(missing)} of 12 leads; missing: {', '.join(missing)}" if missing else None,
        signal=agreed(signal, confidence, moved_s),
        confidence=confidence,
        layout={"name": located.layout.name, "rows": rows},
        quality=quality,
        speed=(speed[0], "read" if speed[1] >= read_source else "assumed"),
        gain=(gain[0], "read" if gain[1] >= read_source else "assumed"),
        columns=(columns, "read" if at_once == (columns == "simultaneous") else "assumed"),
        strips=[_describe(located, *parts) for parts in zip(strips, traces, times, sures, strict=True)],
        heart_rate_bpm=heart_rate(signal, confidence),
        lead_law_residual_uv=residual,
        rhythm_residual_uv=rhythm,
        grid_px_per_mm=located.geometry.px_per_mm(),
        features=features,
        warnings=_columns_warning(columns, at_once),
    )


def _columns_warning(columns: str, at_once: bool | None) -> list[str]:
    """What the rhythm strips say against the way in which the columns were taken to be recorded."""
    told = "simultaneous" if at_once else "sequential"
    if at_once is None or told == columns:
        return []
    return [
        f"rhythm strips show that the columns are {told}, but {columns} was taken: read again with --columns {told}"
    ]


def _describe(
    located: Located, strip: FoundStrip, trace: StripColumns, time: tuple[float, float], confidence: float
) -> dict[str, Any]:
    on = (trace.x_mm >= strip.start_mm) & (trace.x_mm <= strip.end_mm)
    line = np.stack([trace.x_mm[on], strip.baseline_mm - trace.height_mm[on]], axis=1)
    along = np.linspace(strip.start_mm, strip.end_mm, 24)
    outline = np.concatenate(
        [
            np.stack([along, np.full(24, strip.baseline_mm - 6)], 1),
            np.stack([along[::-1], np.full(24, strip.baseline_mm + 6)], 1),
        ]
    )
    return {
        "lead": strip.lead,
        "row": strip.row,
        "column": strip.column,
        "start_s": time[0],
        "end_s": time[1],
        "confidence": confidence,
        "name_probability": strip.name_probability,
        "polyline_px": located.geometry.image_of(line),
        "outline_px": located.geometry.image_of(outline),
    }
