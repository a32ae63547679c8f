"""What a drawn page says of its scale: printed grid, calibration pulses, and the words for speed and gain."""

import re
from dataclasses import dataclass

import numpy as np

from processing.vector_pages import DrawnLine

POINTS_PER_MM = 72 / 25.4
SPEEDS = (5.0, 6.25, 10.0, 12.5, 25.0, 50.0, 100.0)
GAINS = (2.5, 5.0, 10.0, 20.0, 40.0)

_NUMBER = r"(\d+(?:[.,]\d+)?)"
_SPEED = re.compile(_NUMBER + r"\s*mm\s*/\s*s", re.I)
_GAIN = re.compile(rf"(?:{_NUMBER}\s*/\s*)?{_NUMBER}\s*mm\s*/\s*mv", re.I)
_LEAST_LINES = 6  # that make a grid
_REGULAR = 0.06  # of the spacing
_LEVEL_MM = 0.05  # within which a pulse's top is flat
_PULSE_REACH_MM = 16.0  # from an end of a line to the far side of a pulse
_PULSE_WIDTH_MM = (1.5, 12.0)
_EDGE_MM = 0.8  # that a pulse's edge may take along time
_PULSE_HEIGHT = 0.04  # by which a pulse may miss its height


class Doubt(Exception):
    """Something that the drawing does not explain beyond doubt; the message says what."""


@dataclass(frozen=True)
class Pulse:
    """A calibration pulse; millimetres.

    Attributes:
        height: above its foot, which is the row's zero.
        line: index of the line that it is part of, `first` and `last` its points there.
    """

    line: int
    first: int
    last: int
    left: float
    right: float
    foot: float
    height: float
    width: float


def printed_scale(text: str) -> tuple[float | None, float | None]:
    """Speed (mm/s) and gain (mm/mV) as written on the page, None where nothing is.

    Raises:
        Doubt: several different ones are written, or unusual ones.
    """
    speeds = {_value(found) for found in _SPEED.findall(text)}
    gains = {_value(part) for found in _GAIN.findall(text) for part in found if part}
    for name, values, usual in (("speed", speeds, SPEEDS), ("gain", gains, GAINS)):
        if len(values) > 1 or not values <= set(usual):
            raise Doubt(f"the page says {sorted(values)} of its {name}")
    return next(iter(speeds), None), next(iter(gains), None)


def _value(text: str) -> float:
    return float(text.replace(",", "."))


def grid_units(lines: list[DrawnLine], span: tuple[float, float, float, float]) -> tuple[float, float] | None:
    """Points per millimetre across and down, from printed lines 1 or 5 mm apart; None where there is no such grid.

    Args:
        span: (left, top, right, bottom) of the traces in points: the grid must lie under most of them.
    """
    units = [_grid_unit(lines, axis, (span[axis], span[axis + 2])) for axis in (0, 1)]
    if units[0] is None or units[1] is None:
        return None
    return units[0], units[1]


def _grid_unit(lines: list[DrawnLine], axis: int, span: tuple[float, float]) -> float | None:
    found = []
    for places, lengths in _straight_edges(lines, axis).values():
        spacing = _spacing(places, lengths, span)
        if spacing is not None:
            found.append(spacing)
    if not found:
        return None
    # of one and five millimetres only one lies within a factor of the root of five of the true size
    return min((min(found), min(found) / 5), key=lambda unit: abs(np.log(unit / POINTS_PER_MM)))


def _straight_edges(lines: list[DrawnLine], axis: int) -> dict[tuple[float, ...], tuple[np.ndarray, np.ndarray]]:
    """Per style the places along `axis` of all edges that run straight across it, and their lengths; points."""
    places: dict[tuple[float, ...], list[np.ndarray]] = {}
    for line in lines:
        step = np.abs(np.diff(line.points, axis=0))
        straight = (step[:, axis] < 0.02) & (step[:, 1 - axis] > POINTS_PER_MM)
        if straight.any():
            middle = (line.points[1:, axis] + line.points[:-1, axis])[straight] / 2
            places.setdefault(line.style, []).append(np.stack([middle, step[straight, 1 - axis]]))
    return {style: tuple(np.concatenate(parts, axis=1)) for style, parts in places.items()}


