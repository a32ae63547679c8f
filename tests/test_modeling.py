"""The model: presets, towers, saving and loading through every way the Auto classes offer."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, distribution

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from transformers import AutoProcessor, pipeline

from modeling_ecgscan.configuration_ecgscan import (
    LEAD_NAMES,
    ECGScanConfig,
    ECGScanImageConfig,
    ECGScanSignalConfig,
    ECGScanTextConfig,
)
from modeling_ecgscan.modeling_ecgscan import (
    ECGScanForImageClassification,
    ECGScanForZeroShotImageClassification,
    ECGScanModel,
)
from modeling_ecgscan.readings_ecgscan import ECGReading
from modeling_ecgscan.text_ecgscan import text_keys
from processing.layouts import LAYOUTS
from processing.leads import LEADS, law_residuals
from processing.signal_views import printed_mask
from processing.simulator import simulate

AUTO_CODE = """
import json, sys
import torch
from transformers import (AutoConfig, AutoFeatureExtractor, AutoImageProcessor, AutoModel,
    AutoModelForImageClassification, AutoModelForZeroShotImageClassification, AutoProcessor, AutoTokenizer)
folder, remote = sys.argv[1], sys.argv[2] == "remote"
options = {"trust_remote_code": True} if remote else {}
model = AutoModel.from_pretrained(folder, **options).eval()
classes = [type(auto.from_pretrained(folder, **options)).__name__ for auto in
    (AutoConfig, AutoProcessor, AutoImageProcessor, AutoFeatureExtractor, AutoTokenizer,
     AutoModelForImageClassification, AutoModelForZeroShotImageClassification)]
with torch.no_grad():
    signal = torch.linspace(-1, 1, 60000).view(1, 12, 5000)
    embedding = model.get_signal_features(signal)[0].tolist()
