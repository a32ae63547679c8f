"""Recordings without end: simulated twelve-lead ECGs of many rhythms and morphologies, with report and labels."""

import numpy as np

from . import simulator_beats as beats
from .leads import limb_leads_from
from .records import Recording
from .simulator_beats import Heart, Waves
from .simulator_rhythms import RHYTHMS as _RHYTHMS
from .simulator_rhythms import Timeline

RHYTHMS: tuple[str, ...] = tuple(_RHYTHMS)
MORPHOLOGIES: tuple[str, ...] = tuple(beats.MORPHOLOGIES)

_P_TABLES = {"sinus": beats.SINUS_P, "ectopic": beats.ECTOPIC_P, "retrograde": beats.RETROGRADE_P}
# Pre-excitation presupposes that the atria drive the ventricles and that nothing blocks them on the way.
_ATRIOVENTRICULAR = ("av_block", "junctional", "supraventricular")


def simulate(
    seed: int,
    *,
    rhythm: str | None = None,
    morphology: str | None = None,
    duration_s: float = 10.0,
    sampling_rate: float = 500.0,
) -> Recording:
    """Simulate one recording; the same arguments always give the same one.

    Args:
        seed: chooses the individual, the noise and the wording, and what else is left open.
        rhythm: one of `RHYTHMS`; drawn when None.
        morphology: one of `MORPHOLOGIES`, the look of conducted beats; drawn when None. It stays unsaid in
            report and labels when no beat is conducted (ventricular pacing, ventricular tachycardia or escape).
        duration_s: seconds.
        sampling_rate: hertz.

    Returns:
        A recording with `signal` (12, duration_s * sampling_rate) in millivolts that obeys the lead laws,
        an English `report`, and the diagnostic superclasses NORM, MI, STTC, CD, HYP that apply as `labels`.
    """
    samples = int(round(duration_s * sampling_rate))
    if samples < 1:
        raise ValueError(
            f"got {duration_s} s at {sampling_rate} Hz, expected at least one sample: raise duration_s or sampling_rate"
        )
    rng = np.random.default_rng(seed)
    rhythm, morphology = _choose(rng, rhythm, morphology)
    heart = Heart(rng, beats.MORPHOLOGIES[morphology])
    timeline = _RHYTHMS[rhythm].lay_out(rng, duration_s, heart.pr_s)

    times = np.arange(samples) / sampling_rate
    conducted = heart.conducted()
    free = _beating(rng, heart, timeline, conducted, samples, sampling_rate)
    if timeline.waves:
        free += _atrial_waves(rng, heart, timeline, times)
    free += _derive(_electrode_noise(rng, times, sampling_rate))
    signal = np.vstack([limb_leads_from(free[0], free[1]), free[2:]]).astype(np.float32)

    return Recording(
        signal=signal,
        sampling_rate=float(sampling_rate),
        record_id=f"simulated-{seed}",
        patient_id=f"simulated-{seed}",
        report=_report(rng, rhythm, morphology, timeline, conducted[0], duration_s),
        labels=_labels(rhythm, morphology, timeline),
        age=heart.age,
        sex=heart.sex,
    )


def _choose(rng: np.random.Generator, rhythm: str | None, morphology: str | None) -> tuple[str, str]:
    """Names of rhythm and morphology: as asked, else drawn by weight."""
    for kind, name, known in (("rhythm", rhythm, RHYTHMS), ("morphology", morphology, MORPHOLOGIES)):
        if name is not None and name not in known:
            raise ValueError(f"got {kind} {name!r}, expected one of {', '.join(known)}, or None to have one drawn")
    drawn = [_weighted(rng, _RHYTHMS), _weighted(rng, beats.MORPHOLOGIES)]
    rhythm = rhythm or drawn[0]
    if morphology is None:
        blocked = rhythm.startswith(_ATRIOVENTRICULAR) and drawn[1] == "wolff_parkinson_white"
        morphology = "normal" if blocked else drawn[1]
    return rhythm, morphology


