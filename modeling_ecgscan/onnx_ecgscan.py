"""Reads pages with networks exported to ONNX: needs NumPy, SciPy, OpenCV and ONNX Runtime, no torch."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime

from .beats_ecgscan import expected_beats
from .onward_ecgscan import column_shares, expected_heights, gone_on
from .page_reading_ecgscan import PageReading, TileReadings
from .readings_ecgscan import ECGReading, signal_arrays
from .terms_ecgscan import COSTS_PER_BIN
from .views_ecgscan import sigmoid, softmax

GRAPHS: tuple[str, ...] = ("find", "locate", "name", "trace", "signal")


def heights_mm(logits: np.ndarray, movement: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expected height above the middle of a tile and its standard deviation, both (batch, columns) in mm.

    The hidden Markov chain of `StripReading.posterior`, in NumPy.

    Args:
        logits: (batch, bins, columns) over height, bin 0 at the top.
        movement: (batch, costs, pixels) logits of how the trace goes on to the next pixel.
    """
    batch, bins, _ = logits.shape
    fine = column_shares(logits)
    share = fine.mean(1)
    weight = softmax(movement, axis=1).transpose(2, 0, 1)  # (pixels, batch, costs)
    evidence = np.concatenate([share, share[::-1]], 1)
    mixtures = np.concatenate([np.concatenate([weight[:1], weight[:-1]]), weight[::-1]], 1)
    apart = np.abs(np.subtract.outer(np.arange(bins), np.arange(bins)))
    moves = np.concatenate([np.exp(-cost * apart) for cost in COSTS_PER_BIN], 1).astype(np.float32)
    expected = np.full_like(evidence, 1.0 / bins)
    so_far = evidence[0] / evidence[0].sum(1, keepdims=True)
    for pixel in range(1, len(evidence)):
        ways = (so_far @ moves).reshape(2 * batch, -1, bins)
        ahead = np.einsum("bc,bcn->bn", mixtures[pixel], ways)
        expected[pixel] = ahead / ahead.sum(1, keepdims=True)
        seen = expected[pixel] * evidence[pixel]
        so_far = seen / seen.sum(1, keepdims=True)
    return expected_heights(expected[:, :batch] * expected[::-1, batch:], fine)


class ONNXPageReader(PageReading):
    """The reading image tower and what the signal tower infers from its readings.

    Example:
        >>> reading = ONNXPageReader("exported").read(page)
        >>> reading.signal.shape  # (12, samples) millivolts at 500 Hz, NaN where nothing is printed

    Args:
        folder: as `ecgscan export` writes it.
        threads: of ONNX Runtime, all cores by default.

    Raises:
        FileNotFoundError: a file of the export is missing.
    """

    def __init__(self, folder: str | Path, threads: int = 0) -> None:
        folder = Path(folder)
        for name in ("config.json", *(f"{graph}.onnx" for graph in GRAPHS)):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"{folder / name}: not there; `ecgscan export --out {folder}` writes it")
        self.settings: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.config = SimpleNamespace(**self.settings["image_config"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._sessions = {
            graph: onnxruntime.InferenceSession(
                str(folder / f"{graph}.onnx"), options, providers=["CPUExecutionProvider"]
            )
            for graph in GRAPHS
        }

    def read(self, image: np.ndarray, columns: str | None = None) -> ECGReading:
        """Read one (height, width, 3) uint8 RGB page; completed, embedding and findings where an ECG was found."""
        reading = self.read_page(image, columns)
        return reading if reading.status == "no_ecg" else self._inferred(reading)

    def find_maps(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        maps, page = self._run("find", picture=picture[None])
        return maps[0], page[0]

    def locate_maps(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        maps, page = self._run("locate", picture=picture[None])
        return maps[0], page[0]

    def name_shares(self, flat: np.ndarray) -> np.ndarray:
        return self._run("name", flat=flat[None])[0][0]

    def read_tiles(self, tiles: np.ndarray, onward: bool) -> TileReadings:
        logits, presence, movement, speed, gain = self._run("trace", tiles=tiles)
        heights = heights_mm(logits, movement)
        if not onward:
            return TileReadings(*heights, sigmoid(presence), speed, gain)
        return TileReadings(*gone_on(*heights, logits, movement), sigmoid(presence), speed, gain, logits, movement)

    def _run(self, graph: str, **inputs: np.ndarray) -> list[np.ndarray]:
        return self._sessions[graph].run(None, inputs)

    def _inferred(self, reading: ECGReading) -> ECGReading:
        samples = self.settings["signal_config"]["samples"]
        values, weight = signal_arrays([reading], samples)
        expected = expected_beats(values, weight)
        completed, embedding, logits = self._run("signal", values=values, weight=weight, expected=expected)
        names = self.settings.get("findings") or []
        calibration = self.settings.get("findings_calibration") or {}
        lines = np.array([calibration.get(name, [1.0, 0.0]) for name in names]).reshape(-1, 2)
        shares = sigmoid(logits[0] * lines[:, 0] + lines[:, 1])
        told = calibration or names
        findings = {name: float(share) for name, share in zip(names, shares, strict=True) if name in told}
        return replace(reading, completed=completed[0], embedding=embedding[0], findings=findings)


__all__ = ["ONNXPageReader", "heights_mm"]
