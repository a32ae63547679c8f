"""Training data through HF Datasets: recordings prepared as Parquet shards, streamed, rendered inside the workers."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import IterableDataset

from .findings import SUPERCLASS_PHRASES
from .leads import LEADS
from .records import Recording, encode_plain, read_parquet, recording_of_row

_ROWS_PER_GROUP = 32
_SHUFFLE_ROWS = 512
_SHORTEST_S = 1.0


def prepare(
    recordings: Iterable[Recording],
    folder: str | Path,
    *,
    split: str = "train",
    shards: int = 8,
    seed: int = 0,
    limit: int | None = None,
) -> dict[str, int]:
    """Writes recordings as Parquet shards that every training stage streams.

    Args:
        recordings: any number; rows are dealt to the shards at random, so a shard is a fair sample; none is
            written empty.
        folder: receives `<split>-<shard>-of-<shards>.parquet`.
        limit: stops after that many recordings.

    Returns:
        How many rows were `written`, and how many recordings were dropped, by reason.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng, counts = np.random.default_rng(seed), Counter(written=0)
    names = [folder / f"{split}-{index:03d}-of-{shards:03d}.parquet" for index in range(shards)]
    schema = pa.schema(_SCHEMA)
    writers = [pq.ParquetWriter(name, schema, compression="zstd") for name in names]
    waiting: list[list[dict]] = [[] for _ in names]

    def flush(index: int) -> None:
        # An empty row group would stop the readers of `datasets`.
        if waiting[index]:
            writers[index].write_table(pa.Table.from_pylist(waiting[index], schema=schema))
            waiting[index].clear()

    try:
        for recording in recordings:
            if limit is not None and counts["written"] >= limit:
                break
            reason = _unusable(recording)
            if reason:
                counts[reason] += 1
                continue
            if counts["written"] % shards == 0:
                deal = rng.permutation(shards)
            index = int(deal[counts["written"] % shards])
            waiting[index].append(_row(recording, split))
            counts["written"] += 1
            if len(waiting[index]) == _ROWS_PER_GROUP:
                flush(index)
        for index in range(shards):
            flush(index)
    finally:
        for writer in writers:
            writer.close()
    for name in names:
        if not count_rows([name]):
            name.unlink()
    return dict(counts)


def _schema() -> list[tuple[str, Any]]:
    import pyarrow as pa

    words = pa.list_(pa.string())
    return [
        ("record_id", pa.string()),
        ("patient_id", pa.string()),
        ("signal", pa.binary()),
        ("leads", words),
        ("n_samples", pa.int64()),
        ("sampling_rate", pa.int64()),
        ("report", pa.string()),
        ("labels", words),
        ("age", pa.float64()),
        ("sex", pa.string()),
        ("split", pa.string()),
    ]


_SCHEMA = _schema()


def _unusable(recording: Recording) -> str | None:
    if recording.duration_s < _SHORTEST_S:
        return "too short"
    if not np.isfinite(recording.signal).all(axis=1).any():
        return "no complete lead"
    return None


def _row(recording: Recording, split: str) -> dict[str, Any]:
    complete = np.isfinite(recording.signal).all(axis=1)
    return {
        "record_id": recording.record_id,
        "patient_id": recording.patient_id,
        "signal": encode_plain(recording.signal[complete]),
        "leads": [lead for lead, present in zip(LEADS, complete, strict=True) if present],
        "n_samples": recording.signal.shape[1],
        "sampling_rate": int(round(recording.sampling_rate)),
        "report": recording.report,
        "labels": list(recording.labels),
        "age": recording.age,
        "sex": recording.sex,
        "split": split,
    }


def labelled_parquet(path: str | Path, statements: dict[str, str] | None = None) -> Iterator[Recording]:
    """Recordings of a Parquet file of ECG archives, with everything known about them as English labels.

    Args:
        path: as `processing.records.read_parquet` reads it; the columns `scp_codes` (JSON) and `dx_names` are used
            where they are present.
        statements: English phrase by SCP-ECG code.
    """
    import pyarrow.parquet as pq

    columns = set(pq.ParquetFile(path).schema_arrow.names)
    if not columns & {"scp_codes", "dx_names"}:
        yield from read_parquet(path)
        return
    for batch in pq.ParquetFile(path).iter_batches(batch_size=64):
        for row in batch.to_pylist():
            recording = recording_of_row(row)
            codes = json.loads(row.get("scp_codes") or "{}")
            phrases = [(statements or {}).get(code, code) for code in codes]
            phrases += [str(name) for name in (row.get("dx_names") or [])]
            yield replace(recording, labels=(*recording.labels, *phrases))


