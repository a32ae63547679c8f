"""`ecgscan finetune`: a classifier of the user's own labels, from recordings or pages."""

import json
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from . import console
from .arguments import UsageError
from .checkpoint import save_checkpoint
from .finetune_data import Example, Gathered, Task, gather, split_examples, task_of
from .loading import Reader, load_reader
from .read import prepare_folder


def finetune_command(
    data: Path,
    out: Path,
    *,
    method: str,
    labels: tuple[str, ...],
    epochs: int,
    rate: float | None,
    seed: int,
    checkpoint: str | None,
) -> int:
    """Fine-tunes and writes the checkpoint, the adapter and `finetune.json`; returns the exit code."""
    lacking = [name for name in ("peft", "evaluate") if find_spec(name) is None]
    if lacking:
        raise UsageError(f'{" and ".join(lacking)} not installed; pip install "ecgscan[finetune]"')
    prepare_folder(out)
    started = time.monotonic()
    reader = load_reader(checkpoint)
    head = _head_of(reader)
    found = gather(data, reader, out / "readings", lambda labelled: task_of(labelled, labels, head))
    for problem in found.problems:
        console.error_line(problem)
    if not found.examples:
        reasons = ", ".join(f"{count} {reason}" for reason, count in found.left_out.items())
        raise UsageError(
            f"{data}: no usable example ({reasons or 'it is empty'}); expected pages or signals with labels"
        )
    task = task_of(found.examples, labels, head)
    train, validation = split_examples(found.examples)
    _refuse_unmeasurable(task, validation)
    document = _describe(reader, found, task, train, validation) | {"method": method, "seed": seed}
    document |= _train(reader, task, train, validation, out, method=method, epochs=epochs, rate=rate, seed=seed)
    document["seconds"] = round(time.monotonic() - started, 1)
    (out / "finetune.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    _print(document, out)
    return 2 if found.problems else 0


def _head_of(reader: Reader) -> Task | None:
    """What the head of a checkpoint that was fine-tuned before tells."""
    config = reader.model.config
    if "ECGScanForImageClassification" not in (config.architectures or ()):
        return None
    labels = tuple(config.id2label[index] for index in sorted(config.id2label))
    return Task(labels, config.problem_type == "multi_label_classification")


def _refuse_unmeasurable(task: Task, validation: list[Example]) -> None:
    truth = task.truth(validation)
    if not (truth.any(0) & ~truth.all(0)).any():
        raise UsageError(
            f"no label has both positives and negatives among the {len(validation)} validation examples; "
            "give more patients, or a column split"
        )


def _describe(
    reader: Reader, found: Gathered, task: Task, train: list[Example], validation: list[Example]
) -> dict[str, Any]:
    return {
        "model": {"name": reader.name, "revision": reader.revision},
        "labels": list(task.labels),
        "several_labels_at_once": task.several,
        "examples": {
            name: {"examples": len(part), "patients": len({example.patient for example in part})}
            for name, part in (("train", train), ("validation", validation))
        },
        "left_out": dict(found.left_out),
    }


def _train(
    reader: Reader,
    task: Task,
    train: list[Example],
    validation: list[Example],
    out: Path,
    *,
    method: str,
    epochs: int,
    rate: float | None,
    seed: int,
) -> dict[str, Any]:
    """Probe, fine-tuning and saving; the figures of all."""
    from .finetune_training import Settings, probed, start_from_probe, tune

    model = _classifier(reader, task)
    figures: dict[str, Any] = {}
    if _head_of(reader) is None:
        console.out.print(f"fitting a linear probe on {len(train)} examples ...", markup=False)
        probe, figures["linear_probe_macro_auroc"] = probed(model, task, train, validation)
        start_from_probe(model.classifier, probe)
    console.out.print("fine-tuning ...", markup=False)
    tuned = tune(model, task, train, validation, Settings(method, epochs, rate, seed))
    learned = sum(part.numel() for part in tuned.model.parameters() if part.requires_grad)
    model = tuned.model
    if method == "lora":
        model.save_pretrained(out / "adapter")
        model = model.merge_and_unload()
    save_checkpoint(model, reader.processor, out)
    return figures | {"start": tuned.start, "best": tuned.best, "learned_parameters": learned}


def _classifier(reader: Reader, task: Task) -> Any:
    import torch
    from transformers import AutoModelForImageClassification

    torch.manual_seed(0)
    if not reader.model.reads:
        raise UsageError(f"{reader.name}: has the architecture 'vit', which reads no signal; give one with 'reader'")
    return AutoModelForImageClassification.from_pretrained(
        reader.source,
        dtype=torch.float32,
        id2label=dict(enumerate(task.labels)),
        label2id={label: index for index, label in enumerate(task.labels)},
        problem_type="multi_label_classification" if task.several else "single_label_classification",
    ).eval()


def _print(document: dict[str, Any], out: Path) -> None:
    parts = document["examples"]
    best, probe = document["best"], document.get("linear_probe_macro_auroc")
    before = f"linear probe {probe:.3f}" if probe is not None else f"before {document['start']['macro_auroc']:.3f}"
    console.out.print(
        f"{parts['train']['examples']} examples learned from, {parts['validation']['examples']} of other patients: "
        f"macro AUROC {best['macro_auroc']:.3f} ({before}), average precision {best['macro_auprc']:.3f}",
        markup=False,
    )
    left = ", ".join(f"{count} {reason}" for reason, count in document["left_out"].items())
    if left:
        console.out.print(f"left out: {left}", markup=False)
    console.out.print(f'checkpoint for pipeline("image-classification"): {out.as_posix()}', markup=False)
