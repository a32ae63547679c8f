"""`ecgscan benchmark measurements`: what a page, printed or printed and read, leaves of a recording's measurements."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from modeling_ecgscan.beats_ecgscan import FS
from processing.layouts import LAYOUTS
from processing.records import Recording, read_parquet, resample
from processing.renderer import render
from processing.signal_views import printed_mask
from processing.simulator import simulate

from .loading import Reader
from .measurements import INTERVALS, Measurements, measure
from .results import measured, refuse_below

NAMES = ("heart_rate_bpm", *INTERVALS, "axis_deg", "st_mv")


@dataclass(frozen=True)
class Pair:
    """A recording measured whole and as its page shows it or was read."""

    record_id: str
    whole: Measurements
    page: Measurements

    def differences(self, name: str) -> list[float | None]:
        """Page minus whole, per lead for ST; None where only the whole recording gave a value."""
        if name == "st_mv":
            values = [(self.whole.st_mv[lead], self.page.st_mv[lead]) for lead in self.whole.st_mv]
        else:
            values = [(getattr(self.whole, name), getattr(self.page, name))]
        return [difference(name, a, b) for a, b in values if a is not None]

    def row(self) -> dict[str, Any]:
        """One line of the table: every value of both."""
        row: dict[str, Any] = {"record_id": self.record_id}
        for name in NAMES[:-1]:
            row[name], row[f"{name}_page"] = getattr(self.whole, name), getattr(self.page, name)
        return row


def difference(name: str, whole: float, page: float | None) -> float | None:
    """The second value minus the first, the shorter way round for an axis; None where there is no second."""
    if page is None:
        return None
    apart = page - whole
    return (apart + 180.0) % 360.0 - 180.0 if name == "axis_deg" else apart


def recordings(data: Path | None, count: int, seed: int) -> Iterable[Recording]:
    """The first `count` recordings of a Parquet file, or simulated ones."""
    if data is not None:
        return islice(read_parquet(data), count)
    return (simulate(seed + number) for number in range(count))


def printed_pairs(chosen: Iterable[Recording], layout: str) -> Iterator[Pair]:
    """Every recording measured at 500 Hz, whole and through the layout's mask: as if a page were read without error."""
    for recording in chosen:
        signal = resample(recording, float(FS)).signal
        shown = printed_mask(LAYOUTS[layout], signal.shape[1])
        yield Pair(recording.record_id, measure(signal), measure(np.where(shown, signal, np.nan)))


def read_pairs(chosen: Iterable[Recording], reader: Reader, layout: str, condition: str, seed: int) -> Iterator[Pair]:
    """Every recording measured at 500 Hz, whole and as it is read off its rendered page."""
    for number, recording in enumerate(chosen):
        page = render(recording, seed=seed + number, layout=layout, condition=condition)
        reading = refuse_below(reader.read([page.image])[0][0], reader.min_quality)
        yield Pair(recording.record_id, measure(resample(recording, float(FS)).signal), measured(reading))


def figures(compared: list[Pair]) -> dict[str, dict[str, float]]:
    """By measurement: how many whole recordings gave it, the share of them that the page gave too, and differences.

    `median_abs` and `p90_abs` are in the measurement's own unit, over what both gave.
    """
    found: dict[str, dict[str, float]] = {}
    for name in NAMES:
        apart = [value for pair in compared for value in pair.differences(name)]
        both = np.abs([value for value in apart if value is not None])
        found[name] = {
            "whole": float(len(apart)),
            "share": len(both) / len(apart) if apart else float("nan"),
            "median_abs": float(np.median(both)) if len(both) else float("nan"),
            "p90_abs": float(np.percentile(both, 90)) if len(both) else float("nan"),
        }
    return found
