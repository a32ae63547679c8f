"""Locate: a dense network that says, cell by cell, where the paper's grid, the rows and the leads are."""

import torch
from torch import nn

from .blocks_ecgscan import UNet

# Channels of the dense output, stride 4 of the network's picture.
LOCATE_CHANNELS: dict[str, slice] = {
    "phase": slice(0, 4),  # sin and cos of the 5 mm grid along x, then along y
    "jacobian": slice(4, 8),  # paper millimetres per picture pixel: dx/dpx, dx/dpy, dy/dpx, dy/dpy
    "paper": slice(8, 9),  # logit: paper, not table
    "baseline": slice(9, 10),  # logit: baseline of a row
    "start": slice(10, 11),  # logit: first moment of a strip
    "end": slice(11, 12),  # logit: last moment of a strip
    "lead": slice(12, 25),  # logits: none, then the twelve leads
}
JACOBIAN_SCALE = 2.5  # the network predicts millimetres per pixel times this: about 1 on a full page
SPEEDS: tuple[float, ...] = (25.0, 50.0)
GAINS: tuple[float, ...] = (10.0, 5.0, 20.0)


class PageLocator(nn.Module):
    """Where everything is on the page.

    Args:
        widths: channels at strides 4, 8, 16 and 32.
        depths: residual blocks at each stride.
    """

    def __init__(self, widths: list[int], depths: list[int]) -> None:
        super().__init__()
        self.net = UNet(3, widths, depths, mixer_layers=2)
        self.head = nn.Conv2d(widths[0], LOCATE_CHANNELS["lead"].stop, 1)
        self.page_head = nn.Linear(2 * widths[-1], 1 + len(SPEEDS) + len(GAINS))

    def forward(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Dense maps and page logits.

        Args:
            picture: (batch, 3, H, W) in [0, 1], sides divisible by 32.

        Returns:
            (batch, 25, H/4, W/4) maps in the order of `LOCATE_CHANNELS`, and (batch, 6) logits: that the page
            holds an ECG, the paper speed (25, 50 mm/s), the gain (10, 5, 20 mm/mV).
        """
        features, deepest = self.net((picture - 0.6) / 0.25)
        pooled = torch.cat([deepest.mean((2, 3)), deepest.amax((2, 3))], dim=1)
        return self.head(features), self.page_head(pooled)
