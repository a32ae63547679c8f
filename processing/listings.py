"""What an archive lists: its recordings, what is left out of them, and the tables that tell."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from math import isfinite
from pathlib import Path

from .parquet_rows import require_columns
from .wfdb_records import RecordError

# PTB-XL's own way: folds 1-8, 9 and 10.
FOLD_SPLITS = dict.fromkeys(range(1, 9), "train") | {9: "validation", 10: "test"}


@dataclass(frozen=True)
class Entry:
    """One recording of an archive and what the archive's tables say about it.

    Attributes:
        record_id, patient_id: as they will stand in the row.
        split: one of `SPLITS`.
        path: the WFDB record, or the Parquet file; empty where only the page is known.
        row_group, row: place in the Parquet file.
        report, labels, age, sex: None or empty where only the record itself can say.
        image, page: the file with its page, or empty, and the page's number in it, or 0 where it has only one.
    """

    record_id: str
    patient_id: str
    split: str
    path: str
    row_group: int = 0
    row: int = 0
    report: str | None = None
    labels: tuple[str, ...] = ()
    age: float | None = None
    sex: str = ""
    image: str = ""
    page: int = 0

    @property
    def file(self) -> str:
        """What is read: the record where there is one, else the page."""
        return self.path or self.image


@dataclass(frozen=True)
class Drop:
    """A recording or file that is left out: `reason` in two or three words, `sentence` for people."""

    record_id: str
    reason: str
    sentence: str


@dataclass
class Listing:
    """What an archive holds.

    Attributes:
        entries: its recordings.
        drops: what can't be used, as far as its tables tell.
        about: a sentence on what was taken from where.
        snomed: names of SNOMED CT codes that the archive brings along.
    """

    entries: list[Entry]
    about: str
    drops: list[Drop] = field(default_factory=list)
    snomed: dict[str, str] = field(default_factory=dict)


def hashed_split(patient: str) -> str:
    """The split of a patient where the archive has none: about 80, 10 and 10 %, the same on every machine."""
    return FOLD_SPLITS[int(sha256(patient.encode()).hexdigest()[:8], 16) % 10 + 1]


def record_entries(path: Path, limit: int | None, way_out: str) -> list[Entry]:
    """The WFDB records of a folder, in any depth.

    Raises:
        RecordError: there is none; `way_out` ends its sentence.
    """
    headers = [file.with_suffix("") for file in islice(sorted(path.rglob("*.hea")), limit)]
    if not headers:
        raise RecordError("missing file", f"{path}: no WFDB header (.hea) there; {way_out}")
    return [Entry(base.name, "", hashed_split(base.name), str(base)) for base in headers]


def table_columns(path: Path) -> list[str]:
    """The columns of a CSV file."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file).fieldnames or [])


def read_table(path: Path, columns: Iterable[str]) -> Iterator[dict[str, str]]:
    """Rows of a CSV file, which must have some columns."""
    if not path.is_file():
        raise RecordError("missing file", f"{path}: there is no such file; it belongs to the archive, copy it again")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        require_columns(path, reader.fieldnames or [], columns)
        for row in reader:
            yield {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)}


def number_of(text: str) -> float | None:
    """A finite number, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None


def identifier_of(text: str) -> str:
    """Tables from pandas write whole numbers as `123.0`."""
    return text.removesuffix(".0")
