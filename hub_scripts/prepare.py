"""`ecgscan prepare`: an archive of recordings in, checked Parquet shards with a dataset card and a report out."""

import json
import multiprocessing
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import product
from math import ceil
from pathlib import Path
from time import perf_counter

import numpy as np

from processing.archives import list_archive, read_entries
from processing.leads import LEADS
from processing.listings import Drop, Entry, Listing
from processing.parquet_rows import SCHEMA_VERSION, open_parquet
from processing.prepared import (
    PLAN,
    REPORT,
    ROWS_PER_GROUP,
    SPLITS,
    ShardWriter,
    check,
    complete_leads,
    row_of,
)
from processing.wfdb_records import RecordError

from . import console
from .arguments import UsageError
from .prepared_card import print_report, write_report
from .read import prepare_folder

_ROWS_PER_SHARD, _PAGES_PER_SHARD = 1000, 200
# Recordings, and pages whose signal nobody knows: no stage of training may meet one of these unawares.
_RECORDINGS, _PAGES = "data", "pages"
# Small data sets too are spread over some files: whoever streams them with workers gives each its own.
_LEAST_SHARDS = 8
# What makes the exit code 2; the other reasons are judgements about recordings that could be read.
_UNUSABLE = {"missing file", "damaged file", "damaged table", "missing column", "unreadable page"}


@dataclass(frozen=True)
class Shard:
    """One file to write, in one of two folders, and the recordings dealt to it."""

    folder: str
    split: str
    name: str
    source: str
    entries: tuple[Entry, ...]


@dataclass
class ShardNote:
    """What came of a shard; its file beside the plan says that the shard is done."""

    rows: int
    drops: list[Drop]
    incomplete: int
    with_page: int


def prepare_command(source: str, path: Path, out: Path, *, limit: int | None, num_processes: int) -> int:
    """Prepares an archive, or goes on where an earlier run was stopped; returns the exit code."""
    started = perf_counter()
    if out.resolve().is_relative_to(path.resolve()):
        raise UsageError(f"{out} lies in {path}, where a later run would look for recordings; take another --out")
    try:
        listing = list_archive(source, path, limit)
    except RecordError as error:
        raise UsageError(str(error)) from error
    prepare_folder(out)
    _agree_on_plan(out, source, listing)
    shards = plan(source, listing.entries)
    waiting = [shard for shard in shards if _done(out, shard) is None]
    if waiting:
        (out / REPORT).unlink(missing_ok=True)
    with console.progress_bar("recordings") as progress:
        bar = progress.add_task("recordings", total=sum(len(shard.entries) for shard in waiting))
        write_shards(out, waiting, listing.snomed, num_processes, lambda done: progress.advance(bar, done))
    notes = [_note(out, shard) for shard in shards]
    report = _report(source, listing, shards, notes)
    if waiting:
        report["seconds"] = round(perf_counter() - started, 2)
        write_report(out, report, [*listing.drops, *(drop for note in notes for drop in note.drops)])
    print_report(out, report, kept=len(shards) - len(waiting))
    nothing = not report["written"] and not report["pages"]
    return 2 if nothing or _UNUSABLE & set(report["dropped"]) else 0


