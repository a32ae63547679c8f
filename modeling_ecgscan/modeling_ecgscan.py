"""ECG-Scan: a page, a signal and a report in one space, and the page read into millivolts."""

from dataclasses import fields, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init

from .aligning_ecgscan import add_logits, alignment_losses, false_negatives
from .beats_ecgscan import expected_beats
from .configuration_ecgscan import ECGScanConfig
from .image_ecgscan import ECGScanImageReader
from .layers_ecgscan import ECGScanLayer
from .losses_ecgscan import classification_loss, findings_loss, reconstruction_loss, soft_lead_loss
from .outputs_ecgscan import ECGScanClassifierOutput, ECGScanOutput, ECGScanZeroShotOutput
from .readings_ecgscan import ECGReading, signal_arrays
from .signal_ecgscan import ECGScanSignalModel
from .terms_ecgscan import LIMB_FROM_I_II
from .text_ecgscan import ECGScanTextModel
from .vit_ecgscan import ECGScanViTModel


class ECGScanPreTrainedModel(PreTrainedModel):
    """Loading, saving and initial weights."""

    config: ECGScanConfig
    base_model_prefix = "ecgscan"
    main_input_name = "pixel_values"
    input_modalities = ["image"]
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_attention_backend = True
    _no_split_modules = ["ECGScanLayer"]
    _can_record_outputs = {"hidden_states": ECGScanLayer}
    _keys_to_ignore_on_load_unexpected = [r"^classifier\."]

    @classmethod
    def _can_set_attn_implementation(cls) -> bool:
        return True

    @torch.no_grad()
    def _init_weights(self, module: Any) -> None:
        super()._init_weights(module)
        std = self.config.initializer_range
        if isinstance(module, nn.Conv1d):
            init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, ECGScanSignalModel):
            init.normal_(module.positions, std=std)
            init.normal_(module.head.weight, std=1e-3)  # completes with a flat line until it has learned better
            init.copy_(module.limb, torch.tensor(LIMB_FROM_I_II))  # type: ignore[arg-type]
        elif isinstance(module, ECGScanViTModel):
            init.normal_(module.positions, std=std)
            init.normal_(module.class_token, std=std)
        elif isinstance(module, ECGScanModel):
            init.constant_(module.logit_scale, self.config.logit_scale_init_value)

    @classmethod
    def from_pretrained(cls, *args: Any, output_loading_info: bool = False, **kwargs: Any) -> Any:
        """As in transformers, but a weight that is missing or unknown is an error, never a silent random start."""
        loaded: Any = super().from_pretrained(*args, output_loading_info=True, **kwargs)
        model, info = loaded
        missing = sorted(key for key in info["missing_keys"] if not key.startswith("classifier."))
        unknown = sorted(info["unexpected_keys"])
        if missing or unknown:
            raise ValueError(
                f"the checkpoint {args[0] if args else ''} does not fit {cls.__name__}: {len(missing)} weights missing "
                f"{missing[:3]}, {len(unknown)} unknown {unknown[:3]}; use the release that wrote it"
            )
        return (model, info) if output_loading_info else model


