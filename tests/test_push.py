"""Publishing: what goes to the Hub loads back elsewhere to the same numbers, or nothing goes there."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from archive_trees import recordings, write_ptbxl
from hub_stand_in import OWNER, StandInHub

REPO = f"{OWNER}/ecgscan"
STRANGER = """
import sys
for name in ("ecgscan_autoload", "hub_scripts", "modeling_ecgscan", "processing"):
    sys.modules[name] = None
import numpy as np, torch
from transformers import AutoModel, AutoProcessor
name, out, network = sys.argv[1:]
if network == "forbidden":
    def refuse(event, _):
        assert event not in ("socket.connect", "socket.getaddrinfo"), "the network was asked for"
    sys.addaudithook(refuse)
model = AutoModel.from_pretrained(name, trust_remote_code=True, dtype=torch.float32).eval()
processor = AutoProcessor.from_pretrained(name, trust_remote_code=True)
signal = np.sin(np.arange(60000, dtype=np.float32)).reshape(12, 5000)
page = np.full((400, 600, 3), 255, np.uint8)
page[::10], page[:, ::10] = 200, 200
given = processor(images=page, signals=signal, sampling_rate=500, text="sinus rhythm", return_tensors="pt")
with torch.inference_mode():
    output = model(**given)
found = {name: output[name + "_embeds"].numpy() for name in ("image", "signal", "text")}
np.savez(out, home=type(model).__module__, **found)
"""


@pytest.fixture
def hub():
    server = StandInHub()
    yield server
    server.server.shutdown()


@pytest.fixture
def copy(saved, tmp_path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "copy"))


@pytest.fixture
def pages(tmp_path) -> Path:
    from processing.triplets import prepare, simulated

    prepare(simulated(4, seed=1), tmp_path / "pages", shards=2)
    (tmp_path / "pages" / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# Simulated\n")
    return tmp_path / "pages"


@pytest.fixture
def space(tmp_path) -> Path:
    folder = tmp_path / "space"
    (folder / "examples").mkdir(parents=True)
    (folder / "app.py").write_text("print('ready')\n")
    (folder / "README.md").write_text("---\ntitle: ECG-Scan\nsdk: gradio\napp_file: app.py\n---\n")
    (folder / "examples" / "page.png").write_bytes(b"picture")
    (folder / ".env").write_text("SECRET=1\n")
    return folder


def push(repository: Path, environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess:
    """`ecgscan push ...` in a process of its own, since the Hub's address is read when the library is imported."""
    code = "from hub_scripts.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, "push", *map(str, arguments)],
        cwd=repository,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def as_a_stranger(
    name: object, place: Path, environment: dict[str, str], network: str = "allowed"
) -> dict[str, np.ndarray]:
    """What the towers answer in a fresh process in an empty folder that knows nothing of this package."""
    place.mkdir()
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    clean |= {"ECGSCAN_AUTOLOAD": "0", "HF_MODULES_CACHE": str(place / "modules"), **environment}
    command = [sys.executable, "-c", STRANGER, str(name), "out.npz", network]
    run = subprocess.run(command, cwd=place, env=clean, capture_output=True, text=True, timeout=900, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    return dict(np.load(place / "out.npz"))


def round_trip(repository: Path, checkpoint: Path, hub: StandInHub, place: Path) -> None:
    pushed = push(repository, hub.environment(place / "home"), "model", checkpoint, REPO)
    assert pushed.returncode == 0, pushed.stderr
    assert "private" in pushed.stdout
    assert hub.repositories[REPO].private
    assert len(hub.repositories[REPO].commits) == 2
    files = hub.files(REPO)
    assert files["model.safetensors"] == (checkpoint / "model.safetensors").read_bytes()
    assert b"library_name: transformers" in files["README.md"]

    there = as_a_stranger(REPO, place / "empty", hub.environment(place / "other home"))
    assert str(there.pop("home")).startswith("transformers_modules.")
    here = _here(checkpoint)
    assert all(np.array_equal(there[name], here[name]) for name in ("image", "signal", "text"))


def _here(checkpoint: Path) -> dict[str, np.ndarray]:
    import torch

    from modeling_ecgscan.modeling_ecgscan import ECGScanModel
    from processing.processing_ecgscan import ECGScanProcessor

    model = ECGScanModel.from_pretrained(checkpoint, dtype=torch.float32).eval()
    processor = ECGScanProcessor.from_pretrained(checkpoint)
    signal = np.sin(np.arange(60000, dtype=np.float32)).reshape(12, 5000)
    page = np.full((400, 600, 3), 255, np.uint8)
    page[::10], page[:, ::10] = 200, 200
    given = processor(images=page, signals=signal, sampling_rate=500, text="sinus rhythm", return_tensors="pt")
    with torch.inference_mode():
        output = model(**given)
    return {name: output[f"{name}_embeds"].numpy() for name in ("image", "signal", "text")}


def test_a_pushed_checkpoint_answers_the_same_where_the_package_is_unknown(repository, saved, hub, tmp_path):
    round_trip(repository, saved, hub, tmp_path)


@pytest.mark.slow
def test_the_shipped_checkpoint_answers_the_same_where_the_package_is_unknown(repository, checkpoint, hub, tmp_path):
    round_trip(repository, checkpoint, hub, tmp_path)


@pytest.mark.slow
def test_a_local_checkpoint_is_loaded_without_the_network(saved, tmp_path):
    environment = {"HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home")}
    found = as_a_stranger(saved, tmp_path / "empty", environment, network="forbidden")
    assert np.isfinite(found["image"]).all()


