"""Beats of a recording, and the median beat of every lead, levelled on the PR segment."""

from dataclasses import dataclass

import numpy as np

FS = 500
LEAST_BEATS = 3
_QRS_HALF = 40  # samples on either side of a beat's moment that a strip must show for the beat to count
_SHIFT = 15
_ALIKE = 0.7  # correlation with the median complex, below which a beat is of another kind
_LEAST_CONFIDENCE = 0.4  # mean over a beat's QRS in a lead, below which that beat of the lead is left out
_FLAT_MV = 0.05  # from lowest to highest: a lead with less shows no beats
_BEFORE_S, _AFTER_S = 0.4, 0.7
_BEFORE_COMPLEX, _AFTER_COMPLEX = 45, 60  # samples about a beat's moment that its complex takes at most, roughly


@dataclass(frozen=True)
class Beats:
    """The beats of a recording.

    Attributes:
        moments: (beats,) samples at which they stand, in order.
        usual: (beats,) bool, those of the commonest kind.
        intervals: (n,) seconds from beat to beat, without those across a gap in the recording.
    """

    moments: np.ndarray
    usual: np.ndarray
    intervals: np.ndarray

    @property
    def period_s(self) -> float:
        """Mean interval."""
        return float(self.intervals.mean())


@dataclass(frozen=True)
class MedianBeat:
    """One beat for every lead.

    Attributes:
        leads: (12, samples) millivolts around the PR segment, NaN where no beat shows.
        counts: (12,) beats behind each lead.
        centre: the sample at which the beat stands.
        single: (beats, 12, samples) the beats of which `leads` is the median.
    """

    leads: np.ndarray
    counts: np.ndarray
    centre: int
    single: np.ndarray


def usable(signal: np.ndarray, confidence: np.ndarray | None) -> np.ndarray:
    """(12, samples) float64 with NaN for leads that are flat or nowhere sure."""
    values = np.array(signal, np.float64)
    values[~np.isfinite(values)] = np.nan
    for lead, row in enumerate(values):
        known = np.isfinite(row)
        if known.sum() < FS // 2:
            row[:] = np.nan
            continue
        sure = confidence is None or np.mean(confidence[lead][known]) >= _LEAST_CONFIDENCE
        if not sure or np.ptp(np.percentile(row[known], [0.5, 99.5])) < _FLAT_MV:
            row[:] = np.nan
    return values


def find_beats(signal: np.ndarray) -> Beats | None:
    """Beats from the steepness of all leads that show each moment, or None where fewer than three are found.

    Args:
        signal: (12, samples) millivolts at 500 Hz as `usable` gives them.
    """
    from scipy.signal import find_peaks

    slopes = _slopes(signal)
    energy = _energy(slopes)
    known = np.isfinite(energy)
    if known.sum() < 2 * FS:
        return None
    energy = np.where(known, energy, 0.0)
    moments, _ = find_peaks(energy, height=0.5 * np.percentile(energy[known], 98), distance=int(0.27 * FS))
    moments, alike = _aligned(slopes, moments)
    if len(moments) < LEAST_BEATS or not (alike >= _ALIKE).any():
        return None
    unbroken = [known[a:b].all() for a, b in zip(moments[:-1], moments[1:], strict=True)]
    intervals = np.diff(moments)[unbroken] / FS
    return Beats(moments, alike >= _ALIKE, intervals) if len(intervals) >= LEAST_BEATS - 1 else None


def _runs(known: np.ndarray) -> list[np.ndarray]:
    """Indices of the unbroken stretches of a mask."""
    places = np.flatnonzero(known)
    return np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)


def _slopes(signal: np.ndarray) -> np.ndarray:
    """(12, samples) smoothed differences, NaN where unknown and in scraps too short for a beat."""
    from scipy.ndimage import uniform_filter1d

    slopes = np.full(signal.shape, np.nan)
    for lead, values in enumerate(signal):
        for run in _runs(np.isfinite(values)):
            if len(run) > FS // 5:
                slopes[lead, run] = np.gradient(uniform_filter1d(values[run], 7))
    return slopes


def _energy(slopes: np.ndarray) -> np.ndarray:
    """(samples,) steepness over the leads, each by its own measure, NaN where none is known."""
    from scipy.ndimage import uniform_filter1d

    steep = np.full(slopes.shape, np.nan)
    for lead, values in enumerate(slopes):
        for run in _runs(np.isfinite(values)):
            steep[lead, run] = np.sqrt(np.maximum(uniform_filter1d(values[run] ** 2, 40), 0.0))
        if np.isfinite(steep[lead]).any():
            steep[lead] /= max(float(np.nanpercentile(steep[lead], 98)), 1e-6)
    shown = np.isfinite(steep)
    count = shown.sum(0)
    return np.where(count > 0, np.where(shown, steep, 0.0).sum(0) / np.maximum(count, 1), np.nan)


