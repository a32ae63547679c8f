"""Rectify: cut every strip out of the full-resolution page into tiles on a millimetre grid, and put readings back."""

from dataclasses import dataclass

import cv2
import numpy as np

from .geometry_ecgscan import PageGeometry
from .strips_ecgscan import FoundStrip
from .terms_ecgscan import (
    COLUMNS_PER_PX,
    TILE_HEIGHT,
    TILE_PX_PER_MM_X,
    TILE_PX_PER_MM_Y,
    TILE_WIDTH,
    column_places,
)

_NODE = 16
MARGIN_MM = 6.0  # a strip is read this far beyond its ends
_SPARE_MM = 3.0  # of both margins together, rather than a second tile
_NEIGHBOURS_MM = 35.0  # rows farther away are not marked in a tile
_STROKE_MM = 0.2  # half the width at which the traces of other rows are drawn into a tile
DOUBT_MM = 0.5  # spread above which a column's height is not told to other rows


@dataclass
class TileJob:
    """One tile of one strip: where its first pixel stands and which of its pixels count."""

    strip: int
    start_mm: float
    px_per_mm: tuple[float, float]
    first: int = 0
    last: int = TILE_WIDTH


@dataclass
class StripColumns:
    """What was read along a strip, one value per column.

    Attributes:
        x_mm: place on paper.
        height_mm: above the row's baseline.
        spread_mm: standard deviation of the height.
        presence: probability that the strip is printed there.
    """

    x_mm: np.ndarray
    height_mm: np.ndarray
    spread_mm: np.ndarray
    presence: np.ndarray


def plan_tiles(strips: list[FoundStrip], y_scales: list[float]) -> list[TileJob]:
    """Tiles that cover every strip and `MARGIN_MM` on both sides, overlaps shared halfway; heights times `y_scales`."""
    tile_mm = TILE_WIDTH / TILE_PX_PER_MM_X
    jobs = []
    for index, strip in enumerate(strips):
        px_per_mm = (TILE_PX_PER_MM_X, TILE_PX_PER_MM_Y * y_scales[index])
        low, high = strip.start_mm - MARGIN_MM, strip.end_mm + MARGIN_MM
        count = (
            max(1, int(np.ceil((high - low - tile_mm) / (tile_mm - 6.0))) + 1)
            if high - low > tile_mm + _SPARE_MM
            else 1
        )
        starts = np.linspace(low, high - tile_mm, count) if count > 1 else np.array([(low + high - tile_mm) / 2])
        group = [TileJob(index, float(start), px_per_mm) for start in starts]
        for left, right in zip(group[:-1], group[1:], strict=True):
            middle = (right.start_mm + left.start_mm + tile_mm) / 2
            left.last = round((middle - left.start_mm) * px_per_mm[0])
            right.first = round((middle - right.start_mm) * px_per_mm[0])
        jobs += group
    return jobs


