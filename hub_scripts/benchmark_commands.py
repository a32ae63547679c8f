"""`ecgscan benchmark`: how well and how fast it reads, measures and renders."""

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from . import console
from .arguments import UsageError, choices

app = typer.Typer(
    help="Measure reading, refusal, measurements, completion, rendering, streaming and latency.", no_args_is_help=True
)

_SHOWN = ("pages", "page_db", "median_db", "p10_db", "worst_db", "snr_db", "strict_db", "r", "named", "reading_db")
_MORE = ("x_median_mm", "x_p95_mm", "y_median_mm", "y_p95_mm", "refused", "coverage", "risk", "seconds")


@app.command()
def reading(
    out: Annotated[Path, typer.Option(help="Folder for pages.csv, reading.json and worst.png.")],
    data: Annotated[
        Path | None, typer.Option(help="Parquet of recordings to render.", show_default="the simulator")
    ] = None,
    photos: Annotated[Path | None, typer.Option(help="Folder of pages whose index.csv names their recordings.")] = None,
    pages: Annotated[int, typer.Option(min=0, help="Rendered pages in all.")] = 126,
    conditions: Annotated[str, typer.Option(help="Conditions, separated by commas.")] = "clean,scan,photo",
    layouts: Annotated[str | None, typer.Option(help="Layouts, separated by commas.", show_default="all seven")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the rendered pages.")] = 0,
    worst: Annotated[int, typer.Option(min=0, help="Pages on the picture of the worst.")] = 8,
    model: Annotated[str | None, typer.Option(help="Checkpoint.", show_default="ecgscan")] = None,
) -> None:
    """Read rendered pages and photos whose recordings are known, and score them."""
    from processing.layouts import LAYOUTS as KNOWN

    from .benchmark_reading import CONDITIONS, LAYOUTS, case_of, photo_jobs, rendered_jobs, run_job, summaries
    from .contact_sheet import contact_sheet
    from .loading import load_reader
    from .read import prepare_folder

    prepare_folder(out)
    chosen = choices(layouts, tuple(KNOWN), "--layouts") if layouts else LAYOUTS
    jobs = rendered_jobs(data, pages, chosen, choices(conditions, CONDITIONS, "--conditions"), seed) if pages else []
    jobs += photo_jobs(photos) if photos else []
    reader = load_reader(model)
    results = []
    with console.progress_bar("pages") as progress:
        for job in progress.track(jobs):
            results.append(run_job(job, reader))
    if not results:
        raise UsageError("nothing to read: give --pages above 0, or --photos")
    summary = summaries(results, reader.min_quality)
    rows = [result.row() for result in results]
    _write_rows(out / "pages.csv", rows)
    document = {
        "model": {"name": reader.name, "revision": reader.revision},
        "data": str(data) if data else "simulator",
        "seed": seed,
        "min_quality": reader.min_quality,
        "summary": summary,
        "pages": rows,
    }
    (out / "reading.json").write_text(json.dumps(document, indent=1, default=str) + "\n", encoding="utf-8")
    lowest = sorted(results, key=lambda result: result.score.snr_db)[:worst]
    _write_picture(out / "worst.png", contact_sheet([case_of(result, reader) for result in lowest]))
    _print_table("accuracy", summary, _SHOWN)
    _print_table("geometry, honesty, cost", summary, _MORE)
    console.out.print(f"{out.as_posix()}/pages.csv, reading.json, worst.png", markup=False)


@app.command()
def rendering(
    pages: Annotated[int, typer.Option(min=1, help="Pages of each condition.")] = 40,
    out: Annotated[Path | None, typer.Option(help="Folder for rendering.json.")] = None,
) -> None:
    """Pages per second and core, clean and degraded, at one megapixel."""
    from .benchmark_speed import rendering_speed

    _finish("rendering", rendering_speed(pages), out)


@app.command()
def streaming(
    triplets: Annotated[int, typer.Option(min=1, help="Pages with signal and text, for each image tower.")] = 64,
    out: Annotated[Path | None, typer.Option(help="Folder for streaming.json.")] = None,
) -> None:
    """Triplets per second and core that training is given, pages drawn on the way."""
    from .benchmark_speed import streaming_speed

    _finish("streaming", streaming_speed(triplets), out)


@app.command()
def latency(
    repeats: Annotated[int, typer.Option(min=1, help="How often the photo is read.")] = 5,
    out: Annotated[Path | None, typer.Option(help="Folder for latency.json.")] = None,
    model: Annotated[str | None, typer.Option(help="Checkpoint.", show_default="ecgscan")] = None,
) -> None:
    """Seconds and memory for one photo of nine megapixels, with the model loaded."""
    from .benchmark_speed import photo_latency
    from .loading import load_reader

    _finish("latency", photo_latency(load_reader(model), repeats), out)


@app.command()
def measurements(
    data: Annotated[
        Path | None, typer.Option(help="Parquet of recordings to measure.", show_default="the simulator")
    ] = None,
    number: Annotated[int, typer.Option(min=1, help="Recordings.")] = 150,
    layout: Annotated[str, typer.Option(help="Layout of the page.")] = "3x4+1",
    condition: Annotated[
        str | None, typer.Option(help="clean, scan or photo: pages are rendered and read.", show_default="not read")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the simulated recordings and of the pages.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for measurements.csv and .json.")] = None,
    model: Annotated[str | None, typer.Option(help="Checkpoint that reads.", show_default="ecgscan")] = None,
) -> None:
    """What is measured on a page, just printed or also read, against what is measured on the whole recording."""
    from processing.layouts import LAYOUTS as KNOWN

    from .benchmark_measurements import figures, printed_pairs, read_pairs, recordings
    from .benchmark_reading import CONDITIONS
    from .loading import load_reader
    from .read import prepare_folder

    shown = choices(layout, tuple(KNOWN), "--layout")[0]
    worn = choices(condition, CONDITIONS, "--condition")[0] if condition else None
    chosen = recordings(data, number, seed)
    pairs = read_pairs(chosen, load_reader(model), shown, worn, seed) if worn else printed_pairs(chosen, shown)
    with console.progress_bar("recordings") as progress:
        compared = list(progress.track(pairs, total=number))
    summary = figures(compared)
    how = f"{shown}, {worn}, read" if worn else f"{shown}, not read"
    _print_table(f"{len(compared)} recordings, {how}", summary, ("whole", "share", "median_abs", "p90_abs"))
    if out is not None:
        prepare_folder(out)
        _write_rows(out / "measurements.csv", [pair.row() for pair in compared])
        document = {
            "data": str(data) if data else "simulator",
            "seed": seed,
            "layout": shown,
            "condition": worn,
            "summary": summary,
        }
        (out / "measurements.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


@app.command()
def completion(
    data: Annotated[
        Path | None, typer.Option(help="Parquet of recordings to hide parts of.", show_default="the simulator")
    ] = None,
    number: Annotated[int, typer.Option(min=1, help="Recordings.")] = 150,
    layout: Annotated[str, typer.Option(help="Layout of the page.")] = "3x4+1",
    seed: Annotated[int, typer.Option(help="Seed of the simulated recordings.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for completion.json and lead_laws.png.")] = None,
    model: Annotated[str | None, typer.Option(help="Checkpoint.", show_default="ecgscan")] = None,
) -> None:
    """What is inferred of the seconds that a page does not print, against the whole recording."""
    from processing.layouts import LAYOUTS as KNOWN

    from .benchmark_completion import answer, complete, figures
    from .benchmark_measurements import recordings
    from .lead_law_figure import draw_laws, typical_record
    from .loading import load_reader
    from .read import prepare_folder

    chosen = choices(layout, tuple(KNOWN), "--layout")[0]
    reader = load_reader(model)
    with console.progress_bar("completing") as progress:
        pages = progress.track(recordings(data, number, seed), total=number, description="completing")
        found = list(complete(reader.model, reader.processor, pages, chosen))
    if not found:
        raise UsageError("no recording has all twelve leads known throughout; hide parts of others")
    summary = figures(found)
    columns = ("inferred_uv", "low_uv", "high_uv", "mean_beat_uv", "nothing_uv", "better")
    _print_table(f"{len(found)} recordings, {chosen}: error of what is hidden", summary, columns)
    names = ("law_uv", "mean_beat_law_uv", "true_law_uv")
    laws = {name: float(np.mean([getattr(one, name) for one in found])) for name in names}
    console.out.print(
        f"lead laws missed by {laws['law_uv']:.1f} uV in what was inferred, {laws['true_law_uv']:.1f} in the "
        f"recordings, {laws['mean_beat_law_uv']:.1f} in the mean beat repeated"
    )
    if out is not None:
        prepare_folder(out)
        source = {"data": str(data) if data else "simulator", "seed": seed, "layout": chosen}
        document = {**source, "recordings": len(found), **laws, "summary": summary}
        (out / "completion.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        typical = typical_record(found)
        shown = next(one for one in recordings(data, number, seed) if one.record_id == typical)
        draw_laws(out / "lead_laws.png", found, answer(reader.model, reader.processor, shown, chosen))


@app.command()
def archive(
    folder: Annotated[Path, typer.Argument(help="Folder of pages whose index.csv names their leads.")],
    out: Annotated[Path, typer.Option(help="Folder for pages.csv, archive.json and pages.png.")],
    model: Annotated[str | None, typer.Option(help="Checkpoint.", show_default="ecgscan")] = None,
) -> None:
    """Pages whose recordings are not known: leads, printed heart rate, lead laws, leads printed twice."""
    from .benchmark_archive import check_page, listed_pages, sheet, summary_of
    from .loading import load_reader
    from .read import prepare_folder

    pages = listed_pages(folder)
    prepare_folder(out)
    reader = load_reader(model)
    with console.progress_bar("pages") as progress:
        found = [check_page(page, reader) for page in progress.track(pages)]
    checked = [one for one, _ in found]
    _write_rows(out / "pages.csv", [one.row() for one in checked])
    _write_picture(out / "pages.png", sheet(found))
    summary = {"model": {"name": reader.name, "revision": reader.revision}, **summary_of(checked)}
    (out / "archive.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    columns = ("status", "quality", "layout_read", "leads_right", "rate_bpm", "printed_bpm", "law_uv", "rhythm_uv")
    _print_table(f"{len(checked)} pages", {one.page.file.name: one.row() for one in checked}, columns)
    console.out.print(
        f"leads right on {summary['leads_right']} of {summary['pages']}, "
        f"heart rate within 3 bpm of the printed one on {summary['rates_within_3_bpm']} of {summary['rates_printed']}"
    )
    _print_table("measured against printed", summary["intervals"], ("pages", "median", "largest"))


@app.command()
def refusal(
    pages: Annotated[int, typer.Option(min=0, help="Pages without an ECG to draw.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drawn pages.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for refusal.json and refusal.png.")] = None,
    pictures: Annotated[Path | None, typer.Option(help="Folder of further pictures that hold no ECG.")] = None,
    model: Annotated[str | None, typer.Option(help="Checkpoint.", show_default="ecgscan")] = None,
) -> None:
    """Draw charts, recordings of other organs, papers and pictures, and count those that are read as an ECG."""
    from .benchmark_refusal import figures, judge, picture_files, rows_of, sheet, subjects
    from .loading import load_reader
    from .read import prepare_folder

    files = picture_files(pictures)
    if not pages and not files:
        raise UsageError("nothing to read: give --pages above 0, or --pictures")
    if out is not None:
        prepare_folder(out)
    reader = load_reader(model)
    judged = []
    with console.progress_bar("pages") as progress:
        for subject in progress.track(subjects(pages, seed, pictures), total=pages + len(files)):
            judged.append(judge(subject, reader))
    summary = figures(outcome for outcome, _ in judged)
    columns = ("pages", "wrong", "no_signal", "no_ecg", "error", "highest_quality")
    _print_table(f"{len(judged)} pages without an ECG", summary, columns)
    share = f"at most {100 * summary['all']['wrong_at_most']:.1f} in 100 with 95 % confidence"
    console.out.print(f"{summary['all']['wrong']} of {len(judged)} were read as an ECG ({share})")
    if out is not None:
        document = {
            "model": {"name": reader.name, "revision": reader.revision},
            "seed": seed,
            "min_quality": reader.min_quality,
            "summary": summary,
            "pages": rows_of(outcome for outcome, _ in judged),
        }
        (out / "refusal.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        _write_picture(out / "refusal.png", sheet(judged))
        console.out.print(f"{out.as_posix()}/refusal.json, refusal.png", markup=False)


@app.command()
def towers(
    train: Annotated[list[Path], typer.Option(help="Parquet of labelled recordings to train on; repeat for more.")],
    validation: Annotated[list[Path], typer.Option(help="Parquet by which the probes' strength is chosen.")],
    test: Annotated[list[Path], typer.Option(help="Parquet on which the towers are measured.")],
    out: Annotated[
        Path, typer.Option(help="Folder for towers.json and the trained towers, which are not trained again.")
    ],
    pages: Annotated[int, typer.Option(min=1, help="Test recordings that are rendered and read.")] = 300,
    objectives: Annotated[str, typer.Option(help="What towers learn, separated by commas.")] = "align,labels,simclr",
    side: Annotated[int, typer.Option(min=32, help="Side of the transformer's square input, in pixels.")] = 224,
    steps: Annotated[int, typer.Option(min=1, help="Of each training.")] = 600,
    batch_size: Annotated[int, typer.Option(min=2, help="Pages in a step.")] = 48,
    seed: Annotated[int, typer.Option(min=0, help="Seed of pages, weights and order.")] = 0,
    model: Annotated[str | None, typer.Option(help="Checkpoint.", show_default="ecgscan")] = None,
) -> None:
    """Train vision transformers that see the whole page, and probe them beside the tower that reads it."""
    from .benchmark_towers import NAMES, Recipe, compare_towers
    from .evaluate import Split, cell, evenly, read_splits
    from .loading import load_reader
    from .read import prepare_folder

    prepare_folder(out)
    recipe = Recipe(choices(objectives, tuple(NAMES), "--objectives"), side, steps, batch_size, seed)
    splits = read_splits({"train": train, "validation": validation, "test": test})
    recordings = splits["test"].recordings
    splits["test"] = Split([recordings[row] for row in evenly(len(recordings), pages)], {})
    reader = load_reader(model)
    with console.progress_bar("towers") as progress:
        found = compare_towers(reader, splits, out, recipe, progress.track)
    sizes = {name: len(split.recordings) for name, split in splits.items()}
    document = {
        "model": {"name": reader.name, "revision": reader.revision},
        **asdict(recipe),
        "recordings": sizes,
        **found,
    }
    (out / "towers.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    rows: dict[str, dict[str, Any]] = {}
    for task, table in found["probe"].items():
        for name, figure in table.items():
            rows.setdefault(name, {})[task] = cell(figure)
    _print_table(f"linear probe, macro AUROC on {sizes['test']} pages", rows, tuple(found["probe"]))


@app.command()
def alignment(
    train: Annotated[list[Path], typer.Option(help="Parquet of labelled recordings to train on; repeat for more.")],
    test: Annotated[list[Path], typer.Option(help="Parquet of recordings on which projections are measured.")],
    steps: Annotated[int, typer.Option(min=1, help="Of each training.")] = 300,
    batch_size: Annotated[int, typer.Option(min=2, help="Recordings in a step.")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="Seed of start, texts and order.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for alignment.json.")] = None,
    model: Annotated[str | None, typer.Option(help="Checkpoint.", show_default="ecgscan")] = None,
) -> None:
    """Align what pages print with signals and reports by one objective after another, and compare what each gives."""
    from .benchmark_alignment import Recipe, compare_objectives, tables
    from .evaluate import read_splits
    from .loading import load_reader
    from .read import prepare_folder

    recipe = Recipe(steps, batch_size, seed)
    splits = read_splits({"train": train, "test": test})
    reader = load_reader(model)
    if not reader.model.reads:
        raise UsageError("the checkpoint's image tower is a vision transformer; give one that reads with --model")
    with console.progress_bar("alignment") as progress:
        found = compare_objectives(reader, splits, recipe, progress.track)
    sizes = {name: len(split.recordings) for name, split in splits.items()}
    for title, rows in tables(found).items():
        columns = tuple(next(iter(rows.values())))
        _print_table(f"{title}, {sizes['test']} recordings", rows, columns)
    if out is not None:
        prepare_folder(out)
        source = {"model": {"name": reader.name, "revision": reader.revision}, **asdict(recipe), "recordings": sizes}
        document = {**source, "objectives": found}
        (out / "alignment.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({name: _short(value) for name, value in row.items()} for row in rows)


def _write_picture(path: Path, picture: Any) -> None:
    import cv2

    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise OSError(f"{path}: the picture can't be written")


def _short(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _print_table(title: str, summary: dict[str, dict[str, Any]], columns: tuple[str, ...]) -> None:
    from rich.table import Table

    table = Table(title=title, box=None, title_justify="left")
    table.add_column("")
    shown = [column for column in columns if any(column in figures for figures in summary.values())]
    for column in shown:
        table.add_column(column, justify="right")
    for name, figures in summary.items():
        table.add_row(name, *(_short(figures.get(column)) for column in shown))
    console.out.print(table)


def _finish(name: str, figures: dict[str, Any], out: Path | None) -> None:
    from .read import prepare_folder

    for key, value in figures.items():
        console.out.print(f"{key:<28} {_short(value)}", markup=False)
    if out is not None:
        prepare_folder(out)
        (out / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
