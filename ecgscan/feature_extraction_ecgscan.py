"""Any recording as the input of the signal tower: 12 leads, 500 Hz, millivolts, and a mask."""

from fractions import Fraction
from typing import Any

import numpy as np
from transformers import BatchFeature, SequenceFeatureExtractor
from transformers.utils import TensorType

from .leads import LEADS, canonical_lead

_MV_PER_UNIT = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "v": 1e3}
_IMPLAUSIBLE_MV = 100.0


class ECGScanFeatureExtractor(SequenceFeatureExtractor):
    """Brings recordings into (12, samples) millivolts in standard lead order.

    Args:
        sampling_rate: hertz of the output.
        duration_s: seconds of the output; longer recordings are cut at their end, shorter ones masked.
    """

    model_input_names = ["signal_values", "signal_mask"]

    def __init__(
        self,
        feature_size: int = 12,
        sampling_rate: int = 500,
        padding_value: float = 0.0,
        duration_s: float = 10.0,
        **kwargs: Any,
    ):
        super().__init__(feature_size=feature_size, sampling_rate=sampling_rate, padding_value=padding_value, **kwargs)
        self.duration_s = duration_s

    def __call__(
        self,
        signals: Any,
        sampling_rate: float | None = None,
        units: str = "mV",
        lead_names: list[str] | tuple[str, ...] | None = None,
        return_tensors: str | TensorType | None = None,
    ) -> BatchFeature:
        """Prepares one recording or a list of them.

        Args:
            signals: a `Recording` (its own rate, millivolts), an array (leads, samples) or a list of either;
                NaN marks what is not known.
            sampling_rate: hertz of the arrays.
            units: of the arrays: `"mV"`, `"uV"` or `"V"`.
            lead_names: names of the arrays' rows in their order; the twelve leads in standard order where None.
            return_tensors: `"pt"` or `"np"`.

        Returns:
            `signal_values` (B, 12, samples) float32 millivolts, 0 where unknown, and `signal_mask` of the same
            shape, bool, True where known.
        """
        batch = signals if isinstance(signals, list | tuple) else [signals]
        if not isinstance(signals, list | tuple) and getattr(signals, "ndim", 2) == 3:
            batch = list(signals)
        prepared = [self._prepare(item, index, sampling_rate, units, lead_names) for index, item in enumerate(batch)]
        data = {
            "signal_values": np.stack([values for values, _ in prepared]),
            "signal_mask": np.stack([mask for _, mask in prepared]),
        }
        return BatchFeature(data, tensor_type=return_tensors)

    def _prepare(
        self, item: Any, index: int, rate: float | None, units: str, names: list[str] | tuple[str, ...] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """(12, samples) millivolts and their mask from one recording or array."""
        if hasattr(item, "signal") and hasattr(item, "sampling_rate"):
            item, rate, units, names = item.signal, item.sampling_rate, "mV", LEADS
        signal = self._millivolts(item, index, units)
        if rate is None or not rate > 0:
            raise ValueError(f"signal {index}: sampling_rate in hertz expected, got {rate}; pass sampling_rate=...")
        signal = resampled(_in_standard_order(signal, names, index), float(rate), float(self.sampling_rate))
        length = int(round(self.duration_s * self.sampling_rate))
        values = np.zeros((len(LEADS), length), np.float32)
        mask = np.zeros((len(LEADS), length), bool)
        used = min(length, signal.shape[1])
        mask[:, :used] = np.isfinite(signal[:, :used])
        values[:, :used] = np.where(mask[:, :used], signal[:, :used], 0.0)
        return values, mask

    @staticmethod
    def _millivolts(item: Any, index: int, units: str) -> np.ndarray:
        if units.lower() not in _MV_PER_UNIT:
            raise ValueError(f"signal {index}: units 'mV', 'uV' or 'V' expected, got {units!r}; convert it first")
        array = np.asarray(item)
        if array.ndim != 2 or array.size == 0 or not np.issubdtype(array.dtype, np.number):
            raise ValueError(
                f"signal {index}: an array (leads, samples) of numbers expected, got {array.dtype} {array.shape}"
            )
        signal = array.astype(np.float32) * np.float32(_MV_PER_UNIT[units.lower()])
        signal[~np.isfinite(signal)] = np.nan
        known = np.abs(signal[np.isfinite(signal)])
        if known.size and np.median(known) > _IMPLAUSIBLE_MV:
            raise ValueError(
                f"signal {index}: half of its values exceed {_IMPLAUSIBLE_MV:.0f} mV as {units}, which no ECG does; "
                "pass the right units, for instance units='uV'"
            )
        return signal


def _in_standard_order(signal: np.ndarray, names: list[str] | tuple[str, ...] | None, index: int) -> np.ndarray:
    """(12, samples), rows joined by name, NaN for leads that are not given."""
    if names is None:
        if len(signal) != len(LEADS):
            raise ValueError(
                f"signal {index}: {len(LEADS)} leads expected where lead_names is not given, got shape {signal.shape}; "
                "name its rows with lead_names=[...], or transpose it"
            )
        return signal
    if len(names) != len(signal):
        raise ValueError(f"signal {index}: {len(signal)} leads but {len(names)} lead_names; give one name for each row")
    ordered = np.full((len(LEADS), signal.shape[1]), np.nan, np.float32)
    known = [canonical_lead(name) for name in names]
    if not any(known):
        raise ValueError(f"signal {index}: none of {list(names)} is one of the twelve leads {list(LEADS)}")
    for row, name in zip(signal, known, strict=True):
        if name is not None:
            ordered[LEADS.index(name)] = row
    return ordered


def resampled(signal: np.ndarray, rate: float, new_rate: float) -> np.ndarray:
    """(leads, samples) at another rate; what is NaN stays NaN and does not touch its neighbours."""
    if rate == new_rate:
        return signal
    from scipy.signal import resample_poly

    ratio = Fraction(new_rate / rate).limit_denominator(1000)
    known = np.isfinite(signal)
    filled = signal if known.all() else _held(signal, known)
    result = resample_poly(filled, ratio.numerator, ratio.denominator, axis=1, padtype="line").astype(np.float32)
    if not known.all():
        nearest = np.minimum(np.rint(np.arange(result.shape[1]) * rate / new_rate).astype(int), signal.shape[1] - 1)
        result[~known[:, nearest]] = np.nan
    return result


def _held(signal: np.ndarray, known: np.ndarray) -> np.ndarray:
    """NaN replaced by straight lines between the known values around them, 0 in a lead without any."""
    filled, time = np.zeros_like(signal), np.arange(signal.shape[1])
    for row, values, present in zip(filled, signal, known, strict=True):
        if present.any():
            row[:] = np.interp(time, time[present], values[present])
    return filled


ECGScanFeatureExtractor.register_for_auto_class("AutoFeatureExtractor")

__all__ = ["ECGScanFeatureExtractor", "resampled"]