class ECGScanModel(ECGScanPreTrainedModel):
    """Three towers, their projections, and the lead-reconstruction head.

    Example:
        >>> model = AutoModel.from_pretrained("ecgscan")
        >>> processor = AutoProcessor.from_pretrained("ecgscan")
        >>> reading = model.read(**processor(images=page, return_tensors="pt"))[0]
        >>> reading.signal.shape  # (12, samples) millivolts at 500 Hz, NaN where nothing is printed
    """

    def __init__(self, config: ECGScanConfig):
        super().__init__(config)
        towers: tuple[Any, Any, Any] = (config.image_config, config.signal_config, config.text_config)
        image, signal, text = towers
        for tower_config in towers:
            tower_config._attn_implementation = config._attn_implementation
        self.reads = image.architecture == "reader"
        self.image_model: Any = ECGScanImageReader(image) if self.reads else ECGScanViTModel(image)
        self.signal_model = ECGScanSignalModel(signal, len(config.lead_names))
        self.text_model = ECGScanTextModel(text)
        self.image_size = signal.widths[-1] if self.reads else image.hidden_size
        self.image_projection = nn.Linear(self.image_size, config.projection_dim, bias=False)
        self.signal_projection = nn.Linear(signal.widths[-1], config.projection_dim, bias=False)
        self.text_projection = nn.Linear(text.hidden_size, config.projection_dim, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(config.logit_scale_init_value))
        self.findings_head = nn.Linear(signal.widths[-1], len(config.findings)) if config.findings else None
        self.post_init()

    def set_findings(self, names: list[str]) -> None:
        """Gives the model a fresh head that tells these findings of a signal."""
        self.config.findings, self.config.findings_calibration = list(names), {}
        self.config.name_labels()
        self.findings_head = nn.Linear(self.signal_projection.in_features, len(names)).to(self.device)

    @torch.no_grad()
    def read(
        self, pixel_values: Tensor, page_size: Tensor | None = None, columns: str | None = None
    ) -> list[ECGReading]:
        """Reads pages into millivolts.

        Args:
            pixel_values: (B, 3, H, W) uint8 RGB, as the image processor gives them.
            page_size: (B, 2) height and width of the real content in pixels; the whole picture where None.
            columns: `"sequential"` or `"simultaneous"`, when the columns of a page were recorded; None where its rhythm
                strips are to tell, sequential if none does.

        Returns:
            One `ECGReading` per page, with `completed`, `embedding` and `findings` filled where an ECG was found.
        """
        if not self.reads:
            raise ValueError("architecture 'vit' embeds pages but does not read them; use a checkpoint with 'reader'")
        readings = self.image_model.read(pixel_values, page_size, columns)
        return self.inferred(readings)[1]

    def inferred(self, readings: list[ECGReading]) -> tuple[Tensor, list[ECGReading]]:
        """Features (B, signal width) of readings, and the readings with what the signal tower infers from them."""
        values, weight = self.signals_of(readings)
        # the encoder learned from samples that are known or not; how surely they were read counts in the completion
        pooled, scales = self.signal_model.encode(values, weight > 0)
        with torch.no_grad():
            expected = torch.from_numpy(expected_beats(values.cpu().numpy(), weight.cpu().numpy())).to(values)
            completed = self.signal_model.complete(values, weight, expected, scales).cpu().numpy()
            embeddings = F.normalize(self.image_projection(pooled).float(), dim=-1).cpu().numpy()
            found = self.findings_of(pooled)
        return pooled, [
            replace(reading, completed=signal, embedding=embedding, findings=findings)
            if reading.status != "no_ecg"
            else reading
            for reading, signal, embedding, findings in zip(readings, completed, embeddings, found, strict=True)
        ]

    @torch.no_grad()
    def findings_of(self, features: Tensor) -> list[dict[str, float]]:
        """Calibrated probability by finding, for each row of features (B, signal width); empty without a head.

        Where a calibration was fitted, findings that it left out are left out here: the model can't tell them.
        """
        if self.findings_head is None:
            return [{} for _ in features]
        calibration = self.config.findings_calibration
        lines = torch.tensor([calibration.get(name, [1.0, 0.0]) for name in self.config.findings])
        logits = self.findings_head(features).float().cpu()
        shares = (logits * lines[:, 0] + lines[:, 1]).sigmoid().tolist()
        told = calibration or self.config.findings
        return [
            {name: share for name, share in zip(self.config.findings, row, strict=True) if name in told}
            for row in shares
        ]

    def signals_of(self, readings: list[ECGReading]) -> tuple[Tensor, Tensor]:
        """Readings as input of the signal tower: (B, 12, samples) millivolts and their confidence, 0 where unknown."""
        values, weight = signal_arrays(readings, self.config.signal_config.samples)  # type: ignore[union-attr]
        return torch.from_numpy(values).to(self.device), torch.from_numpy(weight).to(self.device)

    def image_features(
        self, pixel_values: Tensor, page_size: Tensor | None = None, columns: str | None = None
    ) -> tuple[Tensor, list[ECGReading] | None]:
        """Features (B, image_size) before the projection, and the readings where the tower reads."""
        if not self.reads:
            return self.image_model(pixel_values, page_size), None
        with torch.no_grad():
            readings = self.image_model.read(pixel_values, page_size, columns)
        return self.inferred(readings)

    def signal_features(self, signal_values: Tensor, signal_mask: Tensor | None = None) -> Tensor:
        """Features (B, signal width) before the projection, of signals as for `get_signal_features`."""
        return self.signal_model.encode(signal_values, self._weight(signal_values, signal_mask))[0]

    def get_image_features(self, pixel_values: Tensor, page_size: Tensor | None = None) -> Tensor:
        """Unit vectors (B, projection_dim) of pages."""
        return F.normalize(self.image_projection(self.image_features(pixel_values, page_size)[0]).float(), dim=-1)

    def get_signal_features(self, signal_values: Tensor, signal_mask: Tensor | None = None) -> Tensor:
        """Unit vectors (B, projection_dim) of signals (B, 12, samples) in millivolts; `signal_mask` 0 where unknown."""
        return F.normalize(self.signal_projection(self.signal_features(signal_values, signal_mask)).float(), dim=-1)

    def get_text_features(self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any) -> Tensor:
        """Unit vectors (B, projection_dim) of texts."""
        return F.normalize(self.text_projection(self.text_model(input_ids, attention_mask)).float(), dim=-1)

    @staticmethod
    def _weight(values: Tensor, mask: Tensor | None) -> Tensor:
        return torch.isfinite(values) if mask is None else mask

    def forward(
        self,
        pixel_values: Tensor | None = None,
        page_size: Tensor | None = None,
        signal_values: Tensor | None = None,
        signal_mask: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        read_values: Tensor | None = None,
        read_mask: Tensor | None = None,
        signal_target: Tensor | None = None,
        signal_target_weight: Tensor | None = None,
        facts: Tensor | None = None,
        text_facts: Tensor | None = None,
        findings: Tensor | None = None,
        return_loss: bool | None = None,
        **_: Any,
    ) -> ECGScanOutput:
        """Any subset of page, signal and text; row i of each belongs together.

        Args:
            pixel_values, page_size: pages, as for `read`.
            signal_values, signal_mask: (B, 12, samples) millivolts at 500 Hz, and 0 where unknown.
            input_ids, attention_mask: (B, L) word pieces.
            read_values, read_mask: instead of pages what a reader gave of them, as signals; `image_embeds` are theirs.
            signal_target, signal_target_weight: (B, 12, samples) the true signal and how much each sample of it
                counts, for masked reconstruction from what was read, or else from the signal.
            facts, text_facts: (B, F) bool, what is known of each sample and what its text says, so that a text that
                is also true of another sample is no negative for it.
            findings: (B, findings) 1 present, 0 absent, NaN unknown, for the findings head.
            return_loss: computes every loss that the given modalities allow.
        """
        if read_values is not None and (pixel_values is not None or not self.reads):
            given = "pixel_values too" if self.reads else "architecture 'vit'"
            raise ValueError(f"read_values stand for pages that a reader read, got {given}; give one or the other")
        output = ECGScanOutput()
        if sum(part is not None for part in (pixel_values, read_values, signal_values, input_ids)) > 1:
            output.logit_scale = self.logit_scale.float().clamp(max=4.6052).exp()
        losses: dict[str, Tensor] = {}
        pooled: list[Tensor] = []
        if pixel_values is not None:
            features, output.reading = self.image_features(pixel_values, page_size)
            output.image_embeds = F.normalize(self.image_projection(features).float(), dim=-1)
        if signal_values is not None:
            features, scales = self.signal_model.encode(signal_values, self._weight(signal_values, signal_mask))
            output.signal_embeds = F.normalize(self.signal_projection(features).float(), dim=-1)
            pooled.append(features)
        if read_values is not None:
            features, scales = self.signal_model.encode(read_values, self._weight(read_values, read_mask))
            output.image_embeds = F.normalize(self.image_projection(features).float(), dim=-1)
            pooled.append(features)
        if pooled and self.findings_head is not None:
            output.findings_logits = self.findings_head(pooled[0])
            if findings is not None and return_loss:
                told = [findings_loss(self.findings_head(features), findings) for features in pooled]
                losses["findings"] = torch.stack(told).mean()
        if pooled and signal_target is not None and return_loss:
            predicted = self.signal_model.all_leads(self.signal_model.predict(scales).float())
            losses["reconstruction"] = reconstruction_loss(predicted, signal_target, signal_target_weight)  # type: ignore[arg-type]
        if input_ids is not None:
            output.text_embeds = self.get_text_features(input_ids, attention_mask)
        add_logits(output)
        if return_loss:
            exclude = false_negatives(input_ids, attention_mask, facts, text_facts)
            losses.update(alignment_losses(output, exclude, self.config.label_smoothing))
            if output.reading is not None:
                losses["leads"] = soft_lead_loss(*self.signals_of(output.reading))
            output.losses = losses
            weights = self._loss_weights()
            output.loss = sum((weights[name] * loss for name, loss in losses.items()), self.logit_scale * 0.0)
        # Fields count in the order they were set; indexing an output wants the order of the class.
        return ECGScanOutput(*(getattr(output, field.name) for field in fields(ECGScanOutput)))

    def _loss_weights(self) -> dict[str, float]:
        config = self.config
        return {
            "reconstruction": config.reconstruction_weight,
            "findings": config.findings_weight,
            "signal_text": config.signal_text_weight,
            "image_signal": config.pairwise_weight,
            "image_text": config.pairwise_weight,
            "volume": config.volume_weight,
            "leads": config.lead_weight,
        }


