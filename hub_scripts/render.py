"""`ecgscan render`: recordings in, pages with truth and `index.csv` out."""

import csv
import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import cv2

from processing.folders import LABEL_SEPARATOR
from processing.layouts import LAYOUTS
from processing.records import Recording, read_wfdb, record_name, try_parquet, write_wfdb
from processing.renderer import Page, render
from processing.simulator import simulate

from . import console
from .arguments import UsageError
from .read import prepare_folder

INDEX_COLUMNS = (
    *("file", "truth", "printed", "kind", "layout", "rhythm", "speed", "gain", "columns", "seed"),
    *("record_id", "patient_id", "labels"),
)
_SIMULATED = re.compile(r"simulator:(\d+)")
_JPEG_QUALITY = 95


def recordings_of(source: str, seed: int) -> Iterator[Recording | ValueError]:
    """Recordings of a WFDB record, a Parquet file, or `simulator:COUNT`; for those that can't be used, why."""
    try:
        yield from _found(source, seed)
    except ValueError as error:
        yield error


def _found(source: str, seed: int) -> Iterator[Recording | ValueError]:
    simulated = _SIMULATED.fullmatch(source)
    if simulated:
        yield from (simulate(seed + number) for number in range(int(simulated[1])))
    elif source.endswith(".parquet"):
        if not Path(source).is_file():
            raise UsageError(f"{source}: no such file; give a Parquet file, a WFDB record or simulator:COUNT")
        yield from try_parquet(source)
    else:
        yield read_wfdb(source)


def index_row(page: Page, file: str, truth: str, seed: int) -> dict[str, str | float | int]:
    """A row of `index.csv`, from which `ecgscan finetune` can learn."""
    return {
        "file": file,
        "truth": truth,
        "printed": json.dumps(page.printed()),
        "kind": page.condition,
        "layout": page.layout.name,
        "rhythm": " ".join(strip.lead for strip in page.strips if strip.is_rhythm),
        "speed": page.speed,
        "gain": page.gain,
        "columns": page.style.columns,
        "seed": seed,
        "record_id": page.recording.record_id,
        "patient_id": page.recording.patient_id,
        "labels": LABEL_SEPARATOR.join(page.recording.labels),
    }


def write_rendered(page: Page, folder: Path, name: str) -> str:
    """Writes the page (PNG as drawn, JPEG where it stands for a scan or a photo) and returns its file name."""
    file = f"{name}.png" if page.condition == "clean" else f"{name}.jpg"
    pixels = cv2.cvtColor(page.image, cv2.COLOR_RGB2BGR)
    options = [] if page.condition == "clean" else [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    if not cv2.imwrite(str(folder / file), pixels, options):
        raise OSError(f"{folder / file}: the page can't be written")
    return file


def render_command(records: list[str], out: Path, *, layout: str | None, condition: str, seed: int) -> int:
    """Renders all recordings; returns the exit code."""
    if layout is not None and layout not in LAYOUTS:
        raise UsageError(f"--layout: got {layout!r}, expected one of {', '.join(LAYOUTS)}")
    prepare_folder(out)
    failed = False
    names: set[str] = set()
    with (out / "index.csv").open("w", encoding="utf-8", newline="") as file, console.progress_bar("pages") as progress:
        writer = csv.DictWriter(file, INDEX_COLUMNS)
        writer.writeheader()
        bar = progress.add_task("pages", total=None)
        for recording in chain.from_iterable(recordings_of(source, seed) for source in records):
            try:
                if isinstance(recording, ValueError):
                    raise recording
                number = len(names)
                page = render(recording, seed=seed + number, layout=layout, condition=condition)
                name = record_name(recording.record_id or f"page{number}")
                name = f"{name}_{number}" if name in names else name
                truth = write_wfdb(recording, out, name).stem
                writer.writerow(index_row(page, write_rendered(page, out, name), truth, seed + number))
                names.add(name)
                progress.advance(bar)
            except ValueError as error:
                console.error_line(str(error))
                failed = True
    console.out.print(f"{len(names)} pages and their truth: {(out / 'index.csv').as_posix()}", markup=False)
    return 2 if failed else 0
