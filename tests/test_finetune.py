"""Fine-tuning: what is learned, saved and merged, on which patients, and data that can't be learned from."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from transformers import AutoConfig, AutoModel, AutoModelForImageClassification, Trainer, TrainingArguments, pipeline

from hub_scripts.arguments import UsageError
from hub_scripts.patients import validation_patients
from hub_scripts.statistics import auroc, macro
from modeling_ecgscan import ECGScanForImageClassification
from processing.prepared import row_of
from processing.records import read_parquet
from processing.renderer import render
from processing.simulator import simulate
from processing.triplets import prepare, simulated

pytest.importorskip("peft", reason="needs the extra `finetune`")

from hub_scripts.finetune_data import Example, Task
from hub_scripts.finetune_training import Views, adapted, figures, start_from_probe
from hub_scripts.linear_probe import Labelled, linear_probe

NAMES = {0: "fast", 1: "slow", 2: "other"}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Prepared Parquet files of simulated recordings, by split and patient."""
    folder = tmp_path_factory.mktemp("prepared")
    for seed, (split, count) in enumerate({"train": 24, "validation": 12}.items()):
        found = (replace(item, patient_id=f"{split} {n}") for n, item in enumerate(simulated(count, seed)))
        prepare(found, folder, split=split, shards=1)
    return folder


@pytest.fixture(scope="module")
def examples():
    """Simulated recordings with labels of three classes."""
    kept = []
    for seed in range(9):
        microvolts = np.rint(simulate(seed).signal * 1000).astype(np.int16)
        kept.append(Example(microvolts, (NAMES[seed % 3],), str(seed), "", False))
    return kept


@pytest.fixture
def classifier(tiny) -> ECGScanForImageClassification:
    torch.manual_seed(0)
    return AutoModelForImageClassification.from_pretrained(tiny, id2label=NAMES).eval()


def logits(model, examples, task) -> torch.Tensor:
    rows = [Views(examples, task, training=False)[number] for number in range(len(examples))]
    with torch.no_grad():
        return model(
            signal_values=torch.stack([row["signal_values"] for row in rows]),
            signal_mask=torch.stack([row["signal_mask"] for row in rows]),
        ).logits


def test_an_adapter_reloads_and_merges_to_the_same_outputs(classifier, tiny, examples, tmp_path):
    from peft import PeftModel

    task = Task(tuple(NAMES.values()), False)
    tuned = adapted(classifier, "lora").eval()
    with torch.no_grad():
        for name, weight in tuned.named_parameters():
            if "lora_B" in name or (weight.requires_grad and "classifier" in name):
                weight.normal_(std=0.1)
    expected = logits(tuned, examples, task)
    tuned.save_pretrained(tmp_path / "adapter")
    config = AutoConfig.from_pretrained(tiny, id2label=NAMES)
    reloaded = AutoModelForImageClassification.from_pretrained(tmp_path / "adapter", config=config).eval()
    assert torch.allclose(logits(reloaded, examples, task), expected, atol=1e-5)
    base = AutoModelForImageClassification.from_pretrained(tiny, id2label=NAMES)
    assert not torch.allclose(logits(base.eval(), examples, task), expected, atol=1e-2)
    wrapped = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    assert torch.allclose(logits(wrapped, examples, task), expected, atol=1e-5)
    merged = tuned.merge_and_unload().eval()
    assert torch.allclose(logits(merged, examples, task), expected, atol=1e-5)
    merged.save_pretrained(tmp_path / "merged")
    again = AutoModelForImageClassification.from_pretrained(tmp_path / "merged").eval()
    assert torch.allclose(logits(again, examples, task), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("method", "moving"),
    [("lora", {"lora", "classifier"}), ("head", {"classifier"}), ("full", {"signal", "classifier"})],
)
def test_the_trainer_takes_the_model_and_moves_only_what_the_method_trains(
    classifier, examples, tmp_path, method, moving
):
    task = Task(tuple(NAMES.values()), False)
    model = adapted(classifier, method)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    arguments = TrainingArguments(
        tmp_path,
        max_steps=2,
        per_device_train_batch_size=4,
        learning_rate=0.01,
        use_cpu=True,
        report_to="none",
        remove_unused_columns=False,
        label_names=["labels"],
        save_strategy="no",
    )
    data = Views(examples, task, training=True)
    trainer = Trainer(model, arguments, train_dataset=data, eval_dataset=data, compute_metrics=figures(task))
    trainer.train()
    found = trainer.evaluate()
    assert 0 <= found["eval_macro_auroc"] <= 1
    assert np.isfinite(found["eval_loss"])
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    kinds = {next(kind for kind in ("lora", "classifier", "signal", "?") if kind in name + "?") for name in moved}
    assert kinds == moving
    assert not any("image_model" in name or "text" in name or "findings" in name for name in moved)


