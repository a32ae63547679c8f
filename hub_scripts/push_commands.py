"""`ecgscan push model|dataset|space`."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Publish a checkpoint, a data set or a Space on the Hugging Face Hub: one commit, private by default.",
    no_args_is_help=True,
)

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="What is published: every file that is not hidden.")]
Repo = Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Repository on the Hub; made where there is none.")]
Public = Annotated[bool, typer.Option("--public", help="Let everybody see it.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and list the files; send nothing, ask nobody.")]


@app.command()
def model(
    folder: Folder,
    repo: Repo,
    figures: Annotated[
        list[Path] | None, typer.Option(help="reading.json or evaluation.json for the card; give it once for each.")
    ] = None,
    public: Public = False,
    dry_run: DryRun = False,
) -> None:
    """A checkpoint with its code, processor, tokenizer and card, if it loads back to the same numbers."""
    from .push import push_command

    raise typer.Exit(push_command("model", folder, repo, public=public, dry_run=dry_run, figures=figures or ()))


@app.command()
def dataset(folder: Folder, repo: Repo, public: Public = False, dry_run: DryRun = False) -> None:
    """Prepared Parquet shards with their card."""
    from .push import push_command

    raise typer.Exit(push_command("dataset", folder, repo, public=public, dry_run=dry_run))


@app.command()
def space(folder: Folder, repo: Repo, public: Public = False, dry_run: DryRun = False) -> None:
    """A folder with app.py and a README.md whose metadata says how the Hub starts it."""
    from .push import push_command

    raise typer.Exit(push_command("space", folder, repo, public=public, dry_run=dry_run))
