"""`ecgscan benchmark archive`: pages whose recordings nobody has, by what is printed on them and by their witnesses.

Without a recording there is still truth of a kind: which leads stand where, the heart rate that the machine printed,
the lead laws, and leads that are printed twice.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from processing.leads import canonical_lead
from processing.pages import PageError, open_page

from .arguments import UsageError
from .benchmark_measurements import difference
from .contact_sheet import captioned, tiled
from .loading import Reader
from .measurements import Measurements
from .picture import draw_reading
from .results import lead_parts, measured, refuse_below

_RATE_BPM = 3.0  # that a heart rate may differ from the printed one
# How an index writes what machines print; of three axes, P, QRS and T, the second is meant.
_PRINTED = {
    "pr_ms": r"\bPR (\d+)",
    "qrs_ms": r"\bQRS (\d+)",
    "qt_ms": r"\bQT/QTc (\d+)",
    "qtc_bazett_ms": r"\bQT/QTc \d+/(\d+)",
    "axis_deg": r"\baxes -?\d+ (-?\d+)",
}
_TILE = (640, 900)  # height and width of a page on the sheet
_PER_ROW = 2


@dataclass(frozen=True)
class Listed:
    """A page of the index.

    Attributes:
        rows: leads of every row of columns from top to bottom, names as the index gives them.
        rhythm: leads of the strips below.
        rate_bpm: as the machine printed it, None where it did not.
        intervals: what it printed besides, by the names of `Measurements`.
    """

    file: Path
    rows: tuple[tuple[str, ...], ...]
    rhythm: tuple[str, ...]
    rate_bpm: float | None
    intervals: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Checked:
    """What was read of a page and how that agrees with the index and with itself."""

    page: Listed
    status: str
    reason: str | None
    quality: float
    layout: str
    leads_right: bool
    rate_bpm: float | None
    law_uv: float | None
    rhythm_uv: float | None
    warnings: tuple[str, ...]
    measured: Measurements = field(default_factory=Measurements)

    def off(self, name: str) -> float | None:
        """Difference of a measurement to the printed one, None where either is missing."""
        printed, found = self.page.intervals.get(name), getattr(self.measured, name)
        apart = None if printed is None else difference(name, printed, found)
        return None if apart is None else abs(apart)

    @property
    def rate_off_bpm(self) -> float | None:
        """Difference to the printed heart rate, None where either is missing."""
        return None if self.rate_bpm is None or self.page.rate_bpm is None else abs(self.rate_bpm - self.page.rate_bpm)

    def row(self) -> dict[str, Any]:
        """Flat figures for the table of pages."""
        return {
            "page": self.page.file.name,
            "status": self.status,
            "quality": self.quality,
            "layout_read": self.layout,
            "leads_right": self.leads_right,
            "rate_bpm": self.rate_bpm,
            "printed_bpm": self.page.rate_bpm,
            **{name: getattr(self.measured, name) for name in _PRINTED},
            **{f"printed_{name}": self.page.intervals.get(name) for name in _PRINTED},
            "law_uv": self.law_uv,
            "rhythm_uv": self.rhythm_uv,
            "warnings": "; ".join(self.warnings),
            "reason": self.reason,
        }


def listed_pages(folder: Path) -> list[Listed]:
    """Pages of a folder's `index.csv`: the columns `file`, `leads` (rows parted by `|`, leads by blanks) and, where
    they are known, `rhythm` (leads, or "none") and `printed_values` (with "HR 72").

    Raises:
        UsageError: no index, or one without these columns.
    """
    index = folder / "index.csv"
    if not index.is_file():
        raise UsageError(f"{index}: not found; expected the columns file, leads, rhythm, printed_values")
    with index.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"file", "leads"} <= set(rows[0]):
        raise UsageError(f"{index}: expected rows with the columns file and leads, got {list(rows[0]) if rows else []}")
    return [_listed(folder, row) for row in rows]


def _listed(folder: Path, row: dict[str, str]) -> Listed:
    values = row.get("printed_values") or ""
    rate = re.search(r"\bHR (\d+(?:\.\d+)?)", values)
    printed = {name: re.search(pattern, values) for name, pattern in _PRINTED.items()}
    rhythm = (row.get("rhythm") or "").split("(")[0]
    return Listed(
        folder / row["file"],
        tuple(tuple(part.split()) for part in row["leads"].split("|")),
        tuple(name for name in re.split(r"[\s,]+", rhythm) if canonical_lead(name)),
        float(rate[1]) if rate else None,
        {name: float(found[1]) for name, found in printed.items() if found},
    )


def leads_agree(page: Listed, rows: list[list[str]]) -> bool:
    """Whether the rows that were read are those of the index, the rhythm strips in any order.

    Leads beyond the twelve must not be told at all, least of all under another name.
    """
    wanted = [[name for name in row if canonical_lead(name)] for row in page.rows]
    if not any(wanted):
        return not rows
    count = len(wanted)
    return rows[:count] == wanted and sorted(row[0] for row in rows[count:]) == sorted(page.rhythm)


def check_page(page: Listed, reader: Reader) -> tuple[Checked, np.ndarray]:
    """Reads a page as `ecgscan read` does; what was found, and the page with it drawn over."""
    try:
        image = open_page(page.file).image
    except PageError as error:
        unread = Checked(page, "error", str(error), 0.0, "", False, None, None, None, ())
        return unread, _tile(unread, np.full((1, 1, 3), 235, np.uint8))
    reading, size = reader.read([image])[0]
    reading = refuse_below(reading, reader.min_quality)
    told = bool(lead_parts(reading.signal, reading.confidence))
    checked = Checked(
        page=page,
        status=reading.status,
        reason=reading.reason,
        quality=float(reading.quality),
        layout=str(reading.layout["name"]),
        leads_right=leads_agree(page, reading.layout["rows"] if told else []),
        rate_bpm=reading.heart_rate_bpm,
        law_uv=reading.lead_law_residual_uv,
        rhythm_uv=reading.rhythm_residual_uv,
        warnings=tuple(reading.warnings),
        measured=measured(reading),
    )
    return checked, _tile(checked, draw_reading(image, reading, size))


def summary_of(pages: list[Checked]) -> dict[str, Any]:
    """Counts and medians over all pages."""
    rates = [page.rate_off_bpm for page in pages if page.rate_off_bpm is not None]
    return {
        "pages": len(pages),
        "leads_right": sum(page.leads_right for page in pages),
        "wrong": [page.page.file.name for page in pages if not page.leads_right],
        "refused": sum(page.status != "read" for page in pages),
        "rates_printed": sum(page.page.rate_bpm is not None for page in pages),
        "rates_compared": len(rates),
        "rates_within_3_bpm": sum(rate <= _RATE_BPM for rate in rates),
        "intervals": {name: _apart([page.off(name) for page in pages]) for name in _PRINTED},
        "law_uv": _median([page.law_uv for page in pages]),
        "rhythm_uv": _median([page.rhythm_uv for page in pages]),
        "with_warnings": sum(bool(page.warnings) for page in pages),
    }


def _apart(differences: list[float | None]) -> dict[str, float | None]:
    """How many pages were compared, and by how much they differ."""
    known = [value for value in differences if value is not None]
    return {"pages": len(known), "median": _median(known), "largest": max(known, default=None)}


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def sheet(pages: list[tuple[Checked, np.ndarray]]) -> np.ndarray:
    """(height, width, 3) uint8 RGB: all pages, those that were named wrong and the least sure ones first."""
    order = sorted(pages, key=lambda pair: (pair[0].leads_right, pair[0].quality))
    return tiled([tile for _, tile in order], _PER_ROW)


def _tile(checked: Checked, drawn: np.ndarray) -> np.ndarray:
    rate = "" if checked.rate_bpm is None else f"  {checked.rate_bpm:.0f}"
    printed = "" if checked.page.rate_bpm is None else f" ({checked.page.rate_bpm:.0f} printed)"
    law = "" if checked.law_uv is None else f"  laws {checked.law_uv:.0f} uV"
    title = f"{checked.page.file.name}  {checked.status} {checked.quality:.2f}{rate}{printed}{law}"
    return captioned(drawn, title, checked.leads_right, _TILE)
