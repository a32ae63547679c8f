"""Which of several rows a stroke belongs to: no two traces run along the same one for long.

Every row is read by itself, and a stroke that two of them see may be taken by both while another is left over. Rows in
doubt are followed once more, and rather where no other trace is.
"""

import numpy as np

from .onward_ecgscan import column_shares, expected_heights, onward_elsewhere, taken_over
from .rectifying_ecgscan import DOUBT_MM, StripColumns, TileJob, join_tiles
from .strips_ecgscan import FoundStrip
from .terms_ecgscan import BIN_MM, COLUMNS_PER_PX, HEIGHT_BINS, TILE_PX_PER_MM_Y, TILE_WIDTH

# ours: share of a height's evidence that another trace takes which is surely there, half the width of that trace, and
# how many columns must be in doubt for a tile to be followed again
_TAKEN, _STROKE_MM, _IN_DOUBT = 0.9, 0.5, 12
_LEAST_SPREAD_MM = 0.2
# ours: share of a pixel's evidence that must be left to a row for it not to be contested, and pixels that must be
_CONTESTED, _LEAST_CONTESTED = 0.85, 4
_AT_ONCE = 8  # tiles


def shared_out(
    strips: list[FoundStrip],
    columns: list[StripColumns],
    jobs: list[TileJob],
    logits: np.ndarray,
    movement: np.ndarray,
) -> dict[int, StripColumns]:
    """The strips of some tiles followed again, each rather where the others are not, by number of the strip.

    Args:
        strips: all of the page.
        columns: what was read of each.
        jobs: tiles of the strips in doubt, as they were last read.
        logits: (tiles, bins, columns) over height, bin 0 at the top.
        movement: (tiles, costs, pixels) logits of how a trace goes on to the next pixel.
    """
    wanted = [n for n, job in enumerate(jobs) if _columns_in_doubt(job, columns[job.strip]) >= _IN_DOUBT]
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for first in range(0, len(wanted), _AT_ONCE):
        some = wanted[first : first + _AT_ONCE]
        left = np.stack([_left_over(jobs[n], strips, columns) for n in some], 1)
        fine = column_shares(logits[some]) * left[:, None]
        contested = (fine.mean(1).sum(2) < _CONTESTED).sum(0) >= _LEAST_CONTESTED
        if contested.any():
            of, fine = np.array(some)[contested], fine[:, :, contested]
            heights = expected_heights(onward_elsewhere(fine, movement[of]), fine)
            found |= {int(n): (height, spread) for n, height, spread in zip(of, *heights, strict=True)}
    shared = {}
    for strip in {job.strip for job in jobs}:
        own = [n for n, job in enumerate(jobs) if job.strip == strip]
        again = any(n in found for n in own)
        shared[strip] = (
            _with(columns[strip], [jobs[n] for n in own], [found.get(n) for n in own]) if again else columns[strip]
        )
    return shared


def _columns_in_doubt(job: TileJob, columns: StripColumns) -> int:
    """How many columns of a tile's share are printed and not sure."""
    x_mm = job.start_mm + np.array([job.first, job.last]) / job.px_per_mm[0]
    inside = (columns.x_mm >= x_mm[0]) & (columns.x_mm < x_mm[1])
    return int((inside & (columns.presence > 0.5) & (columns.spread_mm > DOUBT_MM)).sum())


def _left_over(job: TileJob, strips: list[FoundStrip], read: list[StripColumns]) -> np.ndarray:
    """(pixels, bins) share of the evidence in a tile that the traces of other rows leave to its own."""
    own = strips[job.strip]
    unit = TILE_PX_PER_MM_Y / job.px_per_mm[1]
    heights = (HEIGHT_BINS / 2 - 0.5 - np.arange(HEIGHT_BINS)) * BIN_MM * unit
    x_mm = job.start_mm + np.arange(TILE_WIDTH) / job.px_per_mm[0]
    left = np.ones((TILE_WIDTH, HEIGHT_BINS), np.float32)
    for strip, columns in zip(strips, read, strict=True):
        if strip.row == own.row:
            continue
        height, spread, presence = (
            np.interp(x_mm, columns.x_mm, values, left=0.0, right=0.0)
            for values in (columns.height_mm, columns.spread_mm, columns.presence)
        )
        line = height + own.baseline_mm - strip.baseline_mm
        near = np.flatnonzero((presence > 0.5) & (np.abs(line) < heights[0] + 3 * _STROKE_MM))
        width = np.maximum(spread[near], _LEAST_SPREAD_MM)[:, None]
        off = (heights - line[near, None]) / np.hypot(width, _STROKE_MM)
        left[near] *= 1.0 - _TAKEN * _STROKE_MM / np.hypot(width, _STROKE_MM) * np.exp(-0.5 * off**2)
    return left


def _with(
    columns: StripColumns, jobs: list[TileJob], found: list[tuple[np.ndarray, np.ndarray] | None]
) -> StripColumns:
    """Columns of a strip with the heights found in some of its tiles, where those took another stroke."""
    blank = np.full(TILE_WIDTH * COLUMNS_PER_PX, np.nan)
    height, spread = (np.stack([blank if tile is None else tile[part] for tile in found]) for part in (0, 1))
    again = join_tiles(jobs, height, spread, np.zeros_like(height))[jobs[0].strip]
    height_mm, spread_mm = taken_over(columns.height_mm, columns.spread_mm, again.height_mm, again.spread_mm)
    return StripColumns(columns.x_mm, height_mm, spread_mm, columns.presence)