def test_the_trainer_takes_pages(classifier, tmp_path):
    page = {"pixel_values": torch.full((3, 64, 96), 255, dtype=torch.uint8), "page_size": torch.tensor([64, 96])}
    data = [{**page, "labels": torch.tensor(number)} for number in (0, 2)]
    arguments = TrainingArguments(
        tmp_path, max_steps=1, use_cpu=True, report_to="none", save_strategy="no", learning_rate=0.1
    )
    trainer = Trainer(classifier, arguments, train_dataset=data, eval_dataset=data)
    reader = {name: value.clone() for name, value in classifier.ecgscan.image_model.state_dict().items()}
    before = classifier.classifier.bias.clone()
    trainer.train()
    assert np.isfinite(trainer.evaluate()["eval_loss"])
    assert trainer.predict(data).predictions.shape == (2, 3)  # logits alone, no readings
    assert not torch.equal(classifier.classifier.bias, before)
    after = classifier.ecgscan.image_model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in reader.items())


def test_reading_networks_stay_in_evaluation_mode_while_training(classifier):
    classifier.train()
    assert not any(module.training for module in classifier.ecgscan.image_model.modules())
    assert classifier.ecgscan.signal_model.scales[0][1].norm1.training
    classifier.requires_grad_(False).train()
    assert not classifier.ecgscan.signal_model.scales[0][1].norm1.training


def test_the_head_starts_as_the_linear_probe(classifier):
    rng = np.random.default_rng(0)
    features = rng.normal(2.0, 3.0, (60, classifier.classifier.in_features)).astype(np.float32)
    truth = np.stack([features[:, 0] > 2, features[:, 1] > 2, features[:, 2] > 2], 1)
    probe = linear_probe(Labelled(features, truth), Labelled(features, truth), strengths=[1.0]).probe
    start_from_probe(classifier.classifier, probe)
    found = classifier.classifier(torch.from_numpy(features)).detach().numpy()
    assert np.allclose(found, probe.scores(features), atol=1e-3)


def test_labels_that_the_head_lacks_are_refused_by_the_loss(classifier):
    signal = torch.zeros(2, 12, 5000)
    with pytest.raises(ValueError, match="label 7 does not match the head of 3 labels"):
        classifier(signal_values=signal, labels=torch.tensor([0, 7]))
    with pytest.raises(ValueError, match="do not match the head's logits"):
        classifier(signal_values=signal, labels=torch.zeros(2, 5))
    with pytest.raises(ValueError, match="got neither"):
        classifier(labels=torch.tensor([0, 1]))


def test_a_fifth_of_the_patients_of_every_label_is_held_back_whatever_the_order():
    labels = {f"patient {n}": "rare" if n < 5 else "common" for n in range(50)}
    held = validation_patients(labels)
    assert len(held) == 10
    assert sum(labels[patient] == "rare" for patient in held) == 1
    assert held == validation_patients(dict(reversed(labels.items())))


def examples_of(file):
    """The recordings of a file, by a way of their own."""
    for recording in read_parquet(file):
        microvolts = np.rint(recording.signal * 1000).astype(np.int16)
        yield Example(microvolts, recording.labels, recording.patient_id, "validation", False)


@pytest.fixture(scope="module")
def tuned(tiny, recordings, tmp_path_factory):
    """What `ecgscan finetune` makes of the smallest model in one epoch."""
    from typer.testing import CliRunner

    from hub_scripts.cli import app

    out = tmp_path_factory.mktemp("tuned")
    options = ["--epochs", "1", "--labels", "NORM,MI,CD", "--model", str(tiny)]
    run = CliRunner().invoke(app, ["finetune", str(recordings), "--out", str(out), *options])
    assert run.exit_code == 0, run.output
    return out


