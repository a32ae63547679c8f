"""Leads printed twice: what a rhythm strip tells of its lead's short strip, and of when columns were recorded."""

import numpy as np

from .rectifying_ecgscan import StripColumns
from .strips_ecgscan import FoundStrip

_SHIFTS_MM = (-0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6)
_LEAST_MM = 10.0  # of a short strip, to be compared
_STEP_MM, _LEAST_BEATS_MM = 0.2, 20.0  # between places where beats are looked for, and of a column to show some
_BEATS_SHIFTS_MM = (-0.8, -0.4, 0.0, 0.4, 0.8)
# ours, of correlations: of 72 rendered validation pages, half of each kind, 68 are as clear, all of them right
_BEATS_SEEN, _TOLD_CLEARLY = 0.5, 0.3


def compared(rhythm: StripColumns, short: StripColumns, strip: FoundStrip, aside_mm: float = 0.0) -> np.ndarray | None:
    """Heights (mm) of a short strip and of a rhythm strip over its place, or None where it is too short.

    Args:
        aside_mm: how far to the right of the short strip's place the rhythm strip is looked at.

    Returns:
        (1 + shifts, places): the short strip, then the rhythm strip at some shifts within a little over half a
        millimetre.
    """
    x = np.arange(strip.start_mm + 1.0, strip.end_mm - 1.0, 0.2)
    if len(x) < _LEAST_MM / 0.2 or x[0] + aside_mm < rhythm.x_mm[0]:
        return None
    found = [np.interp(x + aside_mm + shift, rhythm.x_mm, rhythm.height_mm) for shift in _SHIFTS_MM]
    return np.stack([np.interp(x, short.x_mm, short.height_mm), *found])


def likeness(rhythm: StripColumns, short: StripColumns, strip: FoundStrip, aside_mm: float = 0.0) -> float:
    """Share of a short strip's variance that a rhythm strip explains over its place, at the best shift.

    The mean of two shares: of waves as they are, and of waves of any size, as one row may have been followed badly.
    """
    heights = compared(rhythm, short, strip, aside_mm)
    if heights is None or heights.std(1).min() < 1e-3:
        return 0.0
    own, found = heights[0], heights[1:]
    alike = max(max(float(np.corrcoef(own, other)[0, 1]), 0.0) ** 2 for other in found)
    same = max(max(1.0 - float((own - other).var() / own.var()), 0.0) for other in found)
    return (alike + same) / 2


def rhythm_residual_uv(
    strips: list[FoundStrip], columns: list[StripColumns], gain: float, mode: str = "sequential"
) -> float | None:
    """Mean absolute difference (uV) between rhythm strips and the short strips of the same leads, over the same time.

    Levels are left out. None where no lead is printed twice at the same time.

    Args:
        gain: mm/mV.
        mode: "sequential", or "simultaneous" where all columns show the same moment.
    """
    apart = []
    for long, short in _pairs(strips):
        aside = strips[long].start_mm - strips[short].start_mm if mode == "simultaneous" else 0.0
        heights = compared(columns[long], columns[short], strips[short], aside)
        if heights is not None:
            gaps = heights[1:] - heights[0]
            apart.append(float(np.abs(gaps - np.median(gaps, axis=1, keepdims=True)).mean(1).min()))
    return 1000.0 * float(np.mean(apart)) / gain if apart else None


def recorded_at_once(strips: list[FoundStrip], columns: list[StripColumns]) -> bool | None:
    """Whether all columns show the same moment, as rhythm strips tell it, or None where none tells clearly.

    The beats of a later column stand below it in the rhythm strips where columns follow one another, and at the rhythm
    strips' beginning where they were recorded at the same moment, whichever leads they are.
    """
    rhythm = [trace for strip, trace in zip(strips, columns, strict=True) if strip.is_rhythm]
    if not rhythm:
        return None
    first = float(np.median([strip.start_mm for strip in strips if strip.is_rhythm]))
    alike = []
    for column in {strip.column for strip in strips if not strip.is_rhythm and strip.column > 0}:
        members = [k for k, strip in enumerate(strips) if not strip.is_rhythm and strip.column == column]
        start, end = np.median([(strips[k].start_mm, strips[k].end_mm) for k in members], axis=0)
        x = np.arange(start + 1.5, end - 1.5, _STEP_MM)
        if len(x) * _STEP_MM < _LEAST_BEATS_MM:
            continue
        beats = _steepness([columns[k] for k in members], x)
        alike.append([_alike(beats, rhythm, x + aside) for aside in (0.0, first - start)])
    if not alike:
        return None
    below, at_first = np.mean(alike, axis=0)
    if max(below, at_first) < _BEATS_SEEN or abs(at_first - below) < _TOLD_CLEARLY:
        return None
    return bool(at_first > below)


def _alike(beats: np.ndarray, rhythm: list[StripColumns], x_mm: np.ndarray) -> float:
    """Correlation of a column's steepness with that of rhythm strips at some places, at the best shift; 0 if flat."""
    others = [_steepness(rhythm, x_mm + shift) for shift in _BEATS_SHIFTS_MM]
    if min(beats.std(), *(other.std() for other in others)) < 1e-9:
        return 0.0
    return max(float(np.corrcoef(beats, other)[0, 1]) for other in others)


def _steepness(traces: list[StripColumns], x_mm: np.ndarray) -> np.ndarray:
    """How steep some traces are together, over a millimetre around each place: most where they show a QRS complex."""
    total = np.zeros(len(x_mm))
    for trace in traces:
        slope = np.abs(np.gradient(np.interp(x_mm, trace.x_mm, trace.height_mm)))
        slope = np.minimum(slope, np.percentile(slope, 98))
        width = round(1.0 / _STEP_MM)
        slope = np.convolve(slope, np.full(width, 1.0 / width), "same")
        total += slope / max(float(slope.std()), 1e-6)
    return total


def _pairs(strips: list[FoundStrip]) -> list[tuple[int, int]]:
    """Indices of the rhythm strip and the short strip of every lead that is printed as both."""
    return [
        (long, short)
        for long, rhythm in enumerate(strips)
        for short, strip in enumerate(strips)
        if rhythm.is_rhythm and not strip.is_rhythm and rhythm.lead == strip.lead
    ]
