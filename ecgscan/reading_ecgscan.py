"""Read: per column of a rectified strip a distribution over height, and whether the strip is there at all."""

from dataclasses import dataclass

import torch
from torch import nn

from .blocks_ecgscan import ConvNorm, UNet
from .terms_ecgscan import BIN_MM, COLUMNS_PER_PX, COSTS_PER_BIN, GAINS, HEIGHT_BINS, SPEEDS, TILE_CHANNELS


@dataclass
class StripReading:
    """Reading of a batch of tiles, `COLUMNS_PER_PX` columns per tile pixel.

    Attributes:
        logits: (batch, bins, columns) over height, bin 0 at the top.
        presence: (batch, columns) logit that the strip's trace is printed in this column.
        movement: (batch, costs, pixels) logits of how the trace goes on to the next pixel, in the order of
            `COSTS_PER_BIN`.
        speed: (batch, speeds) logits of the paper speed, in the order of `SPEEDS`.
        gain: (batch, gains) logits of the gain, in the order of `GAINS`.
    """

    logits: torch.Tensor
    presence: torch.Tensor
    movement: torch.Tensor
    speed: torch.Tensor
    gain: torch.Tensor

    @torch.autocast("cpu", enabled=False)
    @torch.autocast("cuda", enabled=False)
    def posterior(self) -> torch.Tensor:
        """(batch, bins, columns) distribution of the height given all columns of the tile.

        The tile's pixels are a hidden Markov chain in which a step of n bins weighs a mixture of exp(-n * cost). It is
        computed forward and backward, so that one row's R peak beside another's is given to the row from which
        a stroke leads to it. What a pixel sees is the mean of its columns; each of them then weighs what the rest of
        the chain expects there.
        """
        fine = self.logits.float().softmax(1).permute(2, 0, 1).unflatten(0, (-1, COLUMNS_PER_PX)) + 1e-4
        # evidence of every pixel, as seen by the chain that runs forward and, after it, by the one that runs back
        share = fine.mean(1)
        batch, bins = share.shape[1:]
        weight = self.movement.float().softmax(1).permute(2, 0, 1).unsqueeze(2)
        columns = torch.cat([share, share.flip(0)], 1).unbind()
        weights = torch.cat([torch.cat([weight[:1], weight[:-1]]), weight.flip(0)], 1).unbind()
        index = torch.arange(bins, device=share.device, dtype=torch.float32)
        apart = (index[:, None] - index).abs()
        moves = torch.cat([torch.exp(-cost * apart) for cost in COSTS_PER_BIN], 1)
        before = [torch.full_like(columns[0], 1.0 / bins)]
        so_far = [columns[0] / columns[0].sum(1, keepdim=True)]
        for column, mixture in zip(columns[1:], weights[1:], strict=True):
            expected = mixture.bmm((so_far[-1] @ moves).view(2 * batch, -1, bins))[:, 0]
            before.append(expected / expected.sum(1, keepdim=True))
            seen = before[-1] * column
            so_far.append(seen / seen.sum(1, keepdim=True))
        expected = torch.stack(before)
        joint = (expected[:, :batch] * expected[:, batch:].flip(0)).unsqueeze(1) * fine
        return (joint / joint.sum(3, keepdim=True)).flatten(0, 1).permute(1, 2, 0)

    def height_mm(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Expected height above the middle of the tile and its standard deviation, both (batch, columns) in mm."""
        # half precision, which an outer autocast would choose, loses the variance
        with torch.autocast(self.logits.device.type, enabled=False):
            share = self.posterior().transpose(1, 2)
            heights = bin_heights_mm(self.logits.device)
            mean = share @ heights
            return mean, (share @ heights.square() - mean.square()).clamp_min(0).sqrt()


def bin_heights_mm(device: torch.device | str = "cpu") -> torch.Tensor:
    """(bins,) height of the bin centres above the middle of the tile."""
    return (HEIGHT_BINS / 2 - 0.5 - torch.arange(HEIGHT_BINS, device=device, dtype=torch.float32)) * BIN_MM


class StripReader(nn.Module):
    """Reads tiles of rectified strips.

    Args:
        widths: channels at strides 4, 8 and 16.
        depths: residual blocks at each stride.
        mixer_layers: attention layers at the coarsest stride.
    """

    def __init__(self, widths: list[int], depths: list[int], mixer_layers: int) -> None:
        super().__init__()
        self.net = UNet(TILE_CHANNELS, widths, depths, mixer_layers)
        self.height_head = nn.Conv2d(widths[0], 2 * 4 * COLUMNS_PER_PX, 1)
        self.column = nn.Sequential(ConvNorm(2 * widths[0], widths[0], 1), ConvNorm(widths[0], widths[0]))
        self.presence_head = nn.Conv2d(widths[0], 4 * COLUMNS_PER_PX, 1)
        self.movement_head = nn.Conv2d(widths[0], len(COSTS_PER_BIN) * 4, 1)
        self.scale_head = nn.Linear(2 * widths[-1], len(SPEEDS) + len(GAINS))

    def forward(self, tiles: torch.Tensor) -> StripReading:
        """Read (batch, 5, 256, width) tiles; width divisible by 16."""
        features, deepest = self.net(tiles)
        batch, _, rows, columns = features.shape
        logits = self.height_head(features).reshape(batch, 2, -1, rows, columns)
        logits = logits.permute(0, 3, 1, 4, 2).reshape(batch, 2 * rows, -1)
        pooled = torch.cat([features.mean(2, keepdim=True), features.amax(2, keepdim=True)], dim=1)
        column = self.column(pooled)
        presence = self.presence_head(column)[:, :, 0].transpose(1, 2).reshape(batch, -1)
        movement = self.movement_head(column).reshape(batch, -1, 4, columns).transpose(2, 3)
        scale = self.scale_head(torch.cat([deepest.mean((2, 3)), deepest.amax((2, 3))], dim=1))
        return StripReading(logits, presence, movement.flatten(2), scale[:, : len(SPEEDS)], scale[:, len(SPEEDS) :])
