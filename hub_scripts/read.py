"""`ecgscan read`: pages in; WFDB, CSV, JSON, pictures and `summary.csv` out."""

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

from processing.pages import PageError, PageImage, find_pages, open_pages
from processing.records import record_name

from .arguments import UsageError
from .loading import Reader, load_reader
from .results import (
    INFERRED,
    Row,
    Summary,
    error_json,
    outputs_of,
    page_json,
    refuse_below,
    row_of,
    write_json,
    write_page,
)
from .vector_reading import read_vectors
from .vector_scale import Doubt


@dataclass(frozen=True)
class Options:
    """What a run of `ecgscan read` was asked for; `min_quality` None is the checkpoint's own."""

    out: Path
    formats: tuple[str, ...] = ("wfdb", "csv", "json", "png")
    min_quality: float | None = None
    columns: str | None = None
    batch_size: int = 1
    num_processes: int = 1
    checkpoint: str | None = None


@dataclass(frozen=True)
class Task:
    """A file to read and the name, relative to the output folder, under which its results go."""

    file: Path
    name: str

    def page_name(self, page: int) -> str:
        return self.name if page == 1 else f"{self.name}-p{page}"


def output_names(files: list[Path]) -> list[Task]:
    """A name for the results of every file: its stem; its folder too, or its suffix, where stems are equal."""
    stems = Counter(record_name(file.stem) for file in files)
    tasks = []
    for file in files:
        name = record_name(file.stem)
        if stems[name] > 1:
            alike = [other for other in files if record_name(other.stem) == name]
            top = os.path.commonpath([other.resolve().parent for other in alike])
            folder = file.resolve().parent.relative_to(top)
            if sum(other.parent.resolve() == file.parent.resolve() for other in alike) > 1:
                name = f"{name}_{record_name(file.suffix[1:])}"
            name = Path(*(record_name(part) for part in folder.parts), name).as_posix()
        tasks.append(Task(file, name))
    # Names of other scripts become nothing but underscores: a digest of the path tells them apart.
    counts = Counter(task.name for task in tasks)
    tasks = [
        task if counts[task.name] == 1 else replace(task, name=f"{task.name}_{_digest(task.file)}") for task in tasks
    ]
    doubled = [name for name, count in Counter(task.name for task in tasks).items() if count > 1]
    if doubled:
        raise UsageError(f"several files would be written as {doubled[0]!r}; read them in separate runs")
    return tasks


def _digest(file: Path) -> str:
    return sha256(file.as_posix().encode(errors="surrogateescape")).hexdigest()[:8]


class PageReader:
    """Reads files page by page and writes their results; one per process."""

    def __init__(self, options: Options, reader: Reader):
        self.options = options
        self.reader = reader
        self.model = {"name": reader.name, "revision": reader.revision}
        self.min_quality = reader.min_quality if options.min_quality is None else options.min_quality

    def run(self, tasks: Iterable[Task]) -> Iterator[Row]:
        """A row for every page, in order; a page or file that fails gives a row that says why."""
        waiting: list[tuple[Task, PageImage, float]] = []
        for task in tasks:
            started = perf_counter()
            opened = 0
            try:
                for page in open_pages(task.file, drawing=True):
                    opened = page.page
                    waiting.append((task, page, perf_counter() - started))
                    if len(waiting) == self.options.batch_size:
                        yield from self._finish(waiting)
                        waiting = []
                    started = perf_counter()
            except PageError as error:
                yield from self._finish(waiting)
                waiting = []
                yield self._failed(task, opened + 1, str(error))
        yield from self._finish(waiting)

    def _finish(self, waiting: list[tuple[Task, PageImage, float]]) -> Iterator[Row]:
        started = perf_counter()
        results = self.readings([page for _, page, _ in waiting])
        each = (perf_counter() - started) / max(1, len(waiting))
        for (task, page, opening), result in zip(waiting, results, strict=True):
            if isinstance(result, Exception):
                reason = f"{page.file}: page {page.page} can't be read ({type(result).__name__}: {result})"
                yield self._failed(task, page.page, reason.split("\n")[0], page.n_pages)
                continue
            reading, size = result
            reading = refuse_below(reading, self.min_quality)
            document = page_json(page, reading, self.model, opening + each)
            target = self.options.out / task.page_name(page.page)
            write_page(target, self.options.formats, page, reading, size, document)
            yield self._signed(row_of(document), task, page.n_pages)

    def readings(self, pages: list[PageImage]) -> list[Any]:
        """Per page (reading, size), or the error that only this page raised."""
        drawn = [read_drawn(page, self.options.columns) for page in pages]
        seen = iter(self._seen([page for page, reading in zip(pages, drawn, strict=True) if reading is None]))
        return [next(seen) if reading is None else self._inferred(*reading) for reading in drawn]

    def _inferred(self, reading: Any, size: tuple[int, int]) -> tuple[Any, tuple[int, int]]:
        """A reading of lines with what the model infers from it: the ten seconds, and findings."""
        import torch

        with torch.inference_mode():
            return self.reader.model.inferred([reading])[1][0], size

    def _seen(self, pages: list[PageImage]) -> list[Any]:
        """As `readings`, from the pictures."""
        if not pages:
            return []
        try:
            return list(self.reader.read([page.image for page in pages], self.options.columns))
        except Exception as error:
            if len(pages) == 1:
                return [error]
            return [result for page in pages for result in self._seen([page])]

    def _failed(self, task: Task, page: int, reason: str, pages: int | None = None) -> Row:
        document = error_json(str(task.file), page, reason, self.model)
        if "json" in self.options.formats:
            write_json(self.options.out / f"{task.page_name(page)}.json", document)
        return self._signed(row_of(document), task, pages or page)

    def _signed(self, row: Row, task: Task, pages: int) -> Row:
        return replace(
            row,
            pages=pages,
            output=task.page_name(row.page),
            settings=settings_of(self.options, self.reader.revision, self.min_quality),
            modified=modified(task.file),
        )