def _weighted(rng: np.random.Generator, table: dict) -> str:
    weights = np.array([entry.weight for entry in table.values()])
    return tuple(table)[int(np.searchsorted(np.cumsum(weights) / weights.sum(), rng.random(), side="right"))]


def _beating(
    rng: np.random.Generator,
    heart: Heart,
    timeline: Timeline,
    conducted: tuple[Waves, Waves],
    samples: int,
    sampling_rate: float,
) -> np.ndarray:
    """All P waves, QRS complexes, repolarisations and pacing spikes as free leads (8, samples)."""
    margin = int(1.5 * sampling_rate)
    canvas = np.zeros((8, samples + 2 * margin))
    breath = (rng.uniform(0.15, 0.33), rng.uniform(0.01, 0.07, 8), rng.uniform(-0.6, 0.6, 8))

    def draw(waves: Waves, onsets: np.ndarray, stretch: np.ndarray | float = 1.0) -> None:
        _draw_waves(canvas, waves, onsets, stretch, breath, margin, sampling_rate)

    for kind, onsets in timeline.atrial.items():
        draw(heart.atria(_P_TABLES[kind]), onsets)
    every, turns = timeline.onsets, {"premature": (-70, 60), "escape": (-50, 50), "paced": (-110, -60)}
    intervals = np.clip(np.diff(every, prepend=2 * every[0] - every[1]), 0.25, 2.0)
    for kind, onsets in timeline.ventricular.items():
        if kind == "conducted":
            qrs, repolarisation = conducted
        else:
            table = beats.RIGHT_ORIGIN_QRS if kind == "paced" or rng.random() < 0.5 else beats.LEFT_ORIGIN_QRS
            qrs, repolarisation = heart.ventricular(table, rng.uniform(*turns[kind]))
        draw(qrs, onsets)
        # Repolarisation follows the rate (cube root), and single early beats only in part.
        pace = 0.75 * intervals.mean() + 0.25 * intervals[np.searchsorted(every, onsets)]
        qt = heart.qtc_s * np.cbrt(pace) * (1.0 if kind == "conducted" else 1.1)
        draw(repolarisation, onsets, qt)
    if len(timeline.spikes):
        spike = rng.uniform(0.3, 1.2) * beats.LEAD_MATRIX @ np.array([-0.4, -0.9, 0.2])
        width = max(0.0012, 0.4 / sampling_rate)
        draw(Waves(np.array([[-0.006, 0, width, width]]), spike[None]), np.asarray(timeline.spikes))
    return canvas[:, margin : margin + samples]


def _draw_waves(
    canvas: np.ndarray,
    waves: Waves,
    onsets: np.ndarray,
    stretch: np.ndarray | float,
    breath: tuple[float, np.ndarray, np.ndarray],
    margin: int,
    sampling_rate: float,
) -> None:
    """Add `waves` to `canvas` (8, samples + 2 margin) at each onset (beats,); `stretch` (beats,) scales their times.

    `breath` is the rate in hertz, the depth (8,) and the phase (8,) by which breathing sways the size of beats.
    """
    length = canvas.shape[1]
    scales = np.broadcast_to(stretch, onsets.shape)
    centre, top, before, after = waves.timing.T
    earliest = float((centre - top - 4 * before).min() * scales.max(initial=0)) - 2 / sampling_rate
    latest = float((centre + top + 4 * after).max() * scales.max(initial=0)) + 2 / sampling_rate
    window = min(int((latest - earliest) * sampling_rate) + 1, length)
    starts = np.floor((onsets + earliest) * sampling_rate).astype(int) + margin
    inside = (starts >= 0) & (starts + window <= length)
    starts, onsets, scales = starts[inside], onsets[inside], scales[inside]

    clock = ((starts - margin)[:, None] + np.arange(window)) / sampling_rate - onsets[:, None]
    away = (clock / scales[:, None])[:, None, :] - centre[:, None]  # (beats, waves, window)
    sigma = np.where(away < 0, before[:, None], after[:, None])
    shapes = np.exp(-0.5 * (np.maximum(np.abs(away) - top[:, None], 0) / sigma) ** 2)
    rate, depth, phase = breath
    gains = 1 + depth * np.sin(2 * np.pi * rate * onsets[:, None] + phase)  # (beats, 8)
    for start, beat in zip(starts, gains[:, :, None] * (waves.leads.T @ shapes), strict=True):
        canvas[:, start : start + window] += beat


