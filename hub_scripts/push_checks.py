"""What is checked before anything goes to the Hub; whatever can't be used there is refused in one sentence."""

import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .arguments import UsageError
from .loading import CheckpointError, check_files, first_line

Files = dict[str, Path | bytes]

_PROCESSOR_FILES = ("processor_config.json", "tokenizer.json", "tokenizer_config.json")
_NAMED_CODE = {"config.json": ("AutoConfig", "AutoModel"), "processor_config.json": ("AutoProcessor",)}
_SAVE = "save it with hub_scripts.checkpoint.save_checkpoint"
_FIXED_TEXT = "sinus rhythm, normal ECG"
_FIXED_SEED = 1


def files_of(folder: Path) -> dict[str, Path]:
    """Files of a folder and its subfolders by their path in the repository; hidden ones and caches are left out."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; give the folder that is to be published")
    found = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name.as_posix(): path
        for name, path in found.items()
        if not any(part.startswith(".") or part == "__pycache__" for part in name.parts)
    }


def front_matter(card: str, where: str) -> dict[str, Any]:
    """The metadata at the head of a README."""
    from huggingface_hub import RepoCard

    try:
        return RepoCard(card).data.to_dict()
    except Exception as error:  # the YAML parser's errors have no class in common with the others
        raise UsageError(f"{where}: its metadata is no YAML ({first_line(error)}); mend what is between ---") from error


def check_model_files(folder: Path, files: Mapping[str, Path]) -> None:
    """Refuses a checkpoint that lacks weights, a part of the processor or code."""
    check_files(folder)
    for name in _PROCESSOR_FILES:
        if name not in files:
            raise UsageError(
                f"{folder}: no {name} in the folder; write it with processor.save_pretrained({str(folder)!r})"
            )
    for name, needed in _NAMED_CODE.items():
        try:
            auto_map = json.loads(files[name].read_text(encoding="utf-8")).get("auto_map", {})
        except ValueError as error:
            raise UsageError(f"{files[name]}: no JSON ({first_line(error)}); save the checkpoint again") from error
        for auto in needed:
            if auto not in auto_map:
                raise UsageError(f"{folder}: {name} names no code for {auto}; {_SAVE}")
        for place in auto_map.values():
            code = f"{place.split('.')[0]}.py"
            if code not in files:
                raise UsageError(f"{folder}: {name} names {code}, which is not in the folder; {_SAVE}")


def check_loads_back(folder: Path, files: Mapping[str, Path]) -> None:
    """Refuses a checkpoint that answers otherwise to somebody who has only its files.

    A copy of the files is loaded in a fresh process, with `trust_remote_code=True`, without these packages and without
    the network; page, signal and text must give the very numbers that this process gets.
    """
    from transformers.utils import logging

    import modeling_ecgscan  # noqa: F401  registers the Auto classes also where nothing is installed
    from processing.renderer import render
    from processing.simulator import simulate

    from .load_back import answers, load

    logging.disable_progress_bar()
    recording = simulate(seed=_FIXED_SEED)
    page = render(recording, seed=_FIXED_SEED, layout="3x4+1", condition="scan").image
    try:
        here = answers(*load(folder), page, recording.signal, _FIXED_TEXT)
    except Exception as error:
        raise CheckpointError(
            f"{folder}: the checkpoint can't be used ({first_line(error)}); save or fetch it again"
        ) from error
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for path, source in files.items():
            (place / "checkpoint" / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place / "checkpoint" / path)
        np.savez(place / "inputs.npz", page=page, signal=recording.signal, text=_FIXED_TEXT)
        there = _answers_of_a_stranger(folder, place)
    differing = [name for name in here if not np.array_equal(here[name], there[name], equal_nan=True)]
    if differing:
        raise CheckpointError(
            f"{folder}: loaded from its files alone it gives other numbers ({', '.join(differing)}); "
            "its code is not that of this package: save it again"
        )


def _answers_of_a_stranger(folder: Path, place: Path) -> dict[str, np.ndarray]:
    script = Path(__file__).with_name("load_back.py")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {
        "ECGSCAN_AUTOLOAD": "0",
        "HF_HUB_OFFLINE": "1",
        "HF_MODULES_CACHE": str(place / "modules"),
        "CUDA_VISIBLE_DEVICES": "",
    }
    # -P: the script's own folder is not on the path of imports.
    run = subprocess.run(
        [sys.executable, "-P", str(script), "checkpoint", "inputs.npz", "answers.npz"],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        reason = (run.stderr.strip().splitlines() or ["no message"])[-1]
        raise CheckpointError(f"{folder}: does not load from its files alone ({reason[:200]}); {_SAVE}")
    return dict(np.load(place / "answers.npz"))


def check_dataset(folder: Path, files: Mapping[str, Path]) -> None:
    """Refuses a data set without a card, with a shard that can't be read, or whose rows are no recordings.

    A folder of `ecgscan prepare` must be whole and of this schema as well.
    """
    import pyarrow.parquet as pq

    from processing.pages import decode_page
    from processing.prepared import prepared_shards_of
    from processing.records import recording_of_row
    from processing.wfdb_records import RecordError

    try:
        prepared_shards_of(folder)
    except RecordError as error:
        raise UsageError(str(error)) from error
    if "README.md" not in files:
        raise UsageError(
            f"{folder}: no README.md; a data set is published with a card that says its source and licence"
        )
    front_matter(files["README.md"].read_text(encoding="utf-8"), str(files["README.md"]))
    shards = [path for name, path in files.items() if name.endswith(".parquet")]
    if not shards:
        raise UsageError(f"{folder}: no *.parquet in the folder; give a folder of prepared shards")
    columns: dict[tuple[str, ...], Path] = {}
    for shard in shards:
        try:
            file = pq.ParquetFile(shard)
            columns.setdefault(tuple(file.schema_arrow.names), shard)
            row = next((row for batch in file.iter_batches(batch_size=1) for row in batch.to_pylist()), None)
            if row and row["signal"] is None and row.get("image"):
                decode_page(row["image"]["bytes"], row["record_id"])
            elif row:
                recording_of_row(row)
        except Exception as error:
            raise UsageError(f"{shard}: can't be read ({first_line(error)}); prepare it again") from error
    if len(columns) > 1:
        one, other = list(columns.values())[:2]
        raise UsageError(f"{one} and {other} have different columns; prepare all shards with the same version")


def check_space(folder: Path, files: Mapping[str, Path]) -> None:
    """Refuses a folder that the Hub would not start as a Space."""
    if "README.md" not in files:
        raise UsageError(f"{folder}: no README.md; a Space needs one whose metadata names `sdk` and `app_file`")
    metadata = front_matter(files["README.md"].read_text(encoding="utf-8"), str(files["README.md"]))
    app = str(metadata.get("app_file", "app.py"))
    if "sdk" not in metadata:
        raise UsageError(f"{files['README.md']}: its metadata names no `sdk`; add `sdk: gradio` between ---")
    if app not in files:
        raise UsageError(f"{folder}: no {app} in the folder, which a Space starts; give the folder that holds it")
    try:
        code = ast.parse(files[app].read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise UsageError(f"{files[app]}: no Python (line {error.lineno}: {error.msg}); mend it") from error
    absent = sorted(_packages_of(code) - {name.split("/")[0] for name in files})
    if absent:
        raise UsageError(
            f"{folder}: {app} imports {', '.join(absent)}, which the folder lacks; publish what "
            "`python -m spaces_demo.assemble NEW_FOLDER` puts together"
        )


def _packages_of(code: ast.Module) -> set[str]:
    """Which of this project's packages are imported."""
    found = {node.module or "" for node in ast.walk(code) if isinstance(node, ast.ImportFrom) and not node.level}
    found |= {alias.name for node in ast.walk(code) if isinstance(node, ast.Import) for alias in node.names}
    here = Path(__file__).resolve().parent.parent
    return {name for name in (module.split(".")[0] for module in found) if (here / name / "__init__.py").is_file()}
