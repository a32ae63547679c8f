"""Paper that ran at 12.5 mm/s: told by beats that are too narrow, taken so, and said."""

import json

import numpy as np
import pytest

from modeling_ecgscan.pace_ecgscan import BANDS_HZ, pace_features, pace_warning, too_narrow
from modeling_ecgscan.readings_ecgscan import ECGReading
from modeling_ecgscan.strips_ecgscan import FoundStrip
from processing.renderer import render
from processing.simulator import simulate


@pytest.fixture(scope="module")
def calibration(repository):
    return json.loads((repository / "ecgscan" / "config.json").read_text())["image_config"]["calibration"]


def row(start_mm: float, end_mm: float, column: int = 0) -> FoundStrip:
    return FoundStrip("II", 0, column, start_mm, end_mm, 40.0)


def reading_of(signal: np.ndarray, speed: float = 25.0) -> ECGReading:
    return ECGReading("read", None, signal, np.ones_like(signal), {}, 0.9, speed=(speed, "read"))


def test_power_stands_in_the_band_of_its_frequency():
    seconds = np.arange(5000) / 500
    beats = np.exp(-(((seconds % 1.0 - 0.5) / 0.06) ** 2))
    signal = np.tile(beats * np.cos(2 * np.pi * 13.0 * (seconds % 1.0 - 0.5)), (12, 1))
    features = pace_features(signal)
    assert BANDS_HZ[int(np.argmax(features[:-1]))] == 11.0
    assert np.exp(features[:-1]).sum() == pytest.approx(1.0, abs=1e-4)
    assert np.exp(features[-1]) == pytest.approx(1.0, abs=0.01)


def test_a_recording_without_beats_tells_nothing():
    assert pace_features(np.zeros((12, 5000))) is None


@pytest.mark.parametrize("seed", range(4))
def test_beats_at_twice_their_pace_are_too_narrow(calibration, seed):
    whole = simulate(seed, rhythm="sinus_rhythm").signal
    assert too_narrow(reading_of(whole), [row(0.0, 125.0)], calibration) < 0
    assert too_narrow(reading_of(whole[:, ::2]), [row(0.0, 125.0)], calibration) > 0


def test_rows_that_are_too_long_or_another_speed_are_not_asked_about(calibration):
    fast = simulate(0).signal[:, ::2]
    assert too_narrow(reading_of(fast), [row(0.0, 250.0)], calibration) is None
    assert too_narrow(reading_of(fast, speed=50.0), [row(0.0, 125.0)], calibration) is None
    assert too_narrow(reading_of(fast), [row(0.0, 125.0)], {}) is None


def test_columns_of_a_second_speak_for_the_slower_speed(calibration):
    fast = simulate(0).signal[:, ::2]
    alone = too_narrow(reading_of(fast), [row(0.0, 125.0)], calibration)
    columns = [row(31.0 * number, 31.0 * number + 31.0, number) for number in range(4)]
    assert too_narrow(reading_of(fast), columns, calibration) == pytest.approx(alone + 4.0)


def test_the_user_is_told_unless_beats_are_clearly_wide_enough():
    assert pace_warning(-5.0) == []
    assert "25 mm/s was taken" in pace_warning(-1.0)[0]
    assert "12.5 mm/s was taken, as the beats are too narrow for 25 mm/s" in pace_warning(2.0)[0]


def test_a_page_at_half_speed_is_read_at_half_speed(checkpoint):
    from hub_scripts.loading import load_reader
    from hub_scripts.scoring import score_page

    recording = simulate(6, rhythm="sinus_rhythm")
    page = render(recording, seed=6, layout="3x4+1", speed=12.5, gain=10.0, pixels_per_mm=6.0)
    reading, _ = load_reader(str(checkpoint)).read([page.image])[0]
    assert reading.speed[0] == 12.5
    assert any("12.5 mm/s was taken" in warning for warning in reading.warnings)
    score = score_page(recording.signal, recording.sampling_rate, page.printed(), reading.signal, 500.0)
    assert score.snr_db > 8
