"""What a page looks like before it is drawn: layout, scales, grid, type and marks, all drawn from one seed."""

from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from .layouts import LAYOUTS, Layout, with_rhythm
from .page_pens import Join

RGB = tuple[int, int, int]
_THICKEST_MM = 0.8
_Option = TypeVar("_Option", bound=str)

# (name, share, paper, minor lines, major lines); every colour is jittered when drawn.
GRID_COLOURS: tuple[tuple[str, float, RGB, RGB, RGB], ...] = (
    ("red", 0.20, (255, 250, 248), (250, 200, 200), (235, 130, 130)),
    ("pink", 0.15, (255, 236, 240), (248, 196, 206), (232, 140, 158)),
    ("magenta", 0.04, (250, 215, 245), (240, 175, 230), (222, 120, 205)),
    ("orange", 0.08, (255, 248, 238), (250, 214, 178), (236, 168, 112)),
    ("brown", 0.12, (236, 220, 200), (214, 188, 160), (170, 128, 100)),
    ("green", 0.07, (236, 250, 238), (184, 224, 190), (120, 180, 132)),
    ("blue", 0.05, (244, 248, 255), (196, 212, 240), (132, 160, 214)),
    ("grey", 0.17, (252, 252, 252), (220, 220, 220), (170, 170, 170)),
    ("dark", 0.12, (245, 245, 245), (200, 160, 160), (150, 70, 70)),
)
GRID_KINDS: tuple[tuple[str, float], ...] = (
    ("full", 0.50),
    ("major", 0.22),
    ("faint", 0.12),
    ("dotted", 0.09),
    ("none", 0.07),
)
# ours
JOINS: tuple[tuple[Join, float], ...] = (("round", 0.6), ("pixels", 0.15), ("miter", 0.15), ("bevel", 0.1))
TRAINING_LAYOUTS: tuple[tuple[str, float], ...] = (
    ("3x4+1", 0.36),
    ("3x4", 0.11),
    ("3x4+3", 0.08),
    ("3x4+2", 0.03),
    ("6x2", 0.11),
    ("6x2+1", 0.03),
    ("12x1", 0.09),
    ("6x1-limb", 0.06),
    ("6x1-chest", 0.06),
    ("3x2-chest", 0.02),
    ("3x2-limb", 0.01),
    ("4x3", 0.01),
    ("6x2-cabrera", 0.02),
    ("12x1-cabrera", 0.01),
)


@dataclass
class PageStyle:
    """All choices that make one page; lengths in millimetres on paper."""

    layout: Layout
    speed: float = 25.0
    gain: float = 10.0
    columns: str = "sequential"
    column_s: float = 2.5
    printed_share: float = 1.0
    page_mm: tuple[float, float] = (297.0, 210.0)
    left_mm: float = 20.0
    baselines_mm: list[float] = field(default_factory=list)
    pixels_per_mm: float = 6.0
    paper: RGB = (255, 255, 255)
    minor: RGB = (250, 200, 200)
    major: RGB = (235, 130, 130)
    grid_kind: str = "full"
    grid_box: tuple[float, float, float, float] = (5.0, 5.0, 292.0, 205.0)
    grid_phase: tuple[float, float] = (0.0, 0.0)
    grid_alpha: tuple[float, float] = (0.9, 1.0)
    minor_px: int = 1
    major_px: int = 1
    grid_border: bool = False
    ink: RGB = (20, 20, 20)
    trace_mm: float = 0.3
    join: Join = "round"
    trace_rate: float = 500.0
    joined: bool = True
    separator: str = "none"
    separator_mm: float = 8.0
    separator_px: int = 2
    pulse: str = "left"
    pulse_rows: str = "all"
    pulse_mm: float = 5.0
    pulse_gap_mm: float = 0.0
    label_place: str = "above"
    label_mm: float = 3.5
    label_offset_mm: tuple[float, float] = (1.0, 6.0)
    font: str = "sans"
    header: bool = True
    footer: bool = True
    handwriting: bool = False


def _choose(rng: np.random.Generator, options: tuple[tuple[_Option, float], ...]) -> _Option:
    shares = np.array([share for _, share in options])
    return options[int(rng.choice(len(options), p=shares / shares.sum()))][0]


