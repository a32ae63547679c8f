"""One processor for pages, signals and texts."""

from typing import Any

from transformers import BatchFeature, ProcessorMixin
from transformers.utils import TensorType


class ECGScanProcessor(ProcessorMixin):
    """Image processor, feature extractor and tokenizer of a checkpoint in one call.

    Example:
        >>> processor = AutoProcessor.from_pretrained("ecgscan")
        >>> inputs = processor(images=page, text=["normal ECG", "atrial fibrillation"], return_tensors="pt")
    """

    def __init__(self, image_processor: Any = None, feature_extractor: Any = None, tokenizer: Any = None, **_: Any):
        super().__init__(image_processor, feature_extractor, tokenizer)

    def __call__(
        self,
        images: Any = None,
        text: str | list[str] | None = None,
        signals: Any = None,
        *,
        sampling_rate: float | None = None,
        units: str = "mV",
        lead_names: list[str] | tuple[str, ...] | None = None,
        padding: bool | str = True,
        truncation: bool = True,
        return_tensors: str | TensorType | None = None,
    ) -> BatchFeature:
        """Prepares any subset of pages, texts and signals.

        Args:
            images: pages, as `ECGScanImageProcessor` takes them.
            text: one text or several.
            signals, sampling_rate, units, lead_names: recordings, as `ECGScanFeatureExtractor` takes them.
            padding, truncation: of texts.
            return_tensors: `"pt"` or `"np"`.

        Returns:
            `pixel_values`, `page_size`, `input_ids`, `attention_mask`, `signal_values`, `signal_mask`, as given.
        """
        if images is None and text is None and signals is None:
            raise ValueError("nothing to process: give images, text or signals")
        data: dict[str, Any] = {}
        if images is not None:
            data.update(self.image_processor(images, return_tensors=return_tensors))
        if text is not None:
            texts = [text] if isinstance(text, str) else list(text)
            data.update(self.tokenizer(texts, padding=padding, truncation=truncation, return_tensors=return_tensors))
        if signals is not None:
            data.update(
                self.feature_extractor(
                    signals,
                    sampling_rate=sampling_rate,
                    units=units,
                    lead_names=lead_names,
                    return_tensors=return_tensors,
                )
            )
        return BatchFeature(data)

    @property
    def model_input_names(self) -> list[str]:
        names = [
            *self.image_processor.model_input_names,
            *self.tokenizer.model_input_names,
            *self.feature_extractor.model_input_names,
        ]
        return list(dict.fromkeys(names))


ECGScanProcessor.register_for_auto_class("AutoProcessor")

__all__ = ["ECGScanProcessor"]
