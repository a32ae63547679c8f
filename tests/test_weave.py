"""A grid of dots that no network saw, found in the spectra of windows of the page."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from modeling_ecgscan.geometry_ecgscan import PageGeometry
from modeling_ecgscan.settling_ecgscan import carried, follows_better, settle_on_grid
from modeling_ecgscan.weave_ecgscan import likely_scale, on_weave
from tests.test_geometry import along_strips, box_of, drawn_page


def dotted(**choices):
    """A page on dots, its exact map without the grid's visibility, and its strips."""
    pages = (drawn_page(seed, layout="3x4+1", **choices) for seed in range(400))
    page, exact, strips = next(found for found in pages if found[0].style.grid_kind == "dotted")
    return page, replace(exact, amplitude=np.zeros_like(exact.amplitude)), strips


def bent(geometry: PageGeometry, turn: float, scale: float, bend: float) -> PageGeometry:
    """A map that is turned (rad), of another scale, and whose scale changes by `bend` over 100 mm along time."""
    turned = scale * geometry.paper @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    away = (turned[..., 0] - np.median(turned[..., 0])) / 100
    turned[..., 0] += 100 * bend * away**2 / 2
    return replace(geometry, paper=turned)


def farthest_mm(geometry, exact, strips) -> float:
    """By how much the places along the strips are off, after the best shift and turn."""
    truth, found = (places - places.mean(0) for places in along_strips(geometry, exact, strips))
    left, _, right = np.linalg.svd(found.T @ truth)
    return float(np.abs(found @ left @ right - truth).max())


@pytest.mark.parametrize(
    ("turn", "scale", "bend"), [(0.013, 0.99, 0.0), (-0.02, 1.05, 0.0), (0.005, 0.98, 0.04), (0.02, 1.08, 0.12)]
)
def test_a_map_that_saw_no_dots_is_laid_on_them(turn, scale, bend):
    page, exact, strips = dotted(condition="clean")
    spoiled = bent(exact, turn, scale, bend)
    found = on_weave(page.image, spoiled, tuple(scale * side for side in box_of(strips)))
    assert found is not None
    assert farthest_mm(found, exact, strips) < 0.15 < 0.5 < farthest_mm(spoiled, exact, strips)


@pytest.mark.parametrize("upright", [True, False])
def test_lines_of_one_direction_are_enough_on_a_flat_page(upright):
    pages = (drawn_page(seed, condition="clean", layout="3x4+1") for seed in range(400))
    page, exact, strips = next(
        found for found in pages if found[0].style.grid_kind == "dotted" and found[0].style.grid_alpha[0] > 0.7
    )
    millimetre = round(page.style.pixels_per_mm)
    kernel = (1, millimetre) if upright else (millimetre, 1)
    spoiled = bent(exact, 0.013, 0.98, 0.0)
    found = on_weave(cv2.blur(page.image, kernel), spoiled, tuple(0.98 * side for side in box_of(strips)))
    assert found is not None
    places, truth = (points - points.mean(0) for points in along_strips(found, exact, strips)[::-1])
    sizes = np.diag(np.linalg.lstsq(places, truth, rcond=None)[0])
    clear, other = sizes if upright else sizes[::-1]
    assert clear == pytest.approx(1.0, abs=0.002)
    assert other == pytest.approx(1.0, abs=0.01)


def test_rows_on_dots_begin_together_in_a_page_whose_map_was_slanted():
    page, exact, strips = dotted(condition="clean")
    spoiled = bent(exact, 0.015, 1.02, 0.02)
    settled = settle_on_grid(page.image, spoiled, strips)
    assert settled is not None
    geometry, moved = settled
    assert farthest_mm(geometry, exact, strips) < 0.1
    for first in {strip.start_mm for strip in strips}:
        starts = [now.start_mm for now, before in zip(moved, strips, strict=True) if before.start_mm == first]
        assert np.ptp(starts) < 1e-6


def test_columns_have_their_width_again_whose_map_was_bent_before():
    page, exact, strips = dotted(condition="clean")
    spoiled = bent(exact, 0.0, 1.0, 0.12)
    settled = settle_on_grid(page.image, spoiled, carried(strips, exact, spoiled))
    assert settled is not None
    widths = [[strip.end_mm - strip.start_mm for strip in group] for group in (settled[1], strips)]
    np.testing.assert_allclose(*widths, atol=0.3)


@pytest.mark.parametrize("factor", [1.0, 1.2, 1.4])
def test_the_dots_tell_the_scale_of_a_map_by_which_the_page_is_far_too_small(factor):
    page, exact, strips = dotted(condition="clean")
    other = replace(exact, paper=exact.paper / factor)
    box = tuple(side / factor for side in box_of(strips))
    assert likely_scale(page.image, other, box) == pytest.approx(factor, rel=0.12)


def test_rows_that_last_no_ten_seconds_have_the_length_that_the_dots_show():
    page, exact, strips = dotted(condition="clean")
    # as if the printed rows were 180 mm long: taken for a standard row, the page would be a third too wide
    short = [replace(s, start_mm=0.72 * s.start_mm, end_mm=0.72 * s.end_mm) for s in strips]
    settled = settle_on_grid(page.image, bent(exact, 0.0, 1.02, 0.0), short)
    assert settled is not None
    geometry, _ = settled
    assert farthest_mm(geometry, exact, short) < 0.1


@pytest.mark.parametrize("quality", [95, 30])
def test_a_page_without_a_grid_has_no_weave_however_it_was_compressed(quality):
    pages = (drawn_page(seed, condition="clean", layout="3x4+1") for seed in range(200))
    page, exact, strips = next(found for found in pages if found[0].style.grid_kind == "none")
    noisy = np.clip(page.image + np.random.default_rng(0).normal(0, 4, page.image.shape), 0, 255).astype(np.uint8)
    _, coded = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert on_weave(cv2.imdecode(coded, 1), exact, box_of(strips)) is None


@pytest.mark.parametrize("seed", [1, 2, 6])
def test_a_facet_that_is_shorter_by_an_eighth_is_followed_in_part(seed):
    page, exact, strips = drawn_page(seed, condition="clean", layout="3x4+1")
    assert page.style.grid_kind == "full"
    along, across = exact.paper[..., 0], exact.paper[..., 1]
    crease, middle = np.percentile(along, 30) + 50.0, np.median([strip.baseline_mm for strip in strips])
    paper = exact.paper.copy()
    # below the middle row, on one side of the crease
    paper[..., 0] += 0.12 * np.clip(crease - along, 0.0, 50.0) * np.clip((across - middle) / 15.0 + 0.5, 0.0, 1.0)
    creased = replace(exact, paper=paper, amplitude=np.zeros_like(exact.amplitude))
    found = on_weave(page.image, creased, box_of(strips))
    assert found is not None
    assert 1.4 * farthest_mm(found, exact, strips) < farthest_mm(creased, exact, strips)


@pytest.mark.parametrize(
    ("met", "then", "longer", "better"),
    [
        (0.5, 0.62, 0.0, True),
        (0.5, 0.58, 0.0, False),
        (0.5, 0.62, 0.08, False),
        (0.5, 0.9, -0.15, True),
        (0.9, 0.95, 0, True),
    ],
)
def test_a_woven_map_must_meet_a_fifth_of_what_was_not_met_and_more_where_rows_change_their_length(
    met, then, longer, better
):
    assert follows_better(met, then, longer) == better