def cut_tile(
    image: np.ndarray,
    geometry: PageGeometry,
    strips: list[FoundStrip],
    job: TileJob,
    seen: list[StripColumns] | None = None,
) -> np.ndarray:
    """(256, 608, 5) float32 tile: normalised colours, marker of the own baseline, markers of the other rows.

    `seen` holds what a first look read of each strip: -1 in the last channel, along the traces of the other rows.
    """
    strip = strips[job.strip]
    rows, columns = TILE_HEIGHT // _NODE + 1, TILE_WIDTH // _NODE + 1
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float64) * _NODE
    nodes = np.stack(
        [job.start_mm + x / job.px_per_mm[0], strip.baseline_mm + (y - TILE_HEIGHT / 2) / job.px_per_mm[1]], -1
    )
    pixels = geometry.image_of(nodes.reshape(-1, 2)).reshape(nodes.shape).astype(np.float32)
    # two samples a row, as rows are wider apart than pixels and thin strokes would fall between them
    grow = np.array([[_NODE, 0, 0], [0, 2 * _NODE, 0.5]], np.float64)
    source = cv2.warpAffine(pixels, grow, (TILE_WIDTH, 2 * TILE_HEIGHT), flags=cv2.INTER_LINEAR)
    height, width = image.shape[:2]
    crop = cv2.remap(image, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    crop = cv2.resize(crop, (TILE_WIDTH, TILE_HEIGHT), interpolation=cv2.INTER_AREA)
    source = source[::2]
    outside = (source[..., 0] < 0) | (source[..., 0] > width - 1) | (source[..., 1] < 0) | (source[..., 1] > height - 1)
    tile = np.zeros((TILE_HEIGHT, TILE_WIDTH, 5), np.float32)
    tile[..., :3] = _normalise(crop, outside)
    x_mm = job.start_mm + np.arange(TILE_WIDTH) / job.px_per_mm[0]
    rows_mm = (np.arange(TILE_HEIGHT) - TILE_HEIGHT / 2) / job.px_per_mm[1]
    tile[..., 3] = np.exp(-0.5 * rows_mm**2)[:, None] * ((x_mm >= strip.start_mm) & (x_mm <= strip.end_mm))
    for baseline in {other.baseline_mm for other in strips if other.row != strip.row}:
        if abs(baseline - strip.baseline_mm) < _NEIGHBOURS_MM:
            tile[..., 4] += np.exp(-0.5 * (rows_mm - (baseline - strip.baseline_mm)) ** 2)[:, None]
    if seen is not None:
        places = job.start_mm + column_places() / job.px_per_mm[0]
        for other, trace in zip(strips, seen, strict=True):
            if other.row != strip.row:
                line = _told(trace, places) + strip.baseline_mm - other.baseline_mm
                tile[..., 4][_stroke(line, rows_mm)] = -1.0
    return tile


def _told(columns: StripColumns, x_mm: np.ndarray) -> np.ndarray:
    """Heights (mm above the baseline) at places on paper; NaN where there is no trace or doubt about it."""
    sure = (columns.presence > 0.5) & (columns.spread_mm < DOUBT_MM)
    height = np.where(sure, columns.height_mm, np.nan)
    return np.interp(x_mm, columns.x_mm, height, left=np.nan, right=np.nan)


def _stroke(line: np.ndarray, rows_mm: np.ndarray) -> np.ndarray:
    """(rows, columns) bool where a line of two heights (mm, up) per column passes; `rows_mm` of the rows, down."""
    left, right, after = line[0::2], line[1::2], np.append(line[2::2], np.nan)
    low, high = np.fmin(np.fmin(left, right), after), np.fmax(np.fmax(left, right), after)
    return (-rows_mm[:, None] > low - _STROKE_MM) & (-rows_mm[:, None] < high + _STROKE_MM)


def _normalise(crop: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Paper near 0, ink negative; what lies outside the picture is 0."""
    sample = crop[::4, ::4].reshape(-1, 3)
    inside = ~outside[::4, ::4].reshape(-1)
    paper = np.median(sample[inside], axis=0) if inside.any() else np.full(3, 255.0)
    scaled = np.clip(crop * (2.0 / np.maximum(paper, 20.0)).astype(np.float32) - 2.0, -2.0, 1.0)
    scaled[outside] = 0.0
    return scaled.astype(np.float32)


def join_tiles(
    jobs: list[TileJob], height: np.ndarray, spread: np.ndarray, presence: np.ndarray
) -> dict[int, StripColumns]:
    """Readings of tiles (tiles, columns) in tile units, put together in millimetres by number of the strip."""
    parts: dict[int, list[tuple[np.ndarray, ...]]] = {}
    place = column_places()
    for number, job in enumerate(jobs):
        columns = slice(COLUMNS_PER_PX * job.first, COLUMNS_PER_PX * job.last)
        unit = TILE_PX_PER_MM_Y / job.px_per_mm[1]
        parts.setdefault(job.strip, []).append(
            (
                job.start_mm + place[columns] / job.px_per_mm[0],
                height[number, columns] * unit,
                spread[number, columns] * unit,
                presence[number, columns],
            )
        )
    joined = {}
    for strip, group in parts.items():
        x_mm, *values = (np.concatenate(part) for part in zip(*group, strict=True))
        # rounding to whole pixels may let neighbours share one
        ahead = np.concatenate([[True], np.diff(np.maximum.accumulate(x_mm)) > 1e-6])
        joined[strip] = StripColumns(x_mm[ahead], *(part[ahead] for part in values))
    return joined
