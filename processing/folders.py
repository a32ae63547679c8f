"""A folder of one's own: WFDB records, pages as pictures or PDFs, and the table that says what belongs together."""

import os
from io import BytesIO
from itertools import islice
from pathlib import Path

from PIL import Image

from .listings import (
    Drop,
    Entry,
    Listing,
    hashed_split,
    identifier_of,
    number_of,
    read_table,
    record_entries,
    table_columns,
)
from .pages import PAGE_SUFFIXES, PageError, open_page
from .prepared import SPLITS
from .wfdb_records import RecordError

TABLE = "records.csv"
LABEL_SEPARATOR = ";"
# Formats that `datasets` opens by itself, wherever the rows are read.
_KEPT_AS_THEY_ARE = frozenset(("JPEG", "MPO", "PNG", "TIFF", "BMP", "GIF", "WEBP"))


def list_folder(path: Path, limit: int | None) -> Listing:
    """What `records.csv` names, each row a record, a page or both; without the table all WFDB records.

    Raises:
        RecordError: there is neither a table nor a record, or the table has neither the column `record` nor `file`.
    """
    table = path / TABLE
    if not table.is_file():
        entries = record_entries(path, limit, f"give the folder with the recordings, or name pages in a {TABLE}")
        return Listing(entries, f"WFDB records without a {TABLE}; reports are the headers' comments")
    columns = table_columns(table)
    if not {"record", "file"} & set(columns):
        raise RecordError(
            "missing column", f"{table}: has neither the column record nor file; expected one beside {columns[:12]}"
        )
    with_pages = "file" in columns
    listing = Listing([], f"WFDB records {'and pages ' if with_pages else ''}of {TABLE}")
    rows = list(read_table(table, ()))
    lines: dict[tuple[str, int], int] = {}
    for line, row in enumerate(islice(rows, limit), start=2):
        try:
            entry = _entry(path, row)
            if entry.image and lines.setdefault((_plain(entry.image), entry.page), line) != line:
                named = lines[_plain(entry.image), entry.page]
                raise RecordError("duplicate file", f"the page {row['file']} is already that of line {named}")
        except RecordError as error:
            name = row.get("record_id") or row.get("file") or row.get("record") or f"line {line}"
            listing.drops.append(Drop(name, error.reason, f"{table}, line {line}: {error}"))
            continue
        listing.entries.append(entry)
    if with_pages:
        named_files = {_plain(path / row["file"]) for row in rows if row["file"]}
        listing.drops += [_unnamed(file, path) for file in _pages_below(path) if _plain(file) not in named_files]
    return listing


def _entry(path: Path, row: dict[str, str]) -> Entry:
    """What one row of the table names."""
    record, file, page = row.get("record", ""), row.get("file", ""), identifier_of(row.get("page", ""))
    if not record and not file:
        raise RecordError("damaged table", "names neither a record nor a file")
    if page and not (page.isdecimal() and int(page)):
        raise RecordError("damaged table", f"the page is {page!r}; expected a number from 1")
    split = row.get("split", "")
    if split not in ("", *SPLITS):
        raise RecordError("damaged table", f"the split is {split!r}; expected one of {SPLITS}")
    record_name = Path(record).name.removesuffix(".hea")
    page_name = Path(file).with_suffix("").as_posix() + (f"-p{page}" if page else "") if file else ""
    record_id = row.get("record_id") or page_name or record_name
    patient = identifier_of(row.get("patient_id", ""))
    # Pages of one record stay together, whatever their names.
    owner = patient or (record_name if file else "") or record_id
    return Entry(
        record_id,
        patient,
        split or hashed_split(owner),
        str(path / record) if record else "",
        report=row.get("report"),
        labels=tuple(label.strip() for label in row.get("labels", "").split(LABEL_SEPARATOR) if label.strip()),
        age=number_of(row.get("age", "")),
        sex=row.get("sex", ""),
        image=str(path / file) if file else "",
        page=int(page or 0),
    )


def _plain(file: str | Path) -> str:
    return os.path.normpath(file)


def _pages_below(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in PAGE_SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )


def _unnamed(file: Path, folder: Path) -> Drop:
    name = file.relative_to(folder).as_posix()
    return Drop(name, "not in the table", f"{file}: {TABLE} doesn't name it; give it a row there")


def stored_page(image: str, page: int) -> bytes:
    """A page as one encoded picture: the file's own bytes where `datasets` opens them as that page, else a PNG.

    Args:
        page: 1-based, or 0 where the file has only one.

    Raises:
        RecordError: the file is missing, is no page, or has several of which none was named.
    """
    if not Path(image).is_file():
        raise RecordError("missing file", f"{image}: there is no such file; copy it or correct its row of {TABLE}")
    try:
        opened = open_page(image, page or 1)
    except PageError as error:
        raise RecordError("unreadable page", str(error)) from error
    if opened.n_pages > 1 and not page:
        raise RecordError(
            "unreadable page",
            f"{image}: holds {opened.n_pages} pages; give each a row of {TABLE} with its number in the column page",
        )
    if opened.n_pages == 1 and opened.format in _KEPT_AS_THEY_ARE:
        return Path(image).read_bytes()
    png = BytesIO()
    Image.fromarray(opened.image).save(png, "PNG")
    return png.getvalue()
