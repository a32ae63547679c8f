"""Findings: their loss, their head, their calibration, and the commands that tell them."""

import csv
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from hub_scripts.results import findings_list, refuse_below
from hub_scripts.training_signal_text import common_findings, findings_target
from modeling_ecgscan import ECGScanConfig, ECGScanModel
from modeling_ecgscan.losses_ecgscan import findings_loss
from processing.processing_ecgscan import ECGScanProcessor
from processing.records import write_wfdb
from processing.renderer import render
from processing.simulator import simulate
from processing.triplets import prepare, simulated
from tests.perfect import perfect_reading

NAMES = ["atrial fibrillation", "normal ECG", "sinus rhythm"]


@pytest.fixture(scope="module")
def telling(tiny, tmp_path_factory):
    """A checkpoint of the smallest model with a head for three findings, and a record on disk."""
    folder = tmp_path_factory.mktemp("telling")
    torch.manual_seed(1)
    model = ECGScanModel.from_pretrained(tiny)
    model.set_findings(NAMES)
    model.save_pretrained(folder / "model")
    ECGScanProcessor.from_pretrained(tiny).save_pretrained(folder / "model")
    write_wfdb(simulate(3), folder, "record")
    return folder


def test_the_loss_is_the_cross_entropy_of_what_is_known():
    logits = torch.tensor([[0.0, 2.0, -5.0]])
    known = torch.tensor([[1.0, 0.0, math.nan]])
    expected = (math.log(2.0) + math.log1p(math.exp(2.0))) / 2
    assert findings_loss(logits, known).item() == pytest.approx(expected, rel=1e-6)


def test_a_batch_of_which_nothing_is_known_gives_no_loss_and_finite_gradients():
    logits = torch.zeros(2, 3, requires_grad=True)
    loss = findings_loss(logits, torch.full((2, 3), math.nan))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(logits.grad, torch.zeros(2, 3))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("NORM", "normal ECG", "sinus rhythm"), [0.0, 1.0, 1.0]),
        (("CD", "left anterior fascicular block", "atrial fibrillation"), [1.0, 0.0, 0.0]),
        (("NORM", "sinus rhythm"), [math.nan, 1.0, math.nan]),
        (("a text of another archive",), [math.nan] * 3),
        ((), [math.nan] * 3),
    ],
)
def test_what_an_archive_does_not_list_is_absent_and_what_nobody_looked_for_is_unknown(labels, expected):
    assert np.array_equal(findings_target(labels, NAMES), np.array(expected, "f4"), equal_nan=True)


def test_only_findings_of_recordings_that_were_read_for_all_of_them_are_counted(tmp_path):
    prepare(simulated(12), tmp_path, shards=1)
    assert common_findings([str(path) for path in tmp_path.glob("*.parquet")], least=1) == []


def test_the_head_is_saved_and_loaded_and_a_missing_one_is_an_error(telling, tmp_path):
    model = ECGScanModel.from_pretrained(telling / "model")
    assert model.config.findings == NAMES
    values = torch.from_numpy(simulate(3).signal[:, :5000].astype(np.float32))[None]
    logits = model.eval()(signal_values=values).findings_logits
    again = ECGScanModel.from_pretrained(telling / "model").eval()
    assert torch.equal(logits, again(signal_values=values).findings_logits)
    ECGScanModel(ECGScanConfig.tiny()).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"findings": NAMES}))
    with pytest.raises(ValueError, match="weights missing"):
        ECGScanModel.from_pretrained(tmp_path)


def test_calibrated_probabilities_follow_the_fitted_line_and_the_rest_is_left_out(telling):
    model = ECGScanModel.from_pretrained(telling / "model").eval()
    features = torch.randn(2, 32)
    logits = model.findings_head(features)[:, 2].tolist()
    model.config.findings_calibration = {"sinus rhythm": [0.5, -1.0]}
    for told, logit in zip(model.findings_of(features), logits, strict=True):
        assert list(told) == ["sinus rhythm"]
        assert told["sinus rhythm"] == pytest.approx(1 / (1 + math.exp(1.0 - 0.5 * logit)), rel=1e-5)


def test_findings_are_listed_the_most_probable_first():
    listed = findings_list({"a": 0.1, "b": 0.9123456})
    assert listed == [{"name": "b", "probability": 0.912}, {"name": "a", "probability": 0.1}]


def test_a_refused_page_tells_no_findings():
    reading = perfect_reading(render(simulate(3), seed=3, layout="3x4+1"))
    reading.findings, reading.quality = {"sinus rhythm": 0.9}, 0.2
    assert refuse_below(reading, 0.5).findings == {}
    assert refuse_below(reading, 0.1).findings == {"sinus rhythm": 0.9}


def test_a_record_is_classified_by_the_head_and_written(ecgscan, telling, tmp_path):
    code, out, _ = ecgscan(
        "classify", telling / "record.hea", "--model", telling / "model", "--out", tmp_path / "found.csv"
    )
    assert code == 0
    assert "sinus rhythm" in out
    with (tmp_path / "found.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["finding"] for row in rows) == NAMES
    shares = [float(row["probability"]) for row in rows]
    assert shares == sorted(shares, reverse=True)
    assert all(0 < share < 1 for share in shares)


def test_labels_of_the_users_own_share_one_probability(ecgscan, telling, tmp_path):
    code, _, _ = ecgscan(
        *("classify", telling / "record.hea", "--labels", "sinus rhythm, atrial fibrillation"),
        *("--model", telling / "model", "--out", tmp_path / "found.csv"),
    )
    assert code == 0
    with (tmp_path / "found.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["finding"] for row in rows} == {"sinus rhythm", "atrial fibrillation"}
    assert sum(float(row["probability"]) for row in rows) == pytest.approx(1.0, abs=0.002)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ("sinus rhythm, 心房颤动", "label '心房颤动': holds nothing that the texts of model were written in"),
        (" , ", "--labels: no text in ' , '; give some, separated by commas"),
    ],
)
def test_labels_that_say_nothing_are_refused(ecgscan, telling, labels, sentence):
    code, _, err = ecgscan("classify", telling / "record.hea", "--labels", labels, "--model", telling / "model")
    assert code == 2
    assert sentence in err


def test_a_model_without_findings_says_what_to_do(ecgscan, telling, tiny):
    code, _, err = ecgscan("classify", telling / "record.hea", "--model", tiny)
    assert code == 2
    assert err.strip().count("\n") == 0
    assert "--labels" in err


def test_a_missing_record_is_one_line_and_exit_code_2(ecgscan, telling, tmp_path):
    code, _, err = ecgscan("classify", tmp_path / "none.hea", "--model", telling / "model")
    assert code == 2
    assert err.startswith("error: ")
    assert "none.hea" in err


def test_a_folder_above_the_working_one_is_classified_with_it(ecgscan, telling, tmp_path, monkeypatch):
    (tmp_path / "pages").mkdir()
    Image.fromarray(np.full((64, 64, 3), 255, np.uint8)).save(tmp_path / "pages" / "blank.png")
    monkeypatch.chdir(tmp_path / "pages")
    code, out, _ = ecgscan("classify", "..", "--model", telling / "model")
    assert code == 0
    assert "blank.png" in out
