"""`ecgscan benchmark` on a few pages: what it counts, writes and refuses."""

import csv
import json

import pytest
from perfect import perfect_reading

from hub_scripts.benchmark_reading import LAYOUTS, Result, rendered_jobs, subject_of, summaries
from hub_scripts.geometry_error import geometry_figures
from hub_scripts.scoring import score_page


def _perfect_results(jobs, quality: float = 0.95) -> list[Result]:
    results = []
    for job in jobs:
        subject = subject_of(job)
        reading = perfect_reading(subject.page)
        score = score_page(subject.recording.signal, 500.0, subject.printed, reading.signal, 500.0)
        geometry = geometry_figures(subject.page, reading, subject.image.shape[:2])
        results.append(Result(job, score, "read", None, quality, reading.layout["name"], 1.0, geometry))
    return results


def test_pages_are_spread_evenly_over_layouts_and_conditions():
    jobs = rendered_jobs(None, 42, LAYOUTS, ("clean", "scan", "photo"), seed=0)
    cells = {(job.layout, job.kind) for job in jobs}
    assert len(cells) == 21
    assert all(sum((job.layout, job.kind) == cell for job in jobs) == 2 for cell in cells)


@pytest.mark.slow
def test_perfect_readings_reach_the_cap_on_every_layout():
    results = _perfect_results(rendered_jobs(None, len(LAYOUTS), LAYOUTS, ("clean",), seed=3))
    summary = summaries(results, 0.5)
    assert summary["all"]["page_db"] > 25
    assert summary["all"]["named"] == 1.0
    assert summary["all"]["coverage"] == 1.0
    assert summary["all"]["risk"] == 0.0
    assert summary["all"]["x_p95_mm"] < 0.02
    assert set(summary) == {"all", "clean", *(f"clean {layout}" for layout in LAYOUTS)}


def test_refused_pages_count_for_accuracy_and_lower_coverage():
    jobs = rendered_jobs(None, 2, ("3x4",), ("clean",), seed=1)
    results = _perfect_results(jobs[:1]) + _perfect_results(jobs[1:], quality=0.1)
    figures = summaries(results, 0.5)["all"]
    assert figures["pages"] == 2
    assert figures["coverage"] == 0.5


def test_the_reading_benchmark_writes_table_figures_and_picture(ecgscan, tiny, tmp_path):
    code, out, err = ecgscan(
        *("benchmark", "reading", "--out", tmp_path, "--model", tiny),
        *("--pages", 3, "--layouts", "3x4", "--worst", 2),
    )
    assert code == 0, err
    assert "page_db" in out
    with (tmp_path / "pages.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows] == ["clean", "scan", "photo"]
    document = json.loads((tmp_path / "reading.json").read_text())
    assert document["summary"]["all"]["pages"] == 3
    assert (tmp_path / "worst.png").stat().st_size > 1000


def test_photos_with_an_index_are_scored_from_their_files(ecgscan, tiny, tmp_path):
    ecgscan("render", "simulator:2", "--out", tmp_path / "pages", "--layout", "12x1")
    code, _, err = ecgscan(
        "benchmark", "reading", "--photos", tmp_path / "pages", "--pages", 0, "--out", tmp_path / "out", "--model", tiny
    )
    assert code == 0, err
    assert json.loads((tmp_path / "out" / "reading.json").read_text())["summary"]["clean"]["pages"] == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("--data", "nowhere.parquet"),
        ("--photos", "nowhere"),
        ("--layouts", "9x9"),
        ("--conditions", "wet"),
        ("--pages", 0),
    ],
)
def test_unusable_arguments_are_one_line(ecgscan, tiny, tmp_path, arguments):
    code, _, err = ecgscan("benchmark", "reading", "--out", tmp_path / "out", "--model", tiny, *arguments)
    assert code == 2
    assert err.startswith("error: ")
    assert err.strip().count("\n") == 0


def test_rendering_streaming_and_latency_are_measured(ecgscan, tiny, tmp_path):
    code, out, err = ecgscan("benchmark", "rendering", "--pages", 4, "--out", tmp_path)
    assert code == 0, err
    assert json.loads((tmp_path / "rendering.json").read_text())["clean_pages_per_s_at_1_mp"] > 0
    code, out, err = ecgscan("benchmark", "streaming", "--triplets", 8, "--out", tmp_path)
    assert code == 0, err
    assert json.loads((tmp_path / "streaming.json").read_text())["reader_triplets_per_s"] > 0
    code, out, err = ecgscan("benchmark", "latency", "--repeats", 1, "--out", tmp_path, "--model", tiny)
    assert code == 0, err
    assert "peak_memory_mb" in out
