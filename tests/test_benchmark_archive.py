"""`ecgscan benchmark archive`: what an index says of pages, and what agrees with it."""

import csv
import json
from dataclasses import replace

import pytest

from hub_scripts.arguments import UsageError
from hub_scripts.benchmark_archive import Checked, Listed, leads_agree, listed_pages, summary_of
from hub_scripts.measurements import Measurements

ROWS = "I aVR V1 V4|II aVL V2 V5|III aVF V3 V6"
READ = [["I", "aVR", "V1", "V4"], ["II", "aVL", "V2", "V5"], ["III", "aVF", "V3", "V6"]]


def write_index(folder, *rows) -> None:
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["file", "leads", "rhythm", "printed_values"])
        writer.writeheader()
        writer.writerows(rows)


def listed(tmp_path, leads=ROWS, rhythm="II", values="") -> Listed:
    write_index(tmp_path, {"file": "a.png", "leads": leads, "rhythm": rhythm, "printed_values": values})
    return listed_pages(tmp_path)[0]


def checked(page: Listed, rate_bpm: float | None, right: bool = True) -> Checked:
    return Checked(page, "read", None, 0.9, "3x4+1", right, rate_bpm, 12.0, None, ())


def test_an_index_names_rows_rhythm_strips_and_the_printed_rate(tmp_path):
    page = listed(tmp_path, rhythm="V1,II (label only, II below)", values="HR 80; PR 148; axes 56 -17 -40")
    assert page.rows[2] == ("III", "aVF", "V3", "V6")
    assert page.rhythm == ("V1", "II")
    assert page.rate_bpm == 80
    assert listed(tmp_path, rhythm="none (strip cut off)").rhythm == ()


def test_printed_intervals_are_compared_with_what_was_measured_and_axes_turn(tmp_path):
    page = listed(tmp_path, values="HR 80; P 106; PR 148; QRS 88; QT/QTc 394/454; axes 56 175 -40")
    assert page.intervals == {"pr_ms": 148, "qrs_ms": 88, "qt_ms": 394, "qtc_bazett_ms": 454, "axis_deg": 175}
    one = replace(checked(page, 80.0), measured=Measurements(qrs_ms=92.0, qt_ms=384.0, axis_deg=-175.0))
    two = replace(one, measured=Measurements(qrs_ms=96.0))
    found = summary_of([one, two, checked(listed(tmp_path), 60.0)])["intervals"]
    assert found["qrs_ms"] == {"pages": 2, "median": 6.0, "largest": 8.0}
    assert found["axis_deg"] == {"pages": 1, "median": 10.0, "largest": 10.0}
    assert found["pr_ms"] == {"pages": 0, "median": None, "largest": None}


def test_rows_agree_in_their_order_and_rhythm_strips_in_any(tmp_path):
    page = listed(tmp_path, rhythm="V1,II")
    assert leads_agree(page, [*READ, ["II"], ["V1"]])
    assert not leads_agree(page, [*READ, ["II"], ["V5"]])
    assert not leads_agree(page, READ)
    assert not leads_agree(page, [READ[1], READ[0], READ[2], ["V1"], ["II"]])


def test_leads_beyond_the_twelve_must_not_be_told_as_others(tmp_path):
    page = listed(tmp_path, leads="V3R|V4R|V7", rhythm="none")
    assert leads_agree(page, [])
    assert not leads_agree(page, [["I"], ["II"], ["III"]])


def test_the_summary_counts_what_agrees(tmp_path):
    with_rate, without = listed(tmp_path, values="HR 80"), listed(tmp_path)
    summary = summary_of([checked(with_rate, 82.0), checked(with_rate, 90.0), checked(without, 60.0, right=False)])
    assert (summary["pages"], summary["leads_right"], summary["wrong"]) == (3, 2, ["a.png"])
    assert (summary["rates_printed"], summary["rates_within_3_bpm"]) == (2, 1)
    assert summary["law_uv"] == 12.0
    assert summary["rhythm_uv"] is None


def test_a_folder_without_an_index_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"index\.csv: not found; expected the columns file, leads"):
        listed_pages(tmp_path)
    (tmp_path / "index.csv").write_text("page\na.png\n")
    with pytest.raises(UsageError, match="expected rows with the columns file and leads, got \\['page'\\]"):
        listed_pages(tmp_path)


def test_the_command_writes_table_figures_and_picture(ecgscan, repository, tiny, tmp_path):
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "clean.png").write_bytes((repository / "examples" / "clean.png").read_bytes())
    write_index(pages, {"file": "clean.png", "leads": ROWS, "rhythm": "II", "printed_values": "HR 72"})
    code, out, _ = ecgscan("benchmark", "archive", pages, "--out", tmp_path / "out", "--model", tiny)
    assert code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"pages.csv", "archive.json", "pages.png"}
    assert json.loads((tmp_path / "out" / "archive.json").read_text())["pages"] == 1
    assert "leads right on" in out


def test_a_page_that_cant_be_opened_is_told_and_the_rest_goes_on(ecgscan, repository, tiny, tmp_path):
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "clean.png").write_bytes((repository / "examples" / "clean.png").read_bytes())
    rows = [{"file": name, "leads": ROWS, "rhythm": "II", "printed_values": ""} for name in ("gone.png", "clean.png")]
    write_index(pages, *rows)
    assert ecgscan("benchmark", "archive", pages, "--out", tmp_path / "out", "--model", tiny)[0] == 0
    with (tmp_path / "out" / "pages.csv").open() as file:
        found = list(csv.DictReader(file))
    assert [row["status"] == "error" for row in found] == [True, False]
    assert "No such file" in found[0]["reason"]
