"""Recordings in and out: Parquet shards, WFDB, CSV. Millivolts and hertz inside."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import gcd
from pathlib import Path

import numpy as np

from .leads import LEADS, canonical_lead
from .parquet_rows import SIGNAL_COLUMNS, recording_rows
from .wfdb_records import INVALID_SAMPLE, RecordError, read_record


@dataclass(frozen=True)
class Recording:
    """One recording.

    Attributes:
        signal: (12, samples) float32 in millivolts, standard lead order, NaN where nothing is known.
        sampling_rate: hertz.
        page: encoded picture of the page that shows it, where an archive has one.
    """

    signal: np.ndarray
    sampling_rate: float
    record_id: str = ""
    patient_id: str = ""
    report: str = ""
    labels: tuple[str, ...] = ()
    age: float | None = None
    sex: str = ""
    page: bytes | None = None

    @property
    def duration_s(self) -> float:
        return self.signal.shape[1] / self.sampling_rate


def resample(recording: Recording, sampling_rate: float) -> Recording:
    """The recording at another rate (polyphase filter, no overshoot across the ends); needs a signal without NaN."""
    if recording.sampling_rate == sampling_rate:
        return recording
    from scipy.signal import resample_poly

    up, down = int(round(sampling_rate)), int(round(recording.sampling_rate))
    common = gcd(up, down)
    signal = resample_poly(recording.signal, up // common, down // common, axis=1, padtype="line")
    return replace(recording, signal=signal.astype(np.float32), sampling_rate=float(sampling_rate))


def decode_lawdelta(data: bytes) -> np.ndarray:
    """int16 microvolts (12, samples) from the lossless `lawdelta2` byte layout.

    Limb leads III, aVR, aVL, aVF are stored as their deviation from the lead laws, the others as second
    differences; values are zigzag-mapped and split into low and high bytes; all sums are modulo 2**16.
    """
    raw = np.frombuffer(data, np.uint8)
    if raw.size % 24:
        raise ValueError(f"a 12-lead signal has 24 bytes a sample, got {raw.size} bytes: the file is damaged")
    samples = raw.size // 24
    zigzag = raw[: 12 * samples].astype(np.uint16) | (raw[12 * samples :].astype(np.uint16) << 8)
    stored = ((zigzag >> 1) ^ (-(zigzag & 1).astype(np.int32)).astype(np.uint16)).astype(np.int16).reshape(12, samples)
    signal = stored.copy()
    free = [0, 1, 6, 7, 8, 9, 10, 11]
    signal[free] = np.cumsum(np.cumsum(stored[free], axis=1, dtype=np.int16), axis=1, dtype=np.int16)
    lead_i, lead_ii = signal[0].astype(np.int32), signal[1].astype(np.int32)
    signal[2] = (stored[2] + (lead_ii - lead_i)).astype(np.int16)
    lead_iii = signal[2].astype(np.int32)
    predicted = (-((lead_i + lead_ii + 1) >> 1), (lead_i - lead_iii) >> 1, (lead_ii + lead_iii) >> 1)
    for row, law in zip((3, 4, 5), predicted, strict=True):
        signal[row] = (stored[row] + law).astype(np.int16)
    return signal


def encode_plain(signal: np.ndarray) -> bytes:
    """Little-endian int16 microvolts, lead after lead, from (leads, samples) millivolts."""
    return np.clip(np.rint(np.asarray(signal) * 1000.0), -32768, 32767).astype("<i2").tobytes()


def _signal_of_row(row: dict) -> np.ndarray:
    """(12, samples) millivolts of one Parquet row, leads joined by name."""
    names, samples = list(row["leads"]), int(row["n_samples"])
    if not samples:
        raise RecordError("no samples", f"{row['record_id']}: 0 samples; expected a recording")
    if not any(map(canonical_lead, names)):
        raise RecordError(
            "lead names", f"{row['record_id']}: none of the twelve leads among {names}; expected names as in {LEADS}"
        )
    if len(row["signal"]) != 2 * len(names) * samples:
        raise RecordError(
            "damaged file",
            f"{row['record_id']}: expected {2 * len(names) * samples} bytes of int16 for {len(names)} leads x "
            f"{samples} samples, got {len(row['signal'])}; make its Parquet file again",
        )
    stored = (
        decode_lawdelta(row["signal"])
        if row.get("strat_fold") is not None or "database" in row or "signal_notes" in row
        else np.frombuffer(row["signal"], "<i2").reshape(len(names), samples)
    )
    signal = np.full((len(LEADS), samples), np.nan, np.float32)
    for values, name in zip(stored, names, strict=True):
        lead = canonical_lead(name)
        if lead is not None:
            signal[LEADS.index(lead)] = values * np.float32(1e-3)
    return signal


def _labels_of_row(row: dict) -> tuple[str, ...]:
    for column in ("labels", "superclasses"):
        if row.get(column) is not None:
            return tuple(row[column])
    return ()


def _page_of_row(row: dict) -> bytes | None:
    """The encoded page, where there is one that nobody has decoded."""
    image = row.get("image")
    return image.get("bytes") if isinstance(image, dict) else None


def without_signal() -> Recording:
    """What is known of a page before it is read: no sample."""
    return Recording(np.empty((len(LEADS), 0), np.float32), 0.0)


def recording_of_row(row: dict) -> Recording:
    """A `Recording` from a Parquet row (prepared schema, or the column set of the development data).

    Raises:
        RecordError: the row is a page whose signal is not known, or its signal can't be right.
    """
    if row["signal"] is None:
        raise RecordError("no signal", f"{row['record_id']}: only its page is known, a signal is needed here")
    unknown = [name for name in SIGNAL_COLUMNS if row[name] is None]
    if unknown:
        raise RecordError(
            "damaged table", f"{row['record_id']}: its row says nothing under {unknown}; make its Parquet file again"
        )
    rate = float(row["sampling_rate"])
    if not rate > 0:
        raise RecordError("sampling rate", f"{row['record_id']}: {rate:g} Hz; expected a rate above 0")
    return Recording(
        signal=_signal_of_row(row),
        sampling_rate=rate,
        record_id=str(row["record_id"]),
        patient_id=str(row.get("patient_id") or ""),
        report=row.get("report") or "",
        labels=_labels_of_row(row),
        age=row.get("age"),
        sex=row.get("sex") or "",
        page=_page_of_row(row),
    )


def labelled_recording(row: dict, statements: dict[str, str] | None = None) -> Recording:
    """`recording_of_row` with everything known as English labels: those of `scp_codes` (JSON) and `dx_names` too.

    Args:
        statements: English phrase by SCP-ECG code; codes without stay as they are.
    """
    recording = recording_of_row(row)
    codes = json.loads(row.get("scp_codes") or "{}")
    phrases = [(statements or {}).get(code, code) for code in codes]
    phrases += [str(name) for name in (row.get("dx_names") or [])]
    return replace(recording, labels=(*recording.labels, *phrases))


def read_parquet(path: str | Path, limit: int | None = None) -> Iterator[Recording]:
    """Recordings of one Parquet file, one row at a time, without the pages of archives that have them.

    Raises:
        RecordError: the file or a row can't be used.
    """
    return (recording_of_row(row) for row in islice(recording_rows(path), limit))


def try_parquet(
    path: str | Path, of_row: Callable[[dict], Recording] = recording_of_row, *, pages: bool = False
) -> Iterator[Recording | RecordError]:
    """The same, with the error that says why in the place of a row that can't be used.

    Args:
        of_row: what makes a recording of a row.
        pages: whether recordings bring along the pages that their archive has of them.

    Raises:
        RecordError: the file can't be used.
    """
    for row in recording_rows(path, pages=pages):
        try:
            yield of_row(row)
        except RecordError as error:
            yield error
        except (ValueError, TypeError) as error:
            yield RecordError("damaged file", f"{path}: {row['record_id']} can't be read ({error}); make it again")


_WFDB_GAIN = 1000.0
# Files may have names of 255 bytes; suffixes, page numbers and what tells equal names apart take some.
_LONGEST_NAME = 200
_MILLIVOLTS = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "v": 1e3, "nv": 1e-6}


def record_name(stem: str) -> str:
    """`stem` as WFDB allows record names: letters, digits, hyphens and underscores of ASCII, not too many."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", stem)[:_LONGEST_NAME] or "_"


