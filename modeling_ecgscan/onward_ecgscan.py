"""Which stroke a trace takes where another crosses it: the one that goes on as it came."""

import numpy as np

from .terms_ecgscan import BIN_MM, COLUMNS_PER_PX, COSTS_PER_BIN, HEIGHT_BINS
from .views_ecgscan import softmax

# Bins of height, borders between the classes of a step from one pixel to the next.
_STEPS = (2, 4, 8, 16, 32)
# How often a step of one class follows one of another in the opposite direction, for once in the same: counted on 400
# recordings of PTB-XL's training folds, half of them of 100 Hz, at 25 and 50 mm/s and 5 to 20 mm/mV.
_TURNS = np.array(
    [
        [1.000, 1.000, 1.000, 1.000, 1.000, 1.000],
        [1.000, 0.154, 0.179, 0.313, 0.542, 0.783],
        [1.000, 0.179, 0.097, 0.127, 0.267, 0.445],
        [1.000, 0.313, 0.127, 0.071, 0.091, 0.205],
        [1.000, 0.542, 0.267, 0.091, 0.047, 0.060],
        [1.000, 0.783, 0.445, 0.205, 0.060, 0.025],
    ]
)
# ours: heights that differ by less are of one stroke, and how many columns around others are taken as well
_OTHER_STROKE_MM, _AROUND = 1.0, 4


def _following() -> np.ndarray:
    """(11, 11) weight of a step's class after another's, from the longest step up to the longest down."""
    on, back = 2 / (1 + _TURNS), 2 * _TURNS / (1 + _TURNS)
    down = np.concatenate([back[:, :0:-1], on], 1)
    return np.concatenate([down[:0:-1, ::-1], down]).astype(np.float32)


def _ways() -> tuple[np.ndarray, np.ndarray]:
    """(11, bins, bins) shares of a step's lengths in its class, and (costs, 11) what every cost gives the class."""
    steps = np.arange(1 - HEIGHT_BINS, HEIGHT_BINS)
    kind = np.sign(steps) * np.digitize(np.abs(steps), _STEPS)
    of_kind = kind == np.arange(-len(_STEPS), len(_STEPS) + 1)[:, None]
    given = np.exp(-np.array(COSTS_PER_BIN)[:, None] * np.abs(steps))
    shape = np.where(of_kind, given.sum(0), 0.0)
    shape /= shape.sum(1, keepdims=True)
    down = np.subtract.outer(-np.arange(HEIGHT_BINS), -np.arange(HEIGHT_BINS))
    return shape[:, down + HEIGHT_BINS - 1].astype(np.float32), (given @ of_kind.T).astype(np.float32)


def column_shares(logits: np.ndarray) -> np.ndarray:
    """(pixels, columns per pixel, batch, bins) shares of the heights, none of them 0, of (batch, bins, columns)."""
    batch, bins, _ = logits.shape
    return softmax(logits, axis=1).transpose(2, 0, 1).reshape(-1, COLUMNS_PER_PX, batch, bins) + 1e-4


def expected_heights(elsewhere: np.ndarray, fine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean height and its standard deviation, both (batch, columns) in mm above the tile's middle.

    Args:
        elsewhere: (pixels, batch, bins) what all other pixels say of the height at one.
        fine: as `column_shares` gives it.
    """
    posterior = elsewhere[:, None] * fine
    posterior = (posterior / posterior.sum(3, keepdims=True)).reshape(-1, *posterior.shape[2:])
    heights = (HEIGHT_BINS / 2 - 0.5 - np.arange(HEIGHT_BINS, dtype=np.float32)) * BIN_MM
    mean = posterior @ heights
    return mean.T, np.sqrt(np.maximum(posterior @ np.square(heights) - np.square(mean), 0.0)).T


def onward_heights(logits: np.ndarray, movement: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expected height above the middle of a tile and its standard deviation, both (batch, columns) in mm.

    As the chain of `StripReading.posterior`, but its state is a height and the class of the step that led there, so
    that a trace rather keeps its direction than turns where another meets it.

    Args:
        logits: (batch, bins, columns) over height, bin 0 at the top.
        movement: (batch, costs, pixels) logits of how the trace goes on to the next pixel.
    """
    fine = column_shares(logits)
    return expected_heights(onward_elsewhere(fine, movement), fine)


def onward_elsewhere(fine: np.ndarray, movement: np.ndarray) -> np.ndarray:
    """(pixels, batch, bins) what all other pixels of a tile say of the height at one.

    Args:
        fine: (pixels, columns per pixel, batch, bins) evidence of the heights.
        movement: (batch, costs, pixels) logits of how the trace goes on to the next pixel.
    """
    share = fine.mean(1).astype(np.float32)
    _, batch, bins = share.shape
    following, (ways, given) = _following(), _ways()
    # (pixels, kinds, batch, 1) weight of every kind of step out of a pixel
    weight = (softmax(movement, axis=1).transpose(2, 0, 1) @ given).transpose(0, 2, 1)[..., None].astype(np.float32)
    kinds, pixels = len(following), len(share)
    before = np.full((pixels, kinds, batch, bins), 1.0, np.float32)
    for pixel in range(1, pixels):
        seen = before[pixel - 1] * share[pixel - 1]
        led = np.tensordot(following.T, seen, 1)
        ahead = weight[pixel - 1] * (led @ ways)
        before[pixel] = ahead / ahead.sum((0, 2), keepdims=True)
    back = ways.transpose(0, 2, 1).copy()
    after = np.ones((kinds, batch, bins), np.float32)
    joint = np.empty((pixels, batch, bins), np.float32)
    for pixel in reversed(range(pixels)):
        joint[pixel] = (before[pixel] * after).sum(0)
        if pixel:
            led = weight[pixel - 1] * ((after * share[pixel]) @ back)
            after = np.tensordot(following, led, 1)
            after /= after.sum((0, 2), keepdims=True)
    return joint


def gone_on(
    height_mm: np.ndarray, spread_mm: np.ndarray, logits: np.ndarray, movement: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Heights and their deviations (batch, columns), from `onward_heights` where these take another stroke."""
    found = [taken_over(*rows) for rows in zip(height_mm, spread_mm, *onward_heights(logits, movement), strict=True)]
    return np.stack([height for height, _ in found]), np.stack([spread for _, spread in found])


def taken_over(
    height_mm: np.ndarray, spread_mm: np.ndarray, other_mm: np.ndarray, its_spread_mm: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Heights and their deviations (columns,), others where these are of another stroke; NaN is of none."""
    other = np.abs(other_mm - height_mm) > _OTHER_STROKE_MM
    around = (np.convolve(other, np.ones(2 * _AROUND + 1), "same") > 0) & np.isfinite(other_mm)
    return np.where(around, other_mm, height_mm), np.where(around, its_spread_mm, spread_mm)