def read_drawn(page: PageImage, columns: str | None) -> tuple[Any, tuple[int, int]] | None:
    """(reading, size) from a page's lines, or None where its picture has to be read."""
    if page.vectors is None:
        return None
    size = page.image.shape[:2]
    try:
        return read_vectors(page.vectors, size, columns or "sequential"), size
    except (Doubt, ArithmeticError, ValueError, IndexError):
        # whatever a strange drawing leads to: its picture can still be read
        return None


def settings_of(options: Options, revision: str, min_quality: float) -> str:
    """What a row depends on beside its page."""
    return f"{revision} {options.columns} min_quality={min_quality:g}"


def modified(file: Path) -> str:
    """Size and time of a file: a page that was replaced since is read again."""
    try:
        status = file.stat()
    except OSError:
        return ""
    return f"{status.st_size}@{status.st_mtime_ns}"


def is_done(task: Task, summary: Summary, options: Options, settings: str) -> bool:
    """Whether an earlier run read every page of the file in the same way, with its results still there."""
    first = summary.rows.get((str(task.file), 1))
    if first is None:
        return False
    for page in range(1, first.pages + 1):
        row = summary.rows.get((str(task.file), page))
        if row is None or row.status == "error" or row.output != task.page_name(page):
            return False
        if row.settings != settings or row.modified != modified(task.file):
            return False
        signals = {"wfdb": ".hea", "csv": ".csv", INFERRED: f"-{INFERRED}.hea"} if row.leads else {}
        needed = {"json": ".json", "png": ".png", **signals}
        if any(
            not (options.out / f"{row.output}{needed[name]}").is_file() for name in options.formats if name in needed
        ):
            return False
    return True


def expand(paths: Iterable[str | Path], out: Path | None = None) -> tuple[list[Path], list[str]]:
    """Files of all paths, none of them in `out`, and one sentence for every path that has none."""
    files: dict[Path, None] = {}
    problems = []
    for path in paths:
        try:
            files.update(dict.fromkeys(find_pages([path], exclude=out)))
        except PageError as error:
            problems.append(str(error))
    return list(files), problems


def prepare_folder(out: Path) -> None:
    """Makes the output folder and makes sure that files can be written there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / f".write-test-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(f"{out}: can't be written ({error.strerror}); choose another --out") from error


def check_targets(tasks: list[Task], summary: Summary, out: Path) -> None:
    """Refuses to write over an input, or over anything in a folder that is not this command's yet."""
    inputs = {task.file.resolve() for task in tasks}
    foreign = not summary.path.exists()
    for task in tasks:
        for path in outputs_of(out / task.name):
            if path.resolve() in inputs or (foreign and path.exists()):
                raise UsageError(f"{path}: exists and was not written by an earlier run; choose another --out")


def forget(tasks: list[Task], summary: Summary, out: Path) -> None:
    """Removes rows and files of pages that are read again: a record must not outlive its page's refusal."""
    again = {str(task.file) for task in tasks}
    for row in [row for row in summary.rows.values() if row.file in again]:
        for path in outputs_of(out / row.output):
            path.unlink(missing_ok=True)
        del summary.rows[row.key]
    summary.rewrite()


def run_tasks(tasks: list[Task], options: Options, reader: Reader, done: Callable[[Row], None]) -> None:
    """Reads all files, in this process or in several, and hands over every row as it is finished."""
    if options.num_processes == 1:
        for row in PageReader(options, reader).run(tasks):
            done(row)
        return
    chunks = [tasks[start : start + options.batch_size] for start in range(0, len(tasks), options.batch_size)]
    with ProcessPoolExecutor(
        min(options.num_processes, len(chunks)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(options,),
    ) as pool:
        try:
            for future in as_completed([pool.submit(_work, chunk) for chunk in chunks]):
                for row in future.result():
                    done(row)
        except BrokenProcessPool as error:
            raise UsageError(
                "a reading process died, most likely for lack of memory; use a smaller --num-processes or --batch-size"
            ) from error


_worker: PageReader | None = None


def _start_worker(options: Options) -> None:
    global _worker
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // options.num_processes))
    _worker = PageReader(options, load_reader(options.checkpoint))


def _work(tasks: list[Task]) -> list[Row]:
    assert _worker is not None
    return list(_worker.run(tasks))
