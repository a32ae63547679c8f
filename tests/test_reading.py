"""Reading strips: heights, losses, edges, names and the time axis, each against a value known beforehand."""

import math
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
import torch

from hub_scripts.training_pages import crowding
from modeling_ecgscan.edges_ecgscan import (
    lean,
    name_rhythm_strips,
    refine_edges,
    rest_on_pulses,
    settle_baselines,
    soft_edge,
)
from modeling_ecgscan.geometry_ecgscan import PageGeometry
from modeling_ecgscan.laws_ecgscan import law_residual_uv, name_six_rows
from modeling_ecgscan.locating_ecgscan import GAINS, JACOBIAN_SCALE, LOCATE_CHANNELS, SPEEDS
from modeling_ecgscan.naming_ecgscan import NAME_CLASSES, NAME_STRIDE, PrintedNames
from modeling_ecgscan.pulse_size_ecgscan import PulseSize
from modeling_ecgscan.rasters_ecgscan import RASTER_PX_PER_MM
from modeling_ecgscan.reading_ecgscan import (
    BIN_MM,
    COLUMNS_PER_PX,
    COSTS_PER_BIN,
    HEIGHT_BINS,
    TILE_HEIGHT,
    TILE_PX_PER_MM_X,
    TILE_PX_PER_MM_Y,
    StripReading,
    bin_heights_mm,
)
from modeling_ecgscan.reading_losses_ecgscan import locate_loss, name_loss, reading_loss, soft_heights
from modeling_ecgscan.readings_ecgscan import Located
from modeling_ecgscan.rectifying_ecgscan import StripColumns, TileJob, join_tiles, plan_tiles
from modeling_ecgscan.reporting_ecgscan import (
    heart_rate,
    report,
    settled_ends,
    settled_starts,
    strip_times,
)
from modeling_ecgscan.strips_ecgscan import LEADS as MODEL_LEADS
from modeling_ecgscan.strips_ecgscan import FoundLayout, FoundStrip, RowEvidence, decode_layout
from modeling_ecgscan.views_ecgscan import CLOSE_UP, close_up_view, turned_view
from processing import page_targets
from processing.leads import LEADS, limb_leads_from
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


def columns_of(x_mm: np.ndarray, height_mm: np.ndarray, present: np.ndarray) -> StripColumns:
    return StripColumns(x_mm, height_mm, np.full(len(x_mm), 0.2), np.where(present, 0.97, 0.03))


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
    values = np.zeros((number, 896))
    joined = join_tiles(jobs, values, values, values)[0]
    steps = np.diff(joined.x_mm)
    assert steps.min() > 0
    assert steps.max() < 2.1 / TILE_PX_PER_MM_X
    assert joined.x_mm[0] <= 4.5
    assert joined.x_mm[-1] >= 265.5


def test_heights_of_a_shrunken_tile_come_back_in_millimetres():
    job = TileJob(0, 0.0, (6.0, 2.25))
    joined = join_tiles([job], np.full((1, 896), 7.0), np.full((1, 896), 1.0), np.ones((1, 896)))[0]
    assert joined.height_mm[0] == pytest.approx(14.0)
    assert joined.spread_mm[0] == pytest.approx(2.0)


def test_edges_move_to_where_the_trace_begins_and_a_silent_row_follows_the_others():
    x = np.arange(-10, 90, 1 / 6)
    strips = [FoundStrip(lead, row, 0, 0.0, 62.5, 40.0 * row) for row, lead in enumerate(("I", "II", "III"))]
    seen = [columns_of(x, np.zeros_like(x), (x > 2.0) & (x < 64.0)) for _ in strips]
    seen[1] = replace(seen[1], presence=np.full(len(x), 0.5))
    moved = refine_edges(strips, seen, in_mm=True)
    assert [strip.start_mm for strip in moved] == pytest.approx([2.0] * 3, abs=0.2)
    assert [strip.end_mm for strip in moved] == pytest.approx([64.0] * 3, abs=0.2)


