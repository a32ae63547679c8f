"""What is written for a page: WFDB, CSV, JSON and picture, and its row of `summary.csv`."""

import csv
import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from processing.leads import LEADS
from processing.pages import PageImage
from processing.records import Recording, write_csv, write_wfdb

from .measurements import Measurements, measure, nothing_measured
from .picture import draw_reading

FORMATS = ("wfdb", "csv", "json", "png")  # what is written where nothing else is asked for
INFERRED = "inferred"  # a record of its own, with what the model infers where nothing is printed
SAMPLING_RATE = 500.0
_SUFFIXES = (".hea", ".dat", ".csv", ".json", ".png", f"-{INFERRED}.hea", f"-{INFERRED}.dat")


@dataclass
class Row:
    """A row of `summary.csv`; `settings` and `modified` say whether a later run may keep it."""

    file: str
    page: int
    pages: int = 1
    output: str = ""
    status: str = "error"
    reason: str = ""
    quality: str = ""
    layout: str = ""
    leads: str = ""
    mm_per_s: str = ""
    mm_per_mv: str = ""
    columns: str = ""
    source: str = ""
    heart_rate_bpm: str = ""
    lead_law_residual_uv: str = ""
    rhythm_residual_uv: str = ""
    pr_ms: str = ""
    qrs_ms: str = ""
    qt_ms: str = ""
    qtc_bazett_ms: str = ""
    qtc_fridericia_ms: str = ""
    axis_deg: str = ""
    seconds: str = ""
    settings: str = ""
    modified: str = ""

    @property
    def key(self) -> tuple[str, int]:
        return self.file, int(self.page)


COLUMNS = [column.name for column in fields(Row)]


def _stored_row(values: dict[str, Any]) -> Row | None:
    """The row, or None for a last line that a killed run left unfinished: its page is done again."""
    if not all(isinstance(values.get(column), str) for column in COLUMNS):
        return None
    if not (values["page"].isdigit() and values["pages"].isdigit()):
        return None
    row = Row(**{column: values[column] for column in COLUMNS})
    return replace(row, page=int(row.page), pages=int(row.pages))


class Summary:
    """`summary.csv`: rows are appended as pages are done, so that a killed run loses none."""

    def __init__(self, path: Path):
        self.path = path
        self.rows: dict[tuple[str, int], Row] = {}
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                for values in csv.DictReader(file):
                    row = _stored_row(values)
                    if row is not None:
                        self.rows[row.key] = row

    def add(self, row: Row) -> None:
        self.rows[row.key] = row
        new = not self.path.exists()
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if new:
                writer.writeheader()
            writer.writerow(asdict(row))

    def sort(self, order: dict[str, int]) -> None:
        """Rows in the order of their files, those of other runs first."""
        rows = sorted(self.rows.values(), key=lambda row: (order.get(row.file, -1), row.file, row.page))
        self.rows = {row.key: row for row in rows}

    def rewrite(self) -> None:
        """One row a page, without what later rows replaced."""
        fresh = self.path.with_suffix(".csv.new")
        with fresh.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(asdict(row) for row in self.rows.values())
        fresh.replace(self.path)


def refuse_below(reading: Any, min_quality: float) -> Any:
    """The reading as it is, or without signal, leads and rate and with a reason if its quality is too low."""
    if reading.status == "no_ecg" or reading.quality >= min_quality:
        return reading
    return replace(
        reading,
        signal=np.full_like(reading.signal, np.nan),
        confidence=np.zeros_like(reading.confidence),
        completed=None,
        findings={},
        status="partial" if reading.strips else "no_ecg",
        reason=(
            f"the reading's quality of {reading.quality:.2f} is below {min_quality:g}, so no signal is given; "
            "a sharper, flatter, brighter photo helps, --min-quality 0 gives what was found"
        ),
        heart_rate_bpm=None,
        lead_law_residual_uv=None,
        rhythm_residual_uv=None,
    )


def lead_parts(signal: np.ndarray, confidence: np.ndarray) -> dict[str, dict[str, float]]:
    """First and last second and mean confidence of every lead that was read."""
    parts = {}
    for name, values, trust in zip(LEADS, signal, confidence, strict=True):
        known = np.flatnonzero(np.isfinite(values))
        if len(known):
            parts[name] = {
                "start_s": round(float(known[0]) / SAMPLING_RATE, 3),
                "end_s": round(float(known[-1] + 1) / SAMPLING_RATE, 3),
                "confidence": round(float(np.mean(trust[known])), 3),
            }
    return parts


def page_json(page: PageImage, reading: Any, model: dict[str, str], seconds: float) -> dict[str, Any]:
    """The JSON of a page, in the order in which it is documented."""

    def sourced(name: str, pair: tuple[Any, str]) -> dict[str, Any]:
        return {name: _rounded(pair[0], 2), "source": pair[1]}

    reason = "; ".join(part for part in (reading.reason, page.note) if part) or None
    return {
        "file": page.file,
        "page": page.page,
        "status": reading.status,
        "reason": reason,
        "quality": _rounded(reading.quality, 3),
        "layout": reading.layout,
        "paper_speed": sourced("mm_per_s", reading.speed),
        "gain": sourced("mm_per_mv", reading.gain),
        "columns": sourced("mode", reading.columns),
        "source": reading.source,
        "leads": lead_parts(reading.signal, reading.confidence),
        "heart_rate_bpm": _rounded(reading.heart_rate_bpm, 1),
        "lead_law_residual_uv": _rounded(reading.lead_law_residual_uv, 1),
        "rhythm_residual_uv": _rounded(reading.rhythm_residual_uv, 1),
        "warnings": list(reading.warnings),
        "measurements": measured(reading).as_json(),
        "findings": findings_list(reading.findings),
        "model": model,
        "seconds": round(seconds, 2),
    }


