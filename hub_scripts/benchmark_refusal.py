"""`ecgscan benchmark refusal`: pages without an ECG, and how many of them are read as if they held one."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from processing.pages import PageError, PageImage, find_pages, open_pages

from .arguments import UsageError
from .contact_sheet import captioned, tiled
from .loading import Reader
from .picture import draw_reading
from .read import Options, PageReader
from .refusal_pages import draw_pages
from .results import lead_parts, refuse_below

STATUSES = ("read", "partial", "no_ecg", "error")
_TILE = (520, 760)  # height and width of a page on the sheet
_TITLE = 32
_PER_ROW = 3
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class Subject:
    """A page without an ECG, drawn or out of a folder; `error` says why a file could not be opened."""

    name: str
    kind: str
    photo: bool | None
    page: PageImage | None
    error: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What `ecgscan read` decides about a page without an ECG.

    Attributes:
        photo: photographed or as drawn; None for pictures of a folder.
        status: "read", "partial", "no_ecg" or "error".
        quality: of what was found, also where no signal is given for it.
        leads: how many leads a signal is given of; above 0 the page was wrongly read.
        strips: how many strips were found, given or not.
    """

    name: str
    kind: str
    photo: bool | None
    status: str
    quality: float
    layout: str
    leads: int
    strips: int
    reason: str | None

    @property
    def wrong(self) -> bool:
        """Whether any signal is given of this page."""
        return self.status in ("read", "partial") and self.leads > 0


def subjects(pages: int, seed: int, pictures: Path | None) -> Iterator[Subject]:
    """The drawn pages, then those of a folder.

    Raises:
        UsageError: the folder is missing or holds no picture.
    """
    for drawn in draw_pages(pages, seed):
        yield Subject(drawn.name, drawn.kind, drawn.photo, PageImage(drawn.image, drawn.name, 1, 1))
    for file in picture_files(pictures):
        try:
            for page in open_pages(file, drawing=True):
                name = file.name if page.n_pages == 1 else f"{file.name} p{page.page}"
                yield Subject(name, "pictures", None, page)
        except PageError as error:
            yield Subject(file.name, "pictures", None, None, str(error))


def picture_files(pictures: Path | None) -> list[Path]:
    """Pictures and PDFs of a folder, none without one.

    Raises:
        UsageError: it is missing or holds no picture.
    """
    try:
        return find_pages([pictures]) if pictures else []
    except PageError as error:
        raise UsageError(str(error)) from error


def judge(subject: Subject, reader: Reader) -> tuple[Outcome, np.ndarray | None]:
    """Reads a page as `ecgscan read` does: the outcome, and a tile for the sheet where a signal is given."""
    found: Any = subject.error
    if subject.page is not None:
        # the command's own way: lines of a PDF first, then the picture; one page's failure is that page's error
        found = PageReader(Options(out=Path()), reader).readings([subject.page])[0]
    if subject.page is None or isinstance(found, Exception):
        return Outcome(subject.name, subject.kind, subject.photo, "error", 0.0, "", 0, 0, str(found)), None
    reading, size = found
    reading = refuse_below(reading, reader.min_quality)
    outcome = Outcome(
        name=subject.name,
        kind=subject.kind,
        photo=subject.photo,
        status=reading.status,
        quality=float(reading.quality),
        layout=str(reading.layout["name"]) if reading.strips else "",
        leads=len(lead_parts(reading.signal, reading.confidence)),
        strips=len(reading.strips),
        reason=reading.reason,
    )
    return outcome, _tile(outcome, draw_reading(subject.page.image, reading, size)) if outcome.wrong else None


def figures(outcomes: Iterable[Outcome]) -> dict[str, dict[str, Any]]:
    """Counts of all pages, of those as drawn and of photos, and by kind."""
    groups: dict[str, list[Outcome]] = {"all": [], "as drawn": [], "photo": []}
    for outcome in outcomes:
        groups["all"].append(outcome)
        if outcome.photo is not None:
            groups["photo" if outcome.photo else "as drawn"].append(outcome)
        groups.setdefault(outcome.kind, []).append(outcome)
    return {name: _counts(group) for name, group in groups.items() if group}


def _counts(group: list[Outcome]) -> dict[str, Any]:
    wrong = [outcome for outcome in group if outcome.wrong]
    return {
        "pages": len(group),
        "wrong": len(wrong),
        "wrong_at_most": upper_bound(len(wrong), len(group)),
        **{status: sum(outcome.status == status for outcome in group) for status in STATUSES},
        # layout and strips were told, but their quality was too low for a signal
        "no_signal": sum(outcome.status == "partial" and not outcome.leads for outcome in group),
        "highest_quality": max(outcome.quality for outcome in group),
        "wrong_qualities": sorted((round(outcome.quality, 3) for outcome in wrong), reverse=True),
    }


def upper_bound(count: int, number: int, confidence: float = 0.95) -> float:
    """The share that `count` of `number` leaves possible: one-sided bound of Clopper and Pearson."""
    from scipy.stats import beta

    return 1.0 if count == number else float(beta.ppf(confidence, count + 1, number - count))


def rows_of(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """A row per page, those that were wrongly read and of the highest quality first."""
    return [{**asdict(outcome), "wrong": outcome.wrong} for outcome in sorted(outcomes, key=_severity)]


def _severity(outcome: Outcome) -> tuple[bool, float]:
    return not outcome.wrong, -outcome.quality


def sheet(judged: Iterable[tuple[Outcome, np.ndarray | None]]) -> np.ndarray:
    """(height, width, 3) uint8 RGB: what was wrongly read, drawn over its page; the surest mistakes first."""
    order = sorted(judged, key=lambda pair: _severity(pair[0]))
    tiles = [tile for _, tile in order if tile is not None]
    if not tiles:
        empty = np.full((2 * _TITLE, _TILE[1], 3), 255, np.uint8)
        cv2.putText(empty, "no page was read", (8, 38), _FONT, 0.6, (0, 112, 56), 1, cv2.LINE_AA)
        return empty
    return tiled(tiles, _PER_ROW)


def _tile(outcome: Outcome, drawn: np.ndarray) -> np.ndarray:
    title = f"{outcome.name}   {outcome.status} {outcome.quality:.2f}   {outcome.layout}   {outcome.leads} leads"
    return captioned(drawn, title, False, _TILE)