def test_edges_found_are_right_on_average_and_not_half_a_column_late():
    x = np.arange(-10, 90, 1 / 6)
    errors = []
    for start in np.linspace(1.0, 2.0, 41):
        strips = [FoundStrip("I", 0, 0, 0.0, 62.5, 0.0)]
        moved = refine_edges(strips, [columns_of(x, np.zeros_like(x), (x >= start) & (x <= start + 61.7))], in_mm=True)
        errors.append((moved[0].start_mm - start, moved[0].end_mm - start - 61.7))
    assert np.abs(np.mean(errors, axis=0)).max() < 0.03


def test_rows_of_nearly_the_standard_length_have_it_where_one_of_their_ends_is_in_doubt():
    x = np.arange(-20, 280, 1 / 6)
    strips = [FoundStrip("II", 0, 0, 1.5, 251.0, 0.0)]
    seen = columns_of(x, np.zeros_like(x), (x > 0.0) & (x < 250.0))
    doubtful = replace(seen, presence=np.where((x > -1.0) & (x < 3.0), 0.5, seen.presence))
    moved = refine_edges(strips, [doubtful], in_mm=True)[0]
    assert (moved.start_mm, moved.end_mm) == pytest.approx((0.0, 250.0), abs=0.15)


def test_a_rhythm_strip_takes_the_name_of_the_lead_that_it_repeats():
    x = np.arange(0, 260, 1 / 6)
    rng = np.random.default_rng(0)
    waves = {lead: np.convolve(rng.normal(0, 1, len(x)), np.ones(9) / 9, "same") for lead in ("I", "II", "V1", "V2")}
    strips = [
        FoundStrip("I", 0, 0, 0.0, 125.0, 20.0),
        FoundStrip("V1", 0, 1, 125.0, 250.0, 20.0),
        FoundStrip("II", 1, 0, 0.0, 125.0, 50.0),
        FoundStrip("V2", 1, 1, 125.0, 250.0, 50.0),
        FoundStrip("II", 2, 0, 0.0, 250.0, 80.0, True, 0.6),
    ]
    seen = [columns_of(x, waves[strip.lead], np.ones(len(x), bool)) for strip in strips[:4]]
    seen.append(columns_of(x, waves["V1"], np.ones(len(x), bool)))
    assert name_rhythm_strips(strips, seen)[4].lead == "V1"
    assert [strip.lead for strip in name_rhythm_strips(strips, seen)[:4]] == ["I", "V1", "II", "V2"]


def test_a_row_found_too_low_is_moved_to_where_its_traces_rest():
    x = np.arange(0, 260, 1 / 6)
    rest = np.full(len(x), 1.6) + 9.0 * (np.arange(len(x)) % 140 < 6)
    strips = [FoundStrip("I", 0, 0, 0.0, 125.0, 20.0), FoundStrip("V1", 0, 1, 125.0, 250.0, 20.0)]
    settled, levelled = settle_baselines(strips, [columns_of(x, rest, np.ones(len(x), bool)) for _ in strips])
    assert [strip.baseline_mm for strip in settled] == pytest.approx([18.8, 18.8])
    assert np.median(levelled[0].height_mm) == pytest.approx(0.4)


def test_rows_rest_on_the_feet_of_pulses_that_have_the_size_of_one_millivolt():
    x = np.arange(0, 130, 1 / 6)
    strips = [FoundStrip("I", 0, 0, 0.0, 125.0, 20.0), FoundStrip("II", 1, 0, 0.0, 125.0, 50.0)]
    seen = [columns_of(x, np.full(len(x), 1.5), np.ones(len(x), bool)) for _ in strips]
    rested, levelled = rest_on_pulses(strips, seen, PulseSize(10.1, 5.0, {0: 20.6}), 10.0)
    assert [strip.baseline_mm for strip in rested] == pytest.approx([20.6, 50.0])
    assert [trace.height_mm[0] for trace in levelled] == pytest.approx([2.1, 1.5])
    assert rest_on_pulses(strips, seen, PulseSize(5.0, 5.0, {0: 20.6}), 10.0)[0] == strips
    assert rest_on_pulses(strips, seen, None, 10.0)[0] == strips


