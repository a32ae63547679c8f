"""Leads printed twice: what a rhythm strip tells of its lead's short strip, and of when columns were recorded."""

import numpy as np

from .rectifying_ecgscan import StripColumns
from .strips_ecgscan import FoundStrip

_SHIFTS_MM = (-0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6)
_LEAST_MM = 10.0  # of a short strip, to be compared
_SAME, _OTHER = 0.9, 0.6  # share of the variance explained where waves are the same, and where they are not


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
    """Whether all columns show the same moment, as rhythm strips tell it, or None where none tells.

    The waves of a later column stand in the rhythm strip of its lead below that column where columns follow one
    another, and at the strip's beginning where they were recorded at the same moment.
    """
    said = []
    for long, short in _pairs(strips):
        if strips[short].column == 0:
            continue
        below = likeness(columns[long], columns[short], strips[short])
        first = likeness(columns[long], columns[short], strips[short], strips[long].start_mm - strips[short].start_mm)
        if max(below, first) > _SAME and min(below, first) < _OTHER:
            said.append(first > below)
    return said[0] if said and len(set(said)) == 1 else None


def _pairs(strips: list[FoundStrip]) -> list[tuple[int, int]]:
    """Indices of the rhythm strip and the short strip of every lead that is printed as both."""
    return [
        (long, short)
        for long, rhythm in enumerate(strips)
        for short, strip in enumerate(strips)
        if rhythm.is_rhythm and not strip.is_rhythm and rhythm.lead == strip.lead
    ]
