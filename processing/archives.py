"""Archives of recordings as they are published: what they list, and how one of their recordings is read."""

import ast
import csv
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from .findings import finding_by_code, finding_by_snomed, findings
from .folders import list_folder, stored_page
from .listings import (
    FOLD_SPLITS,
    Drop,
    Entry,
    Listing,
    hashed_split,
    identifier_of,
    number_of,
    read_table,
    record_entries,
)
from .parquet_rows import SIGNAL_COLUMNS, open_parquet, require_columns
from .prepared import SPLITS
from .records import Recording, labelled_recording, read_wfdb, without_signal
from .wfdb_records import RecordError

_OLDEST = 90.0


def list_archive(source: str, path: Path, limit: int | None = None) -> Listing:
    """The recordings of an archive, in its own order.

    Args:
        source: one of `SOURCES`.
        path: the archive's folder; a Parquet file or a folder of them for `parquet`.
        limit: takes the first recordings only.

    Raises:
        RecordError: a folder, table or column is missing, or a patient is on two sides of a split.
    """
    if not path.exists():
        raise RecordError("missing file", f"{path}: there is no such file or folder; give the archive's own folder")
    try:
        listing = _LISTINGS[source](path, limit)
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordError(
            "damaged table", f"{path}: a CSV file there can't be read ({error}); copy it again"
        ) from error
    _leave_out_duplicates(listing)
    _check_patients(listing.entries)
    return listing


def _leave_out_duplicates(listing: Listing) -> None:
    first: dict[str, Entry] = {}
    for entry in listing.entries:
        kept = first.setdefault(entry.record_id, entry)
        if kept is not entry:
            sentence = f"{entry.file}: the id {entry.record_id} is already that of {kept.file}, which was kept"
            listing.drops.append(Drop(entry.record_id, "duplicate id", sentence))
    listing.entries = list(first.values())


def _check_patients(entries: Iterable[Entry]) -> None:
    sides: dict[str, str] = {}
    for entry in entries:
        owner = f"patient {entry.patient_id}" if entry.patient_id else entry.image and entry.path
        if owner and sides.setdefault(owner, entry.split) != entry.split:
            raise RecordError(
                "patient on two sides",
                f"{owner} is in {sides[owner]} and, with {entry.record_id}, in {entry.split}; put all recordings of "
                "a patient into one split",
            )


def statement_phrases() -> dict[str, str]:
    """PTB-XL's English description by SCP-ECG code."""
    return {finding.code: finding.statement for finding in findings() if finding.statement}


def _ptbxl_labels(codes: str) -> tuple[str, ...]:
    """Superclasses, then statements in English, of a dictionary as PTB-XL writes it; unknown codes stay codes."""
    found = list(ast.literal_eval(codes))
    phrases = statement_phrases()
    classes = [finding_by_code(code).superclass for code in found if code in phrases]
    return (*dict.fromkeys(name for name in classes if name), *(phrases.get(code, code) for code in found))


def _list_ptbxl(path: Path, limit: int | None) -> Listing:
    folder, column = ("records500", "filename_hr") if (path / "records500").is_dir() else ("records100", "filename_lr")
    if not (path / folder).is_dir():
        raise RecordError("missing file", f"{path}: neither records500 nor records100 is there; copy the archive again")
    columns = ("ecg_id", "patient_id", "age", "sex", "report", "scp_codes", "strat_fold", column)
    listing = Listing([], f"PTB-XL, {folder}; split by strat_fold: 1-8, 9, 10")
    for row in islice(read_table(path / "ptbxl_database.csv", columns), limit):
        record_id = f"ptbxl-{int(number_of(row['ecg_id']) or 0):05d}"
        try:
            labels, fold = _ptbxl_labels(row["scp_codes"]), FOLD_SPLITS[int(row["strat_fold"])]
        except (ValueError, SyntaxError, TypeError, KeyError):
            sentence = f"{record_id}: scp_codes {row['scp_codes']!r} or strat_fold {row['strat_fold']!r} can't be read"
            listing.drops.append(Drop(record_id, "damaged table", sentence))
            continue
        age = number_of(row["age"])
        listing.entries.append(
            Entry(
                record_id,
                identifier_of(row["patient_id"]),
                fold,
                str(path / row[column]),
                report=row["report"],
                labels=labels,
                # 300 stands for "older than 89"
                age=_OLDEST if age is not None and age > _OLDEST else age,
                sex={"0": "male", "1": "female"}.get(identifier_of(row["sex"]), ""),
            )
        )
    return listing


def _list_mimic(path: Path, limit: int | None) -> Listing:
    rows = list(islice(read_table(path / "record_list.csv", ("subject_id", "study_id", "path")), limit))
    wanted, lines = {row["study_id"] for row in rows}, [f"report_{number}" for number in range(18)]
    reports: dict[str, str] = {}
    for row in read_table(path / "machine_measurements.csv", ("study_id", *lines)):
        if row["study_id"] in wanted:
            reports[row["study_id"]] = ". ".join(row[line].rstrip(".") for line in lines if row[line])
    entries = [
        Entry(
            f"mimic-{row['study_id']}",
            row["subject_id"],
            hashed_split(row["subject_id"]),
            str(path / row["path"]),
            report=reports.get(row["study_id"], ""),
        )
        for row in rows
    ]
    return Listing(entries, "MIMIC-IV-ECG; reports are the machine's lines; split by patient, about 80, 10 and 10 %")


