"""What is printed in words on a flattened page: names of leads, paper speed and gain."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from .terms_ecgscan import GAINS, SPEEDS

_REACH_MM = 20.0  # a name is printed this near the place where its strip begins
_LEAST = 0.02  # a probability below which nothing is known
_FARTHER = 0.004  # price of a name that stands away from its strip's beginning, per square millimetre
# ours: all 136 that were told so surely on 134 rendered validation pages were right, 6 of 18 told less surely wrong
_WORDS_READ = 0.9
_SUREST = 0.9999  # ours: probability that words are read, beyond which nothing is known
_MISSING = 1.5  # price (log odds) of a strip without its name


def in_words(share: np.ndarray) -> np.ndarray:
    """(values,) probability that each is printed somewhere, of (values, rows, columns) probabilities by cell.

    Neighbouring cells see the same words, and tell together which value it is, the surest whether any is. A page has
    one value: other words that seem to tell another must then be none. All zero where no value is surely read.
    """
    anything = share.sum(0)
    if anything.max() < _WORDS_READ:
        return np.zeros(len(share))
    count, words = cv2.connectedComponents((anything >= anything.max() / 2).astype(np.uint8))
    told = np.array([_told(share[:, words == number]) for number in range(1, count)])
    none = 1.0 - np.minimum(told.sum(1), _SUREST)
    # that the page has a value, and that some words tell it
    printed = np.prod(told + none[:, None], axis=0) - np.prod(none)
    printed /= printed.sum() + np.prod(none)
    return printed if printed.max() >= _WORDS_READ else np.zeros(len(share))


def _told(cells: np.ndarray) -> np.ndarray:
    """(values,) probability of each of (values, cells) that see the same words."""
    return cells.sum(1) / max(float(cells.sum()), 1e-6) * float(cells.sum(0).max())


@dataclass
class PrintedNames:
    """What is printed on a flattened page.

    Attributes:
        share: (12, rows, columns) probability that a lead's name has its middle in a cell.
        origin_mm: (2,) place of the corner of the first cell.
        cell_mm: side of a cell.
        speeds, gains: probability that each is printed in words, in the order of `SPEEDS` and `GAINS`.
    """

    share: np.ndarray
    origin_mm: np.ndarray
    cell_mm: float
    speeds: np.ndarray = field(default_factory=lambda: np.zeros(len(SPEEDS)))
    gains: np.ndarray = field(default_factory=lambda: np.zeros(len(GAINS)))

    def __post_init__(self) -> None:
        kernel = np.ones((3, 5), np.uint8)
        near = np.stack([cv2.dilate(np.ascontiguousarray(lead, np.float32), kernel) for lead in self.share])
        self._evidence = np.log((near + _LEAST) / _LEAST)

    def fit(self, places_mm: np.ndarray, leads: np.ndarray) -> tuple[float, np.ndarray]:
        """How well names printed at one common offset from some places fit.

        Args:
            places_mm: (strips, 2) where each strip begins.
            leads: (strips,) index of each strip's lead, -1 where it may be any.

        Returns:
            Log odds, at the offset that fits best, and (strips, 12) evidence of every lead's name there.
        """
        steps = int(np.ceil(_REACH_MM / self.cell_mm))
        shift = np.arange(-steps, steps + 1)
        cells = np.floor((places_mm - self.origin_mm) / self.cell_mm).astype(int)
        rows, columns = self._evidence.shape[1:]
        down, across = cells[:, 1, None] + shift, cells[:, 0, None] + shift
        inside = ((down >= 0) & (down < rows))[:, :, None] & ((across >= 0) & (across < columns))[:, None, :]
        found = self._evidence[:, np.clip(down, 0, rows - 1)[:, :, None], np.clip(across, 0, columns - 1)[:, None, :]]
        found = np.where(inside, found, 0.0)  # (12, strips, down, across)
        any_lead = found.max(0)
        own = np.where((leads < 0)[:, None, None], any_lead, found[np.maximum(leads, 0), np.arange(len(leads))])
        away = np.square(shift * self.cell_mm)
        total = own.sum(0) - _MISSING * len(leads) - _FARTHER * (away[:, None] + away)
        best = np.unravel_index(int(total.argmax()), total.shape)
        return float(total[best]), found[:, :, best[0], best[1]].T
