"""Pages of a batch as one tensor, and how batches of pages of different sizes are joined."""

from typing import Any

import torch
import torch.nn.functional as F


class PagePixels(torch.Tensor):
    """Pages (B, 3, H, W) that `torch.cat` joins whatever their sizes, padded with white at the right and the bottom.

    The pipelines of transformers join the pages of a batch so. Everything else treats it as, and returns, a plain
    tensor.
    """

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.cat and kwargs == {"dim": 0} and all(isinstance(part, cls) for part in args[0]):
            parts = [part.as_subclass(torch.Tensor) for part in args[0]]  # type: ignore[arg-type]
            height, width = (max(part.shape[axis] for part in parts) for axis in (2, 3))
            padded = [F.pad(part, (0, width - part.shape[3], 0, height - part.shape[2]), value=255) for part in parts]
            return torch.cat(padded).as_subclass(cls)  # type: ignore[arg-type]
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))


__all__ = ["PagePixels"]
