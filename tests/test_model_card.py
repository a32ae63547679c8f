"""The card's figures: those of the JSON, around what was written by hand."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from hub_scripts.arguments import UsageError
from hub_scripts.model_card import card_of, evaluation_section, learning_curve, main, with_figures

CARD = """---
license: apache-2.0
datasets:
  - PTB-XL
---

# By hand

Before. <!-- reading:start -->old<!-- reading:end --> After.
"""


@pytest.fixture(scope="module")
def figures(tiny, tmp_path_factory) -> list[Path]:
    """What the benchmark and the evaluation write of the smallest model."""
    from typer.testing import CliRunner

    from hub_scripts.cli import app
    from processing.triplets import prepare, simulated

    folder = tmp_path_factory.mktemp("figures")
    for seed, name in enumerate(("train", "validation", "test")):
        recordings = (replace(found, patient_id=f"{name} {n}") for n, found in enumerate(simulated(16, seed)))
        prepare(recordings, folder / name, split=name, shards=1)
    splits = [(f"--{name}", str(next((folder / name).glob("*.parquet")))) for name in ("train", "validation", "test")]
    shared = ["--out", str(folder), "--model", str(tiny)]
    for command in (
        ["benchmark", "reading", "--pages", "2", "--layouts", "3x4", "--worst", "1", *shared],
        ["evaluate", *(text for pair in splits for text in pair), "--pages", "2", *shared],
    ):
        assert CliRunner().invoke(app, command).exit_code == 0, command
    return [folder / "reading.json", folder / "evaluation.json"]


@pytest.fixture
def folder(tiny, tmp_path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "checkpoint"))


@pytest.mark.slow
def test_tables_and_metadata_hold_the_measured_figures(figures, folder):
    (folder / "README.md").write_text(CARD)
    main(str(folder), *map(str, figures))
    card = (folder / "README.md").read_text()
    reading, evaluation = (json.loads(path.read_text()) for path in figures)

    for kind in ("clean", "scan"):
        found = reading["summary"][kind]
        assert f"| rendered {kind} | {found['pages']} | {found['page_db']:.1f} |" in card
    probe = evaluation["probe"]["super"]["signal, 10 s"]["1"][0]
    assert f"| signal, 10 s | {probe['auroc']:.3f} ({probe['low']:.3f} to {probe['high']:.3f}) |" in card
    results = ModelCard(card).data.eval_results
    told = {(result.dataset_name, result.metric_type): result.metric_value for result in results}
    assert told["clean, 1 pages", "page_db"] == round(reading["summary"]["clean"]["page_db"], 3)
    assert round(probe["auroc"], 3) in [result.metric_value for result in results if result.metric_type == "roc_auc"]


@pytest.mark.slow
def test_what_was_written_by_hand_stays_and_the_same_figures_give_the_same_bytes(figures, folder):
    (folder / "README.md").write_text(CARD)
    main(str(folder), *map(str, figures))
    first = (folder / "README.md").read_bytes()
    main(str(folder), *map(str, figures))
    assert (folder / "README.md").read_bytes() == first
    text = first.decode()
    assert text.startswith("---\nlicense: apache-2.0\ndatasets:\n  - PTB-XL\nmodel-index:\n")
    assert "\n# By hand\n\nBefore. <!-- reading:start -->\n" in text
    assert "<!-- reading:end --> After.\n" in text
    assert ">old<" not in text
    assert text.count("<!-- evaluation:start -->") == text.count("model-index:") == 1


@pytest.mark.slow
def test_a_checkpoint_without_a_card_gets_one_that_names_the_repository(figures, folder):
    card = card_of(folder, figures, "heart-lab/reader")
    assert ModelCard(card).data.library_name == "transformers"
    assert 'AutoModel.from_pretrained("heart-lab/reader", trust_remote_code=True)' in card
    assert "rendered clean" in card
    assert not (folder / "README.md").exists()


def test_pages_of_every_condition_stand_in_the_card_with_their_own_figures():
    def figure(auroc: float) -> dict:
        return {"1": [{"auroc": auroc, "low": auroc - 0.1, "high": auroc + 0.1}]}

    images = {"image, clean": 0.85, "image, scan": 0.8}
    recalled = {
        "recording": {"among": 50, "r_at_1": 0.7, "r_at_5": 0.9},
        "text": {"among": 40, "r_at_1": 0.1, "r_at_5": 0.3},
    }
    document = {
        "model": {"name": "ecgscan", "revision": "0"},
        "recordings": {"train": 100, "validation": 50, "test": 50},
        "layout": "6x2",
        "conditions": ["clean", "scan"],
        "pages": 20,
        "seed": 0,
        "probe": {"super": {"classes": ["MI"], "recordings": 45, **{k: figure(value) for k, value in images.items()}}},
        "prompts": {name: figure(value)["1"][0] for name, value in images.items()},
        "names": {name: figure(value)["1"][0] for name, value in images.items()},
        "retrieval": dict.fromkeys(images, recalled),
    }
    section = evaluation_section(document)
    assert "a 6x2 page shows" in section
    assert "20 rendered pages (clean, scan, seed 0)" in section
    assert "By their names alone, which training texts held: image, clean 0.850 (0.750 to 0.950)" in section
    assert "| image, clean | 0.850 (0.750 to 0.950) |" in section
    assert (
        "A page (image, scan) finds its own recording among 50 in 70 of 100 cases (90 among the nearest five) and its "
        "own report among 40 in 10 of 100 cases (30 among the nearest five)." in section
    )
    results = ModelCard(with_figures(CARD, [document])).data.eval_results
    told = {result.metric_name: result.metric_value for result in results}
    assert told == {"macro AUROC, image, clean": 0.85, "macro AUROC, image, scan": 0.8}


def test_a_learning_curve_is_the_mean_over_draws_by_share_of_the_labels():
    draws = {"1": [{"auroc": 0.9}], "0.01": [{"auroc": 0.6}, {"auroc": 0.8}], "0.1": [{"auroc": None}]}
    assert learning_curve("super", {"signal, printed": draws}) == "super 0.700 with 1 %, 0.900 with 100 %"
    assert learning_curve("form", {"signal, printed": {"1": [{"auroc": 0.9}]}}) == ""
    assert learning_curve("form", {"left_out": "no class"}) == ""


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"model": {"revision": "0"}}'])
def test_a_file_without_figures_is_refused(folder, tmp_path, content):
    (tmp_path / "figures.json").write_text(content)
    with pytest.raises(UsageError, match=r"no figures of .*; give reading\.json or evaluation\.json"):
        card_of(folder, [tmp_path / "figures.json"], "a/b")
