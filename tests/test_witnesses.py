"""Leads printed twice: what rhythm strips tell about the short strips of the same leads."""

from dataclasses import replace

import numpy as np
import pytest

from modeling_ecgscan.rectifying_ecgscan import StripColumns
from modeling_ecgscan.strips_ecgscan import FoundStrip
from modeling_ecgscan.witnesses_ecgscan import recorded_at_once, rhythm_residual_uv

X = np.arange(0, 260, 1 / 6)


def waves(seed: int) -> np.ndarray:
    return np.convolve(np.random.default_rng(seed).normal(0, 3, len(X)), np.ones(9) / 9, "same")


def seen(height_mm: np.ndarray) -> StripColumns:
    return StripColumns(X, height_mm, np.full(len(X), 0.2), np.ones(len(X)))


V1 = FoundStrip("V1", 0, 2, 125.0, 187.5, 20.0)
RHYTHM = FoundStrip("V1", 1, 0, 0.0, 250.0, 50.0, True, 0.9)


def test_columns_one_after_another_repeat_the_waves_of_the_rhythm_strip_in_place():
    assert recorded_at_once([V1, RHYTHM], [seen(waves(1)), seen(waves(1))]) is False


def test_columns_of_one_moment_repeat_the_beginning_of_the_rhythm_strip():
    later = np.interp(X - 125.0, X, waves(1))
    assert recorded_at_once([V1, RHYTHM], [seen(later), seen(waves(1))]) is True


@pytest.mark.parametrize("at_once", [False, True])
def test_beats_of_other_leads_tell_the_order_of_columns_as_well(at_once):
    beats = np.exp(
        -0.5 * (np.min(np.abs(X[:, None] - np.array([9.0, 31, 58, 77, 103, 131, 149, 180, 203])), 1) / 0.6) ** 2
    )
    shown = np.interp(X - 125.0, X, beats) if at_once else beats
    columns = [seen(-6.0 * shown), seen(12.0 * beats)]
    assert recorded_at_once([V1, replace(RHYTHM, lead="II")], columns) is at_once


def test_rhythm_strips_that_repeat_nothing_or_the_first_column_alone_tell_no_order_of_columns():
    assert recorded_at_once([V1, RHYTHM], [seen(waves(1)), seen(waves(2))]) is None
    first = replace(V1, column=0, start_mm=0.0, end_mm=62.5)
    assert recorded_at_once([first, RHYTHM], [seen(waves(1)), seen(waves(1))]) is None


def test_flat_lines_tell_no_order_of_columns():
    flat = seen(np.zeros(len(X)))
    assert recorded_at_once([V1, RHYTHM], [flat, seen(waves(1))]) is None
    assert recorded_at_once([V1, RHYTHM], [seen(waves(1)), flat]) is None


def test_rhythm_strips_that_contradict_one_another_tell_no_order_of_columns():
    v2, other = replace(V1, lead="V2", row=2), replace(RHYTHM, lead="V2", row=3)
    later = np.interp(X - 125.0, X, waves(2))
    columns = [seen(waves(1)), seen(waves(1)), seen(later), seen(waves(2))]
    assert recorded_at_once([V1, RHYTHM, v2, other], columns) is None


def test_the_residual_is_the_mean_difference_in_microvolts_without_the_level():
    ripple = np.where(np.arange(len(X)) // 30 % 2, 0.5, -0.5)  # 5 mm wide, half a millimetre high and deep
    strips = [V1, replace(RHYTHM, lead="V1")]
    found = rhythm_residual_uv(strips, [seen(2.0 + ripple), seen(np.zeros(len(X)))], gain=10.0)
    assert found == pytest.approx(50.0, abs=3.0)


def test_the_residual_of_columns_of_one_moment_compares_the_same_moment():
    later = np.interp(X - 125.0, X, waves(1))
    columns = [seen(later), seen(waves(1))]
    assert rhythm_residual_uv([V1, RHYTHM], columns, 10.0, "simultaneous") == pytest.approx(0.0, abs=20.0)
    assert rhythm_residual_uv([V1, RHYTHM], columns, 10.0) > 50.0


def test_there_is_no_residual_where_no_lead_is_printed_twice():
    assert rhythm_residual_uv([V1, replace(RHYTHM, lead="II")], [seen(waves(1))] * 2, 10.0) is None