print(json.dumps({"model": type(model).__module__, "classes": classes, "embedding": embedding}))
"""
AUTO_NAMES = [
    "ECGScanConfig",
    "ECGScanProcessor",
    "ECGScanImageProcessor",
    "ECGScanFeatureExtractor",
    "TokenizersBackend",
    "ECGScanForImageClassification",
    "ECGScanForZeroShotImageClassification",
]


def _installed() -> bool:
    try:
        return bool(distribution("ecgscan"))
    except PackageNotFoundError:
        return False


@pytest.fixture(scope="module")
def model() -> ECGScanModel:
    torch.manual_seed(0)
    return ECGScanModel(ECGScanConfig.tiny()).eval()


def signal_batch(count: int = 2) -> torch.Tensor:
    return torch.from_numpy(np.stack([simulate(seed).signal for seed in range(count)]))


def half_precision_megabytes(model: ECGScanModel) -> float:
    return 2e-6 * sum(tensor.numel() for tensor in model.state_dict().values())


def test_presets_keep_their_size():
    with torch.device("meta"):
        assert half_precision_megabytes(ECGScanModel(ECGScanConfig.tiny())) < 1
        base = ECGScanModel(ECGScanConfig.base())
    assert half_precision_megabytes(base) < 64
    rest = sum(p.numel() for name, p in base.named_parameters() if not name.startswith("image_model."))
    assert rest < 12e6


def test_lead_order_is_that_of_the_processing_package():
    assert tuple(LEAD_NAMES) == LEADS


def test_a_configuration_survives_saving(tmp_path):
    config = ECGScanConfig.tiny(min_quality=0.25)
    config.image_config.calibration = {"quality": [1.0, -2.0]}
    config.save_pretrained(tmp_path)
    again = ECGScanConfig.from_pretrained(tmp_path)
    assert again.to_dict() == config.to_dict()
    assert isinstance(again.image_config, ECGScanImageConfig)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ECGScanImageConfig(architecture="cnn"), "'reader' or 'vit', got 'cnn'"),
        (lambda: ECGScanImageConfig(image_size=100, patch_size=16), r"multiple of patch_size \(16\)"),
        (lambda: ECGScanSignalConfig(samples=5001), r"multiple of 2 \* reduction"),
        (lambda: ECGScanTextConfig(hidden_size=30), r"hidden_size \(30\)"),
        (lambda: ECGScanConfig(lead_names=["I", "II"]), "12 names"),
    ],
)
def test_an_impossible_configuration_is_refused(build, message):
    with pytest.raises(Exception, match=message):
        build()


def test_a_saved_model_comes_back_whole(model, tmp_path):
    model.save_pretrained(tmp_path)
    again = ECGScanModel.from_pretrained(tmp_path).eval()
    for kind in ("named_parameters", "named_buffers"):
        first, second = dict(getattr(model, kind)()), dict(getattr(again, kind)())
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)
    signal = signal_batch()
    assert torch.equal(model.get_signal_features(signal), again.get_signal_features(signal))


def test_no_buffer_is_left_out_of_a_checkpoint(model):
    assert {name for name, _ in model.named_buffers()} <= set(model.state_dict())


def test_a_checkpoint_that_lacks_a_weight_is_refused(model, tmp_path):
    state = model.state_dict()
    del state["signal_projection.weight"]
    model.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(ValueError, match=r"1 weights missing \['signal_projection.weight'\]"):
        ECGScanModel.from_pretrained(tmp_path)


def test_a_half_precision_checkpoint_is_half_as_large(model, tiny, tmp_path):
    from hub_scripts.checkpoint import save_checkpoint

    save_checkpoint(model, AutoProcessor.from_pretrained(tiny), tmp_path, half=True)
    again = ECGScanModel.from_pretrained(tmp_path).eval()
    assert again.dtype == torch.float32  # stored in half precision, computed in single
    assert (tmp_path / "model.safetensors").stat().st_size < 1.3e6
    signal = signal_batch()
    assert torch.allclose(model.get_signal_features(signal), again.get_signal_features(signal), atol=0.02)


def run_auto(folder, way: str, tmp_path, **environment: str) -> dict:
    result = subprocess.run(
        [sys.executable, "-c", AUTO_CODE, str(folder), way],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(tmp_path / "modules"), **environment},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout.splitlines()[-1])


def test_code_in_the_checkpoint_loads_without_the_package(saved, tmp_path):
    found = run_auto(saved, "remote", tmp_path, ECGSCAN_AUTOLOAD="0", PYTHONPATH="")
    assert found["model"].startswith("transformers_modules.")
    assert found["classes"] == AUTO_NAMES
    expected = ECGScanModel.from_pretrained(saved).eval()
    signal = torch.linspace(-1, 1, 60000).view(1, 12, 5000)
    assert np.allclose(found["embedding"], expected.get_signal_features(signal)[0].tolist(), atol=1e-5)


@pytest.mark.skipif(not _installed(), reason="the package is not installed")
def test_the_installed_package_needs_no_other_import(saved, tmp_path):
    found = run_auto(saved, "installed", tmp_path)
    assert found["model"] == "modeling_ecgscan.modeling_ecgscan"
    assert found["classes"] == AUTO_NAMES


def test_automatic_registration_can_be_turned_off(saved, tmp_path):
    code = "from transformers import AutoModel; AutoModel.from_pretrained(__import__('sys').argv[1])"
    result = subprocess.run(
        [sys.executable, "-c", code, str(saved)],
        env={**os.environ, "ECGSCAN_AUTOLOAD": "0", "HF_HUB_OFFLINE": "1"},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert result.returncode != 0
    assert "trust_remote_code" in result.stderr


def test_embeddings_are_unit_vectors_of_the_shared_size(model):
    ids = torch.tensor([[2, 50, 3], [2, 60, 3]])
    for embeddings in (model.get_signal_features(signal_batch()), model.get_text_features(ids)):
        assert embeddings.shape == (2, 32)
        assert torch.allclose(embeddings.norm(dim=-1), torch.ones(2), atol=1e-5)


def test_what_is_masked_has_no_influence(model):
    signal = signal_batch(1)
    mask = torch.from_numpy(printed_mask(LAYOUTS["3x4"], 5000))[None]
    garbage = torch.where(mask, signal, torch.full_like(signal, 77.0))
    unknown = torch.where(mask, signal, torch.full_like(signal, float("nan")))
    wanted = model.get_signal_features(signal, mask)
    assert torch.equal(wanted, model.get_signal_features(garbage, mask))
    assert torch.equal(wanted, model.get_signal_features(unknown))  # no mask: NaN is unknown


def test_a_missing_lead_is_not_a_lead_at_zero(model):
    signal = signal_batch(1)
    signal[:, 7] = 0
    mask = torch.ones_like(signal)
    mask[:, 7] = 0
    assert not torch.allclose(model.get_signal_features(signal, mask), model.get_signal_features(signal))


def test_a_level_of_a_lead_has_no_influence(model):
    signal = signal_batch(1)
    shifted = signal + 0.3 * torch.arange(12).view(1, 12, 1) / 12
    assert torch.allclose(model.get_signal_features(signal), model.get_signal_features(shifted), atol=1e-4)


def test_padding_of_texts_has_no_influence(model):
    short = torch.tensor([[2, 50, 60, 3]])
    padded = torch.tensor([[2, 50, 60, 3, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 0, 0]])
    assert torch.allclose(model.get_text_features(short), model.get_text_features(padded, mask), atol=1e-6)
    assert text_keys(short, None).item() == text_keys(padded, mask).item()


def test_a_completed_recording_is_lawful_and_keeps_what_was_read(model):
    signal = signal_batch(2)
    mask = torch.from_numpy(printed_mask(LAYOUTS["3x4+1"], 5000)).expand_as(signal)
    with torch.no_grad():
        completed = model.signal_model.complete(torch.where(mask, signal, torch.nan), mask)
    assert completed.shape == (2, 12, 5000)
    assert torch.isfinite(completed).all()
    assert np.abs(law_residuals(completed[0].numpy())).max() < 1e-5
    error = (completed - signal)[mask].abs()
    assert error.mean() < 0.02 * signal[mask].abs().mean() + 0.01


def test_a_completed_recording_follows_what_is_expected_of_its_hidden_beats(model):
    free = torch.randn(1, 8, 5000, generator=torch.Generator().manual_seed(3))
    signal = model.signal_model.all_leads(free)
    mask = torch.zeros_like(signal)
    mask[:, 1] = mask[:, 6:, :1250] = mask[:, :6, :1250] = 1.0
    with torch.no_grad():
        followed = model.signal_model.complete(signal, mask, expected=signal)
        alone = model.signal_model.complete(signal, mask, expected=torch.full_like(signal, torch.nan))
        plain = model.signal_model.complete(signal, mask)
    assert (followed - signal).abs().max() < 0.01
    torch.testing.assert_close(alone, plain)


def test_limb_leads_that_are_printed_determine_the_others(model):
    signal = signal_batch(1)
    mask = torch.zeros_like(signal)
    mask[:, [3, 4]] = 1  # aVR and aVL
    with torch.no_grad():
        completed = model.signal_model.complete(signal, mask)
    alone = completed[:, :6] - signal[:, :6]
    assert alone.abs().mean() < 0.05 * signal[:, :6].abs().max()


def test_wrong_shapes_are_refused(model):
    with pytest.raises(ValueError, match=r"\(batch, 12, 5000\), got \(1, 12, 400\)"):
        model.get_signal_features(torch.zeros(1, 12, 400))


def test_forward_takes_any_subset_of_modalities(model):
    ids = torch.tensor([[2, 50, 3], [2, 60, 3]])
    signal = signal_batch()
    text_only = model(input_ids=ids)
    assert text_only.signal_embeds is None
    assert text_only.loss is None
    both = model(signal_values=signal, input_ids=ids, return_loss=True)
    assert set(both.losses) == {"signal_text"}
    assert both.logits_per_signal_text.shape == (2, 2)
    target = model(
        signal_values=signal, signal_target=signal, signal_target_weight=torch.ones_like(signal), return_loss=True
    )
    assert set(target.losses) == {"reconstruction"}


@pytest.fixture
def read_pages(monkeypatch):
    """A reader that gives simulated readings, so that these tests do not depend on trained weights."""

    def read(self, pixel_values, page_size=None, columns="sequential"):
        readings = []
        for seed in range(len(pixel_values)):
            signal = np.where(printed_mask(LAYOUTS["3x4+1"], 5000), simulate(seed).signal, np.nan).astype(np.float32)
            confidence = np.isfinite(signal).astype(np.float32)
            readings.append(ECGReading("read", None, signal, confidence, {"name": "3x4+1", "rows": []}, 0.9))
        readings[-1] = replace(
            readings[-1], status="no_ecg", signal=np.full_like(signal, np.nan), confidence=np.zeros_like(signal)
        )
        return readings

    monkeypatch.setattr("modeling_ecgscan.image_ecgscan.ECGScanImageReader.read", read)


def test_what_was_read_of_a_page_stands_for_the_page(model, read_pages):
    pages, ids = torch.full((3, 3, 32, 64), 255, dtype=torch.uint8), torch.tensor([[2, 50, 3], [2, 60, 3], [2, 70, 3]])
    with torch.no_grad():
        values, weight = model.signals_of(model.read(pages))
        read = model(
            read_values=values, read_mask=weight > 0, signal_values=signal_batch(3), input_ids=ids, return_loss=True
        )
        torch.testing.assert_close(read.image_embeds, model.get_image_features(pages))
    assert set(read.losses) == {"signal_text", "image_signal", "image_text", "volume"}
    with pytest.raises(ValueError, match="read_values stand for pages"):
        model(pixel_values=pages, read_values=values)


def test_pages_signals_and_texts_align_in_one_pass(model, read_pages):
    ids = torch.tensor([[2, 50, 3], [2, 60, 3], [2, 70, 3]])
    pages = torch.full((3, 3, 32, 64), 255, dtype=torch.uint8)
    output = model(pixel_values=pages, signal_values=signal_batch(3), input_ids=ids, return_loss=True)
    assert set(output.losses) == {"signal_text", "image_signal", "image_text", "volume", "leads"}
    assert torch.isfinite(output.loss)
    assert output.embeddings is output.image_embeds
    assert output.image_embeds.shape == (3, 32)
    assert output.losses["leads"] < 1e-4  # simulated recordings obey the laws
    assert [reading.completed is None for reading in output.reading] == [False, False, True]


def test_an_image_of_a_recording_lies_where_its_masked_signal_lies(model, read_pages):
    pages = torch.full((2, 3, 32, 64), 255, dtype=torch.uint8)
    features, readings = model.image_features(pages)
    values, weight = model.signals_of(readings)
    pooled, _ = model.signal_model.encode(values, weight)
    assert torch.equal(features, pooled)


def test_classification_heads_return_logits_and_losses(read_pages):
    config = ECGScanConfig.tiny(num_labels=3, problem_type="multi_label_classification")
    classifier = ECGScanForImageClassification(config).eval()
    pages = torch.full((2, 3, 32, 64), 255, dtype=torch.uint8)
    output = classifier(pages, labels=torch.tensor([[1, 0, 1], [0, 0, 1]]))
    assert output.logits.shape == (2, 3)
    expected = F.binary_cross_entropy_with_logits(output.logits, torch.tensor([[1.0, 0, 1], [0, 0, 1]]))
    assert torch.allclose(output.loss, expected)
    zero_shot = ECGScanForZeroShotImageClassification(config).eval()
    ids = torch.tensor([[2, 50, 3], [2, 60, 3], [2, 70, 3], [2, 80, 3]])
    assert zero_shot(pages, ids).logits_per_image.shape == (2, 4)


def test_the_plain_vision_transformer_is_a_matter_of_configuration():
    config = ECGScanConfig.tiny()
    config.image_config.architecture = "vit"
    model = ECGScanModel(config).eval()
    pages = torch.randint(0, 255, (2, 3, 64, 96), dtype=torch.uint8)
    padded = F.pad(pages, (0, 32, 0, 32), value=3)
    size = torch.tensor([[64, 96], [64, 96]])
    assert torch.allclose(model.get_image_features(pages), model.get_image_features(padded, size), atol=1e-5)
    output = model(pixel_values=pages, signal_values=signal_batch(), return_loss=True)
    output.loss.backward()
    assert model.image_model.patches.weight.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="does not read"):
        model.read(pages)


def test_attention_written_out_agrees_with_the_fused_one(model):
    signal, ids = signal_batch(), torch.tensor([[2, 50, 3, 0], [2, 60, 70, 3]])
    mask = (ids > 0).long()
    fused = model.get_signal_features(signal), model.get_text_features(ids, mask)
    model.set_attn_implementation("eager")
    try:
        eager = model.get_signal_features(signal), model.get_text_features(ids, mask)
    finally:
        model.set_attn_implementation("sdpa")
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(fused, eager, strict=True))


@pytest.fixture(scope="module")
def page() -> Image.Image:
    return Image.new("RGB", (120, 80), "white")


def test_pipelines_take_pages(saved, read_pages, page):
    reader = pipeline("ecg-scan", model=str(saved), device="cpu")
    assert reader(page).status == "no_ecg"
    assert len(reader([page, page], columns="simultaneous")) == 2
    zero_shot = pipeline("zero-shot-image-classification", model=str(saved), device="cpu")
    found = zero_shot(page, candidate_labels=["normal ECG", "atrial fibrillation"], hypothesis_template="{}")
    assert {entry["label"] for entry in found} == {"normal ECG", "atrial fibrillation"}
    features = pipeline("image-feature-extraction", model=str(saved), device="cpu")(page)
    assert np.shape(features) == (1, 32)
    assert len(pipeline("image-classification", model=str(saved), device="cpu")(page)) == 2