class ECGScanForImageClassification(ECGScanPreTrainedModel):
    """A linear head on the image tower, for pages or for what was read of them.

    Reading is not learned here: the loss reaches the signal encoder and the head. Labels that the checkpoint's
    findings head tells start from it; others start at random, to be trained. Where all labels are findings, several
    may hold unless `config.problem_type` says otherwise.

    Example:
        >>> AutoModelForImageClassification.from_pretrained("ecgscan")  # tells the findings
        >>> AutoModelForImageClassification.from_pretrained("ecgscan", id2label={0: "paced", 1: "not paced"})
    """

    def __init__(self, config: ECGScanConfig):
        super().__init__(config)
        labels = list(config.id2label.values())  # type: ignore[union-attr]
        if set(labels) <= set(config.findings):
            config.problem_type = config.problem_type or "multi_label_classification"
            self._keys_to_ignore_on_load_missing = [r"^classifier\."]  # the findings head lends it every row
        self.num_labels = len(labels)
        self.ecgscan = ECGScanModel(config)
        self.classifier = nn.Linear(self.ecgscan.image_size, len(labels))
        self.post_init()

    def _init_weights(self, module: Any) -> None:
        super()._init_weights(module)
        if module is self.classifier:
            self.start_from_findings()

    @torch.no_grad()
    def start_from_findings(self) -> None:
        """Rows of a new classifier that bear the name of a finding become that finding's, calibrated."""
        head = self.ecgscan.findings_head
        weight, bias = self.classifier.weight.clone(), self.classifier.bias.clone()
        for row, name in self.config.id2label.items():  # type: ignore[union-attr]
            if head is not None and self.ecgscan.reads and name in self.config.findings:
                place = self.config.findings.index(name)
                slope, offset = self.config.findings_calibration.get(name, [1.0, 0.0])
                weight[int(row)], bias[int(row)] = slope * head.weight[place], slope * head.bias[place] + offset
        init.copy_(self.classifier.weight, weight)
        init.copy_(self.classifier.bias, bias)

    def train(self, mode: bool = True) -> "ECGScanForImageClassification":
        """Training mode, but for what does not learn: the reading networks, and normalisations that are frozen."""
        super().train(mode)
        if self.ecgscan.reads:
            self.ecgscan.image_model.eval()
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d) and not module.weight.requires_grad:
                module.eval()
        return self

    def forward(
        self,
        pixel_values: Tensor | None = None,
        page_size: Tensor | None = None,
        signal_values: Tensor | None = None,
        signal_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **_: Any,
    ) -> ECGScanClassifierOutput:
        """Logits of pages, or of signals as they were read.

        Args:
            pixel_values, page_size: pages, as for `ECGScanModel.read`.
            signal_values, signal_mask: instead of pages, (B, 12, samples) millivolts and 0 where unknown.
            labels: class numbers (B,) or, where several may hold, (B, labels) of 0 and 1; gives the loss.

        Raises:
            ValueError: both or none of pages and signals, or labels that the head does not have.
        """
        if (pixel_values is None) == (signal_values is None):
            given = "neither" if pixel_values is None else "both"
            raise ValueError(
                f"expected pixel_values or signal_values, got {given}; give pages or what was read of them"
            )
        if signal_values is not None and not self.ecgscan.reads:
            raise ValueError("architecture 'vit' classifies pages, not signals; give pixel_values")
        reading = None
        if pixel_values is not None:
            features, reading = self.ecgscan.image_features(pixel_values, page_size)
        else:
            features = self.ecgscan.signal_features(signal_values, signal_mask)  # type: ignore[arg-type]
        logits = self.classifier(features)
        several = self.config.problem_type == "multi_label_classification" or (labels is not None and labels.ndim == 2)
        loss = None if labels is None else classification_loss(logits, labels, several)
        return ECGScanClassifierOutput(loss=loss, logits=logits, reading=reading)


class ECGScanForZeroShotImageClassification(ECGScanPreTrainedModel):
    """Pages against texts that name the classes."""

    def __init__(self, config: ECGScanConfig):
        super().__init__(config)
        self.ecgscan = ECGScanModel(config)
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        page_size: Tensor | None = None,
        **_: Any,
    ) -> ECGScanZeroShotOutput:
        """`logits_per_image` (pages, texts)."""
        output = self.ecgscan(pixel_values, page_size, input_ids=input_ids, attention_mask=attention_mask)
        logits = output.logits_per_image_text
        return ECGScanZeroShotOutput(logits, logits.T, output.image_embeds, output.text_embeds)


for _class, _auto in (
    (ECGScanModel, "AutoModel"),
    (ECGScanForImageClassification, "AutoModelForImageClassification"),
    (ECGScanForZeroShotImageClassification, "AutoModelForZeroShotImageClassification"),
):
    _class.register_for_auto_class(_auto)

__all__ = [
    "ECGScanForImageClassification",
    "ECGScanForZeroShotImageClassification",
    "ECGScanModel",
    "ECGScanOutput",
    "ECGScanPreTrainedModel",
]
