"""Image towers that see the whole page, trained under one recipe: peers of the tower that reads."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modeling_ecgscan import ECGScanModel
from modeling_ecgscan.blocks_ecgscan import fast_precision
from modeling_ecgscan.configuration_ecgscan import ECGScanConfig, ECGScanImageConfig
from modeling_ecgscan.losses_ecgscan import pairwise_loss, volume_loss
from modeling_ecgscan.vit_ecgscan import ECGScanViTModel
from processing.records import Recording
from processing.renderer import render

from .alignment_targets import AlignmentTargets
from .training_align import CONDITIONS
from .training_loop import optimizer_for, rate_at

_PIXELS_PER_MM = 4.0
_RATE = 5e-4
_TEMPERATURE = 0.1  # of SimCLR
_SIMCLR_WIDTH = 128
# how far a picture is moved (share of its side), scaled, turned (radians) and made lighter or darker
_SHIFT, _SCALE, _TURN, _LIGHT = 0.05, 0.1, 0.05, 0.25
_SIMCLR_SCALE = 0.4


def whole_pages(
    recordings: Sequence[Recording], side: int, seed: int, *, layout: str | None = None, condition: str | None = None
) -> Iterator[np.ndarray]:
    """(side, side, 3) uint8 letterboxed pages of recordings, one each; of any layout and condition by default."""
    box = ECGScanViTModel(ECGScanImageConfig(architecture="vit", image_size=side)).letterbox
    for number, recording in enumerate(recordings):
        rng = np.random.default_rng([seed, number])
        page = render(
            recording,
            seed=seed + number,
            layout=layout,
            condition=condition or str(rng.choice(list(CONDITIONS), p=list(CONDITIONS.values()))),
            pixels_per_mm=None if layout else _PIXELS_PER_MM,
        ).image
        boxed = box(torch.from_numpy(page).permute(2, 0, 1)[None], None)[0]
        yield ((boxed + 1.0) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()


def untrained_tower(config: ECGScanConfig, side: int, seed: int) -> ECGScanViTModel:
    """The vision transformer with random weights."""
    torch.manual_seed(seed)
    image = ECGScanImageConfig(architecture="vit", image_size=side)
    whole = ECGScanModel(type(config)(**{**config.to_dict(), "image_config": image.to_dict()}))
    return whole.image_model


class Objective(nn.Module):
    """A tower with the head that one objective asks for; called with rows and views of the pages, gives the loss.

    Args:
        pages: (recordings, views, side, side, 3) uint8.
    """

    def __init__(
        self, name: str, tower: ECGScanViTModel, config: ECGScanConfig, pages: np.ndarray, targets: AlignmentTargets
    ):
        super().__init__()
        self.name, self.tower, self.weights = name, tower, config
        width = tower.config.hidden_size
        self.pages, self.targets = pages, targets
        self.logit_scale = nn.Parameter(torch.tensor(config.logit_scale_init_value))
        if name == "align":
            self.head: nn.Module = nn.Linear(width, targets.signals.shape[1], bias=False)
        elif name == "labels":
            self.head = nn.Linear(width, targets.classes.shape[1])
        else:
            self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, _SIMCLR_WIDTH))

    def forward(self, rows: np.ndarray, views: np.ndarray, generator: torch.Generator) -> Tensor:
        pages = torch.from_numpy(self.pages[rows, views]).permute(0, 3, 1, 2)
        if self.name == "simclr":
            twice = torch.cat([changed(pages, generator, _SIMCLR_SCALE) for _ in range(2)])
            return simclr_loss(F.normalize(self.head(self.tower(twice)).float(), dim=-1))
        hidden = self.head(self.tower(changed(pages, generator, _SCALE))).float()
        if self.name == "labels":
            return F.binary_cross_entropy_with_logits(hidden, self.targets.classes[rows].float())
        return self._aligned(F.normalize(hidden, dim=-1), rows, views)

    def _aligned(self, image: Tensor, rows: np.ndarray, views: np.ndarray) -> Tensor:
        scale = self.logit_scale.clamp(max=4.6052).exp()
        signal, text = self.targets.signals[rows], self.targets.texts[rows, views]
        exclude = self.targets.false_negatives(rows, views)
        smoothing = self.weights.label_smoothing
        pairs = pairwise_loss(image, signal, scale, exclude, smoothing) + pairwise_loss(
            image, text, scale, exclude, smoothing
        )
        volumes = volume_loss(image, signal, text, scale, exclude, smoothing)
        return self.weights.pairwise_weight * pairs + self.weights.volume_weight * volumes


def simclr_loss(vectors: Tensor, temperature: float = _TEMPERATURE) -> Tensor:
    """NT-Xent (Chen et al. 2020, equation 1) of (2 B, dim) unit vectors, rows i and i + B of one page."""
    count = len(vectors) // 2
    logits = vectors @ vectors.T / temperature
    logits = logits.masked_fill(torch.eye(len(vectors), dtype=torch.bool), float("-inf"))
    partner = torch.arange(len(vectors)).roll(count)
    return F.cross_entropy(logits, partner)


def changed(pages: Tensor, generator: torch.Generator, scale: float) -> Tensor:
    """(B, 3, side, side) uint8 pages moved, enlarged by up to `scale`, turned and lit a little differently."""
    count = len(pages)

    def draw(reach: float) -> Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * reach

    size, angle = 1.0 - torch.rand(count, generator=generator) * scale, draw(_TURN)
    turn = torch.stack(
        [size * angle.cos(), -size * angle.sin(), draw(_SHIFT + scale / 2)]
        + [size * angle.sin(), size * angle.cos(), draw(_SHIFT + scale / 2)],
        dim=1,
    ).view(count, 2, 3)
    paper = 255.0 - pages.float()  # what lies outside is white
    grid = F.affine_grid(turn, list(pages.shape), align_corners=False)
    moved = 255.0 - F.grid_sample(paper, grid, align_corners=False)
    contrast, light = 1.0 + draw(_LIGHT), 255.0 * draw(_LIGHT / 2)
    return (((moved - 128.0) * contrast.view(-1, 1, 1, 1) + 128.0) + light.view(-1, 1, 1, 1)).clamp(0.0, 255.0)


def train_tower(objective: Objective, numbers: Iterable[int], steps: int, batch_size: int, seed: int) -> list[float]:
    """Trains one tower and its head through the `numbers` of all steps; the loss of every step."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    optimizer = optimizer_for(objective, _RATE)
    recordings, views = objective.pages.shape[:2]
    order: np.ndarray = np.array([], int)
    losses = []
    objective.train()
    for step in numbers:
        if len(order) < batch_size:
            order = np.concatenate([order, rng.permutation(recordings)])
        rows, order = order[:batch_size], order[batch_size:]
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, steps, _RATE)
        with fast_precision(torch.device("cpu")):
            loss = objective(rows, rng.integers(views, size=len(rows)), generator)
        loss.backward()
        nn.utils.clip_grad_norm_(objective.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    objective.eval()
    return losses


@torch.inference_mode()
def tower_features(tower: ECGScanViTModel, pages: np.ndarray) -> np.ndarray:
    """(rows, width) of (rows, side, side, 3) uint8 pages."""
    parts = torch.from_numpy(pages).permute(0, 3, 1, 2).split(32)
    return torch.cat([tower(part).float() for part in parts]).numpy()
