"""Export: the graphs compute what torch computes, and a page is read without it."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from transformers import AutoProcessor

from hub_scripts.arguments import UsageError
from hub_scripts.export import TOLERANCE, export_command
from modeling_ecgscan.reading_ecgscan import StripReading
from modeling_ecgscan.terms_ecgscan import COLUMNS_PER_PX, COSTS_PER_BIN, HEIGHT_BINS

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")

WITHOUT_TORCH = """
import runpy, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers", "modeling_ecgscan"):
            raise ImportError(f"{name} was asked for")
sys.meta_path.insert(0, Refuse())
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rsplit("/", 1)[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def read_without_torch(folder, *arguments):
    command = [sys.executable, "-c", WITHOUT_TORCH, str(folder / "read_page.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder)


@pytest.fixture(scope="module")
def exported(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    assert export_command(folder, str(tiny)) == 0
    return folder


def test_the_chain_of_heights_in_numpy_is_that_of_torch():
    from modeling_ecgscan.onnx_ecgscan import heights_mm

    torch.manual_seed(0)
    pixels, batch = 30, 3
    reading = StripReading(
        5 * torch.randn(batch, HEIGHT_BINS, COLUMNS_PER_PX * pixels),
        torch.zeros(batch, COLUMNS_PER_PX * pixels),
        2 * torch.randn(batch, len(COSTS_PER_BIN), pixels),
        torch.zeros(batch, 2),
        torch.zeros(batch, 3),
    )
    truth = reading.height_mm()
    found = heights_mm(reading.logits.numpy(), reading.movement.numpy())
    for expected, value in zip(truth, found, strict=True):
        np.testing.assert_allclose(value, expected.numpy(), atol=2e-3)


@pytest.mark.parametrize("batch", [1, 5])
def test_graphs_give_what_torch_gives_in_batches_of_any_size(exported, tiny, batch):
    from modeling_ecgscan.modeling_ecgscan import ECGScanModel

    model = ECGScanModel.from_pretrained(tiny).eval()
    rng = np.random.default_rng(batch)
    values = rng.normal(0, 0.5, (batch, 12, 5000)).astype(np.float32)
    mask = (rng.random((batch, 12, 5000)) < 0.4).astype(np.float32)
    session = onnxruntime.InferenceSession(str(exported / "signal.onnx"))
    expected = rng.normal(0, 0.5, values.shape).astype(np.float32)
    _, embedding, logits = session.run(None, {"values": values, "weight": mask, "expected": expected})
    with torch.no_grad():
        truth = model(signal_values=torch.from_numpy(values), signal_mask=torch.from_numpy(mask) > 0)
        # the image projection stands in the graph: what it encodes was read from a page
        image = model.image_projection(model.signal_features(torch.from_numpy(values), torch.from_numpy(mask) > 0))
    np.testing.assert_allclose(embedding, torch.nn.functional.normalize(image, dim=-1).numpy(), atol=TOLERANCE)
    if truth.findings_logits is not None:
        np.testing.assert_allclose(logits, truth.findings_logits.numpy(), atol=TOLERANCE)
    picture = rng.integers(0, 255, (batch, 576, 768, 3), dtype=np.uint8)
    maps, page = onnxruntime.InferenceSession(str(exported / "locate.onnx")).run(None, {"picture": picture})
    with torch.no_grad():
        expected = model.image_model.locator(torch.from_numpy(picture).permute(0, 3, 1, 2).float() / 255)
    np.testing.assert_allclose(maps, expected[0].numpy(), atol=TOLERANCE)
    np.testing.assert_allclose(page, expected[1].numpy(), atol=TOLERANCE)


def test_texts_of_any_length_are_embedded_as_torch_does(exported, tiny):
    from modeling_ecgscan.modeling_ecgscan import ECGScanModel

    model = ECGScanModel.from_pretrained(tiny).eval()
    session = onnxruntime.InferenceSession(str(exported / "text.onnx"))
    for length in (3, 17):
        ids = np.arange(2 * length).reshape(2, length) + 5
        mask = np.ones_like(ids)
        mask[1, 2:] = 0
        (found,) = session.run(None, {"input_ids": ids, "attention_mask": mask})
        with torch.no_grad():
            truth = model.get_text_features(torch.from_numpy(ids), torch.from_numpy(mask))
        np.testing.assert_allclose(found, truth.numpy(), atol=TOLERANCE)


def test_a_page_without_an_ecg_is_said_to_be_one_without_torch(exported, tmp_path):
    from PIL import Image

    page = tmp_path / "blank.png"
    Image.new("RGB", (800, 600), "white").save(page)
    run = read_without_torch(exported, page)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("no_ecg, quality 0.00: ")


def test_a_file_that_is_no_image_is_one_line_and_exit_code_2(exported, tmp_path):
    file = tmp_path / "page.jpg"
    file.write_bytes(b"no picture")
    run = read_without_torch(exported, file)
    assert run.returncode == 2
    assert run.stderr.strip().splitlines()[-1].startswith(f"error: {file}: no image")


def test_an_incomplete_export_names_the_missing_file(exported, tmp_path):
    from modeling_ecgscan.onnx_ecgscan import ONNXPageReader

    for name in ("config.json", "find.onnx"):
        (tmp_path / name).write_bytes((exported / name).read_bytes())
    with pytest.raises(FileNotFoundError, match=r"locate\.onnx: not there; `ecgscan export"):
        ONNXPageReader(tmp_path)


def test_a_checkpoint_that_reads_no_pages_is_refused(tiny, tmp_path):
    from modeling_ecgscan.configuration_ecgscan import ECGScanConfig
    from modeling_ecgscan.modeling_ecgscan import ECGScanModel

    config = ECGScanConfig.tiny()
    settings = json.loads(config.to_json_string(use_diff=False))
    settings["image_config"]["architecture"] = "vit"
    AutoProcessor.from_pretrained(tiny).save_pretrained(tmp_path / "vit")
    ECGScanModel(ECGScanConfig(**settings)).save_pretrained(tmp_path / "vit")
    with pytest.raises(UsageError, match="its image tower is a 'vit', expected a 'reader'"):
        export_command(tmp_path / "out", str(tmp_path / "vit"))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_shipped_checkpoint_reads_the_same_millivolts_without_torch(checkpoint, repository, tmp_path, monkeypatch):
    from hub_scripts.loading import load_reader
    from processing.pages import open_page

    assert export_command(tmp_path, str(checkpoint)) == 0
    page = repository / "examples" / "clean.png"
    run = read_without_torch(tmp_path, page, tmp_path / "page.csv")
    assert run.returncode == 0, run.stderr
    with (tmp_path / "page.csv").open(encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    found = np.array(rows, float).T[1:]
    monkeypatch.setattr("modeling_ecgscan.blocks_ecgscan._computes_in_bfloat16", lambda kind: False)
    reading = load_reader(str(checkpoint)).read([open_page(page).image])[0][0]
    assert header[1:] == ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]
    both = np.isfinite(found) & np.isfinite(reading.signal)
    assert both.sum() > 0.99 * np.isfinite(reading.signal).sum()
    # what is fitted between the networks makes more of their differences of 1e-4 than they are: rows may begin 0.02 mm
    # aside, which is a millisecond for all leads alike
    off = np.where(both, found - reading.signal, 0.0)
    slope = np.where(both, np.gradient(np.where(both, reading.signal, 0.0), axis=1), 0.0)
    moved = float((off * slope).sum() / (slope**2).sum())
    assert abs(moved) < 0.5
    assert np.sqrt(np.mean(np.square((off - moved * slope)[both]))) < 5e-3
