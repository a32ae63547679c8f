"""What `ecgscan finetune` learns from: recordings of Parquet files, or pages of an image folder, each read once."""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np

from processing.folders import LABEL_SEPARATOR
from processing.pages import PageError, find_pages, open_page
from processing.parquet_rows import SIGNAL_COLUMNS, require_columns
from processing.prepared import prepared_shards_of
from processing.records import recording_of_row
from processing.wfdb_records import RecordError

from . import console
from .arguments import UsageError
from .loading import Reader
from .patients import validation_patients
from .side_by_side import side_by_side

SPLITS = ("train", "validation", "test")
_FILE_COLUMNS, _LABEL_COLUMNS = ("file_name", "file"), ("label", "labels")
_UNKNOWN = -32768  # of int16 microvolts: not known


@dataclass(frozen=True)
class Example:
    """One recording, or what was read of one page.

    Attributes:
        microvolts: (12, samples) int16 at the signal tower's rate, the lowest value where nothing is known.
        labels: what is true of it.
        patient: who it is of; no two examples share one where nobody said.
        split: one of `SPLITS`, or "" where nobody said.
        is_page: whether it is a reading, of which nothing more need be hidden.
    """

    microvolts: np.ndarray
    labels: tuple[str, ...]
    patient: str
    split: str
    is_page: bool

    def signal(self) -> tuple[np.ndarray, np.ndarray]:
        """(12, samples) float32 millivolts, 0 where unknown, and where they are known."""
        mask = self.microvolts != _UNKNOWN
        return np.where(mask, self.microvolts * np.float32(1e-3), np.float32(0)), mask


@dataclass
class Gathered:
    """Examples, and why others were left out: how many for each reason, and a sentence for each unusable file."""

    examples: list[Example] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Source:
    """Where an example comes from: a page's file or bytes, or a row of a Parquet file with its signal."""

    labels: tuple[str, ...]
    patient: str
    split: str
    page: Path | bytes | None = None
    row: dict[str, Any] | None = None