@pytest.mark.parametrize("angle", [-0.02, 0.0, 0.013])
def test_rows_show_by_their_ends_and_their_traces_how_far_they_lean(angle):
    x = np.arange(-10, 270, 1 / 12)
    strips, seen = [], []
    for row, lead in enumerate(("I", "II", "III", "aVR")):
        start = 10.0 + 30.0 * row * angle
        strips.append(FoundStrip(lead, row, 0, 10.0, 250.0, 30.0 * row))
        waves = 8.0 * (np.mod(x, 20.0) < 0.8)
        seen.append(columns_of(x, angle * (x - 130.0) + waves, (x > start) & (x < start + 240.0)))
    assert lean(strips, seen) == pytest.approx(angle, abs=1.2e-3)


def test_strips_of_which_nothing_is_clear_are_not_taken_to_lean():
    x = np.arange(-10, 270, 1 / 6)
    strips = [FoundStrip("I", 0, 0, 10.0, 250.0, 0.0), FoundStrip("II", 1, 0, 10.0, 250.0, 30.0)]
    seen = [StripColumns(x, 0.02 * x, 0 * x + 0.2, 0 * x + 0.5) for _ in strips]
    assert lean(strips, seen) == 0.0


def four_columns(starts: list[float]) -> tuple[list[FoundStrip], list[StripColumns]]:
    """Strips of one row that begin at these places, and traces that show it."""
    leads = ("I", "aVR", "V1", "V4")
    strips = [FoundStrip(lead, 0, k, x, x + 44.0, 0.0) for k, (lead, x) in enumerate(zip(leads, starts, strict=True))]
    x = np.arange(-6.0, 260.0, 0.05)
    return strips, [columns_of(x, 0 * x, (x > start) & (x < start + 44.0)) for start in starts]


def test_columns_follow_in_time_or_start_together():
    strips = [FoundStrip("I", 0, 0, 20.0, 82.5, 0.0), FoundStrip("aVR", 0, 1, 82.5, 145.0, 0.0)]
    assert strip_times(strips, 25.0, "sequential")[1] == pytest.approx((2.5, 5.0))
    assert strip_times(strips, 25.0, "simultaneous")[1][0] == 0.0
    assert strip_times(strips, 50.0, "sequential")[1][0] == pytest.approx(1.25)


def test_columns_a_quarter_second_or_its_multiple_apart_are_so_exactly_though_one_was_found_early():
    strips = settled_starts(*four_columns([19.3, 82.6, 145.0, 207.4]), 25.0)
    assert np.diff([strip.start_mm for strip in strips]) == pytest.approx([62.5] * 3)
    assert strips[0].start_mm == pytest.approx(20.0, abs=0.11)


def test_columns_of_a_page_printed_a_little_too_narrow_still_begin_every_two_and_a_half_seconds():
    strips = settled_starts(*four_columns([0.0, 62.1, 124.1, 186.3]), 25.0)
    assert np.diff([strip.start_mm for strip in strips]) == pytest.approx([62.1] * 3, abs=0.06)
    assert [start for start, _ in strip_times(strips, 25.0, "sequential")] == pytest.approx([0.0, 2.5, 5.0, 7.5])


def test_inner_columns_found_late_in_rows_of_the_right_length_are_not_taken_for_a_wide_page():
    strips, traces = four_columns([0.0, 62.74, 125.48, 188.22])
    ended = [*strips[:3], replace(strips[3], end_mm=250.0)]
    assert np.diff([strip.start_mm for strip in settled_starts(ended, traces, 25.0)]) == pytest.approx([62.5] * 3)
    wide = [*strips[:3], replace(strips[3], end_mm=250.96)]
    apart = np.diff([strip.start_mm for strip in settled_starts(wide, traces, 25.0)])
    assert apart == pytest.approx([62.74] * 3, abs=0.03)


