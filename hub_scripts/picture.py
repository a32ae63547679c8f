"""The page with what was read drawn over it: strips, names, traces and a line that says how it went."""

from typing import Any

import cv2
import numpy as np

LONGEST_SIDE = 2000
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_COLOURS = ((0, 92, 204), (0, 128, 72), (176, 48, 128), (196, 88, 0))
_STATUS_COLOURS = {"read": (0, 112, 56), "partial": (176, 104, 0), "no_ecg": (136, 136, 136)}


def draw_reading(image: np.ndarray, reading: Any, size: tuple[int, int]) -> np.ndarray:
    """Draws a reading over its page.

    Args:
        image: (height, width, 3) uint8 RGB.
        reading: the page's `ECGReading`.
        size: (height, width) of the pixels that the reading's geometry refers to.

    Returns:
        (height', width', 3) uint8 RGB with a longest side of at most 2000 pixels.
    """
    share = min(1.0, LONGEST_SIDE / max(image.shape[:2]))
    width, height = (max(1, round(side * share)) for side in (image.shape[1], image.shape[0]))
    canvas = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    # Pale paper lets thin coloured lines stand out, and still shows the ink under them.
    canvas = cv2.addWeighted(canvas, 0.55, np.full_like(canvas, 255), 0.45, 0)
    scale = np.array([width / size[1], height / size[0]])
    unit = max(width, height) / 1000
    for strip in reading.strips:
        colour = _COLOURS[strip["row"] % len(_COLOURS)]
        _outline(canvas, np.asarray(strip["outline_px"]) * scale, colour, unit)
        _trace(canvas, np.asarray(strip["polyline_px"]) * scale, colour, unit)
        _name(
            canvas, np.asarray(strip["outline_px"]) * scale, f"{strip['lead']} {strip['confidence']:.2f}", colour, unit
        )
    return np.concatenate([_heading(reading, width), canvas])


def _pixels(points: np.ndarray) -> np.ndarray:
    """(N, 1, 2) fixed-point pixels with four fractional bits, as OpenCV draws them without steps."""
    return np.rint(points * 16).astype(np.int32)[:, None]


def _outline(canvas: np.ndarray, points: np.ndarray, colour: tuple[int, int, int], unit: float) -> None:
    if len(points) and np.isfinite(points).all():
        cv2.polylines(canvas, [_pixels(points)], True, colour, max(1, round(0.8 * unit)), cv2.LINE_AA, 4)


def _trace(canvas: np.ndarray, points: np.ndarray, colour: tuple[int, int, int], unit: float) -> None:
    known = np.isfinite(points).all(axis=1)
    for piece in np.split(np.arange(len(points)), np.flatnonzero(np.diff(known)) + 1):
        if len(piece) > 1 and known[piece[0]]:
            cv2.polylines(canvas, [_pixels(points[piece])], False, colour, max(1, round(unit)), cv2.LINE_AA, 4)


def _name(canvas: np.ndarray, outline: np.ndarray, text: str, colour: tuple[int, int, int], unit: float) -> None:
    if not len(outline) or not np.isfinite(outline).all():
        return
    size = 0.45 * unit
    thickness = max(1, round(unit))
    (width, height), below = cv2.getTextSize(text, _FONT, size, thickness)
    corner = outline[0]
    x = int(np.clip(corner[0], 0, max(0, canvas.shape[1] - width)))
    y = int(np.clip(corner[1], height, max(height, canvas.shape[0] - below)))
    cv2.rectangle(canvas, (x, y - height - 2), (x + width, y + below), (255, 255, 255), -1)
    cv2.putText(canvas, text, (x, y), _FONT, size, colour, thickness, cv2.LINE_AA)


def _heading(reading: Any, width: int) -> np.ndarray:
    """A band that says status, layout, scales and reason; long texts are broken to the picture's width."""
    parts = [reading.status, f"quality {reading.quality:.2f}"]
    if reading.status != "no_ecg":
        parts.append(str(reading.layout["name"]))
        parts.append(f"{reading.speed[0]:g} mm/s ({reading.speed[1]})")
        parts.append(f"{reading.gain[0]:g} mm/mV ({reading.gain[1]})")
    if reading.heart_rate_bpm is not None:
        parts.append(f"{reading.heart_rate_bpm:.0f} bpm")
    lines = ["   ".join(parts)]
    size = max(0.35, width / 1800)
    character = cv2.getTextSize("n", _FONT, size, 1)[0][0]
    for word in (reading.reason or "").split():
        if len(lines) == 1 or (len(lines[-1]) + len(word)) * character > 0.95 * width:
            lines.append(word)
        else:
            lines[-1] += f" {word}"
    pitch = round(40 * size)
    band = np.full((pitch * len(lines) + round(12 * size), width, 3), 255, np.uint8)
    colour = _STATUS_COLOURS.get(reading.status, (160, 0, 0))
    for index, line in enumerate(lines):
        place = (round(10 * size), pitch * (index + 1) - round(8 * size))
        cv2.putText(band, line, place, _FONT, size, colour, max(1, round(1.5 * size)), cv2.LINE_AA)
    return band
