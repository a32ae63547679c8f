"""Recordings through WFDB, CSV and the two byte layouts of Parquet come back as they were."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from processing.leads import LEADS
from processing.records import (
    Recording,
    encode_plain,
    read_csv,
    read_parquet,
    read_wfdb,
    record_name,
    resample,
    write_csv,
    write_wfdb,
)


def _recording(samples: int = 700, rate: float = 500.0) -> Recording:
    rng = np.random.default_rng(3)
    signal = rng.normal(0, 0.6, (12, samples)).astype(np.float32)
    signal[3, : samples // 2] = np.nan
    signal[7] = np.nan
    return Recording(signal, rate, record_id="r1")


def test_a_written_record_opens_with_names_units_rate_and_nan(tmp_path):
    recording = _recording()
    header = write_wfdb(recording, tmp_path / "deep" / "er", "page-1")
    record = wfdb.rdrecord(str(header.with_suffix("")))
    assert record.sig_name == list(LEADS)
    assert record.units == ["mV"] * 12
    assert record.fs == 500
    np.testing.assert_array_equal(np.isnan(record.p_signal.T), np.isnan(recording.signal))
    np.testing.assert_allclose(record.p_signal.T, recording.signal, atol=0.00051)


finite_or_nan = st.one_of(st.just(float("nan")), st.floats(-60, 60, width=32))


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.float32, st.tuples(st.just(12), st.integers(2, 40)), elements=finite_or_nan))
def test_any_signal_survives_wfdb_to_its_resolution(tmp_path_factory, signal):
    if np.isnan(signal).all():
        return
    folder = tmp_path_factory.mktemp("wfdb")
    back = read_wfdb(write_wfdb(Recording(signal, 250.0), folder, "x"))
    assert back.sampling_rate == 250.0
    np.testing.assert_array_equal(np.isnan(back.signal), np.isnan(signal))
    step = max(0.001, float(np.nanmax(np.abs(signal))) / 32767)
    np.testing.assert_allclose(back.signal, signal, atol=0.51 * step + 1e-5)


@settings(max_examples=20, deadline=None)
@given(hnp.arrays(np.float32, st.tuples(st.just(12), st.integers(2, 30)), elements=finite_or_nan))
def test_any_signal_survives_csv_to_four_decimals(tmp_path_factory, signal):
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    back = read_csv(write_csv(Recording(signal, 500.0), path))
    assert back.sampling_rate == 500.0
    np.testing.assert_array_equal(np.isnan(back.signal), np.isnan(signal))
    np.testing.assert_allclose(back.signal, signal, atol=0.00006)


def test_leads_are_joined_by_name_and_units_are_converted(tmp_path):
    values = np.stack([np.full(10, 500.0), np.full(10, -250.0), np.full(10, 60.0)], axis=1)
    wfdb.wrsamp(
        "mixed",
        fs=360,
        units=["uV", "uV", "bpm"],
        sig_name=["avf", "MLII", "pulse"],
        p_signal=values,
        fmt=["16"] * 3,
        write_dir=str(tmp_path),
    )
    recording = read_wfdb(tmp_path / "mixed.dat")
    np.testing.assert_allclose(recording.signal[LEADS.index("aVF")], 0.5, atol=1e-3)
    np.testing.assert_allclose(recording.signal[LEADS.index("II")], -0.25, atol=1e-3)
    assert np.isnan(recording.signal[LEADS.index("V6")]).all()


def test_a_lead_without_a_voltage_unit_is_refused(tmp_path):
    wfdb.wrsamp(
        "kg", fs=360, units=["kg"], sig_name=["I"], p_signal=np.ones((9, 1)), fmt=["16"], write_dir=str(tmp_path)
    )
    with pytest.raises(ValueError, match="'kg'"):
        read_wfdb(tmp_path / "kg")


def test_a_missing_record_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"nothing\.hea"):
        read_wfdb(tmp_path / "nothing")


def test_a_record_cut_short_is_refused(tmp_path):
    header = write_wfdb(_recording(), tmp_path, "cut")
    data = header.with_suffix(".dat")
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(ValueError, match="damaged"):
        read_wfdb(header)


@pytest.mark.parametrize(
    ("stem", "name"), [("page 1", "page_1"), ("a.b-c_d", "a_b-c_d"), ("ärzte", "_rzte"), ("", "_")]
)
def test_record_names_keep_to_what_wfdb_allows(stem, name):
    assert record_name(stem) == name


def test_parquet_rows_of_the_prepared_schema_are_read_by_lead_name(tmp_path):
    signal = np.arange(24, dtype=np.float32).reshape(2, 12) * 0.001
    table = pa.table(
        {
            "record_id": ["a"],
            "signal": [encode_plain(signal)],
            "leads": [["V1", "I"]],
            "n_samples": [12],
            "sampling_rate": [100],
            "report": ["sinus rhythm"],
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    (recording,) = read_parquet(tmp_path / "rows.parquet")
    np.testing.assert_allclose(recording.signal[LEADS.index("V1")], signal[0], atol=1e-6)
    np.testing.assert_allclose(recording.signal[LEADS.index("I")], signal[1], atol=1e-6)
    assert recording.report == "sinus rhythm"
    assert recording.duration_s == pytest.approx(0.12)


def test_resampling_keeps_a_sine_and_its_length():
    times = np.arange(1000) / 100.0
    wave = np.tile(np.sin(2 * np.pi * 3 * times).astype(np.float32), (12, 1))
    resampled = resample(Recording(wave, 100.0), 500.0)
    assert resampled.signal.shape == (12, 5000)
    expected = np.sin(2 * np.pi * 3 * np.arange(5000) / 500.0)
    np.testing.assert_allclose(resampled.signal[0, 200:-200], expected[200:-200], atol=0.01)
