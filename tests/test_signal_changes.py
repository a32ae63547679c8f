"""Changes of recordings that leave what is said about them true."""

import numpy as np
import pytest

from processing.leads import LEADS, law_residuals, limb_leads_from
from processing.signal_changes import changed, electrodes_aside, loosened, moved_in_time, turned
from processing.simulator import simulate

LEAD_I, AVF = LEADS.index("I"), LEADS.index("aVF")


def axis(limb: np.ndarray) -> float:
    """Degrees of a constant vector from I and aVF."""
    return float(np.degrees(np.arctan2(limb[AVF, 0] * 2 / np.sqrt(3), limb[LEAD_I, 0])))


@pytest.mark.parametrize("degrees", [-30.0, 0.0, 75.0])
def test_a_turned_heart_has_its_axis_there_and_obeys_the_laws(degrees):
    along_ii = turned(np.full(3, 0.5), np.full(3, 1.0), degrees)  # of unit length along 60 degrees
    assert axis(along_ii) == pytest.approx(60.0 + degrees)
    assert np.hypot(along_ii[LEAD_I, 0], along_ii[AVF, 0] * 2 / np.sqrt(3)) == pytest.approx(1.0)
    assert np.abs(law_residuals(along_ii)).max() < 1e-12


def test_an_electrode_halfway_shows_the_mean_of_both_places():
    chest = np.arange(6.0)[:, None] * np.ones((6, 4))
    assert electrodes_aside(chest, np.array([0.5, -0.5, 0.0, 1.0, -1.0, 0.5]))[:, 0].tolist() == [0.5, 0.5, 2, 4, 3, 5]


def test_a_recording_goes_round_and_beats_come_sooner_at_a_faster_pace():
    beats = np.zeros((1, 100))
    beats[0, [20, 60]] = 1.0
    assert np.flatnonzero(moved_in_time(beats, 0.1, 1.0)[0] > 0.5).tolist() == [10, 50]
    assert np.flatnonzero(moved_in_time(beats, 0.3, 1.0)[0] > 0.5).tolist() == [30, 90]
    assert np.flatnonzero(moved_in_time(beats, 0.0, 2.0)[0] > 0.5).tolist() == [10, 30, 60, 80]


def test_a_changed_recording_is_lawful_differs_and_keeps_its_wander():
    recording = simulate(3)
    rng = np.random.default_rng(0)
    wander = np.sin(np.linspace(0, 2 * np.pi, recording.signal.shape[1])) * np.ones((12, 1))
    wander[:6] = limb_leads_from(wander[0], wander[1])
    found = changed(recording.signal + 5.0 * wander, rng)
    assert np.abs(law_residuals(found[:6])).max() < 1e-3
    assert np.corrcoef(found[6], wander[6])[0, 1] > 0.9
    assert np.abs(found - changed(recording.signal + 5.0 * wander, rng)).max() > 0.2


def test_no_change_at_all_is_the_recording_itself():
    class Still:
        def random(self):
            return 0.0

        def normal(self, mean, spread, size=None):
            return 0.0 if size is None else np.zeros(size)

    recording = simulate(4)
    lawful = np.concatenate([limb_leads_from(recording.signal[0], recording.signal[1]), recording.signal[6:]])
    assert np.abs(changed(lawful, Still()) - lawful).max() < 1e-4


def test_a_loose_electrode_swings_slowly_for_a_while_and_the_laws_hold():
    still = np.zeros((12, 5000), np.float32)
    swings = np.stack([loosened(still, np.random.default_rng(seed)) for seed in range(20)])
    assert max(np.abs(law_residuals(swing)).max() for swing in swings) < 1e-5
    assert np.median(np.abs(swings).max((1, 2))) > 1.0  # mV
    assert np.abs(np.diff(swings, axis=2)).max() < 0.15  # per 2 ms: no step
    resting = (np.abs(swings).max(1) < 1e-6).mean(1)
    assert (resting > 0.1).sum() > 10
