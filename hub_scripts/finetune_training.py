"""Fine-tuning of the signal encoder and a head on what was read, with PEFT and the Trainer of transformers."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import evaluate
import numpy as np
import peft
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import (
    EarlyStoppingCallback,
    EvalPrediction,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from processing.layouts import LAYOUTS
from processing.signal_views import isoelectric, printed_mask, training_view, without_wander

from . import console
from .evaluate import LAYOUT, difference, figure
from .finetune_data import Example, Task
from .linear_probe import Labelled, Probe, linear_probe

METHODS = ("lora", "head", "full")
_METRICS = ("macro_auroc", "macro_auprc")
_RATES = {"lora": 5e-4, "head": 3e-4, "full": 1e-4}
_ADAPTED = (
    r".*\.signal_model\.(scales\.\d+\.\d+\.conv[12]|scales\.[1-9]\d*\.0|pool|"
    r"layers\.\d+\.(up|down|attention\.(q_proj|k_proj|v_proj|out_proj)))"
)
_PATIENCE = 2  # epochs without a better figure on validation before it stops
_BATCH = 32


@dataclass(frozen=True)
class Settings:
    """How to fine-tune: `method` is one of `METHODS`; `rate` None takes the method's own."""

    method: str
    epochs: int
    rate: float | None
    seed: int


@dataclass
class Tuned:
    """The tuned model (a `PeftModel` for `lora`), and figures on validation: those of the start, and the best."""

    model: Any
    start: dict[str, float]
    best: dict[str, float]
    epochs: float


class Views(Dataset):
    """Examples as a page shows them: at random, with small errors, for training; else of one layout, as they are."""

    def __init__(self, examples: list[Example], task: Task, training: bool):
        self.examples, self.task, self.training = examples, task, training

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        example = self.examples[index]
        values, mask = example.signal()
        if self.training:
            rng = np.random.default_rng(int(torch.randint(2**31, ())))
            view = training_view(values, mask, rng, hide=not example.is_page)
            values, mask = view.values, view.mask
        elif not example.is_page:
            values = isoelectric(without_wander(values, 500.0)) if mask.all() else values
            mask = mask & printed_mask(LAYOUTS[LAYOUT], values.shape[1])
        return {
            "signal_values": torch.from_numpy(values),
            "signal_mask": torch.from_numpy(mask),
            "labels": torch.as_tensor(self.task.target(example)),
        }


@torch.inference_mode()
def probed(model: Any, task: Task, train: list[Example], validation: list[Example]) -> tuple[Probe, float]:
    """The linear probe on the features of the encoder as it is, and its macro AUROC on validation."""
    found = []
    for examples in (train, validation):
        loader = torch.utils.data.DataLoader(Views(examples, task, training=False), batch_size=_BATCH)
        with console.progress_bar("features") as progress:
            features = [
                model.ecgscan.signal_features(batch["signal_values"], batch["signal_mask"]).numpy()
                for batch in progress.track(loader, description="features")
            ]
        found.append(Labelled(np.concatenate(features), task.truth(examples)))
    result = linear_probe(*found)
    return result.probe, result.validation_auroc


@torch.inference_mode()
def probabilities(model: Any, task: Task, examples: list[Example]) -> np.ndarray:
    """(examples, labels) as the model tells them."""
    loader = torch.utils.data.DataLoader(Views(examples, task, training=False), batch_size=_BATCH)
    logits = []
    for batch in loader:
        given = {name: batch[name].to(model.device) for name in ("signal_values", "signal_mask")}
        logits.append(model(**given).logits.cpu())
    return _probabilities(torch.cat(logits), task).numpy()


def _probabilities(logits: Tensor, task: Task) -> Tensor:
    return logits.double().sigmoid() if task.several else logits.double().softmax(-1)


def compared(task: Task, examples: list[Example], before: np.ndarray, after: np.ndarray) -> dict[str, Any]:
    """Macro AUROC of two models' probabilities on the same examples, and their difference, with intervals."""
    truth, patients = task.truth(examples), np.array([example.patient for example in examples])
    return {
        "before": figure(truth, before, patients),
        "after": figure(truth, after, patients),
        "after_minus_before": difference(truth, after, before, patients),
    }


