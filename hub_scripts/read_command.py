"""What `ecgscan read` does around the reading: expansion, resumption, progress, summary, exit code."""

from pathlib import Path

from rich.markup import escape
from rich.table import Table

from . import console
from .loading import load_reader
from .read import (
    Options,
    check_targets,
    expand,
    forget,
    is_done,
    output_names,
    prepare_folder,
    run_tasks,
    settings_of,
)
from .results import Row, Summary, outputs_of

# A folder of a thousand pages has its table in summary.csv.
SHOWN_PAGES = 30
_STYLES = {"read": "green", "partial": "yellow", "no_ecg": "bright_black", "error": "red"}


def read_command(paths: list[Path], options: Options) -> int:
    """Reads all pages of `paths`; returns the exit code."""
    prepare_folder(options.out)
    files, problems = expand(paths, options.out)
    for problem in problems:
        console.error_line(problem)
    tasks = output_names(files)
    if not tasks:
        return 2
    summary = Summary(options.out / "summary.csv")
    check_targets(tasks, summary, options.out)
    reader = load_reader(options.checkpoint)
    min_quality = reader.min_quality if options.min_quality is None else options.min_quality
    settings = settings_of(options, reader.revision, min_quality)
    open_tasks = [task for task in tasks if not is_done(task, summary, options, settings)]
    forget(open_tasks, summary, options.out)

    with console.progress_bar("pages") as progress:
        bar = progress.add_task("pages", total=len(open_tasks))

        def done(row: Row) -> None:
            summary.add(row)
            if row.status == "error":
                console.error_line(row.reason)
            progress.update(bar, advance=1 if row.page == 1 else 0)

        run_tasks(open_tasks, options, reader, done)
    order = {str(task.file): place for place, task in enumerate(tasks)}
    summary.sort(order)
    summary.rewrite()
    rows = [row for row in summary.rows.values() if row.file in order]
    _print_rows(rows, options.out)
    kept = len(tasks) - len(open_tasks)
    if kept:
        console.out.print(f"{kept} of {len(tasks)} files were done by an earlier run and kept", markup=False)
    return 2 if problems or any(row.status == "error" for row in rows) else 0


def _print_rows(rows: list[Row], out: Path) -> None:
    """A table, reasons and files of the first pages, and a line about all of them."""
    shown = rows[:SHOWN_PAGES]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("page", "status", "quality", "layout", "leads", "mm/s", "mm/mV", "bpm", "seconds"):
        table.add_column(name, overflow="fold")
    for row in shown:
        table.add_row(
            escape(_title(row)),
            f"[{_STYLES[row.status]}]{row.status}[/]",
            row.quality,
            row.layout,
            str(len(row.leads.split())),
            row.mm_per_s,
            row.mm_per_mv,
            row.heart_rate_bpm,
            row.seconds,
        )
    console.out.print(table)
    for row in shown:
        if row.reason and row.status != "error":
            console.out.print(f"{_title(row)}: {row.reason}", style="yellow", markup=False)
    for row in shown:
        measured = _measured(row)
        if measured:
            console.out.print(f"{_title(row)}: {measured}", markup=False)
    for row in shown:
        base = (out / row.output).name
        written = [path.name.removeprefix(base) for path in outputs_of(out / row.output) if path.is_file()]
        console.out.print(f"{_title(row)}: wrote {(out / row.output).as_posix()} {' '.join(written)}", markup=False)
    if len(rows) > len(shown):
        console.out.print(f"... and {len(rows) - len(shown)} more")
    counts = {status: sum(row.status == status for row in rows) for status in _STYLES}
    counted = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    console.out.print(f"{len(rows)} pages: {counted}; {(out / 'summary.csv').as_posix()}", markup=False)


def _measured(row: Row) -> str:
    """Intervals and axis in a few words, those that were measured."""
    named = [("PR", row.pr_ms, " ms"), ("QRS", row.qrs_ms, " ms"), ("QT", row.qt_ms, " ms")]
    named += [("QTc (Fridericia)", row.qtc_fridericia_ms, " ms"), ("axis", row.axis_deg, "°")]
    return ", ".join(f"{name} {value.removesuffix('.0')}{unit}" for name, value, unit in named if value)


def _title(row: Row) -> str:
    return f"{Path(row.file).name}{f' p{row.page}' if row.pages > 1 else ''}"
