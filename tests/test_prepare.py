"""`ecgscan prepare`: from an archive to a data set that `datasets` and `train.py` stream."""

import json
import os
import re
import signal as signals
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from archive_trees import many, ptbxl_row, recordings, write_parquet, write_ptbxl, write_record
from datasets import load_dataset
from typer.testing import CliRunner

from hub_scripts.arguments import UsageError
from hub_scripts.cli import app
from hub_scripts.prepare import prepare_command
from hub_scripts.training_data import prepared_shards, texts_of
from processing.prepared import prepared_split
from processing.records import Recording
from processing.triplets import BatchStream
from processing.wfdb_records import RecordError

ROWS = 300


@pytest.fixture(scope="module")
def simulated() -> list[Recording]:
    return recordings(6)


@pytest.fixture(scope="module")
def source(simulated, tmp_path_factory) -> Path:
    """A Parquet file of many short recordings."""
    short = [replace(recording, signal=recording.signal[:, :1000]) for recording in simulated]
    return write_parquet(tmp_path_factory.mktemp("source") / "many.parquet", many(short, ROWS))


@pytest.fixture(scope="module")
def prepared(source, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "out"
    assert prepare_command("parquet", source, out, limit=None, num_processes=1) == 0
    return out


def copy_of(folder: Path, target: Path) -> Path:
    for file in folder.rglob("*"):
        if file.is_file():
            (target / file.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            (target / file.relative_to(folder)).write_bytes(file.read_bytes())
    return target


def report_of(out: Path) -> dict:
    return json.loads((out / "report.json").read_text(encoding="utf-8"))


def rows_of(out: Path) -> dict[str, list[dict]]:
    return {path.name: pq.read_table(path).to_pylist() for path in sorted((out / "data").iterdir())}


def test_datasets_streams_every_split_of_a_prepared_folder(prepared, simulated):
    stream = load_dataset(str(prepared), streaming=True)
    assert set(stream) == {"train", "validation", "test"}
    rows = {split: list(stream[split]) for split in stream}
    assert sorted(row["record_id"] for split in rows.values() for row in split) == [f"r{n:04d}" for n in range(ROWS)]
    assert {row["split"] for row in rows["test"]} == {"test"}
    assert {split: len(found) for split, found in rows.items()} == report_of(prepared)["written"]
    row = next(row for row in rows["train"] if int(row["record_id"][1:]) % 6 == 2)
    stored = np.frombuffer(row["signal"], "<i2").reshape(12, row["n_samples"]) / 1000
    np.testing.assert_allclose(stored, simulated[2].signal[:, :1000], atol=1e-5)
    assert stream["train"].num_shards == 8


def test_broken_recordings_are_counted_and_the_others_prepared(simulated, tmp_path):
    rows = [ptbxl_row(number) for number in range(1, 9)]
    rows += [ptbxl_row(1), ptbxl_row(10, strat_fold="x")]
    broken = [replace(simulated[1], signal=np.full_like(simulated[1].signal, np.nan))]
    archive = write_ptbxl(tmp_path / "archive", [*simulated, *simulated[:2]], rows)
    folder = archive / "records500" / "00000"
    (folder / "00002_hr.dat").write_bytes((folder / "00002_hr.dat").read_bytes()[:999])
    (folder / "00003_hr.dat").unlink()
    header = (folder / "00004_hr.hea").read_text()
    (folder / "00004_hr.hea").write_text(header.replace(" 5000\n", " 0\n"))
    write_record(folder / "00005_hr", simulated[4], gain=1000.0, unit="uV")
    write_record(folder / "00006_hr", simulated[5], unit="bpm")
    (folder / "00007_hr.hea").write_text(header.replace("00004_hr", "00007_hr").replace("1000.0(0)/mV", "0/mV"))
    write_record(folder / "00008_hr", replace(broken[0], signal=np.nan_to_num(broken[0].signal, nan=-32.768)))

    result = CliRunner().invoke(app, ["prepare", "ptbxl", str(archive), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    report = report_of(tmp_path / "out")
    assert report["written"] == {"train": 1}
    assert report["dropped"] == {
        "damaged file": 1,
        "damaged table": 1,
        "duplicate id": 1,
        "gain": 2,
        "missing file": 1,
        "no complete lead": 1,
        "no samples": 1,
        "unit": 1,
    }
    assert "(00002_hr.dat holds 41 of 5000 samples); copy it again" in result.output
    dropped = (tmp_path / "out" / "dropped.csv").read_text().splitlines()
    assert len(dropped) == 1 + sum(report["dropped"].values())
    assert [row["record_id"] for row in load_dataset(str(tmp_path / "out"), split="train", streaming=True)] == [
        "ptbxl-00001"
    ]

    write_record(folder / "00003_hr", simulated[2])
    assert prepare_command("ptbxl", archive, tmp_path / "out", limit=None, num_processes=1) == 2
    assert report_of(tmp_path / "out")["written"] == {"train": 2}


def test_a_folder_of_parquet_files_goes_on_past_broken_ones(simulated, tmp_path):
    whole = write_parquet(tmp_path / "in" / "a.parquet", many(simulated, 3))
    (tmp_path / "in" / "b.parquet").write_bytes(whole.read_bytes()[:-100])
    pq.write_table(pq.read_table(whole).drop_columns("leads"), tmp_path / "in" / "c.parquet")
    rows = pq.read_table(whole).to_pylist()
    for row in rows:
        row |= {"record_id": row["record_id"] + "x", "signal": row["signal"][:-2]}
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in" / "d.parquet")
    rows = pq.read_table(whole).to_pylist()
    rows[0]["record_id"] = None
    rows[1] |= {"record_id": "no rate", "sampling_rate": None}
    rows[2] |= {"record_id": "no lead", "leads": ["V9"] * 12}
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in" / "e.parquet")
    assert prepare_command("parquet", tmp_path / "in", tmp_path / "out", limit=None, num_processes=1) == 2
    report = report_of(tmp_path / "out")
    assert sum(report["written"].values()) == 3
    assert report["dropped"] == {"damaged file": 4, "damaged table": 2, "missing column": 1, "lead names": 1}
    dropped = (tmp_path / "out" / "dropped.csv").read_text()
    assert "row 0 of row group 0 has no record_id; give every recording its own" in dropped
    assert "no rate: its row says nothing under ['sampling_rate']; make its Parquet file again" in dropped
    assert "lacks the columns ['leads']" in report["examples"]["missing column"]


def test_leads_with_unknown_samples_are_left_out_and_said(simulated, tmp_path):
    signal = simulated[0].signal.copy()
    signal[7, 10:20] = np.nan
    write_record(tmp_path / "in" / "a", replace(simulated[0], signal=np.nan_to_num(signal, nan=-32.768)))
    assert prepare_command("folder", tmp_path / "in", tmp_path / "out", limit=None, num_processes=1) == 0
    ((row,),) = rows_of(tmp_path / "out").values()
    assert row["leads"] == "I II III aVR aVL aVF V1 V3 V4 V5 V6".split()
    assert report_of(tmp_path / "out")["with_leads_missing"] == 1


def test_nothing_usable_is_an_error_without_a_card(tmp_path, simulated):
    write_record(tmp_path / "in" / "a", replace(simulated[0], signal=simulated[0].signal[:, :100]))
    result = CliRunner().invoke(app, ["prepare", "folder", str(tmp_path / "in"), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "no recording could be written" in result.output
    assert not (tmp_path / "out" / "README.md").exists()


def test_a_limit_takes_the_first_recordings(source, tmp_path):
    assert prepare_command("parquet", source, tmp_path / "out", limit=5, num_processes=1) == 0
    names = {row["record_id"] for rows in rows_of(tmp_path / "out").values() for row in rows}
    assert names == {f"r{n:04d}" for n in range(5)}


def run(*arguments: str, **more) -> subprocess.Popen:
    code = "import sys; from hub_scripts.cli import main; main()"
    command = [sys.executable, "-c", code, "prepare", *arguments]
    repository = Path(__file__).resolve().parent.parent
    return subprocess.Popen(
        command, cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, **more,
    )  # fmt: skip


@pytest.mark.slow
def test_a_killed_run_goes_on_in_several_processes_to_the_same_files(source, prepared, tmp_path):
    out = tmp_path / "out"
    killed = run("parquet", str(source), "--out", str(out))
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(out.glob(".prepare/data-train-*.json")):
        time.sleep(0.005)
    killed.send_signal(signals.SIGKILL)
    killed.wait()
    with pytest.raises(RecordError, match="its preparation was stopped; run the same"):
        prepared_split(out, "train")
    kept = {note: note.stat().st_mtime_ns for note in out.glob(".prepare/*-of-*.json")}
    assert kept
    resumed = run("parquet", str(source), "--out", str(out), "--num-processes", "2")
    output, _ = resumed.communicate(timeout=200)
    assert resumed.returncode == 0, output
    assert f"{len(kept)} shards were written by an earlier run and kept" in output
    assert {note: note.stat().st_mtime_ns for note in kept} == kept
    assert rows_of(out) == rows_of(prepared)


def test_a_damaged_shard_is_refused_and_then_written_again(source, prepared, tmp_path):
    out = copy_of(prepared, tmp_path / "out")
    shard = sorted((out / "data").glob("train-*"))[2]
    shard.write_bytes(shard.read_bytes()[:-50])
    with pytest.raises(RecordError, match=f"{shard.name}: no whole Parquet file"):
        prepared_split(out, "train")
    others = {file: file.stat().st_mtime_ns for file in (out / "data").iterdir() if file != shard}
    assert prepare_command("parquet", source, out, limit=None, num_processes=1) == 0
    assert {file: file.stat().st_mtime_ns for file in others} == others
    assert rows_of(out) == rows_of(prepared)


def test_shards_of_another_schema_or_without_a_column_are_refused(prepared, tmp_path):
    out = copy_of(prepared, tmp_path / "out")
    shard = min((out / "data").glob("train-*"))
    table = pq.read_table(shard)
    pq.write_table(table.drop_columns("report"), shard)
    with pytest.raises(RecordError, match=r"lacks the columns \['report'\]"):
        prepared_split(out, "train")
    pq.write_table(table.replace_schema_metadata({"ecgscan_schema": "99"}), shard)
    with pytest.raises(RecordError, match="schema version 99, expected 1 to 2; run `ecgscan prepare` again"):
        prepared_split(out, "train")


def test_a_missing_shard_is_noticed(prepared, tmp_path):
    out = copy_of(prepared, tmp_path / "out")
    min((out / "data").glob("train-*")).unlink()
    with pytest.raises(RecordError, match=r"rows in train, expected \d+"):
        prepared_split(out, "train")


def test_a_folder_of_other_recordings_or_files_is_refused(source, prepared, tmp_path):
    with pytest.raises(UsageError, match="300 recordings of parquet in schema version 2, asked for 5 recordings"):
        prepare_command("parquet", source, prepared, limit=5, num_processes=1)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="take an empty or a new folder"):
        prepare_command("parquet", source, tmp_path, limit=None, num_processes=1)


def test_a_folder_inside_the_archive_is_refused(source):
    with pytest.raises(UsageError, match="where a later run would look for recordings"):
        prepare_command("parquet", source.parent, source.parent / "out", limit=None, num_processes=1)


def test_training_streams_a_prepared_folder_from_where_it_is(prepared, tmp_path):
    shards = prepared_shards(tmp_path / "run", [str(prepared)])
    assert [Path(path).parent for path in shards] == [prepared / "data"] * 8
    assert not (tmp_path / "run").exists()
    assert all(
        "/validation-" in path for path in prepared_shards(tmp_path / "run", [str(prepared)], split="validation")
    )
    train = report_of(prepared)["written"]["train"]
    assert len(list(texts_of(shards))) >= train
    ids = []
    for rank in range(2):
        stream = BatchStream(shards, lambda r, _: {"id": r.record_id}, lambda s: s, train // 2, rank=rank, world=2)
        ids += [sample["id"] for sample in next(iter(stream))]
    assert len(set(ids)) == train // 2 * 2


def test_training_adds_simulated_recordings_to_those_of_the_split(prepared, tmp_path):
    shards = prepared_shards(tmp_path / "run", [str(prepared)], simulated_count=2, split="validation", shards=1)
    rows = pq.read_table(shards[0])["record_id"].to_pylist()
    assert len(rows) == 2 + report_of(prepared)["written"]["validation"]


@pytest.mark.slow
def test_train_takes_a_prepared_folder(repository, prepared, tmp_path):
    command = [sys.executable, "train.py", "--data", str(prepared), "--validation", str(prepared), "--stages"]
    command += ["signal-text", "--steps", "2", "--batch-size", "4", "--output", str(tmp_path / "run")]
    done = subprocess.run(command, cwd=repository, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=500)
    assert done.returncode == 0
    assert not (tmp_path / "run" / "data").exists()
    assert (tmp_path / "run" / "checkpoint" / "model.safetensors").is_file()
    command[3] = str(prepared / "absent")
    refused = subprocess.run([*command[:-1], str(tmp_path / "other")], cwd=repository, capture_output=True, text=True)
    assert (
        refused.stderr.strip().splitlines()[-1].endswith("no Parquet file there; expected a file or a folder of files")
    )


@pytest.mark.slow
def test_the_page_on_data_says_what_runs(repository, tmp_path):
    text = (repository / "docs" / "data.md").read_text(encoding="utf-8")
    before, after = (block for kind, block in re.findall(r"```(python|bash)\n(.*?)```", text, re.S) if kind == "python")
    line = re.search(r"^ecgscan (prepare folder .*)$", text, re.M)
    assert line is not None
    command = f"import sys; from hub_scripts.cli import main; sys.argv[1:] = {line[1].split()!r}; main()"
    for code in (before, command, after):
        environment = {**os.environ, "PYTHONPATH": str(repository)}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert "(12, 5000)" in done.stdout