def _sample_layout(rng: np.random.Generator, name: str | None, rhythm: tuple[str, ...] | None) -> Layout:
    layout = LAYOUTS[name if name is not None else _choose(rng, TRAINING_LAYOUTS)]
    if not layout.rhythm_rows:
        return layout
    if rhythm is None and layout.rhythm_rows == 1 and rng.random() < 0.35:
        rhythm = (str(rng.choice(["II", "V1", "V5", "III", "I", "V2", "aVF", "V6"])),)
    elif rhythm is None and layout.rhythm_rows > 1 and rng.random() < 0.5:
        rhythm = tuple(rng.choice(["II", "V1", "V5", "III", "V2", "aVF"], layout.rhythm_rows, replace=False).tolist())
    return with_rhythm(layout, rhythm) if rhythm else layout


def _sample_grid(rng: np.random.Generator, style: PageStyle) -> None:
    shares = np.array([entry[1] for entry in GRID_COLOURS])
    _, _, paper, minor, major = GRID_COLOURS[int(rng.choice(len(GRID_COLOURS), p=shares / shares.sum()))]
    if rng.random() < 0.35:
        paper = (255, 255, 255)

    def jitter(colour: RGB, spread: float) -> RGB:
        return tuple(int(np.clip(c + rng.normal(0, spread), 0, 255)) for c in colour)  # type: ignore[return-value]

    style.paper, style.minor, style.major = jitter(paper, 5), jitter(minor, 12), jitter(major, 25)
    style.grid_kind = _choose(rng, GRID_KINDS)
    style.grid_alpha = (float(rng.uniform(0.4, 1.0)), float(rng.uniform(0.6, 1.0)))
    if style.grid_kind == "faint":
        style.grid_alpha = (float(rng.uniform(0.0, 0.2)), float(rng.uniform(0.15, 0.4)))
    if style.grid_kind == "major" and rng.random() < 0.6:
        style.major = jitter((150, 50, 50) if rng.random() < 0.7 else (60, 60, 60), 20)
    style.major_px = int(rng.choice([1, 2, 3], p=[0.55, 0.35, 0.10]))
    style.grid_phase = (float(rng.uniform(0, 5)), float(rng.uniform(0, 5)))
    style.grid_border = bool(rng.random() < 0.3)


