"""`ecgscan benchmark reading`: rendered pages and photos with known recordings, read and scored page by page."""

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from processing.pages import open_page
from processing.records import Recording, read_parquet, read_wfdb
from processing.renderer import Page, render
from processing.simulator import simulate

from .arguments import UsageError
from .contact_sheet import Case
from .geometry_error import GeometryFigures, geometry_figures
from .loading import Reader
from .scoring import PageScore, Printed, score_page, summarise

LAYOUTS = ("3x4", "3x4+1", "3x4+3", "6x2", "12x1", "6x1-limb", "6x1-chest")
CONDITIONS = ("clean", "scan", "photo")
# The quality of a page is the probability that it reaches this.
GOOD_DB = 10.0


@dataclass(frozen=True)
class Job:
    """One page to be read: a rendered one (`recording`), or a photo of `photos/index.csv` (`file`)."""

    name: str
    kind: str
    layout: str
    seed: int = 0
    recording: Recording | None = None
    file: Path | None = None
    truth: Path | None = None
    printed: Printed = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """A job with its pixels and its truth at hand."""

    image: np.ndarray
    recording: Recording
    printed: Printed
    page: Page | None


@dataclass(frozen=True)
class Result:
    """Figures of one page."""

    job: Job
    score: PageScore
    status: str
    reason: str | None
    quality: float
    layout: str
    seconds: float
    geometry: GeometryFigures | None

    def row(self) -> dict[str, Any]:
        """Flat figures for the table of pages."""
        row: dict[str, Any] = {
            "page": self.job.name,
            "kind": self.job.kind,
            "layout": self.job.layout,
            "snr_db": self.score.snr_db,
            "strict_db": self.score.strict_db,
            "r": self.score.r,
            "named": self.score.named,
            "status": self.status,
            "quality": self.quality,
            "layout_read": self.layout,
            "seconds": self.seconds,
            "reason": self.reason,
        }
        return row | (asdict(self.geometry) if self.geometry else {})


def rendered_jobs(
    data: Path | None, pages: int, layouts: tuple[str, ...], conditions: tuple[str, ...], seed: int
) -> list[Job]:
    """`pages` pages spread evenly over layouts and conditions, each of another recording as far as they reach."""
    jobs = []
    recordings = list(_recordings(data, pages, seed))
    for number in range(pages):
        # Conditions turn fastest, so that any number of pages is spread evenly.
        condition = conditions[number % len(conditions)]
        layout = layouts[number // len(conditions) % len(layouts)]
        recording = recordings[number % len(recordings)]
        name = f"{recording.record_id or number}_{layout}_{condition}"
        jobs.append(Job(name, condition, layout, seed + number, recording))
    return jobs


def _recordings(data: Path | None, count: int, seed: int) -> Iterator[Recording]:
    """`count` recordings, evenly spread over the data; of the simulator without data."""
    if data is None:
        yield from (simulate(seed + number) for number in range(count))
        return
    import pyarrow.parquet as pq

    files = sorted(data.glob("*.parquet")) if data.is_dir() else [data]
    if not files or not files[0].is_file():
        raise UsageError(f"{data}: no Parquet file of recordings; give one, or a folder that holds some")
    total = sum(pq.ParquetFile(file).metadata.num_rows for file in files)
    wanted = set(np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist())
    place = 0
    for file in files:
        for recording in read_parquet(file):
            if place in wanted:
                yield recording
            place += 1


def photo_jobs(folder: Path) -> list[Job]:
    """The pages of a folder whose `index.csv` names their recordings (file, truth, printed, kind)."""
    index = folder / "index.csv"
    if not index.is_file():
        raise UsageError(f"{index}: not found; expected the columns file, truth, printed, kind")
    with index.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("truth")]
    return [
        Job(
            name=row["file"],
            kind=row.get("kind") or "photos",
            layout=row.get("layout") or "",
            file=folder / row["file"],
            truth=folder / row["truth"],
            printed=json.loads(row["printed"]),
        )
        for row in rows
    ]


def subject_of(job: Job) -> Subject:
    """Renders or opens a job's page."""
    if job.recording is not None:
        page = render(job.recording, seed=job.seed, layout=job.layout, condition=job.kind)
        return Subject(page.image, job.recording, page.printed(), page)
    assert job.file is not None
    assert job.truth is not None
    return Subject(open_page(job.file).image, read_wfdb(job.truth), job.printed, None)


def run_job(job: Job, reader: Reader) -> Result:
    """Reads and scores one page; accuracy counts everything that was found, whatever its quality."""
    subject = subject_of(job)
    started = perf_counter()
    reading, size = reader.read([subject.image])[0]
    seconds = perf_counter() - started
    return Result(
        job=job,
        score=_score(subject, reading),
        status=reading.status,
        reason=reading.reason,
        quality=float(reading.quality),
        layout=str(reading.layout["name"]),
        seconds=seconds,
        geometry=geometry_figures(subject.page, reading, size) if subject.page else None,
    )


def _score(subject: Subject, reading: Any) -> PageScore:
    return score_page(subject.recording.signal, subject.recording.sampling_rate, subject.printed, reading.signal, 500.0)


def case_of(result: Result, reader: Reader) -> Case:
    """The page once more, for the sheet of the worst."""
    subject = subject_of(result.job)
    reading, size = reader.read([subject.image])[0]
    title = f"{result.job.name}   {result.score.snr_db:.1f} dB   {result.status}   quality {result.quality:.2f}"
    return Case(title, subject.image, reading, size, subject.recording, subject.printed, result.score)


def summaries(results: list[Result], min_quality: float) -> dict[str, dict[str, Any]]:
    """Figures of all pages, by kind, and of rendered pages by kind and layout."""
    groups: dict[str, list[Result]] = {"all": results}
    for result in results:
        groups.setdefault(result.job.kind, []).append(result)
    for result in results:
        if result.job.recording is not None:
            groups.setdefault(f"{result.job.kind} {result.job.layout}", []).append(result)
    return {name: _summary(group, min_quality) for name, group in groups.items() if group}


def _summary(results: list[Result], min_quality: float) -> dict[str, Any]:
    kept = [result for result in results if result.status != "no_ecg" and result.quality >= min_quality]
    figures: dict[str, Any] = summarise([result.score for result in results])
    figures["refused"] = sum(result.status == "no_ecg" for result in results)
    figures["seconds"] = float(np.median([result.seconds for result in results]))
    figures["coverage"] = len(kept) / len(results)
    figures["risk"] = float(np.mean([result.score.snr_db < GOOD_DB for result in kept])) if kept else None
    geometries = [result.geometry for result in results if result.geometry]
    if geometries:
        figures["reading_db"] = float(np.mean([geometry.reading_db for geometry in geometries]))
        for name in ("x_median_mm", "x_p95_mm", "y_median_mm", "y_p95_mm", "shift_x_mm"):
            values = [getattr(geometry, name) for geometry in geometries if getattr(geometry, name) is not None]
            figures[name] = float(np.median(values)) if values else None
    return figures
