"""A sheet of pages for the eye: what was drawn over the page, and beside it truth and reading of every lead."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from processing.leads import LEADS
from processing.records import Recording

from .picture import draw_reading
from .scoring import PageScore, Printed

PANEL_HEIGHT = 720
PAGE_WIDTH = 1000
PLOT_WIDTH = 1100
_TITLE = 32
_TRUTH, _READ = (0, 0, 0), (214, 40, 40)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class Case:
    """One page for the sheet; `size` as `draw_reading` takes it."""

    title: str
    image: np.ndarray
    reading: Any
    size: tuple[int, int]
    recording: Recording
    printed: Printed
    score: PageScore


def contact_sheet(cases: list[Case]) -> np.ndarray:
    """(height, width, 3) uint8 RGB: one band per page, truth in black, reading in red over it."""
    bands = [_band(case) for case in cases]
    return np.concatenate(bands) if bands else np.full((64, PAGE_WIDTH, 3), 255, np.uint8)


def captioned(drawn: np.ndarray, title: str, good: bool, size: tuple[int, int]) -> np.ndarray:
    """(height, width, 3) uint8 RGB tile of a page under its title, which is red where it is not good.

    Args:
        size: height and width of the tile.
    """
    height, width = size
    tile = np.full((height, width, 3), 235, np.uint8)
    share = min(width / drawn.shape[1], (height - _TITLE) / drawn.shape[0])
    small = cv2.resize(drawn, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)[: height - _TITLE, :width]
    tile[_TITLE : _TITLE + small.shape[0], : small.shape[1]] = small
    tile[:_TITLE] = 40 if good else (150, 30, 30)
    cv2.putText(tile, title, (8, 22), _FONT, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return tile


def tiled(tiles: list[np.ndarray], per_row: int) -> np.ndarray:
    """Tiles of one size in rows, the last filled up."""
    per_row = min(per_row, len(tiles))
    filled = [*tiles, *[np.full_like(tiles[0], 235)] * (-len(tiles) % per_row)]
    return np.concatenate(
        [np.concatenate(filled[start : start + per_row], axis=1) for start in range(0, len(filled), per_row)]
    )


def _band(case: Case) -> np.ndarray:
    drawn = draw_reading(case.image, case.reading, case.size)
    share = min(PAGE_WIDTH / drawn.shape[1], PANEL_HEIGHT / drawn.shape[0])
    small = cv2.resize(drawn, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    left = np.full((PANEL_HEIGHT, PAGE_WIDTH, 3), 235, np.uint8)
    left[: small.shape[0], : small.shape[1]] = small
    band = np.concatenate([left, _plots(case)], axis=1)
    title = np.full((36, band.shape[1], 3), 40, np.uint8)
    cv2.putText(title, case.title, (12, 25), _FONT, 0.65, (255, 255, 255), 1, cv2.LINE_AA)
    return np.concatenate([title, band])


def _plots(case: Case) -> np.ndarray:
    """One row per printed lead; all share one scale, so that a wrong gain shows."""
    plot = np.full((PANEL_HEIGHT, PLOT_WIDTH, 3), 255, np.uint8)
    leads = [lead for lead in LEADS if lead in case.printed]
    pitch = PANEL_HEIGHT / len(leads)
    heights = [np.nanmax(np.abs(_part(case.recording, lead, case.printed)), initial=0.2) for lead in leads]
    scale = 0.8 * pitch / float(np.percentile(heights, 80))
    for row, lead in enumerate(leads):
        middle = pitch * (row + 0.55)
        label = f"{lead} {case.score.lead_db.get(lead, 0.0):.1f}"
        cv2.putText(plot, label, (6, int(middle)), _FONT, 0.42, (90, 90, 90), 1, cv2.LINE_AA)
        start_s, end_s = case.printed[lead]
        for recording, colour in ((case.recording, _TRUTH), (_as_recording(case.reading), _READ)):
            values = _part(recording, lead, case.printed)
            across = 90 + np.arange(len(values)) / recording.sampling_rate / (end_s - start_s) * (PLOT_WIDTH - 100)
            _line(plot, np.stack([across, middle - values * scale], axis=1), colour)
    return plot


def _as_recording(reading: Any) -> Recording:
    return Recording(reading.signal, 500.0)


def _part(recording: Recording, lead: str, printed: Printed) -> np.ndarray:
    first, last = (round(second * recording.sampling_rate) for second in printed[lead])
    return recording.signal[LEADS.index(lead), first:last]


def _line(plot: np.ndarray, points: np.ndarray, colour: tuple[int, int, int]) -> None:
    known = np.isfinite(points).all(axis=1)
    for piece in np.split(np.arange(len(points)), np.flatnonzero(np.diff(known)) + 1):
        if len(piece) > 1 and known[piece[0]]:
            pixels = np.clip(np.rint(points[piece] * 16), -(2**24), 2**24).astype(np.int32)[:, None]
            cv2.polylines(plot, [pixels], False, colour, 1, cv2.LINE_AA, 4)
