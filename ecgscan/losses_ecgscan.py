"""The losses of ECG-Scan: alignment, soft leads, reconstruction, reading.

Pure functions. Embeddings are (batch, dim) and of unit length; signals are (batch, leads, samples) in
millivolts, the six limb leads first, in standard order.
"""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

# Einthoven and Goldberger over I, II, III, aVR, aVL, aVF: a lawful recording gives zero in every row.
LIMB_LAWS = (
    (1.0, -1.0, 1.0, 0.0, 0.0, 0.0),
    (0.5, 0.5, 0.0, 1.0, 0.0, 0.0),
    (-1.0, 0.5, 0.0, 0.0, 1.0, 0.0),
    (0.5, -1.0, 0.0, 0.0, 0.0, 1.0),
    (0.0, 0.0, 0.0, 1.0, 1.0, 1.0),
)
_MIN_VOLUME = 1e-4
_MASKED = -1e4


def gather_with_gradient(tensor: Tensor) -> Tensor:
    """Rows of all processes, in rank order, gradients flowing back to each; the tensor itself in one process."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return tensor
    from torch.distributed._functional_collectives import all_gather_single, wait_tensor

    return wait_tensor(all_gather_single(tensor.contiguous(), gather_dim=0, group=dist.group.WORLD))  # type: ignore[arg-type]


def shared_count(count: Tensor, least: float) -> Tensor:
    """What a sum is divided by, so that the mean over processes, which data-parallel training takes, is the mean over
    the rows of all of them; `count` itself in one process.

    Args:
        count: scalar, how much this process's rows count together.
        least: of the count over all processes.
    """
    counts = gather_with_gradient(count[None])
    return counts.sum().clamp(min=least) / len(counts)


def equal_rows(keys: Tensor) -> Tensor:
    """(B, B) bool, True where two different rows of `keys` (B, ...) are equal: false negatives of one another."""
    flat = keys.reshape(keys.shape[0], -1)
    same = (flat[:, None] == flat[None]).all(-1)
    return same & ~torch.eye(len(flat), dtype=torch.bool, device=flat.device)


def implied_pairs(facts: Tensor, text_facts: Tensor) -> Tensor:
    """(B, B) bool, True at (i, j) where all that text j says is also true of sample i.

    Args:
        facts: (B, F) bool, what is known to be true of each sample.
        text_facts: (B, F) bool, what each text says; a text that says nothing known implies nothing.
    """
    said = text_facts.float()
    missing = (1.0 - facts.float()) @ said.T
    implied = (missing < 0.5) & (said.sum(1) > 0.5)[None]
    return implied & ~torch.eye(len(facts), dtype=torch.bool, device=facts.device)


def _cross_entropy_both_ways(logits: Tensor, exclude: Tensor | None, label_smoothing: float) -> Tensor:
    """Cross-entropy of (B, B) logits against the diagonal along rows and columns; `exclude` takes no part."""
    target = torch.arange(len(logits), device=logits.device)
    if exclude is None:
        forth, back = (F.cross_entropy(x, target, label_smoothing=label_smoothing) for x in (logits, logits.T))
        return (forth + back) / 2
    logits = logits.masked_fill(exclude, _MASKED)
    total = logits.new_zeros(())
    for scores, left_out in ((logits, exclude), (logits.T, exclude.T)):
        log_probability = scores.log_softmax(-1)
        kept = (~left_out).float()
        uniform = (log_probability * kept).sum(-1) / kept.sum(-1)
        own = log_probability.diagonal()
        total = total - ((1 - label_smoothing) * own + label_smoothing * uniform).mean()
    return total / 2


def pairwise_loss(
    first: Tensor, second: Tensor, logit_scale: Tensor, exclude: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """InfoNCE between two modalities, both ways.

    Args:
        first, second: (B, D) unit vectors; row i of one belongs to row i of the other.
        logit_scale: scalar inverse temperature.
        exclude: (B, B) bool, pairs that are neither positive nor negative.
    """
    logits = logit_scale * (first.float() @ second.float().T)
    return _cross_entropy_both_ways(logits, exclude, label_smoothing)


def volume(first: Tensor, second: Tensor, third: Tensor) -> Tensor:
    """Volume of the parallelepiped that three unit vectors span: 1 orthonormal, 0 dependent.

    Args:
        first, second, third: (..., D), broadcast against each other.

    Returns:
        (...), float32; the gradient stays finite at volume 0.
    """
    first, second, third = (vectors.float() for vectors in (first, second, third))
    return volume_of_cosines((first * second).sum(-1), (first * third).sum(-1), (second * third).sum(-1))


def volume_of_cosines(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """`volume` of three unit vectors from their cosines: first and second, first and third, second and third."""
    determinant = 1 + 2 * a * b * c - a**2 - b**2 - c**2
    # Shifted and scaled so that 0 and 1 stay exact while the root keeps a finite slope at 0.
    root = (determinant.clamp(min=0.0) + _MIN_VOLUME**2).sqrt() - _MIN_VOLUME
    return root / ((1 + _MIN_VOLUME**2) ** 0.5 - _MIN_VOLUME)


def all_volumes(image: Tensor, signal: Tensor, text: Tensor) -> Tensor:
    """(B, N) volumes that every image (B, D) spans with every pair of a signal and its text (N, D), unit vectors."""
    image, signal, text = (vectors.float() for vectors in (image, signal, text))
    with torch.autocast(image.device.type, enabled=False):  # a volume near 0 is lost in bfloat16
        return volume_of_cosines(image @ signal.T, image @ text.T, (signal * text).sum(-1))


def volume_loss(
    image: Tensor,
    signal: Tensor,
    text: Tensor,
    logit_scale: Tensor,
    exclude: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Contrast of volumes: every image against every (signal, text) pair, both ways.

    Args:
        image, signal, text: (B, D) unit vectors.
        exclude: (B, B) bool, pairs that are neither positive nor negative.
    """
    return _cross_entropy_both_ways(-logit_scale * all_volumes(image, signal, text), exclude, label_smoothing)


