"""The schema of prepared recordings: its columns and version, what a recording must be to become a row, its shards."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .leads import LEAD_LAWS, LEADS, law_residuals
from .parquet_rows import SCHEMA_KEY, SCHEMA_VERSION, open_parquet, require_columns, schema_version
from .records import Recording, encode_plain
from .wfdb_records import RecordError

SPLITS = ("train", "validation", "test")
ROWS_PER_GROUP = 32
# Files of a prepared folder: what was asked for, and, once it is whole, what came of it.
PLAN, REPORT = ".prepare/plan.json", "report.json"

_SHORTEST_S = 1.0
_RATES_HZ = (50, 2000)
# How far the voltage of the middle lead moves within 20 ms in its quickest half percent. Of 2,000 real recordings
# none lies outside 0.27 to 2.8 mV; a gain that is wrong by a factor of ten usually does.
_JUMPS_MV, _JUMPS_SHARE = (0.1, 6.0), 0.005
_LARGEST_MV = 32.767
# Lawful recordings stay below 0.01 mV; swapped limb leads and leads of different gain do not.
_LAW_RESIDUAL_MV = 0.05


def schema() -> Any:
    """The Arrow schema of a shard.

    `signal` is little-endian int16 microvolts, lead after lead; `image` the page of archives that have some, which
    `datasets` opens as a picture. Of pages whose signal nobody knows, `signal` and `sampling_rate` are null.
    """
    import pyarrow as pa

    words = pa.list_(pa.string())
    columns = {
        "record_id": pa.string(),
        "patient_id": pa.string(),
        "signal": pa.binary(),
        "leads": words,
        "n_samples": pa.int64(),
        "sampling_rate": pa.int64(),
        "report": pa.string(),
        "labels": words,
        "age": pa.float64(),
        "sex": pa.string(),
        "split": pa.string(),
        "image": pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    }
    features = json.dumps({"info": {"features": {"image": {"_type": "Image"}}}})
    metadata = {SCHEMA_KEY: str(SCHEMA_VERSION), "huggingface": features}
    return pa.schema(list(columns.items()), metadata=metadata)


def check(recording: Recording) -> None:
    """Passes over a recording that can become a row; leads with unknown samples are left out of it.

    Raises:
        RecordError: it is too short, has no complete lead, or its rate, voltages or limb leads can't be right.
    """
    name, rate = recording.record_id, recording.sampling_rate
    if not recording.signal.shape[1]:
        raise RecordError("no samples", f"{name}: 0 samples; expected a recording")
    if not _RATES_HZ[0] <= rate <= _RATES_HZ[1] or rate != round(rate):
        raise RecordError(
            "sampling rate", f"{name}: {rate:g} Hz; expected whole hertz from {_RATES_HZ[0]} to {_RATES_HZ[1]}"
        )
    if recording.duration_s < _SHORTEST_S:
        raise RecordError("too short", f"{name}: {recording.duration_s:.2f} s; expected at least {_SHORTEST_S:g} s")
    complete = complete_leads(recording)
    if not complete.any():
        raise RecordError("no complete lead", f"{name}: every lead has unknown samples (NaN); expected one without")
    _check_voltages(name, recording.signal[complete], rate)
    _check_laws(name, np.where(complete[:6, None], recording.signal[:6], np.nan))


def _check_voltages(name: str, signal: np.ndarray, rate: float) -> None:
    largest = float(max(signal.max(), -signal.min()))
    step = max(1, round(0.02 * rate))
    jumps = np.abs(signal[:, step:] - signal[:, :-step])
    # Shares rather than quantiles: they are several times as fast.
    slow, fast = ((np.median((jumps > limit).mean(axis=1)) > _JUMPS_SHARE) for limit in _JUMPS_MV)
    if largest > _LARGEST_MV or fast or not slow:
        jump = float(np.median(np.quantile(jumps, 1 - _JUMPS_SHARE, axis=1)))
        raise RecordError(
            "gain",
            f"{name}: reaches {largest:.4g} mV and moves by {jump:.2g} mV within 20 ms; expected at most "
            f"{_LARGEST_MV:g} mV and {_JUMPS_MV[0]:g} to {_JUMPS_MV[1]:g} mV: correct gain and unit",
        )


def _check_laws(name: str, limb: np.ndarray) -> None:
    for law, residual in zip(LEAD_LAWS, np.abs(law_residuals(limb)), strict=True):
        if np.mean(residual > _LAW_RESIDUAL_MV) > 0.05:
            raise RecordError(
                "lead laws",
                f"{name}: misses {law} by {np.quantile(residual, 0.95):.2g} mV; expected less than "
                f"{_LAW_RESIDUAL_MV:g} mV: correct the names or gains of the limb leads",
            )


def complete_leads(recording: Recording) -> np.ndarray:
    """(12,) bool: which leads have no unknown sample."""
    return np.isfinite(recording.signal).all(axis=1)


def row_of(recording: Recording, split: str) -> dict[str, Any]:
    """The row of a recording that `check` passed, or of a page without a signal."""
    known = recording.signal.shape[1] > 0
    complete = complete_leads(recording) & known
    return {
        "record_id": recording.record_id,
        "patient_id": recording.patient_id,
        "signal": encode_plain(recording.signal[complete]) if known else None,
        "leads": [lead for lead, present in zip(LEADS, complete, strict=True) if present],
        "n_samples": recording.signal.shape[1],
        "sampling_rate": int(recording.sampling_rate) if known else None,
        "report": recording.report,
        "labels": list(recording.labels),
        "age": recording.age,
        "sex": recording.sex,
        "split": split,
        "image": None if recording.page is None else {"bytes": recording.page, "path": None},
    }


class ShardWriter:
    """Writes rows into a Parquet file that stands under its name only when it is whole; none is written empty."""

    def __init__(self, path: Path):
        self.path, self.rows = path, 0
        self._part = path.with_name(f".{path.name}.part")
        self._waiting: list[dict] = []
        self._writer: Any = None

    def __enter__(self) -> "ShardWriter":
        return self

    def add(self, row: dict[str, Any]) -> None:
        self._waiting.append(row)
        self.rows += 1
        if len(self._waiting) == ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._writer is None:
            self._writer = pq.ParquetWriter(self._part, schema(), compression="zstd")
        self._writer.write_table(pa.Table.from_pylist(self._waiting, schema=schema()))
        self._waiting.clear()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        # An empty row group would stop the readers of `datasets`.
        if self._waiting and kind is None:
            self._flush()
        if self._writer is not None:
            self._writer.close()
            if kind is None:
                os.replace(self._part, self.path)
            else:
                self._part.unlink()


def check_shards(shards: Iterable[str | Path]) -> None:
    """Passes over shards of this schema.

    Raises:
        RecordError: one is missing, damaged, of another version, or lacks a column.
    """
    for path in shards:
        found = open_parquet(path).schema_arrow
        version = schema_version(path, found)
        if version is None:
            raise RecordError("schema", f"{path}: no prepared shard; run `ecgscan prepare`")
        require_columns(path, found.names, [name for name in schema().names if name != "image" or version != "1"])


def prepared_split(folder: Path, split: str) -> list[Path] | None:
    """The shards of one split of a folder that `ecgscan prepare` wrote, or None where it is no such folder.

    Raises:
        RecordError: the folder is not finished, lacks the split, or its shards are damaged or of another schema.
    """
    report = _report_of(folder)
    if report is None:
        return None
    rows = report.get("written", {})
    if not rows and report.get("pages"):
        raise RecordError(
            "no signal",
            f"{folder}: holds pages without a signal only, and training needs signals; name the WFDB record that each "
            "page shows, or learn labels from them with `ecgscan finetune`",
        )
    if split not in rows:
        raise RecordError("split", f"{folder}: has no split {split}; expected one of {list(rows)}")
    return _whole_split(folder, "data", split, rows[split])


def prepared_shards_of(folder: Path) -> list[Path]:
    """All shards of a folder that `ecgscan prepare` wrote, pages without a signal too; none of another folder.

    Raises:
        RecordError: the folder is not finished, or its shards are damaged or of another schema.
    """
    report = _report_of(folder) or {}
    places = (("data", report.get("written", {})), ("pages", report.get("pages", {})))
    return [
        path
        for place, written in places
        for split, rows in written.items()
        for path in _whole_split(folder, place, split, rows)
    ]


def pages_alone(folder: Path) -> dict[str, int]:
    """By split, the pages of a prepared folder whose signal nobody knows; none of a folder of another kind."""
    report = folder / REPORT
    return json.loads(report.read_text(encoding="utf-8")).get("pages", {}) if report.is_file() else {}


def _report_of(folder: Path) -> dict[str, Any] | None:
    """What a finished preparation wrote about itself, or None where the folder is of another kind."""
    if not (folder / PLAN).is_file() and not (folder / REPORT).is_file():
        return None
    if not (folder / REPORT).is_file():
        raise RecordError("unfinished", f"{folder}: its preparation was stopped; run the same `ecgscan prepare` again")
    return json.loads((folder / REPORT).read_text(encoding="utf-8"))


def _whole_split(folder: Path, place: str, split: str, rows: int) -> list[Path]:
    shards = sorted((folder / place).glob(f"{split}-*.parquet"))
    check_shards(shards)
    found = sum(open_parquet(path).metadata.num_rows for path in shards)
    if found != rows:
        raise RecordError(
            "rows", f"{folder}: {found} rows in {split}, expected {rows}; run the same `ecgscan prepare` again"
        )
    return shards
