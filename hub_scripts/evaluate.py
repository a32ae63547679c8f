"""`ecgscan evaluate`: what the embeddings know, by probes, prompts and retrieval, with intervals over patients."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from processing.findings import TASKS, class_findings, finding_by_label, task_classes, task_targets
from processing.prepared import check
from processing.records import Recording
from processing.triplets import SUPERCLASS_PHRASES, labelled_parquet
from processing.wfdb_records import RecordError

from . import console
from .arguments import UsageError
from .evaluate_map import check_installed, draw_map
from .linear_probe import FRACTIONS, Labelled, probe_table
from .loading import Reader, load_reader
from .patients import refuse_shared_patients
from .read import prepare_folder
from .representations import Features, page_features, signal_features, text_features
from .retrieval import distinct_texts, recalls
from .statistics import auroc, bootstrap, macro, paired_bootstrap

LAYOUT = "3x4+1"
_REPEATS = 300
_LEAST_ROWS = 25  # recordings from which a probe is fitted
_NOT_FIGURES = ("classes", "recordings", "left_out")


@dataclass
class Split:
    """Recordings of one split and the features that were made of them, by representation."""

    recordings: list[Recording]
    features: dict[str, Features]

    @property
    def patients(self) -> list[str]:
        return [recording.patient_id for recording in self.recordings]

    def truth(self, task: str) -> np.ndarray:
        """(recordings, classes) bool."""
        return np.array([task_targets(recording.labels, task, skip_unknown=True) for recording in self.recordings])


def evaluate_command(
    splits: dict[str, list[Path]],
    out: Path,
    *,
    pages: int,
    conditions: tuple[str, ...],
    layout: str,
    seed: int,
    model: str | None,
    num_processes: int = 1,
) -> int:
    """Evaluates a checkpoint, writes `evaluation.json` and, of pages, `embeddings.png`; returns the exit code."""
    if pages:
        check_installed()
    prepare_folder(out)
    data = read_splits(splits)
    reader = load_reader(model)
    _featurise(reader, data, layout)
    test = data["test"]
    seen = evenly(len(test.recordings), pages)
    shown, unread = _pages(reader, [test.recordings[row] for row in seen], conditions, layout, seed, num_processes)
    document: dict[str, Any] = {
        "model": {"name": reader.name, "revision": reader.revision},
        "recordings": {name: len(split.recordings) for name, split in data.items()},
        "layout": layout,
        "conditions": conditions,
        "pages": len(seen),
        "pages_unread": unread,
        "seed": seed,
        "probe": {task: _probes(data, task, seen, shown) for task in TASKS},
        "prompts": _prompts(superclass_prompts(reader), test, seen, shown),
        "names": _prompts(superclass_names(reader), test, seen, shown),
    }
    if shown:
        document["retrieval"] = _retrieval(reader, test, seen, shown)
    (out / "evaluation.json").write_text(json.dumps(document, indent=1) + "\n")
    if shown:
        draw_map(
            out / "embeddings.png",
            test.features["signal, 10 s"].embedding,
            test.truth("super"),
            list(task_classes("super")),
            pages={name: page.embedding for name, page in shown.items()},
            seen=seen,
            seed=seed,
        )
    _print(document)
    return 0


def evenly(rows: int, count: int) -> np.ndarray:
    """Numbers of at most `count` of some rows, evenly spread."""
    return np.unique(np.linspace(0, rows - 1, min(count, rows)).round().astype(int))


def _pages(
    reader: Reader,
    recordings: list[Recording],
    conditions: tuple[str, ...],
    layout: str,
    seed: int,
    num_processes: int,
) -> tuple[dict[str, Features], dict[str, int]]:
    """Features of the rendered pages of the same recordings in each condition, and how many showed no ECG, by name."""
    shown, unread = {}, {}
    for condition in conditions if recordings else ():
        name = "image" if len(conditions) == 1 else f"image, {condition}"
        console.out.print(f"reading {len(recordings)} rendered pages ({condition}) ...", markup=False)
        shown[name], unread[name] = page_features(
            reader, recordings, layout=layout, condition=condition, seed=seed, num_processes=num_processes
        )
    return shown, unread


def read_splits(splits: dict[str, list[Path]]) -> dict[str, Split]:
    """Recordings of splits by name, without features yet; no patient stands in two of them."""
    read = {
        name: Split([recording for path in paths for recording in _read(path)], {}) for name, paths in splits.items()
    }
    refuse_shared_patients({name: split.patients for name, split in read.items()})
    return read


def _read(path: Path) -> list[Recording]:
    """Recordings of a labelled Parquet file that can be right and are known throughout; how many others are said."""
    if not path.is_file():
        raise UsageError(f"{path}: no Parquet file of recordings")
    recordings, left_out = [], Counter[str]()
    for recording in labelled_parquet(path):
        try:
            check(recording)
            if not np.isfinite(recording.signal).all():
                raise RecordError("leads missing or unknown in part", recording.record_id)
        except RecordError as error:
            left_out[error.reason] += 1
            continue
        recordings.append(recording)
    if left_out:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in left_out.items())
        console.out.print(f"{path}: {left_out.total()} recordings left out: {reasons}", markup=False)
    if not any(finding_by_label(label) for recording in recordings for label in recording.labels):
        raise UsageError(f"{path}: no recording has a known label; expected SCP-ECG codes in the column scp_codes")
    return recordings


def _featurise(reader: Reader, splits: dict[str, Split], layout: str) -> None:
    """The signal tower's features of all splits, and those of the same tower with random weights."""
    import torch

    torch.manual_seed(0)
    untrained = type(reader.model)(reader.model.config).eval()
    wanted = (
        ("signal, 10 s", reader.model, None),
        ("signal, printed", reader.model, layout),
        ("random weights, printed", untrained, layout),
    )
    with console.progress_bar("features") as progress:
        for name, model, shown in wanted:
            for split in splits.values():
                recordings = progress.track(split.recordings, description=name)
                split.features[name] = signal_features(model, reader.processor, recordings, shown)


