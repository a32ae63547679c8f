"""Features of recordings, whole, as a page prints them and as they are read off one, for the evaluation of towers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from processing.layouts import LAYOUTS
from processing.records import Recording
from processing.renderer import render
from processing.signal_views import isoelectric, printed_mask, without_wander

from .loading import Reader

_BATCH, _TEXTS = 32, 64


@dataclass(frozen=True)
class Features:
    """What a tower makes of some recordings.

    Attributes:
        pooled: (rows, width) before the projection, for a probe.
        embedding: (rows, projection_dim) unit vectors in the space of signals and texts.
    """

    pooled: np.ndarray
    embedding: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> "Features":
        return Features(self.pooled[rows], self.embedding[rows])


@torch.inference_mode()
def signal_features(model: Any, processor: Any, recordings: Iterable[Recording], layout: str | None = None) -> Features:
    """Features of the signal tower.

    Args:
        layout: what a page of this layout prints is all that the tower is shown; everything when None.
    """
    pooled, embedding = [], []
    for batch in _batches(recordings):
        prepared = processor.feature_extractor(batch)
        values = np.stack([isoelectric(without_wander(signal, 500.0)) for signal in prepared["signal_values"]])
        mask = np.asarray(prepared["signal_mask"], bool)
        if layout is not None:
            mask = mask & printed_mask(LAYOUTS[layout], values.shape[-1])
        hidden, _ = model.signal_model.encode(torch.from_numpy(values), torch.from_numpy(mask).float())
        pooled.append(hidden.float().numpy())
        embedding.append(_unit(model.signal_projection(hidden)))
    return Features(np.concatenate(pooled), np.concatenate(embedding))


@torch.inference_mode()
def page_features(
    reader: Reader, recordings: Iterable[Recording], *, layout: str, condition: str, seed: int
) -> tuple[Features, int]:
    """Features of the image tower on rendered pages, one page a recording, and how many pages showed no ECG to it."""
    pooled, embedding, unread = [], [], 0
    for number, recording in enumerate(recordings):
        page = render(recording, seed=seed + number, layout=layout, condition=condition)
        hidden, readings = reader.model.image_features(**reader.pixels([page.image]))
        pooled.append(hidden.float().numpy())
        embedding.append(_unit(reader.model.image_projection(hidden)))
        unread += bool(readings) and readings[0].status == "no_ecg"
    return Features(np.concatenate(pooled), np.concatenate(embedding)), unread


@torch.inference_mode()
def text_features(model: Any, tokenizer: Any, texts: list[str]) -> np.ndarray:
    """(texts, projection_dim) unit vectors."""
    parts = []
    for start in range(0, len(texts), _TEXTS):
        tokens = tokenizer(texts[start : start + _TEXTS], padding=True, truncation=True, return_tensors="pt")
        parts.append(model.get_text_features(tokens["input_ids"], tokens["attention_mask"]).float().numpy())
    return np.concatenate(parts)


def _unit(projected: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(projected.float(), dim=-1).numpy()


def _batches(recordings: Iterable[Recording]) -> Iterable[list[Recording]]:
    waiting: list[Recording] = []
    for recording in recordings:
        waiting.append(recording)
        if len(waiting) == _BATCH:
            yield waiting
            waiting = []
    if waiting:
        yield waiting
