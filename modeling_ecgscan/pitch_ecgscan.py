"""The pitch of the printed grid in a picture, where the phase shows it better than the slopes that were predicted.

The locator tells both where a place lies within a 5 mm square, which it sees, and how many millimetres a pixel is,
which it must judge by the whole page. The latter may be off by a third while the former is right: the phase of a
part of the page then turns at another rate than the slopes say, and at the same one in all parts.
"""

import cv2
import numpy as np

_PART_CELLS = 24
_LOG_SCALES = np.arange(-25, 26) * 0.02
_LEAST_SEEN = 0.15  # mean amplitude from which a part shows the grid
_LEAST_VISIBLE = 0.25  # amplitude that a quarter of the cells must reach
# ours: coherence that another scale must show, and how much more of it than the predicted one
_COHERENT, _GAIN = 0.4, 0.2
_OFF = 0.1  # of the scale (logarithm), up to which the unwrapping finds the way by itself
_BAND = 0.45  # of the pitch, beyond which a phase is another's
_NEAR_CELLS = 2.0


def pitch_ratio(turned: np.ndarray, slopes: np.ndarray) -> float:
    """How many times faster the phase turns than predicted, 1 where that is not clear.

    Args:
        turned: (2, rows, columns) complex, the phase along x and along y with the grid's visibility as amplitude.
        slopes: (2, 2, rows, columns) predicted turns per cell of each phase, along columns and along rows.
    """
    if np.percentile(np.abs(turned), 75) < _LEAST_VISIBLE:
        return 1.0
    coherence = np.zeros(len(_LOG_SCALES))
    for phase, slope in zip(turned, slopes, strict=True):
        found = _coherence(phase, slope)
        if found is None:
            return 1.0
        coherence += found / 2
    best, as_it_is = int(coherence.argmax()), coherence[len(_LOG_SCALES) // 2]
    clearer = coherence[best] > max(_COHERENT, as_it_is + _GAIN)
    return float(np.exp(_LOG_SCALES[best])) if clearer and abs(_LOG_SCALES[best]) > _OFF else 1.0


def at_pitch(turned: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """A phase without what turns much faster or slower than the slopes say, as where one square looks like two.

    Args:
        turned: (rows, columns) complex.
        slope: (2, rows, columns) turns per cell, good to some per cent in the middle of what is seen.
    """
    rows, columns = turned.shape
    across, along = np.fft.fftfreq(2 * rows)[:, None], np.fft.fftfreq(2 * columns)
    right, down = np.median(slope[:, np.abs(turned) > _LEAST_SEEN], axis=1)
    off = np.hypot(along - right, across - down) / np.hypot(right, down)
    spectrum = np.fft.fft2(turned, (2 * rows, 2 * columns)) * np.exp(-((off / _BAND) ** 4))
    return np.fft.ifft2(spectrum)[:rows, :columns]


def turning_as(surface: np.ndarray, turned: np.ndarray) -> np.ndarray:
    """A phase without what turns otherwise than a map in turns does, whose neighbourhoods then agree."""
    carrier = np.exp(2j * np.pi * surface)
    slow = turned / carrier
    parts = (cv2.GaussianBlur(np.ascontiguousarray(part), (0, 0), _NEAR_CELLS) for part in (slow.real, slow.imag))
    return (next(parts) + 1j * next(parts)) * carrier


def _coherence(phase: np.ndarray, slope: np.ndarray) -> np.ndarray | None:
    """(scales,) 0 to 1, how well the phase turns everywhere as the slopes times a scale say; None if it is not seen."""
    size = _PART_CELLS
    place = 2j * np.pi * np.exp(_LOG_SCALES)[:, None] * (np.arange(size) - (size - 1) / 2)
    total, seen = np.zeros(len(_LOG_SCALES)), 0.0
    for top in range(0, phase.shape[0] - size + 1, size // 2):
        for left in range(0, phase.shape[1] - size + 1, size // 2):
            part = np.s_[top : top + size, left : left + size]
            weight = float(np.abs(phase[part]).sum())
            if weight < _LEAST_SEEN * size * size:
                continue
            along, across = (np.exp(-place * np.median(way[part])) for way in slope)
            total += np.abs(((across @ phase[part]) * along).sum(1))
            seen += weight
    return total / seen if seen else None
