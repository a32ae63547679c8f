"""Pages that are cut, stacked or shown as negatives: read in part, refused with a reason, or read as they are."""

import cv2
import numpy as np
import pytest
from transformers import AutoModel, AutoProcessor

import modeling_ecgscan  # noqa: F401
from hub_scripts.refusal_pages import draw_page
from modeling_ecgscan.printed_names_ecgscan import PrintedNames
from modeling_ecgscan.sense_ecgscan import could_be_any_chart
from modeling_ecgscan.strips_ecgscan import (
    FoundLayout,
    FoundStrip,
    as_long_as_rows,
    decode_layout,
    further_rows,
    row_evidence,
)
from processing.layouts import LAYOUTS
from processing.leads import LEADS
from processing.pages import open_page
from processing.renderer import render
from processing.simulator import simulate

KNOWN = {name: [list(row) for row in layout.rows] for name, layout in LAYOUTS.items()}
ROWS_MM = (0.0, 30.0, 60.0, 90.0)


def evidence_of(rows: list[list[str]], middles: tuple[float, ...], until_mm: float = 250.0):
    """Evidence of rows of 250 mm on which each lead is likely where it stands, up to where they fade."""
    x = np.arange(-10.0, 260.0, 2.0)
    paper, lead = [], []
    for middle, leads in zip(middles, rows, strict=True):
        share = np.full((len(x), 13), 0.02)
        column = np.floor(x * len(leads) / 250.0).astype(int)
        of = [
            1 + LEADS.index(leads[k]) if 0 <= k < len(leads) and at < until_mm else 0
            for k, at in zip(column, x, strict=True)
        ]
        share[np.arange(len(x)), of] = 0.76
        paper.append(np.stack([x, np.full(len(x), middle)], 1))
        lead.append(share)
    lines = [(middle, 250.0) for middle in middles]
    return row_evidence(np.concatenate(paper), np.log(np.concatenate(lead)), np.zeros(len(x) * len(rows)), lines)


@pytest.mark.parametrize("part", [slice(0, 4), slice(0, 2), slice(1, 3), slice(2, 4)])
def test_the_rows_that_are_left_of_a_cut_page_keep_their_leads(part):
    rows = KNOWN["3x4+1"][part]
    found = decode_layout(evidence_of(rows, ROWS_MM[part]), KNOWN)
    assert found is not None
    assert [strip.lead for strip in found.strips] == [lead for row in rows for lead in row]


@pytest.mark.parametrize(
    ("layout", "part"), [("12x1", slice(1, 12)), ("12x1", slice(0, 7)), ("6x1-chest", slice(0, 6))]
)
def test_of_twelve_rows_of_one_lead_those_that_are_left_keep_theirs(layout, part):
    rows = KNOWN[layout][part]
    found = decode_layout(evidence_of(rows, tuple(15.0 * k for k in range(len(rows)))), KNOWN)
    assert found is not None
    assert found.name == layout
    assert [strip.lead for strip in found.strips] == [row[0] for row in rows]


def test_leads_whose_traces_fade_are_known_by_the_names_that_are_printed_at_their_beginnings():
    rows, middles = KNOWN["6x2"], tuple(25.0 * row for row in range(6))
    evidence = evidence_of(rows, middles, until_mm=170.0)
    share = np.zeros((12, 90, 150), np.float32)
    for middle, leads in zip(middles, rows, strict=True):
        for column, lead in enumerate(leads):
            share[LEADS.index(lead), round((middle + 20.0 - 6.0) / 2), round((125.0 * column + 20.0 + 4.0) / 2)] = 0.9
    found = decode_layout(evidence, KNOWN, PrintedNames(share, np.array([-20.0, -20.0]), 2.0))
    assert found is not None
    assert found.name == "6x2"
    assert max(strip.end_mm for strip in found.strips) == pytest.approx(250.0, abs=4.0)


def test_rows_as_long_as_those_of_the_layout_that_it_does_not_take_are_counted():
    strips = [FoundStrip("I", 0, 0, 0.0, 250.0, 0.0), FoundStrip("II", 1, 0, 0.0, 250.0, 30.0)]
    layout = FoundLayout("3x1", strips, 0.0, 0.0)
    assert further_rows(layout, [(0.0, 250.0), (30.0, 240.0)]) == 0
    assert further_rows(layout, [(0.0, 250.0), (30.0, 240.0), (60.0, 235.0), (80.0, 90.0)]) == 1


