"""What the commands print: results on standard output, errors and progress on standard error."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)


def error_line(message: str) -> None:
    err.print(f"error: {' '.join(message.split())}", style="red", markup=False)


def progress_bar(unit: str) -> Progress:
    """A bar on standard error; nothing where that is no terminal."""
    return Progress(
        TextColumn(unit),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
        disable=not err.is_terminal,
    )
