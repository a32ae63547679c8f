"""Pipelines on pages: labels of the findings, batches of pages of any size, a fresh process."""

import json
import os
import subprocess
import sys

import pytest
import torch
from PIL import Image
from transformers import AutoModel, AutoModelForImageClassification, AutoProcessor, pipeline

from modeling_ecgscan import ECGScanConfig, ECGScanModel
from processing.image_processing_ecgscan import ECGScanImageProcessor

CODE = """
import json, sys
from transformers import pipeline
pages, size = sys.argv[1:3], int(sys.argv[3])
task, options = sys.argv[4], json.loads(sys.argv[5])
found = pipeline(task, model="ecgscan")(pages, batch_size=size, **options)
if task == "ecg-scan":
    found = [[[x.status, len(x.findings), x.signal.shape[0]], x.embedding.tolist()] for x in found]
print(json.dumps(found))
"""
LABELS = {"candidate_labels": ["sinus rhythm", "atrial fibrillation"], "hypothesis_template": "{}"}


def run(repository, task: str, size: int, **options) -> list:
    pages = [str(repository / "examples" / name) for name in ("clean.png", "photo.jpg")]
    result = subprocess.run(
        [sys.executable, "-c", CODE, *pages, str(size), task, json.dumps(options)],
        cwd=repository,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert "newly initialized" not in result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def numbers(found) -> list[float]:
    if isinstance(found, dict):
        return [part for key in sorted(found) for part in numbers(found[key])]
    if isinstance(found, list):
        return [part for item in found for part in numbers(item)]
    return [float(found)] if isinstance(found, float) else []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("image-classification", {"top_k": 30}),
        ("image-feature-extraction", {}),
        ("zero-shot-image-classification", LABELS),
        ("ecg-scan", {}),
    ],
)
def test_a_batch_of_pages_of_different_sizes_gives_what_single_pages_give(repository, checkpoint, task, options):
    alone, together = run(repository, task, 1, **options), run(repository, task, 2, **options)
    assert len(alone) == len(together) == 2
    assert numbers(together) == pytest.approx(numbers(alone), abs=1e-3)
    told = len(json.loads((repository / "ecgscan" / "config.json").read_text())["findings_calibration"])
    if task == "image-classification":
        assert alone[0][0]["label"] == "sinus rhythm"
        assert len(alone[0]) == told
    if task == "ecg-scan":
        assert [row[0] for row in alone] == [["read", told, 12]] * 2


def test_blank_pages_of_different_sizes_go_through_every_pipeline_together(tiny):
    pages = [Image.new("RGB", size, "white") for size in ((120, 80), (90, 150), (64, 64))]
    for task, options in (
        ("image-classification", {}),
        ("image-feature-extraction", {}),
        ("zero-shot-image-classification", LABELS),
        ("ecg-scan", {}),
    ):
        found = pipeline(task, model=str(tiny), device="cpu")(pages, batch_size=2, **options)
        assert len(found) == 3
        if task == "ecg-scan":
            assert [reading.status for reading in found] == ["no_ecg"] * 3


def test_a_checkpoint_without_a_classifier_tells_its_calibrated_findings(tmp_path):
    torch.manual_seed(0)
    model = ECGScanModel(ECGScanConfig.tiny()).eval()
    model.set_findings(["atrial fibrillation", "paced", "sinus rhythm"])
    model.config.findings_calibration = {"sinus rhythm": [2.0, 0.5], "paced": [0.5, -1.0]}
    model.config.name_labels()
    model.save_pretrained(tmp_path)
    classifier = AutoModelForImageClassification.from_pretrained(tmp_path).eval()
    signal = torch.randn(2, 12, 5000)
    with torch.no_grad():
        shares = classifier(signal_values=signal).logits.sigmoid()
        expected = model.findings_of(model.signal_features(signal))
    assert classifier.config.id2label == {0: "paced", 1: "sinus rhythm"}
    for row, found in zip(shares.tolist(), expected, strict=True):
        assert row == pytest.approx([found["paced"], found["sinus rhythm"]], abs=1e-5)
    own = AutoModelForImageClassification.from_pretrained(tmp_path, num_labels=4)
    assert own.classifier.out_features == 4
    assert own.config.problem_type is None


def test_a_saved_classifier_is_not_overwritten_by_the_findings(tmp_path, checkpoint):
    classifier = AutoModelForImageClassification.from_pretrained(checkpoint)
    with torch.no_grad():
        classifier.classifier.weight.fill_(0.25)
    classifier.save_pretrained(tmp_path)
    again = AutoModelForImageClassification.from_pretrained(tmp_path)
    assert torch.equal(again.classifier.weight, classifier.classifier.weight)


def test_pages_of_different_sizes_are_joined_on_white():
    processor = ECGScanImageProcessor()
    pages = [torch.zeros(3, 40, 90, dtype=torch.uint8), torch.zeros(3, 70, 50, dtype=torch.uint8)]
    single = [processor(page, return_tensors="pt")["pixel_values"] for page in pages]
    joined = torch.cat(single, dim=0)
    assert torch.equal(joined, processor(pages, return_tensors="pt")["pixel_values"])
    assert joined[0, 0, 41, 0] == 255
    assert type(joined[0]) is torch.Tensor
    with pytest.raises(RuntimeError):
        torch.cat(single, dim=3)  # only pages of a batch are padded


def test_single_modalities_have_nothing_to_scale(tiny):
    model, processor = AutoModel.from_pretrained(tiny).eval(), AutoProcessor.from_pretrained(tiny)
    page = torch.full((3, 64, 64), 255, dtype=torch.uint8)
    with torch.no_grad():
        assert list(model(**processor(images=page, return_tensors="pt"))) == ["image_embeds", "reading"]
        both = model(**processor(images=page, text="sinus rhythm", return_tensors="pt"))
    assert both.logit_scale > 1
