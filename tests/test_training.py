"""Training: the same losses after a stop, the same loss on two processes, a checkpoint at the end."""

import json
import os
import signal as signals
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from contrast_on_two_processes import contrast, contrastive_case

from hub_scripts.arguments import UsageError
from hub_scripts.training_align import pixels_per_mm
from hub_scripts.training_loop import StageArguments, Task, optimizer_for, rate_at, run
from hub_scripts.training_signal_text import recall_at, stage
from modeling_ecgscan.configuration_ecgscan import ECGScanConfig
from modeling_ecgscan.modeling_ecgscan import ECGScanModel
from processing.feature_extraction_ecgscan import ECGScanFeatureExtractor
from processing.tokenization_ecgscan import train_tokenizer
from processing.triplets import prepare, simulated
from processing.wfdb_records import RecordError


@pytest.fixture(autouse=True)
def fresh_accelerate():
    """Accelerate keeps its state in singletons; each test begins without."""
    yield
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("data")
    prepare(simulated(20, seed=1), folder, shards=2)
    return sorted(str(path) for path in folder.glob("*.parquet"))


def arguments(output: Path, shards: list[str], steps: int = 6, resume: bool = False) -> StageArguments:
    processor = SimpleNamespace(
        feature_extractor=ECGScanFeatureExtractor(),
        tokenizer=train_tokenizer(["sinus rhythm, normal ECG. atrial fibrillation"], 300, 64),
    )
    return StageArguments(
        "signal-text", output, shards, [], steps, 4, 1e-3, processor, seed=3, checkpoint_minutes=0.0, resume=resume
    )


def new_model() -> ECGScanModel:
    torch.manual_seed(0)
    return ECGScanModel(ECGScanConfig.tiny())


def logged(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "signal-text" / "losses.jsonl").read_text().splitlines()]


class Stopped(Exception):
    pass


def test_a_resumed_stage_has_the_losses_of_an_uninterrupted_one(shards, tmp_path, monkeypatch):
    whole = new_model()
    stage(whole, arguments(tmp_path / "whole", shards), Accelerator(cpu=True))

    def stopping(self, step, figures, write=_log_write()):
        if step == 4:
            raise Stopped
        write(self, step, figures)

    with monkeypatch.context() as patch:
        patch.setattr("hub_scripts.training_loop._LossLog.write", stopping)
        with pytest.raises(Stopped):
            stage(new_model(), arguments(tmp_path / "parts", shards), Accelerator(cpu=True))
    resumed = new_model()
    stage(resumed, arguments(tmp_path / "parts", shards, resume=True), Accelerator(cpu=True))

    assert [line["step"] for line in logged(tmp_path / "parts")] == list(range(6))
    assert logged(tmp_path / "parts") == logged(tmp_path / "whole")
    same = zip(whole.state_dict().items(), resumed.state_dict().items(), strict=True)
    assert all(torch.equal(first, second) for (_, first), (_, second) in same)


def _log_write():
    from hub_scripts.training_loop import _LossLog

    return _LossLog.write


def test_a_finished_stage_is_loaded_and_not_trained_again(shards, tmp_path):
    trained = new_model()
    stage(trained, arguments(tmp_path, shards, steps=2), Accelerator(cpu=True))
    again = new_model()
    stage(again, arguments(tmp_path, shards, steps=2, resume=True), Accelerator(cpu=True))
    assert torch.equal(trained.signal_projection.weight, again.signal_projection.weight)
    assert len(logged(tmp_path)) == 2


def test_a_state_of_other_settings_is_refused(shards, tmp_path):
    stage(new_model(), arguments(tmp_path, shards, steps=1), Accelerator(cpu=True))
    with pytest.raises(ValueError, match="resume alike"):
        stage(new_model(), arguments(tmp_path, shards, steps=2, resume=True), Accelerator(cpu=True))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--steps", "many"], "--steps needs one positive number per stage (1), got 'many'"),
        (["--batch-size", "0"], "--batch-size needs one positive number per stage (1), got '0'"),
        (["--data", "nowhere.parquet"], "nowhere.parquet: no Parquet file there; expected a file or a folder of files"),
        (["--parts", "trace,colour"], "--parts: unknown parts ['colour'] of stage 'read'; expected some of"),
        (["--checkpoint", "nowhere/at/all"], "--checkpoint: nothing can be loaded from nowhere/at/all"),
        (["--statements", "nowhere.csv"], "nowhere.csv: there is no such file"),
    ],
)
def test_what_training_can_not_use_is_one_sentence(repository, tmp_path, monkeypatch, capsys, arguments, sentence):
    monkeypatch.syspath_prepend(str(repository))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import train

    with pytest.raises((SystemExit, UsageError, RecordError)) as refused:
        train.main(["--stages", "read", "--simulated", "8", "--output", str(tmp_path / "run"), *arguments])
    assert sentence in f"{refused.value} {capsys.readouterr().err}"


