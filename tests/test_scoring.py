"""The scorer against figures worked out by hand and, where it is there, against the shared scorer."""

import importlib.util

import numpy as np
import pytest

from hub_scripts.scoring import MAX_RATIO, PageScore, score_page, summarise
from processing.layouts import LAYOUTS
from processing.leads import LEADS, limb_leads_from

RATE = 500.0
CAP_DB = 10 * np.log10(MAX_RATIO)


def _truth(seed: int = 0, samples: int = 5000) -> np.ndarray:
    """Twelve lawful, unlike leads (12, samples) in mV."""
    rng = np.random.default_rng(seed)
    kernel = np.hanning(21) / np.hanning(21).sum()
    noise = np.stack([np.convolve(rng.normal(0, 1, samples), kernel, "same") for _ in range(8)])
    return np.concatenate([limb_leads_from(noise[0], noise[1]), noise[2:]])


def _printed(layout: str) -> dict[str, list[float]]:
    rows = LAYOUTS[layout].rows
    printed: dict[str, list[float]] = {}
    for row in rows:
        width = 10.0 / len(row)
        for column, lead in enumerate(row):
            part = [column * width, (column + 1) * width]
            if lead not in printed or part[1] - part[0] > printed[lead][1] - printed[lead][0]:
                printed[lead] = part
    return printed


def test_a_perfect_reading_reaches_the_cap_and_names_every_lead():
    truth = _truth()
    score = score_page(truth, RATE, _printed("3x4+1"), truth, RATE)
    assert score.snr_db == pytest.approx(CAP_DB)
    assert score.strict_db == pytest.approx(CAP_DB)
    assert score.named == 1.0
    assert score.r == pytest.approx(1.0)


def test_a_gain_error_of_ten_percent_is_twenty_decibels():
    truth = _truth()
    truth -= truth.mean(axis=1, keepdims=True)
    score = score_page(truth, RATE, _printed("12x1"), 0.9 * truth, RATE)
    assert score.snr_db == pytest.approx(20.0, abs=1e-6)


def test_nothing_read_scores_as_a_flat_line():
    score = score_page(_truth(), RATE, _printed("3x4"), None, RATE)
    assert score.snr_db == pytest.approx(0.0)
    assert score.named == 0.0
    assert score.r == 0.0


def test_shift_and_offset_are_free_in_snr_but_an_offset_is_not_in_strict():
    truth = _truth()
    read = np.roll(truth, 40, axis=1) + 0.3
    score = score_page(truth, RATE, _printed("6x2"), read, RATE)
    # The shift moves 40 of 2500 samples out of sight, which then count as read flat.
    assert score.snr_db > 15
    assert score.strict_db < score.snr_db - 5


def test_leads_that_were_exchanged_are_not_named():
    truth = _truth()
    read = truth.copy()
    read[[6, 7]] = truth[[7, 6]]
    assert score_page(truth, RATE, _printed("12x1"), read, RATE).named == pytest.approx(10 / 12)


def test_a_lead_that_was_left_out_costs_its_own_power():
    truth = _truth()
    truth[LEADS.index("V3")] *= 3
    read = truth.copy()
    read[LEADS.index("V3")] = np.nan
    score = score_page(truth, RATE, _printed("12x1"), read, RATE)
    powers = (truth**2).sum(axis=1)
    assert score.snr_db == pytest.approx(10 * np.log10(powers.sum() / powers[LEADS.index("V3")]), abs=0.01)
    assert score.lead_db["V3"] == pytest.approx(0.0)


def test_the_summary_averages_ratios_for_snr_and_decibels_for_page_db():
    scores = [PageScore(ratio, 1.0, 0.5, 1.0, {}) for ratio in (10.0, 100.0)]
    summary = summarise(scores)
    assert summary["snr_db"] == pytest.approx(10 * np.log10(55))
    assert summary["page_db"] == pytest.approx(15.0)
    assert summary["median_db"] == pytest.approx(15.0)
    assert summary["p10_db"] == pytest.approx(11.0)
    assert summary["worst_db"] == pytest.approx(10.0)


@pytest.mark.shared
@pytest.mark.parametrize("layout", ["3x4", "3x4+1", "6x2", "12x1", "6x1-limb"])
@pytest.mark.parametrize("read_rate", [500.0, 360.0, 100.0])
def test_every_figure_agrees_with_the_shared_scorer(shared, layout, read_rate):
    spec = importlib.util.spec_from_file_location("score_reading", shared / "score" / "score_reading.py")
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    rng = np.random.default_rng(LEADS.index("V1") + int(read_rate))
    truth, printed = _truth(5), _printed(layout)
    truth[5, 100:140] = np.nan
    times = np.arange(int(10 * read_rate)) / read_rate
    for shift_s, noise, missing in ((0.0, 0.02, None), (0.031, 0.1, "II"), (-0.09, 0.4, "V2")):
        read = np.stack([np.interp(times - shift_s, np.arange(5000) / 500.0, np.nan_to_num(lead)) for lead in truth])
        read += rng.normal(0, noise, read.shape) + rng.normal(0, 0.05, (12, 1))
        read[:, :7] = np.nan
        if missing:
            read[LEADS.index(missing)] = np.nan
        expected = reference.score_page(
            dict(zip(LEADS, truth, strict=True)), RATE, printed, dict(zip(LEADS, read, strict=True)), read_rate
        )
        score = score_page(truth, RATE, printed, read, read_rate)
        assert score.ratio == pytest.approx(expected["ratio"], rel=1e-6)
        for figure in ("snr_db", "strict_db", "r", "named"):
            assert getattr(score, figure) == pytest.approx(expected[figure], abs=1e-6), figure
