"""`ecgscan benchmark completion`: hidden samples alone count, and the trivial answers are what they say."""

import json

import numpy as np
import pytest
from PIL import Image

from hub_scripts.benchmark_completion import ANSWERS, Completed, errors, laws_missed_uv, repeated_beat
from hub_scripts.lead_law_figure import typical_record
from modeling_ecgscan.beats_ecgscan import expected_beats
from processing.layouts import LAYOUTS
from processing.leads import LEADS, limb_leads_from
from processing.signal_views import printed_mask


def regular(period_s: float = 0.8) -> np.ndarray:
    """(12, 5000) the same beat every `period_s`, of another size in every lead."""
    time = np.arange(5000) / 500
    phase = (time + 0.4) % period_s - 0.4
    beat = np.exp(-((phase / 0.015) ** 2)) + 0.25 * np.exp(-(((phase - 0.25) / 0.04) ** 2))
    return np.outer(np.linspace(0.5, 1.5, 12), beat)


def test_the_mean_beat_of_a_regular_recording_is_the_recording():
    truth, shown = regular(), printed_mask(LAYOUTS["3x4+1"], 5000)
    repeated = repeated_beat(np.where(shown, truth, np.nan))
    inner = slice(400, 4600)  # the first and the last beat are cut
    assert np.abs(repeated - truth)[:, inner].max() < 0.02


def test_hidden_beats_of_a_regular_recording_are_expected_as_they_are():
    truth, shown = regular(), printed_mask(LAYOUTS["3x4+1"], 5000)
    expected = expected_beats(truth[None], shown[None].astype(np.float32))[0]
    inner = slice(400, 4600)
    assert np.abs(expected - truth)[:, inner].max() < 0.02


def test_after_an_ectopic_beat_of_the_rhythm_strip_the_ectopic_beats_of_the_other_leads_are_expected():
    truth, shown = regular(), printed_mask(LAYOUTS["3x4+1"], 5000)
    wide = -1.5 * np.exp(-(((np.arange(5000) / 500 - np.array([[2.0], [7.6]])) / 0.05) ** 2)).sum(0)
    truth = truth + np.outer(np.linspace(0.5, 1.5, 12), wide)  # one where I is printed, one where it is hidden
    expected = expected_beats(truth[None], shown[None].astype(np.float32))[0]
    plain = repeated_beat(np.where(shown, truth, np.nan))
    hidden = slice(3700, 3900)
    error, plain_error = (np.abs(found - truth)[0, hidden].max() for found in (expected, plain))
    assert error < 0.3 * plain_error


def test_nothing_is_expected_without_beats_and_of_leads_that_show_none():
    assert np.isnan(expected_beats(np.zeros((1, 12, 5000)), np.zeros((1, 12, 5000)))).all()
    truth, shown = regular(), printed_mask(LAYOUTS["6x1-limb"], 5000)
    expected = expected_beats(truth[None], shown[None].astype(np.float32))[0]
    assert np.isnan(expected[6:]).all()
    assert np.isfinite(expected[:6, 400:4600]).all()


def test_without_beats_the_mean_beat_is_nothing():
    assert not repeated_beat(np.full((12, 5000), np.nan)).any()


def test_errors_are_those_of_the_hidden_samples_in_microvolts():
    truth, hidden = np.zeros((12, 100)), np.zeros((12, 100), bool)
    hidden[0, :50] = hidden[1, :10] = True
    answers = {name: np.zeros((12, 100)) for name in ANSWERS}
    answers["inferred"] = np.where(hidden, 0.02, 5.0)
    found = errors(truth, answers, hidden)
    assert found[0, :2] == pytest.approx(20.0)
    assert found[1:, :2] == pytest.approx(0.0)
    assert np.isnan(found[:, 2:]).all()


def test_an_offset_in_one_lead_misses_the_laws_by_its_share():
    signal = np.zeros((12, 10))
    signal[:6] = limb_leads_from(np.linspace(0, 1, 10), np.linspace(1, 0, 10))
    assert laws_missed_uv(signal) == pytest.approx(0.0, abs=1e-9)
    signal[3] += 0.1  # aVR stands in two laws of five, once each
    assert laws_missed_uv(signal) == pytest.approx(100.0 * 2 / 5)


def test_the_recording_that_is_drawn_is_the_middle_one():
    found = [
        Completed(name, name, np.zeros((3, 12)), 0.0, uv, 0.4) for name, uv in (("a", 9.0), ("b", 1.0), ("c", 5.0))
    ]
    assert typical_record(found) == "c"


def test_the_command_tells_every_hidden_lead_and_all_together(ecgscan, tiny, tmp_path):
    code, out, _ = ecgscan("benchmark", "completion", "--number", 4, "--out", tmp_path, "--model", tiny)
    assert code == 0
    document = json.loads((tmp_path / "completion.json").read_text())
    assert set(document["summary"]) == {*LEADS, "all leads"} - {"II"}  # its rhythm strip hides nothing
    assert document["law_uv"] < 1.0  # the limb leads are lawful by construction
    assert document["recordings"] == 4
    with Image.open(tmp_path / "lead_laws.png") as picture:
        assert picture.size == (1540, 704)
    assert "all leads" in out