def test_the_last_line_of_a_refused_training_is_that_sentence(repository, tmp_path):
    command = [sys.executable, "train.py", "--data", "nowhere.parquet", "--output", str(tmp_path / "run")]
    run = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=200)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith("nowhere.parquet: no Parquet file there")
    assert "Traceback" not in run.stderr


def test_training_moves_the_towers_it_should_and_no_other(shards, tmp_path):
    model, before = new_model(), new_model().state_dict()
    stage(model, arguments(tmp_path, shards, steps=2), Accelerator(cpu=True))
    moved = {name.split(".")[0] for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    towers = {"signal_model", "signal_projection", "text_model", "text_projection", "image_projection"}
    assert moved == {*towers, "logit_scale"}


@pytest.mark.parametrize(
    ("reads", "side", "finest"), [(True, 384, 6.0), (False, 64, 2.8), (False, 384, 2.8), (False, 768, 5.6)]
)
def test_pages_are_drawn_as_fine_as_the_image_tower_looks_at_them(reads, side, finest):
    model = SimpleNamespace(reads=reads, config=SimpleNamespace(image_config=SimpleNamespace(image_size=side)))
    assert pixels_per_mm(model)[1] == finest


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    model = torch.nn.Linear(2, 1)
    task = Task(lambda start: iter([None] * 3), lambda wrapped, _: (wrapped.weight.sum() * float("nan"), {}))
    args = StageArguments("signal-text", tmp_path, [], [], 3, 1, 1e-3, None)
    with pytest.raises(FloatingPointError, match="lower learning rate"):
        run(model, task, args, Accelerator(cpu=True))


def test_the_learning_rate_rises_and_falls():
    rates = [rate_at(step, 100, 1.0) for step in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == rates[5] == pytest.approx(1.0)
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] < 0.02


def test_only_matrices_decay():
    groups = optimizer_for(torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2)), 1e-3).param_groups
    assert [(group["weight_decay"], len(group["params"])) for group in groups] == [(0.05, 1), (0.0, 3)]


def test_recall_counts_equal_texts_as_found():
    similarity = np.array([[0.1, 0.9, 0.0], [0.0, 0.2, 0.9], [0.9, 0.1, 0.0]])
    assert recall_at(similarity, ["a", "a", "b"], 1) == pytest.approx(1 / 3)


@pytest.mark.slow
def test_two_processes_give_the_loss_and_gradient_of_one(repository, tmp_path):
    embeddings, weight = contrastive_case()
    loss = contrast(embeddings, weight)
    loss.backward()
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    script = Path(__file__).with_name("contrast_on_two_processes.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(repository)}
    subprocess.run([*launch, script, tmp_path], cwd=repository, env=environment, check=True, timeout=300)
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt")
        assert found["processes"] == 2
        assert torch.allclose(found["loss"], loss.detach(), atol=1e-6)
        assert torch.allclose(found["grad"], weight.grad, atol=1e-6)


def train(repository: Path, output: Path, *extra: str) -> subprocess.Popen:
    command = [sys.executable, "train.py", "--stages", "signal-text", "--steps", "8", "--batch-size", "4"]
    command += ["--simulated", "16", "--num-workers", "0", "--checkpoint-minutes", "0", "--output", str(output), *extra]
    return subprocess.Popen(
        command,
        cwd=repository,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_killed_run_goes_on_to_the_same_losses_and_a_loadable_checkpoint(repository, tmp_path):
    whole = train(repository, tmp_path / "whole")
    output, _ = whole.communicate(timeout=500)
    assert whole.returncode == 0, output[-2000:]

    killed, log = train(repository, tmp_path / "parts"), tmp_path / "parts" / "signal-text" / "losses.jsonl"
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and not (log.exists() and len(log.read_text().splitlines()) >= 3):
        time.sleep(0.05)
    killed.send_signal(signals.SIGKILL)
    killed.wait()

    refused = train(repository, tmp_path / "parts")
    assert "add --resume" in refused.communicate(timeout=300)[0]
    resumed = train(repository, tmp_path / "parts", "--resume")
    output, _ = resumed.communicate(timeout=500)
    assert resumed.returncode == 0, output[-2000:]
    assert logged(tmp_path / "parts") == logged(tmp_path / "whole")
    assert ECGScanModel.from_pretrained(tmp_path / "parts" / "checkpoint").config.model_type == "ecgscan"
