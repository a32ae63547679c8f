"""Batch normalisation over the rows of all processes, so that two processes train as one with twice the batch.

torch's own `SyncBatchNorm` does so on GPUs alone; this one also without.
"""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from modeling_ecgscan.losses_ecgscan import gather_with_gradient


class SharedBatchNorm(_BatchNorm):
    """In training, statistics are those of all processes' rows; else a plain batch normalisation."""

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        """The same shape (B, channels, ...) and kind as `input`."""
        if not self.training:
            return super().forward(input)
        axes, shape = [0, *range(2, input.ndim)], [1, -1, *[1] * (input.ndim - 2)]
        values = input.float()
        # sums and their count in one message: messages are what this costs
        count = values.new_tensor([values.numel() / values.shape[1]])
        sums = gather_with_gradient(torch.cat([values.sum(axes), count])[None]).sum(0)
        mean, count = sums[:-1] / sums[-1], sums[-1].detach()  # (channels,), scalar
        centred = values - mean.view(shape)
        variance = gather_with_gradient(centred.square().sum(axes)[None]).sum(0) / count
        self._remember(mean.detach(), variance.detach() * count / (count - 1))
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale.view(shape) + self.bias.view(shape)).to(input.dtype)

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
