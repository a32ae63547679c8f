"""A doubtful strip is read again with the other rows' traces in sight: what training draws is what reading draws."""

from dataclasses import replace

import numpy as np
import pytest

from modeling_ecgscan.geometry_ecgscan import PageGeometry
from modeling_ecgscan.page_reading_ecgscan import PageReading, TileReadings
from modeling_ecgscan.rectifying_ecgscan import StripColumns, cut_tile, plan_tiles
from modeling_ecgscan.strips_ecgscan import FoundStrip
from modeling_ecgscan.terms_ecgscan import (
    COSTS_PER_BIN,
    GAINS,
    HEIGHT_BINS,
    SPEEDS,
    TILE_HEIGHT,
    TILE_PX_PER_MM_Y,
    TILE_WIDTH,
    column_places,
)
from processing import page_targets
from processing.other_traces import first_look, stroke, trace_in_tile
from processing.renderer import render
from processing.simulator import simulate
from tests.test_geometry import drawn_page

ROWS_MM = (np.arange(TILE_HEIGHT) - TILE_HEIGHT / 2) / TILE_PX_PER_MM_Y
WHITE = np.full((400, 800, 3), 250, np.uint8)


def flat_map(px_per_mm: float = 8.0) -> PageGeometry:
    y, x = np.mgrid[0 : WHITE.shape[0] // 4, 0 : WHITE.shape[1] // 4] * 4.0 + 1.5
    paper = (np.stack([x, y], -1) + 0.5) / px_per_mm
    return PageGeometry(paper, np.zeros(x.shape), 0.0, np.array([[1.0, 0, 0], [0, 1.0, 0]]))


def two_rows() -> tuple[list[FoundStrip], list[StripColumns]]:
    strips = [FoundStrip("I", 0, 0, 20.0, 70.0, 20.0), FoundStrip("II", 1, 0, 20.0, 70.0, 30.0)]
    x = np.arange(15.0, 75.0, 1 / 12)
    ones = np.ones(len(x))
    return strips, [StripColumns(x, height * ones, 0.1 * ones, ones) for height in (2.0, -3.0)]


def test_a_second_look_shows_the_other_row_where_it_was_read_and_not_the_own():
    strips, seen = two_rows()
    job = plan_tiles(strips, [1.0, 1.0])[0]
    tile = cut_tile(WHITE, flat_map(), strips, job, seen)
    told = tile[..., 4] == -1.0
    # row II is read 3 mm under its baseline, which is 10 mm under that of row I
    assert ROWS_MM[told[:, 224]].mean() == pytest.approx(13.0, abs=0.2)
    assert not told[np.abs(ROWS_MM + 2.0) < 1.0].any()
    assert np.array_equal(tile[..., :4], cut_tile(WHITE, flat_map(), strips, job)[..., :4])


def test_what_was_read_with_doubt_or_not_at_all_is_not_told_to_other_rows():
    strips, seen = two_rows()
    middle = (seen[1].x_mm > 40.0) & (seen[1].x_mm < 50.0)
    seen[1].spread_mm[middle] = 3.0
    seen[1].presence[seen[1].x_mm < 30.0] = 0.0
    job = plan_tiles(strips, [1.0, 1.0])[0]
    told = (cut_tile(WHITE, flat_map(), strips, job, seen)[..., 4] == -1.0).any(0)
    x = job.start_mm + np.arange(len(told)) / job.px_per_mm[0]
    assert not told[(x > 40.5) & (x < 49.5)].any()
    assert not told[x < 29.5].any()
    assert told[(x > 51.0) & (x < 69.0)].all()


def test_training_draws_the_other_rows_as_reading_does():
    strips, seen = two_rows()
    seen[1].height_mm[:] = 4.0 * np.sin(seen[1].x_mm)
    job = plan_tiles(strips, [1.0, 1.0])[0]
    places = job.start_mm + column_places() / job.px_per_mm[0]
    line = np.interp(places, seen[1].x_mm, seen[1].height_mm, left=np.nan, right=np.nan) - 10.0
    told = cut_tile(WHITE, flat_map(), strips, job, seen)[..., 4] == -1.0
    assert np.array_equal(stroke(line, ROWS_MM), told)


def test_a_first_look_leaves_the_own_row_out_and_is_right_along_most_of_the_others():
    page = render(simulate(5), seed=5, layout="12x1", condition="clean")
    x = np.linspace(page.strips[0].x_mm, page.strips[0].x_mm + 100.0, 600)
    origin = np.array([x[0], page.strips[3].baseline_mm])
    right = []
    for seed in range(20):
        lines = first_look(page, 3, x, origin, 0.0, np.random.default_rng(seed))
        assert len(lines) <= len(page.strips) - 1
        truths = [trace_in_tile(page, k, x, origin, 0.0) for k in range(len(page.strips)) if k != 3]
        right += [max(np.mean(np.abs(line - truth) < 0.4) for truth in truths) for line in lines]
    assert 0.6 < np.mean(right) < 0.99


def is_upper(tile: np.ndarray) -> bool:
    """Whether the other row lies below."""
    return bool((tile[TILE_HEIGHT // 2 + 20 :, :, 4] > 0.5).any())


class LooksKept(PageReading):
    """Is sure of the lower row, in doubt of the upper one, and keeps what it was shown."""

    def __init__(self, doubt_mm: float) -> None:
        self.doubt_mm = doubt_mm
        self.shown: list[np.ndarray] = []
        self.onward: list[bool] = []

    def find_maps(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError

    locate_maps = find_maps
    name_shares = find_maps  # type: ignore[assignment]

    def read_tiles(self, tiles: np.ndarray, onward: bool) -> TileReadings:
        self.shown += list(tiles)
        self.onward += [onward] * len(tiles)
        upper = np.array([is_upper(tile) for tile in tiles])
        ones = np.ones((len(tiles), len(column_places())))
        spread = np.where(upper, self.doubt_mm, 0.1)[:, None] * ones
        scales = np.zeros((len(tiles), len(SPEEDS))), np.zeros((len(tiles), len(GAINS)))
        logits = np.zeros((len(tiles), HEIGHT_BINS, len(column_places())), np.float32)
        movement = np.zeros((len(tiles), len(COSTS_PER_BIN), TILE_WIDTH), np.float32)
        return TileReadings(ones, spread, ones, *scales, *((logits, movement) if onward else ()))


def test_only_a_doubtful_strip_is_read_again_and_then_the_others_are_in_sight():
    strips, _ = two_rows()
    reader = LooksKept(doubt_mm=2.0)
    reader.trace(WHITE, flat_map(), strips, 10.0)
    told = [tile for tile in reader.shown if (tile[..., 4] == -1.0).any()]
    assert told
    assert all(is_upper(tile) for tile in told)
    assert reader.onward == [(tile[..., 4] == -1.0).any() for tile in reader.shown]


def test_strips_read_without_doubt_are_not_read_again():
    strips, _ = two_rows()
    reader = LooksKept(doubt_mm=0.1)
    reader.trace(WHITE, flat_map(), strips, 10.0)
    assert not any((tile[..., 4] == -1.0).any() for tile in reader.shown)


class SeesNearItsMark(LooksKept):
    """Takes ink for the strip's own up to 4 mm beyond the end that is marked."""

    def read_tiles(self, tiles: np.ndarray, onward: bool) -> TileReadings:
        found = super().read_tiles(tiles, onward)
        middle = slice(TILE_HEIGHT // 2 - 4, TILE_HEIGHT // 2 + 4)
        ink = tiles[:, middle, :, :3].min((1, 3)) < -0.5
        marked = tiles[:, TILE_HEIGHT // 2, :, 3] > 0.5
        near = np.array([np.convolve(row, np.ones(2 * 24 + 1), "same") > 0 for row in marked])
        return replace(found, presence=np.repeat(np.where(ink & near, 0.97, 0.03), 2, axis=1))


def test_an_end_that_was_marked_far_too_early_is_approached_from_look_to_look():
    image = WHITE.copy()
    image[156:164, 160:640] = 10
    reader = SeesNearItsMark(doubt_mm=0.1)
    traced = reader.trace(image, flat_map(), [FoundStrip("I", 0, 0, 20.0, 68.0, 20.0)], 10.0)
    assert traced.strips[0].start_mm == pytest.approx(20.0, abs=0.3)
    assert traced.strips[0].end_mm == pytest.approx(80.0, abs=0.3)


def test_a_tile_of_training_shows_the_paper_as_a_tile_that_is_read():
    page, exact, strips = drawn_page(2, condition="photo", layout="3x4+1")
    job = plan_tiles(strips, [1.0] * len(strips))[0]
    read = cut_tile(page.image, exact, strips, job)[..., :3]
    origin = np.array([job.start_mm, strips[job.strip].baseline_mm])
    crop, source = page_targets._sampled(page, page_targets._tile_nodes(origin, 0.0, job.px_per_mm), read.shape[:2], 2)
    taught = page_targets.normalise_tile(crop, np.zeros(source.shape[:2], bool))
    inside = np.abs(read).sum(2) > 0
    assert inside.mean() > 0.5
    assert np.abs(read - taught)[inside].mean() < 0.001
