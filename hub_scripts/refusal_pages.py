"""Pages without an ECG for `ecgscan benchmark refusal`: which kinds there are, and a third of them as photos."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from processing.page_ageing import age
from processing.page_handling import handle
from processing.page_warp import sample_warp, seen
from processing.page_wear import table as desk
from processing.page_wear import wear_photo

from . import refusal_charts, refusal_documents, refusal_medical, refusal_pictures

KINDS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "stock prices": refusal_charts.stock_prices,
    "line chart": refusal_charts.line_chart,
    "bar chart": refusal_charts.bar_chart,
    "scatter plot": refusal_charts.scatter_plot,
    "spectrum": refusal_charts.spectrum,
    "audio waveform": refusal_charts.audio_waveform,
    "growth chart": refusal_charts.growth_chart,
    "EEG": refusal_medical.eeg,
    "sleep or polygraph": refusal_medical.sleep_study,
    "seismogram": refusal_medical.seismogram,
    "pressure monitor": refusal_medical.pressure_monitor,
    "spirometry": refusal_medical.spirometry,
    "cardiotocogram": refusal_medical.cardiotocogram,
    "nerve conduction": refusal_medical.nerve_conduction,
    "scan slice": refusal_medical.scan_slice,
    "blank ECG paper": refusal_documents.blank_ecg_paper,
    "handwritten sum": refusal_documents.handwritten_sum,
    "sheet music": refusal_documents.sheet_music,
    "text in columns": refusal_documents.text_page,
    "table": refusal_documents.table,
    "letter": refusal_documents.letter,
    "form": refusal_documents.form,
    "map": refusal_pictures.contour_map,
    "crossword": refusal_pictures.crossword,
    "technical drawing": refusal_pictures.technical_drawing,
    "landscape": refusal_pictures.landscape,
}
MEGAPIXELS = (0.5, 2.0)
_LONG_MM = 290.0


@dataclass(frozen=True)
class OtherPage:
    """A page without an ECG.

    Attributes:
        image: (height, width, 3) uint8 RGB of 0.5 to 2 megapixels.
        photo: photographed, not as drawn.
    """

    name: str
    kind: str
    photo: bool
    image: np.ndarray


def draw_pages(number: int, seed: int) -> Iterator[OtherPage]:
    """`number` pages, all kinds in turn, every third page of a kind as a photo; the same seed gives the same pages."""
    names = list(KINDS)
    for page in range(number):
        turn, place = divmod(page, len(names))
        yield draw_page(names[place], photo=(turn + place) % 3 == 0, seed=(seed, page))


def draw_page(kind: str, *, photo: bool, seed: tuple[int, int]) -> OtherPage:
    """One page of a kind.

    Raises:
        ValueError: for an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is unknown; expected one of {', '.join(KINDS)}")
    rng = np.random.default_rng(seed)
    image = np.ascontiguousarray(KINDS[kind](rng))
    if photo:
        image = _photographed(rng, image)
    name = f"{seed[1]:03d} {kind}{' photo' if photo else ''}"
    return OtherPage(name, kind, photo, _sized(image))


def _photographed(rng: np.random.Generator, flat: np.ndarray) -> np.ndarray:
    """The sheet as a camera sees it on a table: aged, bent, lit, blurred, as pages with an ECG are rendered."""
    pixels_per_mm = max(flat.shape[:2]) / _LONG_MM
    page_mm = (flat.shape[1] / pixels_per_mm, flat.shape[0] / pixels_per_mm)
    inner = (0.15 * page_mm[0], 0.15 * page_mm[1], 0.85 * page_mm[0], 0.85 * page_mm[1])
    corners = np.array([[inner[0], inner[1]], [inner[2], inner[1]], [inner[2], inner[3]], [inner[0], inner[3]]])
    quarter = 90.0 * int(rng.integers(4)) if rng.random() < 0.15 else 0.0
    warp = sample_warp(
        rng,
        page_mm,
        corners,
        condition="photo",
        turn_deg=quarter + float(rng.normal(0, 7)),
        pixels_per_mm=pixels_per_mm * float(rng.uniform(0.8, 1.1)),
    )
    aged, _ = age(rng, flat, pixels_per_mm, inner)
    source = warp.pixel_map(pixels_per_mm)
    backdrop = desk(rng, warp.size)
    image = handle(rng, seen(aged, source, backdrop), warp, source, page_mm, corners)
    return wear_photo(rng, image, warp, pixels_per_mm)


def _sized(image: np.ndarray) -> np.ndarray:
    """The picture brought to between half a megapixel and two."""
    pixels = float(image.shape[0] * image.shape[1])
    low, high = (1e6 * limit for limit in MEGAPIXELS)
    if low <= pixels <= high:
        return image
    share = float(np.sqrt((1.02 * low if pixels < low else 0.98 * high) / pixels))
    return cv2.resize(image, None, fx=share, fy=share, interpolation=cv2.INTER_AREA if share < 1 else cv2.INTER_CUBIC)