def test_recordings_with_several_labels_make_a_checkpoint_that_names_them(tuned, recordings, tiny):
    document = json.loads((tuned / "finetune.json").read_text())
    assert document["several_labels_at_once"]
    assert document["examples"]["validation"] == {"examples": 12, "of_pages": 0, "patients": 12}
    assert "test" not in document
    assert document["best"]["macro_auroc"] >= document["start"]["macro_auroc"]
    assert abs(document["start"]["macro_auroc"] - document["linear_probe_macro_auroc"]) < 0.02
    model = AutoModelForImageClassification.from_pretrained(tuned)
    assert list(model.config.id2label.values()) == ["NORM", "MI", "CD"]
    assert model.config.problem_type == "multi_label_classification"
    task, held = Task(("NORM", "MI", "CD"), True), list(examples_of(next(recordings.glob("validation*"))))
    truth = task.truth(held)
    reached = macro(auroc, truth, logits(model.eval(), held, task).numpy()).value
    assert reached == pytest.approx(document["best"]["macro_auroc"], abs=1e-6)
    assert (tuned / "adapter" / "adapter_model.safetensors").stat().st_size < 1e6
    found = pipeline("image-classification", model=str(tuned), device="cpu")(Image.new("RGB", (120, 80), "white"))
    assert {row["label"] for row in found} == {"NORM", "MI", "CD"}
    reader, base = (AutoModel.from_pretrained(folder).image_model.state_dict() for folder in (tuned, tiny))
    assert all(torch.equal(reader[name], base[name]) for name in base)


def test_a_prepared_folder_is_learned_from_in_its_own_splits(ecgscan, recordings, tiny, tmp_path):
    assert ecgscan("prepare", "parquet", recordings, "--out", tmp_path / "prepared")[0] == 0
    options = ("--epochs", 1, "--labels", "NORM,MI,CD", "--model", tiny)
    code, _, err = ecgscan("finetune", tmp_path / "prepared", "--out", tmp_path / "out", *options)
    assert code == 0, err
    written = json.loads((tmp_path / "prepared" / "report.json").read_text())["written"]
    learned = json.loads((tmp_path / "out" / "finetune.json").read_text())["examples"]
    assert {split: learned[split]["examples"] for split in ("train", "validation")} == written


