"""Measurements as a doctor reads them: rate, intervals, axis, ST levels, and why one is missing.

Intervals are global, from the earliest beginning to the latest end in any lead of the median beat; T ends by the
tangent of its steepest descent. Everything is None where it can't be measured, and `not_measured` says why.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from modeling_ecgscan.beats_ecgscan import FS, Beats, find_beats, usable
from processing.leads import LEADS, LIMB_LEADS, limb_leads_from

from .delineation import PWave, p_wave, qrs_bounds, t_end
from .median_beat import MedianBeat, median_beat

INTERVALS = ("pr_ms", "qrs_ms", "qt_ms", "qtc_bazett_ms", "qtc_fridericia_ms")
_ANCHOR = -45  # samples from a beat's moment to the PR segment, until the QRS onset is known
_BEFORE_QRS = 6
_ST_AFTER_J = 30  # 60 ms
_QRS_MS, _QT_MS, _PR_MS = (50, 260), (180, 700), (70, 400)
_SAME_P = 0.5  # likeness from beat to beat, below which no P wave precedes them all
_IRREGULAR = 0.1  # spread of the intervals, as a share of their mean
# ours: likeness of the QRS and of the whole beat in I and V6, chosen on 225 validation recordings of PTB-XL: none has
# both below as it is, and 83 in 100 with lead I upside down, as exchanged arms turn it
_AGAINST = -0.7
_NO_DIRECTION = 0.06  # net QRS area, as a share of the area of its absolute values, below which there is no axis


@dataclass
class Measurements:
    """What was measured on one recording; None where it could not be.

    Attributes:
        beats: beats found; `heart_rate_bpm` is 60 / mean interval.
        pr_ms, qrs_ms, qt_ms: global intervals in milliseconds.
        qtc_bazett_ms: QT / sqrt(RR). qtc_fridericia_ms: QT / cbrt(RR); RR in seconds, the mean interval.
        axis_deg: frontal QRS axis from net areas, -180 to 180.
        st_mv: per lead the level 60 ms after the J point against the PR segment, millivolts.
        not_measured: for everything that is None the reason, by name ("st_mv.V1" for a lead).
        suspicions: a sentence for each way in which the electrodes may have been exchanged; nothing is corrected.
    """

    beats: int = 0
    heart_rate_bpm: float | None = None
    pr_ms: float | None = None
    qrs_ms: float | None = None
    qt_ms: float | None = None
    qtc_bazett_ms: float | None = None
    qtc_fridericia_ms: float | None = None
    axis_deg: float | None = None
    st_mv: dict[str, float | None] = field(default_factory=lambda: dict.fromkeys(LEADS))
    not_measured: dict[str, str] = field(default_factory=dict)
    suspicions: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Rounded as far as they can be trusted, in the order in which they are documented."""

        def rounded(value: float | None, digits: int) -> float | None:
            return None if value is None else round(value, digits) + 0.0

        return {
            "beats": self.beats,
            "heart_rate_bpm": rounded(self.heart_rate_bpm, 1),
            **{name: rounded(getattr(self, name), 0) for name in INTERVALS},
            "axis_deg": rounded(self.axis_deg, 0),
            "st_mv": {lead: rounded(value, 3) for lead, value in self.st_mv.items()},
            "not_measured": dict(self.not_measured),
            "suspicions": list(self.suspicions),
        }


def measure(signal: np.ndarray, confidence: np.ndarray | None = None) -> Measurements:
    """Measure a recording.

    Args:
        signal: (12, samples) millivolts at 500 Hz in standard lead order, NaN where nothing is known.
        confidence: (12, samples) 0 to 1; beats and leads that are not sure are left out.

    Raises:
        ValueError: the shapes are not these.
    """
    signal = np.asarray(signal)
    if signal.ndim != 2 or len(signal) != len(LEADS):
        raise ValueError(f"got a signal of shape {signal.shape}, expected (12, samples): leads first, all twelve rows")
    if confidence is not None and np.shape(confidence) != signal.shape:
        raise ValueError(f"got confidence of shape {np.shape(confidence)}, expected that of the signal, {signal.shape}")
    values = usable(signal, confidence)
    if not np.isfinite(values).any():
        return nothing_measured("no lead shows a trace of which enough is sure")
    beats = find_beats(values)
    if beats is None:
        return nothing_measured("fewer than three sure beats")
    found = Measurements(beats=len(beats.moments), heart_rate_bpm=60.0 / beats.period_s)
    beat = median_beat(values, confidence, beats, _ANCHOR)
    qrs = qrs_bounds(beat)
    if qrs is not None:
        beat = median_beat(values, confidence, beats, qrs[0] - beat.centre - _BEFORE_QRS)
        qrs = qrs_bounds(beat)
    refusal = _qrs_refusal(qrs)
    if qrs is None or refusal:
        _refuse(found, refusal, *INTERVALS, "axis_deg", *(f"st_mv.{lead}" for lead in LEADS))
        return found
    found.qrs_ms = _milliseconds(qrs[1] - qrs[0])
    _measure_qt(found, beat, qrs, beats)
    _measure_pr(found, beat, qrs, beats)
    _measure_axis(found, beat, qrs)
    _measure_st(found, beat, qrs, values)
    if _runs_against(beat, qrs):
        found.suspicions.append("I runs against V6: the electrodes of the right and the left arm may be exchanged")
    return found


