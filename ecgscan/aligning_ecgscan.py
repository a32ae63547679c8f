"""How the embeddings of pages, signals and texts are held together."""

import torch
from torch import Tensor

from .losses_ecgscan import equal_rows, gather_with_gradient, implied_pairs, pairwise_loss, volume_loss
from .outputs_ecgscan import ECGScanOutput
from .text_ecgscan import text_keys


def add_logits(output: ECGScanOutput) -> None:
    """Scaled cosines between all modalities that were given."""
    image, signal, text, scale = output.image_embeds, output.signal_embeds, output.text_embeds, output.logit_scale
    if image is not None and signal is not None:
        output.logits_per_image_signal = scale * image @ signal.T  # type: ignore[operator]
    if image is not None and text is not None:
        output.logits_per_image_text = scale * image @ text.T  # type: ignore[operator]
    if signal is not None and text is not None:
        output.logits_per_signal_text = scale * signal @ text.T  # type: ignore[operator]


def false_negatives(
    input_ids: Tensor | None, attention_mask: Tensor | None, facts: Tensor | None, text_facts: Tensor | None
) -> Tensor | None:
    """(N, N) bool over the samples of all processes: pairs that the texts do not tell apart."""
    if input_ids is None:
        return None
    exclude = equal_rows(gather_with_gradient(text_keys(input_ids, attention_mask)))
    if facts is not None and text_facts is not None:
        said = [gather_with_gradient(part.to(torch.uint8)) for part in (facts, text_facts)]
        exclude = exclude | implied_pairs(*said)
    return exclude


def alignment_losses(output: ECGScanOutput, exclude: Tensor | None, smoothing: float) -> dict[str, Tensor]:
    """Pairwise and volume losses between all modalities that were given, over the samples of all processes.

    Args:
        exclude: (N, N) bool of `false_negatives`.
        smoothing: of the labels.
    """
    scale = output.logit_scale
    image, signal, text = (
        None if embeds is None else gather_with_gradient(embeds)
        for embeds in (output.image_embeds, output.signal_embeds, output.text_embeds)
    )
    losses: dict[str, Tensor] = {}
    if signal is not None and text is not None:
        losses["signal_text"] = pairwise_loss(signal, text, scale, exclude, smoothing)  # type: ignore[arg-type]
    if image is not None and signal is not None:
        losses["image_signal"] = pairwise_loss(image, signal, scale, None, smoothing)  # type: ignore[arg-type]
    if image is not None and text is not None:
        losses["image_text"] = pairwise_loss(image, text, scale, exclude, smoothing)  # type: ignore[arg-type]
    if image is not None and signal is not None and text is not None:
        losses["volume"] = volume_loss(image, signal, text, scale, exclude, smoothing)  # type: ignore[arg-type]
    return losses


__all__ = ["add_logits", "alignment_losses", "false_negatives"]
