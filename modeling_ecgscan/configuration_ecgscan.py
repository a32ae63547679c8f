"""Configuration of ECG-Scan: one class per tower, one over them, and two presets."""

from dataclasses import field
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

LEAD_NAMES = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]

_COLUMNS = [["I", "aVR", "V1", "V4"], ["II", "aVL", "V2", "V5"], ["III", "aVF", "V3", "V6"]]
_PAIRS = [["I", "V1"], ["II", "V2"], ["III", "V3"], ["aVR", "V4"], ["aVL", "V5"], ["aVF", "V6"]]


_CABRERA = ["aVL", "I", "aVR", "II", "aVF", "III"]


def _default_layouts() -> dict[str, list[list[str]]]:
    return {
        "3x4": _COLUMNS,
        "3x4+1": [*_COLUMNS, ["II"]],
        "3x4+2": [*_COLUMNS, ["V1"], ["II"]],
        "3x4+3": [*_COLUMNS, ["V1"], ["II"], ["V5"]],
        "6x2": _PAIRS,
        "6x2+1": [*_PAIRS, ["II"]],
        "12x1": [[lead] for lead in LEAD_NAMES],
        "6x1-limb": [[lead] for lead in LEAD_NAMES[:6]],
        "6x1-chest": [[lead] for lead in LEAD_NAMES[6:]],
        "6x2-cabrera": [list(pair) for pair in zip(_CABRERA, LEAD_NAMES[6:], strict=True)],
        "12x1-cabrera": [[lead] for lead in (*_CABRERA, *LEAD_NAMES[6:])],
        "4x3": [LEAD_NAMES[:3], LEAD_NAMES[3:6], LEAD_NAMES[6:9], LEAD_NAMES[9:]],
        "2x6": [LEAD_NAMES[:6], LEAD_NAMES[6:]],
        "3x2-chest": [row[2:] for row in _COLUMNS],
        "3x2-limb": [row[:2] for row in _COLUMNS],
        "3x1": [["I"], ["II"], ["III"]],
    }


@strict
class ECGScanImageConfig(PreTrainedConfig):
    """The image tower.

    Args:
        architecture: `"reader"` locates, rectifies and reads the page; `"vit"` is a plain vision transformer.
        find_widths: channels of the network that finds the strips on the whole page, from stride 4 downwards.
        find_depths: its residual blocks, per stride.
        locate_widths: channels of the locating network, from stride 4 downwards.
        locate_depths: its residual blocks, per stride.
        name_widths: channels of the network that reads the names of the leads, at strides 4 and 8.
        name_depths: its residual blocks, per stride.
        read_widths: channels of the strip-reading network, from stride 4 downwards.
        read_depths: its residual blocks, per stride.
        read_mixer_layers: its attention layers, at the coarsest stride.
        calibration: constants fitted after training (quality, thresholds).
        layouts: rows of lead names, by layout name.
        image_size: side of the square, in pixels, into which the vision transformer letterboxes a page.
        patch_size: side of its patches, in pixels.
        hidden_size, num_hidden_layers, num_attention_heads, intermediate_size: the vision transformer.
    """

    model_type = "ecgscan_image"
    base_config_key = "image_config"

    architecture: str = "reader"
    find_widths: list[int] = field(default_factory=lambda: [32, 48, 80, 128])
    find_depths: list[int] = field(default_factory=lambda: [1, 1, 2, 2])
    locate_widths: list[int] = field(default_factory=lambda: [40, 64, 112, 160])
    locate_depths: list[int] = field(default_factory=lambda: [1, 2, 2, 2])
    name_widths: list[int] = field(default_factory=lambda: [64, 96])
    name_depths: list[int] = field(default_factory=lambda: [1, 4])
    read_widths: list[int] = field(default_factory=lambda: [64, 128, 192])
    read_depths: list[int] = field(default_factory=lambda: [1, 2, 3])
    read_mixer_layers: int = 3
    calibration: dict[str, Any] = field(default_factory=dict)
    layouts: dict[str, list[list[str]]] = field(default_factory=_default_layouts)
    image_size: int = 384
    patch_size: int = 16
    hidden_size: int = 256
    num_hidden_layers: int = 6
    num_attention_heads: int = 4
    intermediate_size: int = 1024
    initializer_range: float = 0.02

    def validate_architecture(self) -> None:
        if self.architecture not in ("reader", "vit"):
            raise ValueError(f"architecture must be 'reader' or 'vit', got {self.architecture!r}")
        if self.image_size % self.patch_size:
            raise ValueError(f"image_size ({self.image_size}) must be a multiple of patch_size ({self.patch_size})")


@strict
class ECGScanSignalConfig(PreTrainedConfig):
    """The signal tower: a residual network over time with a transformer on its coarsest scale.

    Args:
        samples: length of its input, at `sampling_rate`.
        sampling_rate: hertz of its input.
        reduction: samples averaged into one step before the first layer (5: 100 Hz).
        widths: channels per scale; the first scale has stride 2, each further one halves time again.
        blocks: residual blocks per scale.
        kernel_size: steps a residual block sees at once.
        num_hidden_layers, num_attention_heads: the transformer on the last scale.
        dropout: of the pooled features, in training.
    """

    model_type = "ecgscan_signal"
    base_config_key = "signal_config"

    samples: int = 5000
    sampling_rate: int = 500
    reduction: int = 5
    widths: list[int] = field(default_factory=lambda: [48, 96, 160, 256])
    blocks: int = 1
    kernel_size: int = 7
    num_hidden_layers: int = 2
    num_attention_heads: int = 4
    dropout: float = 0.1
    initializer_range: float = 0.02

    def validate_architecture(self) -> None:
        if self.samples % (2 * self.reduction):
            raise ValueError(f"samples ({self.samples}) must be a multiple of 2 * reduction ({2 * self.reduction})")
        if self.widths[-1] % self.num_attention_heads:
            raise ValueError(
                f"the last width ({self.widths[-1]}) must be a multiple of num_attention_heads "
                f"({self.num_attention_heads})"
            )