def _wandering(rng: np.random.Generator, times: np.ndarray, step_s: float, rows: int = 1) -> np.ndarray:
    """Slow unit-variance noise (rows, samples): random nodes `step_s` apart, joined by half cosines."""
    nodes = rng.standard_normal((rows, int(times[-1] / step_s) + 3))
    place = times / step_s
    left = place.astype(int)
    blend = 0.5 - 0.5 * np.cos(np.pi * (place - left))
    return nodes[:, left] * (1 - blend) + nodes[:, left + 1] * blend


def _atrial_waves(rng: np.random.Generator, heart: Heart, timeline: Timeline, times: np.ndarray) -> np.ndarray:
    """Fibrillation or flutter of the atria as free leads (8, samples)."""
    if timeline.waves == "flutter":
        cycle = (times * timeline.wave_rate) % 1.0
        upward = 0.28
        saw = np.where(cycle < upward, cycle / upward, (1 - cycle) / (1 - upward))
        smooth = saw * saw * (3 - 2 * saw) - 0.5
        return rng.uniform(0.16, 0.4) * (heart.matrix @ np.array([0.05, 0.9, -0.1]) + _CHEST_FLUTTER)[:, None] * smooth
    sources = []
    for direction in ((0.1, 0.45, 0.35), (-0.25, 0.15, 0.6)):
        rate = timeline.wave_rate * (1 + 0.12 * _wandering(rng, times, 0.35)[0]) * rng.uniform(0.9, 1.15)
        phase = 2 * np.pi * np.cumsum(rate) * (times[1] - times[0] if len(times) > 1 else 0)
        size = 0.6 + 0.3 * _wandering(rng, times, 0.5)[0]
        wave = size * (np.sin(phase) + 0.35 * np.sin(2 * phase + rng.uniform(0, 6)))
        sources.append((heart.matrix @ np.array(direction))[:, None] * wave)
    return rng.uniform(0.04, 0.15) * (sources[0] + sources[1])


_CHEST_FLUTTER = np.array([0, 0, 0.5, 0.2, 0, 0, 0, 0])


def _electrode_noise(rng: np.random.Generator, times: np.ndarray, sampling_rate: float) -> np.ndarray:
    """Disturbance in millivolts at the electrodes (9, samples): RA, LA, LL, C1 to C6."""
    samples = len(times)
    noise = rng.lognormal(np.log(0.03), 0.7) * rng.uniform(0.4, 1.3, (9, 1)) * _wandering(rng, times, 1.6, 9)
    breathing = np.sin(2 * np.pi * rng.uniform(0.15, 0.33) * times + rng.uniform(0, 6))
    noise += rng.lognormal(np.log(0.015), 0.7) * rng.normal(0, 1, (9, 1)) * breathing

    white = rng.standard_normal((9, samples + 2), dtype=np.float32)
    muscle = white[:, 1:-1] + 0.5 * (white[:, :-2] + white[:, 2:])
    level = rng.lognormal(np.log(0.0016), 0.9) * rng.uniform(0.4, 1.6, (9, 1))
    bursts = np.exp(0.5 * _wandering(rng, times, 1.0, 3))[[0, 1, 2] + [1] * 6]
    noise += np.minimum(level, 0.05) * bursts * muscle

    if rng.random() < 0.3:
        mains = float(rng.choice([50.0, 60.0]))
        if mains < 0.45 * sampling_rate:
            size = rng.lognormal(np.log(0.008), 0.7) * rng.normal(0, 1, (9, 1))
            noise += np.clip(size, -0.08, 0.08) * np.sin(2 * np.pi * mains * times + rng.uniform(0, 6))
    if rng.random() < 0.06:
        noise[rng.integers(9)] += _loose_contact(rng, times)
    return noise


