"""Pages: what is drawn stands where the truth says."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.layouts import LAYOUTS
from processing.leads import LEADS
from processing.page_style import sample_style
from processing.page_warp import lit, sample_warp, seen
from processing.renderer import render
from processing.simulator import simulate


@pytest.fixture(scope="module")
def recording():
    return simulate(3)


def test_the_same_seed_gives_the_same_pixels_and_another_seed_another_page(recording):
    first, again, other = (render(recording, seed=seed, condition="photo", pixels_per_mm=3.0) for seed in (5, 5, 6))
    assert np.array_equal(first.image, again.image)
    assert first.image.shape != other.image.shape or not np.array_equal(first.image, other.image)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), condition=st.sampled_from(["scan", "photo"]), turn=st.floats(-180, 180))
def test_paper_to_image_and_back_is_the_identity(seed, condition, turn):
    rng = np.random.default_rng(seed)
    keep = np.array([[20.0, 30.0], [270.0, 180.0]])
    warp = sample_warp(rng, (297.0, 210.0), keep, condition=condition, turn_deg=turn, pixels_per_mm=3.0)
    points = rng.uniform((10, 10), (287, 200), (50, 2))
    assert np.abs(warp.to_paper(warp.to_image(points)) - points).max() < 0.02


@pytest.mark.parametrize("condition", ["scan", "photo"])
def test_a_dot_drawn_on_paper_is_found_where_the_map_says(condition):
    import cv2

    rng = np.random.default_rng(11)
    warp = sample_warp(
        rng,
        (200.0, 150.0),
        np.array([[20.0, 20.0], [180.0, 130.0]]),
        condition=condition,
        turn_deg=4.0,
        pixels_per_mm=4.0,
    )
    for place in ((60.0, 50.0), (120.0, 100.0), (150.0, 70.0)):
        flat = np.zeros((900, 1200), np.uint8)
        middle = np.array(place) * 6.0 - 0.5
        cv2.circle(flat, tuple(int(round(v * 16)) for v in middle), 8 * 16, 255, -1, cv2.LINE_AA, 4)
        seen = cv2.remap(flat, warp.pixel_map(6.0), None, cv2.INTER_LINEAR).astype(float)
        y, x = np.mgrid[: seen.shape[0], : seen.shape[1]]
        centre = np.array([(x * seen).sum(), (y * seen).sum()]) / seen.sum()
        assert np.abs(centre - warp.to_image(np.array([place]))[0]).max() < 0.35


def test_quick_ways_to_map_and_to_light_a_picture_give_the_pixels_of_the_plain_ones():
    rng = np.random.default_rng(4)
    keep = np.array([[20.0, 20.0], [120.0, 80.0]])
    warp = sample_warp(rng, (140.0, 100.0), keep, condition="photo", turn_deg=7.0, pixels_per_mm=2.0)
    picture = rng.integers(0, 256, (200, 280, 3), dtype=np.uint8)
    backdrop = rng.integers(0, 256, (*warp.size, 3), dtype=np.uint8)
    light = rng.uniform(0.3, 1.5, (*warp.shade.shape, 3)).astype(np.float32)
    grow = np.array([[4.0, 0, 0], [0, 4.0, 0]])
    source = cv2.warpAffine(warp.nodes * np.float32(2.0) - np.float32(0.5), grow, warp.size[::-1])
    assert np.array_equal(warp.pixel_map(2.0), source)
    plain = cv2.remap(picture, source, None, cv2.INTER_LINEAR, dst=backdrop.copy(), borderMode=cv2.BORDER_TRANSPARENT)
    assert np.array_equal(seen(picture, warp.pixel_map(2.0), backdrop), plain)
    bright = cv2.warpAffine(light, grow, warp.size[::-1])
    assert np.array_equal(lit(plain, light), cv2.multiply(plain, bright, dtype=cv2.CV_8U))


def test_the_trace_is_dark_where_the_truth_says_it_runs(recording):
    page = render(recording, seed=21, layout="6x2", pixels_per_mm=6.0)
    paper = np.median(page.image.reshape(-1, 3), axis=0).mean()
    for strip in page.strips[:6]:
        times = np.linspace(strip.start_s + 0.1, strip.end_s - 0.1, 200)
        values = np.interp(times, np.arange(5000) / 500, recording.signal[LEADS.index(strip.lead)])
        points = np.stack([strip.x_of(times), strip.baseline_mm - values * page.gain], axis=1)
        pixels = np.rint(page.to_image(points)).astype(int)
        shades = page.image[pixels[:, 1].clip(0, page.image.shape[0] - 1), pixels[:, 0]].mean(axis=1)
        assert np.median(shades) < paper - 60


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_every_layout_prints_its_leads_in_order_and_inside_the_page(recording, layout):
    page = render(recording, seed=4, layout=layout, pixels_per_mm=3.0)
    rows = [[strip.lead for strip in page.strips if strip.row == row] for row in range(len(page.layout.rows))]
    assert rows == [list(leads) for leads in page.layout.rows]
    assert all(s.x_mm >= 0 and s.x_mm + s.width_mm <= page.style.page_mm[0] for s in page.strips)
    for strip in page.strips:
        assert strip.width_mm == pytest.approx((strip.end_s - strip.start_s) * page.speed)


def test_columns_follow_one_another_or_start_together(recording):
    sequential = render(recording, seed=4, layout="3x4", speed=25.0, pixels_per_mm=3.0)
    together = render(recording, seed=4, layout="3x4", speed=25.0, columns="simultaneous", pixels_per_mm=3.0)
    starts = {strip.lead: strip.start_s for strip in sequential.strips}
    assert starts["I"] == 0.0 and starts["aVR"] == pytest.approx(starts["V4"] / 3)
    assert {strip.start_s for strip in together.strips} == {0.0}


def test_of_a_lead_printed_twice_the_longer_strip_is_the_printed_one(recording):
    page = render(recording, seed=4, layout="3x4+1", rhythm=("V5",), pixels_per_mm=3.0)
    start, end = page.printed()["V5"]
    assert start == 0.0 and end > page.printed()["V4"][1] - page.printed()["V4"][0]


def test_unknown_names_are_refused_in_one_sentence(recording):
    with pytest.raises(ValueError, match="layout '5x5' is unknown"):
        render(recording, seed=0, layout="5x5")
    with pytest.raises(ValueError, match="condition 'wet' is unknown"):
        render(recording, seed=0, condition="wet")


def test_styles_cover_grids_speeds_and_gains():
    styles = [sample_style(np.random.default_rng(seed)) for seed in range(300)]
    assert {style.grid_kind for style in styles} == {"full", "major", "faint", "dotted", "none"}
    assert {style.speed for style in styles} == {25.0, 50.0}
    assert {style.gain for style in styles} == {5.0, 10.0, 20.0}
    assert len({style.layout.name for style in styles}) >= 10
