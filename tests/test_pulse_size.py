"""The calibration pulse measured: the scale of a page without a grid, and the height of 0 mV."""

from dataclasses import replace
from itertools import islice

import cv2
import numpy as np
import pytest

from modeling_ecgscan.geometry_ecgscan import PageGeometry
from modeling_ecgscan.printed_names_ecgscan import PrintedNames
from modeling_ecgscan.pulse_size_ecgscan import PulseSize, measure_pulses, pulse_ratio
from modeling_ecgscan.pulses_ecgscan import measured_pulse
from modeling_ecgscan.settling_ecgscan import scaled, squared, standard_width
from modeling_ecgscan.strips_ecgscan import FoundStrip
from tests.test_geometry import drawn_page

PX_PER_MM = 6.0
ROWS_MM = (40.0, 65.0, 90.0, 115.0)


def bare_page(height_mm: float, width_mm: float) -> tuple[np.ndarray, PageGeometry, list[FoundStrip]]:
    """White paper with four rows, each with a pulse to its left, drawn without a grid, and its exact map."""
    image = np.full((round(140 * PX_PER_MM), round(220 * PX_PER_MM), 3), 250, np.uint8)
    strips = []
    for row, base in enumerate(ROWS_MM):
        start = 20.0 + width_mm
        pulse = [(19.0, base), (20.0, base), (20.0, base - height_mm), (start, base - height_mm), (start, base)]
        x = np.linspace(start, 210.0, 2000)
        trace = np.stack([x, base - 1.0 + np.sin(0.3 * x + row) - 8.0 * (np.mod(x, 21.0) < 0.6)], 1)
        line = np.concatenate([np.array(pulse), trace]) * PX_PER_MM - 0.5
        cv2.polylines(image, [np.round(line * 16).astype(np.int32)], False, (20, 20, 20), 2, cv2.LINE_AA, 4)
        strips.append(FoundStrip("II", row, 0, start, 210.0, base))
    y, x = np.mgrid[0 : image.shape[0] // 4, 0 : image.shape[1] // 4] * 4.0 + 1.5
    paper = (np.stack([x, y], -1) + 0.5) / PX_PER_MM
    return image, PageGeometry(paper, np.zeros(x.shape), 0.0, np.array([[1.0, 0, 0], [0, 1.0, 0]])), strips


@pytest.mark.parametrize("wrong", [1.07, 0.93, 0.8])
@pytest.mark.parametrize(("gain", "width"), [(10.0, 5.0), (10.0, 4.0)])
def test_a_page_without_a_grid_is_scaled_by_its_pulses_to_two_per_cent(gain, width, wrong):
    image, exact, strips = bare_page(gain, width)
    geometry, placed = scaled(exact, strips, wrong)
    pulse = measure_pulses(image, geometry, placed)
    assert pulse is not None
    assert pulse.height_mm == pytest.approx(gain * wrong, rel=0.03)
    assert pulse.width_mm == pytest.approx(width * wrong, rel=0.03)
    assert pulse_ratio(pulse, 20.0) * wrong == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(("height", "width"), [(10.0, 5.0), (10.08, 4.97), (20.0, 5.0), (5.0, 5.0), (10.0, 10.0)])
def test_pulses_that_fit_the_standard_length_leave_it(height, width):
    assert pulse_ratio(PulseSize(height, width), 20.0) == 1.0


@pytest.mark.parametrize("ratio", [0.62, 0.93, 1.05, 1.3])
def test_pulses_of_the_usual_shape_tell_the_scale(ratio):
    assert pulse_ratio(PulseSize(10.0 / ratio, 5.0 / ratio), 20.0) == pytest.approx(ratio, rel=1e-6)


def test_words_tell_a_pulse_of_5_mm_per_mv_at_25_mm_per_s_from_one_of_10_at_50():
    pulse = PulseSize(7.7, 6.2, dict.fromkeys(range(4), 0.0))
    assert pulse_ratio(pulse, 20.0, words([0.05, 0.9, 0.05], [0.9, 0.05])) == pytest.approx(0.645, abs=0.01)
    assert pulse_ratio(pulse, 20.0, words([0.9, 0.05, 0.05], [0.05, 0.9])) == pytest.approx(1.29, abs=0.01)


def words(gains: list[float], speeds: list[float]) -> PrintedNames:
    """Nothing but gains and paper speeds in words, as likely as this, in the order of `GAINS` and `SPEEDS`."""
    return PrintedNames(np.zeros((12, 2, 2)), np.zeros(2), 4.0, np.array(speeds), np.array(gains))


def test_a_page_seen_at_an_angle_and_one_with_few_pulses_keep_the_standard_length_longer():
    rows = dict.fromkeys(range(6), 0.0)
    assert pulse_ratio(PulseSize(10.25, 5.13, rows), 20.0) == pytest.approx(1 / 1.0255, abs=1e-3)
    assert pulse_ratio(PulseSize(10.25, 5.13, rows), 20.0, at_angle=True) == 1.0
    assert pulse_ratio(PulseSize(10.25, 5.13, {0: 0.0}), 20.0) == 1.0


def test_pulses_whose_height_and_width_disagree_tell_nothing():
    assert pulse_ratio(PulseSize(10.0, 6.7), 20.0) == 1.0


def test_a_pulse_stands_at_the_height_of_its_row():
    image, exact, strips = bare_page(10.0, 5.0)
    pulse = measure_pulses(image, exact, [replace(strip, baseline_mm=strip.baseline_mm + 0.8) for strip in strips])
    assert pulse is not None
    assert [pulse.feet_mm[row] for row in range(4)] == pytest.approx(ROWS_MM, abs=0.05)


def test_traces_without_a_pulse_are_not_taken_for_one():
    drawn = (drawn_page(seed, condition="clean", layout="12x1") for seed in range(200))
    pages = list(islice((found for found in drawn if found[0].style.pulse == "none"), 4))
    assert len(pages) == 4
    for page, exact, strips in pages:
        numbered = [replace(strip, row=drawn.row) for strip, drawn in zip(strips, page.strips, strict=True)]
        assert measure_pulses(page.image, exact, numbered) is None


def test_a_flat_page_is_made_square_and_one_seen_from_the_side_is_left_alone():
    y, x = np.mgrid[0:80, 0:100] * 4.0 + 1.5
    strips = [FoundStrip("I", 0, 0, 20.0, 100.0, 30.0), FoundStrip("II", 1, 0, 20.0, 100.0, 60.0)]
    to_image = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    flat = PageGeometry(np.stack([x / 3.0, y / 3.3], -1), np.zeros(x.shape), 0.0, to_image)
    settled = squared(flat, strips)
    assert settled is not None
    geometry, moved = settled
    assert np.allclose(geometry.paper, np.stack([x, y], -1) / 3.0)
    assert [strip.baseline_mm for strip in moved] == pytest.approx([33.0, 66.0], rel=1e-3)
    seen = replace(flat, paper=flat.paper * (1.0 + 0.3 * x / x.max())[..., None])
    assert squared(seen, strips) is None


def test_a_flat_map_that_bends_a_little_becomes_a_turned_and_scaled_picture():
    y, x = np.mgrid[0:80, 0:100] * 4.0 + 1.5
    cos, sin = np.cos(0.02), np.sin(0.02)
    true = np.stack([cos * x - sin * y, sin * x + cos * y], -1) / 3.0
    bent = true + 0.2 * np.stack([np.sin(y / 60.0), np.sin(x / 70.0)], -1)
    strips = [FoundStrip("I", 0, 0, 10.0, 110.0, 30.0), FoundStrip("II", 1, 0, 10.0, 110.0, 70.0)]
    settled = squared(PageGeometry(bent, np.zeros(x.shape), 0.0, np.array([[1.0, 0, 0], [0, 1.0, 0]])), strips)
    assert settled is not None
    right, down = (np.diff(settled[0].paper, axis=axis)[::20, ::20].reshape(-1, 2) for axis in (1, 0))
    assert np.abs(right - right[0]).max() < 1e-9
    assert down[0] == pytest.approx((-right[0][1], right[0][0]))
    assert right[0] == pytest.approx(4 / 3 * np.array([cos, sin]), abs=0.006)


@pytest.mark.parametrize(("gap", "length"), [(0.0, 200.0), (2.0, 200.0)])
def test_rows_have_the_standard_length_from_a_column_to_the_next_also_where_these_stand_apart(gap, length):
    y, x = np.mgrid[0:80, 0:100] * 4.0 + 1.5
    geometry = PageGeometry(np.stack([x, y], -1), np.zeros(x.shape), 0.0, np.array([[1.0, 0, 0], [0, 1.0, 0]]))
    strips = [
        FoundStrip("I", 0, 0, 20.0, 20.0 + length / 2 - gap, 40.0),
        FoundStrip("V1", 0, 1, 20.0 + length / 2, 20.0 + length - gap, 40.0),
    ]
    _, scaled_strips = standard_width(geometry, strips)
    assert scaled_strips[1].start_mm - scaled_strips[0].start_mm == pytest.approx(125.0)


@pytest.mark.parametrize(("height", "width", "gain"), [(4.997, 3.999, 5.0), (10.2, 5.1, 10.0), (19.6, 9.7, 20.0)])
def test_a_measured_pulse_says_the_gain_that_its_height_is_near_to(height, width, gain):
    pulse = measured_pulse(PulseSize(height, width))
    assert pulse is not None
    assert pulse.gain == gain
    assert (pulse.fast > 0) == (width > 8.0)


@pytest.mark.parametrize("size", [None, PulseSize(8.36, 4.05), PulseSize(13.0, 5.0)])
def test_a_height_that_no_machine_draws_says_nothing_of_the_gain(size):
    assert measured_pulse(size) is None


def test_pulses_on_whole_pixels_of_a_coarse_page_leave_rows_as_they_are():
    rows = dict.fromkeys(range(6), 0.0)
    rounded = PulseSize(9.99, 4.89, rows)
    assert pulse_ratio(rounded, 5.9) == 1.0
    assert pulse_ratio(rounded, 40.0) > 1.0


def test_a_pulse_of_the_right_height_and_an_odd_width_leaves_rows_as_they_are():
    assert pulse_ratio(PulseSize(9.99, 4.28, dict.fromkeys(range(4), 0.0)), 7.1) == 1.0
