"""`ecgscan finetune`: a classifier of the user's own labels, from recordings or pages."""

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from . import console
from .arguments import UsageError
from .checkpoint import save_checkpoint
from .evaluate import cell
from .finetune_data import (
    SPLITS,
    Example,
    Gathered,
    Labelled,
    Readings,
    Task,
    gather,
    refuse_missing,
    split_examples,
    task_of,
)
from .loading import Reader, load_reader
from .patients import refuse_shared_patients
from .read import prepare_folder


@dataclass
class _Data:
    """What was found: the task, its examples by part, how many others were left out, and files that are unusable."""

    task: Task
    parts: dict[str, list[Example]]
    left_out: Counter[str]
    problems: int


def finetune_command(
    data: Path,
    out: Path,
    *,
    validation: Path | None,
    test: Path | None,
    method: str,
    labels: tuple[str, ...],
    epochs: int,
    rate: float | None,
    seed: int,
    checkpoint: str | None,
    num_processes: int = 1,
) -> int:
    """Fine-tunes and writes the checkpoint, the adapter and `finetune.json`; returns the exit code."""
    lacking = [name for name in ("peft", "evaluate") if find_spec(name) is None]
    if lacking:
        raise UsageError(f'{" and ".join(lacking)} not installed; pip install "ecgscan[finetune]"')
    prepare_folder(out)
    started = time.monotonic()
    reader = load_reader(checkpoint)
    readings = Readings(reader, out / "readings", num_processes)
    found = _find(readings, data, {"validation": validation, "test": test}, labels)
    document = _describe(reader, found) | {"method": method, "seed": seed}
    document |= _train(reader, found, out, method=method, epochs=epochs, rate=rate, seed=seed)
    document["seconds"] = round(time.monotonic() - started, 1)
    (out / "finetune.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    _print(document, out)
    return 2 if found.problems else 0


def _find(readings: Readings, data: Path, others: dict[str, Path | None], labels: tuple[str, ...]) -> _Data:
    """Examples of `data`, and of the places that are given for its validation and its test part."""
    for place in others.values():
        if place is not None:
            refuse_missing(place)  # before any page is read
    head = _head_of(readings.reader)
    own = SPLITS[:1] if others["validation"] else SPLITS[:2]
    gathered = [_gather(data, readings, lambda labelled: task_of(labelled, labels, head), own)]
    examples = gathered[0].examples
    task = task_of(examples, labels, head)
    parts = {"train": examples} if others["validation"] else dict(zip(own, split_examples(examples), strict=True))
    for name, place in others.items():
        if place is not None:
            gathered.append(_gather(place, readings, task.refuse_others, (name,)))
            parts[name] = gathered[-1].examples
            task.refuse_others(parts[name])
    refuse_shared_patients({name: [example.patient for example in part] for name, part in parts.items()})
    for name in list(parts)[1:]:
        _refuse_unmeasurable(task, name, parts[name])
    left_out = sum((found.left_out for found in gathered), Counter())
    return _Data(task, parts, left_out, sum(len(found.problems) for found in gathered))


def _gather(
    place: Path, readings: Readings, check: Callable[[Sequence[Labelled]], object], parts: Sequence[str]
) -> Gathered:
    """Examples of one place, of which there must be some; unusable files are told."""
    found = gather(place, readings, check, parts)
    for problem in found.problems:
        console.error_line(problem)
    if not found.examples:
        reasons = ", ".join(f"{count} {reason}" for reason, count in found.left_out.items())
        raise UsageError(
            f"{place}: no usable example ({reasons or 'it is empty'}); expected pages or signals with labels"
        )
    return found


def _head_of(reader: Reader) -> Task | None:
    """What the head of a checkpoint that was fine-tuned before tells."""
    config = reader.model.config
    if "ECGScanForImageClassification" not in (config.architectures or ()):
        return None
    labels = tuple(config.id2label[index] for index in sorted(config.id2label))
    return Task(labels, config.problem_type == "multi_label_classification")


def _refuse_unmeasurable(task: Task, name: str, examples: list[Example]) -> None:
    truth = task.truth(examples)
    if not (truth.any(0) & ~truth.all(0)).any():
        raise UsageError(
            f"no label has both positives and negatives among the {len(examples)} {name} examples; "
            "give more patients, or a column split"
        )


def _describe(reader: Reader, found: _Data) -> dict[str, Any]:
    return {
        "model": {"name": reader.name, "revision": reader.revision},
        "labels": list(found.task.labels),
        "several_labels_at_once": found.task.several,
        "examples": {
            name: {
                "examples": len(part),
                "of_pages": sum(example.is_page for example in part),
                "patients": len({example.patient for example in part}),
            }
            for name, part in found.parts.items()
        },
        "left_out": dict(found.left_out),
    }


def _train(
    reader: Reader, found: _Data, out: Path, *, method: str, epochs: int, rate: float | None, seed: int
) -> dict[str, Any]:
    """Probe, fine-tuning, saving and, at the end, the test; the figures of all."""
    from .finetune_training import Settings, compared, probabilities, probed, start_from_probe, tune

    model, task = _classifier(reader, found.task), found.task
    train, validation, test = (found.parts.get(name, []) for name in SPLITS)
    figures: dict[str, Any] = {}
    if _head_of(reader) is None:
        console.out.print(f"fitting a linear probe on {len(train)} examples ...", markup=False)
        probe, figures["linear_probe_macro_auroc"] = probed(model, task, train, validation)
        start_from_probe(model.classifier, probe)
    before = probabilities(model, task, test) if test else None
    console.out.print("fine-tuning ...", markup=False)
    tuned = tune(model, task, train, validation, Settings(method, epochs, rate, seed))
    learned = sum(part.numel() for part in tuned.model.parameters() if part.requires_grad)
    model = tuned.model
    if method == "lora":
        model.save_pretrained(out / "adapter")
        model = model.merge_and_unload()
    save_checkpoint(model, reader.processor, out)
    figures |= {"start": tuned.start, "best": tuned.best, "learned_parameters": learned}
    if before is not None:
        figures["test"] = compared(task, test, before, probabilities(model, task, test))
    return figures


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
    if "test" in document:
        console.out.print(_tested(document, "linear probe" if probe is not None else "before"), markup=False)
    left = ", ".join(f"{count} {reason}" for reason, count in document["left_out"].items())
    if left:
        console.out.print(f"left out: {left}", markup=False)
    console.out.print(f'checkpoint for pipeline("image-classification"): {out.as_posix()}', markup=False)


def _tested(document: dict[str, Any], start: str) -> str:
    before, after, gain = (document["test"][name] for name in ("before", "after", "after_minus_before"))
    return (
        f"{document['examples']['test']['examples']} of the test: macro AUROC {cell(after)}, {start} {cell(before)}, "
        f"difference {cell(gain)}"
    )
