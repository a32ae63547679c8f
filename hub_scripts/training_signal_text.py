"""Stage `signal-text`, the gold standard: signal and text towers trained together.

Where the image tower reads, it encodes what it read with the signal tower; so this stage aligns that too, on views of
the recordings as a reader gives them.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader

from processing.findings import finding_by_label
from processing.layouts import LAYOUTS
from processing.records import Recording, read_parquet
from processing.signal_changes import changed
from processing.signal_views import (
    SignalView,
    hidden_counts_more,
    isoelectric,
    printed_mask,
    read_view,
    training_view,
    without_wander,
)
from processing.simulator import RHYTHMS
from processing.triplets import SUPERCLASS_PHRASES, BatchStream, known_labels, label_text

from .statistics import auroc, macro
from .training_loop import AVERAGE, StageArguments, Task, run

_TEXT_LENGTH = 64
_REPORT_SHARE = 0.6
_HIDDEN_SHARE = 0.4  # of the views beside what was read of a page
_LEAST_POSITIVES = 20  # recordings from which a finding can be learned at all


def stage(model: Any, args: StageArguments, accelerator: Accelerator) -> None:
    """Contrast of signals and texts, and masked reconstruction of the signal."""
    findings = model.config.findings or common_findings(args.shards)
    if findings and not model.config.findings:
        model.set_findings(findings)
    model.requires_grad_(False)
    parts = [model.signal_model, model.signal_projection, model.text_model, model.text_projection]
    if findings:
        parts.append(model.findings_head)
    if model.reads:
        parts.append(model.image_projection)
    for part in parts:
        part.requires_grad_(True)
    model.logit_scale.requires_grad_(True)
    maker = SignalTextSamples(args.processor, known_labels(args.shards), model.config.findings, reads=model.reads)

    def batches(start: int) -> Iterable[dict[str, Tensor]]:
        stream = BatchStream(
            args.shards,
            maker.sample,
            maker.collate,
            args.batch_size,
            seed=args.seed,
            start=start,
            rank=accelerator.process_index,
            world=accelerator.num_processes,
        )
        return DataLoader(stream, batch_size=None, num_workers=args.num_workers)

    def losses(wrapped: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        batch = {name: value.to(accelerator.device) for name, value in batch.items()}
        output = wrapped(**batch, return_loss=True)
        return output.loss, output.losses

    validation = [recording for path in args.validation_shards for recording in read_parquet(path)]
    evaluate = (lambda module: evaluate_signal_text(module, args.processor, validation)) if validation else None
    run(model, Task(batches, losses, evaluate, max(1, args.steps // 3), AVERAGE), args, accelerator)


class SignalTextSamples:
    """Makes samples and batches of recordings: a random view of each, changed, a text, what both say, and, where the
    image tower reads, a view as if read off a page."""

    def __init__(self, processor: Any, labels: list[str], findings: list[str], *, reads: bool = False):
        self.extractor, self.tokenizer = processor.feature_extractor, processor.tokenizer
        self.findings, self.reads = findings, reads
        self.labels = {label: index for index, label in enumerate(labels)}

    def sample(self, recording: Recording, rng: np.random.Generator) -> dict[str, Any]:
        prepared = self.extractor(recording)
        values, mask = prepared["signal_values"][0], prepared["signal_mask"][0]
        if mask.all():
            values = changed(values, rng)
        # beside what was read of a page mostly the whole recording stands
        view = training_view(values, mask, rng, hide=not self.reads or rng.random() < _HIDDEN_SHARE)
        text, said = training_text(recording, rng)
        sample = {
            "signal_values": view.values,
            "signal_mask": view.mask,
            "signal_target": view.target,
            "signal_target_weight": view.weight,
            "text": text,
            "facts": self._flags(recording.labels),
            "text_facts": self._flags(said),
            "findings": findings_target(recording.labels, self.findings),
        }
        return {**sample, **_as_read(values, mask, view, rng)} if self.reads else sample

    def _flags(self, labels: Iterable[str]) -> np.ndarray:
        flags = np.zeros(max(1, len(self.labels)), bool)
        flags[[self.labels[label] for label in labels]] = True
        return flags

    def collate(self, samples: list[dict[str, Any]]) -> dict[str, Tensor]:
        batch = {
            name: torch.from_numpy(np.stack([sample[name] for sample in samples]))
            for name in samples[0]
            if name != "text"
        }
        return {**batch, **tokenized(self.tokenizer, [sample["text"] for sample in samples])}


def _as_read(values: np.ndarray, mask: np.ndarray, view: SignalView, rng: np.random.Generator) -> dict[str, Any]:
    """What a reader gives of a page of the recording, and how much each sample of the view's target counts for it."""
    if not mask.all():
        return {"read_values": view.values, "read_mask": view.mask}
    read, shown = read_view(values * np.float32(view.gain), rng)
    return {"read_values": read, "read_mask": shown, "signal_target_weight": hidden_counts_more(shown, mask)}


