"""Parquet files opened, and rows of recordings read from them, or one sentence that says why not."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .wfdb_records import RecordError

# Columns without which a row is no recording.
SIGNAL_COLUMNS = ("record_id", "signal", "leads", "n_samples", "sampling_rate")
# Of the shards that we write. Version 2 brought the column `image`; shards of version 1 are read as they are.
SCHEMA_VERSION = 2
SCHEMA_KEY = b"ecgscan_schema"
_READABLE = ("1", str(SCHEMA_VERSION))
_ROWS_TOGETHER = 32


def open_parquet(path: str | Path) -> Any:
    """A Parquet file, opened.

    Raises:
        RecordError: it is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except FileNotFoundError as error:
        raise RecordError("missing file", f"{path}: there is no such file; copy or make it again") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise RecordError("damaged file", f"{path}: no whole Parquet file; copy or make it again") from error


def require_columns(path: str | Path, found: Iterable[str], expected: Iterable[str]) -> None:
    """Passes over a table that has the expected columns.

    Raises:
        RecordError: it lacks some.
    """
    found = list(found)
    missing = [column for column in expected if column not in found]
    if missing:
        raise RecordError("missing column", f"{path}: lacks the columns {missing}; expected them beside {found[:12]}")


def schema_version(path: str | Path, found: Any) -> str | None:
    """The version of a prepared shard's Arrow schema, None where the file is none of ours.

    Raises:
        RecordError: it is a version that can't be read.
    """
    version = (found.metadata or {}).get(SCHEMA_KEY)
    if version is not None and version.decode() not in _READABLE:
        raise RecordError(
            "schema",
            f"{path}: schema version {version.decode()}, expected 1 to {SCHEMA_VERSION}; run `ecgscan prepare` again",
        )
    return None if version is None else version.decode()


def recording_rows(path: str | Path, *, pages: bool = False) -> Iterator[dict[str, Any]]:
    """Rows of a file of recordings, one at a time.

    Args:
        pages: whether rows bring along the pages that their archive has of them.

    Raises:
        RecordError: the file is missing or damaged, lacks a column or is a shard of another version; rows before the
            damage have been given by then.
    """
    file = open_parquet(path)
    schema_version(path, file.schema_arrow)
    names = file.schema_arrow.names
    require_columns(path, names, SIGNAL_COLUMNS)
    batches = file.iter_batches(_ROWS_TOGETHER, columns=[name for name in names if pages or name != "image"])
    while True:
        try:
            batch = next(batches, None)
        except (OSError, ValueError) as error:
            raise RecordError("damaged file", f"{path}: it is damaged ({error}); copy or make it again") from error
        if batch is None:
            return
        yield from batch.to_pylist()
