"""PDF pages drawn as lines are read from their lines to the hundredth of a decimal, or left to the picture's reader."""

import csv
import json
from contextlib import nullcontext

import matplotlib
import numpy as np
import pypdfium2 as pdfium
import pytest
import wfdb
from PIL import Image
from vector_pdfs import Drawing, draw, page_of, write_pdf

from hub_scripts.vector_reading import read_vectors
from hub_scripts.vector_scale import Doubt
from hub_scripts.vector_strips import Strip, check_lengths
from processing.layouts import LAYOUTS
from processing.leads import LEADS
from processing.pages import open_page, open_pages, pdf_scale
from processing.records import Recording
from processing.simulator import simulate
from processing.vector_pages import read_drawing

SIZE = (1000, 1400)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return simulate(1)


def _drawing(path):
    document = pdfium.PdfDocument(path)
    try:
        return read_drawing(document[0])
    finally:
        document.close()


def _read(path):
    drawing = _drawing(path)
    assert drawing is not None
    return read_vectors(drawing, SIZE)


def _snr_db(
    recording: Recording, truth: dict[str, tuple[float, float]], signal: np.ndarray, free: bool = False
) -> float:
    """Decibels of what is printed against what was read at the same moments; `free` forgives an offset per lead."""
    power = noise = 0.0
    for lead, (start, end) in truth.items():
        part = slice(round(start * 500), round(end * 500))
        target = recording.signal[LEADS.index(lead), part].astype(float)
        error = signal[LEADS.index(lead), part] - target
        assert np.isfinite(error).all(), lead
        assert np.isnan(np.delete(signal[LEADS.index(lead)], np.r_[part])).all(), lead
        power += float((target**2).sum())
        noise += float(((error - free * error.mean()) ** 2).sum())
    return 10 * np.log10(power / noise)


ROUND_TRIPS = [
    {},
    {"layout": "3x4"},
    {"layout": "6x2", "pen": "rows"},
    {"layout": "12x1"},
    {"layout": "3x4+3", "decimals": 2},
    {"pen": "segments", "decimals": 2},
    {"pen": "rows", "pulse": "joined"},
    {"pen": "rows", "separators": True},
    {"grid": "major"},
    {"grid": "minor"},
    {"grid": "cells"},
    {"grid": "bars"},
    {"grid": "none"},
    {"grid": "none", "scale": 0.8},
    {"speed": 50.0},
    {"gain": 5.0},
    {"gain": 20.0},
    {"texts": False},
    {"scale": 0.8},
    {"scale": 1.3},
    {"turn": 90, "pulse": "joined"},
    {"turn": 180},
    {"turn": 270, "scale": 0.8, "pen": "rows"},
]


@pytest.mark.parametrize("options", ROUND_TRIPS, ids=str)
def test_what_was_drawn_as_lines_comes_back(tmp_path, recording, options):
    drawing = draw(recording, tmp_path / "a.pdf", **options)
    reading = _read(tmp_path / "a.pdf")
    assert _snr_db(recording, drawing.truth, reading.signal) > 45
    assert reading.layout == {"name": drawing.layout, "rows": [list(row) for row in LAYOUTS[drawing.layout].rows]}
    assert reading.speed == (drawing.speed, "read" if drawing.texts else "assumed")
    assert reading.gain == (drawing.gain, "read")
    assert reading.status == "read"
    assert reading.source == "vectors"


def test_without_a_pulse_only_the_zero_is_a_guess(tmp_path, recording):
    drawing = draw(recording, tmp_path / "a.pdf", pulse="none")
    assert _snr_db(recording, drawing.truth, _read(tmp_path / "a.pdf").signal, free=True) > 45


def test_pages_of_matplotlib_are_read_from_their_lines(tmp_path, recording):
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.figure import Figure

    rows, truth = LAYOUTS["6x2"].rows, {}
    with matplotlib.rc_context({"path.simplify": False}):
        figure = Figure(figsize=(280 / 25.4, 200 / 25.4))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, 280), ylim=(200, 0))
        axes.vlines(np.arange(5, 276, 5), 5, 195, color="#ff9999", lw=0.3)
        axes.hlines(np.arange(5, 196, 5), 5, 275, color="#ff9999", lw=0.3)
        for number, row in enumerate(rows):
            y = 25 + 30 * number
            axes.plot([5, 6, 6, 11, 11, 12], [y, y, y - 10, y - 10, y, y], "k", lw=0.6)
            for column, lead in enumerate(row):
                truth[lead] = (5.0 * column, 5.0 * column + 5)
                index = np.arange(2500 * column, 2500 * column + 2500)
                axes.plot(15 + index / 20, y - 10 * recording.signal[LEADS.index(lead), index], "k", lw=0.6)
                axes.text(16 + 125 * column, y - 9, lead, fontsize=9)
        axes.text(15, 197, "25 mm/s 10 mm/mV")
        FigureCanvasPdf(figure).print_pdf(tmp_path / "a.pdf")
    assert _snr_db(recording, truth, _read(tmp_path / "a.pdf").signal) > 45


DOUBTS = {
    "another gain than its pulses": ({"wrong_gain": 5.0}, "the page says 5"),
    "no gain": ({"texts": False, "pulse": "none"}, "nothing tells the gain"),
    "no speed, not of ten seconds": ({"texts": False, "speed": 50.0}, "does not say its speed"),
    "no grid and a strange size": ({"grid": "none", "pulse": "none", "scale": 0.8}, "nothing else confirms"),
    "a grid of a strange size": ({"grid": "major", "pulse": "none", "scale": 0.6}, "unusual scale"),
    "a lead twice": ({"rows": (("I", "V1"), ("II", "V1"), ("III", "V3"))}, "V1 is printed 2 times"),
    "a lead upside down": ({"rows": (("I", "V1"), ("-aVR", "V2"), ("III", "V3"))}, "upside down"),
}


