"""`ecgscan benchmark refusal`: its pages are drawn, none is blank, and what is counted is what was read."""

import json

import cv2
import numpy as np
import pytest

from hub_scripts.benchmark_refusal import Outcome, Subject, figures, judge, rows_of, sheet, upper_bound
from hub_scripts.refusal_canvas import Axes, Canvas, round_ticks, text_width
from hub_scripts.refusal_pages import KINDS, MEGAPIXELS, draw_page, draw_pages


def outcome(status: str = "no_ecg", quality: float = 0.0, leads: int = 0, kind: str = "map", photo=False) -> Outcome:
    """An outcome as a reading of that status gives it."""
    return Outcome(f"{kind} {status}", kind, photo, status, quality, "3x4", leads, 12 if leads else 0, None)


def test_the_same_seed_gives_the_same_pages_and_another_seed_others():
    first, again, other = ([page.image for page in draw_pages(4, seed)] for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_first_pages_do_not_depend_on_how_many_follow():
    (page,) = draw_pages(1, 5)
    assert np.array_equal(page.image, next(draw_pages(30, 5)).image)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_within_its_size_and_not_blank(kind):
    page = draw_page(kind, photo=False, seed=(1, 0))
    assert page.image.dtype == np.uint8
    assert page.image.ndim == 3
    assert MEGAPIXELS[0] <= page.image.shape[0] * page.image.shape[1] / 1e6 <= MEGAPIXELS[1]
    edges = cv2.Laplacian(cv2.cvtColor(page.image, cv2.COLOR_RGB2GRAY), cv2.CV_32F)
    assert (np.abs(edges) > 20).mean() > 0.0005
    # what is drawn is not in one corner
    halves = [*np.array_split(edges, 2, axis=0), *np.array_split(edges, 2, axis=1)]
    assert all(half.std() > 0.5 for half in halves)


@pytest.mark.parametrize("kind", ["cardiotocogram", "blank ECG paper"])
def test_a_photo_is_not_the_sheet_as_drawn_and_keeps_its_size(kind):
    flat, photo = (draw_page(kind, photo=photo, seed=(2, 0)).image for photo in (False, True))
    assert flat.shape != photo.shape or np.abs(flat.astype(int) - photo).mean() > 5
    assert MEGAPIXELS[0] <= photo.shape[0] * photo.shape[1] / 1e6 <= MEGAPIXELS[1]


def test_kinds_come_in_turn_and_a_third_of_each_are_photos(monkeypatch):
    monkeypatch.setattr("hub_scripts.refusal_pages.KINDS", dict.fromkeys(KINDS, _speck))
    monkeypatch.setattr("hub_scripts.refusal_pages._photographed", lambda rng, image: image)
    pages = list(draw_pages(3 * len(KINDS), 0))
    assert [page.kind for page in pages[: len(KINDS)]] == list(KINDS)
    assert all(sum(page.photo for page in pages if page.kind == kind) == 1 for kind in KINDS)
    assert len({page.name for page in pages}) == len(pages)


def _speck(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 255, (8, 8, 3), np.uint8)


def test_an_unknown_kind_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'comic' is unknown; expected one of stock prices"):
        draw_page("comic", photo=False, seed=(0, 0))


def test_axes_place_values_between_the_edges_of_their_box():
    axes = Axes(Canvas(np.random.default_rng(0), 1.0), (100, 50, 300, 250), (0, 10), (-1, 1))
    assert axes.place([0, 10, 5], [-1, 1, 0]).tolist() == [[100, 250], [300, 50], [200, 150]]
    assert round_ticks(0, 100, 5).tolist() == [0, 20, 40, 60, 80, 100]


def test_text_grows_with_its_size_and_a_blank_has_a_width():
    assert text_width("Fp1-F3", 30) > 1.5 * text_width("Fp1-F3", 15)
    assert text_width(" ", 20, "hand") > 0


def test_only_pages_with_a_signal_count_as_wrongly_read():
    outcomes = [
        outcome("read", 0.8, leads=12),
        outcome("partial", 0.3, leads=3, photo=True),
        outcome("partial", 0.02, leads=0),
        outcome("no_ecg", kind="form"),
        outcome("error", kind="form"),
    ]
    summary = figures(outcomes)
    assert {name: (group["pages"], group["wrong"]) for name, group in summary.items()} == {
        "all": (5, 2),
        "as drawn": (4, 1),
        "photo": (1, 1),
        "map": (3, 2),
        "form": (2, 0),
    }
    total = summary["all"]
    assert [total[name] for name in ("read", "partial", "no_ecg", "error", "no_signal")] == [1, 2, 1, 1, 1]
    assert total["highest_quality"] == 0.8
    assert total["wrong_qualities"] == [0.8, 0.3]


def test_pictures_of_a_folder_are_neither_drawn_nor_photos():
    summary = figures([outcome(kind="pictures", photo=None)])
    assert set(summary) == {"all", "pictures"}


def test_the_bound_of_no_mistake_in_two_hundred_is_one_and_a_half_percent():
    assert upper_bound(0, 200) == pytest.approx(1 - 0.05 ** (1 / 200))
    assert upper_bound(7, 7) == 1.0
    assert upper_bound(3, 10) > 0.3


def test_rows_and_sheet_begin_with_the_surest_mistake():
    outcomes = [outcome(), outcome("partial", 0.2, 3), outcome("read", 0.9, 12), outcome("no_ecg", 0.95)]
    rows = rows_of(outcomes)
    assert [(row["wrong"], row["quality"]) for row in rows] == [(True, 0.9), (True, 0.2), (False, 0.95), (False, 0.0)]
    tiles = [None, np.full((4, 4, 3), 20, np.uint8), np.full((4, 4, 3), 90, np.uint8), None]
    drawn = sheet(zip(outcomes, tiles, strict=True))
    assert drawn.shape == (4, 8, 3)
    assert drawn[0, 0, 0] == 90
    assert drawn[0, 4, 0] == 20


def test_a_sheet_without_mistakes_says_so():
    assert sheet([(outcome(), None)]).min() < 255


def test_a_file_that_gives_no_page_is_an_error_not_a_reading():
    found, tile = judge(Subject("a.png", "pictures", None, None, "a.png: the file is empty"), None)
    assert (found.status, found.wrong, tile) == ("error", False, None)


def test_the_command_reads_drawn_pages_and_a_folder_and_writes_figures_and_sheet(ecgscan, tiny, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    cv2.imwrite(str(folder / "grey.png"), np.full((300, 400, 3), 200, np.uint8))
    (folder / "broken.png").write_bytes(b"no picture")
    code, out, err = ecgscan(
        *("benchmark", "refusal", "--pages", 2, "--pictures", folder, "--out", tmp_path / "out", "--model", tiny)
    )
    assert code == 0, err
    document = json.loads((tmp_path / "out" / "refusal.json").read_text())
    assert document["summary"]["all"]["pages"] == 4
    assert document["summary"]["pictures"]["error"] == 1
    assert [row["wrong"] for row in document["pages"]].count(True) == document["summary"]["all"]["wrong"]
    assert cv2.imread(str(tmp_path / "out" / "refusal.png")) is not None
    assert "4 pages without an ECG" in out


@pytest.mark.parametrize("arguments", [("--pages", 0), ("--pictures", "nowhere")])
def test_nothing_to_read_is_one_line(ecgscan, tiny, arguments):
    code, _, err = ecgscan("benchmark", "refusal", "--model", tiny, *arguments)
    assert code == 2
    assert err.startswith("error: ")
    assert err.strip().count("\n") == 0


@pytest.mark.slow
def test_the_shipped_model_reads_no_prose_and_no_landscape(checkpoint):
    from hub_scripts.loading import load_reader
    from processing.pages import PageImage

    reader = load_reader(str(checkpoint))
    for kind in ("text in columns", "table", "landscape"):
        page = draw_page(kind, photo=False, seed=(7, 0))
        found, _ = judge(Subject(page.name, kind, False, PageImage(page.image, page.name, 1, 1)), reader)
        assert not found.wrong, found
