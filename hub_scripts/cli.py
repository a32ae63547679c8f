"""The command line. Each command imports what it needs when it runs: `ecgscan --help` stays quick."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from . import benchmark_commands, push_commands
from .arguments import UsageError, choices
from .console import error_line

app = typer.Typer(
    name="ecgscan",
    help="Reads pages of 12-lead electrocardiograms. For research; not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(benchmark_commands.app, name="benchmark")
app.add_typer(push_commands.app, name="push")

Model = Annotated[
    str | None, typer.Option("--model", help="Checkpoint: a folder or a name on the Hub.", show_default="ecgscan")
]


@app.command()
def read(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Images, PDFs and folders.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    format: Annotated[
        str, typer.Option(help="What to write, separated by commas; also: inferred.")
    ] = "wfdb,csv,json,png",
    min_quality: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Give no signal for pages whose quality is below.", show_default="the model's"),
    ] = None,
    columns: Annotated[
        Literal["sequential", "simultaneous"] | None,
        typer.Option(
            help="Columns printed one after another, or all from one moment.",
            show_default="what rhythm strips tell, else sequential",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pages that go through the model together.")] = 1,
    num_processes: Annotated[int, typer.Option(min=1, help="Processes that read side by side.")] = 1,
    model: Model = None,
) -> None:
    """Read pages into WFDB, CSV, JSON and a picture; a second run goes on where the first stopped."""
    from .read import Options
    from .read_command import read_command
    from .results import FORMATS, INFERRED

    options = Options(
        out=out,
        formats=choices(format, (*FORMATS, INFERRED), "--format"),
        min_quality=min_quality,
        columns=columns,
        batch_size=batch_size,
        num_processes=num_processes,
        checkpoint=model,
    )
    raise typer.Exit(read_command(list(paths), options))


@app.command()
def render(
    records: Annotated[
        list[str],
        typer.Argument(metavar="RECORD...", help="WFDB records, Parquet files, or `simulator:COUNT`."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for pages, truth and index.csv.")],
    layout: Annotated[str | None, typer.Option(help="Name of a layout.", show_default="drawn")] = None,
    condition: Annotated[Literal["clean", "scan", "photo"], typer.Option(help="How worn the pages are.")] = "clean",
    seed: Annotated[int, typer.Option(help="The same seed gives the same pages.")] = 0,
) -> None:
    """Draw recordings as pages, with their truth and an index.csv beside them."""
    from .render import render_command

    raise typer.Exit(render_command(records, out, layout=layout, condition=condition, seed=seed))


@app.command()
def embed(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Images, PDFs, folders and WFDB records.")],
    out: Annotated[Path, typer.Option(help="Parquet file with the columns file, page, kind, embedding.")],
    batch_size: Annotated[int, typer.Option(min=1, help="Pages that go through the model together.")] = 1,
    model: Model = None,
) -> None:
    """Embed pages and recordings into the space that images, signals and reports share."""
    from .embed import embed_command

    raise typer.Exit(embed_command(list(paths), out, batch_size=batch_size, checkpoint=model))


@app.command()
def classify(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Images, PDFs, folders and WFDB records.")],
    labels: Annotated[
        str | None, typer.Option(help="Texts to choose between, separated by commas.", show_default="the findings")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="CSV file with every probability.")] = None,
    min_quality: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Say nothing of pages whose quality is below.", show_default="the model's"),
    ] = None,
    model: Model = None,
) -> None:
    """Say what pages and recordings show: calibrated findings, or which of your own labels fits best."""
    from .classify import classify_command

    texts = tuple(text.strip() for text in (labels or "").split(",") if text.strip())
    if labels is not None and not texts:
        raise UsageError(f"--labels: no text in {labels!r}; give some, separated by commas, or leave it out")
    raise typer.Exit(classify_command(list(paths), labels=texts, out=out, min_quality=min_quality, checkpoint=model))


@app.command()
def evaluate(
    train: Annotated[
        list[Path], typer.Option(help="Parquet of labelled recordings to fit probes on; repeat for more.")
    ],
    validation: Annotated[list[Path], typer.Option(help="Parquet by which their strength is chosen.")],
    test: Annotated[list[Path], typer.Option(help="Parquet on which they are measured.")],
    out: Annotated[Path, typer.Option(help="Folder for evaluation.json and embeddings.png.")],
    pages: Annotated[int, typer.Option(min=0, help="Test recordings that are rendered and read.")] = 200,
    condition: Annotated[
        list[str] | None,
        typer.Option(help="How worn the pages are: clean, scan or photo; repeat for more.", show_default="scan"),
    ] = None,
    layout: Annotated[str, typer.Option(help="Layout of the pages.")] = "3x4+1",
    seed: Annotated[int, typer.Option(help="Seed of the rendered pages.")] = 0,
    num_processes: Annotated[int, typer.Option(min=1, help="Processes that read side by side.")] = 1,
    model: Model = None,
) -> None:
    """Measure what the embeddings know: linear probes, prompts, retrieval."""
    from processing.layouts import LAYOUTS

    from .evaluate import evaluate_command

    code = evaluate_command(
        {"train": train, "validation": validation, "test": test},
        out,
        pages=pages,
        conditions=choices(",".join(condition or ["scan"]), ("clean", "scan", "photo"), "--condition"),
        layout=choices(layout, tuple(LAYOUTS), "--layout")[0],
        seed=seed,
        model=model,
        num_processes=num_processes,
    )
    raise typer.Exit(code)


@app.command()
def prepare(
    source: Annotated[
        Literal["ptbxl", "mimic-iv-ecg", "challenge", "parquet", "folder"], typer.Argument(help="What kind of archive.")
    ],
    path: Annotated[Path, typer.Argument(help="The archive's own folder; for `parquet` also a file.")],
    out: Annotated[Path, typer.Option(help="Folder for shards, dataset card and report.")],
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first recordings of the archive.")] = None,
    num_processes: Annotated[int, typer.Option(min=1, help="Processes that read side by side.")] = 1,
) -> None:
    """Check an archive's recordings and write them as a data set to train on; a second run goes on."""
    from .prepare import prepare_command

    raise typer.Exit(prepare_command(source, path, out, limit=limit, num_processes=num_processes))


