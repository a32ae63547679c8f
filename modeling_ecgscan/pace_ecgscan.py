"""Paper that ran at 12.5 mm/s, told by the hearts on it: at twice their pace beats are narrower than any heart's.

No network tells this speed. Rows that last ten seconds at 12.5 mm/s are as long as five at 25 mm/s; which of the two
they are, the shape of the beats says (ours: shares of a recording's power by frequency, and its mean interval).
"""

from itertools import pairwise
from typing import Any

import numpy as np

from .beats_ecgscan import FS, find_beats, usable
from .readings_ecgscan import ECGReading
from .strips_ecgscan import FoundStrip
from .terms_ecgscan import SPEEDS

SLOW = 12.5  # mm/s
BANDS_HZ = (1.0, 2.0, 4.0, 6.0, 8.0, 11.0, 15.0, 20.0, 27.0, 36.0)
_POINTS = 8192  # of the spectrum
_LONGEST_MM = 138.0  # ten seconds at this speed are 125 mm
_COLUMN_MM = 40.0  # no machine prints columns as short as this at 25 mm/s
_SHORT_COLUMNS = 4.0  # log odds
_DOUBT = 3.0  # log odds within which the user is told


def pace_features(signal: np.ndarray, confidence: np.ndarray | None = None) -> np.ndarray | None:
    """(bands + 1,) logarithms: the shares of power in `BANDS_HZ`, and the mean interval in seconds.

    Args:
        signal: (12, samples) millivolts at 500 Hz, NaN where nothing is shown.
        confidence: (12, samples); leads that are not sure are left out.

    Returns:
        None where fewer than three beats are found.
    """
    values = usable(signal, confidence)
    beats = find_beats(values)
    if beats is None:
        return None
    hertz = np.fft.rfftfreq(_POINTS, 1 / FS)
    power = np.zeros(len(BANDS_HZ) - 1)
    for row in values:
        known = np.flatnonzero(np.isfinite(row))
        if len(known) < FS // 2:
            continue
        shown = np.interp(np.arange(known[0], known[-1] + 1), known, row[known])
        edge = len(shown) // 20
        level = np.linspace(shown[:edge].mean(), shown[-edge:].mean(), len(shown))
        spectrum = np.abs(np.fft.rfft((shown - level) * np.hanning(len(shown)), _POINTS)) ** 2 / len(shown)
        power += [spectrum[(hertz >= low) & (hertz < high)].sum() for low, high in pairwise(BANDS_HZ)]
    return np.append(np.log(power / power.sum() + 1e-6), np.log(beats.period_s))


def too_narrow(reading: ECGReading, strips: list[FoundStrip], calibration: dict[str, Any]) -> float | None:
    """Log odds that a page taken for 25 mm/s ran at 12.5; None where its rows are too long for that, or
    where the checkpoint holds no such weights.

    Args:
        strips: in true millimetres.
        calibration: `pace`, weights of `pace_features` and a bias at the end, as `hub_scripts.pace_calibration` fits
            them.
    """
    first, last = min(strip.start_mm for strip in strips), max(strip.end_mm for strip in strips)
    weights = calibration.get("pace")
    if weights is None or reading.speed[0] != SPEEDS[0] or last - first > _LONGEST_MM:
        return None
    features = pace_features(reading.signal, reading.confidence)
    if features is None:
        return None
    columns = 1 + max(strip.column for strip in strips)
    narrow_columns = columns > 1 and (last - first) / columns < _COLUMN_MM
    return float(features @ weights[:-1] + weights[-1]) + _SHORT_COLUMNS * narrow_columns


def pace_warning(odds: float) -> list[str]:
    """What the user is to know of a page whose rows last as long at either speed."""
    if odds < -_DOUBT:
        return []
    taken, width = (SLOW, "too narrow") if odds > 0 else (SPEEDS[0], "hardly wide enough")
    return [
        f"the rows may have run at 12.5 or at 25 mm/s: {taken:g} mm/s was taken, as the beats are {width} for 25 mm/s; "
        "compare with the page"
    ]


__all__ = ["BANDS_HZ", "SLOW", "pace_features", "pace_warning", "too_narrow"]
