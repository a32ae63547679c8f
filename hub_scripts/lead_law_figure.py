"""A figure of the lead laws: how far signals miss them, over recordings and on one recording's page."""

from pathlib import Path
from typing import Any

import numpy as np

from processing.leads import LIMB_LEADS

from .benchmark_completion import Answered, Completed, laws_missed_uv

_FS = 500.0
_MM_PER_S, _MM_PER_MV, _ROW_MM, _MARGIN_MM = 25.0, 10.0, 15.0, 10.0
_INK, _INFERRED, _REPEATED, _RECORDED = "#1b1b1f", "#1f6fd1", "#e08e00", "#7b828c"
_FINE, _COARSE = "#f8dcd8", "#eeb4ac"
_KINDS = (  # attribute of `Completed`, name, colour
    ("true_law_uv", "recorded", _RECORDED),
    ("mean_beat_law_uv", "mean beat\nrepeated", _REPEATED),
    ("law_uv", "inferred", _INFERRED),
)
_LINEAR_UV = 0.1  # below, the axis is linear, so that zero has a place on it


def draw_laws(path: Path, found: list[Completed], typical: Answered) -> None:
    """Draws the residuals of all recordings beside the limb leads of one, and writes it as a PNG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 6.4), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1, 2.6), height_ratios=(3, 1))
    _distribution(figure.add_subplot(grid[:, 0]), found)
    _page(figure.add_subplot(grid[0, 1]), typical)
    _residuals(figure.add_subplot(grid[1, 1]), typical)
    figure.savefig(path, dpi=110)


def typical_record(found: list[Completed]) -> str:
    """The identifier of the recording whose repeated mean beat misses the laws by the median."""
    ordered = sorted(found, key=lambda one: one.mean_beat_law_uv)
    return ordered[len(ordered) // 2].record_id


def _distribution(axes: Any, found: list[Completed]) -> None:
    rng = np.random.default_rng(0)
    for place, (attribute, _, colour) in enumerate(_KINDS):
        values = np.array([getattr(one, attribute) for one in found])
        median = float(np.median(values))
        axes.scatter(place + rng.uniform(-0.22, 0.22, len(values)), values, s=9, color=colour, alpha=0.5, linewidths=0)
        axes.hlines(median, place - 0.3, place + 0.3, color=_INK, linewidth=1.5)
        axes.annotate(f"{median:.2f}", (place + 0.32, median), va="center", fontsize=9)
    axes.set_yscale("symlog", linthresh=_LINEAR_UV)
    axes.yaxis.set_major_formatter("{x:g}")
    highest = max(one.mean_beat_law_uv for one in found)
    axes.set_ylim(-_LINEAR_UV / 5, 10.0 ** np.ceil(np.log10(max(highest, 1.0))) * 1.1)
    axes.set_xticks(range(len(_KINDS)), [name for _, name, _ in _KINDS])
    axes.set_xlim(-0.5, len(_KINDS) - 0.3)
    axes.set_ylabel("lead laws missed by (µV), mean over laws and time")
    axes.set_title(f"{len(found)} recordings, medians", fontsize=11)
    axes.grid(axis="y", color="#e6e8eb", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _page(axes: Any, typical: Answered) -> None:
    """The limb leads one below another on ECG paper, in mm: what is printed in ink, what is inferred in colour."""
    samples = typical.truth.shape[1]
    along = np.arange(samples) / _FS * _MM_PER_S
    traces = _MM_PER_MV * typical.answers["inferred"][: len(LIMB_LEADS)]
    traces += _ROW_MM * np.arange(len(LIMB_LEADS))[::-1, None]
    traces += max(_MARGIN_MM, 5 * np.ceil(-traces.min() / 5))
    height = max(np.median(traces[0]) + _MARGIN_MM, 5 * np.ceil(traces.max() / 5))
    _paper(axes, samples / _FS * _MM_PER_S, height)
    for row, (lead, trace, shown) in enumerate(zip(LIMB_LEADS, traces, typical.shown, strict=False)):
        for part, colour in ((~shown, _INFERRED), (shown, _INK)):
            axes.plot(along, np.where(part, trace, np.nan), color=colour, linewidth=1.0, label="_" if row else None)
        axes.text(-2, np.median(trace), lead, ha="right", va="center", fontsize=10)
    handles = axes.get_lines()[:2]
    axes.legend(
        handles[::-1], ["printed", "inferred"], loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False
    )
    axes.set_title("one recording, limb leads (25 mm/s, 10 mm/mV)", fontsize=11, loc="left")


def _paper(axes: Any, width: float, height: float) -> None:
    for step, colour, line in ((1.0, _FINE, 0.4), (5.0, _COARSE, 0.6)):
        axes.vlines(np.arange(0, width + step / 2, step), 0, height, color=colour, linewidth=line, zorder=0)
        axes.hlines(np.arange(0, height + step / 2, step), 0, width, color=colour, linewidth=line, zorder=0)
    axes.set(xlim=(0, width), ylim=(0, height), aspect="equal", anchor="SW", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _residuals(axes: Any, typical: Answered) -> None:
    time = np.arange(typical.truth.shape[1]) / _FS
    for name, signal, colour in (
        ("mean beat repeated", typical.answers["mean beat"], _REPEATED),
        ("recorded", typical.recorded, _RECORDED),
        ("inferred", typical.answers["inferred"], _INFERRED),
    ):
        axes.plot(time, laws_missed_uv(signal), color=colour, linewidth=0.8, label=name)
    axes.set(xlim=(0, time[-1]), xlabel="time (s)", ylabel="laws missed\nby (µV)")
    axes.set_ylim(bottom=-0.04 * axes.get_ylim()[1])  # zero clear of the frame
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