def plan(source: str, entries: Iterable[Entry]) -> list[Shard]:
    """Recordings dealt to shards, at random but always alike; those of one row group stay together."""
    entries = list(entries)
    units = sorted({(entry.file, entry.row_group) for entry in entries})
    place = dict(zip(units, np.random.default_rng(0).permutation(len(units)).tolist(), strict=True))
    shards = []
    for folder, split in product((_RECORDINGS, _PAGES), SPLITS):
        chosen = [entry for entry in entries if entry.split == split and bool(entry.path) == (folder == _RECORDINGS)]
        chosen.sort(key=lambda entry: (place[entry.file, entry.row_group], entry.row))
        most = _PAGES_PER_SHARD if any(entry.image for entry in chosen) else _ROWS_PER_SHARD
        count = max(ceil(len(chosen) / most), min(_LEAST_SHARDS, ceil(len(chosen) / ROWS_PER_GROUP)))
        for index in range(count):
            part = chosen[len(chosen) * index // count : len(chosen) * (index + 1) // count]
            shards.append(Shard(folder, split, f"{split}-{index:05d}-of-{count:05d}", source, tuple(part)))
    return shards


def _agree_on_plan(out: Path, source: str, listing: Listing) -> None:
    """Writes down what was asked for, or makes sure that an earlier run was asked for the same."""
    listed = sha256()
    for entry in listing.entries:
        page = (Path(entry.image).name, entry.page, bool(entry.path))
        listed.update(repr((entry.record_id, entry.split, entry.report, entry.labels, page)).encode())
    wanted = {
        "schema": SCHEMA_VERSION,
        "source": source,
        "recordings": len(listing.entries),
        "listed": listed.hexdigest(),
    }
    file = out / PLAN
    if file.is_file():
        found = json.loads(file.read_text(encoding="utf-8"))
        if found != wanted:
            differing = [name for name in wanted if found.get(name) != wanted[name]]
            raise UsageError(
                f"{out} was made from {_told(found)}, asked for {_told(wanted)} ({', '.join(differing)} differ); "
                "take another --out"
            )
        return
    if any(out.iterdir()):
        raise UsageError(f"{out} holds files that no `ecgscan prepare` wrote; take an empty or a new folder for --out")
    file.parent.mkdir()
    _write_whole(file, wanted)


def _told(wanted: dict) -> str:
    return f"{wanted.get('recordings')} recordings of {wanted.get('source')} in schema version {wanted.get('schema')}"


def _write_whole(file: Path, document: dict) -> None:
    part = file.with_name(f"{file.name}.part")
    part.write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(part, file)


def _note_file(out: Path, shard: Shard) -> Path:
    return (out / PLAN).with_name(f"{shard.folder}-{shard.name}.json")


def _shard_file(out: Path, shard: Shard) -> Path:
    return out / shard.folder / f"{shard.name}.parquet"


def _note(out: Path, shard: Shard) -> ShardNote:
    found = json.loads(_note_file(out, shard).read_text(encoding="utf-8"))
    return ShardNote(found["rows"], [Drop(**drop) for drop in found["drops"]], found["incomplete"], found["with_page"])


def _done(out: Path, shard: Shard) -> ShardNote | None:
    """The note of a shard that an earlier run finished, if its file is whole and there is nothing to try again."""
    if not _note_file(out, shard).is_file():
        return None
    note = _note(out, shard)
    if any(drop.reason in _UNUSABLE for drop in note.drops):
        return None
    try:
        whole = not note.rows or open_parquet(_shard_file(out, shard)).metadata.num_rows == note.rows
    except RecordError:
        return None
    return note if whole else None


def write_shards(
    out: Path, shards: list[Shard], snomed: dict[str, str], num_processes: int, done: Callable[[int], None]
) -> None:
    """Writes shards in this process or in several, and says of each how many recordings it had."""
    if num_processes == 1:
        for shard in shards:
            done(write_shard(out, shard, snomed))
        return
    # Not forked: the progress bar has a thread.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_processes, mp_context=context, initializer=_end_with_parent) as pool:
        try:
            for future in as_completed([pool.submit(write_shard, out, shard, snomed) for shard in shards]):
                done(future.result())
        except BrokenProcessPool as error:
            raise UsageError(
                "a preparing process died, most likely for lack of memory; run the same command again with a smaller "
                "--num-processes"
            ) from error


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def write_shard(out: Path, shard: Shard, snomed: dict[str, str]) -> int:
    """Reads, checks and writes the recordings of one shard, then its note; returns how many there were."""
    drops: list[Drop] = []
    incomplete = with_page = 0
    _shard_file(out, shard).parent.mkdir(exist_ok=True)
    with ShardWriter(_shard_file(out, shard)) as writer:
        for entry, found in read_entries(shard.source, shard.entries, snomed):
            try:
                if isinstance(found, RecordError):
                    raise found
                if entry.path:
                    check(found)
            except RecordError as error:
                drops.append(Drop(entry.record_id, error.reason, str(error)))
                continue
            incomplete += int(bool(entry.path) and complete_leads(found).sum() < len(LEADS))
            with_page += int(found.page is not None)
            writer.add(row_of(found, entry.split))
    _write_whole(_note_file(out, shard), asdict(ShardNote(writer.rows, drops, incomplete, with_page)))
    return len(shard.entries)


def _report(source: str, listing: Listing, shards: list[Shard], notes: list[ShardNote]) -> dict:
    dropped = [*listing.drops, *(drop for note in notes for drop in note.drops)]
    written: dict[str, Counter[str]] = {_RECORDINGS: Counter(), _PAGES: Counter()}
    patients: dict[str, set[str]] = {split: set() for split in SPLITS}
    for shard, note in zip(shards, notes, strict=True):
        left_out = {drop.record_id for drop in note.drops}
        for entry in shard.entries:
            if entry.record_id not in left_out:
                patients[entry.split].add(entry.patient_id or entry.record_id)
        written[shard.folder][shard.split] += note.rows
    reasons = Counter(drop.reason for drop in dropped)
    return {
        "schema": SCHEMA_VERSION,
        "source": source,
        "about": listing.about,
        "listed": len(listing.entries),
        "written": {split: rows for split, rows in written[_RECORDINGS].items() if rows},
        "pages": {split: rows for split, rows in written[_PAGES].items() if rows},
        "patients": {split: len(found) for split, found in patients.items() if found},
        "dropped": dict(reasons.most_common()),
        "examples": {drop.reason: drop.sentence for drop in reversed(dropped)},
        "with_leads_missing": sum(note.incomplete for note in notes),
        "with_page": sum(
            note.with_page for shard, note in zip(shards, notes, strict=True) if shard.folder == _RECORDINGS
        ),
    }
