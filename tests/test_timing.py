"""Beats that all rows show: rows that a bent page sets out of step are found, and those that are right left alone."""

import numpy as np
import pytest

from modeling_ecgscan.geometry_ecgscan import PageGeometry
from modeling_ecgscan.settling_ecgscan import evenly_spaced
from modeling_ecgscan.strips_ecgscan import FoundStrip
from modeling_ecgscan.timing_ecgscan import out_of_step
from processing.layouts import LAYOUTS
from processing.leads import LEADS
from processing.signal_views import printed_mask
from processing.simulator import simulate

SURE = np.ones((12, 5000), np.float32)


def printed(layout: str = "3x4+1") -> np.ndarray:
    signal = simulate(4, rhythm="sinus_rhythm").signal
    return np.where(printed_mask(LAYOUTS[layout], 5000), signal, np.nan)


def read_late(values: np.ndarray, late_s: np.ndarray) -> np.ndarray:
    """A lead whose moment t is read as it was `late_s` before."""
    known = np.flatnonzero(np.isfinite(values))
    result = values.copy()
    result[known] = np.interp(known - 500 * late_s[known], known, values[known])
    return result


@pytest.mark.parametrize("layout", ["3x4", "3x4+1", "6x2", "12x1"])
def test_rows_in_step_are_left_alone(layout):
    assert out_of_step(printed(layout), SURE) == {}


def test_a_row_that_is_always_early_is_in_step():
    signal = printed()
    signal[0] = read_late(signal[0], np.full(5000, -0.02))
    assert out_of_step(signal, SURE) == {}


def test_a_row_that_a_bent_page_sets_out_of_step_is_told_beat_by_beat():
    signal = printed()
    drift = 0.03 * (np.arange(5000) / 500 - 1.25)  # of lead I, which is printed from 0 to 2.5 s
    signal[0] = read_late(signal[0], drift)
    found = out_of_step(signal, SURE)
    assert set(found) == {LEADS.index("I")}
    moments, late = found[0]
    wanted = drift[(500 * moments).astype(int)]
    assert np.abs((late - np.median(late)) - (wanted - np.median(wanted))).max() < 0.003


def test_without_beats_or_leads_that_show_them_together_nothing_is_told():
    assert out_of_step(np.full((12, 5000), np.nan), SURE) == {}
    alone = np.full((12, 5000), np.nan)
    alone[1] = printed("12x1")[1]
    assert out_of_step(alone, SURE) == {}


def page_of(borders: list[float]) -> tuple[PageGeometry, list[FoundStrip]]:
    """A flat map of one millimetre a cell, and three rows whose columns have these borders."""
    y, x = np.mgrid[0:100, -20:300].astype(float)
    geometry = PageGeometry(np.stack([x, y], -1), np.zeros(x.shape), 0.0, np.array([[4.0, 0, 80], [0, 4.0, 0]]))
    columns = list(zip(borders[:-1], borders[1:], strict=True))
    strips = [
        FoundStrip("I", row, column, start, end, 20.0 + 25.0 * row)
        for row in range(3)
        for column, (start, end) in enumerate(columns)
    ]
    return geometry, strips


def test_columns_of_a_page_seen_at_an_angle_are_made_equally_long():
    bent = 125 + 125 * (np.linspace(-1, 1, 5) + 0.06 * (1 - np.linspace(-1, 1, 5) ** 2))
    _, strips = evenly_spaced(*page_of(list(bent)))
    lengths = [strip.end_mm - strip.start_mm for strip in strips]
    assert np.ptp(lengths) < 1.0  # 15 before
    assert np.mean(lengths) == pytest.approx(62.5, abs=0.5)


@pytest.mark.parametrize(
    "borders",
    [
        pytest.param([0.0, 62.8, 124.9, 187.4, 250.0], id="even but for what is found badly"),
        pytest.param([0.0, 62.5, 130.0, 187.5, 250.0], id="one border off"),
        pytest.param([0.0, 130.0, 250.0], id="two columns"),
    ],
)
def test_columns_that_tell_no_angle_are_left_alone(borders):
    geometry, strips = page_of(borders)
    assert evenly_spaced(geometry, strips) == (geometry, strips)
