"""Pages without a grid, made upright and seen from above by their rows; close-ups that hold all strips."""

from dataclasses import replace

import numpy as np
import pytest

from modeling_ecgscan.geometry_ecgscan import PageGeometry
from modeling_ecgscan.rectifying_ecgscan import StripColumns
from modeling_ecgscan.strips_ecgscan import FoundStrip
from modeling_ecgscan.uprighting_ecgscan import made_upright
from modeling_ecgscan.views_ecgscan import CLOSE_UP, view_holding

ROWS_MM, START_MM, LENGTH_MM = (-60.0, -20.0, 20.0, 60.0), -120.0, 240.0
IDENTITY = np.array([[1.0, 0, 0], [0, 1.0, 0]])


def seen(places: np.ndarray, lean: float, along: float) -> np.ndarray:
    """Where places of the flat page (mm) lie on a map of it that was turned and seen at an angle."""
    x, y = places[..., 0], places[..., 1]
    far = 1.0 / (1.0 - along * x)
    return np.stack([x * far + lean * y * far, y * far - lean * x * far], -1)


def page_of(
    lean: float, along: float, rows_mm: tuple[float, ...] = ROWS_MM
) -> tuple[PageGeometry, list[FoundStrip], list[StripColumns]]:
    """A map of such a page, and its rows as they were read on it: their beginnings, ends and resting heights."""
    strips, columns = [], []
    for row, level in enumerate(rows_mm):
        x = np.linspace(START_MM - 12.0, START_MM + LENGTH_MM + 12.0, 4000)
        found = seen(np.stack([x, np.full_like(x, level)], -1), lean, along)
        printed = (x > START_MM) & (x < START_MM + LENGTH_MM)
        base = float(found[printed, 1].mean())
        even = np.arange(found[0, 0], found[-1, 0], 1 / 12)
        waves = 8.0 * (np.mod(even, 20.0) < 0.8)
        height = base - np.interp(even, found[:, 0], found[:, 1]) + waves
        shown = np.interp(even, found[:, 0], printed.astype(float)) > 0.5
        columns.append(StripColumns(even, height, np.full(len(even), 0.2), np.where(shown, 0.97, 0.03)))
        start, end = even[shown][[0, -1]]
        strips.append(FoundStrip(("I", "II", "III", "aVR")[row], row, 0, float(start) + 1.0, float(end) - 1.0, base))
    y, x = np.mgrid[-100.0:100.0:4.0, -160.0:160.0:4.0]
    paper = seen(np.stack([x, y], -1), lean, along)
    return PageGeometry(paper, np.zeros(x.shape), 0.0, IDENTITY), strips, columns


@pytest.mark.parametrize("lean", [-0.02, 0.0, 0.013])
def test_a_page_that_leans_is_turned_upright_and_its_rows_begin_together(lean):
    geometry, strips, columns = page_of(lean, 0.0)
    upright, moved, at_angle = made_upright(geometry, strips, columns)
    assert not at_angle
    right, down = (np.diff(upright.paper, axis=axis).reshape(-1, 2) for axis in (1, 0))
    assert right.mean(0) == pytest.approx([4.0, 0.0], abs=0.012)
    assert down.mean(0) == pytest.approx([0.0, 4.0], abs=0.012)
    assert len({strip.start_mm for strip in moved}) == 1


def test_rows_begin_and_end_where_they_show_it_themselves_however_far_off_each_was_taken_to():
    geometry, strips, columns = page_of(0.0, 0.0)
    off = (-2.0, -1.0, 1.0, 2.0)
    taken = [replace(s, start_mm=s.start_mm + d, end_mm=s.end_mm - d) for s, d in zip(strips, off, strict=True)]
    _, moved, _ = made_upright(geometry, taken, columns)
    assert [(s.start_mm, s.end_mm) for s in moved] == [pytest.approx((START_MM, START_MM + LENGTH_MM), abs=0.1)] * 4


