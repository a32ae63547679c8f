"""The traces of a page in the tiles of a strip: its own truth, and the other rows' as a first look reads them."""

import numpy as np

from .leads import LEADS
from .page_drawing import Strip
from .renderer import Page

STROKE_MM = 0.2  # half the width at which the traces of other rows are drawn into a tile
# ours: how a first look errs. Strips it misses, spread of a height, stretches that are wrong and their length
_MISSED, _OFF_MM, _WRONG_STRETCHES, _WRONG_MM = 0.2, 0.1, 1.2, (3.0, 25.0)


def trace_mm(page: Page, strip: Strip) -> tuple[np.ndarray, np.ndarray]:
    """Paper millimetres, right and down, of every sample of a strip's trace."""
    recording = page.recording
    rate = recording.sampling_rate
    first, last = round(strip.start_s * rate), min(round(strip.end_s * rate) + 1, recording.signal.shape[1])
    values = recording.signal[LEADS.index(strip.lead), first:last]
    return strip.x_of(np.arange(first, last) / rate), strip.baseline_mm - values * page.gain


def trace_in_tile(page: Page, index: int, x_mm: np.ndarray, origin_mm: np.ndarray, turn_rad: float) -> np.ndarray:
    """Height of a strip's trace above a tile's middle (mm) at places along the tile; NaN where it isn't printed.

    Args:
        x_mm: places along the tile.
        origin_mm: paper place (right, down) of the tile's left middle.
        turn_rad: small angle by which the tile is turned about its origin.
    """
    x, y = trace_mm(page, page.strips[index])
    up = origin_mm[1] - y
    return np.interp(x_mm, x - turn_rad * up, up + turn_rad * (x - origin_mm[0]), left=np.nan, right=np.nan)


def first_look(
    page: Page, index: int, x_mm: np.ndarray, origin_mm: np.ndarray, turn_rad: float, rng: np.random.Generator
) -> list[np.ndarray]:
    """Heights of the other rows' traces as a first look may have read them: parts are missing, or follow a third."""
    row = page.strips[index].row
    truth = [trace_in_tile(page, k, x_mm, origin_mm, turn_rad) for k in range(len(page.strips))]
    lines = []
    for k, strip in enumerate(page.strips):
        if strip.row == row or rng.random() < _MISSED:
            continue
        line = truth[k] + rng.normal(0, _OFF_MM)
        for _ in range(rng.poisson(_WRONG_STRETCHES)):
            low = rng.uniform(x_mm[0], x_mm[-1])
            wrong = (x_mm > low) & (x_mm < low + rng.uniform(*_WRONG_MM))
            followed = (index, int(rng.integers(len(truth))), None, None)[rng.integers(4)]
            line[wrong] = np.nan if followed is None else truth[followed][wrong]
        lines.append(line)
    return lines


def stroke(line: np.ndarray, rows_mm: np.ndarray) -> np.ndarray:
    """(rows, columns) bool where a line of two heights (mm, up) per column passes; `rows_mm` of the rows, down."""
    left, right, after = line[0::2], line[1::2], np.append(line[2::2], np.nan)
    low, high = np.fmin(np.fmin(left, right), after), np.fmax(np.fmax(left, right), after)
    return (-rows_mm[:, None] > low - STROKE_MM) & (-rows_mm[:, None] < high + STROKE_MM)
