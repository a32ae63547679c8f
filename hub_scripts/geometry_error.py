"""Geometry and reading apart: where the strips were thought to be, and what was read there.

Both come from pixels: the page's truth says which place on paper every pixel is. The outline of a strip, whose halves
run along its two sides in equal steps of time, tells where the model saw its seconds and its baseline; the trace, put
at the true seconds and millivolts of its pixels, tells what was read.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from processing.leads import LEADS
from processing.records import Recording
from processing.renderer import Page

from .scoring import MAX_RATIO


@dataclass(frozen=True)
class StripGeometry:
    """One located strip against the printed one.

    Attributes:
        x_mm, y_mm: (n,) errors along time and of the baseline, each without its constant shift.
        shift_mm: that shift, along time and in height.
        true_s, read_mv: (points,) time and height of the trace by the page's own truth.
    """

    lead: str
    x_mm: np.ndarray
    y_mm: np.ndarray
    shift_mm: tuple[float, float]
    true_s: np.ndarray
    read_mv: np.ndarray


@dataclass(frozen=True)
class GeometryFigures:
    """Of all points of a page: median and 95th percentile of the absolute error, mm; None where nothing was found."""

    x_median_mm: float | None
    x_p95_mm: float | None
    y_median_mm: float | None
    y_p95_mm: float | None
    shift_x_mm: float | None
    reading_db: float


def strip_geometries(page: Page, reading: Any, size: tuple[int, int]) -> list[StripGeometry]:
    """Compares every located strip with the nearest printed strip of the same lead.

    Args:
        page: a rendered page.
        reading: its `ECGReading`.
        size: (height, width) of the pixels that the reading's geometry refers to.
    """
    scale = np.array([page.image.shape[1] / size[1], page.image.shape[0] / size[0]])
    found = []
    for strip in reading.strips:
        axis, times = _axis(page, np.asarray(strip["outline_px"]) * scale, strip["start_s"], strip["end_s"])
        trace = page.to_paper(np.asarray(strip["polyline_px"], np.float64) * scale)
        trace = trace[np.isfinite(trace).all(axis=1)]
        truths = [truth for truth in page.strips if truth.lead == strip["lead"]]
        if len(axis) < 2 or len(trace) < 2 or not truths:
            continue
        middle = np.median(axis[:, 1])
        truth = min(truths, key=lambda truth: abs(truth.baseline_mm - middle))
        x_error = axis[:, 0] - truth.x_mm - (times - truth.start_s) * page.speed
        y_error = axis[:, 1] - truth.baseline_mm
        shift = (float(np.median(x_error)), float(np.median(y_error)))
        true_s = truth.start_s + (trace[:, 0] - truth.x_mm) / page.speed
        read_mv = (truth.baseline_mm - trace[:, 1]) / page.gain
        found.append(StripGeometry(truth.lead, x_error - shift[0], y_error - shift[1], shift, true_s, read_mv))
    return found


def _axis(page: Page, outline: np.ndarray, start_s: float, end_s: float) -> tuple[np.ndarray, np.ndarray]:
    """(n, 2) places on paper along a strip's baseline, and the (n,) seconds that the model gave them."""
    half = len(outline) // 2
    sides = page.to_paper(outline[: 2 * half]).reshape(2, half, 2)
    axis = (sides[0] + sides[1][::-1]) / 2
    known = np.isfinite(axis).all(axis=1)
    return axis[known], np.linspace(start_s, end_s, half)[known]


def geometry_figures(page: Page, reading: Any, size: tuple[int, int]) -> GeometryFigures:
    """Geometry error of a page, and the decibels that its traces reach with the page's true geometry."""
    strips = strip_geometries(page, reading, size)
    horizontal = np.abs(np.concatenate([strip.x_mm for strip in strips])) if strips else np.empty(0)
    vertical = np.abs(np.concatenate([strip.y_mm for strip in strips])) if strips else np.empty(0)

    def percentile(values: np.ndarray, share: float) -> float | None:
        return float(np.percentile(values, share)) if len(values) else None

    return GeometryFigures(
        x_median_mm=percentile(horizontal, 50),
        x_p95_mm=percentile(horizontal, 95),
        y_median_mm=percentile(vertical, 50),
        y_p95_mm=percentile(vertical, 95),
        shift_x_mm=percentile(np.abs([strip.shift_mm[0] for strip in strips]), 50),
        reading_db=_reading_db(page.recording, page.printed(), strips),
    )


def _sampled(signal: np.ndarray, rate: float, times: np.ndarray) -> np.ndarray:
    places = times * rate
    return np.interp(places, np.arange(len(signal)), signal, left=np.nan, right=np.nan)


def _reading_db(recording: Recording, printed: dict[str, list[float]], strips: list[StripGeometry]) -> float:
    """As `snr_db`, with every point of a trace at the time that the page's truth gives it; absent leads are flat."""
    power = noise = 0.0
    for lead, (start_s, end_s) in printed.items():
        times = start_s + np.arange(round((end_s - start_s) * recording.sampling_rate)) / recording.sampling_rate
        truth = np.nan_to_num(_sampled(recording.signal[LEADS.index(lead)], recording.sampling_rate, times))
        power += float(np.sum(truth**2))
        read = np.full(len(times), np.nan)
        for strip in strips:
            order = np.argsort(strip.true_s)
            if strip.lead == lead and len(order) > 1:
                here = np.interp(times, strip.true_s[order], strip.read_mv[order], left=np.nan, right=np.nan)
                if np.isfinite(here).sum() > np.isfinite(read).sum():
                    read = here
        if np.isfinite(read).any():
            read = read + np.nanmean(truth - read)
        noise += float(np.sum((truth - np.nan_to_num(read)) ** 2))
    ratio = min(power / noise, MAX_RATIO) if noise > 0 else MAX_RATIO
    return float(10 * np.log10(ratio)) if ratio > 0 else float("-inf")