def findings_target(labels: Iterable[str], findings: list[str]) -> np.ndarray:
    """(findings,) 1 where a label says so, 0 where not, NaN where nobody looked."""
    said, superclass, statements = _said(labels)
    looked = [superclass if name in SUPERCLASS_PHRASES.values() else statements for name in findings]
    return np.array([name in said if known else np.nan for name, known in zip(findings, looked, strict=True)], "f4")


def common_findings(shards: Iterable[str], least: int = _LEAST_POSITIVES) -> list[str]:
    """What is said of at least so many recordings that were read for all findings, sorted."""
    import pyarrow.parquet as pq

    counts: Counter[str] = Counter()
    for path in shards:
        for labels in pq.read_table(path, columns=["labels"])["labels"].to_pylist():
            said, _, statements = _said(labels)
            if statements:
                counts.update(said)
    return sorted(name for name, count in counts.items() if count >= least)


def finding_name(label: str) -> str:
    """A label in plain clinical English where it is a known finding or superclass, else as it is."""
    finding = finding_by_label(label)
    return finding.name if finding else SUPERCLASS_PHRASES.get(label, label)


def _said(labels: Iterable[str]) -> tuple[set[str], bool, bool]:
    """What some labels say in English, and whether they tell all superclasses and all statements.

    An archive that gives a superclass lists all that was found; the simulator names superclasses and rhythm alone.
    """
    labels = set(labels)
    superclasses = labels & set(SUPERCLASS_PHRASES)
    rest = labels - superclasses - {rhythm.replace("_", " ") for rhythm in RHYTHMS}
    return {finding_name(label) for label in labels}, bool(superclasses), bool(superclasses and rest)


def tokenized(tokenizer: Any, texts: list[str]) -> dict[str, Tensor]:
    """`input_ids` and `attention_mask` (B, L) of some texts."""
    encoded = tokenizer(texts, padding=True, truncation=True, max_length=_TEXT_LENGTH, return_tensors="pt")
    return {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}


def training_text(recording: Recording, rng: np.random.Generator) -> tuple[str, list[str]]:
    """A text of a recording and the labels it is known to say: its report as recorded, or some of its labels."""
    text, said = label_text(recording.labels, rng)
    if recording.report and (not text or rng.random() < _REPORT_SHARE):
        return recording.report, []
    return text or "electrocardiogram", said


