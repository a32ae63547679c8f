"""What is written for a page, given what was read: formats, refusal, pictures, geometry figures."""

import json
from dataclasses import replace

import numpy as np
import pytest
import wfdb
from perfect import perfect_reading

from hub_scripts.contact_sheet import Case, contact_sheet
from hub_scripts.geometry_error import geometry_figures
from hub_scripts.picture import LONGEST_SIDE, draw_reading
from hub_scripts.results import error_json, page_json, refuse_below, row_of, write_page
from hub_scripts.scoring import score_page
from processing.leads import LEADS
from processing.pages import PageImage
from processing.renderer import render
from processing.simulator import simulate

MODEL = {"name": "ecgscan", "revision": "0"}


@pytest.fixture(scope="module")
def page():
    return render(simulate(1), seed=4, layout="3x4+1", rhythm=("II",), condition="photo", speed=25.0, pixels_per_mm=5.0)


@pytest.fixture(scope="module")
def reading(page):
    return perfect_reading(page)


def _opened(page) -> PageImage:
    return PageImage(page.image, "folder/page.jpg", 1, 1)


def test_the_json_has_the_documented_keys_and_values(page, reading):
    document = page_json(_opened(page), reading, MODEL, 1.234)
    assert list(document) == [
        *("file", "page", "status", "reason", "quality", "layout", "paper_speed", "gain", "columns", "source"),
        *(
            "leads",
            "heart_rate_bpm",
            "lead_law_residual_uv",
            "rhythm_residual_uv",
            "warnings",
            "measurements",
            "findings",
            "model",
        ),
        "seconds",
    ]
    assert document["leads"]["V1"] == {"start_s": 5.0, "end_s": 7.5, "confidence": 0.9}
    assert document["leads"]["II"] == {"start_s": 0.0, "end_s": 10.0, "confidence": 0.9}
    assert document["paper_speed"] == {"mm_per_s": 25.0, "source": "read"}
    assert document["layout"]["rows"][3] == ["II"]
    assert list(document) == list(error_json("x", 1, "broken", MODEL))
    json.dumps(document, allow_nan=False)


def test_all_formats_are_written_and_the_record_keeps_nan(tmp_path, page, reading):
    document = page_json(_opened(page), reading, MODEL, 1.0)
    write_page(tmp_path / "p", ("wfdb", "csv", "json", "png"), _opened(page), reading, page.image.shape[:2], document)
    assert {path.name for path in tmp_path.iterdir()} == {"p.hea", "p.dat", "p.csv", "p.json", "p.png"}
    record = wfdb.rdrecord(str(tmp_path / "p"))
    assert record.sig_name == list(LEADS)
    assert record.fs == 500
    np.testing.assert_array_equal(np.isnan(record.p_signal.T), np.isnan(reading.signal))
    assert (tmp_path / "p.csv").read_text().count("\n") == 5001


def test_what_is_inferred_is_a_record_of_its_own_on_request(tmp_path, page, reading):
    completed = np.where(np.isfinite(reading.signal), reading.signal, 0.25).astype(np.float32)
    found = replace(reading, completed=completed)
    document = page_json(_opened(page), found, MODEL, 1.0)
    write_page(tmp_path / "p", ("wfdb", "inferred"), _opened(page), found, page.image.shape[:2], document)
    assert {path.name for path in tmp_path.iterdir()} == {"p.hea", "p.dat", "p-inferred.hea", "p-inferred.dat"}
    read, inferred = (wfdb.rdrecord(str(tmp_path / name)) for name in ("p", "p-inferred"))
    np.testing.assert_array_equal(np.isnan(read.p_signal.T), np.isnan(reading.signal))
    np.testing.assert_allclose(inferred.p_signal.T, completed, atol=1e-3)
    assert "inferred by the model" in inferred.comments[0]
    assert not read.comments


def test_only_asked_formats_are_written(tmp_path, page, reading):
    document = page_json(_opened(page), reading, MODEL, 1.0)
    write_page(tmp_path / "p", ("json",), _opened(page), reading, page.image.shape[:2], document)
    assert [path.name for path in tmp_path.iterdir()] == ["p.json"]