def test_labels_that_the_head_of_a_tuned_checkpoint_lacks_are_named(ecgscan, tuned, recordings, tmp_path):
    code, _, err = ecgscan("finetune", recordings, "--out", tmp_path, "--labels", "HYP,CD", "--model", tuned)
    assert code == 2
    assert "HYP" in err and "NORM, MI, CD" in err


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A folder of other patients for validation, and one for the test, without names of parts."""
    places = []
    for seed, name in enumerate(("held", "last"), start=5):
        folder = tmp_path_factory.mktemp(name)
        found = (replace(item, patient_id=f"{name} {n}") for n, item in enumerate(simulated(10, seed)))
        prepare(found, folder, split="", shards=1)
        next(folder.glob("*.parquet")).rename(folder / "all.parquet")
        places.append(folder)
    return places


def test_validation_and_test_from_elsewhere_are_used_for_nothing_else(ecgscan, tiny, recordings, elsewhere, tmp_path):
    held, last = elsewhere
    options = ("--epochs", 1, "--labels", "NORM,CD", "--model", tiny)
    places = ("--validation", held, "--test", last)
    code, printed, err = ecgscan("finetune", recordings, "--out", tmp_path, *places, *options)
    assert code == 0, err
    document = json.loads((tmp_path / "finetune.json").read_text())
    sizes = {name: part["examples"] for name, part in document["examples"].items()}
    assert sizes == {"train": 24, "validation": 10, "test": 10}
    task, model = Task(("NORM", "CD"), True), AutoModelForImageClassification.from_pretrained(tmp_path).eval()
    for place, told in ((held, document["best"]["macro_auroc"]), (last, document["test"]["after"]["auroc"])):
        examples = list(examples_of(place / "all.parquet"))
        reached = macro(auroc, task.truth(examples), logits(model, examples, task).numpy()).value
        assert reached == pytest.approx(told, abs=1e-6)
    before, after, gain = (document["test"][name] for name in ("before", "after", "after_minus_before"))
    assert gain["difference"] == pytest.approx(after["auroc"] - before["auroc"])
    assert gain["low"] <= gain["difference"] <= gain["high"] and 0 < gain["p"] <= 1
    assert f"10 of the test: macro AUROC {after['auroc']:.3f}" in printed


def test_a_patient_of_the_test_among_the_others_is_refused(ecgscan, tiny, recordings, tmp_path):
    prepare((replace(item, patient_id="train 3") for item in simulated(4, 7)), tmp_path, split="test", shards=1)
    code, _, err = ecgscan("finetune", recordings, "--test", tmp_path, "--out", tmp_path / "out", "--model", tiny)
    assert code == 2
    assert "train 3" in err and "both in train and in test" in err


def test_a_missing_place_for_the_test_is_told_before_anything_is_read(ecgscan, tiny, tmp_path):
    (tmp_path / "data").mkdir()
    gone = tmp_path / "gone"
    code, _, err = ecgscan("finetune", tmp_path / "data", "--test", gone, "--out", tmp_path / "out", "--model", tiny)
    assert code == 2
    assert f"{gone}: no such file or folder" in err.replace("\n", "")


def test_of_a_place_for_the_test_other_parts_are_not_opened(ecgscan, tiny, recordings, tmp_path):
    code, _, err = ecgscan("finetune", recordings, "--test", recordings, "--out", tmp_path, "--model", tiny)
    assert code == 2
    assert "no usable example (it is empty)" in err


def test_one_class_told_refuses_other_labels_of_the_test(examples):
    task = Task(("fast", "slow"), False)
    task.refuse_others(examples[:2])
    with pytest.raises(UsageError, match="has the labels other; expected one of fast, slow"):
        task.refuse_others(examples)


def page(path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(render(simulate(seed), seed=seed, layout="3x4+1").image).save(path)


def _one_class(folder):
    (folder / "paced").mkdir()
    for name in "ab":
        Image.new("RGB", (64, 64)).save(folder / "paced" / f"{name}.png")
    return "2 examples have the same label, paced"


def _no_label_column(folder):
    (folder / "pages.csv").write_text("file_name,diagnosis\na.png,paced\n")
    return "expected file_name and label"


def _two_tables(folder):
    for name in ("a.csv", "b.csv"):
        (folder / name).write_text("file_name,label\n")
    return "holds 2 CSV files"


def _nothing(folder):
    return "neither class folders, a CSV nor Parquet files"


def _no_label_at_all(folder):
    (folder / "pages.csv").write_text("file_name,label\na.png,\n")
    return "no example has a label"


def _damaged_parquet(folder):
    (folder / "train.parquet").write_bytes(b"PAR1")
    return "can't be read"


def _parquet_without_leads(folder):
    rows = [row_of(recording, "train") for recording in simulated(2)]
    pq.write_table(pa.Table.from_pylist(rows).drop_columns(["leads", "image"]), folder / "train.parquet")
    return "lacks the columns ['leads']"


def _unreadable_images(folder):
    for name in ("paced", "not paced"):
        (folder / name).mkdir()
        (folder / name / "a.png").write_bytes(b"no picture")
    return "no usable example (2 unreadable)"


@pytest.mark.parametrize(
    "spoil",
    [
        _one_class,
        _no_label_column,
        _two_tables,
        _nothing,
        _no_label_at_all,
        _damaged_parquet,
        _parquet_without_leads,
        _unreadable_images,
    ],
)
def test_data_that_can_not_be_learned_from_are_refused_in_one_sentence(ecgscan, tiny, tmp_path, spoil):
    folder = tmp_path / "data"
    folder.mkdir()
    sentence = spoil(folder)
    code, _, err = ecgscan("finetune", folder, "--out", tmp_path / "out", "--model", tiny)
    assert code == 2
    assert sentence in err
    assert "Traceback" not in err


def test_a_label_that_nothing_has_is_refused(ecgscan, tiny, recordings, tmp_path):
    code, _, err = ecgscan("finetune", recordings, "--out", tmp_path, "--labels", "paced", "--model", tiny)
    assert code == 2
    assert "no example has paced" in err


def test_a_patient_on_both_sides_is_refused(ecgscan, tiny, recordings, tmp_path):
    shutil.copy(next(recordings.glob("train*")), tmp_path / "train.parquet")
    prepare((replace(item, patient_id="train 3") for item in simulated(4, 7)), tmp_path, split="validation", shards=1)
    code, _, err = ecgscan("finetune", tmp_path, "--out", tmp_path / "out", "--model", tiny)
    assert code == 2
    assert "train 3" in err and "both in train and in validation" in err


@pytest.mark.slow
def test_pages_of_a_table_are_read_once_and_tuned_on(ecgscan, checkpoint, tmp_path):
    lines = ["file_name,label,patient_id,split"]
    for seed in range(6):
        page(tmp_path / "data" / f"{seed}.png", seed)
        lines.append(f"{seed}.png,{'even' if seed % 2 == 0 else 'odd'},{seed},{'train' if seed < 4 else 'validation'}")
    (tmp_path / "data" / "broken.png").write_bytes(b"no picture")
    lines += ["broken.png,odd,9,train", "absent.png,odd,10,train"]
    (tmp_path / "data" / "labels.csv").write_text("\n".join(lines))
    command = ("finetune", tmp_path / "data", "--out", tmp_path / "out", "--method", "head", "--epochs", 1)
    code, out, err = ecgscan(*command, "--model", checkpoint)
    assert code == 2  # two files could not be used; the others were
    assert "broken.png" in err and "absent.png" in err
    assert "left out: 2 unreadable" in out
    readings = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "readings").glob("*.npy")}
    assert len(readings) == 6
    ecgscan(*command, "--model", checkpoint)
    assert readings == {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "readings").glob("*.npy")}
    found = pipeline("image-classification", model=str(tmp_path / "out"), device="cpu")(
        str(tmp_path / "data" / "0.png")
    )
    assert {row["label"] for row in found} == {"even", "odd"}
    assert abs(sum(row["score"] for row in found) - 1) < 1e-4


@pytest.mark.slow
def test_rendered_pages_are_taken_with_their_labels_and_patients(ecgscan, checkpoint, tmp_path):
    for name, count in (("train", 12), ("last", 4)):
        found = (
            replace(item, patient_id=f"{name} {number // 2}", labels=("odd" if number % 2 else "even",))
            for number, item in enumerate(simulated(count))
        )
        prepare(found, tmp_path / name, split="train", shards=1)
    shard = next((tmp_path / "last").glob("*.parquet"))
    assert ecgscan("render", shard, "--out", tmp_path / "pages", "--layout", "3x4+1")[0] == 0
    options = ("--validation", tmp_path / "pages", "--method", "head", "--epochs", 1, "--model", checkpoint)
    code, _, err = ecgscan("finetune", tmp_path / "train", "--out", tmp_path / "out", *options)
    assert code == 0, err
    document = json.loads((tmp_path / "out" / "finetune.json").read_text())
    assert document["labels"] == ["even", "odd"] and not document["several_labels_at_once"]
    assert document["examples"]["validation"] == {"examples": 4, "of_pages": 4, "patients": 2}


@pytest.mark.slow
def test_the_python_of_the_page_on_fine_tuning_runs(ecgscan, repository, tuned, tiny, tmp_path):
    text = (repository / "docs" / "finetuning.md").read_text(encoding="utf-8")
    use, label = re.findall(r"```python\n(.*?)```", text, re.S)
    prepare(simulated(230), tmp_path / "archive", split="test", shards=1)
    assert ecgscan("prepare", "parquet", tmp_path / "archive", "--out", tmp_path / "data" / "ptbxl")[0] == 0
    shutil.copytree(tuned, tmp_path / "runs" / "own")
    Image.new("RGB", (120, 80), "white").save(tmp_path / "page.jpg")
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    for code in (label, use.replace('"ecgscan"', repr(str(tiny)))):
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, timeout=300)
    rows = pq.read_table(tmp_path / "data" / "to_render.parquet").to_pylist()
    assert all(row["labels"] == [row["sex"], "65 and older" if row["age"] >= 65 else "under 65"] for row in rows)
