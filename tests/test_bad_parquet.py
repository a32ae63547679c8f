"""Parquet files that commands can't use, whole or in part."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from processing.prepared import row_of
from processing.simulator import simulate


def test_render_goes_on_past_bad_rows(ecgscan, tmp_path):
    rows = [row_of(replace(simulate(seed), record_id=f"r{seed}"), "") for seed in range(3)]
    rows[0] |= {"signal": b"", "n_samples": 0}
    rows[1]["sampling_rate"] = -5
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    code, out, err = ecgscan("render", tmp_path / "rows.parquet", "nowhere", "simulator:1", "--out", tmp_path / "out")
    assert code == 2
    assert "2 pages" in out
    assert [line.split(":")[1].strip() for line in err.strip().splitlines()] == ["r0", "r1", "nowhere"]


@pytest.mark.parametrize(
    "command",
    [
        ("benchmark", "measurements", "--data", "cut.parquet"),
        ("evaluate", *("--train", "cut.parquet", "--validation", "cut.parquet", "--test", "cut.parquet"), "--out", "o"),
    ],
)
def test_a_damaged_parquet_file_is_one_line_for_every_command(ecgscan, tiny, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    Path("cut.parquet").write_bytes(b"PAR1 and no more")
    code, _, err = ecgscan(*command, *(("--model", tiny) if command[0] == "evaluate" else ()))
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert "cut.parquet: no whole Parquet file; copy or make it again" in err
