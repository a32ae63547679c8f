"""The signal tower: encodes what is known of twelve leads and completes the rest."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .configuration_ecgscan import ECGScanSignalConfig
from .layers_ecgscan import ECGScanLayer
from .terms_ecgscan import LIMB_FROM_I_II

_FREE_LEADS = 8  # I, II, V1..V6
_PRIOR = 0.001  # weight of the prediction against a sample read with full confidence


class ECGScanResidualBlock(nn.Module):
    """Two convolutions over time around a skip; (B, channels, T) in and out."""

    def __init__(self, width: int, kernel_size: int):
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm1d(width), nn.BatchNorm1d(width)
        self.conv1 = nn.Conv1d(width, width, kernel_size, padding=kernel_size // 2, bias=False)
        self.conv2 = nn.Conv1d(width, width, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        inner = self.conv1(F.relu(self.norm1(hidden)))
        return hidden + self.conv2(F.relu(self.norm2(inner)))


def _known_median(values: Tensor, known: Tensor) -> Tensor:
    """Lower median of the known values along the last axis, which is kept; 0 where none is known."""
    count = known.sum(-1, keepdim=True)
    ordered = torch.where(known, values, torch.inf).sort(-1).values
    median = ordered.gather(-1, (count - 1).clamp(min=0) // 2)
    return torch.where(count > 0, median, 0.0)


class ECGScanSignalModel(nn.Module):
    """Signal encoder and lead-reconstruction head.

    Input is (B, 12, samples) in millivolts with a weight of the same shape: 0 where nothing is known, up to
    1 for a sample known for certain. What is missing enters through weights of its own, never as a voltage.
    """

    def __init__(self, config: ECGScanSignalConfig, n_leads: int = 12):
        super().__init__()
        self.config = config
        widths = config.widths
        self.stem = nn.Conv1d(2 * n_leads, widths[0], 15, stride=2, padding=7)
        self.scales = nn.ModuleList()
        for index, width in enumerate(widths):
            down = nn.Identity() if index == 0 else nn.Conv1d(widths[index - 1], width, 3, stride=2, padding=1)
            blocks = [ECGScanResidualBlock(width, config.kernel_size) for _ in range(config.blocks)]
            self.scales.append(nn.Sequential(down, *blocks))
        last = widths[-1]
        self.positions = nn.Parameter(torch.zeros(1, self.steps_at(len(widths) - 1), last))
        self.layers = nn.ModuleList(
            ECGScanLayer(config, last, config.num_attention_heads, 4 * last, config.dropout)
            for _ in range(config.num_hidden_layers)
        )
        self.pool = nn.Linear(2 * last, last)
        self.dropout = nn.Dropout(config.dropout)
        self.ups = nn.ModuleList(nn.Conv1d(b, a, 1) for a, b in pairwise(widths))
        self.merges = nn.ModuleList(ECGScanResidualBlock(width, 3) for width in widths[:-1])
        self.head_norm = nn.BatchNorm1d(widths[0])
        self.head = nn.Conv1d(widths[0], _FREE_LEADS * 2 * config.reduction, 5, padding=2)
        self.register_buffer("limb", torch.tensor(LIMB_FROM_I_II))

    def steps_at(self, scale: int) -> int:
        """Number of time steps of one scale."""
        steps = self.config.samples // (2 * self.config.reduction)
        for _ in range(scale):
            steps = (steps + 1) // 2
        return steps

    def _embed(self, values: Tensor, weight: Tensor) -> Tensor:
        """(B, 24, samples / reduction): isoelectric millivolts, and where they are missing."""
        batch, leads, _ = values.shape
        parts = weight.view(batch, leads, -1, self.config.reduction)
        sums = (values.view_as(parts) * parts).sum(-1)
        total = parts.sum(-1)
        coarse = sums / total.clamp(min=1e-6)
        level = _known_median(coarse, total > 0)
        present = total / self.config.reduction
        # Drifts and spikes of 10 mV and more occur; beyond a few millivolts only their presence matters.
        bounded = 4.0 * torch.tanh((coarse - level) / 4.0)
        return torch.cat([bounded * present, 1.0 - present], dim=1)

    def encode(self, values: Tensor, weight: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Features of what is known.

        Args:
            values: (B, 12, samples) millivolts; anything, NaN too, where the weight is 0.
            weight: (B, 12, samples), 0 to 1 (bool is taken as 0 or 1).

        Returns:
            pooled (B, last width), and the features of every scale, (B, width, steps).
        """
        if values.shape[1:] != (12, self.config.samples) or weight.shape != values.shape:
            raise ValueError(
                f"signal values and mask must both be (batch, 12, {self.config.samples}), got {tuple(values.shape)} "
                f"and {tuple(weight.shape)}; ECGScanFeatureExtractor brings any recording into this form"
            )
        weight = weight.to(self.stem.weight.dtype)
        values = torch.where(weight > 0, values, 0.0).to(weight.dtype)
        hidden, scales = self.stem(self._embed(values, weight)), []
        for scale in self.scales:
            hidden = scale(hidden)
            scales.append(hidden)
        tokens = hidden.transpose(1, 2) + self.positions  # (B, steps, last width)
        for layer in self.layers:
            tokens = layer(tokens)
        scales[-1] = tokens.transpose(1, 2)
        return self._pooled(tokens, weight), scales

    def _pooled(self, tokens: Tensor, weight: Tensor) -> Tensor:
        samples, steps = weight.shape[2], tokens.shape[1]
        step = torch.arange(steps, device=weight.device)
        # how many samples are known before each; pooling over windows of unequal length is in no exchange format
        known = F.pad((weight.amax(1) > 0).cumsum(1), (1, 0))
        first, last = step * samples // steps, -(-(step + 1) * samples // steps)
        seen = (known[:, last] > known[:, first]).unsqueeze(2)  # (B, steps, 1)
        seen = seen | ~seen.any(1, keepdim=True)
        mean = (tokens * seen).sum(1) / seen.sum(1)
        peak = tokens.masked_fill(~seen, -1e4).amax(1)
        return self.dropout(F.gelu(self.pool(torch.cat([mean, peak], dim=-1))))

    def predict(self, scales: list[Tensor]) -> Tensor:
        """(B, 8, samples) millivolts of I, II, V1..V6 around their isoelectric line, from the features of `encode`."""
        hidden = scales[-1]
        for index in reversed(range(len(self.ups))):
            skip = scales[index]
            hidden = F.interpolate(self.ups[index](hidden), size=skip.shape[-1], mode="nearest")
            hidden = self.merges[index](hidden + skip)
        patches = self.head(F.relu(self.head_norm(hidden)))  # (B, 8 * 2 * reduction, steps)
        batch, _, steps = patches.shape
        return patches.view(batch, _FREE_LEADS, -1, steps).transpose(2, 3).reshape(batch, _FREE_LEADS, -1)

    def all_leads(self, free: Tensor) -> Tensor:
        """(B, 12, T) from (B, 8, T): the limb leads follow from I and II by the lead laws."""
        limb = torch.einsum("lk,bkt->blt", self.limb.to(free.dtype), free[:, :2])
        return torch.cat([limb, free[:, 2:]], dim=1)

    def complete(
        self,
        values: Tensor,
        weight: Tensor,
        expected: Tensor | None = None,
        scales: list[Tensor] | None = None,
    ) -> Tensor:
        """All leads for the whole time: what is known stays, the rest is inferred, the limb leads obey their laws.

        Args:
            values: (B, 12, samples) millivolts.
            weight: (B, 12, samples), 0 to 1.
            expected: (B, 12, samples) millivolts as `expected_beats` gives them, NaN where the network is to tell; all
                of it where None.
            scales: features of `encode` on the same input, where they are at hand.

        Returns:
            (B, 12, samples) millivolts, float32.
        """
        scales = self.encode(values, weight)[1] if scales is None else scales
        free = self.predict(scales).float()
        if expected is not None:
            free = self._joined(free, expected, (~expected.isnan()).float())
        return self.all_leads(self._joined(free, values, weight.float()))

    def _joined(self, free: Tensor, values: Tensor, weight: Tensor) -> Tensor:
        """(B, 8, T) what is said of all leads (B, 12, T), as far as its weight goes, over a prediction (B, 8, T)."""
        values = torch.where(weight > 0, values, 0.0).float()
        limb = self._fused_limb(free[:, :2], values[:, :6], weight[:, :6])
        return torch.cat([limb, _fused(free[:, 2:], values[:, 6:], weight[:, 6:])], dim=1)

    def _fused_limb(self, predicted: Tensor, values: Tensor, weight: Tensor) -> Tensor:
        """I and II (B, 2, T) nearest to all limb leads known at each moment, by weighted least squares."""
        laws = self.limb.float()
        outer = torch.einsum("lj,lk->ljk", laws, laws)

        def right_side(guess: Tensor) -> Tensor:
            gap = values - torch.einsum("lk,bkt->blt", laws, guess)
            return torch.einsum("lk,blt->bkt", laws, gap * weight)

        normal = torch.einsum("ljk,blt->bjkt", outer, weight)
        predicted = predicted + _solve2(normal.sum(-1, keepdim=True), right_side(predicted).sum(-1, keepdim=True))
        return predicted + _solve2(normal, right_side(predicted))


def _solve2(normal: Tensor, right: Tensor) -> Tensor:
    """(B, 2, T) solutions of the damped 2x2 systems normal (B, 2, 2, T), right (B, 2, T)."""
    a, b, d = normal[:, 0, 0] + _PRIOR, normal[:, 0, 1], normal[:, 1, 1] + _PRIOR
    determinant = a * d - b * b
    first = (d * right[:, 0] - b * right[:, 1]) / determinant
    second = (a * right[:, 1] - b * right[:, 0]) / determinant
    return torch.stack([first, second], dim=1)


def _fused(predicted: Tensor, values: Tensor, weight: Tensor) -> Tensor:
    """Predicted leads brought to the level of what is known, and replaced by it where it is known."""
    offset = ((values - predicted) * weight).sum(-1, keepdim=True) / (weight.sum(-1, keepdim=True) + _PRIOR)
    predicted = predicted + offset
    return predicted + (values - predicted) * weight / (weight + _PRIOR)


__all__ = ["ECGScanSignalModel"]