def _probes(splits: dict[str, Split], task: str, seen: np.ndarray, pages: dict[str, Features]) -> dict[str, Any]:
    """Macro AUROC on test by representation and share of the labels.

    The image tower is probed with the regression that was fitted on what pages print, as it is the same encoder.
    """
    train, validation, test = (splits[name] for name in ("train", "validation", "test"))
    truth, patients = test.truth(task), np.array(test.patients)
    told = truth.any(1)
    found: dict[str, Any] = {"classes": list(task_classes(task)), "recordings": int(told.sum())}
    lacking = [name for name, split in splits.items() if not can_tell(split.truth(task))]
    if lacking:
        return found | {"left_out": f"no class has positives and negatives in {' and '.join(lacking)}"}
    for name in test.features:
        data = labelled(train, train.features[name].pooled, task)
        fractions = tuple(part for part in FRACTIONS if part == 1 or part * len(data.truth) >= _LEAST_ROWS)
        table = probe_table(data, labelled(validation, validation.features[name].pooled, task), fractions=fractions)
        figures: dict[str, Any] = {}
        for result in table:
            score = result.probe.scores(test.features[name].pooled)
            on_test = figure(truth[told], score[told], patients[told])
            figures.setdefault(f"{result.fraction:g}", []).append({"seed": result.seed, **on_test})
        found[name] = figures
        if name != "signal, printed":
            continue
        rows = np.asarray(told)[seen]
        of_page = truth[seen][rows], patients[seen][rows]
        for image, page in pages.items():
            on_page = result.probe.scores(page.pooled)[rows]
            found[image] = {"1": [{"seed": 0, **figure(of_page[0], on_page, of_page[1])}]}
            found[f"{image} minus {name}"] = difference(of_page[0], on_page, score[seen][rows], of_page[1])
    return found


def can_tell(truth: np.ndarray) -> bool:
    """Whether any class of (rows, classes) has positives and negatives among the rows that have a class at all."""
    truth = truth[truth.any(1)]
    return bool((truth.any(0) & ~truth.all(0)).any()) if len(truth) else False


def labelled(split: Split, pooled: np.ndarray, task: str) -> Labelled:
    """Features (recordings, width) and classes of the recordings of a split that have any class of a task."""
    truth = split.truth(task)
    told = truth.any(1)
    return Labelled(pooled[told], truth[told])