@pytest.mark.slow
def test_a_dry_run_lists_all_files_of_a_checkpoint_and_asks_nobody(repository, saved, hub, tmp_path):
    environment = {**hub.environment(tmp_path), "HF_TOKEN": ""}
    run = push(repository, environment, "model", saved, REPO, "--dry-run")
    assert run.returncode == 0, run.stderr
    assert hub.requests == []
    assert {line.split()[-1] for line in run.stdout.splitlines()} >= {path.name for path in saved.iterdir()}


def test_a_dry_run_asks_nobody(repository, space, hub, tmp_path):
    environment = {**hub.environment(tmp_path), "HF_TOKEN": ""}
    run = push(repository, environment, "space", space, REPO, "--dry-run")
    assert run.returncode == 0, run.stderr
    assert hub.requests == []
    assert "app.py" in run.stdout


def test_a_data_set_goes_whole_and_what_it_no_longer_has_is_removed(repository, pages, hub, tmp_path):
    environment = hub.environment(tmp_path / "home")
    assert push(repository, environment, "dataset", pages, f"{OWNER}/pages").returncode == 0
    (pages / "train-001-of-002.parquet").unlink()
    again = push(repository, environment, "dataset", pages, f"{OWNER}/pages")
    assert again.returncode == 0, again.stderr
    assert "1 that the folder no longer has removed" in again.stdout
    found = hub.files(f"datasets/{OWNER}/pages")
    assert found == {path.name: path.read_bytes() for path in pages.iterdir()}


def test_a_space_goes_in_one_commit_without_hidden_files_and_public_only_when_told(repository, space, hub, tmp_path):
    environment = hub.environment(tmp_path / "home")
    run = push(repository, environment, "space", space, f"{OWNER}/demo", "--public")
    assert run.returncode == 0, run.stderr
    address = f"spaces/{OWNER}/demo"
    assert not hub.repositories[address].private
    assert len(hub.repositories[address].commits) == 2
    assert set(hub.files(address)) == {"README.md", "app.py", "examples/page.png"}
    refused = push(repository, environment, "space", space, f"{OWNER}/demo")
    assert refused.returncode == 2
    assert "is public already: add --public" in refused.stderr


def test_a_repository_of_somebody_else_is_refused_in_one_line(repository, space, hub, tmp_path):
    run = push(repository, hub.environment(tmp_path), "space", space, "somebody/demo")
    assert run.returncode == 2
    assert "the token may not write there" in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_wrong_token_is_refused_in_one_line(repository, space, hub, tmp_path):
    run = push(repository, {**hub.environment(tmp_path), "HF_TOKEN": "hf_wrong"}, "space", space, f"{OWNER}/demo")
    assert run.returncode == 2
    assert "the Hub does not know the token" in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_an_upload_that_breaks_off_leaves_main_as_it_was(repository, space, hub, tmp_path):
    environment = hub.environment(tmp_path)
    assert push(repository, environment, "space", space, f"{OWNER}/demo").returncode == 0
    before = hub.files(f"spaces/{OWNER}/demo")
    (space / "examples" / "page.png").write_bytes(bytes(2_000_000))
    (space / "app.py").write_text("print('new')\n")
    hub.cut = True
    run = push(repository, environment, "space", space, f"{OWNER}/demo")
    assert run.returncode == 2
    assert "the upload broke off" in run.stderr
    assert "main is as it was" in run.stderr
    assert hub.files(f"spaces/{OWNER}/demo") == before
    hub.cut = False
    assert push(repository, environment, "space", space, f"{OWNER}/demo").returncode == 0
    assert hub.files(f"spaces/{OWNER}/demo")["app.py"] == b"print('new')\n"


def refused(ecgscan, *arguments: object) -> str:
    code, _, err = ecgscan("push", *arguments)
    assert code == 2
    assert len(err.strip().splitlines()) == 1, err
    return err


