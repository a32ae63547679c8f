"""What strips tell once they are read: ends, names, baselines, the time axis and the laws, against known values."""

from dataclasses import replace

import numpy as np
import pytest

from modeling_ecgscan.edges_ecgscan import (
    as_far_as_seen,
    lasts_as_printed,
    lengthened,
    much_longer,
    name_rhythm_strips,
    refine_edges,
    rest_on_pulses,
    settle_baselines,
    shortened,
    soft_edge,
)
from modeling_ecgscan.geometry_ecgscan import PageGeometry
from modeling_ecgscan.laws_ecgscan import law_residual_uv, name_six_rows, obey_laws
from modeling_ecgscan.pulse_size_ecgscan import PulseSize
from modeling_ecgscan.readings_ecgscan import Located
from modeling_ecgscan.rectifying_ecgscan import StripColumns
from modeling_ecgscan.reporting_ecgscan import (
    heart_rate,
    report,
    settled_ends,
    settled_starts,
    strip_times,
)
from modeling_ecgscan.sense_ecgscan import bears_other_names, doubted_names, stands_on_rows
from modeling_ecgscan.strips_ecgscan import FoundLayout, FoundStrip
from processing.leads import LEADS, limb_leads_from
from processing.simulator import simulate


def columns_of(x_mm: np.ndarray, height_mm: np.ndarray, present: np.ndarray) -> StripColumns:
    return StripColumns(x_mm, height_mm, np.full(len(x_mm), 0.2), np.where(present, 0.97, 0.03))


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


def test_a_pulse_s_foot_before_the_gap_is_no_part_of_the_rows_but_a_hidden_place_in_them_is():
    x = np.arange(-20, 280, 1 / 6)
    for start, gap, begins in ((-3.0, (-1.0, 0.0), 0.0), (0.0, (1.0, 2.0), 0.0)):
        strips = [FoundStrip(lead, row, 0, start, 250.0, 40.0 * row) for row, lead in enumerate(("I", "II", "III"))]
        present = (x > start) & (x < 250.0) & ~((x > gap[0]) & (x < gap[1]))
        moved = refine_edges(strips, [columns_of(x, np.zeros_like(x), present) for _ in strips], in_mm=True)
        assert [strip.start_mm for strip in moved] == pytest.approx([begins] * 3, abs=0.2)
        assert [strip.end_mm for strip in moved] == pytest.approx([250.0] * 3, abs=0.2)


@pytest.mark.parametrize("side", ["left", "right"])
def test_rows_that_hold_their_pulse_lose_it_where_traces_begin_or_end_behind_it(side):
    x = np.arange(-30, 290, 1 / 6)
    first, last, gap = {"left": (-12.0, 250.0, (-2.0, 0.0)), "right": (0.0, 262.0, (250.0, 252.0))}[side]
    strips = [FoundStrip(lead, row, 0, first, last, 40.0 * row) for row, lead in enumerate(("I", "II", "III"))]
    present = (x > first) & (x < last) & ~((x > gap[0]) & (x < gap[1]))
    found = shortened(strips, [columns_of(x, np.zeros_like(x), present) for _ in strips])
    assert found is not None
    assert [strip.start_mm for strip in found] == pytest.approx([0.0] * 3, abs=0.01)
    assert [strip.end_mm for strip in found] == pytest.approx([250.0] * 3, abs=0.01)
    everywhere = [columns_of(x, np.zeros_like(x), (x > first) & (x < last)) for _ in strips]
    assert shortened(strips, everywhere) is None  # nothing tells at which end the pulse is
    assert shortened([replace(strip, start_mm=0.0, end_mm=252.0) for strip in strips], everywhere) is None


def two_columns_of(start_mm: float, end_mm: float, printed_mm: tuple[float, float]):
    """Strips of three rows of two columns, and what is read of them where traces are printed from here to there."""
    x, middle = np.arange(-30, 280, 1 / 6), (start_mm + end_mm) / 2
    strips = [
        FoundStrip("I", row, k, (start_mm, middle)[k], (middle, end_mm)[k], 0.0) for row in range(3) for k in (0, 1)
    ]
    return strips, [columns_of(x, 0 * x, (x > printed_mm[0]) & (x < printed_mm[1])) for _ in strips]