def test_columns_end_where_the_next_begin_unless_they_stand_apart():
    starts = (0.0, 62.5, 125.0, 187.5)
    found = (62.1, 124.9, 187.9, 249.6)
    strips = [FoundStrip("I", 0, k, start, end, 0.0) for k, (start, end) in enumerate(zip(starts, found, strict=True))]
    assert [strip.end_mm for strip in settled_ends(strips, 25.0)] == pytest.approx([62.5, 125.0, 187.5, 250.0])
    apart = [replace(strip, end_mm=strip.start_mm + 61.2) for strip in strips]
    assert settled_ends(apart, 25.0) == apart


def test_a_row_found_a_little_short_lasts_its_ten_seconds_and_one_cut_off_keeps_its_length():
    row, cut = FoundStrip("II", 0, 0, 3.0, 252.6, 0.0), FoundStrip("II", 0, 0, 3.0, 231.0, 0.0)
    assert settled_ends([row], 25.0)[0].end_mm == pytest.approx(253.0)
    assert settled_ends([cut], 25.0) == [cut]


def test_what_runs_out_of_the_picture_is_not_read():
    y, x = np.mgrid[0:100, 0:260] * 4.0 + 1.5
    geometry = PageGeometry(np.stack([x, y], -1) / 4.0, np.zeros(x.shape), 0.0, np.array([[1.0, 0, 0], [0, 1.0, 0]]))
    strip = FoundStrip("II", 0, 0, 5.0, 255.0, 50.0)
    layout = FoundLayout("rhythm", [strip], -0.5, 100.0)
    located = Located((400, 820), geometry, layout, 1.0, np.array([1.0, 0.0]), np.array([1.0, 0.0, 0.0]), None)
    along = np.arange(0.0, 260.0, 1 / 12)
    trace = columns_of(along, np.sin(along), np.ones(len(along), bool))
    reading = report(
        located, [strip], [trace], speed=(25.0, 1.0), gain=(10.0, 1.0), columns="sequential", calibration={}
    )
    seen = np.isfinite(reading.signal[LEADS.index("II")])
    assert seen.sum() / 500 == pytest.approx((820 / 4 - 5.0) / 25.0, abs=0.01)
    assert seen[:1000].all()
    assert not reading.confidence[1, ~seen].any()


def test_columns_of_an_odd_length_keep_their_measured_places():
    strips, traces = four_columns([0.0, 44.0, 88.1, 132.0])
    settled = settled_starts(strips, traces, 25.0)
    assert [strip.start_mm for strip in settled] == pytest.approx([0.0, 44.0, 88.1, 132.0], abs=0.03)


@pytest.mark.parametrize("tenth", range(5))
def test_an_edge_is_found_to_a_part_of_a_column_and_a_clear_one_counts_more(tenth):
    x, edge = np.arange(0.0, 20.0, 1 / 6), 10.0 + tenth / 30
    share = np.clip((x - edge) * 6 + 0.5, 0.0, 1.0)  # of each column, 1/6 mm wide, that lies behind the edge
    clear = StripColumns(x, 0 * x, 0 * x + 0.2, 0.01 + 0.98 * share)
    vague = StripColumns(x, 0 * x, 0 * x + 0.2, 0.5 + 0.3 * share)
    place, weight = soft_edge(clear, 10.3)
    assert place == pytest.approx(edge, abs=0.01)
    found = soft_edge(vague, 10.3)
    assert found[0] == pytest.approx(edge, abs=0.01)
    assert found[1] == pytest.approx((0.3 / 0.98) ** 4 * weight, rel=0.1)
    assert soft_edge(StripColumns(x, 0 * x, 0 * x + 0.2, 0 * x + 0.9), 10.3)[1] < 1e-3


def test_the_first_columns_clear_start_outweighs_vague_ones_further_on():
    strips, traces = four_columns([20.0, 82.2, 144.7, 207.2])
    x = traces[0].x_mm
    vague = [StripColumns(x, 0 * x, 0 * x + 0.2, 0.5 + 0.4 * (x > start)) for start in (82.2, 144.7, 207.2)]
    settled = settled_starts(strips, [traces[0], *vague], 25.0)
    assert settled[0].start_mm == pytest.approx(20.0, abs=0.05)
    assert np.diff([strip.start_mm for strip in settled]) == pytest.approx([62.5] * 3)


