"""What the page asks of the model: one page after another, each with its stages told while it is read."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from hub_scripts.classify import Classifier
from hub_scripts.loading import load_reader
from hub_scripts.read import Options, PageReader
from hub_scripts.results import page_json, refuse_below
from processing.pages import PageError, PageImage, open_pages

from .gallery import Gallery

MAX_PAGES = 50
MAX_LABELS = 20
# The networks of the reading tower in the order in which they first run, and what they do.
_STAGES = {
    "finder": (0.15, "Looking for the traces"),
    "locator": (0.3, "Finding rows, leads and the grid"),
    "namer": (0.5, "Reading the printed names"),
    "reader": (0.7, "Following the traces"),
}

Report = Callable[[float, str], Any]


@dataclass(frozen=True)
class PageResult:
    """A page that was read: its picture, its reading, the pixels this refers to, and the JSON of it."""

    page: PageImage
    reading: Any
    size: tuple[int, int]
    document: dict[str, Any]

    @property
    def has_signal(self) -> bool:
        return bool(np.isfinite(self.reading.signal).any())


class Service:
    """The loaded model. Pages take turns, so that a batch lets single pages through.

    Args:
        checkpoint: a folder or a name on the Hub; the shipped one by default.
    """

    def __init__(self, checkpoint: str | None = None):
        self.reader = load_reader(checkpoint)
        self.model = {"name": self.reader.name, "revision": self.reader.revision}
        self.gallery = Gallery(self.reader)
        self._turn = threading.Lock()
        self._report: Report = _silent
        for name in _STAGES:
            stage = getattr(self.reader.model.image_model, name, None)
            if stage is not None:
                stage.register_forward_pre_hook(self._teller(name))

    def _teller(self, name: str) -> Callable[..., None]:
        return lambda *_: self._report(*_STAGES[name])

    def read(self, page: PageImage, columns: str | None = None, report: Report | None = None) -> PageResult:
        """Reads an opened page.

        Args:
            columns: "sequential" or "simultaneous"; None where rhythm strips are to tell, sequential if none does.
            report: is told the share that is done and what comes next.

        Raises:
            PageError: this page broke the reading.
        """
        pages = PageReader(Options(out=Path(), columns=columns), self.reader)
        started = perf_counter()
        with self._turn:
            self._report = report or _silent
            try:
                outcome = pages.readings([page])[0]
            finally:
                self._report = _silent
        if isinstance(outcome, Exception):
            raise PageError(f"{page.file}: page {page.page} can't be read ({type(outcome).__name__}: {outcome})")
        reading, size = outcome
        reading = refuse_below(reading, pages.min_quality)
        return PageResult(page, reading, size, page_json(page, reading, self.model, perf_counter() - started))

    def shares(self, reading: Any, labels: list[str]) -> dict[str, float]:
        """How well texts fit a reading, as shares of one.

        Raises:
            ValueError: fewer than two labels, too many, or one in another script.
        """
        if not 2 <= len(labels) <= MAX_LABELS:
            raise ValueError(
                f"got {len(labels)} labels, expected 2 to {MAX_LABELS} different ones, separated by commas"
            )
        return Classifier(self.reader, tuple(labels), None).of_reading(reading)


def _silent(share: float, stage: str) -> None:
    pass


@contextmanager
def own_name(path: Path) -> Iterator[None]:
    """Messages name the file alone, not where the server keeps it."""
    try:
        yield
    except PageError as error:
        raise PageError(str(error).replace(str(path), path.name)) from error


def open_upload(path: Path, number: int = 1) -> PageImage:
    """Page `number` of a file, under the file's own name.

    Raises:
        PageError: it can't be opened, or has no such page.
    """
    if not 1 <= number <= MAX_PAGES:
        raise PageError(f"{path.name}: page {number} was asked for; the demonstration opens pages 1 to {MAX_PAGES}")
    pages = 0
    with own_name(path):
        for page in open_pages(path, drawing=True):
            if page.page == number:
                return replace(page, file=path.name)
            pages = page.n_pages
            if number > pages:
                break
    raise PageError(f"{path.name}: page {number} was asked for, the file has {pages}")
