"""Where strokes cross, a trace goes on as it came."""

import numpy as np
import pytest
import torch

from modeling_ecgscan.onnx_ecgscan import heights_mm
from modeling_ecgscan.onward_ecgscan import gone_on, onward_heights
from modeling_ecgscan.reading_ecgscan import StripReading
from modeling_ecgscan.terms_ecgscan import BIN_MM, COLUMNS_PER_PX, COSTS_PER_BIN, HEIGHT_BINS

PIXELS = 12


def evidence(*strokes: np.ndarray, sure_until: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a tile that shows some strokes (bins, one per pixel), of which only the first is seen at first."""
    logits = np.full((1, HEIGHT_BINS, PIXELS), -6.0, np.float32)
    for number, stroke in enumerate(strokes):
        for pixel, place in enumerate(stroke):
            if number == 0 or pixel >= sure_until:
                logits[0, place, pixel] = 3.0
    movement = np.zeros((1, len(COSTS_PER_BIN), PIXELS), np.float32)
    return logits.repeat(COLUMNS_PER_PX, 2), movement


def height_of(stroke: np.ndarray) -> np.ndarray:
    """Millimetres above the tile's middle, one per column."""
    return ((HEIGHT_BINS / 2 - 0.5 - stroke) * BIN_MM).repeat(COLUMNS_PER_PX)


FALLING, RISING = 7 + 10 * np.arange(PIXELS), 120 - 10 * np.arange(PIXELS)


@pytest.mark.parametrize(("own", "other"), [(FALLING, RISING), (RISING, FALLING)])
def test_a_stroke_goes_on_through_another_that_crosses_it(own, other):
    logits, movement = evidence(own, other, sure_until=3)
    undecided, spread = heights_mm(logits, movement)
    apart = height_of(other)[-1] - height_of(own)[-1]
    share = [
        (found[0, -1] - height_of(own)[-1]) / apart
        for found in (undecided, onward_heights(logits, movement)[0], gone_on(undecided, spread, logits, movement)[0])
    ]
    assert 0.4 < share[0] < 0.6
    assert 0 <= share[1] == share[2] < 0.35


def test_up_and_down_are_alike():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (2, HEIGHT_BINS, COLUMNS_PER_PX * PIXELS)).astype(np.float32)
    movement = rng.normal(0, 1, (2, len(COSTS_PER_BIN), PIXELS)).astype(np.float32)
    height, spread = onward_heights(logits, movement)
    turned, same = onward_heights(logits[:, ::-1], movement)
    np.testing.assert_allclose(turned, -height, atol=2e-3)
    np.testing.assert_allclose(same, spread, atol=2e-3)


def test_time_runs_either_way():
    logits, movement = evidence(FALLING, RISING, sure_until=3)
    height, _ = onward_heights(logits, movement)
    back, _ = onward_heights(logits[..., ::-1], movement)
    # but for the ends, of which nothing is known beyond
    np.testing.assert_allclose(back[:, -5:3:-1], height[:, 4:-4], atol=0.01)


def test_a_stroke_alone_is_read_as_without_the_class_of_its_steps():
    peak = 60 + 8 * np.abs(np.arange(PIXELS) - 6)
    logits, movement = evidence(peak)
    reading = StripReading(
        torch.from_numpy(logits),
        torch.zeros(1, logits.shape[2]),
        torch.from_numpy(movement),
        torch.zeros(1, 2),
        torch.zeros(1, 3),
    )
    height, spread = (part.numpy() for part in reading.height_mm())
    found, deviation = gone_on(height, spread, logits, movement)
    assert np.array_equal(found, height) and np.array_equal(deviation, spread)
