"""The transformer layer that all towers share."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS


def eager_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_: object,
) -> tuple[Tensor, Tensor]:
    """Attention written out, for when its weights are wanted. (B, heads, T, d) in, (B, T, heads, d) out."""
    scores = query @ key.transpose(-1, -2) * scaling
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, float("-inf"))
    weights = F.dropout(scores.softmax(-1), p=dropout, training=module.training)
    return (weights @ value).transpose(1, 2), weights


class ECGScanAttention(nn.Module):
    """Multi-head self-attention over (B, T, hidden)."""

    is_causal = False

    def __init__(self, config: PreTrainedConfig, hidden_size: int, heads: int):
        super().__init__()
        self.config, self.heads = config, heads
        self.scaling = (hidden_size // heads) ** -0.5
        self.q_proj = nn.Linear(hidden_size, hidden_size)
        self.k_proj = nn.Linear(hidden_size, hidden_size)
        self.v_proj = nn.Linear(hidden_size, hidden_size)
        self.out_proj = nn.Linear(hidden_size, hidden_size)

    def forward(self, hidden: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        batch, steps, size = hidden.shape
        query, key, value = (
            projection(hidden).view(batch, steps, self.heads, -1).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        attend: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention)
        mixed, _ = attend(self, query, key, value, attention_mask, scaling=self.scaling, dropout=0.0)
        return self.out_proj(mixed.reshape(batch, steps, size))


class ECGScanLayer(GradientCheckpointingLayer):
    """Pre-normalised transformer layer."""

    def __init__(self, config: PreTrainedConfig, hidden_size: int, heads: int, intermediate_size: int, dropout: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(hidden_size)
        self.attention = ECGScanAttention(config, hidden_size, heads)
        self.norm2 = nn.LayerNorm(hidden_size)
        self.up = nn.Linear(hidden_size, intermediate_size)
        self.down = nn.Linear(intermediate_size, hidden_size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        hidden = hidden + self.dropout(self.attention(self.norm1(hidden), attention_mask))
        return hidden + self.dropout(self.down(F.gelu(self.up(self.norm2(hidden)))))


__all__ = ["ECGScanAttention", "ECGScanLayer"]