def read_wfdb(path: str | Path) -> Recording:
    """One WFDB record; signals that are none of the twelve leads are left out, absent leads are NaN.

    Args:
        path: the record with or without its suffix (`.hea`, `.dat`).

    Raises:
        RecordError: the record can't be read, it holds none of the twelve leads, or its units are no voltage.
    """
    path = Path(path)
    base = path.with_suffix("") if path.suffix in (".hea", ".dat") else path
    record = read_record(base)
    signal = np.full((len(LEADS), record.values.shape[1]), np.nan, np.float32)
    for values, name, unit in zip(record.values, record.names, record.units, strict=True):
        lead = canonical_lead(name)
        if lead is None:
            continue
        if unit.strip().lower() not in _MILLIVOLTS:
            raise RecordError("unit", f"{path}: lead {name} has the unit {unit!r}; expected one of mV, uV, V, nV")
        signal[LEADS.index(lead)] = values * np.float32(_MILLIVOLTS[unit.strip().lower()])
    if not any(canonical_lead(name) for name in record.names):
        raise RecordError(
            "lead names", f"{path}: none of the twelve leads among {record.names}; expected names as in {LEADS}"
        )
    if np.isnan(signal).all():
        raise RecordError("no complete lead", f"{path}: every sample of its leads is marked as invalid")
    return Recording(signal, record.sampling_rate, record_id=base.name, report="\n".join(record.comments))


