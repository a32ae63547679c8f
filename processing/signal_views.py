"""Views of a recording as a page shows them: parts printed, the rest hidden, read with small errors."""

from dataclasses import dataclass

import numpy as np

from .layouts import LAYOUTS, Layout, with_rhythm
from .leads import LEADS, limb_leads_from

_WANDER_HZ = 0.5
SAMPLING_RATE = 500.0
_HIDDEN_WEIGHT = 4.0  # of a hidden sample in reconstruction, against a shown one
# How often each layout is printed, roughly.
_LAYOUT_WEIGHTS = {"3x4": 2, "3x4+1": 7, "3x4+3": 2, "6x2": 2, "6x2+1": 2, "6x1-limb": 1, "6x1-chest": 1, "3x1": 1}


@dataclass(frozen=True)
class SignalView:
    """A training example for masked reconstruction.

    Attributes:
        values, mask: (12, samples) what is shown, in millivolts, and where.
        target, weight: (12, samples) the truth around its isoelectric line, and how much each sample counts.
        gain: by which the recording was multiplied.
    """

    values: np.ndarray
    mask: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    gain: float


def printed_mask(layout: Layout, samples: int, columns: str = "sequential", fill: float = 1.0) -> np.ndarray:
    """(12, samples) bool, True where a page of that layout shows a lead.

    Args:
        columns: `"sequential"`, one column after another in time, or `"simultaneous"`.
        fill: share of its column that a strip really fills.
    """
    mask = np.zeros((len(LEADS), samples), bool)
    for row in layout.rows:
        width = samples / len(row)
        for column, lead in enumerate(row):
            start = int(column * width) if columns == "sequential" else 0
            mask[LEADS.index(lead), start : start + int(round(width * fill))] = True
    return mask


def random_mask(samples: int, rng: np.random.Generator) -> np.ndarray:
    """(12, samples) bool: everything, a printed page, or some leads for some time."""
    kind = rng.random()
    if kind < 0.2:
        return np.ones((len(LEADS), samples), bool)
    if kind < 0.8:
        return _printed_somehow(samples, rng)
    kept = rng.random(len(LEADS)) < rng.uniform(0.15, 0.9)
    kept[rng.integers(len(LEADS))] = True
    mask = np.repeat(kept[:, None], samples, axis=1)
    length = int(rng.uniform(0, 0.6) * samples)
    start = int(rng.integers(0, samples - length + 1))
    mask[:, start : start + length] = False
    return mask


