"""What is known of a page from stage to stage: located, traced, read."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .geometry_ecgscan import PageGeometry
from .printed_names_ecgscan import PrintedNames
from .rectifying_ecgscan import StripColumns
from .strips_ecgscan import FoundLayout, FoundStrip


@dataclass
class ECGReading:
    """What was read from one page.

    Attributes:
        status: "read", "partial" or "no_ecg"; `reason` says why it is not "read".
        signal: (12, samples) float32 millivolts at 500 Hz in standard lead order, NaN where nothing is printed.
        confidence: (12, samples) float32, 0 to 1, 0 where nothing is printed.
        completed: (12, 5000) float32 millivolts, printed parts as read and the rest inferred, or None.
        layout: `{"name": ..., "rows": [[lead, ...], ...]}`.
        quality: probability that the reading reaches 10 dB.
        speed, gain: value and whether it was "read" or "assumed".
        columns: "sequential" or "simultaneous", and its source.
        source: "picture", or "vectors" where the lines of a PDF were read themselves.
        rhythm_residual_uv: mean difference between rhythm strips and the short strips of the same leads, or None.
        strips: per strip its lead, row, column, times, confidence, trace and outline in image pixels.
        warnings: where sources of paper speed or gain contradict each other, a sentence each.
        embedding: (projection_dim,) unit vector beside those of signals and texts, or None.
        findings: calibrated probability by finding; empty where no ECG was found or the model tells none.
    """

    status: str
    reason: str | None
    signal: np.ndarray
    confidence: np.ndarray
    layout: dict[str, Any]
    quality: float
    speed: tuple[float, str] = (25.0, "assumed")
    gain: tuple[float, str] = (10.0, "assumed")
    columns: tuple[str, str] = ("sequential", "assumed")
    strips: list[dict[str, Any]] = field(default_factory=list)
    completed: np.ndarray | None = None
    embedding: np.ndarray | None = None
    findings: dict[str, float] = field(default_factory=dict)
    heart_rate_bpm: float | None = None
    lead_law_residual_uv: float | None = None
    rhythm_residual_uv: float | None = None
    grid_px_per_mm: float | None = None
    features: dict[str, float] = field(default_factory=dict)
    source: str = "picture"
    warnings: list[str] = field(default_factory=list)


def signal_arrays(readings: list[ECGReading], samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Readings as the signal tower takes them: (B, 12, samples) float32 millivolts, and confidence, 0 where unknown."""
    shape = (len(readings), len(readings[0].signal), samples)
    values, weight = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for row, reading in enumerate(readings):
        length = min(samples, reading.signal.shape[1])
        known = np.isfinite(reading.signal[:, :length])
        values[row, :, :length] = np.where(known, reading.signal[:, :length], 0.0)
        weight[row, :, :length] = np.where(known, np.clip(reading.confidence[:, :length], 0.05, 1.0), 0.0)
    return values, weight


@dataclass
class Located:
    """Geometry and strips of a page and what is printed in words, before reading.

    `image_size` is the height and width of the picture that `geometry` maps to; `gridded` once printed lines have
    confirmed the scale.
    """

    image_size: tuple[int, int]
    geometry: PageGeometry
    layout: FoundLayout
    ecg_probability: float
    speed_share: np.ndarray
    gain_share: np.ndarray
    names: PrintedNames | None
    gridded: bool = False


@dataclass
class Traced:
    """What was read along the strips of a page, and what it says of paper speed and gain."""

    strips: list[FoundStrip]
    columns: list[StripColumns]
    speed_share: np.ndarray
    gain_share: np.ndarray