def scp_phrases(path: str | Path) -> dict[str, str]:
    """English phrase by SCP-ECG code, from PTB-XL's `scp_statements.csv`."""
    import csv

    with open(path, newline="", encoding="utf-8") as file:
        return {row[""]: row["description"] for row in csv.DictReader(file)}


def simulated(count: int, seed: int = 0) -> Iterator[Recording]:
    """`count` recordings of the simulator, every rhythm as often, its name among the labels."""
    from .simulator import RHYTHMS, simulate

    rng = np.random.default_rng(seed)
    for index in range(count):
        rhythm = "sinus_rhythm" if rng.random() < 0.4 else str(rng.choice(RHYTHMS))
        recording = simulate(seed * 1_000_003 + index, rhythm=rhythm)
        yield replace(recording, labels=(*recording.labels, rhythm.replace("_", " ")))


def label_text(labels: Iterable[str], rng: np.random.Generator) -> tuple[str, list[str]]:
    """An English sentence that says some of the labels, and which it says ("" and none where there are no labels)."""
    labels = list(labels)
    if not labels:
        return "", []
    count = int(rng.integers(1, len(labels) + 1))
    chosen = [labels[index] for index in rng.permutation(len(labels))[:count]]
    separator = str(rng.choice([", ", ". ", "; "]))
    return separator.join(SUPERCLASS_PHRASES.get(label, label) for label in chosen), chosen


class BatchStream(IterableDataset):
    """Endless batches from Parquet shards, the same whatever the number of workers or processes.

    Rows come in an order that depends on the seed and the epoch alone; every worker passes over all rows without
    decoding them and makes samples of its own share only. A training that stopped after k batches goes on with
    `start=k`.

    Args:
        shards: Parquet files in the prepared schema.
        make_sample: sample of a `Recording` and a random generator of its own.
        collate: batch of a list of samples.
        batch_size: rows per batch and process.
        seed: order and augmentation.
        start: batches to pass over, each process counting its own.
        rank, world: this process and the number of processes.
    """

    def __init__(
        self,
        shards: Sequence[str | Path],
        make_sample: Callable[[Recording, np.random.Generator], dict],
        collate: Callable[[list[dict]], dict],
        batch_size: int,
        seed: int = 0,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
    ):
        super().__init__()
        if not shards:
            raise ValueError("no Parquet shards to train on; write some with processing.triplets.prepare")
        self.shards = sorted(str(path) for path in shards)
        self.make_sample, self.collate = make_sample, collate
        self.batch_size, self.seed, self.start = batch_size, seed, start
        self.rank, self.world = rank, world
        self.rows = count_rows(self.shards)

    def _rows_from(self, first: int) -> Iterator[tuple[int, dict]]:
        """Numbered raw rows, epoch after epoch, from row `first` on."""
        from datasets import load_dataset

        stream = load_dataset("parquet", data_files=self.shards, split="train", streaming=True)
        epoch, position = divmod(first, self.rows)
        while True:
            order = stream.shuffle(seed=self.seed + epoch, buffer_size=_SHUFFLE_ROWS)
            if position:
                order = order.skip(position)
            # iter() rather than iteration: the latter would give each worker its own files only.
            for batch in order.iter(batch_size=1):
                yield epoch * self.rows + position, {name: values[0] for name, values in batch.items()}
                position += 1
            epoch, position = epoch + 1, 0

    def __iter__(self) -> Iterator[dict]:
        from torch.utils.data import get_worker_info

        worker = get_worker_info()
        index, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        per_step = self.batch_size * self.world
        samples: list[dict] = []
        for number, row in self._rows_from(self.start * per_step):
            step, place = divmod(number, per_step)
            if (step - self.start) % workers != index or place // self.batch_size != self.rank:
                continue
            rng = np.random.default_rng([self.seed, number])
            samples.append(self.make_sample(recording_of_row(row), rng))
            if len(samples) == self.batch_size:
                yield self.collate(samples)
                samples = []


def count_rows(shards: Iterable[str | Path]) -> int:
    """Rows of some Parquet files, from their footers."""
    import pyarrow.parquet as pq

    return sum(pq.ParquetFile(path).metadata.num_rows for path in shards)


def known_labels(shards: Iterable[str | Path]) -> list[str]:
    """All labels that occur in some prepared shards, sorted."""
    import pyarrow.parquet as pq

    found: set[str] = set()
    for path in shards:
        for labels in pq.read_table(path, columns=["labels"])["labels"].to_pylist():
            found.update(labels or ())
    return sorted(found)
