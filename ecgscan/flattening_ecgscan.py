"""A flat page: one plane seen in perspective holds everywhere, also beside the grid, where nothing else is known."""

import numpy as np

_FLAT_MM = 0.05  # rendered flat pages lie within 0.03 mm of their plane, bent ones beyond 0.1
_FLAT_SHARE = 90.0  # per cent of the grid that must lie so near
_LEAST_SEEN = 0.03  # share of the picture whose grid makes a plane
_ROUNDS = 4
_LEAST_OFF_MM = 0.05
_EVERY = 3  # cells: the plane has eight unknowns


def flat_page(paper: np.ndarray, seen: np.ndarray) -> np.ndarray | None:
    """Places on paper by a plane in perspective, None where the page is bent or too little of its grid is seen.

    Args:
        paper: (rows, columns, 2) millimetres at the cells of the picture.
        seen: (rows, columns, 2) 0 to 1, how well the grid holds each coordinate there.
    """
    if seen.mean((0, 1)).min() < _LEAST_SEEN:
        return None
    plane = _plane(paper, seen)
    off = np.abs(paper - plane)[seen > 0.5]
    return plane if off.size and np.percentile(off, _FLAT_SHARE) < _FLAT_MM else None


def _plane(paper: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(rows, columns, 2) the perspective map nearest to the map, by least squares without what lies far from it."""
    rows, columns = paper.shape[:2]
    v, u = np.mgrid[0:rows, 0:columns] / max(rows, columns) - 0.5
    middle = (paper * seen).sum((0, 1)) / seen.sum((0, 1))
    size = float(np.abs(paper - middle).max())
    lifted = np.stack([u, v, np.ones_like(u)], -1)
    some = np.s_[::_EVERY, ::_EVERY]
    at, place = lifted[some].reshape(-1, 3), ((paper - middle) / size)[some].reshape(-1, 2)
    weight = seen[some].reshape(-1, 2)
    blank = np.zeros_like(at)
    equations = np.concatenate(
        [
            np.concatenate([at, blank, -place[:, :1] * at[:, :2]], 1),
            np.concatenate([blank, at, -place[:, 1:] * at[:, :2]], 1),
        ]
    )
    trust = weight
    for _ in range(_ROUNDS):
        root = np.sqrt(trust.T.ravel())
        found = np.linalg.lstsq(equations * root[:, None], place.T.ravel() * root, rcond=None)[0]
        off = np.abs(_mapped(at, found) - place) * size
        width = max(2.0 * float(np.median(off[weight > 0.5])) if (weight > 0.5).any() else 0.0, _LEAST_OFF_MM)
        trust = weight / (1.0 + (off / width) ** 2)
    return _mapped(lifted, found) * size + middle


def _mapped(at: np.ndarray, perspective: np.ndarray) -> np.ndarray:
    """Places of a perspective of eight numbers at lifted places."""
    depth = 1.0 + at[..., :2] @ perspective[6:]
    return (at @ perspective[:6].reshape(2, 3).T) / depth[..., None]