@pytest.mark.parametrize("found", [(12.0, 250.0), (0.0, 238.0)])
def test_rows_that_lack_a_part_are_lengthened_to_where_their_traces_go_on(found):
    longer = lengthened(*two_columns_of(*found, (0.0, 250.0)))
    assert longer is not None
    edges = [(strip.start_mm, strip.end_mm) for strip in longer]
    np.testing.assert_allclose(edges, [(0.0, 125.0), (125.0, 250.0)] * 3, atol=1e-9)


def test_traces_seen_faintly_beyond_a_hidden_start_are_enough():
    strips, columns = two_columns_of(12.0, 250.0, (12.0, 250.0))
    faint = [replace(c, presence=np.where((c.x_mm > 0) & (c.x_mm < 12), 0.12, c.presence)) for c in columns]
    assert lengthened(strips, columns) is None
    assert lengthened(strips, faint) is not None


@pytest.mark.parametrize(("found", "printed"), [((12.0, 250.0), (12.0, 250.0)), ((0.0, 248.0), (-9.0, 259.0))])
def test_rows_beyond_which_nothing_is_printed_and_those_of_nearly_the_standard_length_stay(found, printed):
    assert lengthened(*two_columns_of(*found, printed)) is None


def test_rows_of_one_lead_of_which_a_part_was_located_are_as_long_as_what_is_read_of_them():
    x = np.arange(-160, 420, 1 / 6)
    strips = [FoundStrip(lead, row, 0, 40.0, 200.0, 40.0 * row) for row, lead in enumerate(("I", "II", "III"))]
    wide = much_longer(strips)
    assert wide is not None
    assert {(strip.start_mm, strip.end_mm) for strip in wide} == {(-50.0, 290.0)}
    # one row is hidden at its beginning, and a name stands far outside
    present = [(x > start) & (x < 250.0) | (x > 280.0) & (x < 284.0) for start in (0.0, 0.0, 30.0)]
    seen = as_far_as_seen(wide, [columns_of(x, 0 * x, part) for part in present])
    edges = [(strip.start_mm, strip.end_mm) for strip in seen]
    np.testing.assert_allclose(edges, [(0.0, 250.0)] * 3, atol=0.3)


def test_rows_that_lack_little_or_have_columns_are_not_looked_for_far_outside():
    assert much_longer([FoundStrip("I", 0, 0, 0.0, 230.0, 0.0)]) is None
    assert much_longer(two_columns_of(0.0, 160.0, (0.0, 250.0))[0]) is None


def test_lengthened_rows_hold_where_they_have_the_standard_length_and_traces_from_their_beginning():
    assert lasts_as_printed(*two_columns_of(0.0, 250.0, (0.0, 250.0)))
    assert not lasts_as_printed(*two_columns_of(0.0, 239.0, (0.0, 239.0)))
    assert not lasts_as_printed(*two_columns_of(0.0, 250.0, (130.0, 250.0))[:1], two_columns_of(0, 250, (260, 270))[1])


@pytest.mark.parametrize(("gain", "printed", "stands"), [(1234, -1.5, False), (1234, 0.2, True), (700, 2.0, False)])
def test_clear_rows_under_other_names_may_stand_on_end(gain, printed, stands):
    assert stands_on_rows(FoundLayout("12x1", [], -0.2, gain, printed)) is stands


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
    at_once = [
        replace(seen[k], height_mm=np.interp(x - 125.0, x, seen[k].height_mm)) if k % 2 else seen[k]
        for k in (0, 1, 2, 3)
    ]
    assert name_rhythm_strips(strips, [*at_once, seen[4]])[4].lead == "V1"


def test_of_two_leads_alike_a_rhythm_strip_is_the_one_whose_name_is_printed_at_it():
    x = np.arange(0, 260, 1 / 6)
    rng = np.random.default_rng(0)
    wave, other = (np.convolve(rng.normal(0, 1, len(x)), np.ones(9) / 9, "same") for _ in range(2))
    strips = [
        FoundStrip("II", 0, 0, 0.0, 125.0, 20.0),
        FoundStrip("V1", 0, 1, 125.0, 250.0, 20.0),
        FoundStrip("aVF", 1, 0, 0.0, 125.0, 50.0),
        FoundStrip("V2", 1, 1, 125.0, 250.0, 50.0),
        FoundStrip("aVF", 2, 0, 0.0, 250.0, 80.0, True, 0.6),
    ]
    near = wave + 0.1 * other  # II was followed less well than aVF
    seen = [columns_of(x, height, np.ones(len(x), bool)) for height in (near, other, wave, -other, wave)]
    assert name_rhythm_strips(strips, seen)[4].lead == "aVF"
    printed = np.where(np.array(LEADS) == "II", 3.9, 0.0)
    strips[4] = replace(strips[4], printed=printed)
    assert name_rhythm_strips(strips, seen)[4].lead == "II"


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


