"""Beats stand at the same moment in all rows of a page: where they do not, the map of the page is locally off in time.

Ours. A crease or a lens moves one corner of a page by some milliseconds, too little for its grid to tell; the rows
elsewhere, which show the same beats, do tell.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .beats_ecgscan import FS, find_beats, usable

_HALF, _REACH = 35, 25  # samples: half of a compared complex, and how far it may be displaced
_ALIKE = 0.85  # correlation of two complexes of a lead, below which they say nothing of their places
_UNSURE = 2.0  # samples that two ways of comparing may differ by
_LEAST_LEADS = 3  # that show a beat, for one of them to be called off
_LEAST_OFF = 3.0  # samples: a lead whose beats are all nearer is left as it is
_ROUNDS = 30
_SMOOTH = 5  # samples


def out_of_step(signal: np.ndarray, confidence: np.ndarray) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Leads whose beats are read at other moments than those of the leads printed with them.

    Every lead's beats are compared with one another, so that a lead may have its R peak early or late as long as it
    always has; what is left over against all leads' beats, robustly, is an error of the map.

    Args:
        signal: (12, samples) millivolts at 500 Hz, NaN where nothing is printed.
        confidence: (12, samples), 0 to 1.

    Returns:
        By index of the lead: moments (s) of its beats, and by how much (s) each is read late.
    """
    values = usable(signal, confidence)
    beats = find_beats(values)
    if beats is None:
        return {}
    found = [
        (lead, beat, place)
        for lead, slope in enumerate(_slopes(values))
        for beat, place in zip(*_places(slope, beats.moments), strict=True)
    ]
    if not found:
        return {}
    leads, numbers, places = (np.array(part) for part in zip(*found, strict=True))
    late = _left_over(leads, numbers, places)
    told = np.bincount(numbers, minlength=len(beats.moments))[numbers] >= _LEAST_LEADS
    result = {}
    for lead in np.unique(leads):
        own = told & (leads == lead)
        if np.abs(late[own]).max(initial=0.0) >= _LEAST_OFF:
            result[int(lead)] = beats.moments[numbers[own]] / FS, late[own] / FS
    return result


def _slopes(values: np.ndarray) -> np.ndarray:
    """(12, samples) smoothed differences, NaN where unknown."""
    padded = np.pad(values, ((0, 0), (_SMOOTH // 2, _SMOOTH // 2)), constant_values=np.nan)
    return np.gradient(sliding_window_view(padded, _SMOOTH, axis=1).mean(-1), axis=1)


def _places(slope: np.ndarray, moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of a lead's beats that look alike, and where they stand against their moments, up to a constant."""
    reach = _HALF + _REACH
    numbers = np.flatnonzero((moments >= reach) & (moments + reach <= len(slope)))
    pieces = np.array([slope[at - reach : at + reach] for at in moments[numbers]]).reshape(-1, 2 * reach)
    known = np.isfinite(pieces).all(1)
    numbers, pieces = numbers[known], pieces[known]
    if len(numbers) < 2:
        return numbers[:0], np.zeros(0)
    windows = sliding_window_view(pieces, 2 * _HALF, axis=1)  # (beats, shifts, samples)
    size = np.maximum(np.linalg.norm(windows, axis=-1), 1e-9)
    cores = windows[:, _REACH] / size[:, _REACH, None]
    alike = np.einsum("it,jst->ijs", cores, windows) / size
    apart = _peak(alike) - _REACH
    pairs = (alike.max(-1) > _ALIKE) & (np.abs(apart + apart.T) <= _UNSURE)
    pairs &= pairs.T
    members = np.flatnonzero(pairs[pairs.sum(1).argmax()])
    if len(members) < 2:
        return numbers[:0], np.zeros(0)
    linked = pairs[np.ix_(members, members)].astype(float)
    difference = linked * (apart - apart.T)[np.ix_(members, members)] / 2
    # least squares over all pairs: place[j] - place[i] = difference[i, j]
    laplacian = np.diag(linked.sum(1)) - linked
    return numbers[members], np.linalg.lstsq(laplacian, -difference.sum(1), rcond=None)[0]


def _peak(values: np.ndarray) -> np.ndarray:
    """Place of the highest value along the last axis, by the parabola through it and its neighbours."""
    best = values.argmax(-1)
    inner = np.clip(best, 1, values.shape[-1] - 2)
    before, at, after = (np.take_along_axis(values, (inner + step)[..., None], -1)[..., 0] for step in (-1, 0, 1))
    bend = before - 2 * at + after
    moved = np.where((best == inner) & (bend < 0), 0.5 * (before - after) / np.where(bend < 0, bend, -1.0), 0.0)
    return best + moved


def _left_over(leads: np.ndarray, beats: np.ndarray, places: np.ndarray) -> np.ndarray:
    """What neither the lead nor the beat explains of every place, in medians, which one bad row does not move."""
    of_lead, of_beat = np.zeros(leads.max() + 1), np.zeros(beats.max() + 1)
    for _ in range(_ROUNDS):
        for beat in np.unique(beats):
            of_beat[beat] = np.median((places - of_lead[leads])[beats == beat])
        for lead in np.unique(leads):
            of_lead[lead] = np.median((places - of_beat[beats])[leads == lead])
    return places - of_lead[leads] - of_beat[beats]


__all__ = ["out_of_step"]