def write_wfdb(recording: Recording, folder: str | Path, name: str | None = None, comments: Sequence[str] = ()) -> Path:
    """Writes `name.hea` and `name.dat`: 12 leads in standard order, 16 bits, mV, NaN as invalid samples.

    One unit is a microvolt; signals beyond 32 mV get a coarser unit rather than being clipped.

    Args:
        comments: lines for the header.

    Returns:
        The path of the header.
    """
    import wfdb

    name = record_name(name or recording.record_id or "record")
    signal = np.asarray(recording.signal, np.float64)
    known = np.isfinite(signal)
    highest = float(np.max(np.abs(signal), where=known, initial=0.0))
    gain = min(_WFDB_GAIN, 32767.0 / highest) if highest > 0 else _WFDB_GAIN
    units = np.full(signal.shape, INVALID_SAMPLE, np.int64)
    units[known] = np.rint(signal[known] * gain)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    wfdb.wrsamp(
        name,
        fs=recording.sampling_rate,
        units=["mV"] * len(LEADS),
        sig_name=list(LEADS),
        d_signal=units.T,
        fmt=["16"] * len(LEADS),
        adc_gain=[gain] * len(LEADS),
        baseline=[0] * len(LEADS),
        write_dir=str(folder),
        comments=list(comments),
    )
    return folder / f"{name}.hea"


def write_csv(recording: Recording, path: str | Path) -> Path:
    """Writes `time_s` and the twelve leads in mV (four decimals), one row a sample; unknown samples stay empty."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(recording.signal.shape[1]) / recording.sampling_rate
    with path.open("w", encoding="ascii", newline="") as file:
        file.write(",".join(("time_s", *LEADS)) + "\n")
        for time, values in zip(times.tolist(), recording.signal.T.tolist(), strict=True):
            cells = ("" if value != value else f"{value:.4f}" for value in values)
            file.write(f"{time:.4f},{','.join(cells)}\n")
    return path


def read_csv(path: str | Path) -> Recording:
    """A file as `write_csv` writes it; lead columns may stand in any order, absent ones are NaN."""
    with Path(path).open(encoding="utf-8") as file:
        header = file.readline().strip().split(",")
    if header[0] != "time_s":
        raise ValueError(f"{path}: the first column is {header[0]!r}; expected 'time_s' in seconds")
    table = np.genfromtxt(path, delimiter=",", skip_header=1, dtype=np.float64, ndmin=2)
    signal = np.full((len(LEADS), len(table)), np.nan, np.float32)
    for column, name in enumerate(header[1:], start=1):
        lead = canonical_lead(name)
        if lead is not None:
            signal[LEADS.index(lead)] = table[:, column]
    if len(table) < 2:
        raise ValueError(f"{path}: {len(table)} samples; expected at least two")
    step = float(np.median(np.diff(table[:, 0])))
    return Recording(signal, round(1.0 / step, 3), record_id=Path(path).stem)
