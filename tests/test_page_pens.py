"""Pens cover what they are told to, wherever a line goes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.page_pens import stroked
from processing.page_style import sample_style, vary_pen
from processing.renderer import render
from processing.simulator import simulate


@settings(deadline=None, max_examples=30)
@given(
    angle=st.floats(0, np.pi),
    width=st.floats(0.8, 6),
    middle=st.floats(48, 52),
    piece=st.sampled_from([0.3, 2.0, 90.0]),
)
def test_a_line_is_as_wide_as_its_pen_and_stands_where_it_is_told_at_any_slope(angle, width, middle, piece):
    along = np.append(np.arange(-45, 45, piece), 45)
    way = np.array([np.cos(angle), np.sin(angle)])
    ink = stroked((100, 100), [along[:, None] * way + middle], width, "bevel") / 255.0

    assert ink.sum() == pytest.approx(90 * width, rel=0.03)
    places = np.stack(np.meshgrid(np.arange(100) + 0.5, np.arange(100) + 0.5), -1)
    centre = (ink[..., None] * places).sum((0, 1)) / ink.sum()
    assert centre == pytest.approx([middle, middle], abs=0.1)


def test_a_pointed_join_reaches_farther_than_a_round_one_and_that_farther_than_a_bevel():
    peak = np.array([[6.0, 90.0], [26.0, 40.0], [46.0, 90.0]])
    highest = {join: _top(stroked((100, 50), [peak], 4.0, join)) for join in ("miter", "round", "bevel")}

    assert highest["round"] == pytest.approx(38, abs=0.3)
    assert highest["miter"] < highest["round"] < highest["bevel"]


def test_lines_of_one_picture_do_not_add_where_they_cross():
    cross = [np.array([[10.0, 25.0], [40.0, 25.0]]), np.array([[25.0, 10.0], [25.0, 40.0]])]
    for join in ("round", "pixels"):
        assert stroked((50, 50), cross, 3.0, join)[25, 25] == 255


def _top(ink: np.ndarray) -> float:
    """Where coverage begins along the middle column, to a part of a pixel."""
    column = ink[:, 25:27].max(1) / 255.0
    first = int(np.argmax(column > 0))
    return first + 1 - float(column[first])


def test_pens_are_of_any_width_up_to_eight_tenths_of_a_millimetre_and_one_in_seven_is_of_whole_pixels():
    drawn = []
    for seed in range(600):
        style = sample_style(np.random.default_rng(seed))
        vary_pen(np.random.default_rng(seed), style)
        drawn.append((style.trace_mm, style.join))
    widths = np.array([width for width, _ in drawn])
    assert widths.min() > 0.09 and widths.max() == pytest.approx(0.8)
    assert len(np.unique(widths.round(3))) > 200
    assert np.mean([join == "pixels" for _, join in drawn]) == pytest.approx(1 / 7, abs=0.04)


@pytest.mark.parametrize("condition", ["clean", "scan"])
def test_a_thin_pen_stays_thin_unless_the_page_is_scanned_with_few_pixels(condition):
    seed = next(seed for seed in range(50) if render(simulate(0), seed=seed).style.trace_mm < 0.16)
    page = render(simulate(0), seed=seed, condition=condition, pixels_per_mm=5.0)
    assert page.style.trace_mm == pytest.approx(0.26) if condition == "scan" else page.style.trace_mm < 0.16