def _snomed_names(path: Path) -> dict[str, str]:
    """Names by SNOMED CT code from the tables that archives put beside their recordings."""
    names: dict[str, str] = {}
    for table in sorted(path.glob("*.csv")):
        for row in read_table(table, ()):
            code = row.get("Snomed_CT") or row.get("SNOMEDCTCode") or row.get("SNOMED CT Code")
            name = row.get("Full Name") or row.get("Dx")
            if code and name:
                names[code] = " ".join(name.lower().split())
    return names


def _list_challenge(path: Path, limit: int | None) -> Listing:
    entries = record_entries(path, limit, "give the folder with the recordings")
    about = "PhysioNet challenge format; labels from Dx; split by recording, about 80, 10 and 10 %"
    return Listing(entries, about, snomed=_snomed_names(path))


def _list_parquet(path: Path, limit: int | None) -> Listing:
    files = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
    if not files:
        raise RecordError("missing file", f"{path}: no Parquet file there; give a file or a folder of files")
    listing = Listing([], "Parquet files; split by their split or strat_fold, else by patient")
    for file in files:
        for found in islice(_parquet_entries(file), limit and limit - len(listing.entries)):
            if isinstance(found, Entry):
                listing.entries.append(found)
            else:
                listing.drops.append(found)
    return listing


def _parquet_entries(path: Path) -> Iterator[Entry | Drop]:
    try:
        file = open_parquet(path)
        names = file.schema_arrow.names
        require_columns(path, names, SIGNAL_COLUMNS)
    except RecordError as error:
        yield Drop(path.name, error.reason, str(error))
        return
    columns = [name for name in ("record_id", "patient_id", "split", "strat_fold") if name in names]
    for group in range(file.metadata.num_row_groups):
        table = _tried(path, file.read_row_group, group, columns)
        if isinstance(table, RecordError):
            yield Drop(f"{path.name}, row group {group}", table.reason, str(table))
            continue
        for number, row in enumerate(table.to_pylist()):
            record_id, patient = str(row["record_id"] or ""), str(row.get("patient_id") or "")
            if not record_id:
                place = f"row {number} of row group {group}"
                sentence = f"{path}: {place} has no record_id; give every recording its own"
                yield Drop(f"{path.name}, {place}", "damaged table", sentence)
                continue
            split = row.get("split") or FOLD_SPLITS.get(row.get("strat_fold") or 0)
            split = split or hashed_split(patient or record_id)
            if split in SPLITS:
                yield Entry(record_id, patient, split, str(path), group, number)
            else:
                sentence = f"{path}: {record_id} has the split {split!r}; expected one of {SPLITS}"
                yield Drop(record_id, "damaged table", sentence)


_LISTINGS = {
    "ptbxl": _list_ptbxl,
    "mimic-iv-ecg": _list_mimic,
    "challenge": _list_challenge,
    "parquet": _list_parquet,
    "folder": list_folder,
}
SOURCES = tuple(_LISTINGS)


def read_entries(
    source: str, entries: Iterable[Entry], snomed: dict[str, str]
) -> Iterator[tuple[Entry, Recording | RecordError]]:
    """Each entry with its recording, or with the error that says why there is none.

    Entries of one row group of a Parquet file must stand together: the group is read once for all of them.
    """
    if source != "parquet":
        for entry in entries:
            yield entry, _tried(entry.file, _read_files, entry, source, snomed)
        return
    for (path, group), together in groupby(entries, lambda entry: (entry.path, entry.row_group)):
        table = _tried(path, _read_row_group, path, group)
        for entry in together:
            yield entry, table if isinstance(table, RecordError) else _tried(path, _read_row, entry, table)


def _tried(path: str | Path, read: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return read(*arguments)
    except RecordError as error:
        return error
    except (ValueError, OSError, TypeError) as error:
        return RecordError("damaged file", f"{path}: it can't be read ({error}); copy it again")


def _read_row_group(path: str, group: int) -> Any:
    return open_parquet(path).read_row_group(group)


def _read_row(entry: Entry, table: Any) -> Recording:
    return labelled_recording(table.slice(entry.row, 1).to_pylist()[0], statement_phrases())


def _read_files(entry: Entry, source: str, snomed: dict[str, str]) -> Recording:
    recording = read_wfdb(entry.path) if entry.path else without_signal()
    if source == "challenge":
        return _with_challenge_comments(recording, snomed)
    return replace(
        recording,
        record_id=entry.record_id,
        patient_id=entry.patient_id,
        report=recording.report if entry.report is None else entry.report,
        labels=entry.labels,
        age=entry.age,
        sex=entry.sex,
        page=stored_page(entry.image, entry.page) if entry.image else None,
    )


def _with_challenge_comments(recording: Recording, snomed: dict[str, str]) -> Recording:
    """Labels, age and sex from comment lines such as `Dx: 426177001,164934002`; codes without a name stay codes."""
    said = dict(re.findall(r"^(\w+): *(.*?)\s*$", recording.report, re.M))
    names = []
    for code in re.findall(r"\d+", said.get("Dx", "")):
        finding = finding_by_snomed(code)
        names.append(finding.snomed[code] if finding else snomed.get(code, code))
    age = number_of(said.get("Age", ""))
    return replace(
        recording,
        report="",
        labels=tuple(dict.fromkeys(names)),
        age=age if age is not None and age >= 0 else None,
        sex={"male": "male", "m": "male", "female": "female", "f": "female"}.get(said.get("Sex", "").lower(), ""),
    )
