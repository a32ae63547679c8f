"""Changes after which a recording still says the same: of another moment, another chest, electrodes a little aside.

Three thousand recordings are learned by heart in an hour; what changes from one look to the next can't be. All of it
is ours, and small enough for every statement about a recording to stay true. Electrodes that come loose are for
reading alone.
"""

import numpy as np
from scipy.interpolate import PchipInterpolator

from .leads import LIMB_LEADS, PRECORDIAL_LEADS, limb_leads_from
from .signal_views import SAMPLING_RATE, isoelectric, without_wander

_STRETCH = 0.05  # spread of the logarithm of the pace
_TURN_DEGREES = 7.0  # spread of the frontal axis
_ASIDE = 0.12  # spread of a chest electrode's way to its neighbour, as a share of it
_SWING_MV, _SWING_S = (0.5, 2.5), (0.25, 2.0)  # spread of a loose electrode's potential, and from one swing to the next
_LOOSE_S = 1.5  # at least, for which an electrode is loose


def changed(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One changed recording, whose limb leads are lawful; its wander stays where it was.

    Args:
        values: (12, samples) millivolts at 500 Hz in standard lead order, known throughout.

    Returns:
        (12, samples) float32.
    """
    # without wander both ends are at rest: what leaves at the end comes in at the beginning
    still = isoelectric(without_wander(values, SAMPLING_RATE))
    moved = moved_in_time(still, rng.random(), float(np.exp(rng.normal(0.0, _STRETCH))))
    limb = turned(moved[0], moved[1], rng.normal(0.0, _TURN_DEGREES))
    chest = electrodes_aside(moved[len(LIMB_LEADS) :], rng.normal(0.0, _ASIDE, len(PRECORDIAL_LEADS)))
    return (np.concatenate([limb, chest]) + (values - still)).astype(np.float32)


def moved_in_time(values: np.ndarray, share: float, pace: float) -> np.ndarray:
    """(leads, samples) begun after a share of the samples and played at another pace, round and round."""
    samples = values.shape[1]
    place = (np.arange(samples) * pace + share * samples) % samples
    before = place.astype(int)
    after, part = (before + 1) % samples, (place - before).astype(np.float32)
    return values[:, before] * (1 - part) + values[:, after] * part


def turned(lead_i: np.ndarray, lead_ii: np.ndarray, degrees: float) -> np.ndarray:
    """(6, samples) the limb leads of a heart whose frontal axis is turned by so many degrees, as aVF counts them.

    In the frontal plane I lies along 0 degrees and aVF, 2 / √3 of it after augmentation, along 90.
    """
    across, down = lead_i, (lead_ii - lead_i / 2) * (2 / np.sqrt(3))
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    across, down = cosine * across - sine * down, sine * across + cosine * down
    return limb_leads_from(across, down * (np.sqrt(3) / 2) + across / 2)


def electrodes_aside(chest: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(6, samples) of V1 to V6 whose electrodes stand aside by a share of the way to the next (above 0) or the one
    before; V1 and V6 not beyond themselves."""
    following, before = np.concatenate([chest[1:], chest[-1:]]), np.concatenate([chest[:1], chest[:-1]])
    towards = np.where(shares[:, None] > 0, following, before)
    return chest + np.abs(shares)[:, None] * (towards - chest)


def loosened(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A recording of which one or two electrodes were loose for a while; the lead laws still hold.

    Args:
        values: (12, samples) millivolts at 500 Hz in standard lead order.

    Returns:
        (12, samples) float32.
    """
    times = np.arange(values.shape[1]) / SAMPLING_RATE
    electrodes = np.zeros((3 + len(PRECORDIAL_LEADS), len(times)))  # right arm, left arm, left leg, V1 to V6
    for electrode in rng.choice(len(electrodes), int(rng.integers(1, 3)), replace=False):
        electrodes[electrode] = _swings(times, rng)
    right, left, leg = electrodes[:3]
    chest = electrodes[3:] - electrodes[:3].mean(0)
    return (values + np.concatenate([limb_leads_from(left - right, leg - right), chest])).astype(np.float32)


def _swings(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(samples,) millivolts that a loose electrode adds, nothing before it comes loose and after it holds again."""
    apart = float(np.exp(rng.uniform(*np.log(_SWING_S))))
    knots = np.arange(times[0] - apart * rng.random(), times[-1] + 2 * apart, apart)
    heights = rng.normal(0.0, rng.uniform(*_SWING_MV), len(knots))
    loose = rng.uniform(_LOOSE_S, times[-1])
    first = rng.uniform(-loose / 2, times[-1] - loose / 2)
    heights[(knots < first) | (knots > first + loose)] = 0.0
    return np.asarray(PchipInterpolator(knots, heights)(times))


__all__ = ["changed", "electrodes_aside", "loosened", "moved_in_time", "turned"]
