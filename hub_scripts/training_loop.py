"""The loop that all training stages share: steps, logging, checkpoints, resume."""

import json
import math
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, set_seed
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from .arguments import UsageError
from .checkpoint import replace_folder
from .shared_batch_norm import share_batch_norm

_SYNC_STEPS = 10
AVERAGE = 0.998  # of the weights over steps, what the mean so far keeps at each


@dataclass
class StageArguments:
    """What a stage is given.

    Attributes:
        name: of the stage.
        output: folder of the run; the stage keeps its state in `<output>/<name>`.
        shards, validation_shards: prepared Parquet files.
        steps: of the whole stage.
        batch_size: rows per process.
        learning_rate: at its height.
        seed: of order, augmentation and dropout.
        num_workers: processes that make samples, for each training process.
        checkpoint_minutes: between two saved states.
        resume: goes on from the saved state of the stage where there is one.
        processor: tokenizer, image processor and feature extractor of the model.
        options: further options of single stages, by name.
    """

    name: str
    output: Path
    shards: list[str]
    validation_shards: list[str]
    steps: int
    batch_size: int
    learning_rate: float
    processor: Any
    seed: int = 0
    num_workers: int = 0
    checkpoint_minutes: float = 5.0
    resume: bool = False
    options: dict[str, Any] | None = None

    @property
    def folder(self) -> Path:
        return self.output / self.name


@dataclass
class Task:
    """One stage's own part of the loop.

    Attributes:
        batches: batches from a given step on, endless.
        losses: total loss and single losses by name of one batch.
        evaluate: figures on the validation set, by name.
        evaluate_every: steps between evaluations.
        average: of the weights over steps, what the mean so far keeps at each; None takes the last weights.
    """

    batches: Callable[[int], Iterable[Any]]
    losses: Callable[[nn.Module, Any], tuple[Tensor, dict[str, Tensor]]]
    evaluate: Callable[[nn.Module], dict[str, float]] | None = None
    evaluate_every: int = 500
    average: float | None = None


def rate_at(step: int, steps: int, peak: float, warm_up: float = 0.05) -> float:
    """Learning rate: a linear rise over the first part, then half a cosine down to a hundredth of the peak."""
    rise = max(1, int(steps * warm_up))
    if step < rise:
        return peak * (step + 1) / rise
    progress = (step - rise) / max(1, steps - rise)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def optimizer_for(model: nn.Module, learning_rate: float, weight_decay: float = 0.05) -> torch.optim.AdamW:
    """AdamW over the parameters that want a gradient; only matrices decay."""
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in wanted if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in wanted if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=learning_rate, betas=(0.9, 0.98))


def run(model: nn.Module, task: Task, args: StageArguments, accelerator: Accelerator) -> None:
    """Trains until `args.steps`, saving the state every few minutes.

    The figures of every step go to `<stage>/losses.jsonl` and to the trackers of the accelerator.
    """
    from tqdm.auto import tqdm

    # Each process draws its own dropout.
    set_seed(args.seed, device_specific=True)
    if accelerator.num_processes > 1:
        share_batch_norm(model)
    module, optimizer = model, optimizer_for(model, args.learning_rate)
    averaged = _averaged(module, task.average).to(accelerator.device) if task.average else None
    model, optimizer = accelerator.prepare(model, optimizer)
    if averaged:
        accelerator.register_for_checkpointing(averaged)
    start = load_state(accelerator, args) if args.resume else 0
    log = _LossLog(args.folder / "losses.jsonl", start) if accelerator.is_main_process else None
    bar = tqdm(
        total=args.steps, initial=start, desc=args.name, disable=not accelerator.is_main_process, mininterval=1.0
    )
    module.train()
    saved = time.monotonic()
    if start < args.steps:
        with torch.random.fork_rng(devices=[]):  # a loader that starts draws a number, which a resume must not notice
            batches = iter(task.batches(start))
        for step, batch in zip(range(start, args.steps), batches, strict=False):
            figures = _step(model, optimizer, task, batch, rate_at(step, args.steps, args.learning_rate), accelerator)
            if averaged:
                averaged.update_parameters(module)
            if task.evaluate and ((step + 1) % task.evaluate_every == 0 or step + 1 == args.steps):
                module.eval()
                with accelerator.autocast():
                    figures |= {f"validation_{name}": value for name, value in task.evaluate(module).items()}
                module.train()
            if log:
                log.write(step, figures)
                bar.update()
                bar.set_postfix_str(" ".join(f"{name} {value:.3g}" for name, value in list(figures.items())[:4]))
            accelerator.log({f"{args.name}/{name}": value for name, value in figures.items()}, step=step)
            if _agreed(step, saved, args.checkpoint_minutes, accelerator):
                save_state(accelerator, args, step + 1)
                saved = time.monotonic()
    save_state(accelerator, args, max(start, args.steps))
    bar.close()
    # Takes the mixed-precision wrapper off the module again and forgets it, for the stages that follow.
    accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    accelerator.free_memory(model, optimizer)
    if averaged:
        module.load_state_dict(averaged.module.state_dict())
    module.eval()


