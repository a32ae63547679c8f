"""The text tower: a small transformer over word pieces of a report."""

import torch
from torch import Tensor, nn

from .configuration_ecgscan import ECGScanTextConfig
from .layers_ecgscan import ECGScanLayer


class ECGScanTextModel(nn.Module):
    """Mean of the last hidden states over the words of a text."""

    def __init__(self, config: ECGScanTextConfig):
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.vocab_size, config.hidden_size)
        self.positions = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(
            ECGScanLayer(
                config, config.hidden_size, config.num_attention_heads, config.intermediate_size, config.dropout
            )
            for _ in range(config.num_hidden_layers)
        )
        self.norm = nn.LayerNorm(config.hidden_size)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """(B, hidden) from word-piece ids (B, L) and their mask (B, L); texts are cut at the last position."""
        input_ids = input_ids[:, : self.config.max_position_embeddings]
        given = attention_mask if attention_mask is not None else input_ids.ne(self.config.pad_token_id or 0)
        attention_mask = given[:, : self.config.max_position_embeddings].bool()
        place = torch.arange(input_ids.shape[1], device=input_ids.device)
        hidden = self.dropout(self.words(input_ids) + self.positions(place))  # (B, L, hidden)
        for layer in self.layers:
            hidden = layer(hidden, attention_mask[:, None, None, :])
        kept = attention_mask[..., None].to(hidden.dtype)
        return (self.norm(hidden) * kept).sum(1) / kept.sum(1).clamp(min=1.0)


def text_keys(input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
    """(B,) int64, equal for equal texts whatever their padding."""
    mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask.to(input_ids.dtype)
    key = input_ids.new_zeros(len(input_ids))
    for column in range(input_ids.shape[1]):
        # 64-bit integers wrap, which is what a hash wants.
        key = torch.where(mask[:, column] > 0, key * 1_000_003 + input_ids[:, column] + 1, key)
    return key


__all__ = ["ECGScanTextModel", "text_keys"]
