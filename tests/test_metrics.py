"""The modules for `evaluate`: loaded by path, without network, against closed forms and scikit-learn."""

import json

import numpy as np
import pytest

from hub_scripts.scoring import law_residuals_uv
from processing.findings import task_classes
from processing.leads import LEAD_LAWS, LEADS, limb_leads_from

PRINTED = {lead: [0.0, 2.0] for lead in LEADS}


@pytest.fixture(scope="module")
def load(repository, tmp_path_factory):
    """Loads a module by its folder while every connection is refused."""
    evaluate = pytest.importorskip("evaluate")
    cache = str(tmp_path_factory.mktemp("metrics"))

    def loader(name: str):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("socket.socket.connect", _refuse)
            patch.setattr("socket.getaddrinfo", _refuse)
            return evaluate.load(str(repository / "hub_scripts" / "metrics" / name), cache_dir=cache)

    return loader


def _refuse(*_, **__):
    raise AssertionError("the module asked for the network")


def lawful(seed: int = 0, samples: int = 1000) -> np.ndarray:
    rng = np.random.default_rng(seed)
    free = np.stack([np.convolve(rng.normal(0, 1, samples), np.hanning(21) / 10, "same") for _ in range(8)])
    free -= free.mean(axis=1, keepdims=True)
    return np.concatenate([limb_leads_from(free[0], free[1]), free[2:]])


def test_macro_auroc_is_that_of_scikit_learn(load):
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    truth, scores = rng.integers(0, 2, (60, 4)), rng.random((60, 4)).round(1)
    result = load("macro_auroc").compute(predictions=scores, references=truth)
    assert result["macro_auroc"] == pytest.approx(roc_auc_score(truth, scores, average="macro"))
    assert result["absent"] == []


def test_macro_auprc_is_that_of_scikit_learn(load):
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(1)
    truth, scores = rng.integers(0, 2, (60, 4)), rng.random((60, 4)).round(1)
    result = load("macro_auprc").compute(predictions=scores, references=truth)
    assert result["macro_auprc"] == pytest.approx(average_precision_score(truth, scores, average="macro"))


@pytest.mark.parametrize("name", ["macro_auroc", "macro_auprc"])
def test_absent_classes_are_left_out_and_named(load, name):
    truth, scores = np.zeros((4, 5), int), np.zeros((4, 5))
    truth[:2, 1], scores[:2, 1] = 1, 0.7
    result = load(name).compute(predictions=scores, references=truth, class_names=task_classes("super"))
    assert result == {name: 1.0, "by_class": {"MI": 1.0}, "absent": ["NORM", "STTC", "CD", "HYP"]}


def test_batches_give_what_all_rows_give_at_once(load):
    rng = np.random.default_rng(2)
    truth, scores = rng.integers(0, 2, (30, 3)), rng.random((30, 3))
    metric = load("macro_auroc")
    for start in range(0, 30, 10):
        metric.add_batch(predictions=scores[start : start + 10], references=truth[start : start + 10])
    assert metric.compute() == metric.compute(predictions=scores, references=truth)


def test_a_gain_error_of_ten_percent_is_twenty_decibels(load):
    truth = lawful()
    result = load("reading_snr").compute(
        predictions=[0.9 * truth, truth], references=[truth, truth], printed=[json.dumps(PRINTED)] * 2
    )
    assert result["pages"] == 2
    assert result["worst_db"] == pytest.approx(20.0, abs=1e-3)
    assert result["snr_db"] == pytest.approx(10 * np.log10((100 + 384) / 2), abs=1e-3)
    assert result["named"] == 1.0


def test_unread_leads_and_pages_of_different_length_and_rate_are_scored(load):
    truth, read = lawful(), lawful()[:, ::2].copy()
    read[3] = np.nan
    result = load("reading_snr").compute(
        predictions=[read],
        references=[truth],
        printed=[json.dumps(PRINTED)],
        sampling_rate=250.0,
        reference_sampling_rate=500.0,
    )
    powers = (truth**2).sum(axis=1)
    assert result["named"] == pytest.approx(11 / 12)
    assert result["snr_db"] == pytest.approx(10 * np.log10(powers.sum() / powers[3]), abs=0.2)


def test_a_lawful_recording_has_no_residual_and_an_offset_its_own(load):
    true, raised = lawful(), lawful()
    raised[0] += 0.1
    metric = load("lead_law_residual")
    assert metric.compute(predictions=[true])["lead_law_residual_uv"] == pytest.approx(0, abs=1e-9)
    result = metric.compute(predictions=[raised])
    # What I has too much goes into each law by its coefficient there.
    expected = {law: 100 * abs(coefficients[0]) for law, coefficients in LEAD_LAWS.items()}
    assert result["by_law"] == pytest.approx(expected, abs=1e-6)
    assert result["lead_law_residual_uv"] == pytest.approx(np.mean(list(expected.values())))
    free = metric.compute(predictions=[raised], free_offset=True)
    assert free["lead_law_residual_uv"] == pytest.approx(0, abs=1e-9)


def test_exchanged_leads_break_the_laws_and_unknown_ones_are_not_checked(load):
    swapped, part, nothing = lawful(), lawful(), np.full((12, 1000), np.nan)
    swapped[[4, 5]] = swapped[[5, 4]]
    part[3:6] = np.nan
    result = load("lead_law_residual").compute(predictions=[swapped, part, nothing])
    assert law_residuals_uv(swapped)["aVL = I - II / 2"] > 10
    assert law_residuals_uv(part) == {"III = II - I": pytest.approx(0, abs=1e-9)}
    assert result["unchecked"] == 1
    assert result["lead_law_residual_uv"] == pytest.approx(np.mean(list(law_residuals_uv(swapped).values())) / 2)


def test_other_numbers_of_leads_are_an_error():
    with pytest.raises(ValueError, match=r"expected 12 leads as \(12, samples\) in mV, got \(6, 10\)"):
        law_residuals_uv(np.zeros((6, 10)))
