"""Beats of a recording, and what they tell of the seconds that a page does not show."""

from dataclasses import dataclass

import numpy as np

FS = 500
LEAST_BEATS = 3
QRS_HALF = 40  # samples on either side of a beat's moment that a strip must show for the beat to count
LEAST_CONFIDENCE = 0.4  # mean over what is shown, below which a lead, or a beat of it, is left out
_SHIFT = 15
_ALIKE = 0.7  # correlation with the median complex, below which a beat is of another kind
_FLAT_MV = 0.05  # from lowest to highest: a lead with less shows no beats
_BEFORE = 0.35  # of a beat's interval that lies before its R peak
_SHARPNESS = 1.0  # of the likeness of beats, against the usual difference between two
_UNCOMPARED = 0.1  # what a beat counts for another that no lead shows too


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


def usable(signal: np.ndarray, confidence: np.ndarray | None) -> np.ndarray:
    """(12, samples) float64 with NaN for leads that are flat or nowhere sure."""
    values = np.array(signal, np.float64)
    values[~np.isfinite(values)] = np.nan
    for lead, row in enumerate(values):
        known = np.isfinite(row)
        if known.sum() < FS // 2:
            row[:] = np.nan
            continue
        sure = confidence is None or np.mean(confidence[lead][known]) >= LEAST_CONFIDENCE
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


def expected_beats(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(B, 12, samples) float32 `repeated_beats` of signals that are known where their weight (B, 12, samples) is."""
    shown = np.where(weight > 0, values, np.nan)
    return np.stack([repeated_beats(*one) for one in zip(shown, weight, strict=True)]).astype(np.float32)


def repeated_beats(signal: np.ndarray, confidence: np.ndarray | None = None) -> np.ndarray:
    """(12, samples) what each lead's shown beats let expect at every beat that some lead shows, NaN elsewhere.

    A beat is expected to look like the lead's shown beats, each counted by how alike the two are in the leads that
    show both: after an ectopic beat of the rhythm strip the ectopic beats of the other leads are repeated.

    Args:
        signal: (12, samples) millivolts at 500 Hz, NaN where nothing is shown.
        confidence: (12, samples), 0 to 1; leads that are not sure lend nothing.
    """
    expected = np.full(signal.shape, np.nan)
    values = usable(signal, confidence)
    beats = find_beats(values)
    if beats is None:
        return expected
    samples, period = signal.shape[1], round(beats.period_s * FS)
    places = beats.moments[:, None] + np.arange(period) - round(_BEFORE * period)  # (beats, period)
    inside = (places >= 0) & (places < samples)
    seen = np.where(inside, values[:, np.clip(places, 0, samples - 1)], np.nan)  # (12, beats, period)
    known = np.isfinite(seen)
    alike = _likeness(seen, known)
    weight = np.einsum("ij,ljt->lit", alike, known.astype(float))
    mean = np.einsum("ij,ljt->lit", alike, np.where(known, seen, 0.0)) / np.maximum(weight, 1e-9)
    mean[weight < 1e-9] = np.nan
    # later beats begin where the ones before them have not ended: the nearer one counts
    for beat in range(len(places)):
        expected[:, places[beat, inside[beat]]] = mean[:, beat, inside[beat]]
    return expected


def _likeness(seen: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(beats, beats) how much one beat tells of another, from the differences in the leads that show both."""
    filled, shown = np.where(known, seen, 0.0), known.astype(float)
    both = np.einsum("lit,ljt->ij", shown, shown)
    squares = np.einsum("lit,ljt->ij", filled**2, shown)
    apart = (squares + squares.T - 2 * np.einsum("lit,ljt->ij", filled, filled)) / np.maximum(both, 1.0)
    usual = np.median(apart[both > 0]) if (both > 0).any() else 0.0
    return np.where(both > 0, np.exp(-_SHARPNESS * np.maximum(apart, 0.0) / max(usual, 1e-6)), _UNCOMPARED)


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
    reach = QRS_HALF + _SHIFT
    moments = moments[(moments >= reach) & (moments < slopes.shape[1] - reach)]
    alike = np.zeros(len(moments))
    if len(moments) < LEAST_BEATS:
        return moments, alike
    for _ in range(2):
        pieces = np.stack([longest[:, at - QRS_HALF : at + QRS_HALF] for at in moments])
        template = nanmedian(pieces)
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
        piece = slopes[:, max(0, at + shift - QRS_HALF) : at + shift + QRS_HALF]
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


def nanmedian(values: np.ndarray) -> np.ndarray:
    """Median over the first axis, NaN (without a warning) where nothing is known."""
    known = np.isfinite(values).any(0)
    return np.where(known, np.nanmedian(np.where(known, values, 0.0), axis=0), np.nan)


__all__ = [
    "FS",
    "LEAST_BEATS",
    "LEAST_CONFIDENCE",
    "QRS_HALF",
    "Beats",
    "expected_beats",
    "find_beats",
    "nanmedian",
    "repeated_beats",
    "usable",
]
