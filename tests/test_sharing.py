"""A stroke that one row takes is not another's as well."""

from dataclasses import replace

import numpy as np
import pytest

from modeling_ecgscan.rectifying_ecgscan import StripColumns, join_tiles, plan_tiles
from modeling_ecgscan.sharing_ecgscan import shared_out
from modeling_ecgscan.strips_ecgscan import FoundStrip
from modeling_ecgscan.terms_ecgscan import BIN_MM, COSTS_PER_BIN, HEIGHT_BINS, TILE_WIDTH, column_places

APART_MM = 12.0
STRIPS = [FoundStrip("V1", 0, 0, 0.0, 60.0, 50.0), FoundStrip("V2", 1, 0, 0.0, 60.0, 50.0 + APART_MM)]
JOBS = plan_tiles(STRIPS, [1.0, 1.0])
PLACES = len(column_places())
INNER = slice(20, -20)  # of the ends little is known
HEIGHTS = (HEIGHT_BINS / 2 - 0.5 - np.arange(HEIGHT_BINS)) * BIN_MM


def read_as(number: int, height_mm: float, spread_mm: float) -> StripColumns:
    """A strip read at one height above its row all along."""
    ones = np.ones((1, PLACES))
    return join_tiles([JOBS[number]], height_mm * ones, spread_mm * ones, ones)[number]


def strokes(*heights_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a tile that shows level strokes, and those of steps of which nothing is known."""
    nearest = np.min([np.abs(HEIGHTS - height) for height in heights_mm], axis=0)
    logits = np.where(nearest < BIN_MM, 4.0, -6.0).astype(np.float32)
    return np.repeat(logits[None, :, None], PLACES, 2), np.zeros((1, len(COSTS_PER_BIN), TILE_WIDTH), np.float32)


@pytest.mark.parametrize("taken", [3.0, -3.0])
def test_of_two_strokes_a_row_takes_the_one_that_the_other_row_leaves(taken):
    columns = [read_as(0, 0.0, 3.0), read_as(1, taken + APART_MM, 0.1)]
    logits, movement = strokes(3.0, -3.0)
    found = shared_out(STRIPS, columns, JOBS[:1], logits, movement)
    assert list(found) == [0]
    np.testing.assert_allclose(found[0].height_mm[INNER], -taken, atol=0.4)
    assert np.array_equal(found[0].x_mm, columns[0].x_mm)


def test_what_no_other_row_comes_near_stays_as_it_was_read():
    columns = [read_as(0, 0.0, 3.0), read_as(1, 9.0 + APART_MM, 0.1)]
    found = shared_out(STRIPS, columns, JOBS[:1], *strokes(3.0, -3.0))
    assert found[0] is columns[0]


@pytest.mark.parametrize("aside", ["not printed", "the same row"])
def test_only_printed_traces_of_other_rows_take_strokes(aside):
    other = read_as(1, 3.0 + APART_MM, 0.1)
    strips = STRIPS if aside == "not printed" else [STRIPS[0], replace(STRIPS[1], row=0)]
    other = replace(other, presence=0 * other.presence) if aside == "not printed" else other
    found = shared_out(strips, [read_as(0, 0.0, 3.0), other], JOBS[:1], *strokes(3.0, -3.0))
    np.testing.assert_allclose(found[0].height_mm, 0.0, atol=0.1)


def test_a_strip_read_without_doubt_stays_as_it_is():
    columns = [read_as(0, 3.0, 0.1), read_as(1, 3.0 + APART_MM, 0.1)]
    found = shared_out(STRIPS, columns, JOBS[:1], *strokes(3.0, -3.0))
    assert found[0] is columns[0]
