"""What each part of the dual alignment gives: one projection per objective, trained under one recipe.

A tower that reads learns a projection alone when it is aligned: of the features of what a page prints, into the space
that the frozen signals and texts span. Here it starts at random, so all that it knows afterwards is its objective's.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modeling_ecgscan.aligning_ecgscan import alignment_losses
from modeling_ecgscan.losses_ecgscan import all_volumes
from modeling_ecgscan.outputs_ecgscan import ECGScanOutput

from .alignment_targets import AlignmentTargets, alignment_targets
from .evaluate import LAYOUT, Split, cell, difference, figure, superclass_prompts
from .loading import Reader
from .representations import signal_features, text_features
from .retrieval import distinct_texts, hubs, ranks, recalls
from .statistics import paired_bootstrap
from .training_loop import optimizer_for, rate_at

START, RECIPE, SHIPPED = "random start", "pairwise + volume", "checkpoint"
_RATE = 3e-3
_VIEWS = 4  # texts of each recording
Track = Callable[..., Iterable[Any]]


@dataclass(frozen=True)
class Objective:
    """Which of the losses count, and whether texts that are equal or also true are left out of the negatives."""

    losses: tuple[str, ...]
    leaves_out: bool = True


OBJECTIVES = {
    RECIPE: Objective(("image_signal", "image_text", "volume")),
    "pairwise": Objective(("image_signal", "image_text")),
    "volume": Objective(("volume",)),
    "all negatives kept": Objective(("image_signal", "image_text", "volume"), leaves_out=False),
    "no texts": Objective(("image_signal",)),
}


@dataclass(frozen=True)
class Recipe:
    """What all objectives share: `steps`, `batch_size` and the `seed` of start and order."""

    steps: int
    batch_size: int
    seed: int


@dataclass(frozen=True)
class HeldOut:
    """Recordings on which projections are measured.

    Attributes:
        printed: (recordings, width) features of what a page prints.
        signals, texts: (recordings, dim) and (distinct texts, dim) unit vectors; `own` the number of each one's text.
        prompts: (superclasses, dim); `truth` (recordings, superclasses) bool.
        patients: (recordings,) identifiers.
    """

    printed: np.ndarray
    signals: np.ndarray
    texts: np.ndarray
    own: np.ndarray
    prompts: np.ndarray
    truth: np.ndarray
    patients: np.ndarray


def compare_objectives(reader: Reader, splits: dict[str, Split], recipe: Recipe, track: Track) -> dict[str, Any]:
    """Figures on `test` by objective, of the start that all share and of the checkpoint's own projection.

    Every objective is trained twice, from a start and, `mirrored`, from that of opposite sign. What the volume alone
    trained comes out opposite too: its two shares `away` add up to 1.
    """
    model = reader.model
    printed = {}
    for name, split in splits.items():
        shown = track(split.recordings, description=f"what pages print, {name}")
        printed[name] = signal_features(model, reader.processor, shown, LAYOUT).pooled
    targets = alignment_targets(reader, splits["train"].recordings, _VIEWS, recipe.seed)
    test = _held_out(reader, splits["test"], printed["test"])
    features = torch.from_numpy(printed["train"])
    weights = {
        "image_signal": model.config.pairwise_weight,
        "image_text": model.config.pairwise_weight,
        "volume": model.config.volume_weight,
    }
    scale = model.logit_scale.detach().clamp(max=4.6052).exp()

    def images(name: str, mirrored: bool = False) -> np.ndarray:
        projection = start_of(features, targets, recipe.seed, mirrored=mirrored)
        numbers = track(range(recipe.steps), description=name)
        train_projection(projection, features, targets, OBJECTIVES[name], weights, scale, recipe, numbers)
        return embedded(projection, test.printed)

    found = {START: measure(embedded(start_of(features, targets, recipe.seed), test.printed), test)}
    recipes = images(RECIPE)
    for name in OBJECTIVES:
        own = recipes if name == RECIPE else images(name)
        found[name] = {**measure(own, test), "mirrored": measure(images(name, mirrored=True), test)}
        if name != RECIPE:
            found[name]["recipe_ahead"] = ahead(recipes, own, test)
    return found | {SHIPPED: measure(embedded(model.image_projection, test.printed), test)}


def _held_out(reader: Reader, test: Split, printed: np.ndarray) -> HeldOut:
    texts, own = distinct_texts(test.recordings)
    return HeldOut(
        printed,
        signal_features(reader.model, reader.processor, test.recordings).embedding,
        text_features(reader.model, reader.processor.tokenizer, texts),
        own,
        superclass_prompts(reader),
        test.truth("super"),
        np.array(test.patients),
    )


def start_of(features: Tensor, targets: AlignmentTargets, seed: int, *, mirrored: bool = False) -> nn.Linear:
    """A random projection of features (recordings, width) into the targets' space, or the one of opposite sign."""
    torch.manual_seed(seed)
    projection = nn.Linear(features.shape[1], targets.signals.shape[1], bias=False)
    if mirrored:
        with torch.no_grad():
            projection.weight.neg_()
    return projection


