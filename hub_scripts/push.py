"""`ecgscan push`: a checkpoint, a data set or a Space to the Hub, in one commit or not at all."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.filesize import decimal

from . import console
from .arguments import UsageError
from .loading import first_line
from .push_checks import Files, check_dataset, check_loads_back, check_model_files, check_space, files_of

Kind = Literal["model", "dataset", "space"]

_KEPT_BY_THE_HUB = ".gitattributes"


def push_command(
    kind: Kind, folder: Path, repo_id: str, *, public: bool, dry_run: bool, figures: Sequence[Path] = ()
) -> int:
    """Checks a folder and publishes it; returns the exit code."""
    check_repo_id(repo_id)
    if not dry_run:
        check_token()
    files = checked_files(kind, folder, repo_id, figures)
    _print_files(files)
    if dry_run:
        console.out.print(f"dry run: nothing was sent to {repo_id}", markup=False)
        return 0
    url, removed, private = publish(kind, files, repo_id, public=public)
    also = f", {removed} that the folder no longer has removed" if removed else ""
    console.out.print(f"{'private' if private else 'public'}, {len(files)} files{also}: {url}", markup=False)
    return 0


def check_repo_id(repo_id: str) -> None:
    """Refuses what can't be the name of a repository, without asking the Hub."""
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    wanted = "expected OWNER/NAME, such as heart-lab/ecgscan"
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise UsageError(f"{repo_id}: {wanted} ({first_line(error)})") from error
    if "/" not in repo_id:
        raise UsageError(f"{repo_id}: {wanted}")


def check_token() -> None:
    from huggingface_hub import get_token

    if not get_token():
        raise UsageError("no token for the Hub: run `hf auth login`, or set HF_TOKEN to one that may write")


def checked_files(kind: Kind, folder: Path, repo_id: str, figures: Sequence[Path]) -> Files:
    """The files to publish, by their path in the repository, once they have passed every check."""
    found = files_of(folder)
    files: Files = dict(found)
    if kind == "dataset":
        check_dataset(folder, found)
    elif kind == "space":
        check_space(folder, found)
    else:
        from .model_card import card_of

        check_model_files(folder, found)
        files["README.md"] = card_of(folder, figures, repo_id).encode()
        check_loads_back(folder, found)
    return dict(sorted(files.items()))


def publish(kind: Kind, files: Files, repo_id: str, *, public: bool) -> tuple[str, int, bool]:
    """Makes the repository hold exactly these files, by one commit on what it holds now.

    Large files are sent first; the branch moves only with the commit, so a broken upload leaves it as it was.

    Returns:
        The address, how many files were removed, and whether the repository is private.

    Raises:
        UsageError: the Hub refuses, or can't be reached.
    """
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    try:
        return _commit(kind, files, repo_id, public)
    except UsageError:
        raise
    except HfHubHTTPError as error:
        raise UsageError(_refusal(repo_id, error.response.status_code, first_line(error))) from error
    except ValueError as error:
        raise UsageError(f"{repo_id}: the Hub refuses the files ({first_line(error)}); main is as it was") from error
    except (HTTPError, RuntimeError, OSError) as error:
        raise UsageError(
            f"{repo_id}: the upload broke off ({first_line(error)}); main is as it was, the same command sends the rest"
        ) from error


def _commit(kind: Kind, files: Files, repo_id: str, public: bool) -> tuple[str, int, bool]:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    from huggingface_hub.utils import disable_progress_bars

    if not console.err.is_terminal:
        disable_progress_bars()
    api = HfApi()
    url = api.create_repo(
        repo_id, repo_type=kind, private=not public, exist_ok=True, space_sdk="gradio" if kind == "space" else None
    )
    now = api.repo_info(repo_id, repo_type=kind)
    if not now.private and not public:
        raise UsageError(f"{repo_id} is public already: add --public, or make it private on the Hub first")
    there = {file.rfilename for file in now.siblings or []}  # type: ignore[union-attr]
    there -= {_KEPT_BY_THE_HUB}
    gone = sorted(there - set(files))
    api.create_commit(
        repo_id,
        repo_type=kind,
        operations=[
            *(CommitOperationAdd(name, content) for name, content in files.items()),
            *(CommitOperationDelete(name) for name in gone),
        ],
        commit_message=f"Publish {len(files)} files",
        parent_commit=now.sha,
    )
    return str(url), len(gone), bool(now.private)


def _refusal(repo_id: str, status: int, message: str) -> str:
    reasons = {
        401: "the Hub does not know the token; run `hf auth login` again, or set HF_TOKEN to a valid one",
        403: "the token may not write there; give an OWNER of yours, or take a token with write access",
        404: "not found on the Hub; give an OWNER/NAME that the token may write to",
        412: "it was changed on the Hub meanwhile; run the same command again",
    }
    reason = reasons.get(status, f"the Hub answered {status} ({message}); run the same command again")
    return f"{repo_id}: {reason} (main is as it was)"


def _print_files(files: Files) -> None:
    sizes = {
        name: len(content) if isinstance(content, bytes) else content.stat().st_size for name, content in files.items()
    }
    for name, size in sizes.items():
        console.out.print(f"{decimal(size):>12}  {name}", markup=False)
    console.out.print(f"{decimal(sum(sizes.values())):>12}  {len(sizes)} files", markup=False)
