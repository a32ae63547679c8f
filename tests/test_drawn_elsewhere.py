"""Pages that another library drew: what holds for our renderer's pages alone shows here."""

import numpy as np
import pytest
from transformers import AutoModel, AutoProcessor

import modeling_ecgscan  # noqa: F401
from hub_scripts.scoring import score_page
from processing.layouts import LAYOUTS
from processing.leads import LEADS
from processing.records import Recording
from processing.simulator import simulate

WIDTH_MM, GAP_MM, LEFT_MM, PX_PER_MM = 270.0, 30.0, 12.0, 150 / 25.4
SPEED, GAIN, ROW_S = 25.0, 10.0, 10.0


@pytest.fixture(scope="module")
def read(checkpoint):
    model, processor = AutoModel.from_pretrained(checkpoint).eval(), AutoProcessor.from_pretrained(checkpoint)
    return lambda image: model.read(**processor(images=image, return_tensors="pt"))[0]


def drawn(recording: Recording, layout: str, *, grid: bool, pulse: bool, gain: float = GAIN) -> np.ndarray:
    """A page at 150 dots per inch, (height, width, 3) uint8, as Matplotlib draws it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [list(row) for row in LAYOUTS[layout].rows]
    height = GAP_MM * len(rows) + 30.0
    figure = Figure(figsize=(WIDTH_MM / 25.4, height / 25.4), dpi=150)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, WIDTH_MM), ylim=(0, height), xticks=[], yticks=[])
    for step, line in ((1.0, 0.3), (5.0, 0.8)) if grid else ():
        axes.vlines(np.arange(0, WIDTH_MM, step), 0, height, color="#f4a0a0", linewidth=line)
        axes.hlines(np.arange(0, height, step), 0, WIDTH_MM, color="#f4a0a0", linewidth=line)
    for number, row in enumerate(rows):
        middle = height - 20.0 - GAP_MM * (number + 0.5)
        for column, lead in enumerate(row):
            seconds = ROW_S / len(row)
            first, last = (round(at * seconds * recording.sampling_rate) for at in (column, column + 1))
            values = recording.signal[LEADS.index(lead), first:last]
            x = LEFT_MM + SPEED * (column * seconds + np.arange(len(values)) / recording.sampling_rate)
            axes.plot(x, middle + gain * values, color="black", linewidth=0.8)
            axes.text(x[0] + 1.0, middle + 8.0, lead, fontsize=9)
        if pulse:
            axes.plot(
                LEFT_MM - 10.0 + np.array([0, 2, 2, 7, 7, 9]), middle + gain * np.array([0, 0, 1, 1, 0, 0]), "k", lw=0.8
            )
    axes.text(LEFT_MM, 4.0, f"{SPEED:g} mm/s    {gain:g} mm/mV", fontsize=8)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


@pytest.mark.parametrize(("layout", "pulse"), [("3x4+1", False), ("6x2", True)])
def test_a_flat_page_without_a_grid_has_the_scale_of_its_rows(read, layout, pulse):
    recording = simulate(2)
    reading = read(drawn(recording, layout, grid=False, pulse=pulse))
    assert reading.layout["name"] == layout
    assert reading.grid_px_per_mm == pytest.approx(PX_PER_MM, rel=2e-3)
    seconds = ROW_S / len(LAYOUTS[layout].rows[0])
    printed = {
        lead: [column * seconds, (column + 1) * seconds]
        for row in LAYOUTS[layout].rows
        if len(row) > 1
        for column, lead in enumerate(row)
    }
    assert score_page(recording.signal, recording.sampling_rate, printed, reading.signal, 500.0).snr_db > 15.0


def test_an_unusual_gain_that_is_printed_in_words_alone_is_read(read):
    reading = read(drawn(simulate(2), "6x2", grid=True, pulse=False, gain=20.0))
    assert reading.gain == (20.0, "read")
    assert reading.speed == (25.0, "read")