def _spacing(places: np.ndarray, lengths: np.ndarray, span: tuple[float, float]) -> float | None:
    """Points from one line to the next of a regular family of long lines under most of the span, else None."""
    order = np.argsort(places)
    places, lengths = places[order], lengths[order]
    group = np.concatenate([[0], np.cumsum(np.diff(places) > 0.1)])
    total = np.bincount(group, lengths)
    lines = (np.bincount(group, places * lengths) / total)[total > 0.5 * total.max()]
    if len(lines) < _LEAST_LINES or min(lines[-1], span[1]) - max(lines[0], span[0]) < 0.6 * (span[1] - span[0]):
        return None
    gaps = np.diff(lines)
    spacing = float(np.median(gaps))
    count = np.rint(gaps / spacing)
    # every fifth line may be drawn with another pen
    regular = (np.abs(gaps - count * spacing) < _REGULAR * spacing) & (count >= 1) & (count <= 2)
    if regular.mean() < 0.9:
        return None
    above = below = 0.0
    for run in np.split(np.arange(len(gaps)), np.flatnonzero(np.diff(regular)) + 1):
        if regular[run[0]]:
            steps = np.concatenate([[0], np.cumsum(count[run])])
            steps -= steps.mean()
            above += float(steps @ lines[run[0] : run[-1] + 2])
            below += float(steps @ steps)
    return above / below


def find_pulses(lines: list[np.ndarray]) -> list[Pulse]:
    """Calibration pulses of any height, alone or at an end of a trace.

    Args:
        lines: (N, 2) millimetres each, x not decreasing, y downwards.
    """
    found = []
    for index, line in enumerate(lines):
        flat = np.abs(np.diff(line[:, 1])) < _LEVEL_MM
        for run in np.split(np.arange(len(flat)), np.flatnonzero(np.diff(flat)) + 1) if len(flat) else ():
            pulse = _pulse(line, index, int(run[0]), int(run[-1]) + 1) if flat[run[0]] else None
            if pulse is not None:
                found.append(pulse)
    return found


def _pulse(line: np.ndarray, index: int, first: int, last: int) -> Pulse | None:
    """The pulse whose top runs from one point to another, if it is one."""
    x, y = line.T
    left, right, top = x[first], x[last], y[first]
    width = right - left
    near_end = min(right - x[0], x[-1] - left) < _PULSE_REACH_MM
    if not (_PULSE_WIDTH_MM[0] < width < _PULSE_WIDTH_MM[1] and near_end) or np.ptp(y[first : last + 1]) > _LEVEL_MM:
        return None
    before = np.flatnonzero(x[:first] >= left - _EDGE_MM)
    if not len(before):
        return None
    foot = float(y[before].max())
    height = foot - top
    after = np.flatnonzero(y[last:] >= foot - 0.02 * height) + last
    if height < 2.0 or not len(after) or x[after[0]] - right > _EDGE_MM or y[after[0]] > foot + 0.02 * height:
        return None
    return Pulse(index, int(before[0]), int(after[0]), float(left), float(right), foot, float(height), float(width))


def pulse_gain(pulses: list[Pulse]) -> float | None:
    """Gain (mm/mV) that all pulses agree on, None without pulses.

    Raises:
        Doubt: they disagree, or are of an unusual height.
    """
    gains = set()
    for pulse in pulses:
        gain = min(GAINS, key=lambda usual: abs(np.log(pulse.height / usual)))
        if abs(pulse.height / gain - 1) > _PULSE_HEIGHT:
            raise Doubt(f"a calibration pulse is {pulse.height:.2f} mm high")
        gains.add(gain)
    if len(gains) > 1:
        raise Doubt("the calibration pulses differ in height")
    return next(iter(gains), None)