def _loose_contact(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Jumps that decay, and rattling between them, of one electrode (samples,) in millivolts."""
    artefact = np.zeros(len(times))
    for _ in range(rng.integers(1, 5)):
        since = times - rng.uniform(0, max(times[-1], 1.0))
        decay = np.where(since >= 0, np.exp(-np.maximum(since, 0) / rng.uniform(0.1, 0.8)), 0.0)
        rattle = 1 + rng.uniform(0, 0.5) * _wandering(rng, times, 0.03)[0]
        artefact += np.clip(rng.normal(0, 0.6), -1.2, 1.2) * decay * rattle
    return np.clip(artefact, -2.0, 2.0)


def _derive(electrodes: np.ndarray) -> np.ndarray:
    """Free leads I, II, V1 to V6 (8, samples) from electrode potentials (9, samples)."""
    right, left, foot = electrodes[:3]
    return np.vstack([left - right, foot - right, electrodes[3:] - (right + left + foot) / 3])


def _labels(rhythm: str, morphology: str, timeline: Timeline) -> tuple[str, ...]:
    """Superclasses of what can be seen; NORM only where the rhythm is a sinus rhythm without disorder."""
    labels = set(_RHYTHMS[rhythm].labels)
    if "conducted" in timeline.ventricular:
        labels |= set(beats.MORPHOLOGIES[morphology].labels)
    if not _RHYTHMS[rhythm].normal:
        labels.discard("NORM")
    return tuple(name for name in ("NORM", "MI", "STTC", "CD", "HYP") if name in labels)


def _report(
    rng: np.random.Generator, rhythm: str, morphology: str, timeline: Timeline, qrs: Waves, duration_s: float
) -> str:
    """Sentences on rhythm and rate, axis, morphology and, sometimes, a conclusion."""
    rate = timeline.rate_bpm(duration_s)
    sentences = [
        str(rng.choice(_RHYTHMS[rhythm].phrases))
        + str(rng.choice(["", f", rate {rate} bpm", f", ventricular rate {rate}/min", f" at {rate} bpm"]))
    ]
    shown = "conducted" in timeline.ventricular
    if shown:
        sentences += _axis_sentence(rng, beats.frontal_axis_deg(qrs))
        if morphology != "normal" or (_RHYTHMS[rhythm].normal and rng.random() < 0.5):
            sentences.append(str(rng.choice(beats.MORPHOLOGIES[morphology].phrases)))
    normal = _labels(rhythm, morphology, timeline) == ("NORM",)
    if normal:
        sentences.append(str(rng.choice(["Normal ECG", "ECG within normal limits", "Normal electrocardiogram"])))
    elif rng.random() < 0.3:
        sentences.append("Abnormal ECG")
    return ". ".join(sentences) + "."


def _axis_sentence(rng: np.random.Generator, axis_deg: float) -> list[str]:
    if -30 <= axis_deg <= 90:
        return ["Normal axis"] if rng.random() < 0.3 else []
    if -90 <= axis_deg < -30:
        return [str(rng.choice(["Left axis deviation", f"Left axis deviation ({axis_deg:.0f} degrees)"]))]
    if axis_deg > 90:
        return [str(rng.choice(["Right axis deviation", f"Right axis deviation ({axis_deg:.0f} degrees)"]))]
    return ["Extreme axis deviation"]


__all__ = ["MORPHOLOGIES", "RHYTHMS", "simulate"]
