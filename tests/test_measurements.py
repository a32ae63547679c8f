"""Measurements on beats whose intervals, rate, axis and ST are known on paper, and on what no heart would send."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub_scripts.benchmark_measurements import Pair, figures
from hub_scripts.measurements import INTERVALS, Measurements, measure, nothing_measured
from processing.layouts import LAYOUTS
from processing.leads import LEADS, limb_leads_from
from processing.signal_views import printed_mask
from processing.simulator import MORPHOLOGIES, RHYTHMS, simulate

FS = 500
PR_S, QRS_S, T_TOP_S, T_FALL_S, ST_MV = 0.16, 0.10, 0.29, 0.09, 0.12
# The tangent of a half cosine of width w meets the line (1/2 + 1/pi) w after its top.
QT_S = T_TOP_S + T_FALL_S * (0.5 + 1 / np.pi)


def half_cosines(times, top, rise, fall):
    """One smooth wave: 1 at `top`, exactly 0 from `rise` before to `fall` after it."""
    away = np.where(times < top, (times - top) / rise, (times - top) / fall)
    return np.where(np.abs(away) < 1, 0.5 + 0.5 * np.cos(np.pi * away), 0.0)


def heart(rate_bpm=75.0, axis_deg=40.0, with_p=True, premature=None, seconds=10.0):
    """(12, samples) of identical beats with ST_MV of ST elevation in V2."""
    times = np.arange(int(seconds * FS)) / FS
    onsets = 0.31 + np.arange(-2, int(seconds * rate_bpm / 60) + 2) * 60 / rate_bpm
    if premature is not None:
        onsets[premature] -= 0.3
    course = {"p": 0.0, "qrs": 0.0, "st": 0.0, "t": 0.0}
    for onset in onsets:
        since = times - onset
        course["p"] += half_cosines(since, -PR_S + 0.05, 0.05, 0.05)
        course["qrs"] += half_cosines(since, QRS_S / 2, QRS_S / 2, QRS_S / 2)
        course["st"] += half_cosines(np.where((since > QRS_S) & (since < 0.19), QRS_S, since), QRS_S, 0.02, 0.02)
        course["t"] += half_cosines(since, T_TOP_S, 0.09, T_FALL_S)
    axis = np.radians(axis_deg)
    lead_i, lead_ii = np.cos(axis), np.cos(axis - np.pi / 3)
    gains = np.concatenate([limb_leads_from(np.array(lead_i), np.array(lead_ii)), [-0.8, -0.5, 0.3, 0.9, 1.0, 0.8]])
    shape = course["qrs"] + 0.25 * course["t"] + (0.12 * course["p"] if with_p else 0)
    signal = gains[:, None] * shape
    signal[LEADS.index("V2")] += ST_MV * course["st"]
    return signal


def printed(signal, layout="3x4+1"):
    return np.where(printed_mask(LAYOUTS[layout], signal.shape[1]), signal, np.nan)


def values_of(found: Measurements):
    named = {name: getattr(found, name) for name in ("heart_rate_bpm", *INTERVALS, "axis_deg")}
    return named | {f"st_mv.{lead}": value for lead, value in found.st_mv.items()}


@pytest.mark.parametrize("layout", [None, "3x4", "3x4+1", "6x2", "12x1"])
@pytest.mark.parametrize(("rate", "axis"), [(55.0, -50.0), (75.0, 40.0), (100.0, 110.0)])
def test_known_beats_are_measured_as_they_were_made(layout, rate, axis):
    signal = heart(rate, axis)
    found = measure(signal if layout is None else printed(signal, layout))
    assert found.not_measured == {}
    assert found.heart_rate_bpm == pytest.approx(rate, abs=0.5)
    assert found.qrs_ms == pytest.approx(1000 * QRS_S, abs=8)
    assert found.qt_ms == pytest.approx(1000 * QT_S, abs=12)
    assert found.pr_ms == pytest.approx(1000 * PR_S, abs=20)  # by tangent a P wave of 100 ms begins 9 ms late
    assert found.axis_deg == pytest.approx(axis, abs=2)
    assert found.st_mv["V2"] == pytest.approx(ST_MV, abs=0.01)
    assert found.st_mv["V5"] == pytest.approx(0.0, abs=0.01)


def test_corrected_qt_follows_the_named_formulas():
    found = measure(heart(90.0))
    period = 60 / found.heart_rate_bpm
    assert found.qtc_bazett_ms == pytest.approx(found.qt_ms / period**0.5)
    assert found.qtc_fridericia_ms == pytest.approx(found.qt_ms / period ** (1 / 3))
    at_sixty = measure(heart(60.0))
    assert at_sixty.qtc_bazett_ms == pytest.approx(at_sixty.qt_ms, rel=0.002)


def test_wander_and_offset_change_nothing():
    signal = heart()
    times = np.arange(signal.shape[1]) / FS
    moved = measure(signal + 0.2 * np.sin(2 * np.pi * 0.2 * times) + np.linspace(-1, 1, 12)[:, None])
    still = measure(signal)
    assert moved.qt_ms == pytest.approx(still.qt_ms, abs=8)
    assert moved.qrs_ms == pytest.approx(still.qrs_ms, abs=4)
    assert moved.st_mv["V2"] == pytest.approx(ST_MV, abs=0.03)


def test_noise_of_a_reading_changes_little():
    noise = 0.02 * np.random.default_rng(0).standard_normal((12, 5000))
    noisy, still = measure(printed(heart() + noise)), measure(printed(heart()))
    assert noisy.heart_rate_bpm == pytest.approx(still.heart_rate_bpm, abs=0.5)
    assert noisy.qrs_ms == pytest.approx(still.qrs_ms, abs=12)
    assert noisy.qt_ms == pytest.approx(still.qt_ms, abs=15)
    assert noisy.axis_deg == pytest.approx(still.axis_deg, abs=4)


def test_the_axis_follows_by_law_from_any_two_limb_leads():
    for kept in (("II", "III"), ("aVR", "aVL"), ("I", "III"), ("aVL", "aVF")):
        signal = heart(axis_deg=-65.0)
        signal[[LEADS.index(lead) for lead in LEADS[:6] if lead not in kept]] = np.nan
        assert measure(signal).axis_deg == pytest.approx(-65.0, abs=2), kept


def test_missing_and_flat_leads_have_a_reason_and_the_others_values():
    signal = heart()
    signal[LEADS.index("V3")] = np.nan
    signal[LEADS.index("V4")] = 0.01
    found = measure(signal)
    assert found.st_mv["V3"] is None
    assert found.st_mv["V4"] is None
    assert found.not_measured == dict.fromkeys(("st_mv.V3", "st_mv.V4"), "the lead is missing or flat")


def test_one_limb_lead_gives_no_axis():
    signal = heart()
    signal[1:6] = np.nan
    found = measure(signal)
    assert found.axis_deg is None
    assert "limb leads" in found.not_measured["axis_deg"]


def test_without_p_waves_there_is_no_pr_and_a_reason():
    found = measure(heart(with_p=False) + 0.005 * np.random.default_rng(1).standard_normal((12, 5000)))
    assert found.pr_ms is None
    assert "P wave" in found.not_measured["pr_ms"]
    assert found.qt_ms is not None


def test_atrial_fibrillation_has_a_rate_and_mostly_no_pr():
    found = [measure(printed(simulate(seed, rhythm="atrial_fibrillation").signal)) for seed in range(8)]
    assert all(one.heart_rate_bpm for one in found)
    without = [one for one in found if one.pr_ms is None]
    assert len(without) >= 6
    assert any("fibrillation" in one.not_measured["pr_ms"] for one in without)


def test_bundle_branch_blocks_measure_wide_and_long_qt_long():
    def middle(name, morphology):
        made = [simulate(seed, rhythm="sinus_rhythm", morphology=morphology) for seed in range(5)]
        return np.median([getattr(measure(printed(one.signal)), name) for one in made])

    assert middle("qrs_ms", "left_bundle_branch_block") > 125 > 110 > middle("qrs_ms", "normal")
    assert middle("qtc_fridericia_ms", "long_qt") > middle("qtc_fridericia_ms", "normal") + 50


def test_a_premature_beat_does_not_spoil_the_intervals():
    signal = heart(rate_bpm=66.0, premature=6)
    found = measure(printed(signal))
    assert found.qrs_ms == pytest.approx(1000 * QRS_S, abs=8)
    assert found.qt_ms == pytest.approx(1000 * QT_S, abs=15)


def test_unsure_leads_are_left_out():
    signal, confidence = heart(), np.ones((12, 5000))
    signal[6] = np.random.default_rng(0).standard_normal(5000)
    confidence[6] = 0.1
    found = measure(signal, confidence)
    assert found.st_mv["V1"] is None
    assert found.qrs_ms == pytest.approx(1000 * QRS_S, abs=8)
    assert measure(signal, np.zeros((12, 5000))).not_measured["qrs_ms"].startswith("no lead")


@pytest.mark.parametrize(
    "signal", [np.full((12, 5000), np.nan), np.zeros((12, 5000)), np.zeros((12, 0)), heart()[:, :700]]
)
def test_too_little_gives_one_reason_for_everything(signal):
    found = measure(signal)
    assert set(found.not_measured) == set(values_of(found))
    assert all(value is None for value in values_of(found).values())


def test_shapes_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"got a signal of shape \(5000, 12\), expected \(12, samples\)"):
        measure(np.zeros((5000, 12)))
    with pytest.raises(ValueError, match="expected that of the signal"):
        measure(np.zeros((12, 50)), np.zeros((12, 40)))


def is_complete(found: Measurements):
    for name, value in values_of(found).items():
        assert (value is None) == (name in found.not_measured), name
        assert value is None or np.isfinite(value)
    json.dumps(found.as_json(), allow_nan=False)


@pytest.mark.parametrize("rhythm", RHYTHMS)
def test_every_rhythm_gives_values_or_reasons(rhythm):
    number = RHYTHMS.index(rhythm)
    recording = simulate(number, rhythm=rhythm, morphology=MORPHOLOGIES[number % len(MORPHOLOGIES)])
    is_complete(measure(printed(recording.signal)))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    samples=st.integers(0, 2600),
    rate=st.floats(25, 250),
    noise=st.sampled_from([0.0, 0.01, 0.3, 5.0]),
    gaps=st.integers(0, 8),
    lost=st.integers(0, 12),
    scale=st.sampled_from([1e-3, 1.0, 50.0]),
)
def test_nothing_raises_and_everything_has_a_value_or_a_reason(seed, samples, rate, noise, gaps, lost, scale):
    rng = np.random.default_rng(seed)
    signal = scale * heart(rate, rng.uniform(-180, 180))[:, :samples] + noise * rng.standard_normal((12, samples))
    for _ in range(gaps):
        start = rng.integers(0, samples + 1)
        signal[rng.integers(12), start : start + rng.integers(1, 900)] = rng.choice([np.nan, np.inf, 0.0])
    signal[rng.permutation(12)[:lost]] = rng.choice([np.nan, 0.0])
    confidence = rng.random((12, samples)) if seed % 2 else None
    is_complete(measure(signal, confidence))


def test_differences_count_what_the_page_did_not_give_and_turn_with_the_axis():
    whole = Measurements(axis_deg=175.0, qt_ms=400.0, qrs_ms=90.0)
    pair = Pair("x", whole, Measurements(axis_deg=-175.0, qt_ms=410.0))
    summary = figures([pair, Pair("y", whole, whole), Pair("z", nothing_measured("none"), whole)])
    assert summary["axis_deg"]["p90_abs"] == pytest.approx(9.0)
    assert summary["qt_ms"] == pytest.approx({"whole": 2, "share": 1.0, "median_abs": 5.0, "p90_abs": 9.0})
    assert summary["qrs_ms"]["share"] == 0.5


def test_the_command_prints_a_table_and_writes_it(ecgscan, tmp_path):
    code, out, err = ecgscan("benchmark", "measurements", "--number", 3, "--out", tmp_path / "m")
    assert code == 0, err
    assert "qtc_fridericia_ms" in out
    document = json.loads((tmp_path / "m" / "measurements.json").read_text())
    assert document["layout"] == "3x4+1"
    assert document["summary"]["heart_rate_bpm"]["whole"] == 3
    assert (tmp_path / "m" / "measurements.csv").read_text().count("\n") == 4


def test_pages_that_are_read_are_measured_as_their_recordings_are(ecgscan, checkpoint, tmp_path):
    arguments = ("benchmark", "measurements", "--number", 2, "--condition", "clean", "--out", tmp_path / "m")
    code, out, err = ecgscan(*arguments)
    assert code == 0, err
    assert "clean, read" in out
    document = json.loads((tmp_path / "m" / "measurements.json").read_text())
    assert document["condition"] == "clean"
    assert document["summary"]["heart_rate_bpm"]["share"] == 1.0
    assert document["summary"]["heart_rate_bpm"]["median_abs"] < 1.0


def test_a_layout_that_is_not_known_is_refused(ecgscan):
    code, _, err = ecgscan("benchmark", "measurements", "--layout", "5x5")
    assert code == 2
    assert "5x5" in err


def arms_exchanged(signal):
    """As recorded with the electrodes of the right and the left arm in each other's place."""
    return np.concatenate([-signal[:1], signal[[2, 1, 4, 3, 5]], signal[6:]])


@pytest.mark.parametrize("layout", ["3x4", "3x4+1", "12x1"])
@pytest.mark.parametrize("axis", [-40.0, 0.0, 60.0])
def test_arms_that_were_exchanged_are_suspected_and_those_in_place_are_not(layout, axis):
    signal = heart(axis_deg=axis)
    assert measure(printed(signal, layout)).suspicions == []
    exchanged = measure(printed(arms_exchanged(signal), layout))
    assert len(exchanged.suspicions) == 1
    assert "arm" in exchanged.suspicions[0]
    assert exchanged.as_json()["suspicions"] == exchanged.suspicions


def test_arms_are_not_suspected_where_v6_is_missing():
    signal = arms_exchanged(heart(axis_deg=0.0))
    signal[LEADS.index("V6")] = np.nan
    assert measure(signal).suspicions == []
