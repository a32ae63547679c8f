"""Several processes, really launched with the configurations for accelerate: the same training as one."""

import json
import os
import signal as signals
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_multi_gpu_env, prepare_simple_launcher_cmd_env

from hub_scripts.checkpoint import replace_folder
from hub_scripts.shared_batch_norm import share_batch_norm
from modeling_ecgscan.configuration_ecgscan import ECGScanConfig
from modeling_ecgscan.modeling_ecgscan import ECGScanModel

CONFIGS = Path(__file__).resolve().parent.parent / "hub_scripts" / "configs"
PROCESSES = {"one_process": 1, "two_cpu_processes": 2, "one_gpu": 1, "eight_gpus": 8, "fsdp2": 8, "two_nodes": 16}
STEPS = 14


def launched(config: str, script: object, *arguments: object, options: tuple = (), **environment: str):
    """`accelerate launch` with a configuration of ours, output in one pipe."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", CONFIGS / f"{config}.yaml"]
    return subprocess.Popen(
        [*map(str, command), *map(str, options), str(script), *map(str, arguments)],
        cwd=CONFIGS.parent.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(CONFIGS.parent.parent), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=1500)
    assert process.returncode == 0, output[-3000:]
    return output


def test_every_configuration_is_tested():
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == set(PROCESSES)


@pytest.mark.parametrize("name", PROCESSES)
def test_accelerate_builds_the_launch_of_every_configuration(name, monkeypatch):
    monkeypatch.delenv("ACCELERATE_USE_FSDP", raising=False)
    path = str(CONFIGS / f"{name}.yaml")
    assert load_config_from_file(path).num_processes == PROCESSES[name]
    args, _, _ = _validate_launch_command(launch_command_parser().parse_args(["--config_file", path, "train.py"]))
    if args.multi_gpu or args.use_fsdp:
        environment = prepare_multi_gpu_env(args)
        assert int(args.nproc_per_node) * args.num_machines == PROCESSES[name]
    else:
        command, environment = prepare_simple_launcher_cmd_env(args)
        assert command[-1] == "train.py"
    assert environment["ACCELERATE_MIXED_PRECISION"] == "bf16"
    assert (environment.get("ACCELERATE_USE_FSDP") == "true") == (name == "fsdp2")


def test_the_sharded_configuration_wraps_layers_that_the_model_has(monkeypatch):
    from accelerate import FullyShardedDataParallelPlugin

    path = str(CONFIGS / "fsdp2.yaml")
    args, _, _ = _validate_launch_command(launch_command_parser().parse_args(["--config_file", path, "train.py"]))
    for key, value in prepare_multi_gpu_env(args).items():
        monkeypatch.setenv(key, value)
    plugin = FullyShardedDataParallelPlugin()
    model = ECGScanModel(ECGScanConfig.tiny())
    plugin.set_auto_wrap_policy(model)
    assert plugin.fsdp_version == 2
    assert plugin.transformer_cls_names_to_wrap == ["ECGScanLayer"]
    assert any(type(module).__name__ == "ECGScanLayer" for module in model.modules())


def test_a_shared_batch_normalisation_is_the_plain_one_in_one_process():
    torch.manual_seed(0)
    plain = torch.nn.Sequential(torch.nn.Conv1d(3, 4, 3), torch.nn.BatchNorm1d(4))
    shared = torch.nn.Sequential(torch.nn.Conv1d(3, 4, 3), torch.nn.BatchNorm1d(4))
    shared.load_state_dict(plain.state_dict())
    share_batch_norm(shared)
    given = torch.randn(5, 3, 20)
    for model in (plain, shared):
        model(given).square().mean().backward()
    assert torch.allclose(plain(given), shared(given), atol=1e-6)
    assert torch.allclose(plain[0].weight.grad, shared[0].weight.grad, atol=1e-6)
    states = zip(plain.state_dict().values(), shared.state_dict().values(), strict=True)
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in states)


def test_a_folder_is_replaced_whole_and_keeps_nothing_of_the_old_one(tmp_path):
    for name, content in (("new", "2"), ("current", "1")):
        (tmp_path / name).mkdir()
        (tmp_path / name / content).write_text(content)
    replace_folder(tmp_path / "new", tmp_path / "current")
    assert [path.name for path in tmp_path.rglob("*")] == ["current", "2"]


@pytest.mark.slow
def test_processes_that_did_not_join_are_refused(tmp_path):
    script = tmp_path / "script.py"
    # a device for which torch.distributed has no backend
    script.write_text(
        "import sys, torch\ntorch.accelerator.is_available = lambda: True\nimport train\n"
        "train.joined_processes(train.parse(['--output', sys.argv[1]]))\n"
    )
    run = launched("two_cpu_processes", script, tmp_path / "run")
    output, _ = run.communicate(timeout=900)
    assert run.returncode != 0
    assert "2 processes were launched, but 1 joined" in output


@pytest.fixture(scope="module")
def start(tmp_path_factory, tiny) -> Path:
    """The smallest checkpoint without dropout, whose draws depend on how rows are dealt to processes."""
    from hub_scripts.checkpoint import save_checkpoint
    from processing.processing_ecgscan import ECGScanProcessor

    model = ECGScanModel.from_pretrained(tiny)
    model.config.signal_config.dropout = model.config.text_config.dropout = 0.0
    folder = tmp_path_factory.mktemp("start") / "checkpoint"
    save_checkpoint(model, ECGScanProcessor.from_pretrained(tiny), folder)
    return folder


def train(config: str, start: Path, output: Path, batch_size: int, *extra: str) -> subprocess.Popen:
    options = ["--checkpoint", start, "--stages", "signal-text", "--steps", STEPS, "--batch-size", batch_size]
    options += ["--simulated", "20", "--num-workers", "0", "--checkpoint-minutes", "0", "--mixed-precision", "no"]
    # AdamW steps by the sign of a gradient: at a higher rate it makes losses of rounding errors within a few steps
    options += ["--learning-rate", "2e-5"]
    return launched(config, "train.py", *options, "--output", output, *extra)


def logged(output: Path) -> list[dict]:
    return [json.loads(line) for line in (output / "signal-text" / "losses.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, start) -> Path:
    """A run on two processes that nothing interrupted."""
    output = tmp_path_factory.mktemp("whole") / "run"
    assert "2 process(es)" in finished(train("two_cpu_processes", start, output, 4))
    return output


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_processes_have_the_losses_of_one_at_the_same_global_batch(start, whole, tmp_path):
    assert "1 process(es)" in finished(train("one_process", start, tmp_path / "one", 8))
    one, two = logged(tmp_path / "one"), logged(whole)
    assert len(one) == STEPS
    for first, second in zip(one, two, strict=True):
        for name in ("loss", "reconstruction", "signal_text"):
            assert second[name] == pytest.approx(first[name], rel=1e-5, abs=1e-5), (first["step"], name)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_after_a_process_was_killed_a_resume_has_the_losses_of_an_uninterrupted_run(start, whole, tmp_path):
    output = tmp_path / "run"
    run = train("two_cpu_processes", start, output, 4)
    log = output / "signal-text" / "losses.jsonl"
    deadline = time.monotonic() + 1200
    while time.monotonic() < deadline and not (log.exists() and len(log.read_text().splitlines()) >= 11):
        time.sleep(0.05)
    ranks = [child for child in psutil.Process(run.pid).children() if child.environ().get("RANK") == "1"]
    ranks[0].send_signal(signals.SIGKILL)
    run.communicate(timeout=300)
    assert run.returncode != 0
    assert len(logged(output)) < STEPS

    finished(train("two_cpu_processes", start, output, 4, "--resume"))
    assert logged(output) == logged(whole)
    models = [ECGScanModel.from_pretrained(folder / "checkpoint").state_dict() for folder in (output, whole)]
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[1])
    assert {path.name for path in output.iterdir()} == {path.name for path in whole.iterdir()}
    assert {path.name for path in (output / "signal-text").iterdir()} == {"losses.jsonl", "state"}


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> tuple[Path, list[str]]:
    from processing.triplets import prepare, simulated

    folder = tmp_path_factory.mktemp("shards")
    recordings = list(simulated(24, seed=2))
    prepare(recordings, folder, shards=3)
    return folder, sorted(recording.record_id for recording in recordings)


def check_epochs(folder: Path, records: list[str]) -> None:
    """Every record once in the first half of the steps and once in the second, over both processes."""
    found = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]
    assert [one["processes"] for one in found] == [2, 2]
    seen = np.array([one["seen"] for one in found])  # (process, step, row)
    first, second = np.split(seen, 2, axis=1)
    assert sorted(first.ravel()) == sorted(second.ravel()) == records
    assert first.ravel().tolist() != second.ravel().tolist()


@pytest.mark.slow
def test_two_processes_see_every_record_once_in_an_epoch(shards, tmp_path):
    folder, records = shards
    finished(launched("two_cpu_processes", Path(__file__).with_name("epoch_on_processes.py"), folder, tmp_path))
    check_epochs(tmp_path, records)


@pytest.mark.slow
def test_two_nodes_see_every_record_once_in_an_epoch(shards, tmp_path):
    folder, records = shards
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    nodes = [
        launched(
            "two_nodes",
            Path(__file__).with_name("epoch_on_processes.py"),
            folder,
            tmp_path,
            options=("--num_processes", 2, "--machine_rank", rank, "--main_process_port", port),
        )
        for rank in range(2)
    ]
    for node in nodes:
        finished(node)
    check_epochs(tmp_path, records)