def test_a_reading_below_the_least_quality_gives_no_signal_and_says_why(tmp_path, page, reading):
    refused = refuse_below(reading, 0.99)
    assert refused.status == "partial"
    assert "0.95" in refused.reason
    assert np.isnan(refused.signal).all()
    document = page_json(_opened(page), refused, MODEL, 1.0)
    assert document["leads"] == {}
    assert document["heart_rate_bpm"] is None
    assert document["measurements"]["not_measured"]["qt_ms"] == "no signal was given"
    write_page(tmp_path / "p", ("wfdb", "csv", "json"), _opened(page), refused, page.image.shape[:2], document)
    assert [path.name for path in tmp_path.iterdir()] == ["p.json"]


def test_a_good_enough_reading_is_left_as_it_is(reading):
    assert refuse_below(reading, 0.5) is reading
    assert refuse_below(replace(reading, status="no_ecg", quality=0.0), 0.5).status == "no_ecg"


def test_the_row_of_the_summary_says_what_the_json_says(page, reading):
    row = row_of(page_json(_opened(page), reading, MODEL, 1.0))
    assert row.status == "read"
    assert row.layout == "3x4+1"
    assert row.leads.split() == list(LEADS)
    assert row.mm_per_s == "25.0"
    assert row.reason == ""
    document = page_json(_opened(page), reading, MODEL, 1.0)
    assert document["measurements"]["not_measured"] == {}
    assert float(row.qrs_ms) == document["measurements"]["qrs_ms"]
    assert float(row.axis_deg) == document["measurements"]["axis_deg"]
    assert row_of(error_json("x", 1, "broken", MODEL)).qt_ms == ""


def test_the_picture_follows_the_page_and_marks_the_trace(page, reading):
    size = page.image.shape[:2]
    drawn = draw_reading(page.image, reading, size)
    assert max(drawn.shape[1], 1) <= LONGEST_SIDE
    without = draw_reading(page.image, replace(reading, strips=[]), size)
    assert drawn.shape == without.shape
    changed = np.argwhere((drawn != without).any(axis=-1))
    assert len(changed) > 1000


def test_the_picture_is_drawn_where_nothing_was_found(page, reading):
    nothing = replace(reading, status="no_ecg", reason="no ECG was found on the page " * 20, strips=[], quality=0.0)
    assert draw_reading(page.image[:50, :60], nothing, (50, 60)).shape[1] == 60


def test_a_perfect_reading_has_no_geometry_error_and_reads_perfectly(page, reading):
    figures = geometry_figures(page, reading, page.image.shape[:2])
    assert figures.x_p95_mm < 0.02
    assert figures.y_p95_mm < 0.02
    assert figures.reading_db > 20


def test_a_stretched_geometry_shows_in_time_and_not_in_the_reading(page, reading):
    stretched = replace(
        reading,
        strips=[
            {**strip, "end_s": strip["start_s"] + 1.01 * (strip["end_s"] - strip["start_s"])}
            for strip in reading.strips
        ],
    )
    figures = geometry_figures(page, stretched, page.image.shape[:2])
    # One per cent of 62.5 mm is 0.6 mm at the end, half of that on either side of the median.
    assert 0.2 < figures.x_p95_mm < 1.5
    assert figures.y_p95_mm < 0.02
    assert figures.reading_db > 20


def test_a_reading_on_a_reduced_page_is_scaled_back(page, reading):
    half = replace(
        reading,
        strips=[
            {**strip, "polyline_px": strip["polyline_px"] / 2, "outline_px": strip["outline_px"] / 2}
            for strip in reading.strips
        ],
    )
    figures = geometry_figures(page, half, (page.image.shape[0] / 2, page.image.shape[1] / 2))
    assert figures.x_p95_mm < 0.02


def test_nothing_found_has_no_geometry_and_no_decibels(page, reading):
    figures = geometry_figures(page, replace(reading, strips=[]), page.image.shape[:2])
    assert figures.x_median_mm is None
    assert figures.reading_db == pytest.approx(0.0)


def test_the_contact_sheet_has_a_band_for_every_page(page, reading):
    score = score_page(page.recording.signal, 500.0, page.printed(), reading.signal, 500.0)
    assert score.snr_db > 25
    case = Case("page", page.image, reading, page.image.shape[:2], page.recording, page.printed(), score)
    one, two = contact_sheet([case]), contact_sheet([case, case])
    assert two.shape == (2 * one.shape[0], *one.shape[1:])
    assert contact_sheet([]).ndim == 3
