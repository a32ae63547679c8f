"""The checkpoint behind the command line: found, loaded whole or refused in one sentence."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .arguments import UsageError

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_GIT_LFS_POINTER = b"version https://git-lfs"


class CheckpointError(UsageError):
    """A checkpoint that can't be used; the message is one sentence with the way out."""


@dataclass
class Reader:
    """A loaded model with its processor.

    Attributes:
        name: name of the checkpoint (the folder's, or the Hub's).
        source: the folder, or the name on the Hub, that it was loaded from.
        revision: the first 12 hexadecimal digits of the SHA-256 of its weights.
    """

    model: Any
    processor: Any
    name: str
    revision: str
    source: str

    @property
    def min_quality(self) -> float:
        return float(self.model.config.min_quality)

    def pixels(self, images: list[np.ndarray]) -> dict[str, Any]:
        """`pixel_values` (pages, 3, height, width) uint8 and `page_size` (pages, 2) of RGB pages."""
        batch = self.processor.image_processor(images=images, return_tensors="pt")
        return {name: batch[name].to(self.model.device) for name in ("pixel_values", "page_size")}

    def read(self, images: list[np.ndarray], columns: str | None = None) -> list[tuple[Any, tuple[int, int]]]:
        """Reads pages.

        Args:
            images: (height, width, 3) uint8 RGB, upright.
            columns: "sequential" or "simultaneous"; None where rhythm strips are to tell, sequential if none does.

        Returns:
            Per page the `ECGReading` and the (height, width) of the pixels that its geometry refers to.
        """
        import torch

        batch = self.pixels(images)
        with torch.inference_mode():
            readings = self.model.read(**batch, columns=columns)
        return [(reading, tuple(size)) for reading, size in zip(readings, batch["page_size"].tolist(), strict=True)]


def default_checkpoint() -> str:
    """`ecgscan` of the working folder if it is there, else the one beside the installed source."""
    here = Path("ecgscan")
    if (here / "config.json").is_file():
        return str(here)
    return str(Path(__file__).resolve().parent.parent / "ecgscan")


def load_reader(checkpoint: str | None = None) -> Reader:
    """Loads model and processor for inference.

    Args:
        checkpoint: a folder, or a name on the Hub (`owner/name`); the shipped one by default.

    Raises:
        CheckpointError: it is missing, incomplete, corrupt, or no ECG-Scan model.
    """
    name = checkpoint or default_checkpoint()
    folder = Path(name)
    if folder.is_dir():
        check_files(folder)
    elif not _HUB_NAME.fullmatch(name) or name.startswith((".", "/")) or folder.parent.is_dir():
        raise CheckpointError(
            f"{name}: no checkpoint folder there; give one with --model, or train one with `python train.py`"
        )
    model = _load_model(name)
    try:
        from transformers import AutoProcessor

        processor = AutoProcessor.from_pretrained(name)
    except Exception as error:
        raise CheckpointError(f"{name}: the processor can't be loaded ({first_line(error)}); copy it again") from error
    if not hasattr(processor, "image_processor"):
        raise CheckpointError(f"{name}: holds {type(processor).__name__}, expected an ECGScanProcessor; copy it again")
    revision = weights_revision(folder) if folder.is_dir() else str(model.config._commit_hash)[:12]
    return Reader(model.eval(), processor, folder.name, revision, name)


def check_files(folder: Path) -> None:
    """Refuses a checkpoint folder without configuration or weights."""
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder}: no config.json in the folder; give a folder that save_pretrained wrote")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise CheckpointError(f"{folder}: no *.safetensors in the folder; the download is incomplete, fetch it again")
    for path in weights:
        with path.open("rb") as file:
            if file.read(len(_GIT_LFS_POINTER)) == _GIT_LFS_POINTER:
                raise CheckpointError(f"{path}: only a Git LFS pointer; fetch the weights with `git lfs pull`")


def _load_model(name: str) -> Any:
    import torch
    from transformers import AutoModel
    from transformers.utils import logging

    # Standard error is for our own lines: what is wrong with a checkpoint is said below.
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        model, report = AutoModel.from_pretrained(name, dtype=torch.float32, output_loading_info=True)
    except Exception as error:
        raise CheckpointError(
            f"{name}: the checkpoint is corrupt or incomplete ({first_line(error)}); fetch it again"
        ) from error
    wrong = [f"{kind.replace('_', ' ')} {sorted(map(str, report[kind]))[:2]}" for kind in report if report[kind]]
    if wrong:
        raise CheckpointError(
            f"{name}: the weights do not fit the model ({'; '.join(wrong)}); fetch the checkpoint again"
        )
    if not hasattr(model, "read"):
        raise CheckpointError(
            f"{name}: holds {type(model).__name__}, expected an ECGScanModel; give an ECG-Scan checkpoint"
        )
    return model.to("cuda") if torch.cuda.is_available() else model


def first_line(error: Exception) -> str:
    """What an error says first, for a sentence of our own."""
    return str(error).strip().split("\n")[0][:200] or type(error).__name__


def weights_revision(folder: Path) -> str:
    """The first 12 hexadecimal digits of the SHA-256 of a folder's weights."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