def lead_residuals(signal: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Residuals of the five limb-lead laws and how far each may be trusted.

    Args:
        signal: (B, leads, T) millivolts.
        weight: (B, leads, T), 0 where nothing is known, else up to 1 (confidence).

    Returns:
        residuals (B, 5, T) in millivolts and their weights (B, 5, T): the smallest weight among the leads
        of a law, so a law with a missing lead counts nothing.
    """
    laws = signal.new_tensor(LIMB_LAWS)
    known = weight[:, :6] > 0
    limb = torch.where(known, signal[:, :6], torch.zeros_like(signal[:, :6]))
    residuals = torch.einsum("kl,blt->bkt", laws, limb)
    weights = torch.stack([weight[:, [i for i, c in enumerate(law) if c]].amin(1) for law in LIMB_LAWS], dim=1)
    return torch.where(weights > 0, residuals, torch.zeros_like(residuals)), weights


def soft_lead_loss(signal: Tensor, weight: Tensor, beta_mv: float = 0.05) -> Tensor:
    """Smooth L1 of the lead laws in millivolts, weighted by confidence, at moments where a whole law is present.

    Args:
        signal: (B, leads, T) millivolts; values under a zero weight may be anything, NaN too.
        weight: (B, leads, T), 0 to 1.
        beta_mv: residual, in millivolts, at which the penalty turns from quadratic to linear.

    Returns:
        Scalar; exactly 0, with zero gradient, where no law can be checked.
    """
    residuals, weights = lead_residuals(signal.float(), weight.float())
    penalty = F.smooth_l1_loss(residuals, torch.zeros_like(residuals), beta=beta_mv, reduction="none")
    return (penalty * weights).sum() / shared_count(weights.sum(), 1e-6)


def reconstruction_loss(predicted: Tensor, target: Tensor, weight: Tensor, beta_mv: float = 0.1) -> Tensor:
    """Smooth L1 between a completed and a true signal.

    Args:
        predicted, target: (B, leads, T) millivolts.
        weight: (B, leads, T), 0 where the truth is unknown; larger where it was hidden from the model.
    """
    target = torch.where(weight > 0, target, torch.zeros_like(target))
    penalty = F.smooth_l1_loss(predicted.float(), target.float(), beta=beta_mv, reduction="none")
    return (penalty * weight).sum() / shared_count(weight.sum(), 1e-6)


def findings_loss(logits: Tensor, findings: Tensor) -> Tensor:
    """Binary cross-entropy of the findings that are known; 0 where none is.

    Args:
        logits: (B, findings).
        findings: (B, findings), 1 where a finding is present, 0 where it is not, NaN where nobody said.
    """
    known = torch.isfinite(findings)
    entropy = F.binary_cross_entropy_with_logits(logits.float(), findings.nan_to_num(), reduction="none")
    return (entropy * known).sum() / shared_count(known.sum(), 1.0)


def height_loss(logits: Tensor, height: Tensor, weight: Tensor, spread: float = 1.0) -> Tensor:
    """Cross-entropy of each column's distribution over height against a soft target.

    Args:
        logits: (B, bins, columns).
        height: (B, columns), true height in bins, fractions allowed.
        weight: (B, columns), 0 where a column has no truth.
        spread: standard deviation of the target in bins.
    """
    bins = torch.arange(logits.shape[1], device=logits.device, dtype=torch.float32)[None, :, None]
    height = torch.where(weight > 0, height, torch.zeros_like(height)).float()
    target = (-0.5 * ((bins - height[:, None]) / spread) ** 2).softmax(1)  # (B, bins, columns)
    loss = -(target * logits.float().log_softmax(1)).sum(1)
    return (loss * weight).sum() / shared_count(weight.sum(), 1e-6)


def snr_loss(predicted: Tensor, target: Tensor, weight: Tensor, floor: float = 1e-3) -> Tensor:
    """Negative signal-to-noise ratio in decibels, the metric itself: mean over the rows that have truth.

    Args:
        predicted, target: (B, T) in the same unit.
        weight: (B, T), 0 where there is no truth.
        floor: error power, relative to the signal's, below which nothing is gained.
    """
    weight = weight.float()
    count = weight.sum(-1).clamp(min=1e-6)
    target = torch.where(weight > 0, target, torch.zeros_like(target)).float()
    centred = target - (target * weight).sum(-1, keepdim=True) / count[:, None]
    power = (centred**2 * weight).sum(-1) / count + 1e-6
    error = ((predicted.float() - target) ** 2 * weight).sum(-1) / count
    ratio_db = 10 * torch.log10(error / power + floor)
    present = (weight.sum(-1) > 0).float()
    return (ratio_db * present).sum() / shared_count(present.sum(), 1.0)


def classification_loss(logits: Tensor, labels: Tensor, several: bool) -> Tensor:
    """Cross-entropy of a classifier's logits (B, C), in float32.

    Args:
        labels: class numbers (B,) or, where `several` may hold at once, (B, C) of 0 and 1.

    Raises:
        ValueError: labels that the head does not have.
    """
    remedy = "load the model with id2label naming your labels"
    if labels.shape != (logits.shape if several else logits.shape[:1]):
        raise ValueError(
            f"labels of shape {tuple(labels.shape)} do not match the head's logits {tuple(logits.shape)}; {remedy}"
        )
    if several:
        return F.binary_cross_entropy_with_logits(logits.float(), labels.float())
    if labels.max() >= logits.shape[1]:
        raise ValueError(f"label {int(labels.max())} does not match the head of {logits.shape[1]} labels; {remedy}")
    return F.cross_entropy(logits.float(), labels)


__all__ = [
    "LIMB_LAWS",
    "all_volumes",
    "classification_loss",
    "equal_rows",
    "findings_loss",
    "gather_with_gradient",
    "height_loss",
    "implied_pairs",
    "lead_residuals",
    "pairwise_loss",
    "reconstruction_loss",
    "shared_count",
    "snr_loss",
    "soft_lead_loss",
    "volume",
    "volume_loss",
    "volume_of_cosines",
]
