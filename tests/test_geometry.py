"""Geometry: from the grid's phase to millimetres, and from rows to strips, with a perfect network."""

from dataclasses import replace

import numpy as np
import pytest

from modeling_ecgscan.flattening_ecgscan import flat_page
from modeling_ecgscan.geometry_ecgscan import PageGeometry, fit_geometry
from modeling_ecgscan.levelling_ecgscan import level
from modeling_ecgscan.pitch_ecgscan import pitch_ratio
from modeling_ecgscan.printed_names_ecgscan import PrintedNames, in_words
from modeling_ecgscan.pulses_ecgscan import CalibrationPulse, contradictions, find_pulse, settle_gain, settle_speed
from modeling_ecgscan.refining_ecgscan import refine_geometry
from modeling_ecgscan.settling_ecgscan import settle_on_grid, squared
from modeling_ecgscan.stretching_ecgscan import GRID_CLEAR, stretch_to_grid
from modeling_ecgscan.strips_ecgscan import LEADS as MODEL_LEADS
from modeling_ecgscan.strips_ecgscan import FoundStrip, decode_layout, find_rows, row_evidence
from processing.layouts import LAYOUTS
from processing.leads import LEADS
from processing.page_targets import letterbox, locate_targets
from processing.renderer import Page, render
from processing.simulator import simulate

SIZE = (576, 768)
KNOWN = {name: [list(row) for row in layout.rows] for name, layout in LAYOUTS.items()}


def perfect_maps(seed: int, layout: str, condition: str):
    page = render(simulate(1), seed=seed, layout=layout, condition=condition, pixels_per_mm=4.0, turn_deg=2.0)
    to_image = letterbox(page.image, SIZE)
    _, maps, _ = locate_targets(page, SIZE, to_image)
    rng = np.random.default_rng(0)
    phase = 0.9 * maps[:4] + rng.normal(0, 0.1, maps[:4].shape)
    slope = maps[4:8] + rng.normal(0, 0.03, maps[4:8].shape)
    return page, maps, fit_geometry(phase, slope, maps[8], to_image, 24.0, 96.0)


@pytest.mark.parametrize(("seed", "condition"), [(904, "clean"), (905, "scan"), (902, "photo"), (907, "photo")])
def test_a_visible_grid_gives_the_paper_to_a_tenth_of_a_millimetre_along_every_strip(seed, condition):
    page, _, geometry = perfect_maps(seed, "3x4+1", condition)
    if page.style.grid_kind in ("none", "dotted"):
        pytest.skip("this seed drew no 5 mm grid")
    for strip in page.strips:
        along = np.linspace(strip.x_mm, strip.x_mm + strip.width_mm, 30)
        truth = np.stack([along, np.full(30, strip.baseline_mm)], 1)
        picture = (page.to_image(truth) - geometry.to_image[:, 2]) @ np.linalg.inv(geometry.to_image[:, :2]).T
        error = geometry.paper_at((picture - 1.5) / 4) - truth
        assert np.sqrt(np.square(error - np.median(error, axis=0)).mean(axis=0)).max() < 0.12


def test_image_and_paper_are_inverse_maps():
    _, _, geometry = perfect_maps(902, "3x4+1", "photo")
    cells = np.random.default_rng(0).uniform((20, 20), (170, 120), (40, 2))
    pixels = geometry.image_of(geometry.paper_at(cells))
    expected = (cells * 4 + 1.5) @ geometry.to_image[:, :2].T + geometry.to_image[:, 2]
    assert np.abs(pixels - expected).max() < 0.05


