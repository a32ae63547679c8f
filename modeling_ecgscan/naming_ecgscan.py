"""Name: a network that finds what is printed on a flattened page: names of leads, paper speed and gain."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from .blocks_ecgscan import ConvNorm, Residual
from .locating_ecgscan import GAINS, SPEEDS

NAME_STRIDE = 8
NAME_CLASSES = 13 + len(SPEEDS) + len(GAINS)  # nothing, twelve leads, paper speeds, gains
_PAPER_CELLS = 15  # over which the brightness of the paper is averaged
_REACH_MM = 20.0  # a name is printed this near the place where its strip begins
_LEAST = 0.02  # a probability below which nothing is known
_FARTHER = 0.004  # price of a name that stands away from its strip's beginning, per square millimetre
_MISSING = 1.5  # price (log odds) of a strip without its name


class NameReader(nn.Module):
    """Where on a flattened page which lead's name, paper speed or gain is printed.

    Args:
        widths: channels at strides 4 and 8.
        depths: residual blocks at each stride.
    """

    def __init__(self, widths: list[int], depths: list[int]) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.PixelUnshuffle(4),
            ConvNorm(3 * 16, widths[0]),
            *(Residual(widths[0]) for _ in range(depths[0])),
            ConvNorm(widths[0], widths[1], 3, 2),
            *(Residual(widths[1]) for _ in range(depths[1])),
        )
        self.head = nn.Conv2d(widths[1], NAME_CLASSES, 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Logits per cell: nothing is centred here, or one lead's name, a paper speed or a gain in words.

        Args:
            pictures: (batch, 3, H, W), 0 to 255, sides divisible by 8.

        Returns:
            (batch, `NAME_CLASSES`, H/8, W/8).
        """
        coarse = functional.avg_pool2d(pictures, NAME_STRIDE)
        paper = functional.avg_pool2d(coarse, _PAPER_CELLS, 1, _PAPER_CELLS // 2, count_include_pad=False)
        paper = functional.interpolate(paper, scale_factor=NAME_STRIDE, mode="bilinear").clamp_min(20.0)
        return self.head(self.net((2.0 * pictures / paper - 2.0).clamp(-2.0, 1.0)))


def in_words(share: np.ndarray) -> np.ndarray:
    """(values,) probability that each is printed somewhere, of (values, rows, columns) probabilities by cell.

    Neighbouring cells see the same words: all of them together tell which value it is, the surest one whether any is.
    """
    total = share.sum((1, 2))
    return total / max(float(total.sum()), 1e-6) * float(share.sum(0).max())


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
        import cv2

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
