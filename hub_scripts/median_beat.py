"""The median beat of every lead, levelled on the PR segment."""

from dataclasses import dataclass

import numpy as np

from modeling_ecgscan.beats_ecgscan import FS, LEAST_CONFIDENCE, QRS_HALF, Beats, nanmedian

_BEFORE_S, _AFTER_S = 0.4, 0.7
_BEFORE_COMPLEX, _AFTER_COMPLEX = 45, 60  # samples about a beat's moment that its complex takes at most, roughly


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
            core = slice(max(0, at - QRS_HALF), at + QRS_HALF)
            if not np.isfinite(values[core]).all():
                continue
            if confidence is not None and np.mean(confidence[lead][core]) < LEAST_CONFIDENCE:
                continue
            first, last = max(at - before, starts[beat]), min(at + after, ends[beat])
            single[beat, lead, first - at + before : last - at + before] = (values - level)[first:last]
    counts = np.isfinite(single[:, :, before]).sum(0)
    return MedianBeat(nanmedian(single), counts, before, single)


def _level(values: np.ndarray, moments: np.ndarray, anchor: int) -> np.ndarray | None:
    """The isoelectric line (samples,) through the PR segments, or None for a lead that shows none."""
    places, levels = [], []
    for at in moments + anchor:
        piece = values[max(0, at - 5) : max(0, at + 5)]
        if len(piece) == 10 and np.isfinite(piece).all():
            places.append(at)
            levels.append(piece.mean())
    return np.interp(np.arange(len(values)), places, levels) if places else None
