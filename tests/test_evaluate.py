"""The evaluation of embeddings: what is compared with what, and splits that can't be."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from hub_scripts import evaluate_map
from hub_scripts.arguments import UsageError
from hub_scripts.evaluate_map import map_of
from hub_scripts.representations import signal_features
from modeling_ecgscan import ECGScanModel
from processing.prepared import row_of
from processing.processing_ecgscan import ECGScanProcessor
from processing.records import read_parquet
from processing.simulator import simulate
from processing.triplets import prepare, simulated


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    """Three prepared files of simulated recordings, of different patients."""
    folder = tmp_path_factory.mktemp("splits")
    for seed, (name, count) in enumerate({"train": 24, "validation": 16, "test": 16}.items()):
        recordings = (replace(found, patient_id=f"{name} {n}") for n, found in enumerate(simulated(count, seed)))
        prepare(recordings, folder / name, split=name, shards=1)
    return {name: next((folder / name).glob("*.parquet")) for name in ("train", "validation", "test")}


def _options(splits, **others):
    return [text for name, path in (splits | others).items() for text in (f"--{name}", path)]


def test_every_representation_is_probed_and_pages_are_retrieved(ecgscan, tiny, splits, tmp_path):
    code, out, _ = ecgscan("evaluate", *_options(splits), "--out", tmp_path, "--pages", 3, "--model", tiny)
    assert code == 0
    document = json.loads((tmp_path / "evaluation.json").read_text())
    found = document["probe"]["super"]
    for name in ("signal, 10 s", "signal, printed", "random weights, printed"):
        figure = found[name]["1"][0]
        assert 0 <= figure["low"] <= figure["auroc"] <= figure["high"] <= 1
    assert found["signal, printed"] != found["signal, 10 s"]
    assert "left_out" in document["probe"]["form"]
    assert document["pages"] == 3
    assert set(document["retrieval"]) == {"image"}
    assert set(document["names"]) == set(document["prompts"]) == {"signal, 10 s", "signal, printed", "image"}
    assert document["names"] != document["prompts"]
    assert document["retrieval"]["image"]["recording"]["among"] == document["recordings"]["test"]
    assert "signal, 10 s" in out
    with Image.open(tmp_path / "embeddings.png") as picture:
        assert picture.size == (1210, 572)


def test_a_patient_on_both_sides_is_refused(ecgscan, tiny, splits, tmp_path):
    code, _, err = ecgscan("evaluate", *_options(splits, test=splits["train"]), "--out", tmp_path, "--model", tiny)
    assert code == 2
    assert "24 patients" in err
    assert "both in train and in test" in err


def test_recordings_that_can_not_be_right_or_are_not_whole_are_left_out_and_counted(ecgscan, tiny, splits, tmp_path):
    good = list(read_parquet(splits["test"]))
    gap, high = good[0].signal.copy(), good[1].signal * 1000.0
    gap[7, 100:200] = np.nan
    rows = [replace(good[0], signal=gap), replace(good[1], signal=high), *good[2:]]
    pq.write_table(pa.Table.from_pylist([row_of(row, "test") for row in rows]), tmp_path / "odd.parquet")
    options = _options(splits, test=tmp_path / "odd.parquet")
    code, out, _ = ecgscan("evaluate", *options, "--out", tmp_path / "out", "--pages", 0, "--model", tiny)
    assert code == 0
    assert "2 recordings left out: leads missing or unknown in part (1), gain (1)" in " ".join(out.split())
    document = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert document["recordings"]["test"] == len(good) - 2
    assert "form left out: no class has positives and negatives in" in out


def test_the_same_recordings_are_rendered_in_each_condition_and_layout(ecgscan, tiny, splits, tmp_path):
    options = ("--condition", "clean", "--condition", "scan", "--layout", "6x2", "--pages", 2)
    code, out, _ = ecgscan("evaluate", *_options(splits), "--out", tmp_path, *options, "--model", tiny)
    assert code == 0
    document = json.loads((tmp_path / "evaluation.json").read_text())
    assert (document["layout"], document["conditions"], document["pages"]) == ("6x2", ["clean", "scan"], 2)
    for name in ("image, clean", "image, scan"):
        assert {name, f"{name} minus signal, printed"} <= set(document["probe"]["super"])
        assert name in document["prompts"]
        assert document["retrieval"][name]["text"]["among"] <= document["recordings"]["test"]
        assert name in out
    with Image.open(tmp_path / "embeddings.png") as picture:
        assert picture.size == (1815, 572)  # a panel of recordings and one for each condition


def test_of_a_layout_that_prints_all_the_probe_sees_the_whole_recording(ecgscan, tiny, splits, tmp_path):
    options = ("--layout", "12x1", "--pages", 0, "--out", tmp_path, "--model", tiny)
    assert ecgscan("evaluate", *_options(splits), *options)[0] == 0
    found = json.loads((tmp_path / "evaluation.json").read_text())["probe"]["super"]
    assert found["signal, printed"] == found["signal, 10 s"]
    assert not any(name.startswith("image") for name in found)


def test_an_unknown_layout_is_refused(ecgscan, tiny, splits, tmp_path):
    code, _, err = ecgscan("evaluate", *_options(splits), "--out", tmp_path, "--layout", "5x5", "--model", tiny)
    assert code == 2
    assert "--layout" in err


def test_on_the_map_rows_lie_nearest_to_rows_of_their_own_kind():
    rng = np.random.default_rng(0)
    kind = np.repeat([0, 1, 2], 30)
    vectors = np.eye(3)[kind] @ rng.normal(size=(3, 40)) + 0.1 * rng.normal(size=(90, 40))
    places = map_of(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), seed=0)
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1) + np.diag(np.full(90, np.inf))
    assert (kind[apart.argmin(1)] == kind).all()


def test_without_scikit_learn_the_evaluation_says_what_to_install(monkeypatch):
    monkeypatch.setattr(evaluate_map, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="scikit-learn is not installed"):
        evaluate_map.check_installed()


def test_recordings_of_several_files_are_probed_together(ecgscan, tiny, splits, tmp_path):
    code, _, _ = ecgscan(
        "evaluate", *_options(splits), "--train", splits["train"], "--out", tmp_path, "--pages", 0, "--model", tiny
    )
    assert code == 0
    assert json.loads((tmp_path / "evaluation.json").read_text())["recordings"]["train"] == 48


def test_what_is_not_printed_does_not_reach_the_features(tiny):
    model, processor = ECGScanModel.from_pretrained(tiny).eval(), ECGScanProcessor.from_pretrained(tiny)
    recording = simulate(4)
    hidden = recording.signal.copy()
    hidden[6:9, : hidden.shape[1] // 4] += 0.5  # V1 to V3 stand in the third column of a 3x4 page
    features = [
        signal_features(model, processor, [found], layout).pooled
        for found in (recording, replace(recording, signal=hidden))
        for layout in ("3x4", None)
    ]
    printed, whole = np.abs(features[0] - features[2]).max(), np.abs(features[1] - features[3]).max()
    assert printed < 0.1 * whole
