"""Simulated recordings: lawful, deterministic, and showing what their reports say."""

import time

import numpy as np
import pytest

from processing.leads import LEADS, law_residuals
from processing.simulator import MORPHOLOGIES, RHYTHMS, simulate
from processing.simulator_beats import LEAD_MATRIX, Waves, frontal_axis_deg

LEAD = {name: row for row, name in enumerate(LEADS)}
SUPERCLASSES = {"NORM", "MI", "STTC", "CD", "HYP"}


def r_peaks_s(recording):
    """Times of QRS complexes: peaks of the summed slope of all leads, at least 250 ms apart."""
    rate = recording.sampling_rate
    width = int(0.06 * rate)
    slope = np.abs(np.diff(recording.signal.astype(float), axis=1)).sum(0)
    slope = np.convolve(slope, np.hanning(width) / width, "same")
    above, peaks = 0.45 * np.quantile(slope, 0.985), []
    for place in np.argsort(slope)[::-1]:
        if slope[place] < above:
            break
        if all(abs(place - other) > 0.25 * rate for other in peaks):
            peaks.append(place)
    return np.sort(peaks) / rate


def median_beat(recording, before_s=0.3, after_s=0.6):
    """(12, samples): median over the beats, aligned at the QRS, so that most of the noise is gone."""
    rate = recording.sampling_rate
    before, after = int(before_s * rate), int(after_s * rate)
    places = [int(t * rate) for t in r_peaks_s(recording)]
    whole = [p for p in places if p >= before and p + after < recording.signal.shape[1]]
    beat = np.median([recording.signal[:, p - before : p + after] for p in whole], axis=0)
    return beat - np.median(beat, axis=1, keepdims=True)


def qrs_width_s(recording):
    """Time around the QRS in which the summed slope of the median beat is above 15 % of its peak."""
    beat = median_beat(recording, 0.1, 0.15)
    slope = np.convolve(np.abs(np.diff(beat, axis=1)).sum(0), np.ones(5) / 5, "same")
    return np.count_nonzero(slope > 0.15 * slope.max()) / recording.sampling_rate


def mean_beats(morphology, lead, start_s, end_s, seeds=range(12)):
    """Mean millivolts of a lead of sinus beats between two moments after the middle of the QRS."""
    values = []
    for seed in seeds:
        beat = median_beat(simulate(seed, rhythm="sinus_rhythm", morphology=morphology))
        start, end = (int((0.3 + t) * 500) for t in (start_s, end_s))
        values.append(beat[LEAD[lead], start:end].mean() - beat[LEAD[lead], 105:122].mean())
    return float(np.mean(values))


@pytest.mark.parametrize("rhythm", RHYTHMS)
def test_every_rhythm_with_every_morphology_is_finite_below_ten_millivolts_and_lawful(rhythm):
    for seed, morphology in enumerate(MORPHOLOGIES):
        recording = simulate(seed, rhythm=rhythm, morphology=morphology)
        assert recording.signal.shape == (12, 5000)
        assert recording.signal.dtype == np.float32
        assert np.isfinite(recording.signal).all(), morphology
        assert np.abs(recording.signal).max() < 10, morphology
        assert recording.signal.std(axis=1).min() > 0.005, morphology
        assert np.abs(law_residuals(recording.signal)).max() < 1e-3, morphology
        assert recording.report.endswith(".")
        assert set(recording.labels) <= SUPERCLASSES


def test_there_are_at_least_twelve_rhythms_and_twelve_morphologies():
    assert len(set(RHYTHMS)) >= 12
    assert len(set(MORPHOLOGIES)) >= 12


def test_the_same_seed_gives_the_same_recording():
    first, second = simulate(7), simulate(7)
    np.testing.assert_array_equal(first.signal, second.signal)
    assert (first.report, first.labels, first.age, first.sex) == (
        second.report,
        second.labels,
        second.age,
        second.sex,
    )


def test_different_seeds_give_different_recordings():
    kept = [simulate(seed, rhythm="sinus_rhythm", morphology="normal").signal for seed in range(8)]
    for index, signal in enumerate(kept):
        assert all(np.abs(signal - other).mean() > 0.02 for other in kept[index + 1 :])


def test_seeds_left_to_themselves_cover_all_rhythm_families_and_superclasses():
    recordings = [simulate(seed, duration_s=1.0) for seed in range(300)]
    text = " ".join(recording.report.lower() for recording in recordings)
    for word in ("sinus", "fibrillation", "flutter", "av block", "pace", "extrasystole", "tachycardia"):
        assert word in text
    assert {label for recording in recordings for label in recording.labels} == SUPERCLASSES


@pytest.mark.parametrize(
    ("rhythm", "low", "high"),
    [
        ("sinus_rhythm", 60, 98),
        ("sinus_bradycardia", 37, 59),
        ("sinus_tachycardia", 100, 152),
        ("ventricular_paced", 57, 83),
        ("supraventricular_tachycardia", 148, 212),
    ],
)
def test_the_counted_heart_rate_is_that_of_the_rhythm(rhythm, low, high):
    inside = 0
    for seed in range(20):
        peaks = r_peaks_s(simulate(seed, rhythm=rhythm, morphology="normal"))
        inside += low <= 60 / np.median(np.diff(peaks)) <= high
    assert inside >= 18  # a loose electrode or tall T waves may mislead the simple counter


