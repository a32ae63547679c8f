"""Where the waves of a median beat begin and end, judged from all leads together.

Machines and cardiologists measure intervals globally: from the earliest beginning to the latest end in any lead. The
leads of the median beat share their time, also where the page shows them one after another. neurokit2 0.2.13 was tried
instead, lead by lead and on the magnitude of the median beat: it took ten times as long, and its QRS widths (median 167
to 178 ms by "dwt", 31 or 112 by "prominence", none of QT by "cwt") were not those of the recordings.
"""

from dataclasses import dataclass

import numpy as np

from modeling_ecgscan.beats_ecgscan import FS

from .median_beat import MedianBeat

_QRS_REACH = 75  # samples before and after the beat's moment within which the complex lies
_TOP_REACH = 30
_NEAR_QRS = 0.09  # of the steepest slope, below which the QRS has not begun or is over
_QUIET = 7  # samples in a row that have to stay below, so that a notch does not end it
_AFTER_QRS = 30
_T_TOP, _T_END = 0.52, 0.66  # seconds after the QRS onset at 60 a minute; both go with the root of the interval
_LEAST_T_MV, _LEAST_P_MV = 0.03, 0.005
_T_FALL, _P_RISE = 80, 50  # samples that the steep side of a wave takes at most
_P_REACH = 160
_P_HALF = 35


@dataclass(frozen=True)
class PWave:
    """Samples within the median beat, and how alike (-1 to 1) the wave is before every single beat."""

    onset: int
    top: int
    alike: float


def qrs_bounds(beat: MedianBeat) -> tuple[int, int] | None:
    """First and last sample of the QRS, or None where it does not stand out."""
    from scipy.ndimage import gaussian_filter1d

    low, high = max(0, beat.centre - _QRS_REACH), beat.centre + _QRS_REACH
    shown = beat.leads[np.isfinite(beat.leads[:, low:high]).all(1), low:high]
    if not len(shown) or shown.shape[1] < _QRS_REACH + _TOP_REACH:
        return None
    steep = np.sqrt((np.gradient(gaussian_filter1d(shown, 1.5, axis=1), axis=1) ** 2).mean(0))
    middle = beat.centre - low
    around = max(0, middle - _TOP_REACH)
    top = around + int(np.argmax(steep[around : middle + _TOP_REACH]))
    limit = _NEAR_QRS * steep[top]
    before, after = _goes_quiet(steep[: top + 1][::-1], limit), _goes_quiet(steep[top:], limit)
    if before is None or after is None:
        return None
    return low + top - before, low + top + after


def _goes_quiet(values: np.ndarray, limit: float) -> int | None:
    """First place from which `_QUIET` values in a row stay below the limit."""
    if len(values) < _QUIET:
        return None
    below = np.convolve(values < limit, np.ones(_QUIET), "valid") > _QUIET - 0.5
    return int(np.argmax(below)) if below.any() else None


def _shared_course(beat: MedianBeat, part: np.ndarray, until: int, smooth: float) -> np.ndarray | None:
    """(samples,) what the leads of `part` (12, samples) have in common, in mV: their first principal component.

    Its highest place up to `until` is turned upward; leads of few beats count less. None where no lead shows it all.
    """
    from scipy.ndimage import gaussian_filter1d

    known = np.isfinite(part).all(1)
    if not known.any():
        return None
    weights = np.sqrt(beat.counts[known] / beat.counts.max())
    _, sizes, courses = np.linalg.svd(part[known] * weights[:, None], full_matrices=False)
    course = gaussian_filter1d(courses[0] * sizes[0] / np.linalg.norm(weights), smooth)
    return course if course[np.argmax(np.abs(course[:until]))] > 0 else -course


def t_end(beat: MedianBeat, qrs: tuple[int, int], period_s: float) -> int | None:
    """Where the steepest tangent behind the T wave's top meets the isoelectric line, or None without a T wave."""
    first = qrs[1] + _AFTER_QRS
    until = qrs[0] + int(_T_TOP * period_s**0.5 * FS) - first
    last = min(beat.leads.shape[1], qrs[0] + int(_T_END * period_s**0.5 * FS))
    if until < _AFTER_QRS or last - first < until:
        return None
    course = _shared_course(beat, beat.leads[:, first:last], until, smooth=5)
    if course is None:
        return None
    top = int(np.argmax(course[:until]))
    slope = np.gradient(course)
    steepest = top + int(np.argmin(slope[top : top + _T_FALL]))
    if course[top] < _LEAST_T_MV or slope[steepest] >= 0:
        return None
    rest = float(np.clip(course[steepest:].min(), -0.2 * course[top], 0.2 * course[top]))
    end = steepest + int(round((course[steepest] - rest) / -slope[steepest]))
    # beyond what is looked at there is no T wave but a slope that never comes down
    return first + end if end < len(course) else None


def p_wave(beat: MedianBeat, qrs_onset: int, earliest: int) -> PWave | None:
    """The P wave before the QRS, or None where there is none or its shape is not measurable.

    Args:
        earliest: sample before which the T wave of the beat before lies.
    """
    first, last = max(0, qrs_onset - _P_REACH, earliest), qrs_onset - 4
    if last - first < _P_HALF:
        return None
    part = beat.leads[:, first:last]
    # a drift from the T wave's end to the PR segment is none of the P wave's
    part = part - part[:, :8].mean(1, keepdims=True) * np.linspace(1, 0, last - first)
    course = _shared_course(beat, part, last - first, smooth=4)
    if course is None:
        return None
    top = int(np.argmax(course))
    slope = np.gradient(course)
    start = max(0, top - _P_RISE)
    steepest = start + int(np.argmax(slope[start : top + 1]))
    rest = float(course[max(0, steepest - _P_HALF) : steepest + 1].min())
    if slope[steepest] <= 0 or course[top] - rest < _LEAST_P_MV:
        return None
    onset = steepest - int(round((course[steepest] - rest) / slope[steepest]))
    return PWave(first + onset, first + top, _likeness(beat, first + top))


def _likeness(beat: MedianBeat, top: int) -> float:
    """Median correlation of what surrounds `top` in every single beat with the median of the other beats."""
    from scipy.ndimage import gaussian_filter1d

    low, high = max(0, top - _P_HALF), top + _P_HALF + 1
    single = gaussian_filter1d(beat.single[:, :, low:high], 3, axis=2)
    line = np.linalg.qr(np.stack([np.ones(high - low), np.arange(high - low)], axis=1))[0]
    single = single - single @ line @ line.T  # (beats, 12, samples) without level and slope
    shown = np.isfinite(single).all(2)
    found = []
    for number, one in enumerate(single):
        others, known = np.delete(single, number, 0), np.delete(shown, number, 0)
        count = np.where(shown[number], known.sum(0), 0)
        leads = count >= np.clip(count.max(), 1, 2)  # a lead of two beats decides only where none shows more
        if leads.any():
            usual = np.nanmedian(others[:, leads], axis=0)
            size = float(np.linalg.norm(usual) * np.linalg.norm(one[leads]))
            found.append(float((usual * one[leads]).sum()) / size if size > 0 else 0.0)
    return float(np.median(found)) if found else 0.0
