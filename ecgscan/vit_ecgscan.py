"""The plain vision transformer on the whole page: the baseline that the reader has to beat."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .configuration_ecgscan import ECGScanImageConfig
from .layers_ecgscan import ECGScanLayer


class ECGScanViTModel(nn.Module):
    """Letterboxes each page into a square and encodes its patches."""

    def __init__(self, config: ECGScanImageConfig):
        super().__init__()
        self.config = config
        side = config.image_size // config.patch_size
        self.patches = nn.Conv2d(3, config.hidden_size, config.patch_size, stride=config.patch_size)
        self.class_token = nn.Parameter(torch.zeros(1, 1, config.hidden_size))
        self.positions = nn.Parameter(torch.zeros(1, side * side + 1, config.hidden_size))
        self.layers = nn.ModuleList(
            ECGScanLayer(config, config.hidden_size, config.num_attention_heads, config.intermediate_size, 0.0)
            for _ in range(config.num_hidden_layers)
        )
        self.norm = nn.LayerNorm(config.hidden_size)

    def letterbox(self, pixel_values: Tensor, page_size: Tensor | None) -> Tensor:
        """(B, 3, side, side) in -1..1 on white, from uint8 pages (B, 3, H, W) of true size (B, 2)."""
        side = self.config.image_size
        boxed = pixel_values.new_full((len(pixel_values), 3, side, side), 255, dtype=torch.float32)
        for index, page in enumerate(pixel_values):
            height, width = page.shape[1:] if page_size is None else page_size[index].tolist()
            scale = side / max(height, width)
            size = (max(1, round(height * scale)), max(1, round(width * scale)))
            small = F.interpolate(page[None, :, :height, :width].float(), size=size, mode="bilinear", antialias=True)
            boxed[index, :, : size[0], : size[1]] = small[0]
        return boxed / 127.5 - 1.0

    def forward(self, pixel_values: Tensor, page_size: Tensor | None = None) -> Tensor:
        """(B, hidden) from pages."""
        boxed = self.letterbox(pixel_values, page_size).to(self.patches.weight.dtype)
        tokens = self.patches(boxed).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(len(tokens), -1, -1), tokens], dim=1) + self.positions
        for layer in self.layers:
            tokens = layer(tokens)
        return self.norm(tokens)[:, 0]


__all__ = ["ECGScanViTModel"]
