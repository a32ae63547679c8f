"""`pipeline("ecg-scan")`: pages in, readings out."""

from typing import Any, ClassVar

from transformers import AutoModel
from transformers.image_utils import load_image
from transformers.pipelines import PIPELINE_REGISTRY, Pipeline

TASK = "ecg-scan"


class ECGScanPipeline(Pipeline):
    """Reads pages given as paths, URLs or PIL images.

    Example:
        >>> reader = pipeline("ecg-scan", model="ecgscan")
        >>> reader("page.jpg").signal.shape
    """

    _load_processor = True
    _load_image_processor = False
    _load_feature_extractor = False
    _load_tokenizer = False
    _pipeline_calls_generate: ClassVar[bool] = False

    def _sanitize_parameters(self, columns: str | None = None, **_: Any) -> tuple[dict, dict, dict]:
        return {}, {} if columns is None else {"columns": columns}, {}

    def preprocess(self, image: Any) -> dict[str, Any]:
        return dict(self.processor(images=load_image(image), return_tensors="pt"))

    def _forward(self, inputs: dict[str, Any], columns: str = "sequential") -> dict[str, Any]:
        return {"readings": self.model.read(inputs["pixel_values"], inputs["page_size"], columns)}

    def postprocess(self, outputs: dict[str, Any]) -> Any:
        return outputs["readings"][0]


def register() -> None:
    """Makes the task known to `transformers.pipeline`."""
    if TASK not in PIPELINE_REGISTRY.supported_tasks:
        PIPELINE_REGISTRY.register_pipeline(TASK, pipeline_class=ECGScanPipeline, pt_model=AutoModel, type="image")


__all__ = ["ECGScanPipeline"]
