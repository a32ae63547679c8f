"""Geometry: from the grid's phase to millimetres, and from rows to strips, with a perfect network."""

import numpy as np
import pytest

from modeling_ecgscan.geometry_ecgscan import fit_geometry
from modeling_ecgscan.strips_ecgscan import LEADS as MODEL_LEADS
from modeling_ecgscan.strips_ecgscan import decode_layout, find_rows, row_evidence
from processing.layouts import LAYOUTS
from processing.leads import LEADS
from processing.page_targets import letterbox, locate_targets
from processing.renderer import render
from processing.simulator import simulate

SIZE = (576, 768)
KNOWN = {name: [list(row) for row in layout.rows] for name, layout in LAYOUTS.items()}


def perfect_maps(seed: int, layout: str, condition: str):
    page = render(simulate(1), seed=seed, layout=layout, condition=condition, pixels_per_mm=4.0, turn_deg=2.0)
    to_image = letterbox(page.image, SIZE)
    _, maps, _ = locate_targets(page, SIZE, to_image)
    rng = np.random.default_rng(0)
    phase = 0.9 * maps[:4] + rng.normal(0, 0.1, maps[:4].shape)
    slope = maps[4:8] + rng.normal(0, 0.03, maps[4:8].shape)
    return page, maps, fit_geometry(phase, slope, maps[8], to_image, 6.0)


@pytest.mark.parametrize(("seed", "condition"), [(904, "clean"), (905, "scan"), (902, "photo"), (907, "photo")])
def test_a_visible_grid_gives_the_paper_to_a_tenth_of_a_millimetre_along_every_strip(seed, condition):
    page, _, geometry = perfect_maps(seed, "3x4+1", condition)
    if page.style.grid_kind in ("none", "dotted"):
        pytest.skip("this seed drew no 5 mm grid")
    for strip in page.strips:
        along = np.linspace(strip.x_mm, strip.x_mm + strip.width_mm, 30)
        truth = np.stack([along, np.full(30, strip.baseline_mm)], 1)
        picture = (page.to_image(truth) - geometry.to_image[:, 2]) @ np.linalg.inv(geometry.to_image[:, :2]).T
        error = geometry.paper_at((picture - 1.5) / 4) - truth
        assert np.sqrt(np.square(error - np.median(error, axis=0)).mean(axis=0)).max() < 0.12


def test_image_and_paper_are_inverse_maps():
    _, _, geometry = perfect_maps(902, "3x4+1", "photo")
    cells = np.random.default_rng(0).uniform((20, 20), (170, 120), (40, 2))
    pixels = geometry.image_of(geometry.paper_at(cells))
    expected = (cells * 4 + 1.5) @ geometry.to_image[:, :2].T + geometry.to_image[:, 2]
    assert np.abs(pixels - expected).max() < 0.05


@pytest.mark.parametrize("layout", ["3x4", "3x4+1", "3x4+3", "6x2", "12x1", "6x1-limb", "4x3", "6x2-cabrera"])
def test_rows_columns_and_names_follow_from_perfect_maps(layout):
    page, maps, geometry = perfect_maps(900, layout, "scan")
    paper = geometry.paper.reshape(-1, 2)
    rows = find_rows(paper, maps[9].ravel())
    assert len(rows) == len(page.layout.rows)
    certain = np.full((maps[12].size, 13), 0.03)
    certain[np.arange(maps[12].size), maps[12].ravel().astype(int)] = 0.64
    found = decode_layout(row_evidence(paper, np.log(certain), maps[10].ravel(), rows), KNOWN)
    assert found is not None
    assert [strip.lead for strip in found.strips] == [strip.lead for strip in page.strips]
    widths = [strip.end_mm - strip.start_mm for strip in found.strips]
    assert np.allclose(widths, [strip.width_mm for strip in page.strips], atol=4.0)


def test_the_model_and_the_renderer_agree_on_lead_order():
    assert MODEL_LEADS == LEADS