@pytest.mark.parametrize("layout", ["3x4", "3x4+1", "3x4+3", "6x2", "12x1", "6x1-limb", "4x3", "6x2-cabrera"])
def test_rows_columns_and_names_follow_from_perfect_maps(layout):
    page, maps, geometry = perfect_maps(900, layout, "scan")
    paper = geometry.paper.reshape(-1, 2)
    rows = find_rows(paper, maps[9].ravel())
    assert len(rows) == len(page.layout.rows)
    certain = np.full((maps[12].size, 13), 0.03)
    certain[np.arange(maps[12].size), maps[12].ravel().astype(int)] = 0.64
    found = decode_layout(row_evidence(paper, np.log(certain), maps[10].ravel(), rows), KNOWN)
    assert found is not None
    assert [strip.lead for strip in found.strips] == [strip.lead for strip in page.strips]
    widths = [strip.end_mm - strip.start_mm for strip in found.strips]
    assert np.allclose(widths, [strip.width_mm for strip in page.strips], atol=4.0)


def drawn_page(seed: int, seconds: float = 10.0, **choices) -> tuple[Page, PageGeometry, list[FoundStrip]]:
    """A page, its exact map and its strips."""
    recording = simulate(1)
    kept = recording.signal[:, : round(seconds * recording.sampling_rate)]
    page = render(replace(recording, signal=kept), seed=seed, pixels_per_mm=6.0, **choices)
    to_image = letterbox(page.image, SIZE)
    y, x = np.mgrid[0 : SIZE[0] // 4, 0 : SIZE[1] // 4] * 4.0 + 1.5
    pixels = np.stack([x.ravel(), y.ravel()], 1) @ to_image[:, :2].T + to_image[:, 2]
    paper = page.to_paper(pixels).reshape(*x.shape, 2)
    strips = [FoundStrip(s.lead, s.row, 0, s.x_mm, s.x_mm + s.width_mm, s.baseline_mm) for s in page.strips]
    return page, PageGeometry(paper, np.ones(x.shape), 0.01, to_image), strips


def box_of(strips: list[FoundStrip]) -> tuple[float, float, float, float]:
    rows = [s.baseline_mm for s in strips]
    return min(s.start_mm for s in strips) - 10, min(rows) - 15, max(s.end_mm for s in strips) + 8, max(rows) + 12


def gridded_seed(condition: str) -> int:
    return next(s for s in range(50) if drawn_page(s, condition=condition, layout="3x4+1")[0].style.grid_kind == "full")


@pytest.mark.parametrize("condition", ["clean", "scan"])
def test_a_map_a_third_of_a_millimetre_off_is_moved_back_onto_the_grid(condition):
    page, exact, strips = drawn_page(gridded_seed(condition), condition=condition, layout="3x4+1")
    wave = 0.3 * np.sin(exact.paper[..., :1] / 30.0) * np.ones(2)
    refined = refine_geometry(page.image, replace(exact, paper=exact.paper + wave), box_of(strips))
    inside = ((exact.paper > box_of(strips)[:2]) & (exact.paper < box_of(strips)[2:])).all(-1)
    left = (refined.paper - exact.paper)[inside]
    assert np.std(left, axis=0).max() < 0.06 < 0.15 < np.std(wave[inside], axis=0).min()


@pytest.mark.parametrize("condition", ["clean", "photo"])
def test_short_waves_along_time_are_followed_from_line_to_line(condition):
    page, exact, strips = drawn_page(gridded_seed(condition), condition=condition, layout="3x4+1")
    wave = 0.1 * np.sin(exact.paper[..., :1] / 4.0) * [1.0, 0.0]  # 25 mm long
    refined = refine_geometry(page.image, replace(exact, paper=exact.paper + wave), box_of(strips))
    inside = ((exact.paper > box_of(strips)[:2]) & (exact.paper < box_of(strips)[2:])).all(-1)
    left = (refined.paper - exact.paper)[inside][:, 0]
    assert np.std(left) < 0.03 < 0.06 < np.std(wave[inside][:, 0])


def along_strips(
    geometry: PageGeometry, exact: PageGeometry, strips: list[FoundStrip]
) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) places along the strips on paper, and where a map has them."""
    truth = np.array([[x, s.baseline_mm] for s in strips for x in np.linspace(s.start_mm, s.end_mm, 20)])
    return truth, geometry.paper_at(exact.cells_of(truth))


def unevenness_mm(geometry: PageGeometry, exact: PageGeometry, strips: list[FoundStrip]) -> float:
    """What is left along time after shift and scale."""
    truth, found = along_strips(geometry, exact, strips)
    return float(np.std(found[:, 0] - np.polyval(np.polyfit(truth[:, 0], found[:, 0], 1), truth[:, 0])))


@pytest.mark.parametrize("factor", [0.9, 1.07])
def test_a_map_that_is_too_wide_or_too_narrow_is_scaled_by_what_the_grid_shows(factor):
    page, exact, strips = drawn_page(gridded_seed("clean"), condition="clean", layout="3x4+1")
    box = tuple(factor * side for side in box_of(strips))
    stretched, clear = stretch_to_grid(page.image, replace(exact, paper=exact.paper * factor), box)
    assert clear > GRID_CLEAR
    truth, found = along_strips(stretched, exact, strips)
    scale = [np.polyfit(truth[:, axis], found[:, axis], 1)[0] for axis in (0, 1)]
    assert scale == pytest.approx(np.ones(2), abs=0.004)


@pytest.mark.parametrize(("seconds", "row_mm"), [(8.04, 201.0), (8.33, 208.3), (9.2, 230.0)])
def test_rows_that_are_not_of_the_standard_length_keep_the_scale_of_a_clear_grid(seconds, row_mm):
    page, exact, strips = drawn_page(gridded_seed("clean"), seconds, condition="clean", layout="3x4+1", speed=25.0)
    settled = settle_on_grid(page.image, exact, strips)
    assert settled is not None
    length = max(s.end_mm for s in settled[1]) - min(s.start_mm for s in settled[1])
    assert length == pytest.approx(row_mm, rel=0.004)


def test_a_map_that_misses_the_perspective_is_stretched_until_the_grid_is_even():
    page, exact, strips = drawn_page(gridded_seed("clean"), condition="clean", layout="3x4+1")
    box = np.array(box_of(strips))
    middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    away = (exact.paper - middle) / half
    # the scale along time grows by a tenth from the middle to the right end
    paper = exact.paper.copy()
    paper[..., 0] += half[0] * 0.1 * away[..., 0] ** 2 / 2
    tilted = replace(exact, paper=paper)
    stretched, _ = stretch_to_grid(page.image, tilted, box_of(strips))
    assert unevenness_mm(stretched, exact, strips) < 0.35 < 1.0 < unevenness_mm(tilted, exact, strips)


def test_a_part_of_a_bent_page_that_is_lines_away_from_its_own_is_followed_from_where_the_map_is_right():
    pages = (drawn_page(seed, condition="photo", layout="3x4+1") for seed in range(50))
    page, exact, strips = next(
        found for found in pages if found[0].style.grid_kind == "full" and squared(found[1], found[2]) is None
    )
    left, _, right, _ = box_of(strips)
    along = (exact.paper[..., :1] - left) / (right - left)
    swollen = replace(exact, paper=exact.paper + 4.0 * np.exp(-(((along - 0.7) / 0.15) ** 2)) * [1.0, 0.0])
    settled = settle_on_grid(page.image, swollen, strips)
    assert settled is not None
    assert unevenness_mm(settled[0], exact, strips) < 0.1 < 1.0 < unevenness_mm(swollen, exact, strips)


def test_without_a_grid_the_map_stays_as_it_is():
    pages = (drawn_page(seed, condition="clean", layout="3x4+1") for seed in range(200))
    page, exact, strips = next(found for found in pages if found[0].style.grid_kind == "none")
    wide = replace(exact, paper=exact.paper * 1.05)
    stretched, clear = stretch_to_grid(page.image, wide, tuple(1.05 * side for side in box_of(strips)))
    assert clear < GRID_CLEAR
    assert stretched is wide
    unseen = replace(exact, amplitude=np.zeros_like(exact.amplitude))
    assert settle_on_grid(page.image, unseen, strips) is None


def test_a_grid_that_was_located_keeps_its_scale_where_the_picture_hardly_shows_it():
    pages = (drawn_page(seed, condition="clean", layout="3x4+1") for seed in range(200))
    page, exact, strips = next(found for found in pages if found[0].style.grid_kind == "none")
    seen = replace(exact, amplitude=np.ones_like(exact.amplitude))
    settled = settle_on_grid(page.image, seen, strips)
    assert settled is not None
    assert [strip.start_mm for strip in settled[1]] == pytest.approx([strip.start_mm for strip in strips], abs=0.1)
    assert [strip.end_mm for strip in settled[1]] == pytest.approx([strip.end_mm for strip in strips], abs=0.1)


def test_a_sharp_crease_is_followed_where_a_smooth_map_would_miss_it():
    v, u = np.mgrid[0:144, 0:192].astype(float)
    # 0.2 turns of the 5 mm grid per cell, and a ridge of 1.6 mm, 20 cells wide
    ridge = 0.32 * np.clip(1 - np.abs(u - 0.3 * v - 70) / 10, 0, 1)
    cycles = [0.2 * u + ridge, 0.2 * v]
    phase = np.concatenate([[np.sin(2 * np.pi * c), np.cos(2 * np.pi * c)] for c in cycles])
    slope = np.zeros((4, 144, 192))
    slope[0] = slope[3] = 0.2 * 5.0 / 4
    geometry = fit_geometry(phase, slope, np.ones((144, 192)), np.eye(2, 3), 24.0, 96.0)
    off = geometry.paper[..., 0] - 5.0 * cycles[0]
    assert np.percentile(np.abs(off - np.median(off)), 98) < 0.4


def half_doubled_phase(paper: np.ndarray) -> np.ndarray:
    """(4, rows, columns) of a locator that takes one square for two: an octave beside the phase, as loud in places."""
    turn = np.exp(2j * np.pi * paper.transpose(2, 0, 1) / 5.0)
    share = 0.45 + 0.25 * np.sin(np.arange(paper.shape[1]) / 9.0)
    mixed = (1.0 - share) * turn + share * turn**2
    return np.stack([mixed[0].imag, mixed[0].real, mixed[1].imag, mixed[1].real])


@pytest.mark.parametrize("factor", [0.75, 1.4])
def test_slopes_that_are_far_off_yield_to_the_phase_even_where_it_looks_half_doubled(factor):
    paper = perspective_paper((144, 192)) / 2.5
    slope = np.stack([part / 4 for field in (0, 1) for part in np.gradient(paper[..., field])[::-1]])
    geometry = fit_geometry(half_doubled_phase(paper), factor * slope, np.ones((144, 192)), np.eye(2, 3), 24.0, 96.0)
    assert np.std(geometry.paper - paper, axis=(0, 1)).max() < 0.2


def test_a_page_without_a_grid_has_no_pitch():
    rng = np.random.default_rng(0)
    noise = 0.2 * np.exp(2j * np.pi * rng.random((2, 144, 192)))
    slopes = np.full((2, 2, 144, 192), 0.2)
    assert pitch_ratio(noise, slopes) == pitch_ratio(4 * noise, slopes) == 1.0


def perspective_paper(shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    v, u = np.mgrid[0 : shape[0], 0 : shape[1]].astype(float)
    depth = 1.0 + 4e-4 * u - 2e-4 * v
    return np.stack([(3.0 * u + 0.2 * v) / depth + 7.0, (2.9 * v - 0.1 * u) / depth - 3.0], -1)


def test_a_flat_page_holds_its_plane_where_its_map_was_wrong_beside_the_grid():
    paper, seen = perspective_paper(), np.ones((60, 80, 2))
    seen[:, :12] = 0.0
    wrong = paper + np.random.default_rng(0).normal(0, 0.01, paper.shape)
    wrong[:, :12, 0] += 0.7
    plane = flat_page(wrong, seen)
    assert plane is not None
    assert np.abs(plane - paper).max() < 0.02


@pytest.mark.parametrize("amplitude", [0.5, 0.9])
def test_a_flat_page_of_which_a_part_shows_its_grid_is_not_bent_beside_it(amplitude):
    page, exact, strips = drawn_page(gridded_seed("clean"), condition="clean", layout="3x4+1")
    image = page.image.copy()
    beside = image[:, int(0.45 * image.shape[1]) :]
    beside[beside.min(2) > 100] = 250
    # farther than lines are sought from where the map has them
    paper = exact.paper + 1.5 * np.sin(exact.paper[..., :1] / 25) * np.array([1.0, 0.0])
    partly = replace(exact, paper=paper, amplitude=np.full_like(exact.amplitude, amplitude), residual_mm=0.05)
    settled = settle_on_grid(image, partly, strips)
    assert settled is not None
    assert unevenness_mm(settled[0], exact, strips) < 0.05 < 0.3 < unevenness_mm(partly, exact, strips)


@pytest.mark.parametrize(
    ("amplitude", "residual_mm", "believed"), [(0.22, 0.08, True), (0.22, 0.3, False), (0.1, 0.08, False)]
)
def test_a_grid_that_is_hardly_seen_counts_where_the_map_follows_it_closely(amplitude, residual_mm, believed):
    pages = (drawn_page(seed, 7.2, condition="clean", layout="3x4+1", speed=25.0) for seed in range(50, 250))
    page, exact, strips = next(found for found in pages if found[0].style.grid_kind == "none")
    faint = replace(exact, amplitude=np.full_like(exact.amplitude, amplitude), residual_mm=residual_mm)
    settled = settle_on_grid(page.image, faint, strips)
    assert (settled is not None) == believed
    if settled is not None:
        length = max(strip.end_mm for strip in settled[1]) - min(strip.start_mm for strip in settled[1])
        assert length == pytest.approx(180.0, abs=0.5)


def test_a_bent_page_has_no_plane():
    paper = perspective_paper()
    paper[..., 1] += 0.4 * np.sin(np.arange(80) / 12.0)
    assert flat_page(paper, np.ones((60, 80, 2))) is None


def test_lines_that_are_all_alike_come_into_phase_across_a_tilted_and_bent_page():
    box = (0.0, 0.0, 200.0, 120.0)
    y, x = (np.mgrid[0:600, 0:1000] + 0.5) / 5
    along, across = x / 100 - 1, y / 60 - 1
    ahead = 0.4 * along + 1.5 * across + 0.35 * along * across
    grid = np.cos(2 * np.pi * (x - ahead)) ** 9 + np.cos(2 * np.pi * y) ** 9
    v, u = np.mgrid[0:31, 0:51] * 4.0
    geometry = PageGeometry(np.stack([u, v], -1), np.ones((31, 51)), 0.0, np.eye(2, 3))
    levelled = level(grid.astype(np.float32), geometry, box)
    assert levelled is not None
    along, across = u / 100 - 1, v / 60 - 1
    moved = levelled.paper - geometry.paper + np.stack([0.4 * along + 1.5 * across + 0.35 * along * across, 0 * u], -1)
    assert np.abs(moved - moved.mean((0, 1))).max() < 0.12
    assert level((np.cos(2 * np.pi * x) + np.cos(2 * np.pi * y)).astype(np.float32), geometry, box) is None


def test_strips_stay_at_their_places_of_the_picture_when_the_map_moves():
    page, exact, strips = drawn_page(gridded_seed("clean"), condition="clean", layout="3x4+1")
    wide = replace(exact, paper=exact.paper * 1.07)
    placed = [
        replace(s, start_mm=s.start_mm * 1.07, end_mm=s.end_mm * 1.07, baseline_mm=s.baseline_mm * 1.07) for s in strips
    ]
    settled, moved = settle_on_grid(page.image, wide, placed)
    before = wide.image_of(np.array([[s.start_mm, s.baseline_mm] for s in placed]))
    after = settled.image_of(np.array([[s.start_mm, s.baseline_mm] for s in moved]))
    assert np.abs(before - after).max() < 1.0
    assert [s.end_mm - s.start_mm for s in moved] == pytest.approx([s.end_mm - s.start_mm for s in strips], rel=0.004)


@pytest.mark.parametrize(("gain", "speed"), [(5.0, 25.0), (10.0, 25.0), (20.0, 50.0)])
def test_the_calibration_pulse_tells_the_gain(gain, speed):
    drawn = (drawn_page(seed, layout="6x1-limb", gain=gain, speed=speed) for seed in range(80))
    page, exact, strips = next(found for found in drawn if pulse_drawn(found[0]))
    pulse = find_pulse(page.image, exact, strips)
    assert pulse is not None
    assert pulse.gain == gain
    assert (pulse.fast > 0) == (speed == 50.0)


def pulse_drawn(page: Page) -> bool:
    return page.style.pulse == "left" and page.style.pulse_rows == "all" and page.style.pulse_mm == 0.2 * page.speed


def test_gain_and_speed_follow_the_page_then_its_strips_and_a_pulse_unless_the_page_is_sure():
    usual, unsure, sure = np.array([0.9, 0.05, 0.05]), np.array([0.4, 0.4, 0.2]), np.array([0.01, 0.98, 0.01])
    likely = np.array([0.3, 0.7, 0.0])
    assert settle_gain(usual, unsure, None, None)[0] == 10.0
    assert settle_gain(sure, usual, None, None)[0] == 5.0
    assert settle_gain(likely, unsure, None, None) == (10.0, pytest.approx(0.3, abs=0.01))
    assert settle_gain(unsure, usual, CalibrationPulse(20.0, -1.0, 0.9), None)[0] == 20.0
    assert settle_gain(sure, unsure, CalibrationPulse(20.0, -1.0, 0.9), None)[0] == 5.0
    assert settle_gain(sure, sure, CalibrationPulse(20.0, -1.0, 1.0, measured=True), None)[0] == 20.0
    even, fast = np.array([0.5, 0.5]), np.array([0.01, 0.99])
    assert settle_speed(even, even, CalibrationPulse(10.0, 3.0, 0.9), None)[0] == 50.0
    assert settle_speed(fast, fast, CalibrationPulse(10.0, -3.0, 0.9), None)[0] == 50.0
    assert settle_speed(even, even, CalibrationPulse(10.0, -1.0, 0.9), None)[0] == 25.0
    assert settle_speed(fast, even, None, None)[1] == pytest.approx(0.99**0.5 / (0.99**0.5 + 0.01**0.5))


def test_what_is_printed_in_words_settles_gain_and_speed_that_nothing_else_tells():
    unsure, even = np.array([0.4, 0.4, 0.2]), np.array([0.5, 0.5])
    words = PrintedNames(np.zeros((12, 1, 1)), np.zeros(2), 1.6, np.array([0.0, 0.97]), np.array([0.0, 0.97, 0.0]))
    silent = replace(words, speeds=np.zeros(2), gains=np.zeros(3))
    assert settle_gain(unsure, unsure, None, words)[0] == 5.0
    assert settle_speed(even, even, None, words)[0] == 50.0
    certain, speed_alone = np.array([1.0, 0.0]), replace(words, gains=np.zeros(3))
    assert settle_speed(certain, certain, None, words)[0] == 50.0
    assert settle_speed(certain, certain, CalibrationPulse(10.0, -1.0, 0.7), speed_alone)[0] == 25.0
    assert settle_speed(even, even, None, speed_alone)[0] == 50.0
    assert settle_gain(unsure, unsure, None, silent) == pytest.approx(settle_gain(unsure, unsure, None, None))
    assert settle_speed(even, even, None, silent) == pytest.approx(settle_speed(even, even, None, None))


def test_cells_around_words_decide_together_which_value_is_printed():
    share = np.zeros((2, 4, 6))
    assert in_words(share).tolist() == [0.0, 0.0]
    share[0, 1, 1:4], share[1, 1, 1:4] = (0.1, 0.97, 0.6), (0.3, 0.02, 0.0)
    assert in_words(share).tolist() == pytest.approx([0.99 * 1.57 / 1.59, 0.99 * 0.02 / 1.59])


def test_words_that_are_not_surely_read_say_nothing():
    share = np.zeros((2, 4, 6))
    share[1, 2, 3] = 0.8
    assert in_words(share).tolist() == [0.0, 0.0]


def test_thousands_of_cells_without_words_do_not_drown_those_that_have_some():
    share = np.full((3, 150, 180), 1e-3)
    share[:, 130, 75] = 0.0, 0.0, 1.0
    assert in_words(share).tolist() == pytest.approx([0.0, 0.0, 1.0], abs=1e-3)


def test_of_words_in_two_places_the_surer_tell_the_value_and_equally_sure_ones_nothing():
    share = np.zeros((3, 20, 40))
    share[0, 3, 5], share[2, 15, 30] = 0.9, 0.999
    # 20 mm/mV if the others are none; 10 mm/mV if these are; both or neither can't be
    gain_20, gain_10, none = 0.999 * 0.1, 0.9 * 0.001, 0.1 * 0.001
    printed = in_words(share)
    assert printed.tolist() == pytest.approx(
        [gain_10 / (gain_20 + gain_10 + none), 0.0, gain_20 / (gain_20 + gain_10 + none)]
    )
    share[0, 3, 5] = 0.999
    assert in_words(share).tolist() == [0.0, 0.0, 0.0]


def test_a_source_of_the_scale_that_was_overruled_is_told():
    words = PrintedNames(np.zeros((12, 1, 1)), np.zeros(2), 1.6, np.array([0.9, 0.0]), np.array([0.1, 0.9, 0.0]))
    assert contradictions(25.0, 5.0, CalibrationPulse(5.0, 0.0, 0.9), words) == []
    assert contradictions(25.0, 5.0, None, None) == []
    assert contradictions(50.0, 10.0, CalibrationPulse(5.0, 0.0, 0.9), words) == [
        "25 mm/s is printed, but 50 mm/s was taken",
        "5 mm/mV is printed, but 10 mm/mV was taken",
        "the calibration pulse is 5 mm high, but 10 mm/mV was taken",
    ]


def test_the_model_and_the_renderer_agree_on_lead_order():
    assert MODEL_LEADS == LEADS


def test_a_rows_faint_foot_does_not_take_its_place():
    v, u = np.mgrid[0:300, 0:300] * np.array([0.5, 0.9])[:, None, None]
    baseline = sum(0.9 * np.exp(-0.5 * ((v - row) / 2.0) ** 2) for row in (40.0, 75.0, 110.0))
    baseline[(np.abs(v - 68.3) < 0.6) & (u < 60)] = 0.2
    rows = find_rows(np.stack([u.ravel(), v.ravel()], 1), baseline.ravel())
    assert [row for row, _ in rows] == pytest.approx([40.0, 75.0, 110.0], abs=0.5)


def test_a_short_row_much_nearer_to_a_long_one_than_rows_are_is_none():
    v, u = np.mgrid[0:300, 0:300] * np.array([0.5, 0.9])[:, None, None]
    baseline = sum(0.9 * np.exp(-0.5 * ((v - row) / 1.2) ** 2) for row in (30.0, 55.0, 80.0, 105.0))
    baseline += 0.9 * np.exp(-0.5 * ((v - 87.0) / 1.2) ** 2) * (u < 110)
    rows = find_rows(np.stack([u.ravel(), v.ravel()], 1), baseline.ravel())
    assert [row for row, _ in rows] == pytest.approx([30.0, 55.0, 80.0, 105.0], abs=0.5)
    close = sum(0.9 * np.exp(-0.5 * ((v - row) / 1.2) ** 2) for row in np.arange(30.0, 130.0, 8.0))
    assert len(find_rows(np.stack([u.ravel(), v.ravel()], 1), close.ravel())) == 13
