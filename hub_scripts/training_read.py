"""Stage `read`: the networks that find, locate and read strips learn from rendered pages."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader

from modeling_ecgscan.reading_losses_ecgscan import locate_loss, name_loss, reading_loss
from processing.records import Recording
from processing.triplets import BatchStream

from .arguments import UsageError
from .training_loop import AVERAGE, StageArguments, Task, run
from .training_pages import find_sample, locate_sample, name_samples, stack, tile_samples

PARTS: tuple[str, ...] = ("find", "locate", "name", "trace")
# A page of its own is rendered for every row; a step sees more small samples than large ones.
TILES_PER_PAGE, NAMES_PER_PAGE = 4, 12


def stage(model: nn.Module, args: StageArguments, accelerator: Accelerator) -> None:
    """Trains the parts of the reading tower that `args.options["parts"]` names, all by default.

    Raises:
        UsageError: for a model whose image tower does not read, or an unknown part.
    """
    if not model.reads:
        raise UsageError("stage 'read' trains an image tower of architecture 'reader', got 'vit': leave the stage out")
    parts = tuple((args.options or {}).get("parts") or PARTS)
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise UsageError(f"--parts: unknown parts {unknown} of stage 'read'; expected some of {', '.join(PARTS)}")
    tower: Any = model.image_model
    networks: dict[str, nn.Module] = {
        "find": tower.finder,
        "locate": tower.locator,
        "name": tower.namer,
        "trace": tower.reader,
    }
    model.requires_grad_(False)
    for part in parts:
        networks[part].requires_grad_(True)
    maker = PageSamples(parts)

    def batches(start: int) -> Iterable[dict[str, dict[str, Tensor]]]:
        stream = BatchStream(
            args.shards,
            maker.sample,
            maker.collate,
            args.batch_size,
            seed=args.seed,
            start=start,
            rank=accelerator.process_index,
            world=accelerator.num_processes,
        )
        return DataLoader(stream, batch_size=None, num_workers=args.num_workers)

    run(ReadingNetworks(networks, parts), Task(batches, reading_losses, average=AVERAGE), args, accelerator)
    model.requires_grad_(True)


class ReadingNetworks(nn.Module):
    """The trained parts under one forward call, as data-parallel training needs it."""

    def __init__(self, networks: dict[str, nn.Module], parts: tuple[str, ...]) -> None:
        super().__init__()
        self.parts = nn.ModuleDict({part: networks[part] for part in parts})
        self.parts.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, batch: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
        """Losses by name, each with the part's name in front."""
        device = next(self.parameters()).device
        losses: dict[str, Tensor] = {}
        for part, network in self.parts.items():
            given = {name: value.to(device) for name, value in batch[part].items()}
            if part == "trace":
                tiles = given.pop("tile").float().contiguous(memory_format=torch.channels_last)
                found = reading_loss(
                    network(tiles),
                    given["height"],
                    given["presence"],
                    given["weight"],
                    given["readable"],
                    given["scale"],
                )
            elif part == "name":
                pictures = given["picture"].permute(0, 3, 1, 2).float()
                found = name_loss(network(pictures.contiguous(memory_format=torch.channels_last)), given["names"])
            else:
                picture = given["picture"].permute(0, 3, 1, 2).float().div(255)
                maps, page = network(picture.contiguous(memory_format=torch.channels_last))
                found = locate_loss(maps, page, given["maps"], given["page"])
            losses |= {f"{part}_{name}": value for name, value in found.items()}
        return losses


def reading_losses(network: nn.Module, batch: dict[str, dict[str, Tensor]]) -> tuple[Tensor, dict[str, Tensor]]:
    """Sum of all losses, and each by name."""
    losses = network(batch)
    return torch.stack(list(losses.values())).sum(), losses


class PageSamples:
    """Makes the samples of each part from one recording."""

    def __init__(self, parts: tuple[str, ...]) -> None:
        self.parts = parts

    def sample(self, recording: Recording, rng: np.random.Generator) -> dict[str, Any]:
        """One sample of each part; several pieces of one page for the parts that name and that read."""
        makers = {"find": find_sample, "locate": locate_sample}
        made: dict[str, Any] = {part: makers[part](recording, rng) for part in self.parts if part in makers}
        if "trace" in self.parts:
            made["trace"] = tile_samples(recording, rng, TILES_PER_PAGE)
        if "name" in self.parts:
            made["name"] = name_samples(recording, rng, NAMES_PER_PAGE)
        return made

    def collate(self, samples: list[dict[str, Any]]) -> dict[str, dict[str, Tensor]]:
        """Batches by part."""
        several = {"name", "trace"}
        return {
            part: stack(
                [piece for sample in samples for piece in sample[part]]
                if part in several
                else [sample[part] for sample in samples]
            )
            for part in self.parts
        }
