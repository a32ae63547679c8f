"""Many files or a zip at once: a row for every page, bad files named, everything in one zip to take away."""

import shutil
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from hub_scripts.read import Task, output_names
from hub_scripts.results import FORMATS, Row, Summary, error_json, row_of, write_json, write_page
from processing.pages import PageError, open_pages
from processing.records import record_name

from .service import MAX_PAGES, Report, Service, own_name

MAX_FILES = 100
MAX_UNPACKED = 500_000_000
_CHUNK = 1 << 20
_NAME_BYTES, _SUFFIX = 180, 8


class BatchError(ValueError):
    """Uploads that can't be used; the message is one sentence with the way out."""


@dataclass(frozen=True)
class Upload:
    """A file of the batch under a name that no other has, or the sentence that says why it can't be used."""

    path: Path
    problem: str = ""


def collect(uploads: list[Path], folder: Path) -> list[Upload]:
    """The files of a batch, zips unpacked, in `folder`.

    Raises:
        BatchError: there is none, or there are too many.
    """
    if not uploads:
        raise BatchError("no file was given; choose pages, PDFs or a zip of them")
    files: list[Upload] = []
    for upload in uploads:
        if zipfile.is_zipfile(upload) or upload.suffix.lower() == ".zip":
            try:
                files += _unpacked(upload, folder)
            except (zipfile.BadZipFile, ValueError, OSError):
                files.append(Upload(upload, f"{upload.name}: the zip is damaged; pack it again"))
        else:
            files.append(Upload(Path(shutil.copy(upload, _free(folder, upload.name)))))
        if len(files) > MAX_FILES:
            raise BatchError(f"more than {MAX_FILES} files at once; give fewer, or use `ecgscan read`")
    return files


def _free(folder: Path, name: str) -> Path:
    """A path in `folder` whose results collide with those of no other file there."""
    path = PurePosixPath(name)
    taken = {record_name(other.stem) for other in folder.iterdir()}
    # Archives may hold names that are longer than files may have.
    first = path.stem.encode()[:_NAME_BYTES].decode(errors="ignore")
    stem, number = first, 2
    while record_name(stem) in taken:
        stem, number = f"{first}_{number}", number + 1
    return folder / f"{stem}{path.suffix[:_SUFFIX]}"


def _unpacked(upload: Path, folder: Path) -> list[Upload]:
    """Members of a zip, each with its problem if it has one; or the zip with the problem that it has as a whole."""
    files: list[Upload] = []
    with zipfile.ZipFile(upload) as archive:
        members = [member for member in archive.infolist() if _is_meant(member)]
        if not members:
            return [Upload(upload, f"{upload.name}: the zip holds no file; pack pages or PDFs into it")]
        if len(members) > MAX_FILES:
            problem = f"holds {len(members)} files, more than the {MAX_FILES} read at once; pack fewer"
            return [Upload(upload, f"{upload.name}: {problem}, or use `ecgscan read`")]
        for member in members:
            target = _free(folder, _name(member))
            try:
                _extract(archive, member, target)
                files.append(Upload(target))
            except BatchError as error:
                for file in [*files, Upload(target)]:
                    file.path.unlink(missing_ok=True)
                return [Upload(upload, f"{upload.name}: {error}")]
            except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
                target.unlink(missing_ok=True)
                files.append(Upload(target, f"{target.name}: can't be unpacked from {upload.name} ({error})"))
    return files


def _name(member: zipfile.ZipInfo) -> str:
    return PurePosixPath(member.filename.replace("\\", "/")).name


def _is_meant(member: zipfile.ZipInfo) -> bool:
    """Whether a member is neither a folder nor what systems hide in archives."""
    parts = PurePosixPath(member.filename.replace("\\", "/")).parts
    return bool(parts) and not member.is_dir() and "__MACOSX" not in parts and not parts[-1].startswith(".")


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """Unpacks a member; what it unpacks to is counted, as archives may lie about it."""
    left = MAX_UNPACKED - sum(path.stat().st_size for path in target.parent.iterdir())
    with archive.open(member) as source, target.open("wb") as file:
        while chunk := source.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise BatchError(f"unpacks to more than {MAX_UNPACKED // 1_000_000} MB; pack fewer or smaller pages")
            file.write(chunk)


def run(service: Service, files: list[Upload], out: Path, columns: str | None, report: Report) -> Iterator[Row]:
    """Reads all pages into `out` as `ecgscan read` does, with a `summary.csv`; a row for every page."""
    summary = Summary(out / "summary.csv")
    tasks = {task.file: task for task in output_names([file.path for file in files if not file.problem])}
    for number, file in enumerate(files):
        rows = (
            [row_of(error_json(file.path.name, 1, file.problem, service.model))]
            if file.problem
            else _rows(service, tasks[file.path], out, columns, _part(report, number, len(files), file.path.name))
        )
        for row in rows:
            summary.add(row)
            yield row


def _part(report: Report, number: int, count: int, name: str) -> Report:
    return lambda share, stage: report((number + share) / count, f"{name} ({number + 1} of {count}): {stage.lower()}")


def _rows(service: Service, task: Task, out: Path, columns: str | None, report: Report) -> Iterator[Row]:
    name, opened = task.file.name, 0
    report(0.0, "opening")
    try:
        with own_name(task.file):
            for page in open_pages(task.file, drawing=True):
                if page.n_pages > MAX_PAGES:
                    raise PageError(
                        f"{name}: has {page.n_pages} pages, more than the {MAX_PAGES} read at once; "
                        "split it, or use `ecgscan read`"
                    )
                result = service.read(replace(page, file=name), columns, report)
                opened = page.page
                output = task.page_name(opened)
                write_page(out / output, FORMATS, result.page, result.reading, result.size, result.document)
                yield replace(row_of(result.document), pages=page.n_pages, output=output)
    except PageError as error:
        document = error_json(name, opened + 1, str(error), service.model)
        output = task.page_name(opened + 1)
        write_json(out / f"{output}.json", document)
        yield replace(row_of(document), output=output)


def packed(folder: Path, target: Path) -> Path:
    """A zip of all files in a folder."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    return target