def test_strips_of_one_row_stand_on_one_baseline_once_a_leaning_page_is_upright():
    geometry, strips, traces = page_of(0.02, 0.0)
    parts = []
    for strip, trace in zip(strips, traces, strict=True):
        middle = (strip.start_mm + strip.end_mm) / 2
        # on the leaning map the second half of a row stands lower than the first
        halves = ((strip.start_mm, middle, 1.2), (middle, strip.end_mm, -1.2))
        parts += [
            (replace(strip, column=k, start_mm=a, end_mm=b, baseline_mm=strip.baseline_mm + up), trace)
            for k, (a, b, up) in enumerate(halves)
        ]
    _, moved, _ = made_upright(geometry, *map(list, zip(*parts, strict=True)))
    assert [first.baseline_mm for first in moved[::2]] == [second.baseline_mm for second in moved[1::2]]


@pytest.mark.parametrize("along", [-2e-4, 2e-4])
def test_rows_that_come_closer_together_tell_how_much_shorter_the_far_seconds_look(along):
    geometry, strips, columns = page_of(0.0, along)
    flat, moved, at_angle = made_upright(geometry, strips, columns)
    assert at_angle
    middle = flat.paper[25, 10:70, 0]
    before, after = (np.ptp(np.diff(paper)) / np.diff(paper).mean() for paper in (geometry.paper[25, 10:70, 0], middle))
    assert before > 0.09
    assert after < 0.2 * before
    assert np.ptp([strip.end_mm - strip.start_mm for strip in moved]) == 0.0


def test_columns_tell_it_where_rows_are_too_near_to_one_another():
    geometry, strips, traces = page_of(0.0, 3e-4, (-3.0, 0.0, 3.0))
    borders = seen(np.stack([np.linspace(START_MM, START_MM + LENGTH_MM, 5), np.zeros(5)], -1), 0.0, 3e-4)[:, 0]
    parts = [
        (replace(strip, column=column, start_mm=borders[column], end_mm=borders[column + 1]), trace)
        for strip, trace in zip(strips, traces, strict=True)
        for column in range(4)
    ]
    _, moved, at_angle = made_upright(geometry, *map(list, zip(*parts, strict=True)))
    assert at_angle
    lengths = [strip.end_mm - strip.start_mm for strip in moved[:4]]
    assert np.ptp(lengths) < 0.5 * np.ptp(np.diff(borders))


def test_of_rows_too_few_nothing_is_told():
    geometry, strips, columns = page_of(0.02, 2e-4)
    assert made_upright(geometry, strips[:2], columns[:2]) == (geometry, strips[:2], False)


@pytest.mark.parametrize(("beyond", "wider"), [(60.0, True), (-30.0, True), (-80.0, False)])
def test_a_close_up_that_cuts_strips_off_is_widened_until_it_holds_them(beyond, wider):
    height, width = CLOSE_UP
    image = np.zeros((2000, 2000, 3), np.uint8)
    view = np.array([[1.2, 0, 300.0], [0, 1.2, 300.0]])
    points = np.array([[100.0, 200.0], [width + beyond, 250.0]])
    found = view_holding(points, view, image, px_per_mm=4.0)
    assert (found is not None) == wider
    if found is not None:
        there = points @ view[:, :2].T + view[:, 2]
        inside = (there - found[:, 2]) @ np.linalg.inv(found[:, :2]).T
        assert ((inside > 40.0) & (inside < (width - 40.0, height - 40.0))).all()


def test_strips_that_run_out_of_the_picture_ask_for_no_wider_close_up():
    view = np.array([[1.2, 0, 0.0], [0, 1.2, 0.0]])
    points = np.array([[100.0, 200.0], [CLOSE_UP[1] + 60.0, 250.0]])
    assert view_holding(points, view, np.zeros((700, 900, 3), np.uint8), px_per_mm=4.0) is None
