"""`pipeline("ecg-scan")`: pages in, readings out (leads, findings, embedding)."""

from typing import Any

from transformers import AutoModel
from transformers.image_utils import load_image
from transformers.pipelines import PIPELINE_REGISTRY, Pipeline

TASK = "ecg-scan"


class ECGScanPipeline(Pipeline):
    """Reads pages given as paths, URLs or PIL images.

    Example:
        >>> reader = pipeline("ecg-scan", model="ecgscan")
        >>> reading = reader("page.jpg")
        >>> reading.signal, reading.findings, reading.embedding
    """

    _load_processor: Any = True
    _load_image_processor: Any = False
    _load_feature_extractor: Any = False
    _load_tokenizer: Any = False
    processor: Any
    model: Any

    def _sanitize_parameters(self, columns: str | None = None, **_: Any) -> tuple[dict, dict, dict]:
        return {}, {} if columns is None else {"columns": columns}, {}

    def preprocess(self, input_: Any, **_: Any) -> dict[str, Any]:
        return dict(self.processor(images=load_image(input_), return_tensors="pt"))

    def _forward(self, input_tensors: dict[str, Any], **options: Any) -> Any:
        pixels, size = input_tensors["pixel_values"], input_tensors["page_size"]
        return {"readings": self.model.read(pixels, size, **options)}

    def postprocess(self, model_outputs: Any, **_: Any) -> Any:
        found = model_outputs["readings"]  # a list, or one of its items where transformers took a batch apart
        return found[0] if isinstance(found, list) else found


def register() -> None:
    """Makes the task known to `transformers.pipeline`."""
    if TASK not in PIPELINE_REGISTRY.supported_tasks:
        PIPELINE_REGISTRY.register_pipeline(TASK, pipeline_class=ECGScanPipeline, pt_model=AutoModel, type="image")


__all__ = ["ECGScanPipeline"]
