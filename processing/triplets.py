"""Training data through HF Datasets: recordings prepared as Parquet shards, streamed, rendered inside the workers."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch.utils.data import IterableDataset

from .findings import SUPERCLASS_PHRASES
from .listings import read_table
from .parquet_rows import open_parquet, recording_rows
from .prepared import ShardWriter, check, row_of, schema
from .records import Recording, labelled_recording, recording_of_row
from .wfdb_records import RecordError

# Rows that are shuffled at a time: so many, or, where they carry pages, what this many bytes hold.
_SHUFFLE_ROWS, _SHUFFLE_BYTES = 512, 256_000_000


def prepare(
    recordings: Iterable[Recording | RecordError],
    folder: str | Path,
    *,
    split: str = "train",
    shards: int = 8,
    seed: int = 0,
    limit: int | None = None,
) -> dict[str, int]:
    """Writes recordings as Parquet shards that every training stage streams.

    Args:
        recordings: any number, or why one can't be read; rows are dealt to the shards at random, so a shard is a
            fair sample; none is written empty.
        folder: receives `<split>-<shard>-of-<shards>.parquet`.
        limit: stops after that many recordings.

    Returns:
        How many rows were `written`, and how many recordings were dropped, by reason.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng, counts = np.random.default_rng(seed), Counter(written=0)
    with ExitStack() as stack:
        names = [folder / f"{split}-{index:03d}-of-{shards:03d}.parquet" for index in range(shards)]
        writers = [stack.enter_context(ShardWriter(name)) for name in names]
        for recording in recordings:
            if limit is not None and counts["written"] >= limit:
                break
            try:
                if isinstance(recording, RecordError):
                    raise recording
                check(recording)
            except RecordError as error:
                counts[error.reason] += 1
                continue
            if counts["written"] % shards == 0:
                deal = rng.permutation(shards)
            writers[int(deal[counts["written"] % shards])].add(row_of(recording, split))
            counts["written"] += 1
    return dict(counts)


def labelled_parquet(
    path: str | Path, statements: dict[str, str] | None = None, *, pages: bool = False
) -> Iterator[Recording]:
    """Recordings of a Parquet file of ECG archives, with everything known about them as English labels.

    Args:
        path: as `processing.records.read_parquet` reads it; the columns `scp_codes` (JSON) and `dx_names` are used
            where they are present.
        statements: English phrase by SCP-ECG code.
        pages: whether recordings bring along the pages that their archive has of them.
    """
    return (labelled_recording(row, statements) for row in recording_rows(path, pages=pages))


def scp_phrases(path: str | Path) -> dict[str, str]:
    """English phrase by SCP-ECG code, from PTB-XL's `scp_statements.csv`."""
    return {row[""]: row["description"] for row in read_table(Path(path), ("", "description"))}


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
        pages: whether recordings bring along the pages that their archive has of them.
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
        pages: bool = False,
    ):
        super().__init__()
        if not shards:
            raise ValueError("no Parquet shards to train on; write some with processing.triplets.prepare")
        self.shards = sorted(str(path) for path in shards)
        self.make_sample, self.collate = make_sample, collate
        self.batch_size, self.seed, self.start = batch_size, seed, start
        self.rank, self.world, self.pages = rank, world, pages
        self.rows = count_rows(self.shards)

    def _rows_from(self, first: int) -> Iterator[tuple[int, dict]]:
        """Numbered raw rows, epoch after epoch, from row `first` on."""
        from datasets import Features, Image, load_dataset

        features = Features.from_arrow_schema(schema()) | {"image": Image(decode=False)}
        # Shards without the column have no pages; asked for by name it would have to be in all of them.
        columns = None if self.pages else [name for name in features if name != "image"]
        stream = load_dataset(
            "parquet",
            data_files=self.shards,
            split="train",
            streaming=True,
            features=Features(features),
            columns=columns,
        )
        together = _SHUFFLE_ROWS
        if self.pages:
            together = min(together, max(1, _SHUFFLE_BYTES // bytes_per_row(self.shards)))
        epoch, position = divmod(first, self.rows)
        while True:
            # Shards one by one, each being a fair sample: read side by side, `datasets` waits 5 s when they end.
            order = stream.shuffle(seed=self.seed + epoch, buffer_size=together, max_buffer_input_shards=1)
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


def bytes_per_row(shards: Iterable[str | Path]) -> int:
    """What a row of some Parquet files takes in memory, on average, from their footers."""
    footers = [open_parquet(path).metadata for path in shards]
    held = sum(footer.row_group(group).total_byte_size for footer in footers for group in range(footer.num_row_groups))
    return max(1, held // sum(footer.num_rows for footer in footers))


def known_labels(shards: Iterable[str | Path]) -> list[str]:
    """All labels that occur in some prepared shards, sorted."""
    import pyarrow.parquet as pq

    found: set[str] = set()
    for path in shards:
        for labels in pq.read_table(path, columns=["labels"])["labels"].to_pylist():
            found.update(labels or ())
    return sorted(found)
