"""Stage `align`: the image tower brought into the space that signals and texts span, both frozen."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader

from processing.pages import decode_page
from processing.records import Recording
from processing.renderer import render
from processing.signal_views import isoelectric, without_wander
from processing.triplets import BatchStream, known_labels

from .training_loop import StageArguments, Task, run
from .training_pages import FIND_PX_PER_MM, FIND_SIZE
from .training_signal_text import SignalTextSamples, tokenized, training_text

CONDITIONS = {"clean": 0.25, "scan": 0.35, "photo": 0.4}
# ours: up to the 8 pixels a millimetre at which the reader cuts strips finer pages show more, but take longer to draw
READ_PX_PER_MM = (4.0, 6.0)


def stage(model: Any, args: StageArguments, accelerator: Accelerator) -> None:
    """Volume and pairwise losses between pages and the frozen signal and text towers.

    A reading tower is frozen too, since the reading stage trains it: what is left to learn is its projection, which
    starts as the signal's. A vision transformer is trained whole.
    """
    model.requires_grad_(False)
    model.image_projection.requires_grad_(True)
    if model.reads:
        with torch.no_grad():
            model.image_projection.weight.copy_(model.signal_projection.weight)
    else:
        model.image_model.requires_grad_(True)
    maker = TripletSamples(args.processor, known_labels(args.shards), [], pixels_per_mm(model))

    def batches(start: int) -> Iterable[dict[str, Tensor]]:
        stream = BatchStream(
            args.shards,
            maker.sample,
            maker.collate,
            args.batch_size,
            seed=args.seed,
            start=start,
            rank=accelerator.process_index,
            world=accelerator.num_processes,
            pages=True,
        )
        return DataLoader(stream, batch_size=None, num_workers=args.num_workers)

    def losses(wrapped: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        batch = {name: value.to(accelerator.device) for name, value in batch.items()}
        # The gold standard stands still: no dropout, no batch statistics.
        for part in (model.signal_model, model.text_model):
            part.eval()
        output = wrapped(**batch, return_loss=True)
        return output.loss, output.losses

    run(model, Task(batches, losses), args, accelerator)


def pixels_per_mm(model: Any) -> tuple[float, float]:
    """From what to what resolution pages are drawn: as the image tower looks at them.

    A vision transformer sees all of a page in a square, as does the network that finds the page.
    """
    if model.reads:
        return READ_PX_PER_MM
    larger = max(1.0, model.config.image_config.image_size / FIND_SIZE[0])
    return FIND_PX_PER_MM[0] * larger, FIND_PX_PER_MM[1] * larger


class TripletSamples(SignalTextSamples):
    """Makes samples of page, signal and text: the archive's own page where it has one, else one rendered here."""

    def __init__(self, processor: Any, labels: list[str], findings: list[str], pixels_per_mm: tuple[float, float]):
        super().__init__(processor, labels, findings)
        self.image_processor, self.pixels_per_mm = processor.image_processor, pixels_per_mm

    def sample(self, recording: Recording, rng: np.random.Generator) -> dict[str, Any]:
        prepared = self.extractor(recording)
        values, mask = prepared["signal_values"][0], prepared["signal_mask"][0]
        known = np.where(mask, values, np.nan).astype(np.float32)
        text, said = training_text(recording, rng)
        if recording.page is not None:
            image = decode_page(recording.page, recording.record_id)
        else:
            image = render(
                replace(recording, signal=known, sampling_rate=float(self.extractor.sampling_rate)),
                seed=int(rng.integers(2**31)),
                condition=str(rng.choice(list(CONDITIONS), p=list(CONDITIONS.values()))),
                pixels_per_mm=float(rng.uniform(*self.pixels_per_mm)),
            ).image
        return {
            "image": image,
            "signal_values": isoelectric(without_wander(values, 500.0)) if mask.all() else values,
            "signal_mask": mask,
            "text": text,
            "facts": self._flags(recording.labels),
            "text_facts": self._flags(said),
        }

    def collate(self, samples: list[dict[str, Any]]) -> dict[str, Tensor]:
        batch = {
            name: torch.from_numpy(np.stack([sample[name] for sample in samples]))
            for name in ("signal_values", "signal_mask", "facts", "text_facts")
        }
        pages = self.image_processor([sample["image"] for sample in samples], return_tensors="pt")
        return {**batch, **pages, **tokenized(self.tokenizer, [sample["text"] for sample in samples])}
