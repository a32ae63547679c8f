"""Reading strips: heights, losses, edges, names and the time axis, each against a value known beforehand."""

import math
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
import torch

from hub_scripts.training_pages import TALL_PAGES, TWELVE_ROWS, crowded_page, crowding
from modeling_ecgscan.printed_names_ecgscan import PrintedNames
from modeling_ecgscan.rasters_ecgscan import RASTER_PX_PER_MM
from modeling_ecgscan.reading_ecgscan import StripReading, bin_heights_mm
from modeling_ecgscan.reading_losses_ecgscan import locate_loss, name_loss, reading_loss, soft_heights
from modeling_ecgscan.rectifying_ecgscan import TileJob, join_tiles, plan_tiles
from modeling_ecgscan.strips_ecgscan import LEADS as MODEL_LEADS
from modeling_ecgscan.strips_ecgscan import FoundStrip, RowEvidence, decode_layout
from modeling_ecgscan.terms_ecgscan import (
    BIN_MM,
    COLUMNS_PER_PX,
    COSTS_PER_BIN,
    GAINS,
    HEIGHT_BINS,
    JACOBIAN_SCALE,
    LOCATE_CHANNELS,
    NAME_CLASSES,
    NAME_STRIDE,
    SPEEDS,
    TILE_HEIGHT,
    TILE_PX_PER_MM_X,
    TILE_PX_PER_MM_Y,
    TILE_WIDTH,
)
from modeling_ecgscan.views_ecgscan import CLOSE_UP, close_up_view, turned_view
from processing import page_targets
from processing.renderer import Page, render
from processing.simulator import simulate


def certain(bins: list[int]) -> StripReading:
    logits = torch.full((1, HEIGHT_BINS, len(bins)), -40.0)
    logits[0, bins, range(len(bins))] = 40.0
    return reading_of(logits, torch.full((1, len(bins)), 10.0))


def doubled(by_pixel: torch.Tensor) -> torch.Tensor:
    """One value per column, alike within a pixel."""
    return by_pixel.repeat_interleave(COLUMNS_PER_PX, -1)


def reading_of(logits: torch.Tensor, presence: torch.Tensor) -> StripReading:
    """Of logits and presence by pixel."""
    movement = torch.tensor([[-20.0], [20.0], [-20.0]]).expand(len(logits), len(COSTS_PER_BIN), logits.shape[2])
    scale = torch.zeros(len(logits), 2), torch.zeros(len(logits), 3)
    return StripReading(doubled(logits), doubled(presence), movement.clone(), *scale)


def test_a_sure_column_has_the_height_of_its_bin_and_no_spread():
    height, spread = certain([63, 64, 66]).height_mm()
    assert torch.allclose(height[0], doubled(bin_heights_mm()[[63, 64, 66]]), atol=0.05)
    assert spread.max() < 0.4
    assert bin_heights_mm()[63] - bin_heights_mm()[64] == pytest.approx(BIN_MM)


def test_heights_are_the_same_inside_an_autocast():
    reading = reading_of(
        torch.randn(2, HEIGHT_BINS, 12, generator=torch.Generator().manual_seed(0)), torch.zeros(2, 12)
    )
    with torch.autocast("cpu", torch.bfloat16):
        inside = reading.height_mm()
    for value, expected in zip(inside, reading.height_mm(), strict=True):
        assert value.dtype == torch.float32
        assert torch.equal(value, expected)


def test_of_two_peaks_the_one_that_a_stroke_leads_to_is_followed():
    logits = torch.full((1, HEIGHT_BINS, 9), -12.0)
    rising = [64, 64, 58, 50, 42, 50, 58, 64, 64]
    logits[0, rising, range(9)] = 5.0
    # the row below has its own peak in the same columns, and is taken for more likely at the top
    for column in (3, 4, 5):
        logits[0, 110, column] = 5.6
    height, _ = reading_of(logits, torch.zeros(1, 9)).height_mm()
    assert height[0, 4 * COLUMNS_PER_PX].item() == pytest.approx(bin_heights_mm()[42].item(), abs=1.0)


def test_the_columns_of_a_pixel_differ_by_what_each_of_them_sees():
    logits = torch.full((1, HEIGHT_BINS, 2 * COLUMNS_PER_PX), -12.0)
    logits[0, [60, 61, 62, 63], range(4)] = 5.0
    reading = replace(reading_of(torch.zeros(1, HEIGHT_BINS, 2), torch.zeros(1, 2)), logits=logits)
    height, _ = reading.height_mm()
    assert torch.allclose(height[0], bin_heights_mm()[60:64], atol=0.1)


