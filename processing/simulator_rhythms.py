"""When atria and ventricles of a simulated heart beat: onset times of P waves and QRS complexes, rhythm by rhythm."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LEAD_IN_S = 3.0  # beats before the first sample, so that a recording starts in mid-rhythm

Times = np.ndarray


@dataclass
class Timeline:
    """Onsets in seconds; the recording runs from 0.

    Attributes:
        atrial: P wave onsets by kind ("sinus", "ectopic", "retrograde").
        ventricular: QRS onsets by kind ("conducted", "premature", "escape", "paced").
        spikes: pacing stimuli. waves: "fibrillation" or "flutter" when the atria never rest.
        wave_rate: atrial cycles a second of those waves.
    """

    atrial: dict[str, Times]
    ventricular: dict[str, Times]
    spikes: Times | tuple[float, ...] = ()
    waves: str | None = None
    wave_rate: float = 0.0

    @property
    def onsets(self) -> Times:
        """All QRS onsets in order."""
        return np.sort(np.concatenate(list(self.ventricular.values())))

    def rate_bpm(self, duration_s: float) -> int:
        """Mean ventricular rate of the beats within the recording (of all beats when fewer than two are)."""
        inside = self.onsets[(self.onsets >= 0) & (self.onsets < duration_s)]
        inside = inside if len(inside) > 1 else self.onsets
        return round(60 / float(np.diff(inside).mean()))


@dataclass(frozen=True)
class Rhythm:
    """A rhythm: how to lay it out, what the report says, the superclasses it implies, how often it is drawn."""

    lay_out: Callable[[np.random.Generator, float, float], Timeline]
    phrases: tuple[str, ...]
    labels: tuple[str, ...] = ()
    normal: bool = False
    weight: float = 1.0


def _beats(
    rng: np.random.Generator, duration: float, rate_bpm: float, spread: float = 0.02, sway: float = 0.03
) -> Times:
    """Onsets around a rate: `spread` is the random part of an interval, `sway` the part that follows breathing."""
    period = 60 / rate_bpm
    count = int((duration + LEAD_IN_S) / period * 1.5) + 4
    steps = np.arange(count)
    breathing = np.sin(2 * np.pi * (rng.uniform(0.18, 0.32) * period * steps + rng.uniform()))
    intervals = period * (1 + sway * breathing + spread * np.clip(rng.standard_normal(count), -2.5, 2.5))
    times = np.cumsum(intervals) - LEAD_IN_S - rng.uniform(0, period)
    return times[times < duration + 1]


def _sinus(low: float, high: float, sway: float = 0.03) -> Callable[[np.random.Generator, float, float], Timeline]:
    def lay_out(rng: np.random.Generator, duration: float, pr: float) -> Timeline:
        p = _beats(rng, duration, rng.uniform(low, high, 2).mean(), 0.012, sway)
        return Timeline({"sinus": p}, {"conducted": p + pr})

    return lay_out


def _fibrillation(rng: np.random.Generator, duration: float, pr: float) -> Timeline:
    mean = 60 / rng.uniform(60, 145)
    intervals = mean * np.exp(rng.normal(0, rng.uniform(0.18, 0.27), int((duration + LEAD_IN_S) / mean * 2) + 6))
    times = np.cumsum(np.maximum(intervals, 0.3)) - LEAD_IN_S
    return Timeline({}, {"conducted": times[times < duration + 1]}, waves="fibrillation", wave_rate=rng.uniform(5, 8))


def _flutter(rng: np.random.Generator, duration: float, pr: float) -> Timeline:
    wave_rate = rng.uniform(240, 320) / 60
    count = int((duration + LEAD_IN_S) * wave_rate) + 4
    ratio = rng.choice([2, 3, 4, 0], p=[0.4, 0.15, 0.25, 0.2])
    ratios = np.full(count, ratio) if ratio else rng.integers(2, 5, count)
    cycles = np.cumsum(ratios)
    times = (cycles[cycles < count] + rng.uniform()) / wave_rate - LEAD_IN_S
    return Timeline({}, {"conducted": times}, waves="flutter", wave_rate=wave_rate)


def _first_degree(rng: np.random.Generator, duration: float, pr: float) -> Timeline:
    p = _beats(rng, duration, rng.uniform(52, 90))
    return Timeline({"sinus": p}, {"conducted": p + rng.uniform(0.22, 0.32)})


def _wenckebach(rng: np.random.Generator, duration: float, pr: float) -> Timeline:
    p = _beats(rng, duration, rng.uniform(60, 95), 0.01, 0.01)
    length = rng.integers(3, 6)
    place = (np.arange(len(p)) + rng.integers(length)) % length
    growth = rng.uniform(0.07, 0.12) * np.array([0.0, 1.0, 1.6, 2.0])
    kept = place < length - 1
    return Timeline({"sinus": p}, {"conducted": p[kept] + max(pr, 0.17) + growth[place[kept]]})


def _mobitz(rng: np.random.Generator, duration: float, pr: float) -> Timeline:
    p = _beats(rng, duration, rng.uniform(65, 100), 0.008, 0.01)
    length = rng.integers(3, 6)
    kept = (np.arange(len(p)) + rng.integers(length)) % length < length - 1
    return Timeline({"sinus": p}, {"conducted": p[kept] + pr})


def _complete_block(rng: np.random.Generator, duration: float, pr: float) -> Timeline:
    p = _beats(rng, duration, rng.uniform(65, 105))
    wide = rng.random() < 0.5
    escape = _beats(rng, duration, rng.uniform(28, 40) if wide else rng.uniform(38, 52), 0.008, 0.0)
    return Timeline({"sinus": p}, {"escape" if wide else "conducted": escape})


def _paced(rng: np.random.Generator, duration: float, pr: float) -> Timeline:
    beats = _beats(rng, duration, rng.uniform(58, 82), 0.0, 0.0)
    if rng.random() < 0.4:
        return Timeline({}, {"paced": beats}, beats, "fibrillation", rng.uniform(5, 8))
    return Timeline({"sinus": _beats(rng, duration, rng.uniform(55, 90))}, {"paced": beats}, beats)


def _dual_chamber(rng: np.random.Generator, duration: float, pr: float) -> Timeline:
    p = _beats(rng, duration, rng.uniform(58, 80), 0.0, 0.0)
    qrs = p + rng.uniform(0.15, 0.21)
    return Timeline({"sinus": p + 0.012}, {"paced": qrs}, np.concatenate([p, qrs]))


def _every_few(rng: np.random.Generator, count: int, low: int, high: int) -> np.ndarray:
    """Mask (count,) that marks one beat in `low` to `high`, with varying gaps."""
    mask = np.zeros(count, bool)
    places = np.cumsum(rng.integers(low, high + 1, count)) - rng.integers(low)
    mask[places[places < count]] = True
    return mask


def _with_premature_ventricular(rng: np.random.Generator, duration: float, pr: float, low: int, high: int) -> Timeline:
    p = _beats(rng, duration, rng.uniform(58, 92))
    premature = _every_few(rng, len(p), low, high)
    before = np.diff(p, prepend=p[0] - 1)
    early = p + pr - before * (1 - rng.uniform(0.5, 0.68))
    return Timeline({"sinus": p}, {"conducted": (p + pr)[~premature], "premature": early[premature]})


def _premature_ventricular(rng: np.random.Generator, duration: float, pr: float) -> Timeline:
    return _with_premature_ventricular(rng, duration, pr, 3, 6)


def _bigeminy(rng: np.random.Generator, duration: float, pr: float) -> Timeline:
    return _with_premature_ventricular(rng, duration, pr, 2, 2)


def _premature_atrial(rng: np.random.Generator, duration: float, pr: float) -> Timeline:
    plain = _beats(rng, duration + 6, rng.uniform(58, 90))
    premature = _every_few(rng, len(plain), 3, 6)
    intervals = np.diff(plain, prepend=plain[0]) * np.where(premature, rng.uniform(0.58, 0.75), 1.0)
    p = plain[0] + np.cumsum(intervals)
    return Timeline({"sinus": p[~premature], "ectopic": p[premature]}, {"conducted": p + pr})


def _supraventricular(rng: np.random.Generator, duration: float, pr: float) -> Timeline:
    qrs = _beats(rng, duration, rng.uniform(150, 210), 0.004, 0.0)
    return Timeline({"retrograde": qrs + rng.uniform(0.05, 0.09)}, {"conducted": qrs})


def _junctional(rng: np.random.Generator, duration: float, pr: float) -> Timeline:
    qrs = _beats(rng, duration, rng.uniform(40, 60), 0.01, 0.0)
    place = rng.choice([-0.1, 0.0, 0.08])
    return Timeline({"retrograde": qrs + place} if place else {}, {"conducted": qrs})


def _ventricular_tachycardia(rng: np.random.Generator, duration: float, pr: float) -> Timeline:
    qrs = _beats(rng, duration, rng.uniform(130, 195), 0.008, 0.0)
    return Timeline({"sinus": _beats(rng, duration, rng.uniform(65, 95))}, {"premature": qrs})


RHYTHMS: dict[str, Rhythm] = {
    "sinus_rhythm": Rhythm(
        _sinus(60, 97), ("Sinus rhythm", "Normal sinus rhythm", "Regular sinus rhythm"), normal=True, weight=25
    ),
    "sinus_bradycardia": Rhythm(
        _sinus(38, 58), ("Sinus bradycardia", "Slow sinus rhythm, sinus bradycardia"), (), True, 2.5
    ),
    "sinus_tachycardia": Rhythm(
        _sinus(103, 150), ("Sinus tachycardia", "Fast sinus rhythm, sinus tachycardia"), (), True, 2.5
    ),
    "sinus_arrhythmia": Rhythm(
        _sinus(55, 85, 0.19), ("Sinus arrhythmia", "Sinus rhythm with respiratory sinus arrhythmia"), (), True, 2
    ),
    "atrial_fibrillation": Rhythm(
        _fibrillation, ("Atrial fibrillation", "Atrial fibrillation with irregular ventricular response"), weight=4
    ),
    "atrial_flutter": Rhythm(_flutter, ("Atrial flutter", "Typical atrial flutter with sawtooth waves"), weight=1.5),
    "av_block_1": Rhythm(
        _first_degree,
        ("Sinus rhythm with first degree AV block", "First degree AV block, prolonged PR interval"),
        ("CD",),
        weight=2,
    ),
    "av_block_2_wenckebach": Rhythm(
        _wenckebach,
        ("Second degree AV block, Mobitz type I (Wenckebach)", "Second degree AV block with Wenckebach periodicity"),
        ("CD",),
    ),
    "av_block_2_mobitz": Rhythm(
        _mobitz, ("Second degree AV block, Mobitz type II", "Mobitz II second degree AV block"), ("CD",)
    ),
    "av_block_3": Rhythm(
        _complete_block,
        ("Third degree AV block with escape rhythm", "Complete heart block (third degree AV block), AV dissociation"),
        ("CD",),
    ),
    "ventricular_paced": Rhythm(
        _paced, ("Ventricular paced rhythm", "Electronic ventricular pacemaker rhythm"), weight=1.5
    ),
    "dual_chamber_paced": Rhythm(
        _dual_chamber, ("AV sequential (dual chamber) paced rhythm", "Dual chamber pacemaker, paced rhythm"), weight=0.7
    ),
    "frequent_pvc": Rhythm(
        _premature_ventricular,
        ("Sinus rhythm with frequent premature ventricular complexes", "Frequent ventricular extrasystoles (PVC)"),
        weight=2,
    ),
    "ventricular_bigeminy": Rhythm(
        _bigeminy, ("Ventricular bigeminy", "Sinus rhythm with ventricular extrasystoles in bigeminy"), weight=0.7
    ),
    "frequent_pac": Rhythm(
        _premature_atrial,
        ("Sinus rhythm with frequent premature atrial complexes", "Frequent atrial extrasystoles (PAC)"),
        weight=2,
    ),
    "supraventricular_tachycardia": Rhythm(
        _supraventricular, ("Supraventricular tachycardia", "Regular narrow complex supraventricular tachycardia")
    ),
    "junctional_rhythm": Rhythm(_junctional, ("Junctional rhythm", "Junctional escape rhythm"), weight=0.7),
    "ventricular_tachycardia": Rhythm(
        _ventricular_tachycardia, ("Ventricular tachycardia", "Wide complex ventricular tachycardia"), weight=0.5
    ),
}