def findings_list(findings: dict[str, float]) -> list[dict[str, Any]]:
    """Findings with their probability, the most probable first."""
    order = sorted(findings.items(), key=lambda item: -item[1])
    return [{"name": name, "probability": round(share, 3)} for name, share in order]


def measured(reading: Any) -> Measurements:
    """What a doctor reads of a reading, from what is sure in it."""
    if not np.isfinite(reading.signal).any():
        return nothing_measured("no signal was given")
    return measure(reading.signal, reading.confidence)


def error_json(file: str, page: int, reason: str, model: dict[str, str]) -> dict[str, Any]:
    """The JSON of a page that could not be opened or read: the same keys, nothing known."""
    return {
        "file": file,
        "page": page,
        "status": "error",
        "reason": reason,
        "quality": None,
        "layout": None,
        "paper_speed": None,
        "gain": None,
        "columns": None,
        "source": None,
        "leads": {},
        "heart_rate_bpm": None,
        "lead_law_residual_uv": None,
        "rhythm_residual_uv": None,
        "warnings": [],
        "measurements": None,
        "findings": [],
        "model": model,
        "seconds": None,
    }


def _rounded(value: Any, digits: int) -> Any:
    if value is None or isinstance(value, str):
        return value
    return round(float(value), digits) if np.isfinite(value) else None


def write_page(
    target: Path,
    formats: tuple[str, ...],
    page: PageImage,
    reading: Any,
    size: tuple[int, int],
    document: dict[str, Any],
) -> list[Path]:
    """Writes the asked formats beside `target` (a path without suffix); a page without signal gets no record.

    Returns:
        The files written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    written = []
    if np.isfinite(reading.signal).any():
        recording = Recording(reading.signal, SAMPLING_RATE, record_id=target.name)
        if "wfdb" in formats:
            header = write_wfdb(recording, target.parent, target.name)
            written += [header, header.with_suffix(".dat")]
        if "csv" in formats:
            written.append(write_csv(recording, _with_suffix(target, ".csv")))
        if INFERRED in formats and reading.completed is not None:
            written += _write_inferred(reading, target)
    if "json" in formats:
        written.append(write_json(_with_suffix(target, ".json"), document))
    if "png" in formats:
        picture = _with_suffix(target, ".png")
        drawn = draw_reading(page.image, reading, size)
        if not cv2.imwrite(str(picture), cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR)):
            raise OSError(f"{picture}: the picture can't be written")
        written.append(picture)
    return written


def _write_inferred(reading: Any, target: Path) -> list[Path]:
    """Ten seconds of every lead, as read where printed and inferred elsewhere, under a name that says so."""
    name = f"{target.name}-{INFERRED}"
    remark = "inferred by the model where the page prints nothing; as read elsewhere; not for diagnosis"
    completed = Recording(reading.completed, SAMPLING_RATE, record_id=name)
    header = write_wfdb(completed, target.parent, name, comments=[remark])
    return [header, header.with_suffix(".dat")]


def write_json(path: Path, document: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    return path


def outputs_of(target: Path) -> list[Path]:
    """Every file that may be written for a page."""
    return [_with_suffix(target, suffix) for suffix in _SUFFIXES]


def _with_suffix(target: Path, suffix: str) -> Path:
    return target.parent / (target.name + suffix)


def row_of(document: dict[str, Any]) -> Row:
    """The page's row, from its JSON."""

    def text(*names: str) -> str:
        value: Any = document
        for name in names:
            value = None if value is None else value[name]
        return "" if value is None else str(value)

    return Row(
        file=document["file"],
        page=document["page"],
        status=document["status"],
        reason=text("reason"),
        quality=text("quality"),
        layout=text("layout", "name"),
        leads=" ".join(document["leads"]),
        mm_per_s=text("paper_speed", "mm_per_s"),
        mm_per_mv=text("gain", "mm_per_mv"),
        columns=text("columns", "mode"),
        source=text("source"),
        heart_rate_bpm=text("heart_rate_bpm"),
        lead_law_residual_uv=text("lead_law_residual_uv"),
        rhythm_residual_uv=text("rhythm_residual_uv"),
        pr_ms=text("measurements", "pr_ms"),
        qrs_ms=text("measurements", "qrs_ms"),
        qt_ms=text("measurements", "qt_ms"),
        qtc_bazett_ms=text("measurements", "qtc_bazett_ms"),
        qtc_fridericia_ms=text("measurements", "qtc_fridericia_ms"),
        axis_deg=text("measurements", "axis_deg"),
        seconds=text("seconds"),
    )
