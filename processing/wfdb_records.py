"""WFDB records as they lie on disk: names, units and values of their signals.

The plain form in which archives publish (format 16, all signals in one file, `.dat` or `.mat`) is read here, several
times as fast as by the wfdb package; every other form goes through that package.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# Format 16 keeps this value for "no sample".
INVALID_SAMPLE = -32768
_RECORD_LINE = re.compile(
    r"(?P<name>[\w-]+) +(?P<signals>\d+) +(?P<rate>\d+(?:\.\d+)?)(?:/\S+)? +(?P<samples>\d+)(?: .*)?"
)
_SIGNAL_LINE = re.compile(
    r"(?P<file>\S+) +16(?:x1)?(?:\+(?P<offset>\d+))?"
    r" +(?P<gain>[-+\d.eE]+)(?:\((?P<baseline>-?\d+)\))?/(?P<unit>\S+)"
    r" +\d+ +(?P<zero>-?\d+) +-?\d+ +-?\d+ +\d+ +(?P<name>\S.*)"
)


class RecordError(ValueError):
    """A recording that can't be used: `reason` in two or three words, the message as a sentence."""

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class WFDBRecord:
    """Signals of one record in their stored order.

    Attributes:
        names, units: of each signal.
        values: (signals, samples) float32 in those units, NaN for invalid samples.
        sampling_rate: hertz.
        comments: lines of the header after `#`.
    """

    names: list[str]
    units: list[str]
    values: np.ndarray
    sampling_rate: float
    comments: list[str]


def read_record(base: Path) -> WFDBRecord:
    """One record.

    Args:
        base: its path without suffix.

    Raises:
        RecordError: a file is missing or damaged, or a signal has no gain.
    """
    header = base.with_name(base.name + ".hea")
    try:
        text = header.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise RecordError(
            "missing file", f"{base}: no WFDB header {header.name} found; give the record with its folder"
        ) from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    plain = [line for line in lines if not line.startswith("#")]
    comments = [line.lstrip("# ") for line in lines if line.startswith("#")]
    if not plain:
        raise RecordError("damaged file", f"{base}: its header {header.name} is empty; copy it again")
    record = _RECORD_LINE.fullmatch(plain[0])
    signals = [_SIGNAL_LINE.fullmatch(line) for line in plain[1:]]
    places = {(found["file"], found["offset"]) for found in signals if found}
    if record is None or len(places) != 1 or not all(signals) or int(record["signals"]) != len(signals):
        return _read_by_package(base)
    return _read_plain(base, record, [found for found in signals if found], comments)


def _read_plain(base: Path, record: re.Match, signals: list[re.Match], comments: list[str]) -> WFDBRecord:
    file, samples = base.with_name(signals[0]["file"]), int(record["samples"])
    gains = np.array([float(found["gain"]) for found in signals], np.float32)
    zeros = np.array([float(found["baseline"] or found["zero"]) for found in signals], np.float32)
    for found, gain in zip(signals, gains, strict=True):
        if not gain > 0:
            raise RecordError(
                "gain", f"{base}: {found['name']} has the gain {found['gain']}; expected steps per {found['unit']}"
            )
    if not samples:
        raise RecordError("no samples", f"{base}: the header says 0 samples; expected a recording")
    stored = _stored(base, file, int(signals[0]["offset"] or 0), len(signals), samples)
    values = (stored.astype(np.float32) - zeros[:, None]) / gains[:, None]
    values[stored == INVALID_SAMPLE] = np.nan
    names, units = [found["name"] for found in signals], [found["unit"] for found in signals]
    return WFDBRecord(names, units, values, float(record["rate"]), comments)


def _stored(base: Path, file: Path, offset: int, signals: int, samples: int) -> np.ndarray:
    """(signals, samples) integers as they are stored."""
    if not file.is_file():
        raise RecordError("missing file", f"{base}: its signal file {file.name} is not there; copy it again")
    if file.suffix == ".mat" and _is_matlab_5(file):
        return _stored_in_matlab(base, file, (signals, samples))
    stored = np.fromfile(file, "<i2", signals * samples, offset=offset)
    if stored.size != signals * samples:
        raise RecordError(
            "damaged file",
            f"{base}: the WFDB record is damaged ({file.name} holds {stored.size // signals} of {samples} samples); "
            "copy it again",
        )
    return np.ascontiguousarray(stored.reshape(samples, signals).T)


def _is_matlab_5(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(8) == b"MATLAB 5"


def _stored_in_matlab(base: Path, file: Path, shape: tuple[int, int]) -> np.ndarray:
    """The matrix `val`; only MATLAB's version 4, which the header's offset means, is a plain array of samples."""
    from scipy.io import loadmat

    try:
        values = loadmat(file, variable_names=["val"])["val"]
    except (ValueError, OSError, KeyError, TypeError, NotImplementedError) as error:
        raise RecordError(
            "damaged file", f"{base}: {file.name} holds no matrix `val` ({error}); copy it again"
        ) from error
    if values.shape != shape:
        raise RecordError(
            "damaged file", f"{base}: `val` of {file.name} has the shape {values.shape}, the header says {shape}"
        )
    return values


def _read_by_package(base: Path) -> WFDBRecord:
    import wfdb

    try:
        record = wfdb.rdrecord(str(base))
        names, units = [str(name) for name in record.sig_name], [str(unit) for unit in record.units]
        values = np.ascontiguousarray(record.p_signal.T, np.float32)
    except FileNotFoundError as error:
        raise RecordError(
            "missing file", f"{base}: a file of the record is not there ({error}); copy it again"
        ) from error
    except (ValueError, OSError, IndexError, TypeError, AttributeError) as error:
        raise RecordError("damaged file", f"{base}: the WFDB record is damaged ({error}); copy it again") from error
    if not values.shape[1]:
        raise RecordError("no samples", f"{base}: its signals have 0 samples; expected a recording")
    if not all(record.adc_gain):
        raise RecordError("gain", f"{base}: a signal has the gain 0; expected steps per {units[0]}")
    return WFDBRecord(names, units, values, float(record.fs), [str(line) for line in record.comments])