def train_projection(
    projection: nn.Linear,
    features: Tensor,
    targets: AlignmentTargets,
    objective: Objective,
    weights: dict[str, float],
    scale: Tensor,
    recipe: Recipe,
    numbers: Iterable[int],
) -> None:
    """Trains a projection of features (recordings, width) through the `numbers` of all steps.

    Args:
        weights: of the losses, by name.
        scale: inverse temperature; it stands still, as in stage `align`.
    """
    rng = np.random.default_rng(recipe.seed)
    optimizer = optimizer_for(projection, _RATE)
    size = min(recipe.batch_size, len(features))
    for step in numbers:
        rows = rng.choice(len(features), size, replace=False)
        views = rng.integers(targets.texts.shape[1], size=size)
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, recipe.steps, _RATE)
        output = ECGScanOutput(
            image_embeds=F.normalize(projection(features[rows]), dim=-1),
            signal_embeds=targets.signals[rows],
            text_embeds=targets.texts[rows, views],
            logit_scale=scale,
        )
        exclude = targets.false_negatives(rows, views) if objective.leaves_out else None
        losses = alignment_losses(output, exclude, 0.0)
        loss = sum((weights[name] * losses[name] for name in objective.losses), torch.zeros(()))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(projection.parameters(), 1.0)
        optimizer.step()


@torch.inference_mode()
def embedded(projection: nn.Linear, printed: np.ndarray) -> np.ndarray:
    """(recordings, dim) unit vectors of features (recordings, width)."""
    return F.normalize(projection(torch.from_numpy(printed)), dim=-1).numpy()


def measure(image: np.ndarray, test: HeldOut) -> dict[str, Any]:
    """What the vectors (recordings, dim) of recordings that were not trained on are like.

    `away` is the share of them that point away from their own signals.
    """
    pairs = (torch.from_numpy(part) for part in (test.signals, test.texts[test.own]))
    volumes = all_volumes(torch.from_numpy(image), *pairs).numpy()
    cosines, own = image @ test.signals.T, np.arange(len(image))
    cosine = cosines[own, own]
    return {
        "away": float((cosine < 0).mean()),
        "cosine": float(cosine.mean()),
        "signal, by cosine": recalls(cosines, own) | hubs(cosines),
        "signal, by volume": recalls(-volumes, own) | hubs(-volumes),
        "text": recalls(image @ test.texts.T, test.own),
        "prompts": figure(test.truth, image @ test.prompts.T, test.patients),
    }


def ahead(ours: np.ndarray, others: np.ndarray, test: HeldOut) -> dict[str, Any]:
    """By how much vectors are ahead of others of the same recordings, with the interval of the paired bootstrap."""
    rows = np.arange(len(ours))
    found: dict[str, Any] = {}
    for name, candidates, own, within in (
        ("signal_r_at_1", test.signals, rows, 1),
        ("text_r_at_5", test.texts, test.own, 5),
    ):
        hits = [ranks(image @ candidates.T, own) < within for image in (ours, others)]
        found[name] = asdict(paired_bootstrap(_mean_of(hits[0]), _mean_of(hits[1]), list(test.patients), repeats=300))
    scores = [image @ test.prompts.T for image in (ours, others)]
    return found | {"prompts": difference(test.truth, scores[0], scores[1], test.patients)}


def _mean_of(hits: np.ndarray) -> Callable[[np.ndarray], float]:
    return lambda rows: float(hits[rows].mean())


def tables(found: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """The figures of `compare_objectives` as tables, by title."""
    rows = {}
    for name, figures in found.items():
        rows[name] = figures
        if "mirrored" in figures:
            rows[f"{name}, mirrored"] = figures["mirrored"]
    return {
        "signs and words": {
            name: {
                "away": figures["away"],
                "cosine": figures["cosine"],
                "text R@1": figures["text"]["r_at_1"],
                "text R@5": figures["text"]["r_at_5"],
                "prompts": figures["prompts"]["auroc"],
            }
            for name, figures in rows.items()
        },
        **{
            f"page to {way}": {
                name: {key: figures[way][key] for key in ("r_at_1", "r_at_5", "largest_share", "skewness")}
                for name, figures in rows.items()
            }
            for way in ("signal, by cosine", "signal, by volume")
        },
        f"{RECIPE} ahead by": {
            name: {key: _with_interval(by) for key, by in figures["recipe_ahead"].items()}
            for name, figures in found.items()
            if "recipe_ahead" in figures
        },
    }


def _with_interval(by: dict[str, Any]) -> str:
    return cell({"difference": by.get("value", by.get("difference")), "low": by["low"], "high": by["high"]})
