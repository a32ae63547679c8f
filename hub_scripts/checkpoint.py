"""Writing a checkpoint that every Auto class loads, with and without the package."""

import shutil
from pathlib import Path
from typing import Any

_AUTO_MAP = {
    "AutoConfig": "configuration_ecgscan.ECGScanConfig",
    "AutoModel": "modeling_ecgscan.ECGScanModel",
    "AutoModelForImageClassification": "modeling_ecgscan.ECGScanForImageClassification",
    "AutoModelForZeroShotImageClassification": "modeling_ecgscan.ECGScanForZeroShotImageClassification",
    "AutoProcessor": "processing_ecgscan.ECGScanProcessor",
    "AutoImageProcessor": "image_processing_ecgscan.ECGScanImageProcessor",
    "AutoFeatureExtractor": "feature_extraction_ecgscan.ECGScanFeatureExtractor",
}


def save_checkpoint(
    model: Any, processor: Any, folder: str | Path, half: bool = False, state: dict[str, Any] | None = None
) -> None:
    """Saves weights, configuration, processor and the code that they need.

    Args:
        model: an `ECGScanModel` or one of its task heads.
        processor: an `ECGScanProcessor`.
        half: stores the weights in half precision; the model itself is left as it is.
        state: the weights, where they are not those that the model itself holds whole.
    """
    import torch

    model.config.auto_map = dict(_AUTO_MAP)
    if half:
        state = {
            name: tensor.to(torch.float16) if tensor.is_floating_point() else tensor
            for name, tensor in (state or model.state_dict()).items()
        }
    model.save_pretrained(folder, state_dict=state)
    processor.save_pretrained(folder)


def replace_folder(new: Path, current: Path) -> None:
    """Puts a complete new folder in the place of the current one, which stands as `<current>.old` in between."""
    old = current.with_name(f"{current.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if current.exists():
        current.rename(old)
    new.rename(current)
    shutil.rmtree(old, ignore_errors=True)
