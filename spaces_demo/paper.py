"""Recordings drawn on ECG paper as inline SVG: 25 mm/s, 10 mm/mV, one unit of the drawing a millimetre."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

import cv2
import numpy as np

from processing.leads import LEADS

MM_PER_S = 25.0
MM_PER_MV = 10.0
SAMPLING_RATE = 500.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 25.0, 5.0, 5.0, 10.0
_MARGIN = 2.5
_TOLERANCE = 0.02  # millimetres by which a drawn line may miss a sample


@dataclass(frozen=True)
class Trace:
    """A row of the sheet: a lead in millivolts at 500 Hz, NaN where unknown, and what was inferred of it."""

    lead: str
    printed: np.ndarray
    inferred: np.ndarray | None = None

    def drawn(self) -> list[np.ndarray]:
        return [self.printed] if self.inferred is None else [self.printed, self.inferred]

    def reach(self) -> tuple[float, float]:
        """Lowest and highest value, in millimetres from the zero line; the pulse of 1 mV is among them."""
        known = [values[np.isfinite(values)] for values in self.drawn()]
        values = np.concatenate([*known, [0.0, 1.0]]) * MM_PER_MV
        return float(values.min()), float(values.max())


def twelve_leads(signal: np.ndarray, completed: np.ndarray | None) -> str:
    """The twelve leads below each other.

    Args:
        signal: (12, samples) millivolts at 500 Hz, NaN where nothing was printed: drawn solid.
        completed: (12, 5000) millivolts, or None: drawn in another style where nothing was printed.
    """
    traces = []
    for index, lead in enumerate(LEADS):
        inferred = None
        if completed is not None:
            inferred = completed[index].copy()
            shared = min(len(inferred), signal.shape[1])
            known = np.isfinite(signal[index, :shared])
            # one sample of overlap on each side joins the two lines
            inner = known.copy()
            inner[1:] &= known[:-1]
            inner[:-1] &= known[1:]
            inferred[:shared][inner] = np.nan
            ends = known & ~inner
            inferred[:shared][ends] = signal[index, :shared][ends]
        traces.append(Trace(lead, signal[index], inferred))
    return sheet(traces, "paper-leads", "Twelve leads on ECG paper, 25 mm/s, 10 mm/mV")


def sheet(traces: list[Trace], name: str, title: str) -> str:
    """An SVG of rows; `name` tells its grid from those of other sheets on the same page."""
    samples = max(len(values) for trace in traces for values in trace.drawn())
    width = _LEFT + np.ceil(samples / SAMPLING_RATE * MM_PER_S / 5) * 5 + _RIGHT
    rows, y = [], _TOP
    for trace in traces:
        low, high = trace.reach()
        room = np.ceil((high - low + 2 * _MARGIN) / 5) * 5
        zero = y + room / 2 + (high + low) / 2
        rows.append(_row(trace, zero))
        y += room
    height = y + _BOTTOM
    seconds = "".join(
        f'<text class="s" x="{_LEFT + second * MM_PER_S:g}" y="{height - 3:g}">{second} s</text>'
        for second in range(int(samples / SAMPLING_RATE) + 1)
    )
    return (
        f'<svg class="paper" viewBox="0 0 {width:g} {height:g}" data-mm="{width:g}" role="img" '
        f'aria-label="{escape(title)}" xmlns="http://www.w3.org/2000/svg">'
        f"{_grid(name, width, height)}{''.join(rows)}{seconds}</svg>"
    )


def _grid(name: str, width: float, height: float) -> str:
    return (
        f'<defs><pattern id="{name}-1" width="1" height="1" patternUnits="userSpaceOnUse">'
        '<path class="g1" d="M0 0H1M0 0V1"/></pattern>'
        f'<pattern id="{name}-5" width="5" height="5" patternUnits="userSpaceOnUse">'
        f'<rect width="5" height="5" fill="url(#{name}-1)"/><path class="g5" d="M0 0H5M0 0V5"/></pattern></defs>'
        f'<rect class="sheet" width="{width:g}" height="{height:g}"/>'
        f'<rect width="{width:g}" height="{height:g}" fill="url(#{name}-5)"/>'
    )


def _row(trace: Trace, zero: float) -> str:
    pulse = f"M13 {zero:.2f}h1.5v-{MM_PER_MV:g}h5v{MM_PER_MV:g}h1.5"
    parts = [
        f'<path class="pulse" d="{pulse}"/>',
        f'<text class="lead" x="1.5" y="{zero:.2f}">{escape(trace.lead)}</text>',
    ]
    for style, values in (("inferred", trace.inferred), ("printed", trace.printed)):
        if values is not None:
            path = "".join(_lines(values, zero))
            if path:
                parts.append(f'<path class="{style}" d="{path}"/>')
    return f'<g data-lead="{escape(trace.lead)}">{"".join(parts)}</g>'


def _lines(values: np.ndarray, zero: float) -> Iterator[str]:
    """The path of every unbroken piece, without points that a straight line passes anyway."""
    known = np.flatnonzero(np.isfinite(values))
    for piece in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):
        if len(piece) < 2:
            continue
        x = _LEFT + piece / SAMPLING_RATE * MM_PER_S
        points = np.stack([x, zero - values[piece] * MM_PER_MV], axis=1).astype(np.float32)
        kept = cv2.approxPolyDP(points[:, None], _TOLERANCE, False)[:, 0]
        yield "M" + " ".join(f"{x:.2f},{y:.2f}" for x, y in kept.tolist())