def test_without_a_token_nothing_is_begun(ecgscan, space, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    assert "no token for the Hub: run `hf auth login`" in refused(ecgscan, "space", space, REPO)


@pytest.mark.parametrize("name", ["ecgscan", "a/b/c", "heart lab/ecgscan", "heart-lab/ecgscan.git", "-x/y"])
def test_a_name_that_can_be_no_repository_is_refused(ecgscan, space, name):
    assert "expected OWNER/NAME" in refused(ecgscan, "space", "--dry-run", "--", space, name)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("config.json", "no config.json"),
        ("model.safetensors", r"no *.safetensors"),
        ("tokenizer.json", "no tokenizer.json"),
        ("processor_config.json", "no processor_config.json"),
        ("modeling_ecgscan.py", "names modeling_ecgscan.py, which is not in the folder"),
    ],
)
def test_a_checkpoint_that_lacks_a_file_is_refused(ecgscan, copy, missing, message):
    (copy / missing).unlink()
    assert message in refused(ecgscan, "model", copy, REPO, "--dry-run")


@pytest.mark.slow
def test_a_checkpoint_whose_code_answers_otherwise_is_refused(ecgscan, copy):
    code = copy / "text_ecgscan.py"
    code.write_text(code.read_text().replace("self.words(input_ids)", "2 * self.words(input_ids)"))
    assert "it gives other numbers (text_embeds)" in refused(ecgscan, "model", copy, REPO, "--dry-run")


@pytest.mark.slow
def test_a_checkpoint_that_needs_the_package_is_refused(ecgscan, copy):
    code = copy / "modeling_ecgscan.py"
    code.write_text("import processing.leads\n" + code.read_text())
    assert "does not load from its files alone" in refused(ecgscan, "model", copy, REPO, "--dry-run")


def test_data_sets_that_nobody_could_use_are_refused(ecgscan, pages, tmp_path):
    shard = pages / "train-000-of-002.parquet"
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    assert "can't be read" in refused(ecgscan, "dataset", pages, REPO, "--dry-run")
    shard.write_bytes(whole)
    (pages / "README.md").write_text("---\nlicense: [\n---\n")
    assert "its metadata is no YAML" in refused(ecgscan, "dataset", pages, REPO, "--dry-run")
    (pages / "README.md").unlink()
    assert "no README.md" in refused(ecgscan, "dataset", pages, REPO, "--dry-run")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "README.md").write_text("# Nothing\n")
    assert "no *.parquet" in refused(ecgscan, "dataset", tmp_path / "empty", REPO, "--dry-run")


def test_a_prepared_folder_goes_only_whole_and_in_this_schema(ecgscan, tmp_path):
    write_ptbxl(tmp_path / "archive", recordings(2))
    assert ecgscan("prepare", "ptbxl", tmp_path / "archive", "--out", tmp_path / "out")[0] == 0
    assert ecgscan("push", "dataset", tmp_path / "out", REPO, "--dry-run")[0] == 0
    (shard,) = (tmp_path / "out" / "data").glob("train-*.parquet")
    table = pq.read_table(shard)
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"ecgscan_schema": b"9"}), shard)
    assert "schema version 9, expected 1 to 2" in refused(ecgscan, "dataset", tmp_path / "out", REPO, "--dry-run")
    pq.write_table(table.slice(0, 1), shard)
    assert "1 rows in train, expected 2" in refused(ecgscan, "dataset", tmp_path / "out", REPO, "--dry-run")
    (tmp_path / "out" / "report.json").unlink()
    assert "its preparation was stopped" in refused(ecgscan, "dataset", tmp_path / "out", REPO, "--dry-run")


def test_spaces_that_would_not_start_are_refused(ecgscan, space):
    (space / "app.py").write_text("print('ready'\n")
    assert "no Python (line 1" in refused(ecgscan, "space", space, REPO, "--dry-run")
    (space / "app.py").write_text("from spaces_demo.interface import serve\n")
    message = refused(ecgscan, "space", space, REPO, "--dry-run")
    assert "app.py imports spaces_demo, which the folder lacks" in message
    (space / "app.py").unlink()
    assert "no app.py" in refused(ecgscan, "space", space, REPO, "--dry-run")
    (space / "README.md").write_text("---\ntitle: ECG-Scan\n---\n")
    assert "names no `sdk`" in refused(ecgscan, "space", space, REPO, "--dry-run")


def test_the_figures_of_other_weights_do_not_go_on_a_card(ecgscan, copy, tmp_path):
    figures = tmp_path / "reading.json"
    figures.write_text(json.dumps({"model": {"name": "tiny", "revision": "0" * 12}, "summary": {}, "pages": []}))
    message = refused(ecgscan, "model", copy, REPO, "--dry-run", "--figures", figures)
    assert "figures of the weights 000000000000" in message
