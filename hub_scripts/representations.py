"""Features of recordings, whole, as a page prints them and as they are read off one, for the evaluation of towers."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from processing.layouts import LAYOUTS
from processing.records import Recording
from processing.renderer import render
from processing.signal_views import isoelectric, printed_mask, without_wander

from .loading import Reader
from .side_by_side import side_by_side

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


def page_features(
    reader: Reader,
    recordings: Iterable[Recording],
    *,
    layout: str,
    condition: str,
    seed: int,
    num_processes: int = 1,
) -> tuple[Features, int]:
    """Features of the image tower on rendered pages, one page a recording, and how many pages showed no ECG to it.

    Args:
        reader: loaded from a checkpoint that holds what it holds, where there are several processes.
    """
    draw = partial(_page_features, layout=layout, condition=condition)
    made = list(side_by_side(draw, enumerate(recordings, seed), reader, num_processes))
    pooled, embedding, unread = (list(parts) for parts in zip(*made, strict=True))
    return Features(np.concatenate(pooled), np.concatenate(embedding)), sum(unread)


@torch.inference_mode()
def _page_features(
    reader: Reader, seeded: tuple[int, Recording], *, layout: str, condition: str
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Of one recording's page: (1, width), (1, projection_dim), and whether it showed no ECG."""
    seed, recording = seeded
    page = render(recording, seed=seed, layout=layout, condition=condition)
    hidden, readings = reader.model.image_features(**reader.pixels([page.image]))
    unread = bool(readings) and readings[0].status == "no_ecg"
    return hidden.float().numpy(), _unit(reader.model.image_projection(hidden)), unread


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
