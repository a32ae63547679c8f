"""A small gallery of simulated recordings, and which of them are most like a reading."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hub_scripts.loading import Reader
from processing.records import Recording
from processing.simulator import MORPHOLOGIES, RHYTHMS, simulate

_BATCH = 16


@dataclass(frozen=True)
class Neighbour:
    """A recording of the gallery and the cosine of its embedding with that of the reading."""

    recording: Recording
    cosine: float


class Gallery:
    """Every rhythm of the simulator with usual beats, and every morphology of it in sinus rhythm."""

    def __init__(self, reader: Reader):
        self.reader = reader
        kinds = [(rhythm, "normal") for rhythm in RHYTHMS] + [("sinus_rhythm", look) for look in MORPHOLOGIES[1:]]
        self.recordings = [
            simulate(seed, rhythm=rhythm, morphology=look) for seed, (rhythm, look) in enumerate(kinds, start=1)
        ]
        parts = [self.recordings[start : start + _BATCH] for start in range(0, len(kinds), _BATCH)]
        self.embeddings = np.concatenate([self._embed(part) for part in parts])  # (recordings, projection_dim)

    def nearest(self, reading: Any, count: int) -> list[Neighbour]:
        """The recordings most like a reading, the nearest first."""
        import torch

        values, weight = self.reader.model.signals_of([reading])
        with torch.inference_mode():
            query = self.reader.model.get_signal_features(values, weight > 0)[0].float().cpu().numpy()
        cosines = self.embeddings @ query
        return [
            Neighbour(self.recordings[index], float(cosines[index])) for index in np.argsort(-cosines)[:count].tolist()
        ]

    def _embed(self, recordings: list[Recording]) -> np.ndarray:
        import torch

        batch = self.reader.processor.feature_extractor(recordings, return_tensors="pt").to(self.reader.model.device)
        with torch.inference_mode():
            return self.reader.model.get_signal_features(**batch).float().cpu().numpy()