def without_wander(values: np.ndarray, sampling_rate: float) -> np.ndarray:
    """(leads, samples) without what is slower than a heart beat; the same filter for all leads keeps their laws."""
    samples = values.shape[1]
    ramp = np.linspace(0.0, 1.0, samples, dtype=np.float32)
    edge = max(1, samples // 50)
    first, last = values[:, :edge].mean(1, keepdims=True), values[:, -edge:].mean(1, keepdims=True)
    level = values - (first + (last - first) * ramp)
    frequency = np.fft.rfftfreq(samples, 1 / sampling_rate)
    keep = 1.0 - 1.0 / (1.0 + (frequency / _WANDER_HZ) ** 4)
    return np.fft.irfft(np.fft.rfft(level, axis=1) * keep, n=samples, axis=1).astype(np.float32)


def isoelectric(values: np.ndarray) -> np.ndarray:
    """(12, samples) with the median of I, II and V1 to V6 at 0 and the limb leads lawful."""
    level = values - np.median(values, axis=1, keepdims=True)
    return np.concatenate([limb_leads_from(level[0], level[1]), level[6:]])


def _misread(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The signal as a reader gives it: a little off in level and gain, smoothed, noisy."""
    leads, samples = values.shape
    seen = values * rng.normal(1.0, 0.02, (leads, 1)) + rng.normal(0.0, 0.03, (leads, 1))
    if rng.random() < 0.3:
        width = int(rng.integers(3, 11))
        summed = np.cumsum(np.pad(seen, ((0, 0), (width // 2 + 1, width - width // 2 - 1)), mode="edge"), axis=1)
        seen = (np.pad(summed, ((0, 0), (0, 1)), mode="edge")[:, width : width + samples] - summed[:, :samples]) / width
    noise = rng.standard_normal((leads, samples), dtype=np.float32)
    return (seen + rng.uniform(0.0, 0.03) * noise).astype(np.float32)


def read_view(values: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A whole recording as a reader gives it of a page: what some layout prints, strip by strip a little off in time,
    level and gain, strips and their ends now and then lost, the wander kept that pages show.

    Args:
        values: (12, samples) millivolts.

    Returns:
        (12, samples) millivolts and bool, where something was read.
    """
    samples = values.shape[1]
    mask = _printed_somehow(samples, rng)
    seen = without_wander(values, SAMPLING_RATE) if rng.random() < 0.5 else values
    seen = _misread(seen, rng)
    worst_s = 0.004 * rng.exponential()
    for lead in np.flatnonzero(mask.any(1)):
        shift = int(np.clip(round(rng.normal(0.0, worst_s) * SAMPLING_RATE), -20, 20))
        seen[lead] = np.roll(seen[lead], shift)
        shown = np.flatnonzero(mask[lead])
        cut = rng.integers(0, 40, 2)
        mask[lead, shown[: cut[0]]] = mask[lead, shown[len(shown) - cut[1] :]] = False
    if rng.random() < 0.15:
        lost = rng.choice(np.flatnonzero(mask.any(1)), int(rng.integers(1, 3)))
        mask[lost] = mask[lost] & (np.arange(samples) < rng.uniform(0.0, 0.9) * samples)
    return seen, mask


def _printed_somehow(samples: int, rng: np.random.Generator) -> np.ndarray:
    """(12, samples) bool: what a page of some layout shows."""
    names = list(_LAYOUT_WEIGHTS)
    weights = np.array(list(_LAYOUT_WEIGHTS.values()), float)
    layout = LAYOUTS[str(rng.choice(names, p=weights / weights.sum()))]
    if layout.rhythm_rows and rng.random() < 0.5:
        rhythm = rng.choice(LEADS, layout.rhythm_rows, replace=False)
        layout = with_rhythm(layout, tuple(str(lead) for lead in rhythm))
    columns = "sequential" if rng.random() < 0.8 else "simultaneous"
    return printed_mask(layout, samples, columns, rng.uniform(0.93, 1.0))


def hidden_counts_more(shown: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(12, samples) how much each known sample counts in reconstruction."""
    return np.where(shown, 1.0, _HIDDEN_WEIGHT).astype(np.float32) * mask


def training_view(
    values: np.ndarray,
    mask: np.ndarray,
    rng: np.random.Generator,
    sampling_rate: float = 500.0,
    hide: bool = True,
) -> SignalView:
    """One random view.

    Args:
        values, mask: (12, samples) millivolts and where they are known, as `ECGScanFeatureExtractor` gives them.
        hide: whether parts are hidden; not for what was read of a page.
    """
    whole = bool(mask.all())
    clean = isoelectric(without_wander(values, sampling_rate)) if whole else values
    gain = float(np.exp(rng.normal(0.0, 0.15)))
    clean = clean * np.float32(gain)
    shown = mask & random_mask(values.shape[1], rng) if hide else mask
    if not shown.any():
        shown = mask
    weight = hidden_counts_more(shown, mask)
    return SignalView(_misread(clean, rng), shown, clean.astype(np.float32), weight if whole else 0 * weight, gain)


__all__ = [
    "SAMPLING_RATE",
    "SignalView",
    "hidden_counts_more",
    "isoelectric",
    "printed_mask",
    "random_mask",
    "read_view",
    "training_view",
    "without_wander",
]
