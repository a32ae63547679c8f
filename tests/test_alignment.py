"""One projection per objective: what theory says must come out, and the table of the command."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hub_scripts.alignment_targets import AlignmentTargets
from hub_scripts.benchmark_alignment import (
    OBJECTIVES,
    HeldOut,
    Objective,
    Recipe,
    ahead,
    embedded,
    measure,
    start_of,
    train_projection,
)
from processing.triplets import prepare, simulated

ROWS, WIDTH, DIM = 24, 10, 6
WEIGHTS = {"image_signal": 1.0, "image_text": 1.0, "volume": 1.0}
SCALE = torch.tensor(10.0)


@pytest.fixture(scope="module")
def features() -> torch.Tensor:
    return torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def targets(features) -> AlignmentTargets:
    """Signals that a projection of the features gives, texts half-way between them and noise, three of them equal."""
    generator = torch.Generator().manual_seed(1)
    signals = F.normalize(features @ torch.randn(WIDTH, DIM, generator=generator), dim=-1)
    texts = F.normalize(signals + F.normalize(torch.randn(ROWS, DIM, generator=generator), dim=-1), dim=-1)
    ids = torch.arange(ROWS)
    ids[:3] = 0
    unknown = torch.zeros(ROWS, 1, dtype=torch.bool)
    return AlignmentTargets(signals, texts[ids][:, None], ids[:, None], unknown, unknown[:, None], unknown)


def held_out(features, targets) -> HeldOut:
    texts, own = np.unique(targets.text_ids[:, 0].numpy(), return_inverse=True)
    return HeldOut(
        features.numpy(),
        targets.signals.numpy(),
        targets.texts[texts, 0].numpy(),
        own,
        np.eye(2, DIM, dtype=np.float32),
        np.arange(2 * ROWS).reshape(ROWS, 2) % 3 == 0,
        np.arange(ROWS).astype(str),
    )


def trained(features, targets, objective: Objective, *, mirrored: bool = False, steps: int = 40) -> torch.nn.Linear:
    projection, recipe = start_of(features, targets, 0, mirrored=mirrored), Recipe(steps, batch_size=16, seed=0)
    train_projection(projection, features, targets, objective, WEIGHTS, SCALE, recipe, range(recipe.steps))
    return projection


def test_the_volume_alone_can_not_tell_an_image_from_its_opposite(features, targets):
    there, back = (trained(features, targets, OBJECTIVES["volume"], mirrored=mirrored) for mirrored in (False, True))
    assert torch.equal(there.weight, -back.weight)
    test = held_out(features, targets)
    one, other = (measure(embedded(projection, test.printed), test) for projection in (there, back))
    assert one["away"] == pytest.approx(1.0 - other["away"])
    assert one["cosine"] == pytest.approx(-other["cosine"])
    assert one["signal, by volume"] == other["signal, by volume"]


def test_with_pairwise_terms_both_starts_end_beside_their_own_signals(features, targets):
    for mirrored in (False, True):
        projection = trained(features, targets, OBJECTIVES["pairwise + volume"], mirrored=mirrored, steps=300)
        assert measure(embedded(projection, features.numpy()), held_out(features, targets))["cosine"] > 0.7


def test_a_signal_that_equals_its_text_attracts_every_page_by_volume_and_none_by_cosine(features, targets):
    hub = torch.zeros(DIM)
    hub[0] = 1.0
    # pages and their own signals around a circle that the hub stands upright on; their texts upright on all of them
    angle = torch.linspace(0.0, 3.0, ROWS - 1)
    circle = F.pad(torch.stack([torch.zeros_like(angle), angle.cos(), angle.sin()], dim=1), (0, DIM - 3))
    signals = F.normalize(circle + 0.1 * F.one_hot(torch.tensor(3), DIM), dim=-1)
    upright = F.one_hot(torch.full((ROWS - 1,), 4), DIM).float()
    pages, signals, texts = (torch.cat([hub[None], rows]).numpy() for rows in (circle, signals, upright))
    test = replace(held_out(features, targets), signals=signals, texts=texts, own=np.arange(ROWS))
    found = measure(pages, test)
    assert found["signal, by volume"]["largest_share"] == 1.0
    assert found["signal, by volume"]["r_at_1"] == pytest.approx(1 / ROWS)  # of the hub itself
    assert found["signal, by cosine"]["largest_share"] == pytest.approx(1 / ROWS)
    assert found["signal, by cosine"]["r_at_1"] == 1.0
    assert found["away"] == 0.0


def test_equal_texts_are_left_out_unless_an_objective_keeps_them(features, targets):
    kept = replace(OBJECTIVES["pairwise + volume"], leaves_out=False)
    assert OBJECTIVES["all negatives kept"] == kept
    with_equal = [trained(features, targets, objective).weight for objective in (OBJECTIVES["pairwise + volume"], kept)]
    assert not torch.equal(*with_equal)
    distinct = replace(targets, text_ids=torch.arange(ROWS)[:, None])
    without = [trained(features, distinct, objective).weight for objective in (OBJECTIVES["pairwise + volume"], kept)]
    assert torch.allclose(*without, atol=1e-5)


def test_signals_alone_do_not_heed_the_texts(features, targets):
    others = replace(targets, texts=targets.texts.flip(0))
    alone = [trained(features, data, OBJECTIVES["no texts"]).weight for data in (targets, others)]
    assert torch.equal(*alone)


def test_vectors_are_ahead_of_their_opposites_by_all_and_of_themselves_by_nothing(features, targets):
    test = held_out(features, targets)
    signals = test.signals
    found = ahead(signals, -signals, test)["signal_r_at_1"]
    assert (found["value"], found["low"], found["high"]) == (1.0, 1.0, 1.0)
    assert all(part[key] == 0.0 for part in ahead(signals, signals, test).values() for key in ("low", "high"))


def test_the_command_compares_all_objectives_with_their_start(ecgscan, tiny, tmp_path):
    options = []
    for seed, (name, count) in enumerate({"train": 12, "test": 8}.items()):
        recordings = (replace(found, patient_id=f"{name} {n}") for n, found in enumerate(simulated(count, seed)))
        prepare(recordings, tmp_path / name, split=name, shards=1)
        options += [f"--{name}", next((tmp_path / name).glob("*.parquet"))]
    options += ["--steps", 2, "--batch-size", 4, "--out", tmp_path, "--model", tiny]
    code, out, _ = ecgscan("benchmark", "alignment", *options)
    assert code == 0
    document = json.loads((tmp_path / "alignment.json").read_text())
    assert list(document["objectives"]) == ["random start", *OBJECTIVES, "checkpoint"]
    assert document["recordings"] == {"train": 12, "test": 8}
    volume = document["objectives"]["volume"]
    assert volume["away"] == pytest.approx(1.0 - volume["mirrored"]["away"])
    assert "no texts" in out