def figure(truth: np.ndarray, score: np.ndarray, patients: np.ndarray) -> dict[str, float | None]:
    """Macro AUROC of (rows, classes) scores with its interval over patients; None where there is none."""
    interval = bootstrap(lambda rows: macro(auroc, truth[rows], score[rows]).value, list(patients), repeats=_REPEATS)
    return {"auroc": _known(interval.value), "low": _known(interval.low), "high": _known(interval.high)}


def difference(truth: np.ndarray, a: np.ndarray, b: np.ndarray, patients: np.ndarray) -> dict[str, float | None]:
    """Macro AUROC of scores `a` minus that of `b` on the same rows, with the interval of the paired bootstrap."""
    found = paired_bootstrap(
        lambda rows: macro(auroc, truth[rows], a[rows]).value,
        lambda rows: macro(auroc, truth[rows], b[rows]).value,
        list(patients),
        repeats=_REPEATS,
    )
    return {"difference": _known(found.value), "low": _known(found.low), "high": _known(found.high), "p": found.p}


def _known(value: float) -> float | None:
    """JSON has no NaN."""
    return None if np.isnan(value) else value


def superclass_names(reader: Reader) -> np.ndarray:
    """(superclasses, projection_dim) the embeddings of their names, which training texts may have held."""
    return text_features(reader.model, reader.processor.tokenizer, list(SUPERCLASS_PHRASES.values()))


def superclass_prompts(reader: Reader) -> np.ndarray:
    """(superclasses, projection_dim) the mean embedding of every wording of every member of each."""
    members = class_findings("super")
    return np.stack(
        [
            text_features(
                reader.model,
                reader.processor.tokenizer,
                [SUPERCLASS_PHRASES[name], *(phrase for finding in members[name] for phrase in finding.phrases)],
            ).mean(0)
            for name in members
        ]
    )


def _prompts(prompts: np.ndarray, test: Split, seen: np.ndarray, pages: dict[str, Features]) -> dict[str, Any]:
    """Macro AUROC of the superclasses by prompts (superclasses, projection_dim)."""
    truth, patients = test.truth("super"), np.array(test.patients)
    found = {
        name: figure(truth, test.features[name].embedding @ prompts.T, patients)
        for name in ("signal, 10 s", "signal, printed")
    }
    for name, page in pages.items():
        found[name] = figure(truth[seen], page.embedding @ prompts.T, patients[seen])
    return found


def _retrieval(reader: Reader, test: Split, seen: np.ndarray, pages: dict[str, Features]) -> dict[str, Any]:
    """Whether a page finds its own recording, whole, among all of test, and its own text among their distinct ones."""
    texts, own = distinct_texts(test.recordings)
    words = text_features(reader.model, reader.processor.tokenizer, texts)
    signals = test.features["signal, 10 s"].embedding
    return {
        name: {
            "recording": recalls(page.embedding @ signals.T, seen),
            "text": recalls(page.embedding @ words.T, own[seen]),
        }
        for name, page in pages.items()
    }


def representations(document: dict[str, Any]) -> list[str]:
    """Names of all that was probed in any task of an `evaluation.json`."""
    tasks = document["probe"].values()
    return list(dict.fromkeys(name for task in tasks for name in task if name not in _NOT_FIGURES))


def cell(found: dict[str, Any] | None) -> str:
    """A figure with its interval, as tables show it."""
    if found is None:
        return "left out"
    figure = found["1"][0] if "1" in found else found
    value = figure.get("auroc", figure.get("difference"))
    return "unknown" if value is None else f"{value:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"


def _print(document: dict[str, Any]) -> None:
    table = Table("linear probe, macro AUROC", *TASKS)
    for name in representations(document):
        table.add_row(name, *(cell(document["probe"][task].get(name)) for task in TASKS))
    console.out.print(table)
    for task in TASKS:
        if "left_out" in document["probe"][task]:
            console.out.print(f"{task} left out: {document['probe'][task]['left_out']}", markup=False)
    for what in ("prompts", "names"):
        found = ", ".join(f"{name} {cell(figure)}" for name, figure in document[what].items())
        console.out.print(f"superclasses by {what}: {found}", markup=False)
    for name, found in document.get("retrieval", {}).items():
        for what, figures in found.items():
            console.out.print(
                f"{name} to {what} among {figures['among']}: R@1 {figures['r_at_1']:.2f}, R@5 {figures['r_at_5']:.2f}",
                markup=False,
            )
