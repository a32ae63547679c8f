"""What a projection is aligned to, in memory: the frozen towers' vectors of recordings, and what is known of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from modeling_ecgscan.losses_ecgscan import equal_rows, implied_pairs
from processing.findings import TASKS, task_targets
from processing.records import Recording

from .loading import Reader
from .representations import signal_features, text_features
from .training_signal_text import training_text


@dataclass(frozen=True)
class AlignmentTargets:
    """Recordings with some texts each, one for every view.

    Attributes:
        signals: (recordings, dim) unit vectors of the signal tower; `texts` (recordings, views, dim) of the text tower.
        text_ids: (recordings, views) equal where texts are.
        facts, text_facts: (recordings, F) and (recordings, views, F) bool, as `implied_pairs` takes them.
        classes: (recordings, classes) bool of all tasks.
    """

    signals: Tensor
    texts: Tensor
    text_ids: Tensor
    facts: Tensor
    text_facts: Tensor
    classes: Tensor

    def false_negatives(self, rows: np.ndarray, views: np.ndarray) -> Tensor:
        """(B, B) bool, pairs of a batch that the texts do not tell apart."""
        same = equal_rows(self.text_ids[rows, views])
        return same | implied_pairs(self.facts[rows], self.text_facts[rows, views])


def alignment_targets(reader: Reader, recordings: list[Recording], views: int, seed: int) -> AlignmentTargets:
    """The frozen towers' vectors of recordings, whole, and of texts drawn as training draws them."""
    rng = np.random.default_rng(seed)
    said = [[training_text(recording, rng) for _ in range(views)] for recording in recordings]
    labels = sorted({label for recording in recordings for label in recording.labels})
    words = [text for row in said for text, _ in row]
    numbers = {text: number for number, text in enumerate(dict.fromkeys(words))}
    vectors = text_features(reader.model, reader.processor.tokenizer, list(numbers))
    ids = np.array([numbers[text] for text in words]).reshape(len(recordings), -1)

    def flags(names: Sequence[str]) -> np.ndarray:
        return np.isin(labels, list(names))

    return AlignmentTargets(
        torch.from_numpy(signal_features(reader.model, reader.processor, recordings).embedding),
        torch.from_numpy(vectors[ids]),
        torch.from_numpy(ids),
        torch.from_numpy(np.array([flags(recording.labels) for recording in recordings])),
        torch.from_numpy(np.array([[flags(names) for _, names in row] for row in said])),
        torch.from_numpy(
            np.array(
                [
                    np.concatenate([task_targets(recording.labels, task, skip_unknown=True) for task in TASKS])
                    for recording in recordings
                ]
            )
        ),
    )
