"""Batch normalisation over the rows of all processes, so that two processes train as one with twice the batch.

torch's own `SyncBatchNorm` does so on GPUs alone; this one also without.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from modeling_ecgscan.losses_ecgscan import gather_with_gradient


def _shared_statistics(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance by channel (channels,), and how many values a channel has, over all processes."""
    unused = torch.zeros(values.shape[1], device=values.device)
    mean, variance = torch.ops.aten.batch_norm_update_stats(values, unused, unused.clone(), 0.0)
    count = mean.new_tensor([values.numel() / values.shape[1]])
    # all in one message: messages are what this costs
    gathered = gather_with_gradient(torch.cat([mean, variance, count])[None])
    means, variances, counts = gathered.split([len(mean), len(mean), 1], dim=1)
    share = counts / counts.sum()
    mean = (share * means).sum(0)
    # within each process, and between their means
    return mean, (share * (variances + (means - mean).square())).sum(0), counts.sum()


class _Normalised(torch.autograd.Function):
    """`weight * (input - mean) / sqrt(variance + eps) + bias`, where mean and variance are those of the input."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor, *statistics: Any) -> Tensor:
        mean, variance, ctx.count, ctx.eps = statistics
        ctx.save_for_backward(input, weight, mean, variance)
        return torch.nn.functional.batch_norm(input, mean, variance, weight, bias, eps=ctx.eps)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Of the input, Ioffe and Szegedy 2015, section 3: what moves mean or variance is taken out."""
        input, weight, mean, variance = ctx.saved_tensors
        direct, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            grad.contiguous(), input, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        sums = gather_with_gradient(torch.cat([of_weight, of_bias])[None]).sum(0) / ctx.count
        of_all, bias_of_all = sums.chunk(2)
        inverse = (variance + ctx.eps).rsqrt()
        slope = of_all * weight * inverse.square()
        level = bias_of_all * weight * inverse - slope * mean
        shape = [1, -1, *[1] * (input.ndim - 2)]
        of_input = direct - (input * slope.view(shape) + level.view(shape))
        return of_input.to(input.dtype), of_weight, of_bias, None, None, None, None


class SharedBatchNorm(_BatchNorm):
    """In training, statistics are those of all processes' rows; else a plain batch normalisation."""

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        """The same shape (B, channels, ...) and kind as `input`."""
        if not self.training:
            return super().forward(input)
        mean, variance, count = _shared_statistics(input.detach())
        self._remember(mean, variance * count / (count - 1))
        return _Normalised.apply(input, self.weight, self.bias, mean, variance, count, self.eps)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked.add_(1)  # type: ignore[union-attr, operator]
        self.running_mean.lerp_(mean, self.momentum)  # type: ignore[union-attr, arg-type]
        self.running_var.lerp_(variance, self.momentum)  # type: ignore[union-attr, arg-type]


def share_batch_norm(module: nn.Module) -> None:
    """Replaces every batch normalisation inside a module; parameters and buffers stay the same objects."""
    for name, child in module.named_children():
        if not isinstance(child, _BatchNorm):
            share_batch_norm(child)
        elif not isinstance(child, SharedBatchNorm):
            shared = SharedBatchNorm(child.num_features, child.eps, child.momentum, device="meta")
            shared.weight, shared.bias = child.weight, child.bias
            for buffer in ("running_mean", "running_var", "num_batches_tracked"):
                setattr(shared, buffer, getattr(child, buffer))
            shared.train(child.training)
            setattr(module, name, shared)