@torch.no_grad()
def start_from_probe(classifier: nn.Linear, probe: Probe) -> None:
    """The head of the model becomes the probe."""
    weights = probe.weights[:, :-1] / probe.scale
    classifier.weight.copy_(torch.from_numpy(weights))
    classifier.bias.copy_(torch.from_numpy(probe.weights[:, -1] - weights @ probe.mean))


def adapted(model: Any, method: str) -> Any:
    """The model with what `method` trains set to learn, everything else frozen."""
    model.requires_grad_(False)
    if method == "lora":
        config = peft.LoraConfig(r=8, lora_alpha=16, target_modules=_ADAPTED, modules_to_save=["classifier"])
        return peft.get_peft_model(model, config)
    model.classifier.requires_grad_(True)
    if method == "full":
        tower = model.ecgscan.signal_model
        tower.positions.requires_grad_(True)
        for part in (tower.stem, tower.scales, tower.layers, tower.pool):
            part.requires_grad_(True)
    return model


class EpochLines(TrainerCallback):
    """One line for each look at validation, instead of the Trainer's dictionaries."""

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **found: Any) -> None:
        row = _named(found["metrics"])
        console.out.print(
            f"epoch {state.epoch or 0:.0f}: validation macro AUROC {row['macro_auroc']:.4f}, loss {row['loss']:.4f}",
            markup=False,
        )


def figures(task: Task) -> Any:
    """What the Trainer computes on validation: macro AUROC and average precision, by our modules of `evaluate`."""
    folder = Path(__file__).parent / "metrics"
    metrics = {name: evaluate.load(str(folder / name)) for name in _METRICS}

    def compute(found: EvalPrediction) -> dict[str, float]:
        scores = _probabilities(torch.from_numpy(np.asarray(found.predictions)), task)
        truth = np.asarray(found.label_ids)
        truth = truth if task.several else np.eye(len(task.labels))[truth]
        given = {"predictions": scores.tolist(), "references": truth.astype(int).tolist()}
        return {name: metric.compute(**given)[name] for name, metric in metrics.items()}

    return compute


def tune(model: Any, task: Task, train: list[Example], validation: list[Example], settings: Settings) -> Tuned:
    """Trains until validation stops getting better, and returns the best of all epochs, the start among them."""
    model = adapted(model, settings.method)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model,
            _arguments(folder, settings),
            train_dataset=Views(train, task, training=True),
            eval_dataset=Views(validation, task, training=False),
            compute_metrics=figures(task),
            callbacks=[EarlyStoppingCallback(_PATIENCE), EpochLines()],
        )
        trainer.remove_callback(PrinterCallback)
        before = _named(trainer.evaluate())
        trainer.train()
        rows = [_named(row) for row in trainer.state.log_history if "eval_macro_auroc" in row]
    best = max(rows, key=lambda row: row["macro_auroc"])
    if best["macro_auroc"] <= before["macro_auroc"]:
        model.load_state_dict(start)
        best = before
    return Tuned(model.eval(), before, best, best.get("epoch", 0.0))


def _arguments(folder: str, settings: Settings) -> TrainingArguments:
    return TrainingArguments(
        output_dir=folder,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=_BATCH,
        per_device_eval_batch_size=_BATCH,
        learning_rate=settings.rate or _RATES[settings.method],
        lr_scheduler_type="cosine",
        warmup_steps=0.1,
        weight_decay=0.05,
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="macro_auroc",
        save_total_limit=1,
        label_names=["labels"],
        remove_unused_columns=False,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        disable_tqdm=not console.err.is_terminal,
        report_to="none",
        seed=settings.seed,
    )


def _named(row: dict[str, float]) -> dict[str, float]:
    """Figures of the Trainer under their own names."""
    names = {"loss": "eval_loss", "epoch": "epoch", **{name: f"eval_{name}" for name in _METRICS}}
    return {name: float(row[key]) for name, key in names.items() if row.get(key) is not None}
