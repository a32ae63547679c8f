"""Where training data come from: Parquet files, prepared once into shards, and the simulator."""

import json
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path

from processing.findings import SUPERCLASS_PHRASES
from processing.parquet_rows import open_parquet
from processing.prepared import pages_alone, prepared_split
from processing.records import labelled_recording, try_parquet
from processing.triplets import prepare, scp_phrases, simulated

from .arguments import UsageError

_NOTE = "prepared.json"


def parquet_files(paths: list[str], split: str = "train") -> list[Path]:
    """Parquet files of some files and folders, in a fixed order; of folders of `ecgscan prepare` those of a split."""
    found: list[Path] = []
    for path in map(Path, paths):
        inside = prepared_split(path, split) or (sorted(path.rglob("*.parquet")) if path.is_dir() else [path])
        if not inside or not all(file.is_file() for file in inside):
            raise UsageError(f"{path}: no Parquet file there; expected a file or a folder of files")
        found += inside
    return found


def prepared_shards(
    folder: Path,
    paths: list[str],
    *,
    simulated_count: int = 0,
    statements: str | None = None,
    split: str = "train",
    shards: int = 8,
    seed: int = 0,
) -> list[str]:
    """Shards of everything asked for, written on the first call and found again on the next.

    Folders of `ecgscan prepare` are shards already: given alone they are streamed from where they are.

    Args:
        folder: receives the shards and a note of what they hold.
        paths: Parquet files and folders, as `processing.triplets.labelled_parquet` reads them.
        simulated_count: recordings of the simulator added to them.
        statements: CSV of SCP-ECG statements, for English labels.
    """
    sources = parquet_files(paths, split)
    if paths and not simulated_count and all(prepared_split(Path(path), split) for path in paths):
        return [str(path) for path in sources]
    wanted = {"sources": [str(path) for path in sources], "simulated": simulated_count, "seed": seed}
    note = folder / _NOTE
    found = json.loads(note.read_text()) if note.exists() else None
    if found is not None and found["wanted"] != wanted:
        raise UsageError(f"{folder} was made from {found['wanted']}, asked for {wanted}; take another --output")
    if found is None:
        labelled = partial(labelled_recording, statements=scp_phrases(statements) if statements else None)
        recordings = chain(
            chain.from_iterable(try_parquet(path, labelled, pages=True) for path in sources),
            simulated(simulated_count, seed),
        )
        counts = prepare(recordings, folder, split=split, shards=shards, seed=seed)
        if not counts["written"]:
            raise UsageError(
                f"{folder}: nothing to train on was found ({counts}); give --data with recordings, or --simulated"
            )
        note.write_text(json.dumps({"wanted": wanted, "counts": counts}, indent=1))
        print(f"{split}: {counts}")
    return sorted(str(path) for path in folder.glob("*.parquet"))


def pages_left_out(paths: list[str], split: str = "train") -> Iterator[str]:
    """A sentence for each prepared folder with pages that no stage can train on."""
    for path in paths:
        if count := pages_alone(Path(path)).get(split):
            yield f"{path}: {count} pages of {split} without a signal are left out: training needs signals"


def texts_of(shards: list[str]) -> Iterator[str]:
    """Every report and every recording's labels as a sentence: what the tokenizer learns from."""
    for path in shards:
        for batch in open_parquet(path).iter_batches(columns=["report", "labels"]):
            for row in batch.to_pylist():
                labels = ", ".join(SUPERCLASS_PHRASES.get(label, label) for label in row["labels"])
                yield from (text for text in (row["report"], labels) if text)
