"""Launched by torchrun: each process sees half of the batch and keeps the loss and the averaged gradient."""

import sys

import torch
import torch.distributed as dist
import torch.nn.functional as F
from accelerate import Accelerator

from modeling_ecgscan.losses_ecgscan import gather_with_gradient, pairwise_loss, volume_loss


def contrastive_case() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 6, 8, generator=generator), torch.randn(8, 4, generator=generator).requires_grad_()


def contrast(embeddings: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    image, signal, text = (gather_with_gradient(F.normalize(part @ weight, dim=-1)) for part in embeddings)
    scale = torch.tensor(5.0)
    return pairwise_loss(image, signal, scale) + volume_loss(image, signal, text, scale)


def main(folder: str) -> None:
    accelerator = Accelerator(cpu=True)
    embeddings, weight = contrastive_case()
    rank, count = accelerator.process_index, accelerator.num_processes
    loss = contrast(embeddings.chunk(count, dim=1)[rank], weight)
    loss.backward()
    dist.all_reduce(weight.grad)
    torch.save({"loss": loss.detach(), "grad": weight.grad / count, "processes": count}, f"{folder}/{rank}.pt")
    accelerator.end_training()


if __name__ == "__main__":
    main(sys.argv[1])