def test_the_chains_heights_are_those_of_all_paths_weighed_one_by_one():
    torch.manual_seed(0)
    columns, bins = 3, 4
    by_pixel = torch.randn(1, bins, columns)
    reading = StripReading(
        doubled(by_pixel),
        torch.zeros(1, COLUMNS_PER_PX * columns),
        torch.randn(1, len(COSTS_PER_BIN), columns),
        torch.zeros(1, 2),
        torch.zeros(1, 3),
    )
    share = by_pixel.softmax(1)[0] + 1e-4
    weight = reading.movement.softmax(1)[0]
    expected = torch.zeros(bins, columns)
    for path in product(range(bins), repeat=columns):
        likely = torch.prod(share[list(path), range(columns)])
        for column, (here, there) in enumerate(pairwise(path)):
            moves = [math.exp(-cost * abs(here - there)) for cost in COSTS_PER_BIN]
            likely = likely * (weight[:, column] * torch.tensor(moves)).sum()
        expected[list(path), range(columns)] += likely
    assert torch.allclose(reading.posterior()[0], doubled(expected / expected.sum(0)), atol=1e-5)


def test_the_loss_teaches_through_the_chain_how_a_trace_moves():
    reading = reading_of(torch.randn(2, HEIGHT_BINS, 32), torch.zeros(2, 32))
    reading.movement.requires_grad_(True)
    ones = torch.ones(2, 32 * COLUMNS_PER_PX)
    losses = reading_loss(reading, 5.0 * ones, ones, ones, ones, torch.zeros(2, 2, dtype=torch.long))
    sum(losses.values()).backward()
    assert torch.isfinite(reading.movement.grad).all()
    assert reading.movement.grad.abs().sum() > 0


def test_soft_heights_are_a_distribution_around_the_true_height():
    target = soft_heights(torch.tensor([[0.0, 3.3, -7.25]]))
    assert torch.allclose(target.sum(1), torch.ones(1, 3))
    assert torch.allclose(target.transpose(1, 2) @ bin_heights_mm(), torch.tensor([[0.0, 3.3, -7.25]]), atol=0.02)


def test_reading_loss_of_even_odds_is_the_logarithm_of_the_bins():
    ones = torch.ones(2, COLUMNS_PER_PX)  # a chain of one pixel has nothing to add
    reading = reading_of(torch.zeros(2, HEIGHT_BINS, 1), torch.zeros(2, 1))
    losses = reading_loss(reading, 0 * ones, ones, ones, ones, torch.tensor([[0, 1], [-1, -1]]))
    assert losses["height"].item() == pytest.approx(np.log(HEIGHT_BINS), abs=1e-4)
    assert losses["presence"].item() == pytest.approx(0.5 * np.log(2), abs=1e-5)
    # the second tile cannot tell speed and gain and does not count
    assert losses["scale"].item() == pytest.approx(0.15 * (np.log(2) + np.log(3)), abs=1e-5)


def test_reading_loss_stays_finite_where_nothing_is_readable():
    logits = torch.zeros(1, HEIGHT_BINS, 16, requires_grad=True)
    zeros = torch.zeros(1, 16 * COLUMNS_PER_PX)
    losses = reading_loss(
        reading_of(logits, torch.zeros(1, 16)), zeros, zeros, zeros, zeros, torch.full((1, 2), -1, dtype=torch.int64)
    )
    sum(losses.values()).backward()
    assert torch.isfinite(logits.grad).all()


def test_locate_loss_of_a_page_without_an_ecg_asks_for_nothing_but_nothing():
    maps = torch.zeros(1, 25, 8, 8)
    maps[:, 8:12], maps[:, 12] = -30.0, 30.0
    page = torch.tensor([[-30.0, 0, 0, 0, 0, 0]])
    losses = locate_loss(maps, page, torch.zeros(1, 15, 8, 8), torch.zeros(1, 3, dtype=torch.int64))
    assert sum(losses.values()).item() == pytest.approx(0.0, abs=1e-5)


def test_tiles_cover_a_long_strip_once():
    strips = [FoundStrip("II", 0, 0, 10.0, 260.0, 100.0)]
    jobs = plan_tiles(strips, [1.0])
    number = len(jobs)
    values = np.zeros((number, COLUMNS_PER_PX * TILE_WIDTH))
    joined = join_tiles(jobs, values, values, values)[0]
    steps = np.diff(joined.x_mm)
    assert steps.min() > 0
    assert steps.max() < 2.1 / TILE_PX_PER_MM_X
    assert joined.x_mm[0] <= 4.5
    assert joined.x_mm[-1] >= 265.5