@pytest.mark.parametrize("name", DOUBTS)
def test_a_page_that_leaves_a_doubt_is_left_to_its_picture(tmp_path, recording, name):
    options, expected = DOUBTS[name]
    draw(recording, tmp_path / "a.pdf", **options)
    with pytest.raises(Doubt, match=expected):
        _read(tmp_path / "a.pdf")


def test_a_missing_name_leaves_a_doubt(tmp_path, recording):
    drawing = Drawing()
    content, size = page_of(recording, drawing)
    write_pdf(tmp_path / "a.pdf", [(content.replace(b"(V2)", b"( )"), size, b"")])
    with pytest.raises(Doubt, match="4 traces has 3 names"):
        _read(tmp_path / "a.pdf")


def test_without_names_nothing_is_taken_from_the_lines(tmp_path, recording):
    draw(recording, tmp_path / "a.pdf", names=False)
    assert _drawing(tmp_path / "a.pdf") is None


@pytest.mark.parametrize("pen", ["leads", "rows"])
def test_a_pulse_that_can_not_be_known_as_one_leaves_a_doubt(tmp_path, recording, monkeypatch, pen):
    draw(recording, tmp_path / "a.pdf", pulse="joined", pen=pen)
    monkeypatch.setattr("hub_scripts.vector_reading.find_pulses", lambda lines: [])
    with pytest.raises(Doubt):
        _read(tmp_path / "a.pdf")


@pytest.mark.parametrize(("seconds", "doubted"), [((5.0, 5.0), False), ((5.3, 5.0), True), ((10.32,), True)])
def test_rows_without_pulses_are_of_half_seconds_in_equal_parts(seconds, doubted):
    ends = np.cumsum([0.0, *seconds]) * 25.0
    strips = [
        Strip("I", 0, column, np.array([(ends[column], 0.0), (ends[column + 1], 0.0)]))
        for column in range(len(seconds))
    ]
    with pytest.raises(Doubt) if doubted else nullcontext():
        check_lengths(strips, 25.0)


def test_a_separator_without_a_name_leaves_a_doubt(tmp_path, recording):
    content, size = page_of(recording, Drawing(layout="6x2", pen="rows", separators=True))
    for lead in LEADS[6:]:
        content = content.replace(b"(%s)" % lead.encode(), b"( )")
    write_pdf(tmp_path / "a.pdf", [(content, size, b"")])
    with pytest.raises(Doubt, match="1 names has 1 separators"):
        _read(tmp_path / "a.pdf")


def test_traces_drawn_as_filled_outlines_are_no_lines(tmp_path, recording):
    content, size = page_of(recording, Drawing())
    write_pdf(tmp_path / "a.pdf", [((content + b"\n").replace(b" S\n", b" f\n"), size, b"")])
    with pytest.raises(Doubt, match="0 traces"):
        _read(tmp_path / "a.pdf")


def test_lines_follow_what_the_picture_shows_on_a_turned_and_cropped_page(tmp_path, recording):
    content, (width, height) = page_of(recording, Drawing(turn=90))
    more = b"/Rotate 90 /MediaBox [-30 -20 %.2f %.2f] /CropBox [-10 0 %.2f %.2f]" % (width, height, width, height)
    write_pdf(tmp_path / "a.pdf", [(content, (width, height), more)])
    page = open_page(tmp_path / "a.pdf")
    (drawn,) = open_pages(tmp_path / "a.pdf", drawing=True)
    reading = read_vectors(drawn.vectors, page.image.shape[:2])
    dark = page.image.max(axis=2) < 150
    for strip in reading.strips:
        x, y = np.rint(strip["polyline_px"]).astype(int).T
        assert dark[y, x].mean() > 0.97, strip["lead"]


def test_columns_may_be_from_the_same_moment(tmp_path, recording):
    draw(recording, tmp_path / "a.pdf", layout="3x4")
    reading = read_vectors(_drawing(tmp_path / "a.pdf"), SIZE, "simultaneous")
    assert {np.flatnonzero(np.isfinite(lead))[0] for lead in reading.signal} == {0}


@pytest.mark.parametrize(("width", "height"), [(842, 595), (60, 40), (14400, 10000), (3000, 200)])
def test_a_pdf_page_of_any_size_is_rendered_to_be_read(width, height):
    longest = max(width, height) * pdf_scale(width, height)
    assert 2000 - 1e-6 <= longest <= 4000 + 1e-6


def test_the_command_reads_lines_and_pictures_of_one_pdf_and_names_pages_without_an_ecg(
    ecgscan, tiny, tmp_path, recording
):
    drawing = Drawing()
    content, size = page_of(recording, drawing)
    write_pdf(tmp_path / "a.pdf", [(content, size, b""), (b"BT /F 20 Tf 50 50 Td (Dear colleague) Tj ET", size, b"")])
    code, _, err = ecgscan("read", tmp_path / "a.pdf", "--out", tmp_path / "out", "--model", tiny)
    assert code == 0, err
    first, second = (json.loads((tmp_path / "out" / f"{name}.json").read_text()) for name in ("a", "a-p2"))
    assert (first["status"], first["source"], second["source"]) == ("read", "vectors", "picture")
    assert second["reason"]
    record = wfdb.rdrecord(str(tmp_path / "out" / "a"))
    assert _snr_db(recording, drawing.truth, record.p_signal.T) > 35
    with (tmp_path / "out" / "summary.csv").open(newline="") as file:
        assert [row["source"] for row in csv.DictReader(file)] == ["vectors", "picture"]
    assert Image.open(tmp_path / "out" / "a.png").size[0] > 1000