@app.command()
def demo(
    checkpoint: Annotated[
        str | None,
        typer.Option(help="A folder or a name on the Hub.", show_default="ECGSCAN_MODEL, else the shipped one"),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Where to listen.", show_default="the first free from 7860")
    ] = None,
    host: Annotated[str, typer.Option(help="`0.0.0.0` lets other machines in.")] = "127.0.0.1",
) -> None:
    """Read pages in the browser: leads, measurements, findings, similar recordings, downloads."""
    try:
        from spaces_demo.interface import serve
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise UsageError('gradio is not installed; `pip install -e ".[demo]"` installs it') from error

    serve(checkpoint, host, port)


@app.command()
def finetune(
    data: Annotated[
        Path, typer.Argument(help="Parquet of labelled recordings, folder of class folders, or folder with a CSV.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the checkpoint, the adapter and finetune.json.")],
    validation: Annotated[
        Path | None,
        typer.Option(help="Where to choose the best epoch.", show_default="the data's own part, else a fifth of them"),
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="Measured once, at the end, with intervals.", show_default="none")
    ] = None,
    method: Annotated[
        Literal["lora", "head", "full"],
        typer.Option(help="What learns: adapters in the signal encoder, the head alone, or the whole encoder."),
    ] = "lora",
    labels: Annotated[
        str | None, typer.Option(help="Labels to learn, separated by commas.", show_default="all")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="At most; it stops once validation gets no better.")] = 4,
    learning_rate: Annotated[
        float | None, typer.Option(min=0, help="At its height.", show_default="the method's")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of order and augmentation.")] = 0,
    num_processes: Annotated[int, typer.Option(min=1, help="Processes that read pages side by side.")] = 1,
    model: Model = None,
) -> None:
    """Teach the model labels of your own, from recordings or pages; reading itself is not trained."""
    from .finetune import finetune_command

    wanted = tuple(text.strip() for text in (labels or "").split(",") if text.strip())
    raise typer.Exit(
        finetune_command(
            data,
            out,
            validation=validation,
            test=test,
            method=method,
            labels=wanted,
            epochs=epochs,
            rate=learning_rate,
            seed=seed,
            checkpoint=model,
            num_processes=num_processes,
        )
    )


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="Folder for the graphs, their settings and the code that reads with them.")],
    model: Model = None,
) -> None:
    """Write the networks as ONNX graphs, with a script that reads pages without torch."""
    from .export import export_command

    raise typer.Exit(export_command(out, model))


def main() -> None:
    """Runs the command line; what a user can mend is one line and exit code 2."""
    try:
        app()
    except (UsageError, OSError) as error:
        error_line(str(error))
        sys.exit(2)
    except ValueError as error:
        from processing.wfdb_records import RecordError

        if not isinstance(error, RecordError):
            raise
        error_line(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        error_line("stopped; the same command goes on where this run was")
        sys.exit(130)