@torch.no_grad()
def evaluate_signal_text(model: Any, processor: Any, recordings: list[Recording]) -> dict[str, float]:
    """Figures on whole recordings and on what a 3x4+1 page shows of them.

    Returns:
        `auroc_full`, `auroc_page`: zero-shot macro AUROC of the superclasses; `findings_full`, `findings_page` and
        `superclasses_page`: macro AUROC of the findings head, where there is one, over all and over the superclasses;
        `recall5_page`: share of reports among the five nearest to their signal; `own_page`, where the image tower
        reads: share of pages to which their own recording, whole, is the nearest; `hidden_db`: signal-to-noise ratio of
        what the page does not show, mean over recordings of the ratio over all leads.
    """
    recordings = [recording for recording in recordings if np.isfinite(recording.signal).all()]
    prepared = processor.feature_extractor(recordings)
    values = torch.from_numpy(
        np.stack([isoelectric(without_wander(signal, 500.0)) for signal in prepared["signal_values"]])
    )
    page = torch.from_numpy(printed_mask(LAYOUTS["3x4+1"], values.shape[-1]))
    full, shown, hidden_db, read = [], [], [], []
    for part in values.split(32):
        weight = page.expand_as(part).float()
        full.append(model(signal_values=part, signal_mask=torch.ones_like(part)))
        shown.append(model(signal_values=part, signal_mask=weight))
        if model.reads:
            read.append(model(read_values=part, read_mask=weight).image_embeds)
        completed = model.signal_model.complete(part, weight)
        error = ((completed - part) ** 2)[:, ~page].mean(1)
        hidden_db.append(10 * torch.log10((part**2)[:, ~page].mean(1) / error))
    signals, pages = (torch.cat([output.signal_embeds for output in outputs]).numpy() for outputs in (full, shown))
    text = _text_features(model, processor, [recording.report or "electrocardiogram" for recording in recordings])
    names = list(SUPERCLASS_PHRASES)
    prompts = _text_features(model, processor, list(SUPERCLASS_PHRASES.values()))
    truth = np.array([[name in recording.labels for name in names] for recording in recordings])
    own = {"own_page": _own_nearest(torch.cat(read).numpy() @ signals.T)} if read else {}
    return {
        **own,
        "auroc_full": macro(auroc, truth, signals @ prompts.T).value,
        "auroc_page": macro(auroc, truth, pages @ prompts.T).value,
        **_findings_figures(model.config.findings, full, shown, recordings),
        "recall5_page": recall_at(pages @ text.T, [recording.report for recording in recordings], 5),
        "hidden_db": float(torch.cat(hidden_db).mean()),
    }


def _own_nearest(similarity: np.ndarray) -> float:
    """Share of rows whose own column is the most similar one."""
    return float(np.mean(similarity.argmax(1) == np.arange(len(similarity))))


def _findings_figures(
    findings: list[str], full: list[Any], shown: list[Any], recordings: list[Recording]
) -> dict[str, float]:
    """Macro AUROC of the findings head on the recordings that were read for all findings; nothing without a head."""
    if not findings:
        return {}
    truth = np.array([findings_target(recording.labels, findings) for recording in recordings])
    known = np.isfinite(truth).all(1)
    said = truth[known] == 1
    whole, page = (
        torch.cat([output.findings_logits for output in outputs]).numpy()[known] for outputs in (full, shown)
    )
    supers = [findings.index(phrase) for phrase in SUPERCLASS_PHRASES.values() if phrase in findings]
    return {
        "findings_full": macro(auroc, said, whole).value,
        "findings_page": macro(auroc, said, page).value,
        "superclasses_page": macro(auroc, said[:, supers], page[:, supers]).value,
    }


def _text_features(model: Any, processor: Any, texts: list[str]) -> np.ndarray:
    parts = [texts[start : start + 64] for start in range(0, len(texts), 64)]
    return torch.cat([model.get_text_features(**tokenized(processor.tokenizer, part)) for part in parts]).numpy()


def recall_at(similarity: np.ndarray, texts: list[str], count: int) -> float:
    """Share of rows whose own text, or one with the same words, is among the `count` most similar ones."""
    nearest = np.argsort(-similarity, axis=1)[:, :count].tolist()
    hits = [any(texts[column] == texts[row] for column in columns) for row, columns in enumerate(nearest)]
    return float(np.mean(hits))