def test_a_column_that_seems_to_begin_late_begins_where_the_others_say():
    strips = settled_starts(*four_columns([23.1, 82.5, 145.0, 207.5]), 25.0)
    assert [strip.start_mm for strip in strips] == pytest.approx([20.0, 82.5, 145.0, 207.5], abs=0.06)
    assert [start for start, _ in strip_times(strips, 25.0, "sequential")] == pytest.approx([0.0, 2.5, 5.0, 7.5])


@pytest.mark.parametrize("starts", [[0.0, 62.1, 124.1, 186.3], [0.0, 61.7, 123.4, 185.1], [0.0, 63.3, 126.6, 189.9]])
def test_columns_of_a_page_printed_a_little_too_narrow_or_too_wide_still_begin_every_two_and_a_half_seconds(starts):
    strips = settled_starts(*four_columns(starts), 25.0)
    assert np.diff([strip.start_mm for strip in strips]) == pytest.approx(np.diff(starts), abs=0.12)
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


def test_a_column_whose_end_is_hidden_by_a_steep_wave_ends_where_the_next_one_begins_as_the_others_do():
    ends = (62.3, 125.1, 186.0, 249.9)
    strips = [FoundStrip("I", 0, k, 62.5 * k, end, 0.0) for k, end in enumerate(ends)]
    assert [strip.end_mm for strip in settled_ends(strips, 25.0)] == pytest.approx([62.5, 125.0, 187.5, 250.0])


def test_a_row_found_a_little_short_lasts_its_ten_seconds_and_one_cut_off_keeps_its_length():
    row, cut = FoundStrip("II", 0, 0, 3.0, 252.6, 0.0), FoundStrip("II", 0, 0, 3.0, 231.0, 0.0)
    assert settled_ends([row], 25.0)[0].end_mm == pytest.approx(253.0)
    assert settled_ends([cut], 25.0) == [cut]


def test_a_last_column_whose_end_looks_like_a_pulse_lasts_as_long_as_those_before_it():
    ends = (62.3, 125.1, 187.4, 247.7)
    strips = [FoundStrip("I", 0, k, 62.5 * k, end, 0.0) for k, end in enumerate(ends)]
    assert [strip.end_mm for strip in settled_ends(strips, 25.0)] == pytest.approx([62.5, 125.0, 187.5, 250.0])
    assert settled_ends([FoundStrip("II", 0, 0, 3.0, 250.6, 0.0)], 25.0)[0].end_mm == pytest.approx(253.0)


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
    assert obey_laws(named, seen) == (shown == "limb")


@pytest.mark.parametrize("lawful", [True, False])
def test_twelve_rows_without_their_names_are_an_ecg_only_where_the_limb_leads_obey_the_laws(lawful):
    signal = simulate(3).signal.copy()
    signal[:6] = limb_leads_from(signal[0], signal[1]) if lawful else signal[6:]
    x = np.linspace(0.0, 250.0, signal.shape[1])
    strips = [FoundStrip(lead, row, 0, 0.0, 250.0, 15.0 * row) for row, lead in enumerate(LEADS)]
    seen = [columns_of(x, 10.0 * row, np.ones(len(x), bool)) for row in signal]
    assert obey_laws(strips, seen) == lawful
    assert bears_other_names(FoundLayout("12x1", strips, -0.5, 5000.0, printed=-1.3))
    assert not bears_other_names(FoundLayout("12x1", strips, -0.5, 5000.0, printed=-0.4))
    columns = [FoundStrip(lead, row % 3, row // 3, 0.0, 62.5, 30.0) for row, lead in enumerate(LEADS)]
    assert not bears_other_names(FoundLayout("3x4", columns, -0.5, 5000.0, printed=-1.3))


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


@pytest.mark.parametrize(("printed", "said"), [(2.4, 0), (0.0, 0), (-1.5, 1)])
def test_names_that_contradict_the_printed_ones_are_said_to(printed, said):
    strips = [FoundStrip(lead, row, 0, 0.0, 250.0, 30.0 * row) for row, lead in enumerate(("I", "II", "III"))]
    sentences = doubted_names(FoundLayout("3x1", strips, 0.0, 2000.0, printed))
    assert len(sentences) == said
    assert all("I, II, III" in sentence for sentence in sentences)