@pytest.mark.parametrize(("seen_mm", "end_mm"), [((240.0, 100.0, 210.0), 250.0), ((60.0, 52.0, 240.0), 52.0)])
def test_rows_of_one_lead_go_on_as_far_as_most_of_their_baselines(seen_mm, end_mm):
    strips = [FoundStrip(lead, row, 0, 0.0, 52.0, 30.0 * row) for row, lead in enumerate(("I", "II", "III"))]
    rows = [(30.0 * row, length) for row, length in enumerate(seen_mm)]
    longer = as_long_as_rows(FoundLayout("3x1", strips, 0.0, 0.0), rows, 250.0)
    assert [(strip.start_mm, strip.end_mm) for strip in longer.strips] == [(0.0, end_mm)] * 3


def test_columns_are_not_made_as_long_as_their_row():
    strips = [FoundStrip("I", 0, 0, 0.0, 62.5, 0.0), FoundStrip("aVR", 0, 1, 62.5, 125.0, 0.0)]
    layout = FoundLayout("1x2", strips, 0.0, 0.0)
    assert as_long_as_rows(layout, [(0.0, 250.0)], 250.0) == layout


@pytest.mark.parametrize(
    ("count", "printed", "gridded", "any_chart"),
    [(3, 0.1, False, True), (3, 0.1, True, False), (3, 1.5, False, False), (6, 0.1, False, False)],
)
def test_a_few_rows_with_neither_a_grid_nor_names_could_be_of_any_chart(count, printed, gridded, any_chart):
    strips = [FoundStrip(lead, row, 0, 0.0, 250.0, 30.0 * row) for row, lead in enumerate(LEADS[:count])]
    layout = FoundLayout("rows", strips, 0.0, 0.0, printed)
    assert could_be_any_chart(layout, gridded=gridded) == any_chart


@pytest.fixture(scope="module")
def read(checkpoint):
    model, processor = AutoModel.from_pretrained(checkpoint).eval(), AutoProcessor.from_pretrained(checkpoint)
    return lambda image: model.read(**processor(images=image, return_tensors="pt"))[0]


@pytest.fixture(scope="module")
def page(repository) -> np.ndarray:
    image = open_page(str(repository / "examples" / "clean.png")).image
    return cv2.resize(image, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)


def test_a_negative_is_read_like_the_page_itself(read, page):
    usual, negative = read(page), read(255 - page)
    assert negative.layout == usual.layout
    assert np.nanmax(np.abs(negative.signal - usual.signal)) < 0.05


def test_a_page_cut_through_its_middle_gives_the_leads_that_are_left(read, page):
    found = read(page[: page.shape[0] // 2])
    assert found.status == "partial"
    assert found.layout["rows"] == [["I", "aVR", "V1", "V4"], ["II", "aVL", "V2", "V5"]]
    assert "missing: III, aVF, V3, V6" in found.reason


def test_six_rows_that_bear_names_of_other_things_are_no_ecg(read):
    found = read(draw_page("nerve conduction", photo=False, seed=(0, 195)).image)
    assert found.status == "no_ecg"
    assert "no names of leads" in found.reason


def test_two_pages_on_one_picture_are_refused_with_the_way_out(read, page):
    found = read(np.concatenate([page, page]))
    assert found.status == "no_ecg"
    assert "cut it and read them one by one" in found.reason


@pytest.mark.parametrize("order", ["sequential", "simultaneous"])
def test_beats_of_a_rhythm_strip_tell_in_which_order_columns_were_recorded(read, order):
    page = render(simulate(3), seed=5, layout="3x4+1", columns=order, condition="clean", speed=25.0, pixels_per_mm=5.0)
    reading = read(page.image)
    assert reading.columns == (order, "read")
    assert not reading.warnings
    last = next(strip for strip in reading.strips if strip["lead"] == "V4")
    assert last["start_s"] == pytest.approx(7.5 if order == "sequential" else 0.0, abs=0.05)