def _sample_marks(rng: np.random.Generator, style: PageStyle) -> None:
    dark = int(rng.choice([10, 30, 60, 90], p=[0.5, 0.25, 0.15, 0.1]))
    style.ink = (dark, dark, dark) if rng.random() < 0.85 else (dark // 2, dark // 2, min(255, dark + 70))
    style.trace_mm = float(rng.choice([0.15, 0.22, 0.3, 0.4, 0.5], p=[0.15, 0.25, 0.3, 0.2, 0.1]))
    style.trace_rate = float(rng.choice([500.0, 250.0, 125.0], p=[0.55, 0.4, 0.05]))
    style.joined = bool(rng.random() < 0.55)
    style.separator = _choose(rng, (("none", 0.38), ("bar", 0.32), ("line", 0.12), ("ticks", 0.12), ("dashed", 0.06)))
    style.separator_mm = float(rng.uniform(4, 11))
    style.separator_px = int(rng.choice([1, 2, 3, 4]))
    style.pulse = _choose(rng, (("left", 0.62), ("right", 0.12), ("none", 0.26)))
    style.pulse_rows = _choose(rng, (("all", 0.85), ("last", 0.10), ("first", 0.05)))
    style.pulse_mm = float(rng.choice([5.0, 2.5, 4.0], p=[0.7, 0.15, 0.15])) * style.speed / 25.0
    style.pulse_gap_mm = float(rng.choice([0.0, 1.0, 2.0, 3.0], p=[0.6, 0.15, 0.15, 0.1]))
    style.label_place = _choose(rng, (("above", 0.45), ("below", 0.35), ("on", 0.10), ("before", 0.10)))
    style.label_mm = float(rng.uniform(2.2, 4.6))
    drop = {
        "above": -rng.uniform(4, 13),
        "below": rng.uniform(3, 8),
        "on": rng.uniform(-2, 3),
        "before": rng.uniform(-3, 3),
    }
    across = (
        -rng.uniform(6, 10) if style.label_place == "before" else rng.uniform(-0.5, 4.0 if rng.random() < 0.8 else 9.0)
    )
    style.label_offset_mm = (float(across), float(drop[style.label_place]))
    style.font = str(rng.choice(["sans", "serif", "mono", "bold", "hershey", "hershey2", "condensed"]))
    style.header, style.footer = bool(rng.random() < 0.65), bool(rng.random() < 0.65)
    style.handwriting = bool(rng.random() < 0.2)


def vary_pen(rng: np.random.Generator, style: PageStyle) -> None:
    """A pen that is a little thicker or thinner, now and then much thicker, and how its strokes meet."""
    style.trace_mm *= float(np.exp(rng.normal(0, 0.12)))
    if rng.random() < 0.15:
        style.trace_mm = min(style.trace_mm * float(rng.uniform(1.3, 1.9)), _THICKEST_MM)
    style.join = _choose(rng, JOINS)


def _place_rows(rng: np.random.Generator, style: PageStyle, tight: bool) -> None:
    rows = len(style.layout.rows)
    spacing = (
        float(np.clip(rng.normal({True: 34, False: 26}[rows <= 4], 5), 18, 44))
        if rows <= 8
        else float(rng.uniform(11, 19))
    )
    spacing *= 1.0 + 0.25 * (style.gain > 10) * (rows <= 4)
    gaps = spacing * (1.0 + (rng.normal(0, 0.06, rows) if rng.random() < 0.4 else np.zeros(rows)))
    width = style.column_s * style.speed * style.layout.n_columns
    if style.pulse == "left" or style.label_place == "before":
        left = float(rng.uniform(6, 34))
    else:
        left = float(rng.uniform(0.2, 3) if rng.random() < 0.3 else rng.uniform(3, 30))
    right = float(rng.uniform(12, 30)) if style.pulse == "right" else float(rng.uniform(3, 25))
    top = float(rng.uniform(4, 12)) if tight else float(rng.uniform(15, 75))
    bottom = float(rng.uniform(3, 10)) if tight else float(rng.uniform(8, 40))
    if style.pulse == "left":
        left = max(left, style.pulse_mm + style.pulse_gap_mm + 2.0 + (8.0 if style.label_place == "before" else 0.0))
    style.left_mm = left
    style.baselines_mm = (top + spacing * 0.55 + np.cumsum(gaps) - gaps[0]).tolist()
    style.page_mm = (left + width + right, style.baselines_mm[-1] + spacing * 0.5 + bottom)
    inset = 0.0 if tight or rng.random() < 0.5 else float(rng.uniform(2, 9))
    head = min(top - 3.0, float(rng.uniform(8, 60))) if style.header and not tight and rng.random() < 0.5 else inset
    style.grid_box = (inset, max(head, 0.0), style.page_mm[0] - inset, style.page_mm[1] - inset)


def sample_style(
    rng: np.random.Generator,
    *,
    layout: str | None = None,
    rhythm: tuple[str, ...] | None = None,
    columns: str = "sequential",
    speed: float | None = None,
    gain: float | None = None,
    pixels_per_mm: float | None = None,
    duration_s: float = 10.0,
) -> PageStyle:
    """A random page style.

    Args:
        layout: name out of `LAYOUTS`, or None for any.
        rhythm: leads of the rhythm strips, or None for any.
        columns: "sequential" (columns follow one another in time) or "simultaneous" (all from the same moment).
        speed: paper speed in mm/s, or None for any of 25 (most) and 50.
        gain: mm/mV, or None for any of 10 (most), 5 and 20.
        pixels_per_mm: resolution of the drawing, or None for 5 to 8.
        duration_s: length of the recording; a page never prints more.

    Raises:
        ValueError: for an unknown layout.
    """
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"layout {layout!r} is unknown; known layouts: {', '.join(LAYOUTS)}")
    style = PageStyle(_sample_layout(rng, layout, rhythm), columns=columns)
    few_columns = style.layout.n_columns <= 2
    style.speed = (
        speed if speed is not None else float(rng.choice([25.0, 50.0], p=[0.75, 0.25] if few_columns else [0.95, 0.05]))
    )
    style.gain = gain if gain is not None else float(rng.choice([10.0, 5.0, 20.0], p=[0.88, 0.08, 0.04]))
    total_s = min(
        duration_s, 250.0 / style.speed if rng.random() < 0.85 or style.speed > 25 else float(rng.uniform(5.0, 10.0))
    )
    style.column_s = total_s / style.layout.n_columns
    style.printed_share = float(rng.choice([1.0, rng.uniform(0.975, 0.998)], p=[0.75, 0.25]))
    style.pixels_per_mm = pixels_per_mm if pixels_per_mm is not None else float(rng.uniform(5.0, 8.0))
    _sample_grid(rng, style)
    _sample_marks(rng, style)
    _place_rows(rng, style, tight=bool(rng.random() < 0.3))
    return style
