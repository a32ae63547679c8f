"""Image towers under one recipe: their losses, their pages, and the table that sets ours beside them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from hub_scripts.tower_training import changed, simclr_loss, whole_pages
from processing.simulator import simulate
from processing.triplets import prepare, simulated


def test_views_of_one_page_that_agree_and_of_others_that_do_not_leave_the_least_simclr_loss():
    vectors = torch.eye(4)
    together = simclr_loss(torch.cat([vectors, vectors]), temperature=0.5)
    # one partner at similarity 1, six others at 0
    assert together.item() == pytest.approx(np.log(np.exp(2) + 6) - 2, abs=1e-5)
    assert simclr_loss(torch.cat([vectors, vectors.roll(1, 0)]), temperature=0.5) > together + 1.0


def test_a_changed_page_stays_the_same_page_on_white_paper():
    page = torch.full((3, 3, 64, 64), 255, dtype=torch.uint8)
    page[:, :, 24:40, 24:40] = 0
    moved = changed(page, torch.Generator().manual_seed(0), 0.1)
    assert moved.shape == page.shape
    assert ((moved >= 0) & (moved <= 255)).all()
    assert (moved[:, :, 32, 32] < 100).all()
    assert (moved[:, :, 0, 0] > 180).all()


def test_a_page_is_letterboxed_whole_and_the_same_seed_draws_it_again():
    recordings = [simulate(1), simulate(2)]
    pages = np.stack(list(whole_pages(recordings, 96, 7, layout="3x4+1", condition="clean")))
    assert pages.shape == (2, 96, 96, 3)
    assert (pages[:, -1] == 255).all()  # landscape pages leave the lower part of the square white
    assert (pages == np.stack(list(whole_pages(recordings, 96, 7, layout="3x4+1", condition="clean")))).all()


def test_a_tower_of_each_kind_is_trained_probed_and_kept(ecgscan, tiny, tmp_path):
    files = {}
    for seed, (name, count) in enumerate({"train": 24, "validation": 16, "test": 16}.items()):
        recordings = (replace(found, patient_id=f"{name} {n}") for n, found in enumerate(simulated(count, seed)))
        prepare(recordings, tmp_path / name, split=name, shards=1)
        files[name] = next((tmp_path / name).glob("*.parquet"))
    options = [text for name, path in files.items() for text in (f"--{name}", path)]
    options += ["--out", tmp_path / "out", "--pages", 4, "--side", 32, "--steps", 2, "--batch-size", 4]
    code, _, _ = ecgscan("benchmark", "towers", *options, "--objectives", "align,labels", "--model", tiny)
    assert code == 0
    kept = {name: (tmp_path / "out" / f"{name}.safetensors").stat().st_mtime_ns for name in ("align", "labels")}
    assert ecgscan("benchmark", "towers", *options, "--model", tiny)[0] == 0
    found = json.loads((tmp_path / "out" / "towers.json").read_text())
    assert found["recordings"]["test"] == 4
    assert {name: len(losses) for name, losses in found["losses"].items()} == {"align": 2, "labels": 2, "simclr": 2}
    assert sum(name.startswith("ours minus") for name in found["probe"]["super"]) == 4
    assert {name: (tmp_path / "out" / f"{name}.safetensors").stat().st_mtime_ns for name in kept} == kept
    code, _, err = ecgscan("benchmark", "towers", *options, "--steps", 3, "--model", tiny)
    assert code == 2
    assert "its tower was trained with" in err
