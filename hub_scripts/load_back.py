"""What a checkpoint answers to a fixed input, in this process or in one that knows nothing of this package.

Run as a script it loads a folder as a stranger does: with the code that the folder carries, without these packages and
without the network.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

_PACKAGES = ("ecgscan_autoload", "hub_scripts", "modeling_ecgscan", "processing")
_NETWORK = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname"}


def load(folder: str | Path, **options: Any) -> tuple[Any, Any]:
    """The model that `config.json` names, in single precision, and its processor."""
    import torch
    import transformers

    named = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8")).get("architectures") or [""]
    auto = {
        "ECGScanForImageClassification": transformers.AutoModelForImageClassification,
        "ECGScanForZeroShotImageClassification": transformers.AutoModelForZeroShotImageClassification,
    }.get(named[0], transformers.AutoModel)
    model = auto.from_pretrained(folder, dtype=torch.float32, **options).eval()
    return model, transformers.AutoProcessor.from_pretrained(folder, **options)


def answers(model: Any, processor: Any, page: np.ndarray, signal: np.ndarray, text: str) -> dict[str, np.ndarray]:
    """Embeddings of every tower, the signal read from the page, and a classifier's logits, by name.

    Args:
        page: (height, width, 3) uint8 RGB.
        signal: (12, samples) millivolts at 500 Hz.
    """
    import torch

    given = processor(images=page, signals=signal, sampling_rate=500.0, text=text, return_tensors="pt")
    with torch.inference_mode():
        output = getattr(model, "ecgscan", model)(**given)
        found = {name: output[name].numpy() for name in ("image_embeds", "signal_embeds", "text_embeds")}
        if output.reading is not None:
            found["reading"] = output.reading[0].signal
        if hasattr(model, "classifier"):
            found["logits"] = model(given["pixel_values"], given["page_size"]).logits.numpy()
    return found


def main(folder: str, inputs: str, result: str) -> None:
    """Loads `folder` as a stranger and writes what it answers to `inputs` (page, signal, text) into `result`."""

    def refuse(event: str, _: tuple[Any, ...]) -> None:
        if event in _NETWORK:
            raise RuntimeError(f"loading asked for the network ({event})")

    sys.addaudithook(refuse)
    for name in _PACKAGES:
        sys.modules[name] = None  # type: ignore[assignment]  # importing it fails, as where it is not installed
    given = np.load(inputs)
    model, processor = load(folder, trust_remote_code=True)
    np.savez(result, **answers(model, processor, given["page"], given["signal"], str(given["text"])))  # type: ignore[arg-type]


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {str(error).strip().splitlines()[0]}")
