"""Losses of the networks that read a page."""

import torch
from torch.nn import functional

from .losses_ecgscan import shared_count
from .reading_ecgscan import StripReading, bin_heights_mm
from .terms_ecgscan import BIN_MM, JACOBIAN_SCALE, LOCATE_CHANNELS

_NAME_WEIGHT = 8.0  # ours: of a cell that holds a name, beside the hundred that hold none


def _weighted_mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return (values * weight).sum() / shared_count(weight.sum(), 1.0)


def locate_loss(
    maps: torch.Tensor, page_logits: torch.Tensor, truth: torch.Tensor, page_truth: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Loss of the dense maps and of the page logits, by name.

    Args:
        maps: (batch, 25, h, w) output of the locator.
        page_logits: (batch, 6).
        truth: (batch, 15, h, w) phase (4), Jacobian (4, mm per pixel), paper, baseline, start, end, lead index,
            inside the picture, on paper.
        page_truth: (batch, 3) ECG (0 or 1), speed class, gain class.
    """
    maps, page_logits = maps.float(), page_logits.float()
    inside, paper = truth[:, 13], truth[:, 14]
    part = {name: maps[:, channels] for name, channels in LOCATE_CHANNELS.items()}
    weight = 0.2 + inside
    losses = {
        "phase": 2.5 * _weighted_mean((part["phase"] - truth[:, :4]).square().sum(1), weight),
        "jacobian": 0.7
        * _weighted_mean(
            functional.smooth_l1_loss(
                part["jacobian"], JACOBIAN_SCALE * truth[:, 4:8], reduction="none", beta=0.05
            ).sum(1),
            paper,
        ),
        "paper": _weighted_mean(
            functional.binary_cross_entropy_with_logits(part["paper"][:, 0], truth[:, 8], reduction="none"), weight
        ),
    }
    for channel, name in ((9, "baseline"), (10, "start"), (11, "end")):
        target = truth[:, channel]
        entropy = functional.binary_cross_entropy_with_logits(part[name][:, 0], target, reduction="none")
        losses[name] = _weighted_mean(entropy, weight * (1 + 12 * target))
    lead = truth[:, 12].long()
    entropy = functional.cross_entropy(part["lead"], lead, reduction="none")
    losses["lead"] = _weighted_mean(entropy, weight * torch.where(lead > 0, 1.5, 0.5))
    is_ecg = page_truth[:, 0].float()
    losses["ecg"] = 0.5 * functional.binary_cross_entropy_with_logits(page_logits[:, 0], is_ecg)
    speed = functional.cross_entropy(page_logits[:, 1:3], page_truth[:, 1], reduction="none")
    gain = functional.cross_entropy(page_logits[:, 3:6], page_truth[:, 2], reduction="none")
    losses["scale"] = 0.3 * _weighted_mean(speed + gain, is_ecg)
    return losses


def name_loss(logits: torch.Tensor, names: torch.Tensor) -> dict[str, torch.Tensor]:
    """Cross-entropy of the printed names, per cell that holds one.

    Args:
        logits: (batch, classes, h, w), the first for nothing.
        names: (batch, h, w) class, 0 for nothing, -1 not counted.
    """
    entropy = functional.cross_entropy(logits.float(), names, reduction="none", ignore_index=-1)
    weight = 1.0 + (_NAME_WEIGHT - 1.0) * (names > 0)
    return {"names": (entropy * weight).sum() / shared_count(1.0 + _NAME_WEIGHT * (names > 0).sum(), 1.0)}


def soft_heights(height_mm: torch.Tensor, width_mm: float = 0.35) -> torch.Tensor:
    """(batch, bins, columns) Gaussian target distribution around true heights (batch, columns)."""
    bins = bin_heights_mm(height_mm.device)[None, :, None]
    return functional.softmax(-0.5 * ((bins - height_mm[:, None]) / width_mm).square(), dim=1)


def reading_loss(
    reading: StripReading,
    height_mm: torch.Tensor,
    presence: torch.Tensor,
    weight: torch.Tensor,
    readable: torch.Tensor,
    scale: torch.Tensor,
    snr_weight: float = 0.3,
) -> dict[str, torch.Tensor]:
    """Cross-entropy of the chain's heights against soft ones, presence, the metric's own ratio, speed and gain.

    Args:
        reading: of (batch,) tiles.
        height_mm: (batch, columns) true height above the tile's middle.
        presence: (batch, columns) 1 where the strip is printed.
        weight: (batch, columns) 0 outside the picture.
        readable: (batch, columns) 1 where the height is known.
        scale: (batch, 2) class of the paper speed and of the gain, -1 where the tile can't tell.
        snr_weight: share of the ratio's logarithm in the sum.
    """
    share = reading.posterior()
    entropy = -(soft_heights(height_mm) * (share + 1e-7).log()).sum(1)
    expected = share.transpose(1, 2) @ bin_heights_mm(height_mm.device)
    # the few columns of a QRS carry most of the signal's power
    steep = readable * (1.0 + (height_mm.abs() / 3.0).clamp_max(5.0))
    count = readable.sum(1).clamp_min(1.0)
    error = (readable * (expected - height_mm).square()).sum(1) / count
    mean = (readable * height_mm).sum(1) / count
    power = (readable * (height_mm - mean[:, None]).square()).sum(1) / count
    ratio = torch.log10((error + BIN_MM**2 * 1e-2) / (power + 0.25))
    has = (readable.sum(1) > 8).float()
    told = (scale[:, 0] >= 0).float()
    classes = scale.clamp_min(0)
    wrong = functional.cross_entropy(reading.speed.float(), classes[:, 0], reduction="none")
    wrong = wrong + functional.cross_entropy(reading.gain.float(), classes[:, 1], reduction="none")
    return {
        "height": _weighted_mean(entropy, steep),
        "presence": 0.5
        * _weighted_mean(
            functional.binary_cross_entropy_with_logits(reading.presence.float(), presence, reduction="none"), weight
        ),
        "snr": snr_weight * _weighted_mean(ratio, has),
        "scale": 0.15 * _weighted_mean(wrong, told),
    }