def test_heights_of_a_shrunken_tile_come_back_in_millimetres():
    job = TileJob(0, 0.0, (TILE_PX_PER_MM_X, TILE_PX_PER_MM_Y / 2))
    shape = (1, COLUMNS_PER_PX * TILE_WIDTH)
    joined = join_tiles([job], np.full(shape, 7.0), np.full(shape, 1.0), np.ones(shape))[0]
    assert joined.height_mm[0] == pytest.approx(14.0)
    assert joined.spread_mm[0] == pytest.approx(2.0)


def test_four_quarter_turns_of_a_view_change_only_its_scale():
    view = np.array([[2.0, 0.0, 3.0], [0.0, 2.0, 5.0]])
    assert np.allclose(turned_view(turned_view(view, 2), 2), view)
    middle = np.array([(CLOSE_UP[1] - 1) / 2, (CLOSE_UP[0] - 1) / 2, 1.0])
    for quarters in range(4):
        assert np.allclose(turned_view(view, quarters) @ middle, view @ middle)


def test_training_tiles_and_reading_tiles_have_the_same_scale():
    from modeling_ecgscan import terms_ecgscan as terms

    assert page_targets.TILE_SHAPE == (terms.TILE_HEIGHT, terms.TILE_WIDTH)
    assert page_targets.TILE_PX_PER_MM == (terms.TILE_PX_PER_MM_X, terms.TILE_PX_PER_MM_Y)
    assert page_targets.TILE_COLUMNS == terms.COLUMNS_PER_PX


@pytest.mark.parametrize("seed", range(4))
def test_a_strips_end_within_a_column_is_taught_to_a_part_of_that_column(seed):
    page = render(simulate(seed), seed=seed, layout="6x2", condition="clean")
    tiles = [page_targets.reading_tile(page, 0, np.random.default_rng(number)) for number in range(12)]
    beginning = [tile for tile in tiles if tile["presence"][0] == 0.0 and tile["presence"][-1] == 1.0]
    parts = [tile["presence"][(tile["presence"] > 0.0) & (tile["presence"] < 1.0)] for tile in beginning]
    assert max(map(len, parts)) == 1
    assert len(np.unique(np.concatenate(parts))) > 2
    for tile in beginning:
        edge = int(np.argmax(tile["presence"] > 0.5))
        assert tile["weight"][edge] > tile["weight"][edge + 40]


def test_name_loss_of_undecided_cells_is_the_logarithm_of_thirteen_per_weighted_cell():
    names = torch.zeros(1, 4, 4, dtype=torch.int64)
    names[0, 1, 1], names[0, 1, 2] = 3, -1
    expected = np.log(13) * (14 + 8) / (1 + 8)
    assert float(name_loss(torch.zeros(1, 13, 4, 4), names)["names"]) == pytest.approx(expected, rel=1e-5)


def test_printed_names_fit_best_at_the_offset_at_which_they_are_printed():
    share = np.zeros((12, 60, 60))
    places = np.array([(16.0, 16.0), (16.0, 32.0), (16.0, 48.0)])
    for lead, (x, y) in enumerate(places + (3.2, -8.0)):
        share[lead, int(y / 1.6), int(x / 1.6)] = 1.0
    names = PrintedNames(share, np.zeros(2), 1.6)
    right, seen = names.fit(places, np.array([0, 1, 2]))
    wrong, _ = names.fit(places, np.array([6, 7, 8]))
    assert right > 6.0 > 0.0 > wrong
    assert list(seen.argmax(1)) == [0, 1, 2]


def test_names_settle_the_layout_where_the_maps_are_undecided():
    rows = [RowEvidence(y, 250.0, 0.0, np.full((168, 13), -2.0), np.zeros(168)) for y in (20.0, 50.0, 80.0)]
    layouts = {"limb": [["I"], ["II"], ["III"]], "chest": [["V1"], ["V2"], ["V3"]]}
    share = np.zeros((12, 60, 60))
    for index, y in enumerate((14.0, 44.0, 74.0)):
        share[6 + index, int(y / 1.6), 2] = 1.0
    found = decode_layout(rows, layouts, PrintedNames(share, np.zeros(2), 1.6))
    assert found is not None
    assert found.name == "chest"
    assert found.printed > 1.0


def test_pieces_to_name_leads_on_have_the_scale_of_the_raster_and_ink_where_a_name_is():
    assert (page_targets.NAME_PX_PER_MM, page_targets.NAME_STRIDE) == (RASTER_PX_PER_MM, NAME_STRIDE)
    page = render(simulate(3), seed=4, layout="3x4", pixels_per_mm=6.0)
    rng = np.random.default_rng(0)
    named = 0
    for _ in range(12):
        piece = page_targets.name_patch(page, rng)
        for y, x in np.argwhere(piece["names"] > 0):
            around = piece["picture"][max(y - 2, 0) * 8 : (y + 3) * 8, max(x - 2, 0) * 8 : (x + 3) * 8]
            assert around.min() < np.median(piece["picture"]) - 60
            named += 1
    assert named > 5