def nothing_measured(reason: str) -> Measurements:
    """Nothing, with one reason for all."""
    found = Measurements()
    _refuse(found, reason, "heart_rate_bpm", *INTERVALS, "axis_deg", *(f"st_mv.{lead}" for lead in LEADS))
    return found


def _refuse(found: Measurements, reason: str, *names: str) -> None:
    found.not_measured.update(dict.fromkeys(names, reason))


def _milliseconds(samples: int) -> float:
    return 1000.0 * samples / FS


def _qrs_refusal(qrs: tuple[int, int] | None) -> str:
    if qrs is None:
        return "the QRS does not stand out from what surrounds it"
    width = _milliseconds(qrs[1] - qrs[0])
    if width < _QRS_MS[0]:
        return "only a spike shows where the QRS should be, as of a pacemaker"
    return "the QRS has no clear end" if width > _QRS_MS[1] else ""


def _measure_qt(found: Measurements, beat: MedianBeat, qrs: tuple[int, int], beats: Beats) -> None:
    end = t_end(beat, qrs, beats.period_s)
    qt = None if end is None else _milliseconds(end - qrs[0])
    if qt is None or not _QT_MS[0] <= qt <= _QT_MS[1]:
        _refuse(found, "no clear end of the T wave", "qt_ms", "qtc_bazett_ms", "qtc_fridericia_ms")
        return
    found.qt_ms = qt
    found.qtc_bazett_ms = qt / beats.period_s**0.5
    found.qtc_fridericia_ms = qt / beats.period_s ** (1 / 3)


def _measure_pr(found: Measurements, beat: MedianBeat, qrs: tuple[int, int], beats: Beats) -> None:
    t_before = 0
    if found.qt_ms is not None:
        t_before = qrs[0] + int(found.qt_ms * FS / 1000 - beats.intervals.min() * FS)
    wave = p_wave(beat, qrs[0], t_before)
    refusal = _pr_refusal(wave, beats)
    pr = 0.0 if wave is None else _milliseconds(qrs[0] - wave.onset)
    if not refusal and not _PR_MS[0] <= pr <= _PR_MS[1]:
        refusal = "no clear beginning of the P wave"
    if refusal:
        _refuse(found, refusal, "pr_ms")
    else:
        found.pr_ms = pr


def _pr_refusal(wave: PWave | None, beats: Beats) -> str:
    if wave is not None and wave.alike >= _SAME_P:
        return ""
    irregular = float(beats.intervals.std()) / beats.period_s > _IRREGULAR
    rhythm = "; the rhythm is irregular, as in atrial fibrillation" if irregular else ""
    return f"no P wave that precedes every beat{rhythm}"


def _measure_axis(found: Measurements, beat: MedianBeat, qrs: tuple[int, int]) -> None:
    """From I and aVF, or where one is missing from the other limb leads: any two of the six give the others by law."""
    limb = beat.leads[: len(LIMB_LEADS), qrs[0] : qrs[1] + 1]
    shown = np.isfinite(limb).all(1)
    use = [0, 5] if shown[0] and shown[5] else list(np.flatnonzero(shown))
    if len(use) < 2:
        _refuse(found, "fewer than two limb leads show a sure beat", "axis_deg")
        return
    laws = limb_leads_from(np.array([1.0, 0.0]), np.array([0.0, 1.0]))  # (6, 2) from I and II
    net = np.linalg.lstsq(laws[use], limb[use].sum(1), rcond=None)[0]
    across, down = net[0], (net[1] - net[0] / 2) * 2 / np.sqrt(3)
    if np.hypot(across, down) < _NO_DIRECTION * np.abs(limb[use]).sum(1).max():
        _refuse(found, "the QRS has no direction in the frontal plane: as much upward as downward", "axis_deg")
        return
    found.axis_deg = float(np.degrees(np.arctan2(down, across)))


def _runs_against(beat: MedianBeat, qrs: tuple[int, int]) -> bool:
    """Whether the beat of lead I is upside down against that of V6, which looks at the heart from the same side."""
    lead_i, v6 = beat.leads[LEADS.index("I")], beat.leads[LEADS.index("V6")]
    shown = np.isfinite(lead_i) & np.isfinite(v6)
    complex_ = slice(qrs[0], qrs[1] + 1)
    if not shown[complex_].all():
        return False
    size = np.linalg.norm(lead_i[complex_]) * np.linalg.norm(v6[complex_])
    alike = float(lead_i[complex_] @ v6[complex_]) / max(float(size), 1e-9)
    return alike < _AGAINST and float(np.corrcoef(lead_i[shown], v6[shown])[0, 1]) < _AGAINST


def _measure_st(found: Measurements, beat: MedianBeat, qrs: tuple[int, int], values: np.ndarray) -> None:
    at = qrs[1] + _ST_AFTER_J
    for lead, levels in zip(LEADS, beat.leads[:, at - 2 : at + 3], strict=True):
        if len(levels) == 5 and np.isfinite(levels).all():
            found.st_mv[lead] = float(levels.mean())
        else:
            absent = not np.isfinite(values[LEADS.index(lead)]).any()
            _refuse(found, "the lead is missing or flat" if absent else "no sure beat in the lead", f"st_mv.{lead}")
