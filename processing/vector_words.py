"""Words of a PDF page, with the place and the direction in which they are shown."""

import ctypes
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Point = tuple[float, float]


@dataclass(frozen=True)
class DrawnWord:
    """A word and its box in points from the upper left corner."""

    text: str
    left: float
    top: float
    right: float
    bottom: float


def quarter_map(turn: int, size: Point) -> np.ndarray:
    """(2, 3) that turns the shown page so that text running at `turn` quarters clockwise becomes upright."""
    width, height = size
    return np.array(
        [
            [[1, 0, 0], [0, 1, 0]],
            [[0, 1, 0], [-1, 0, width]],
            [[-1, 0, width], [0, -1, height]],
            [[0, -1, height], [1, 0, 0]],
        ][turn],
        float,
    )


def mapped(affine: np.ndarray, points: Any) -> np.ndarray:
    return np.asarray(points, float) @ affine[:, :2].T + affine[:, 2]


@dataclass(frozen=True)
class Character:
    text: str
    turn: int  # quarters clockwise, as shown; -1 for a space
    box: tuple[float, float, float, float]


def characters_of(page: Any, shown: np.ndarray) -> tuple[list[Character], str]:
    """Characters with their boxes (left, top, right, bottom) as shown, and the text as one string."""
    import pypdfium2.raw as raw

    found = []
    textpage = page.get_textpage()
    try:
        matrix = raw.FS_MATRIX()
        sides = [ctypes.c_double() for _ in range(4)]
        for index in range(textpage.count_chars()):
            letter = chr(raw.FPDFText_GetUnicode(textpage.raw, index))
            if letter.isspace() or not raw.FPDFText_GetCharBox(textpage.raw, index, *sides):
                found.append(Character(" ", -1, (0.0, 0.0, 0.0, 0.0)))
                continue
            left, right, bottom, top = (side.value for side in sides)
            corners = mapped(shown, [(left, bottom), (right, top)])
            raw.FPDFText_GetMatrix(textpage.raw, index, matrix)
            along = shown[:, :2] @ (matrix.a, matrix.b)
            turn = round(math.atan2(along[1], along[0]) / (math.pi / 2)) % 4
            found.append(Character(letter, turn, (*corners.min(0), *corners.max(0))))
        return found, textpage.get_text_bounded() if found else ""
    finally:
        textpage.close()


def _turned(character: Character, turn: int, size: Point) -> Character:
    left, top, right, bottom = character.box
    corners = mapped(quarter_map(turn, size), [(left, top), (right, bottom)])
    return Character(character.text, 0, (*corners.min(0), *corners.max(0)))


def words_of(characters: list[Character], turn: int, size: Point) -> list[DrawnWord]:
    """Characters of one direction that follow one another closely on one line, turned upright."""
    words: list[DrawnWord] = []
    last: Character | None = None
    for character in characters:
        if character.text == " ":
            last = None
        if character.turn != turn:
            continue
        new = _turned(character, turn, size)
        left, top, right, bottom = new.box
        if last is not None and _follows(last, new):
            word = words[-1]
            box = min(word.left, left), min(word.top, top), max(word.right, right), max(word.bottom, bottom)
            words[-1] = DrawnWord(word.text + new.text, *box)
        else:
            words.append(DrawnWord(new.text, *new.box))
        last = new
    return words


def _follows(last: Character, new: Character) -> bool:
    """Whether a character goes on with the word of the last one; it may stand a little higher or lower."""
    last_height, height = (box[3] - box[1] for box in (last.box, new.box))
    gap = new.box[0] - last.box[2]
    shared = min(new.box[3], last.box[3]) - max(new.box[1], last.box[1])
    return -0.3 < gap / max(last_height, height, 1e-6) < 0.35 and shared > 0.3 * min(last_height, height)