def test_pieces_around_a_speed_or_gain_in_words_carry_its_class():
    seeds = (seed for seed in range(99) if render(simulate(3), seed=seed, layout="3x4", pixels_per_mm=5.0).scales)
    page = render(simulate(3), seed=next(seeds), layout="3x4", pixels_per_mm=5.0)
    classes = {13 + SPEEDS.index(page.speed), 13 + len(SPEEDS) + GAINS.index(page.gain)}
    rng = np.random.default_rng(0)
    found = {int(v) for _ in range(40) for v in np.unique(page_targets.name_patch(page, rng)["names"]) if v > 12}
    assert found
    assert found <= classes
    assert max(classes) < NAME_CLASSES


def page_of_level_leads(millivolts: dict[str, float]) -> Page:
    recording = simulate(1)
    signal = np.zeros_like(recording.signal)
    for lead, level in millivolts.items():
        signal[MODEL_LEADS.index(lead)] = level
    return render(replace(recording, signal=signal), seed=5, layout="12x1", condition="clean", speed=25.0, gain=10.0)


def test_a_trace_that_leaves_its_tile_is_taught_to_run_along_the_edge():
    page = page_of_level_leads({"V1": 6.0})
    index = [strip.lead for strip in page.strips].index("V1")
    for seed in range(6):
        tile = page_targets.reading_tile(page, index, np.random.default_rng(seed))
        on = tile["readable"] > 0
        assert on.any()
        assert tile["height"][on] == pytest.approx((TILE_HEIGHT / 2 - 2) / TILE_PX_PER_MM_Y, abs=0.5)


def test_strips_are_crowded_where_another_trace_comes_near():
    rows = page_of_level_leads({}).style.baselines_mm
    crowded = crowding(page_of_level_leads({"V6": (rows[11] - rows[10]) / 10.0}))
    assert crowded[:10] == pytest.approx([0.0] * 10)
    assert crowded[10:] == pytest.approx([1.0, 1.0], abs=0.02)


def test_some_pages_for_tiles_have_waves_twice_as_tall_and_some_have_twelve_rows():
    rng = np.random.default_rng(0)
    drawn = [crowded_page(rng) for _ in range(4000)]
    tall, twelve = ([name in choices for choices in drawn] for name in ("gain", "layout"))
    assert np.mean(tall) == pytest.approx(TALL_PAGES, abs=0.02)
    assert np.mean(twelve) == pytest.approx(TWELVE_ROWS, abs=0.02)
    choices = [drawn[found.index(True)] for found in (tall, twelve)]
    pages = [render(simulate(1), seed=3, **chosen) for chosen in choices]
    assert (pages[0].gain, len({strip.row for strip in pages[1].strips})) == (20.0, 12)


def maps_of_three_rows() -> np.ndarray:
    """(channels, 96, 96) maps of a whole picture whose paper fills its middle, three rows on it."""
    maps = np.zeros((sum(part.stop - part.start for part in LOCATE_CHANNELS.values()), 96, 96), np.float32)
    maps[LOCATE_CHANNELS["lead"]][0] = 9.0
    maps[LOCATE_CHANNELS["baseline"]] = maps[LOCATE_CHANNELS["paper"]] = -9.0
    maps[LOCATE_CHANNELS["paper"]][:, 30:70, 20:80] = 9.0
    maps[LOCATE_CHANNELS["jacobian"]][[0, 3]] = JACOBIAN_SCALE * 300.0 / 192.0
    for row in (40, 50, 60):
        maps[LOCATE_CHANNELS["baseline"]][0, row, 26:74] = 9.0
    return maps


def test_a_close_up_is_no_wider_for_what_looks_like_a_trace_beside_the_paper():
    view = np.eye(2, 3)
    maps = maps_of_three_rows()
    alone = close_up_view(maps, view)
    maps[LOCATE_CHANNELS["baseline"]][0, 90, 4:14] = 9.0
    beside = close_up_view(maps, view)
    assert alone is not None and beside is not None
    assert beside == pytest.approx(alone)
    maps[LOCATE_CHANNELS["paper"]] = -9.0
    unsure = close_up_view(maps, view)
    assert unsure is not None
    assert np.linalg.det(unsure[:, :2]) > 1.2 * np.linalg.det(alone[:, :2])
