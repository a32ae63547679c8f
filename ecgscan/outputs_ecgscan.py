"""What the models return."""

from dataclasses import dataclass

from torch import Tensor
from transformers.utils import ModelOutput

from .readings_ecgscan import ECGReading


@dataclass
class ECGScanOutput(ModelOutput):
    """What `ECGScanModel` returns; a field is None where its inputs were not given.

    Attributes:
        loss: weighted sum of `losses`.
        image_embeds, signal_embeds, text_embeds: (B, projection_dim), unit length.
        logit_scale: inverse temperature, where two modalities were given.
        logits_per_image_signal, logits_per_image_text, logits_per_signal_text: (B, B') scaled cosines.
        losses: each loss by name, unweighted.
        reading: one `ECGReading` per page, where the image tower reads.
        findings_logits: (B, findings) of the signals, where the model has a findings head.
    """

    loss: Tensor | None = None
    image_embeds: Tensor | None = None
    signal_embeds: Tensor | None = None
    text_embeds: Tensor | None = None
    logit_scale: Tensor | None = None
    logits_per_image_signal: Tensor | None = None
    logits_per_image_text: Tensor | None = None
    logits_per_signal_text: Tensor | None = None
    losses: dict[str, Tensor] | None = None
    reading: list[ECGReading] | None = None
    findings_logits: Tensor | None = None

    @property
    def embeddings(self) -> Tensor | None:
        """The image embeddings, under the name that the original ECG-Scan release gave them."""
        return self.image_embeds


@dataclass
class ECGScanClassifierOutput(ModelOutput):
    """Logits (B, labels) of a classifier on the image tower, and the readings behind them where pages were given."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    reading: list[ECGReading] | None = None


@dataclass
class ECGScanZeroShotOutput(ModelOutput):
    """Scaled cosines between pages and texts."""

    logits_per_image: Tensor | None = None
    logits_per_text: Tensor | None = None
    image_embeds: Tensor | None = None
    text_embeds: Tensor | None = None


__all__ = ["ECGScanClassifierOutput", "ECGScanOutput", "ECGScanZeroShotOutput"]