class Labelled(Protocol):
    """What has labels."""

    @property
    def labels(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Readings:
    """How pages become signals.

    Attributes:
        reader: reads them.
        cache: folder of readings, by the page's and the checkpoint's digest: each page is read once.
        num_processes: that read side by side.
    """

    reader: Reader
    cache: Path
    num_processes: int = 1


@dataclass(frozen=True)
class _Unusable:
    """Why a source makes no example, and a sentence where its file is at fault."""

    reason: str
    problem: str | None = None


def gather(
    data: Path,
    readings: Readings,
    check: Callable[[Sequence[Labelled]], object],
    parts: Sequence[str] = ("train", "validation"),
) -> Gathered:
    """Examples of `parts` of `data`, and those of which nobody said in which part they are; no other file is opened.

    Args:
        data: a folder of `ecgscan prepare`, a Parquet file or a folder of some, an image folder with a subfolder for
            each class (in folders named by split or not), or an image folder with a CSV (`file_name`; `label`, or
            `labels` separated by `;`; `patient_id` and `split` where known), or that CSV.
        check: stops, where labels can't be learned, before any page is read.
        parts: of `SPLITS`; where it is one alone, examples of which nobody said it are put into it.

    Raises:
        UsageError: `data` is none of these.
    """
    count, sources, of_pages = _sources(data, parts)
    if isinstance(sources, list):
        check([source for source in sources if source.labels and source.split in (*parts, "")])
    found = Gathered()
    make = partial(_example, cache=readings.cache, parts=tuple(parts))
    # rows of signals are made faster than they are sent to another process
    made = side_by_side(make, sources, readings.reader, readings.num_processes if of_pages else 1)
    with console.progress_bar("examples") as progress:
        for one in progress.track(made, total=count, description="examples"):
            if isinstance(one, Example):
                found.examples.append(one)
                continue
            found.left_out[one.reason] += 1
            if one.problem is not None:
                found.problems.append(one.problem)
    return found


def _example(reader: Reader, source: _Source, cache: Path, parts: tuple[str, ...]) -> Example | _Unusable:
    """What one source gives to learn from, or why it gives nothing."""
    if not source.labels:
        return _Unusable("no label")
    if source.split not in (*parts, ""):
        return _Unusable(f"{source.split} part")
    try:
        if source.row is not None:
            signal: Any = recording_of_row(source.row)
        else:
            signal = _reading(source.page, reader, cache)  # type: ignore[arg-type]
    except (PageError, ValueError) as error:
        return _Unusable("unreadable", str(error))
    is_page = source.row is None
    prepared = reader.processor.feature_extractor(signal, sampling_rate=500.0 if is_page else None)
    values, mask = prepared["signal_values"][0], prepared["signal_mask"][0].astype(bool)
    if not mask.any():
        return _Unusable("nothing read on the page" if is_page else "empty signal")
    scaled = np.clip(np.rint(values * 1000.0), _UNKNOWN + 1, 32767).astype(np.int16)
    microvolts = np.where(mask, scaled, np.int16(_UNKNOWN))
    split = parts[0] if len(parts) == 1 else source.split
    return Example(microvolts, source.labels, source.patient, split, is_page)


def _reading(page: Path | bytes, reader: Reader, cache: Path) -> np.ndarray:
    """(12, samples) millivolts read from a page, from the cache where it was read before."""
    if isinstance(page, Path) and not page.is_file():
        raise PageError(f"{page}: no such file; correct its row in the table")
    content = page if isinstance(page, bytes) else page.read_bytes()
    digest = sha256(content).hexdigest()[:24]
    stored = cache / f"{digest}-{reader.revision}.npy"
    if stored.is_file():
        return np.load(stored)
    cache.mkdir(parents=True, exist_ok=True)
    # the same page may be read by another process at this moment
    with TemporaryDirectory(dir=cache) as own:
        if isinstance(page, bytes):
            page = Path(own) / digest
            page.write_bytes(content)
        signal = reader.read([open_page(page).image])[0][0].signal
        np.save(Path(own) / stored.name, signal)
        (Path(own) / stored.name).replace(stored)
    return signal


def refuse_missing(data: Path) -> None:
    """Passes over a place that is there.

    Raises:
        UsageError: it is not.
    """
    if not data.exists():
        raise UsageError(f"{data}: no such file or folder; give Parquet files, an image folder or a CSV")


def _sources(data: Path, parts: Sequence[str]) -> tuple[int, Iterator[_Source] | list[_Source], bool]:
    """How many examples there may be, where each comes from, and whether pages are among them."""
    refuse_missing(data)
    if data.is_file() and data.suffix == ".parquet":
        return _parquet_sources([data], parts)
    try:
        shards = prepared_shards_of(data)
    except RecordError as error:
        raise UsageError(str(error)) from error
    if shards:
        return _parquet_sources(shards, parts)
    if data.is_dir() and sorted(data.glob("*.parquet")):
        return _parquet_sources(sorted(data.glob("*.parquet")), parts)
    table = data if data.suffix == ".csv" else _table_of(data)
    sources = list(_csv_sources(table) if table else _folder_sources(data))
    return len(sources), sources, True


def _split_of(name: str, told: str = "") -> str:
    """The split that is told, or that a file's or folder's name begins with, or ""."""
    return told or next((split for split in SPLITS if name.startswith(split)), "")


def _parquet_sources(files: list[Path], parts: Sequence[str]) -> tuple[int, Iterator[_Source], bool]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = [path for path in files if _split_of(path.name) in (*parts, "")]
    try:
        opened = [(path, pq.ParquetFile(path)) for path in files]
    except (pa.ArrowInvalid, OSError) as error:
        raise UsageError(f"a Parquet file can't be read ({error}); copy it again") from error
    for path, file in opened:
        columns = set(file.schema_arrow.names)
        if not columns & {"labels", "superclasses"} or not columns & {"signal", "image"}:
            raise UsageError(
                f"{path}: has the columns {', '.join(sorted(columns))}; expected labels and signal or image, as "
                "`processing.triplets.prepare` writes them"
            )
        if "image" not in columns:
            try:
                require_columns(path, columns, SIGNAL_COLUMNS)
            except RecordError as error:
                raise UsageError(str(error)) from error
    rows = (
        _row_source(row, path)
        for path, file in opened
        for batch in file.iter_batches(batch_size=64)
        for row in batch.to_pylist()
    )
    of_pages = any("image" in file.schema_arrow.names for _, file in opened)
    return sum(file.metadata.num_rows for _, file in opened), rows, of_pages


def _row_source(row: dict[str, Any], path: Path) -> _Source:
    labels = tuple(row.get("labels") or row.get("superclasses") or ())
    patient = str(row.get("patient_id") or f"record {row.get('record_id')}")
    split = _split_of(path.name, row.get("split") or "")
    image = row.get("image")
    if image and image.get("bytes"):
        return _Source(labels, patient, split, page=image["bytes"])
    return _Source(labels, patient, split, row=row)


def _table_of(folder: Path) -> Path | None:
    """The CSV of an image folder."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: is neither a folder, a Parquet file nor a CSV")
    tables = sorted(folder.glob("*.csv"))
    if len(tables) > 1:
        raise UsageError(f"{folder}: holds {len(tables)} CSV files; give the one with the labels instead of the folder")
    return tables[0] if tables else None


def _csv_sources(table: Path) -> Iterator[_Source]:
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        columns = rows.fieldnames or []
        names = [next((name for name in wanted if name in columns), "") for wanted in (_FILE_COLUMNS, _LABEL_COLUMNS)]
        if not all(names):
            raise UsageError(
                f"{table}: has the columns {', '.join(columns) or 'none'}; expected file_name and label, or labels "
                f"separated by {LABEL_SEPARATOR!r}"
            )
        for row in rows:
            path = table.parent / row[names[0]]
            labels = tuple(part.strip() for part in (row[names[1]] or "").split(LABEL_SEPARATOR) if part.strip())
            patient = row.get("patient_id") or f"file {row[names[0]]}"
            yield _Source(labels, patient, _split_of("", row.get("split") or ""), page=path)


def _folder_sources(folder: Path) -> Iterator[_Source]:
    parts = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if parts and all(part.name in SPLITS for part in parts):
        for part in parts:
            yield from (replace(source, split=part.name) for source in _folder_sources(part))
        return
    if not parts:
        raise UsageError(
            f"{folder}: holds neither class folders, a CSV nor Parquet files; see `ecgscan finetune --help`"
        )
    for part in parts:
        for path in find_pages([part]):
            yield _Source((part.name,), f"file {path}", "", page=path)


@dataclass(frozen=True)
class Task:
    """What is learned: labels in the order of the head's outputs, and whether several may hold."""

    labels: tuple[str, ...]
    several: bool

    def target(self, example: Example) -> np.ndarray | int:
        """What the loss takes: (labels,) of 0 and 1, or the number of the class."""
        if self.several:
            return np.array([label in example.labels for label in self.labels], np.float32)
        return next(number for number, label in enumerate(self.labels) if label in example.labels)

    def truth(self, examples: Iterable[Example]) -> np.ndarray:
        """(examples, labels) bool."""
        return np.array([[label in example.labels for label in self.labels] for example in examples])

    def refuse_others(self, examples: Iterable[Labelled]) -> None:
        """Stops where one class is to be told and an example has another, or several."""
        for example in examples:
            if not self.several and len(set(example.labels) & set(self.labels)) != 1:
                raise UsageError(
                    f"an example has the labels {', '.join(example.labels)}; expected one of {', '.join(self.labels)}, "
                    "which the training examples have"
                )


def task_of(examples: Sequence[Labelled], wanted: tuple[str, ...], head: Task | None) -> Task:
    """The task that the labels make.

    Args:
        wanted: labels to learn; all where empty.
        head: what a checkpoint that was fine-tuned before tells, or None.

    Raises:
        UsageError: labels that nothing has or that the head lacks, or nothing to tell apart.
    """
    if not examples:
        raise UsageError("no example has a label; expected pages or signals with labels")
    known = Counter(label for example in examples for label in set(example.labels))
    missing = [label for label in wanted if label not in known]
    if missing:
        raise UsageError(f"--labels: no example has {', '.join(missing)}; the data have {', '.join(sorted(known))}")
    labels = wanted or tuple(sorted(known))
    if all(known[label] == len(examples) for label in labels):
        raise UsageError(
            f"all {len(examples)} examples have the same label, {', '.join(labels)}; expected at least two classes"
        )
    counts = [len(set(example.labels) & set(labels)) for example in examples]
    task = Task(labels, len(labels) == 1 or any(count != 1 for count in counts))
    if head is None:
        return task
    alien = [label for label in labels if label not in head.labels]
    if alien or (task.several and not head.several):
        raise UsageError(
            f"the data's labels ({', '.join(alien or labels)}{'' if alien else ', several at once'}) do not match the "
            f"checkpoint's head, which tells {'any' if head.several else 'one'} of {', '.join(head.labels)}; "
            "choose with --labels, or start from another --model"
        )
    return head


def split_examples(examples: list[Example]) -> tuple[list[Example], list[Example]]:
    """Training and validation examples: as told, else every fifth patient of a label.

    Raises:
        UsageError: a part is empty.
    """
    if any(example.split for example in examples):
        parts = [[example for example in examples if example.split == split] for split in SPLITS[:2]]
        if not parts[1]:
            raise UsageError("the data have a training part but no validation part; add one, or name no split at all")
    else:
        held = validation_patients({example.patient: min(example.labels) for example in examples})
        parts = [[example for example in examples if (example.patient in held) == side] for side in (False, True)]
    if not all(parts):
        raise UsageError(
            f"{len(examples)} examples split into {len(parts[0])} for training and {len(parts[1])} for validation; "
            "give more patients"
        )
    return parts[0], parts[1]
