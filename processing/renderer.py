"""Recording to page: drawn, photographed and worn, with the place of every lead and moment known exactly."""

from dataclasses import dataclass

import cv2
import numpy as np

from .layouts import Layout
from .leads import LEADS
from .page_ageing import age
from .page_drawing import PrintedScale, Strip, draw_page
from .page_handling import FAX_SHARE, fax, handle
from .page_style import PageStyle, sample_style, vary_pen
from .page_warp import Warp, flat_warp, sample_warp, seen
from .page_wear import table, wear_photo, wear_scan
from .records import Recording

CONDITIONS: tuple[str, ...] = ("clean", "scan", "photo")
# ours: of traces on scans and photos, which have fewer pixels than real ones and would lose thinner strokes to blur
_LEAST_PEN_PX = 1.3


@dataclass
class Page:
    """A rendered page and its truth.

    Attributes:
        image: (height, width, 3) uint8 RGB.
        strips: what is printed where, in millimetres on paper.
        warp: exact map between image pixels and paper millimetres.
        scales: paper speed and gain where they are printed in words.
    """

    image: np.ndarray
    strips: list[Strip]
    style: PageStyle
    warp: Warp
    recording: Recording
    condition: str
    scales: list[PrintedScale]

    @property
    def layout(self) -> Layout:
        return self.style.layout

    @property
    def speed(self) -> float:
        return self.style.speed

    @property
    def gain(self) -> float:
        return self.style.gain

    def to_image(self, points_mm: np.ndarray) -> np.ndarray:
        """(N, 2) image pixels of (N, 2) places on paper in millimetres."""
        return self.warp.to_image(points_mm)

    def to_paper(self, points_px: np.ndarray) -> np.ndarray:
        """(N, 2) places on paper in millimetres of (N, 2) image pixels."""
        return self.warp.to_paper(points_px)

    def printed(self) -> dict[str, list[float]]:
        """Printed part of the recording per lead, `{lead: [start_s, end_s]}`; of two strips the longer one."""
        longest: dict[str, list[float]] = {}
        for strip in self.strips:
            best = longest.get(strip.lead)
            if best is None or strip.end_s - strip.start_s > best[1] - best[0]:
                longest[strip.lead] = [strip.start_s, strip.end_s]
        return longest


def _turn(rng: np.random.Generator, condition: str) -> float:
    if condition == "scan":
        quarter = 90.0 * rng.integers(0, 4) if rng.random() < 0.12 else 0.0
        return float(quarter + rng.normal(0, 1.2))
    share = rng.random()
    if share < 0.12:
        return float(rng.uniform(-180, 180))
    quarter = 90.0 * rng.integers(0, 4) if share < 0.24 else 0.0
    return float(quarter + rng.normal(0, 9))


def render(
    recording: Recording,
    *,
    seed: int,
    layout: str | None = None,
    condition: str = "clean",
    columns: str = "sequential",
    rhythm: tuple[str, ...] | None = None,
    speed: float | None = None,
    gain: float | None = None,
    pixels_per_mm: float | None = None,
    turn_deg: float | None = None,
) -> Page:
    """Render one page of a recording; what is not given is drawn from the seed.

    Args:
        recording: 12 leads in millivolts.
        seed: the same seed and arguments give the same pixels.
        layout: a name out of `processing.layouts.LAYOUTS`.
        condition: "clean" (as drawn), "scan" or "photo".
        columns: "sequential" or "simultaneous".
        rhythm: leads of the rhythm strips.
        speed: paper speed in mm/s.
        gain: mm/mV.
        pixels_per_mm: resolution in the middle of the picture.
        turn_deg: rotation of the page in the picture.

    Raises:
        ValueError: for an unknown layout or condition.
    """
    if condition not in CONDITIONS:
        raise ValueError(f"condition {condition!r} is unknown; expected one of {', '.join(CONDITIONS)}")
    rng = np.random.default_rng(seed)
    style = sample_style(
        rng,
        layout=layout,
        rhythm=rhythm,
        columns=columns,
        speed=speed,
        gain=gain,
        pixels_per_mm=pixels_per_mm,
        duration_s=recording.duration_s,
    )
    # streams of their own: what came later changes neither places nor warps of a seed
    more = np.random.default_rng([seed, 1])
    vary_pen(np.random.default_rng([seed, 2]), style)
    if condition != "clean":
        style.trace_mm = max(style.trace_mm, _LEAST_PEN_PX / style.pixels_per_mm)
    flat, strips, scales = draw_page(style, recording, rng)
    if condition == "clean":
        return Page(flat, strips, style, flat_warp(style.page_mm, style.pixels_per_mm), recording, condition, scales)
    warp = sample_warp(
        rng,
        style.page_mm,
        _corners(strips),
        condition=condition,
        turn_deg=_turn(rng, condition) if turn_deg is None else turn_deg,
        pixels_per_mm=style.pixels_per_mm * float(rng.uniform(0.75, 1.1)),
    )
    keep_mm = _traces_box(strips, recording, style.gain)
    flat, gone = age(more, flat, style.pixels_per_mm, keep_mm)
    source = warp.pixel_map(style.pixels_per_mm)
    backdrop = (
        table(rng, warp.size)
        if condition == "photo"
        else np.full((*warp.size, 3), 255 if rng.random() < 0.7 else 40, np.uint8)
    )
    image = seen(flat, source, backdrop)
    if gone is not None:
        holes = cv2.remap(gone, source, None, cv2.INTER_LINEAR)  # type: ignore[call-overload]
        image = _through(image, backdrop, holes)
    if condition == "photo":
        image = handle(more, image, warp, source, style.page_mm, _rectangle(keep_mm))
        image = wear_photo(rng, image, warp, style.pixels_per_mm)
    else:
        image = wear_scan(rng, image, warp, style.pixels_per_mm)
        image = fax(more, image) if more.random() < FAX_SHARE else image
    return Page(image, strips, style, warp, recording, condition, scales)


def _through(image: np.ndarray, backdrop: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """The picture with the backdrop where the paper is gone, a little darker along the edges."""
    rows, columns = np.nonzero(holes)
    share = holes[rows, columns, None] / np.float32(255.0)
    behind = backdrop[rows, columns] * np.float32(0.85)
    image[rows, columns] = (image[rows, columns] * (1 - share) + behind * share).astype(np.uint8)
    return image


def _traces_box(strips: list[Strip], recording: Recording, gain: float) -> tuple[float, float, float, float]:
    """Left, top, right and bottom (mm) of all strips with the waves that the recording draws."""
    tall = np.nan_to_num(recording.signal)
    tops = [s.baseline_mm - max(5.0, gain * float(tall[LEADS.index(s.lead)].max())) for s in strips]
    bottoms = [s.baseline_mm + max(5.0, -gain * float(tall[LEADS.index(s.lead)].min())) for s in strips]
    rights = [s.x_mm + s.width_mm for s in strips]
    return min(s.x_mm for s in strips) - 1, min(tops) - 1, max(rights) + 1, max(bottoms) + 1


def _rectangle(box: tuple[float, float, float, float]) -> np.ndarray:
    left, top, right, bottom = box
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def _corners(strips: list[Strip]) -> np.ndarray:
    """Corners of the area that holds all strips, with room for their waves."""
    left = min(strip.x_mm for strip in strips) - 2
    right = max(strip.x_mm + strip.width_mm for strip in strips) + 2
    top, bottom = min(s.baseline_mm for s in strips) - 12, max(s.baseline_mm for s in strips) + 8
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
