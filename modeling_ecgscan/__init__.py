"""ECG-Scan's models, loaded when first asked for; importing the package registers them with the Auto classes."""

from importlib import import_module
from typing import Any

import ecgscan_autoload

ecgscan_autoload.install()

_HOMES = {
    "ECGScanConfig": "configuration_ecgscan",
    "ECGScanImageConfig": "configuration_ecgscan",
    "ECGScanSignalConfig": "configuration_ecgscan",
    "ECGScanTextConfig": "configuration_ecgscan",
    "ECGScanForImageClassification": "modeling_ecgscan",
    "ECGScanForZeroShotImageClassification": "modeling_ecgscan",
    "ECGScanModel": "modeling_ecgscan",
    "ECGScanOutput": "outputs_ecgscan",
    "ECGReading": "readings_ecgscan",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(_HOMES)}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
