"""What probes find in transformers that see the whole page, trained under one recipe, and in the tower that reads."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_model, save_model

from modeling_ecgscan.vit_ecgscan import ECGScanViTModel
from processing.findings import TASKS
from processing.records import Recording

from .alignment_targets import alignment_targets
from .arguments import UsageError
from .evaluate import LAYOUT, Split, can_tell, difference, figure, labelled
from .linear_probe import Probe, linear_probe
from .loading import Reader
from .representations import page_features, signal_features
from .tower_training import (
    Objective,
    tower_features,
    train_tower,
    untrained_tower,
    whole_pages,
)

CONDITION = "scan"
_VIEWS = 4  # pages of each recording
_PROBE_SEED, _SHARE_OF_SEEDS = 700_000, 100_000
OURS, RANDOM = "ours, read", "whole page, random weights"
NAMES = {
    "align": "whole page, aligned",
    "labels": "whole page, labels alone",
    "simclr": "whole page, SimCLR",
}
Track = Callable[..., Iterable[Any]]


@dataclass(frozen=True)
class Recipe:
    """What all towers of a comparison share.

    Attributes:
        objectives: some of `NAMES`, each a tower of its own.
        side: of the square, in pixels, into which a page is letterboxed.
        steps, batch_size, seed: of every training.
    """

    objectives: tuple[str, ...]
    side: int
    steps: int
    batch_size: int
    seed: int


def compare_towers(reader: Reader, splits: dict[str, Split], out: Path, recipe: Recipe, track: Track) -> dict[str, Any]:
    """Trains the towers that are not yet in `out`, and probes all of them and ours on the same test pages.

    Every probe is fitted on one page of each training recording, its strength chosen on validation; ours on what such
    a page prints, since its encoder is the signal's.
    """
    towers = {RANDOM: untrained_tower(reader.model.config, recipe.side, recipe.seed)}
    towers |= _trained(reader, splits["train"].recordings, out, recipe, track)
    features: dict[str, dict[str, np.ndarray]] = {name: {} for name in towers}
    for number, (split, data) in enumerate(splits.items()):
        drawn = whole_pages(data.recordings, recipe.side, _probe_seed(number), layout=LAYOUT, condition=CONDITION)
        shown = np.stack(list(track(drawn, total=len(data.recordings), description=f"pages to probe, {split}")))
        for name, tower in towers.items():
            features[name][split] = tower_features(tower, shown)
    features[OURS] = _our_features(reader, splits, track)
    losses = {name: json.loads((out / f"{name}.json").read_text())["losses"] for name in recipe.objectives}
    return {
        "losses": {name: _curve(values) for name, values in losses.items()},
        "probe": {task: _probes(splits, features, task) for task in TASKS},
    }


def _probe_seed(number: int) -> int:
    """Seed of the pages of a split, by its number."""
    return _PROBE_SEED + number * _SHARE_OF_SEEDS


def _trained(
    reader: Reader, recordings: list[Recording], out: Path, recipe: Recipe, track: Track
) -> dict[str, ECGScanViTModel]:
    """The tower of each objective, by its name in the table; those in `out` are not trained again."""
    towers, shown = {}, None
    settings = {**asdict(recipe), "objectives": None, "revision": reader.revision, "recordings": len(recordings)}
    for name in recipe.objectives:
        towers[NAMES[name]] = tower = untrained_tower(reader.model.config, recipe.side, recipe.seed)
        kept = out / f"{name}.safetensors"
        if kept.is_file():
            _refuse_another(out / f"{name}.json", settings)
            load_model(tower, kept)
            continue
        if shown is None:
            shown = _training_pages(recordings, recipe.side, recipe.seed, track)
            targets = alignment_targets(reader, recordings, _VIEWS, recipe.seed)
        objective = Objective(name, tower, reader.model.config, shown, targets)
        numbers = track(range(recipe.steps), description=NAMES[name])
        losses = train_tower(objective, numbers, recipe.steps, recipe.batch_size, recipe.seed)
        (out / f"{name}.json").write_text(json.dumps({"settings": settings, "losses": losses}) + "\n")
        save_model(tower, str(kept))
    return towers


def _refuse_another(note: Path, settings: dict[str, Any]) -> None:
    """Refuses a tower that was trained in another way than is asked for now."""
    found = json.loads(note.read_text())["settings"]
    if found != settings:
        raise UsageError(f"{note}: its tower was trained with {found}, asked for {settings}; give another --out")


def _training_pages(recordings: list[Recording], side: int, seed: int, track: Track) -> np.ndarray:
    """(recordings, views, side, side, 3) uint8 pages of all layouts and conditions."""
    shown = np.empty((len(recordings), _VIEWS, side, side, 3), np.uint8)
    for view in range(_VIEWS):
        drawn = whole_pages(recordings, side, (seed + 1) * _SHARE_OF_SEEDS + view * len(recordings))
        for row, page in enumerate(track(drawn, total=len(recordings), description=f"pages to train on, {view + 1}")):
            shown[row, view] = page
    return shown


def _our_features(reader: Reader, splits: dict[str, Split], track: Track) -> dict[str, np.ndarray]:
    """The reading tower's: of the test pages as it reads them; its probe sees what such pages print."""
    fitted = {
        name: signal_features(reader.model, reader.processor, splits[name].recordings, LAYOUT).pooled
        for name in ("train", "validation")
    }
    test = track(splits["test"].recordings, description="test pages, read")
    seed = _probe_seed(list(splits).index("test"))
    return fitted | {"test": page_features(reader, test, layout=LAYOUT, condition=CONDITION, seed=seed)[0].pooled}


def _curve(values: list[float], parts: int = 20) -> list[float]:
    """Mean loss of equal parts of a training."""
    return [float(part.mean()) for part in np.array_split(values, min(parts, len(values)))]


def _probes(splits: dict[str, Split], features: dict[str, dict[str, np.ndarray]], task: str) -> dict[str, Any]:
    """Macro AUROC on test by tower, and what ours is ahead of each; nothing where a split can't tell."""
    if not all(can_tell(split.truth(task)) for split in splits.values()):
        return {}
    test = splits["test"]
    truth, patients = test.truth(task), np.array(test.patients)
    told = truth.any(1)
    scores = {name: _fitted(splits, found, task).scores(found["test"])[told] for name, found in features.items()}
    table: dict[str, Any] = {name: figure(truth[told], score, patients[told]) for name, score in scores.items()}
    for name in features:
        if name != OURS:
            table[f"ours minus {name}"] = difference(truth[told], scores[OURS], scores[name], patients[told])
    return table


def _fitted(splits: dict[str, Split], found: dict[str, np.ndarray], task: str) -> Probe:
    train, validation = (labelled(splits[name], found[name], task) for name in ("train", "validation"))
    return linear_probe(train, validation).probe
