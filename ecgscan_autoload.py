"""Teaches transformers' Auto classes ECG-Scan, so that `AutoModel.from_pretrained("ecgscan")` needs no other import.

Python runs this at every start of an environment in which the package is installed (0.1 ms): it only waits for
transformers' own auto modules and registers one class with each as it is imported. `ECGSCAN_AUTOLOAD=0` turns it off.
"""

import os
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_MODEL_TYPE = "ecgscan"


def _config() -> Any:
    return import_module("modeling_ecgscan.configuration_ecgscan").ECGScanConfig


def _register_config(auto: ModuleType) -> None:
    auto.AutoConfig.register(_MODEL_TYPE, _config(), exist_ok=True)


def _register_models(auto: ModuleType) -> None:
    models = import_module("modeling_ecgscan.modeling_ecgscan")
    auto.AutoModel.register(_config(), models.ECGScanModel, exist_ok=True)
    auto.AutoModelForImageClassification.register(_config(), models.ECGScanForImageClassification, exist_ok=True)
    auto.AutoModelForZeroShotImageClassification.register(
        _config(), models.ECGScanForZeroShotImageClassification, exist_ok=True
    )


def _register_processor(auto: ModuleType) -> None:
    processor = import_module("processing.processing_ecgscan").ECGScanProcessor
    auto.AutoProcessor.register(_config(), processor, exist_ok=True)


def _register_image_processor(auto: ModuleType) -> None:
    processor = import_module("processing.image_processing_ecgscan").ECGScanImageProcessor
    auto.AutoImageProcessor.register(_config(), image_processor_classes={"pil": processor}, exist_ok=True)


def _register_feature_extractor(auto: ModuleType) -> None:
    extractor = import_module("processing.feature_extraction_ecgscan").ECGScanFeatureExtractor
    auto.AutoFeatureExtractor.register(_config(), extractor, exist_ok=True)


def _register_tokenizer(auto: ModuleType) -> None:
    tokenizer = import_module("transformers").PreTrainedTokenizerFast
    auto.AutoTokenizer.register(_config(), fast_tokenizer_class=tokenizer, exist_ok=True)


def _register_pipeline(_: ModuleType) -> None:
    import_module("modeling_ecgscan.pipeline_ecgscan").register()


# For each module of transformers that keeps a register: how to register there.
_AUTO = "transformers.models.auto."
_REGISTRATIONS: dict[str, Callable[[ModuleType], None]] = {
    f"{_AUTO}configuration_auto": _register_config,
    f"{_AUTO}modeling_auto": _register_models,
    f"{_AUTO}processing_auto": _register_processor,
    f"{_AUTO}image_processing_auto": _register_image_processor,
    f"{_AUTO}feature_extraction_auto": _register_feature_extractor,
    f"{_AUTO}tokenization_auto": _register_tokenizer,
    "transformers.pipelines": _register_pipeline,
}
_OWN_PACKAGES = ("modeling_ecgscan.", "processing.")


def _is_own(name: str) -> bool:
    return name.startswith(_OWN_PACKAGES) and name.endswith("_ecgscan")


def _half_imported(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def _register(finished: str | None = None) -> None:
    """Registers with all modules that are imported, unless they, or modules of this package, are half imported.

    Whatever is half imported runs through here again once it has finished.
    """
    if any(_half_imported(name) for name in list(sys.modules) if _is_own(name) and name != finished):
        return
    for name, register in _REGISTRATIONS.items():
        module = sys.modules.get(name)
        if module is None or name in _registered or (name != finished and _half_imported(name)):
            continue
        _registered.add(name)
        try:
            register(module)
        except Exception as error:  # another program's use of transformers must not fail because of this one
            warnings.warn(f"ecgscan could not register with {name}: {error!r}", stacklevel=2)


_registered: set[str] = set()


class _RegisteringLoader(Loader):
    """Runs a module as its own loader would, then registers what has become possible."""

    def __init__(self, loader: Loader, name: str):
        self.loader, self.name = loader, name

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        _register(self.name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


class _WatchingFinder(MetaPathFinder):
    """Finds the watched modules through the other finders and wraps their loader."""

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in _REGISTRATIONS and not _is_own(name):
            return None
        for finder in sys.meta_path:
            if finder is self:
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _RegisteringLoader(spec.loader, name)
                return spec
        return None


def install() -> None:
    """Registers now with auto modules that are already imported, later with the others."""
    if not any(isinstance(finder, _WatchingFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WatchingFinder())
    _register()


if os.environ.get("ECGSCAN_AUTOLOAD", "1") != "0":
    install()