def test_atrial_fibrillation_is_irregular_and_sinus_rhythm_is_not():
    def variation(rhythm, seed):
        intervals = np.diff(r_peaks_s(simulate(seed, rhythm=rhythm, morphology="normal")))
        return intervals.std() / intervals.mean()

    sinus = np.median([variation("sinus_rhythm", seed) for seed in range(15)])
    breathing = np.median([variation("sinus_arrhythmia", seed) for seed in range(15)])
    fibrillating = np.median([variation("atrial_fibrillation", seed) for seed in range(15)])
    assert sinus < 0.05 < breathing
    assert fibrillating > 0.12


def test_second_degree_block_leaves_pauses_of_nearly_two_cycles():
    ratios = []
    for seed in range(10):
        intervals = np.diff(r_peaks_s(simulate(seed, rhythm="av_block_2_mobitz", morphology="normal")))
        ratios.append(intervals.max() / intervals.min())
    assert np.median(ratios) == pytest.approx(2.0, abs=0.15)


def test_bundle_branch_blocks_widen_the_qrs():
    def width(morphology):
        return np.median(
            [qrs_width_s(simulate(seed, rhythm="sinus_rhythm", morphology=morphology)) for seed in range(12)]
        )

    normal = width("normal")
    assert 0.05 < normal < 0.11
    assert width("left_bundle_branch_block") > normal + 0.03
    assert width("right_bundle_branch_block") > normal + 0.02


def test_acute_infarctions_raise_the_st_segment_where_the_report_says():
    st = (0.07, 0.11)
    assert mean_beats("acute_anterior_infarction", "V3", *st) > mean_beats("normal", "V3", *st) + 0.1
    assert mean_beats("acute_inferior_infarction", "III", *st) > mean_beats("normal", "III", *st) + 0.1
    assert mean_beats("acute_lateral_infarction", "V5", *st) > mean_beats("normal", "V5", *st) + 0.1
    assert mean_beats("ischaemia_st_depression", "V5", *st) < mean_beats("normal", "V5", *st) - 0.08


def test_hypertrophy_is_tall_and_low_voltage_is_low():
    def height(morphology):
        beats = [median_beat(simulate(s, rhythm="sinus_rhythm", morphology=morphology)) for s in range(12)]
        return np.median([np.ptp(beat[LEAD["V5"]]) for beat in beats])

    normal = height("normal")
    assert height("left_ventricular_hypertrophy") > 1.25 * normal
    assert height("low_voltage") < 0.5 * normal


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"rhythm": "atrial_fibrillation"}, ("atrial fibrillation",)),
        ({"rhythm": "av_block_3"}, ("third degree av block",)),
        ({"rhythm": "ventricular_paced"}, ("pace",)),
        ({"rhythm": "sinus_rhythm", "morphology": "left_bundle_branch_block"}, ("left bundle branch block", "lbbb")),
        ({"rhythm": "sinus_rhythm", "morphology": "acute_inferior_infarction"}, ("inferior",)),
        ({"rhythm": "sinus_rhythm", "morphology": "long_qt"}, ("qt",)),
    ],
)
def test_the_report_mentions_what_was_simulated(chosen, words):
    reports = [simulate(seed, duration_s=2.0, **chosen).report for seed in range(12)]
    assert all(any(word in report.lower() for word in words) for report in reports)
    assert len(set(reports)) > 3


def test_labels_say_what_can_be_seen():
    assert simulate(1, rhythm="sinus_rhythm", morphology="normal").labels == ("NORM",)
    assert simulate(1, rhythm="atrial_fibrillation", morphology="normal").labels == ()
    assert simulate(1, rhythm="av_block_1", morphology="old_inferior_infarction").labels == ("MI", "CD")
    paced = simulate(1, rhythm="ventricular_paced", morphology="left_ventricular_hypertrophy")
    assert paced.labels == ()
    assert "hypertrophy" not in paced.report.lower()


def test_the_frontal_axis_of_a_vector_to_the_left_leg_is_that_of_its_leads():
    def wave(lead_i, lead_ii):
        return Waves(np.array([[0.04, 0, 0.01, 0.01]]), np.array([[lead_i, lead_ii, 0, 0, 0, 0, 0, 0]], float))

    assert frontal_axis_deg(wave(1.0, 0.5)) == pytest.approx(0)  # nothing in aVF
    assert frontal_axis_deg(wave(0.0, 1.0)) == pytest.approx(90)  # nothing in I
    assert frontal_axis_deg(wave(1.0, 2.0)) == pytest.approx(60)  # nothing in aVL
    assert LEAD_MATRIX.shape == (8, 3)


@pytest.mark.parametrize(("duration_s", "sampling_rate"), [(0.5, 500.0), (10.0, 100.0), (30.0, 250.0), (2.0, 1000.0)])
def test_duration_and_rate_are_free(duration_s, sampling_rate):
    for rhythm in RHYTHMS:
        recording = simulate(3, rhythm=rhythm, duration_s=duration_s, sampling_rate=sampling_rate)
        assert recording.signal.shape == (12, round(duration_s * sampling_rate))
        assert recording.sampling_rate == sampling_rate
        assert np.isfinite(recording.signal).all()


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"got rhythm 'samba', expected one of sinus_rhythm"):
        simulate(0, rhythm="samba")
    with pytest.raises(ValueError, match=r"got morphology 'odd', expected one of normal"):
        simulate(0, morphology="odd")
    with pytest.raises(ValueError, match="expected at least one sample"):
        simulate(0, duration_s=0)


def test_a_hundred_recordings_take_about_a_second_of_processor_time():
    simulate(0)
    start = time.process_time()
    for seed in range(60):
        simulate(seed)
    assert 60 / (time.process_time() - start) > 50  # twice that on an idle core