def _longest(slopes: np.ndarray) -> np.ndarray:
    """The longest leads, or all of them where the longest miss a part of what is known (a page without rhythm)."""
    known = np.isfinite(slopes)
    printed = known.sum(1)
    longest = printed >= 0.98 * printed.max()
    covered = known[longest].any(0).sum() >= 0.95 * known.any(0).sum()
    return slopes[longest] if covered else slopes


def _aligned(slopes: np.ndarray, moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Moments moved onto the median complex of the longest leads, and each beat's correlation with it."""
    longest = _longest(slopes)
    reach = _QRS_HALF + _SHIFT
    moments = moments[(moments >= reach) & (moments < slopes.shape[1] - reach)]
    alike = np.zeros(len(moments))
    if len(moments) < LEAST_BEATS:
        return moments, alike
    for _ in range(2):
        pieces = np.stack([longest[:, at - _QRS_HALF : at + _QRS_HALF] for at in moments])
        template = _nanmedian(pieces)
        moved = moments.copy()
        for beat, at in enumerate(moments):
            shift, alike[beat] = _best_shift(longest, template, int(at))
            moved[beat] += shift
        moments = moved
    order = np.argsort(moments)
    return moments[order], alike[order]


def _best_shift(slopes: np.ndarray, template: np.ndarray, at: int) -> tuple[int, float]:
    """The shift at which the leads around `at` correlate best with the template, and that correlation."""
    best, chosen = 0.0, 0
    for shift in range(-_SHIFT, _SHIFT + 1):
        piece = slopes[:, max(0, at + shift - _QRS_HALF) : at + shift + _QRS_HALF]
        if piece.shape != template.shape:
            continue
        both = np.isfinite(piece) & np.isfinite(template)
        if both.any(axis=0).mean() < 0.9:
            continue
        shown, wanted = piece[both], template[both]
        size = float(np.linalg.norm(shown) * np.linalg.norm(wanted))
        fit = float(shown @ wanted) / size if size > 0 else 0.0
        if fit > best:
            best, chosen = fit, shift
    return chosen, best


def median_beat(signal: np.ndarray, confidence: np.ndarray | None, beats: Beats, anchor: int) -> MedianBeat:
    """Median of the usual beats of every lead.

    Args:
        signal: (12, samples) millivolts at 500 Hz, as `usable` gives them.
        anchor: sample relative to a beat's moment, around which its PR segment lies: the isoelectric level.
    """
    period = int(beats.period_s * FS)
    before = min(int(_BEFORE_S * FS), int(0.5 * period))
    after = min(int(_AFTER_S * FS), period - int(0.1 * FS))
    moments = beats.moments[beats.usual]
    # a neighbour that comes early is no part of this beat
    starts = np.concatenate([[0], beats.moments[:-1] + _AFTER_COMPLEX])[beats.usual]
    ends = np.concatenate([beats.moments[1:] - _BEFORE_COMPLEX, [signal.shape[1]]])[beats.usual]
    single = np.full((len(moments), len(signal), before + after), np.nan)
    for lead, values in enumerate(signal):
        level = _level(values, beats.moments, anchor)
        if level is None:
            continue
        for beat, at in enumerate(moments):
            core = slice(max(0, at - _QRS_HALF), at + _QRS_HALF)
            if not np.isfinite(values[core]).all():
                continue
            if confidence is not None and np.mean(confidence[lead][core]) < _LEAST_CONFIDENCE:
                continue
            first, last = max(at - before, starts[beat]), min(at + after, ends[beat])
            single[beat, lead, first - at + before : last - at + before] = (values - level)[first:last]
    counts = np.isfinite(single[:, :, before]).sum(0)
    return MedianBeat(_nanmedian(single), counts, before, single)


def _level(values: np.ndarray, moments: np.ndarray, anchor: int) -> np.ndarray | None:
    """The isoelectric line (samples,) through the PR segments, or None for a lead that shows none."""
    places, levels = [], []
    for at in moments + anchor:
        piece = values[max(0, at - 5) : max(0, at + 5)]
        if len(piece) == 10 and np.isfinite(piece).all():
            places.append(at)
            levels.append(piece.mean())
    return np.interp(np.arange(len(values)), places, levels) if places else None


def _nanmedian(values: np.ndarray) -> np.ndarray:
    """Median over the first axis, NaN (without a warning) where nothing is known."""
    known = np.isfinite(values).any(0)
    return np.where(known, np.nanmedian(np.where(known, values, 0.0), axis=0), np.nan)
