"""`ecgscan benchmark completion`: what is inferred of what a page does not print, beside trivial answers."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from modeling_ecgscan.beats_ecgscan import FS, expected_beats, find_beats, usable
from processing.layouts import LAYOUTS
from processing.leads import LEADS, law_residuals
from processing.records import Recording
from processing.signal_views import isoelectric, printed_mask, without_wander

from .statistics import bootstrap

ANSWERS = ("inferred", "mean beat", "nothing")
_REPEATS = 300
_BEFORE = 0.35  # of a beat's interval that lies before its R peak


@dataclass(frozen=True)
class Completed:
    """One recording's errors.

    Attributes:
        rms_uv: (answers, 12) root mean square error over what a page hides of each lead, NaN where it hides nothing.
        law_uv, mean_beat_law_uv, true_law_uv: mean absolute lead-law residual of the inferred ten seconds, of the mean
            beat repeated, and of the recording.
    """

    record_id: str
    patient_id: str
    rms_uv: np.ndarray
    law_uv: float
    mean_beat_law_uv: float
    true_law_uv: float


@dataclass(frozen=True)
class Answered:
    """A recording and what is answered for the part that its page hides; all (12, samples), at 500 Hz.

    Attributes:
        recorded: millivolts as recorded; `truth` around the isoelectric line, without wander.
        shown: bool, what the page prints.
        answers: millivolts by their names in `ANSWERS`.
    """

    recorded: np.ndarray
    truth: np.ndarray
    shown: np.ndarray
    answers: dict[str, np.ndarray]


def repeated_beat(printed: np.ndarray) -> np.ndarray:
    """(12, samples) the mean beat of each lead repeated at every beat that some lead shows, 0 where there is none.

    Args:
        printed: (12, samples) millivolts at 500 Hz around the isoelectric line, NaN where nothing is printed.
    """
    repeated = np.zeros(printed.shape)
    beats = find_beats(usable(printed, None))
    if beats is None:
        return repeated
    samples, period = printed.shape[1], round(beats.period_s * FS)
    offsets = np.arange(period) - round(_BEFORE * period)
    places = beats.moments[:, None] + offsets  # (beats, period)
    inside = (places >= 0) & (places < samples)
    seen = np.where(inside, printed[:, np.clip(places, 0, samples - 1)], np.nan)  # (12, beats, period)
    known = np.isfinite(seen)
    mean = np.where(known, seen, 0.0).sum(1) / np.maximum(known.sum(1), 1)
    # later beats begin where the ones before them have not ended: the nearer one counts
    for beat in range(len(places)):
        repeated[:, places[beat, inside[beat]]] = mean[:, inside[beat]]
    return repeated


def errors(truth: np.ndarray, answers: dict[str, np.ndarray], hidden: np.ndarray) -> np.ndarray:
    """(answers, 12) root mean square errors in uV over the hidden samples of each lead, NaN where there are none.

    Args:
        truth: (12, samples) millivolts; answers of the same shape by their names in `ANSWERS`.
        hidden: (12, samples) bool.
    """
    count = hidden.sum(1)
    squares = np.stack([np.where(hidden, (answers[name] - truth) ** 2, 0.0).sum(1) for name in ANSWERS])
    return np.where(count > 0, 1000.0 * np.sqrt(squares / np.maximum(count, 1)), np.nan)


def answer(model: Any, processor: Any, recording: Recording, layout: str) -> Answered:
    """What is inferred of a recording of which all leads are known throughout, beside the trivial answers."""
    import torch

    recorded = processor.feature_extractor(recording)["signal_values"][0]
    truth = isoelectric(without_wander(recorded, float(FS)))
    shown = printed_mask(LAYOUTS[layout], truth.shape[1])
    with torch.inference_mode():
        values, weight = torch.from_numpy(truth)[None], torch.from_numpy(shown).float()[None]
        expected = torch.from_numpy(expected_beats(truth[None], shown[None].astype(np.float32)))
        inferred = model.signal_model.complete(values, weight, expected)[0].numpy()
    answers = (inferred, repeated_beat(np.where(shown, truth, np.nan)), np.zeros_like(truth))
    return Answered(recorded, truth, shown, dict(zip(ANSWERS, answers, strict=True)))


def complete(model: Any, processor: Any, recordings: Iterable[Recording], layout: str) -> Iterator[Completed]:
    """Errors of every recording whose twelve leads are known throughout, the others are passed over."""
    for recording in recordings:
        if not np.isfinite(recording.signal).all():
            continue
        found = answer(model, processor, recording, layout)
        signals = (found.answers["inferred"], found.answers["mean beat"], found.recorded)
        yield Completed(
            recording.record_id,
            recording.patient_id,
            errors(found.truth, found.answers, ~found.shown),
            *(float(laws_missed_uv(signal).mean()) for signal in signals),
        )


def laws_missed_uv(signal: np.ndarray) -> np.ndarray:
    """(samples,) by how much (12, samples) millivolts miss the five lead laws in the mean, in uV."""
    return 1000.0 * np.abs(law_residuals(signal)).mean(0)


def _median_of(values: np.ndarray) -> Callable[[np.ndarray], float]:
    return lambda rows: float(np.median(values[rows]))


def figures(found: list[Completed]) -> dict[str, dict[str, float]]:
    """By lead and over all: the median over recordings of the error of every answer, with the inferred one's interval.

    `better` is the share of recordings on which the inferred signal is nearer than the mean beat.
    """
    rms = np.stack([one.rms_uv for one in found])  # (recordings, answers, 12)
    patients = [one.patient_id or one.record_id for one in found]
    summary = {}
    for name, errors_uv in (
        *((lead, rms[:, :, index]) for index, lead in enumerate(LEADS) if np.isfinite(rms[:, :, index]).any()),
        ("all leads", np.nanmean(rms, axis=2)),
    ):
        interval = bootstrap(_median_of(errors_uv[:, 0]), patients, repeats=_REPEATS)
        medians = np.median(errors_uv, axis=0)
        summary[name] = {
            "inferred_uv": float(medians[0]),
            "low_uv": interval.low,
            "high_uv": interval.high,
            "mean_beat_uv": float(medians[1]),
            "nothing_uv": float(medians[2]),
            "better": float((errors_uv[:, 0] < errors_uv[:, 1]).mean()),
        }
    return summary
