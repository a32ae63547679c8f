"""Name: a network that finds what is printed on a flattened page: names of leads, paper speed and gain."""

import torch
from torch import nn
from torch.nn import functional

from .blocks_ecgscan import ConvNorm, Residual
from .terms_ecgscan import NAME_CLASSES, NAME_STRIDE

_PAPER_CELLS = 15  # over which the brightness of the paper is averaged


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
