"""Limb leads put right by the lead laws where one of them was misread."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_ecgscan.laws_ecgscan import agreed
from processing.leads import LEADS
from processing.simulator import simulate

CONFIDENT = np.full((12, 5000), 0.9)


def lawful(seed: int = 3) -> np.ndarray:
    """(12, 5000) mV whose limb leads obey the lead laws, each on a baseline of its own."""
    signal = simulate(seed).signal
    return (signal + np.linspace(-0.2, 0.2, 12)[:, None]).astype(np.float32)


@given(st.integers(0, 2**16))
def test_leads_that_obey_the_laws_stay_as_they_are_whatever_their_baselines(seed):
    signal = lawful(seed)
    assert np.abs(agreed(signal, CONFIDENT) - signal).max() < 2e-3


def test_an_r_peak_that_one_limb_lead_lost_comes_back_from_the_others():
    truth = lawful()
    peak = int(np.abs(truth[1] - np.median(truth[1])).argmax())
    read = truth.copy()
    read[1, peak - 20 : peak + 20] = np.median(truth[1])
    put_right = agreed(read, CONFIDENT)
    lost = np.abs(read - truth)[1].max()
    assert np.abs(put_right - truth)[1].max() < 0.1 * lost
    assert np.abs(put_right - truth)[[0, 2, 3, 4, 5]].max() < 0.1 * lost


def test_a_moment_read_with_doubt_counts_less_than_those_of_the_other_leads():
    truth = lawful()
    read, doubted = truth.copy(), CONFIDENT.copy()
    read[2, 1000:1100] += 0.04
    doubted[2, 1000:1100] = 0.01
    assert np.abs(agreed(read, doubted) - truth).max() < 0.003
    assert np.abs(agreed(read, CONFIDENT) - truth).max() > 0.01


def test_only_moments_at_which_three_limb_leads_are_printed_change():
    read = lawful()
    read[:6] += np.random.default_rng(0).normal(0, 0.01, (6, 5000)).astype(np.float32)
    read[:3, 2500:], read[3:6, :2500], read[4, 2500:] = np.nan, np.nan, np.nan
    put_right = agreed(read, CONFIDENT)
    assert np.array_equal(put_right[3:], read[3:], equal_nan=True)
    assert np.array_equal(np.isfinite(put_right), np.isfinite(read))
    changed = put_right[:3, :2500] - read[:3, :2500]
    assert 0.002 < changed.std() < 0.02


def test_a_rhythm_strip_that_was_not_moved_with_the_columns_above_it_is_left_aside():
    truth = lawful()
    read = truth.copy()
    read[[0, 2]] = np.nan
    read[1] = np.roll(truth[1], 10)
    moved = np.zeros((12, 5000), np.float32)
    moved[3:6] = 0.02
    assert np.abs(agreed(read, CONFIDENT, moved) - read)[3:6].max() < 2e-3
    assert np.abs(agreed(read, CONFIDENT) - read)[3:6].max() > 0.02


def test_leads_under_wrong_names_stay_as_they_were_read():
    read = lawful()
    read[[LEADS.index("III"), LEADS.index("aVR")]] = read[[LEADS.index("V2"), LEADS.index("V3")]]
    read[[LEADS.index("aVL"), LEADS.index("I")]] = read[[LEADS.index("V1"), LEADS.index("V4")]]
    assert np.array_equal(agreed(read, CONFIDENT), read)


def test_noise_of_six_limb_leads_becomes_less_by_what_their_laws_tell():
    truth = lawful()
    noise = np.random.default_rng(1).normal(0, 0.01, (6, 5000)).astype(np.float32)
    read = truth.copy()
    read[:6] += noise
    # six readings of two unknown leads: a third of the noise's power stays
    left = (agreed(read, CONFIDENT) - truth)[:6]
    assert left.var() / noise.var() == pytest.approx(1 / 3, abs=0.05)