@pytest.mark.parametrize("shown", ["limb", "chest"])
@pytest.mark.parametrize("taken", ["limb", "chest"])
def test_six_rows_are_the_limb_leads_where_the_laws_hold_and_the_chest_leads_where_not(shown, taken):
    signal = simulate(3).signal.copy()
    signal[:6] = limb_leads_from(signal[0], signal[1])
    rows = signal[:6] if shown == "limb" else signal[6:]
    names = LEADS[:6] if taken == "limb" else LEADS[6:]
    x = np.linspace(0.0, 250.0, rows.shape[1])
    strips = [FoundStrip(lead, row, 0, 0.0, 250.0, 30.0 * row) for row, lead in enumerate(names)]
    seen = [columns_of(x, 10.0 * row + 0.6, np.ones(len(x), bool)) for row in rows]
    layout = FoundLayout(f"6x1-{taken}", strips, -0.5, 100.0, printed=-0.5)
    named, settled = name_six_rows(strips, seen, layout)
    assert settled.name == f"6x1-{shown}"
    assert tuple(strip.lead for strip in named) == (LEADS[:6] if shown == "limb" else LEADS[6:])


def test_limb_leads_that_are_clearly_named_stay_though_their_rows_were_followed_badly():
    x = np.linspace(0.0, 250.0, 5000)
    rng = np.random.default_rng(0)
    strips = [FoundStrip(lead, row, 0, 0.0, 250.0, 30.0 * row) for row, lead in enumerate(LEADS[:6])]
    seen = [columns_of(x, rng.normal(0, 3, len(x)), np.ones(len(x), bool)) for _ in strips]
    layout = FoundLayout("6x1-limb", strips, -0.5, 100.0, printed=2.0)
    assert name_six_rows(strips, seen, layout)[0] == strips


def test_lead_law_residual_ignores_baselines_and_sees_a_wrong_lead():
    recording = simulate(1)
    signal = recording.signal.copy()
    signal[:6] = limb_leads_from(signal[0], signal[1])
    signal[3] += 0.4
    assert law_residual_uv(signal) == pytest.approx(0.0, abs=0.1)
    signal[2] = -signal[2]
    assert law_residual_uv(signal) > 20


def test_heart_rate_of_a_regular_rhythm_is_the_rate_of_its_peaks():
    signal = np.full((12, 5000), np.nan, np.float32)
    time = np.arange(5000) / 500
    signal[1] = np.exp(-0.5 * (((time % 0.8) - 0.4) / 0.012) ** 2)
    confidence = np.isfinite(signal).astype(np.float32)
    assert heart_rate(signal, confidence) == pytest.approx(75.0, abs=0.5)
    assert heart_rate(np.full((12, 5000), np.nan, np.float32), np.zeros((12, 5000), np.float32)) is None


def test_four_quarter_turns_of_a_view_change_only_its_scale():
    view = np.array([[2.0, 0.0, 3.0], [0.0, 2.0, 5.0]])
    assert np.allclose(turned_view(turned_view(view, 2), 2), view)
    middle = np.array([(CLOSE_UP[1] - 1) / 2, (CLOSE_UP[0] - 1) / 2, 1.0])
    for quarters in range(4):
        assert np.allclose(turned_view(view, quarters) @ middle, view @ middle)


def test_training_tiles_and_reading_tiles_have_the_same_scale():
    from modeling_ecgscan import reading_ecgscan as reading

    assert page_targets.TILE_SHAPE == (reading.TILE_HEIGHT, reading.TILE_WIDTH)
    assert page_targets.TILE_PX_PER_MM == (reading.TILE_PX_PER_MM_X, reading.TILE_PX_PER_MM_Y)
    assert page_targets.TILE_COLUMNS == reading.COLUMNS_PER_PX


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
