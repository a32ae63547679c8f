"""PDFs whose traces are lines, written by hand: any layout, pen, grid, scale and turn."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from processing.layouts import LAYOUTS
from processing.leads import LEADS
from processing.records import Recording

MM = 72 / 25.4
LEFT_MM, TOP_MM = 20.0, 40.0


def write_pdf(path: Path, pages: list[tuple[bytes, tuple[float, float], bytes]]) -> Path:
    """Pages of (content, (width, height) in points, further page entries), with Helvetica as /F."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for content, (width, height), more in pages:
        packed = zlib.compress(content)
        objects.append(b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed))
        box = b"/MediaBox [0 0 %.3f %.3f]" % (width, height)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /Contents %d 0 R %s /Resources << /Font << /F 3 0 R >> >> %s >>"
            % (len(objects), b"" if b"MediaBox" in more else box, more)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), len(kids))
    body, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(body)
    body += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    body += b"".join(b"%010d 00000 n \n" % place for place in places)
    body += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    path.write_bytes(body)
    return path


@dataclass
class Drawing:
    """How a recording is drawn; millimetres on paper before `scale`."""

    layout: str = "3x4+1"
    pen: str = "leads"  # one polyline per "leads", per "rows", or "segments" of two points
    grid: str = "both"  # "both", "major", "minor", "cells", "bars", "none"
    speed: float = 25.0
    gain: float = 10.0
    scale: float = 1.0
    turn: int = 0  # the page's /Rotate
    pulse: str = "own"  # "own", "joined" to the trace, "none"
    texts: bool = True
    names: bool = True
    decimals: int = 3
    step: int = 1  # every how many samples are drawn
    separators: bool = False
    wrong_gain: float | None = None  # what the text says instead
    rows: tuple[tuple[str, ...], ...] | None = None
    content: list[str] = field(default_factory=list)
    truth: dict[str, tuple[float, float]] = field(default_factory=dict)  # seconds in which each lead is printed


def draw(recording: Recording, path: Path, **options) -> Drawing:
    """Draws a recording as a page of vectors and writes it."""
    drawing = Drawing(**options)
    content, size = page_of(recording, drawing)
    write_pdf(path, [(content, size, b"/Rotate %d" % drawing.turn)])
    return drawing


def page_of(recording: Recording, drawing: Drawing) -> tuple[bytes, tuple[float, float]]:
    """Content stream and (width, height) in points of a recording's page."""
    rows = drawing.rows or LAYOUTS[drawing.layout].rows
    length = recording.duration_s * drawing.speed
    pitch = 30.0 if len(rows) < 8 else 18.0
    width, height = length + 2 * LEFT_MM, 2 * TOP_MM + pitch * len(rows)
    put, d = drawing.content.append, drawing.decimals

    def at(x: float, y: float) -> str:
        return f"{x * MM:.{d}f} {(height - y) * MM:.{d}f}"

    def line(points: list[tuple[float, float]]) -> None:
        put(f"{at(*points[0])} m " + " ".join(f"{at(*point)} l" for point in points[1:]) + " S")

    def text(x: float, y: float, words: str, points: float = 10) -> None:
        put(f"BT /F {points} Tf {at(x, y)} Td ({words}) Tj ET")

    put(f"{drawing.scale} 0 0 {drawing.scale} 0 0 cm 1 J")
    _grid(put, line, at, drawing.grid, (LEFT_MM - 10, TOP_MM - 20, width - LEFT_MM + 10, height - TOP_MM), d)
    put("0 0 0 RG 0.7 w")
    if drawing.texts:
        text(20, height - 8, f"{drawing.speed:g} mm/s   {drawing.wrong_gain or drawing.gain:g} mm/mV   0.05-150 Hz")
        text(20, 12, "Patient I. Example   Vent. rate 72 bpm   PR 160 ms", 12)
    for number, row in enumerate(rows):
        y = TOP_MM + pitch * number
        pulse = [(LEFT_MM - dx, y - drawing.gain * up) for dx, up in ((8, 0), (6, 0), (6, 1), (2, 1), (2, 0), (0, 0))]
        if drawing.pulse == "own":
            line(pulse)
        parts = []
        for column, lead in enumerate(row):
            start, end = (recording.duration_s * (column + k) / len(row) for k in (0, 1))
            known = drawing.truth.get(lead)
            if known is None or known[1] - known[0] < end - start:
                drawing.truth[lead] = (start, end)
            index = np.arange(round(start * 500), round(end * 500), drawing.step)
            x = LEFT_MM + index / 500 * drawing.speed
            values = recording.signal[LEADS.index(lead.lstrip("-")), index].astype(float) * drawing.gain
            parts.append(list(zip(x.tolist(), (y - values).tolist(), strict=True)))
            if drawing.names:
                text(LEFT_MM + start * drawing.speed + 1, y - 9, lead, 9)
            if drawing.separators and column:
                line([(parts[-1][0][0], y - 5), (parts[-1][0][0], y + 5)])
        if drawing.pulse == "joined":
            parts[0] = [*pulse, *parts[0]]
        _traces(line, [[point for part in parts for point in part]] if drawing.pen == "rows" else parts, drawing.pen)
    return "\n".join(drawing.content).encode(), (width * MM * drawing.scale, height * MM * drawing.scale)


def _traces(line: Callable, parts: list, pen: str) -> None:
    for part in parts:
        if pen == "segments":
            for ends in zip(part[:-1], part[1:], strict=True):
                line(list(ends))
        else:
            line(part)


def _grid(put: Callable, line: Callable, at: Callable, kind: str, box: tuple, d: int) -> None:
    left, top, right, bottom = box
    if kind in ("cells", "bars"):
        put("1 0.6 0.6 RG 1 0.6 0.6 rg 0.2 w")
        for x in np.arange(left, right + 1e-6, 5):
            if kind == "bars":
                put(f"{at(x - 0.05, bottom)} {0.1 * MM:.{d}f} {(bottom - top) * MM:.{d}f} re f")
            for y in np.arange(top, bottom - 1e-6, 5) if kind == "cells" else ():
                put(f"{at(x, y + 5)} {5 * MM:.{d}f} {5 * MM:.{d}f} re S")
        for y in np.arange(top, bottom + 1e-6, 5) if kind == "bars" else ():
            put(f"{at(left, y + 0.05)} {(right - left) * MM:.{d}f} {0.1 * MM:.{d}f} re f")
        return
    for name, step, pen in (("minor", 1.0, "1 0.8 0.8 RG 0.1 w"), ("major", 5.0, "1 0.5 0.5 RG 0.3 w")):
        if kind in ("both", name):
            put(pen)
            for x in np.arange(left, right + 1e-6, step):
                line([(x, top), (x, bottom)])
            for y in np.arange(top, bottom + 1e-6, step):
                line([(left, y), (right, y)])
