"""Locate: a dense network that says, cell by cell, where the paper's grid, the rows and the leads are."""

import torch
from torch import nn

from .blocks_ecgscan import UNet
from .terms_ecgscan import GAINS, LOCATE_CHANNELS, SPEEDS


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
