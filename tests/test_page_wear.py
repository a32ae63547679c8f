"""Wear of paper and picture: every kind shows, none moves a point or takes a trace away."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.layouts import LAYOUTS
from processing.other_traces import trace_mm
from processing.page_ageing import AGEING_SHARES, Sheet, age
from processing.page_handling import PHOTO_SHARES, fax, handle
from processing.page_warp import flat_warp
from processing.page_wear import wide_blur
from processing.renderer import render
from processing.simulator import simulate

TRACES = (40.0, 40.0, 160.0, 110.0)
CORNERS = np.array([[40.0, 40.0], [160.0, 40.0], [160.0, 110.0], [40.0, 110.0]])


def blank() -> np.ndarray:
    return np.full((600, 800, 3), 235, np.uint8)


@pytest.mark.parametrize("kind", sorted(AGEING_SHARES))
def test_every_kind_of_age_shows_and_leaves_the_drawing_itself_alone(kind):
    drawn = blank()
    drawn[::20] = 120
    kept = drawn.copy()
    pages = [age(np.random.default_rng(seed), drawn, 4.0, TRACES, (kind,)) for seed in range(6)]
    assert any(not np.array_equal(page, drawn) or gone is not None for page, gone in pages)
    assert np.array_equal(drawn, kept)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), kind=st.sampled_from(["holes", "tear", "dog_ear"]))
def test_paper_is_never_lost_where_a_trace_runs(seed, kind):
    page, gone = age(np.random.default_rng(seed), blank(), 4.0, TRACES, (kind,))
    assert gone is None or not gone[160:440, 160:640].any()
    if kind != "tear":
        assert np.array_equal(page[164:436, 164:636], blank()[164:436, 164:636]) or kind == "dog_ear"


@pytest.mark.parametrize("kind", ["coffee", "water", "mould", "highlight", "fade"])
def test_ink_stays_darker_than_the_paper_beside_it_under_stains(kind):
    drawn = blank()
    drawn[300:304] = 20
    for seed in range(8):
        page = age(np.random.default_rng(seed), drawn, 4.0, TRACES, (kind,))[0].astype(int).mean(-1)
        assert (page[295] - page[302]).min() > 15


@pytest.mark.parametrize("kind", sorted(PHOTO_SHARES))
def test_what_comes_before_the_camera_shows_and_hides_no_trace(kind):
    warp = flat_warp((200.0, 150.0), 4.0)
    drawn = blank()
    drawn[300:304, 200:600] = 20
    pictures = [
        handle(np.random.default_rng(seed), drawn, warp, warp.pixel_map(4.0), (200.0, 150.0), CORNERS, (kind,))
        for seed in range(8)
    ]
    assert any(not np.array_equal(picture, drawn) for picture in pictures)
    for picture in pictures:
        level = picture.astype(int).mean(-1)
        assert np.median(level[296, 200:600] - level[302, 200:600]) > 30
        if kind in ("thumb", "clip"):
            assert np.array_equal(picture[164:436, 164:636], drawn[164:436, 164:636])


def test_a_fax_is_black_or_white_and_keeps_lines_in_place():
    drawn = blank()
    drawn[300:306, 100:700] = 20
    sent = fax(np.random.default_rng(3), drawn)
    assert sent.shape == drawn.shape
    assert set(np.unique(sent)) == {0, 255}
    rows = (sent[250:350, 100:700, 0] == 0).mean(1) > 0.9
    assert abs(np.flatnonzero(rows).mean() + 250 - 302.5) < 2.0


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000), layout=st.sampled_from(sorted(LAYOUTS)), condition=st.sampled_from(["scan", "photo"])
)
def test_the_map_of_any_worn_page_is_exact_along_every_strip(seed, layout, condition):
    page = render(simulate(1), seed=seed, layout=layout, condition=condition, pixels_per_mm=2.5)
    for strip in page.strips:
        places = np.stack(trace_mm(page, strip), 1)[::50]
        assert np.abs(page.to_paper(page.to_image(places)) - places).max() < 0.05


@given(st.integers(40, 900), st.integers(40, 900), st.floats(1.5, 12.0))
def test_a_window_over_the_whole_paper_has_the_pictures_size_at_any_scale(height, width, px_per_mm):
    sheet = Sheet(np.zeros((height, width, 3), np.uint8), px_per_mm, (0.0, 0.0, 1.0, 1.0))
    rows, columns, y, x = sheet.window((-50.0, -50.0, 5000.0, 5000.0))
    assert (rows.stop - rows.start, columns.stop - columns.start) == (height, width)
    assert (y.shape, x.shape) == ((height, 1), (1, width))


@pytest.mark.parametrize("sigma", [5, 12])
def test_the_wide_blur_is_opencvs_to_the_bit(sigma):
    noise = np.random.default_rng(sigma).integers(0, 256, (130, 170), dtype=np.uint8)
    assert np.array_equal(wide_blur(noise, sigma), cv2.GaussianBlur(noise, (0, 0), sigma))