def _averaged(module: nn.Module, share: float) -> AveragedModel:
    """Mean of weights and of the normalisations' statistics; of the first steps a plain one."""

    @torch.no_grad()
    def update(means: Any, values: Any, count: Tensor | int) -> None:
        kept = min(share, float(count) / (1.0 + float(count)))
        for mean, value in zip(means, values, strict=True):
            mean.lerp_(value, 1.0 - kept) if mean.is_floating_point() else mean.copy_(value)

    return AveragedModel(module, multi_avg_fn=update, use_buffers=True)


def _step(
    model: nn.Module, optimizer: Any, task: Task, batch: Any, rate: float, accelerator: Accelerator
) -> dict[str, float]:
    for group in optimizer.param_groups:
        group["lr"] = rate
    with accelerator.autocast():
        loss, losses = task.losses(model, batch)
    # The mean over processes: what is logged, and what all of them stop for together.
    values = accelerator.reduce(torch.stack([loss, *losses.values()]).detach().float(), reduction="mean").tolist()
    if not math.isfinite(values[0]):
        raise FloatingPointError(
            f"the loss became {values[0]}; go on from the last saved state with --resume and a lower learning rate"
        )
    accelerator.backward(loss)
    accelerator.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return dict(zip(("loss", *losses), values, strict=True))


def _agreed(step: int, saved: float, minutes: float, accelerator: Accelerator) -> bool:
    """Whether to save now: the main process's clock decides for all."""
    due = time.monotonic() - saved > 60 * minutes
    if accelerator.num_processes == 1:
        return due
    if (step + 1) % _SYNC_STEPS:
        return False
    decision = [due]
    broadcast_object_list(decision)
    return decision[0]


def save_state(accelerator: Accelerator, args: StageArguments, step: int) -> None:
    """Saves everything a resume needs; the previous state is replaced only once the new one is complete."""
    new = args.folder / "state.new"
    if accelerator.is_main_process:
        shutil.rmtree(new, ignore_errors=True)
        args.folder.mkdir(parents=True, exist_ok=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(new))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        (new / "loop.json").write_text(json.dumps({"step": step, "seed": args.seed, "steps": args.steps}))
        replace_folder(new, args.folder / "state")
    accelerator.wait_for_everyone()


def load_state(accelerator: Accelerator, args: StageArguments) -> int:
    """Restores the last complete state; the step to go on with, 0 where there is none."""
    for name in ("state", "state.old"):
        note = args.folder / name / "loop.json"
        if note.exists():
            settings = json.loads(note.read_text())
            given = {"seed": args.seed, "steps": args.steps}
            if any(settings[key] != value for key, value in given.items()):
                raise UsageError(
                    f"the saved state in {note.parent} was made with {settings}, got {given}: resume alike"
                )
            accelerator.load_state(str(note.parent))
            accelerator.wait_for_everyone()
            return int(settings["step"])
    return 0


class _LossLog:
    """One JSON line per step; lines after the step of a resume are dropped."""

    def __init__(self, path: Path, start: int):
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = path.read_text().splitlines()[:start] if path.exists() and start else []
        self.file = path.open("w")
        for line in kept:
            self.file.write(line + "\n")

    def write(self, step: int, figures: dict[str, float]) -> None:
        self.file.write(json.dumps({"step": step, **figures}) + "\n")
        self.file.flush()