@strict
class ECGScanTextConfig(PreTrainedConfig):
    """The text tower: a small transformer over word pieces."""

    model_type = "ecgscan_text"
    base_config_key = "text_config"

    vocab_size: int = 4096
    hidden_size: int = 192
    intermediate_size: int = 768
    num_hidden_layers: int = 3
    num_attention_heads: int = 4
    max_position_embeddings: int = 96
    dropout: float = 0.1
    pad_token_id: int | None = 0
    initializer_range: float = 0.02

    def validate_architecture(self) -> None:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size ({self.hidden_size}) must be a multiple of num_attention_heads "
                f"({self.num_attention_heads})"
            )


@strict
class ECGScanConfig(PreTrainedConfig):
    """Configuration of `ECGScanModel`.

    Args:
        image_config, signal_config, text_config: the towers; a dict or None builds the default class.
        projection_dim: size of the shared embedding space.
        lead_names: order of the leads in every signal, the six limb leads first.
        min_quality: pages whose reading scores below are refused.
        logit_scale_init_value: logarithm of the inverse temperature at the start of training.
        label_smoothing: of the contrastive cross-entropies.
        volume_weight, pairwise_weight, signal_text_weight: alignment losses.
        lead_weight: soft-lead loss, per millivolt.
        reconstruction_weight: masked reconstruction of the signal.
        findings: what the findings head tells of a signal, in the order of its outputs; none without a head.
        findings_weight: of the findings' cross-entropy.
        findings_calibration: slope and offset of the logit by finding, fitted after training; once fitted, findings
            without are not told.
    """

    model_type = "ecgscan"
    keys_to_ignore_at_inference = ["reading"]
    sub_configs_defaults = {
        "image_config": ECGScanImageConfig,  # type: ignore[dict-item]
        "signal_config": ECGScanSignalConfig,  # type: ignore[dict-item]
        "text_config": ECGScanTextConfig,  # type: ignore[dict-item]
    }

    image_config: dict | ECGScanImageConfig | None = None
    signal_config: dict | ECGScanSignalConfig | None = None
    text_config: dict | ECGScanTextConfig | None = None
    projection_dim: int = 256
    lead_names: list[str] | tuple[str, ...] = field(default_factory=lambda: list(LEAD_NAMES))
    min_quality: float = 0.15
    logit_scale_init_value: float = 2.6592
    label_smoothing: float = 0.0
    volume_weight: float = 1.0
    pairwise_weight: float = 1.0
    signal_text_weight: float = 1.0
    lead_weight: float = 1.0
    reconstruction_weight: float = 5.0
    findings: list[str] = field(default_factory=list)
    findings_weight: float = 100.0
    findings_calibration: dict[str, list[float]] = field(default_factory=dict)
    initializer_range: float = 0.02

    def validate_architecture(self) -> None:
        if list(self.lead_names[:6]) != LEAD_NAMES[:6] or len(self.lead_names) != 12:
            raise ValueError(
                f"lead_names must be 12 names beginning with the limb leads {LEAD_NAMES[:6]}, got {self.lead_names}"
            )

    def name_labels(self) -> None:
        """Names the labels of a classifier on this checkpoint by the findings that it tells."""
        told = [name for name in self.findings if name in (self.findings_calibration or self.findings)]
        self.id2label = dict(enumerate(told))
        self.label2id = {name: index for index, name in enumerate(told)}

    @classmethod
    def tiny(cls, **overrides: Any) -> "ECGScanConfig":
        """The smallest whole model, for tests and a first look: under 1 MB in half precision."""
        defaults = {
            "image_config": {
                "find_widths": [8, 12, 16, 24],
                "find_depths": [1, 1, 1, 1],
                "locate_widths": [8, 12, 16, 24],
                "locate_depths": [1, 1, 1, 1],
                "name_widths": [8, 12],
                "name_depths": [1, 1],
                "read_widths": [8, 12, 16],
                "read_depths": [1, 1, 1],
                "read_mixer_layers": 1,
                "image_size": 64,
                "hidden_size": 32,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "intermediate_size": 64,
            },
            "signal_config": {"widths": [8, 16, 24, 32], "num_hidden_layers": 1, "num_attention_heads": 2},
            "text_config": {
                "vocab_size": 512,
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "max_position_embeddings": 64,
            },
            "projection_dim": 32,
        }
        return cls(**{**defaults, **overrides})

    @classmethod
    def base(cls, **overrides: Any) -> "ECGScanConfig":
        """The shipped model: under 64 MB in half precision."""
        return cls(**overrides)


__all__ = ["ECGScanConfig", "ECGScanImageConfig", "ECGScanSignalConfig", "ECGScanTextConfig"]
