"""Convolution blocks that the locating and the reading network share."""

from functools import cache

import torch
from torch import nn


def fast_precision(device: torch.device) -> torch.autocast:
    """Computes in bfloat16 where the processor does; elsewhere that would be several times slower than float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=_computes_in_bfloat16(device.type))


@cache
def _computes_in_bfloat16(kind: str) -> bool:
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities() if kind == "cpu" else {}
    return any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16"))


class ConvNorm(nn.Sequential):
    """3x3 (or 1x1) convolution, batch normalisation, SiLU."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.SiLU(inplace=True),
        )


class Residual(nn.Module):
    """Two 3x3 convolutions around an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.act = nn.SiLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(x + self.norm(self.conv(self.first(x))))


class Mixer(nn.Module):
    """Self-attention over all cells of the coarsest map, with fixed sine positions of a learned weight."""

    def __init__(self, channels: int, heads: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                channels, heads, 2 * channels, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.position_weight = nn.Parameter(torch.ones(()))

    @staticmethod
    def positions(height: int, width: int, channels: int, device: torch.device) -> torch.Tensor:
        """(height * width, channels) sine code of row and column."""
        quarter = channels // 4
        rates = torch.exp(-torch.arange(quarter, device=device) * (4.0 / quarter))
        rows = torch.arange(height, device=device)[:, None] * rates
        columns = torch.arange(width, device=device)[:, None] * rates
        code = torch.zeros(height, width, channels, device=device)
        code[..., :quarter], code[..., quarter : 2 * quarter] = rows.sin()[:, None], rows.cos()[:, None]
        code[..., 2 * quarter : 3 * quarter], code[..., 3 * quarter : 4 * quarter] = (
            columns.sin()[None],
            columns.cos()[None],
        )
        return code.reshape(height * width, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        tokens = x.flatten(2).transpose(1, 2)  # (batch, cells, channels)
        tokens = tokens + (self.position_weight * self.positions(height, width, channels, x.device)).to(tokens.dtype)
        for layer in self.layers:
            tokens = layer(tokens)
        return tokens.transpose(1, 2).reshape(batch, channels, height, width)


class UNet(nn.Module):
    """Space-to-depth stem at stride 4, then a U of residual blocks.

    Args:
        channels_in: channels of the picture.
        widths: channels at strides 4, 8, 16, ...
        depths: residual blocks on the way down at each stride (one less than that on the way up, at least one).
        mixer_layers: attention layers at the coarsest stride.
    """

    def __init__(self, channels_in: int, widths: list[int], depths: list[int], mixer_layers: int) -> None:
        super().__init__()
        self.unshuffle = nn.PixelUnshuffle(4)
        self.stem = ConvNorm(channels_in * 16, widths[0])
        self.down = nn.ModuleList()
        for level, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            blocks: list[nn.Module] = [] if level == 0 else [ConvNorm(widths[level - 1], width, 3, 2)]
            self.down.append(nn.Sequential(*blocks, *(Residual(width) for _ in range(depth))))
        self.mixer = Mixer(widths[-1], 4, mixer_layers) if mixer_layers else nn.Identity()
        self.lateral = nn.ModuleList(
            nn.Conv2d(deep, width, 1) for width, deep in zip(widths[:-1], widths[1:], strict=True)
        )
        self.up = nn.ModuleList(
            nn.Sequential(*(Residual(width) for _ in range(max(1, depth - 1))))
            for width, depth in zip(widths[:-1], depths[:-1], strict=True)
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, H, W) -> features at stride 4 and at the coarsest stride."""
        x = self.stem(self.unshuffle(x))
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
        deepest = x = self.mixer(skips.pop())
        for level in range(len(skips) - 1, -1, -1):
            x = nn.functional.interpolate(self.lateral[level](x), scale_factor=2, mode="nearest")
            x = self.up[level](x + skips[level])
        return x, deepest
