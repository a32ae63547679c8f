"""Archives in their own formats: what is read of them, by lead name, and what is said of broken ones."""

from dataclasses import replace

import numpy as np
import pytest
import wfdb
from archive_trees import (
    MIMIC_LEADS,
    many,
    ptbxl_row,
    recordings,
    write_challenge,
    write_mimic,
    write_parquet,
    write_ptbxl,
    write_record,
    write_table,
)

from processing.archives import list_archive, read_entries
from processing.leads import LEADS
from processing.listings import hashed_split
from processing.prepared import check
from processing.records import Recording, read_wfdb
from processing.wfdb_records import RecordError, read_record


@pytest.fixture(scope="module")
def simulated() -> list[Recording]:
    return recordings(4)


def read_all(source, folder, limit=None) -> list:
    listing = list_archive(source, folder, limit)
    return [found for _, found in read_entries(source, listing.entries, listing.snomed)]


def write_folder(folder, found):
    for number, recording in enumerate(found):
        write_record(folder / f"r{number}", recording)
    rows = [{"record": f"r{number}"} for number in range(len(found))]
    write_table(folder / "records.csv", ["record"], rows)
    return folder


@pytest.mark.parametrize(
    ("source", "write", "tolerance_mv"),
    [
        ("ptbxl", write_ptbxl, 1e-5),
        ("mimic-iv-ecg", write_mimic, 0.00251),
        ("challenge", write_challenge, 1e-5),
        ("folder", write_folder, 1e-5),
        ("parquet", lambda folder, found: write_parquet(folder / "a.parquet", found), 1e-5),
    ],
)
def test_an_archive_gives_its_recordings_in_millivolts(simulated, tmp_path, source, write, tolerance_mv):
    found = read_all(source, write(tmp_path, simulated))
    assert len(found) == len(simulated)
    for read, original in zip(found, simulated, strict=True):
        check(read)
        assert np.abs(read.signal - original.signal).max() <= tolerance_mv
        assert read.sampling_rate == original.sampling_rate
    assert len(read_all(source, tmp_path, limit=2)) == 2


@pytest.mark.parametrize("seed", range(3))
def test_leads_are_joined_by_name_wherever_they_stand(simulated, tmp_path, seed):
    order = tuple(np.random.default_rng(seed).permutation(LEADS).tolist())
    write_record(tmp_path / "wfdb" / "a", simulated[0], order)
    write_challenge(tmp_path / "4", simulated[:1], order)
    write_challenge(tmp_path / "5", simulated[:1], order, matlab="5")
    paths = tmp_path / "wfdb" / "a", tmp_path / "4" / "A0001", tmp_path / "5" / "A0001"
    assert read_record(paths[0]).names == list(order)
    for path in paths:
        assert np.abs(read_wfdb(path).signal - simulated[0].signal).max() < 1e-5


def test_records_of_mimic_have_their_own_order_and_a_join_by_place_would_be_noticed(simulated, tmp_path):
    base = list_archive("mimic-iv-ecg", write_mimic(tmp_path, simulated[:1])).entries[0].path
    assert tuple(wfdb.rdheader(base).sig_name) == MIMIC_LEADS != LEADS
    by_place = replace(simulated[0], signal=wfdb.rdrecord(base).p_signal.T.astype(np.float32))
    with pytest.raises(RecordError, match=r"misses aVL = I - II / 2 by"):
        check(by_place)


def test_records_are_read_as_the_wfdb_package_reads_them(simulated, tmp_path):
    write_record(tmp_path / "plain", simulated[0], gain=237.5, unit="uV")
    signal = np.rint(simulated[0].signal.T[:, :3] * 500).astype(np.int64)
    wfdb.wrsamp("other", 500, ["mV"] * 3, ["I", "II", "V9"], d_signal=signal, fmt=["212"] * 3, adc_gain=[500.0] * 3,
                baseline=[7] * 3, write_dir=str(tmp_path))  # fmt: skip
    for name in ("plain", "other"):
        ours, theirs = read_record(tmp_path / name), wfdb.rdrecord(str(tmp_path / name))
        np.testing.assert_allclose(ours.values, theirs.p_signal.T, rtol=1e-6, atol=1e-6)
        assert (ours.names, ours.units, ours.sampling_rate) == (theirs.sig_name, theirs.units, theirs.fs)


def test_ptbxl_tells_labels_age_sex_and_the_published_split(simulated, tmp_path):
    rows = [
        ptbxl_row(1, age=300.0, sex=1, strat_fold=8, scp_codes="{'IMI': 35.0, 'ABQRS': 0.0, 'OWN': 50.0}"),
        ptbxl_row(2, strat_fold=9),
        ptbxl_row(3, strat_fold=10),
        ptbxl_row(4, scp_codes="{'IMI': "),
    ]
    listing = list_archive("ptbxl", write_ptbxl(tmp_path, simulated, rows))
    first = listing.entries[0]
    assert (first.record_id, first.patient_id, first.age, first.sex) == ("ptbxl-00001", "1001", 90.0, "female")
    assert first.labels == ("MI", "inferior myocardial infarction", "abnormal QRS", "OWN")
    assert first.report == "sinusrhythmus normales ekg"
    assert [entry.split for entry in listing.entries] == ["train", "validation", "test"]
    assert [(drop.record_id, drop.reason) for drop in listing.drops] == [("ptbxl-00004", "damaged table")]


def test_mimic_has_the_machines_lines_as_report_and_patients_on_one_side(simulated, tmp_path):
    listing = list_archive("mimic-iv-ecg", write_mimic(tmp_path, simulated))
    assert {entry.report for entry in listing.entries} == {"Sinus rhythm. Left axis deviation"}
    assert [entry.patient_id for entry in listing.entries] == ["10000032", "10000032", "10000033", "10000033"]
    splits = [hashed_split(str(number)) for number in range(2000)]
    assert [round(splits.count(name) / 2000, 1) for name in ("train", "validation", "test")] == [0.8, 0.1, 0.1]


def test_the_challenge_has_labels_by_snomed_code(simulated, tmp_path):
    write_challenge(tmp_path, simulated[:1])
    (found,) = read_all("challenge", tmp_path)
    assert (found.labels, found.age, found.sex) == (("sinus rhythm", "999999"), 74.0, "female")
    table = [{"Acronym Name": "X", "Full Name": "Rare Thing", "Snomed_CT": "999999"}]
    write_table(tmp_path / "ConditionNames_SNOMED-CT.csv", ["Acronym Name", "Full Name", "Snomed_CT"], table)
    assert read_all("challenge", tmp_path)[0].labels == ("sinus rhythm", "rare thing")


def test_a_folder_has_what_its_table_says(simulated, tmp_path):
    write_record(tmp_path / "deep" / "a", simulated[0])
    write_record(tmp_path / "b", simulated[1])
    columns = ["record", "patient_id", "report", "labels", "age", "sex", "split"]
    rows = [
        dict(zip(columns, ["deep/a.hea", "7", "all well", "NORM; sinus rhythm", "61", "male", "test"], strict=True)),
        {"record": "b", "split": "train"},
        {"record": "b2", "split": "training"},
    ]
    write_table(tmp_path / "records.csv", columns, rows)
    listing = list_archive("folder", tmp_path)
    first, second = (found for _, found in read_entries("folder", listing.entries, {}))
    assert (first.report, first.labels, first.patient_id) == ("all well", ("NORM", "sinus rhythm"), "7")
    assert (first.age, first.sex, second.record_id) == (61.0, "male", "b")
    assert [entry.split for entry in listing.entries] == ["test", "train"]
    assert "line 4: the split is 'training'; expected one of" in listing.drops[0].sentence


def test_a_patient_on_two_sides_is_refused(simulated, tmp_path):
    rows = [ptbxl_row(1, patient_id=5.0, strat_fold=3), ptbxl_row(2, patient_id=5.0, strat_fold=10)]
    with pytest.raises(RecordError, match="patient 5 is in train and, with ptbxl-00002, in test"):
        list_archive("ptbxl", write_ptbxl(tmp_path, simulated[:2], rows))


def test_of_two_recordings_with_one_id_the_first_is_kept(simulated, tmp_path):
    write_parquet(tmp_path / "a.parquet", many(simulated, 3))
    write_parquet(tmp_path / "b.parquet", many(simulated, 4))
    listing = list_archive("parquet", tmp_path)
    assert [entry.record_id for entry in listing.entries] == ["r0000", "r0001", "r0002", "r0003"]
    assert [drop.reason for drop in listing.drops] == ["duplicate id"] * 3
    assert "a.parquet, which was kept" in listing.drops[0].sentence


@pytest.mark.parametrize(
    ("source", "files", "sentence"),
    [
        ("ptbxl", {}, "neither records500 nor records100 is there"),
        ("ptbxl", {"records500/x": ""}, "ptbxl_database.csv: there is no such file"),
        ("ptbxl", {"records500/x": "", "ptbxl_database.csv": "ecg_id,age\n1,2\n"}, r"lacks the columns \['patient_id'"),
        ("mimic-iv-ecg", {}, "record_list.csv: there is no such file"),
        ("mimic-iv-ecg", {"record_list.csv": "subject_id,study_id,path\n"}, "machine_measurements.csv: there is no"),
        ("challenge", {}, r"no WFDB header \(\.hea\) there"),
        ("folder", {"a.png": ""}, r"no WFDB header .* or name pages in a records\.csv"),
        ("folder", {"records.csv": "name\na\n"}, "has neither the column record nor file"),
        ("folder", {"records.csv": "record,report\na,Vorhofflimmern für\n"}, "a CSV file there can't be read"),
        ("parquet", {}, "no Parquet file there"),
    ],
)
def test_what_an_archive_lacks_is_said_in_a_sentence(tmp_path, source, files, sentence):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="latin-1")
    with pytest.raises(RecordError, match=sentence):
        list_archive(source, tmp_path)


def test_a_missing_archive_is_said_in_a_sentence(tmp_path):
    with pytest.raises(RecordError, match="no such file or folder; give the archive's own folder"):
        list_archive("ptbxl", tmp_path / "absent")


def changed(recording: Recording, **more) -> Recording:
    return replace(recording, **more)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda r: changed(r, signal=r.signal[:, :0]), "no samples"),
        (lambda r: changed(r, signal=r.signal[:, :200]), "too short"),
        (lambda r: changed(r, signal=np.full_like(r.signal, np.nan)), "no complete lead"),
        (lambda r: changed(r, sampling_rate=5.0), "sampling rate"),
        (lambda r: changed(r, sampling_rate=499.97), "sampling rate"),
        (lambda r: changed(r, signal=r.signal * 1000), "gain"),
        (lambda r: changed(r, signal=r.signal / 1000), "gain"),
        (lambda r: changed(r, signal=np.zeros_like(r.signal)), "gain"),
        (lambda r: changed(r, signal=r.signal[[0, 1, 2, 3, 5, 4, *range(6, 12)]]), "lead laws"),
        (lambda r: changed(r, signal=r.signal * np.where(np.arange(12) == 2, 0.5, 1)[:, None]), "lead laws"),
    ],
)
def test_a_recording_that_can_not_be_right_is_told_apart(simulated, change, reason):
    check(simulated[0])
    with pytest.raises(RecordError) as error:
        check(change(simulated[0]))
    assert error.value.reason == reason


@pytest.mark.shared
@pytest.mark.parametrize("name", ["ptbxl/validation", "ptbxl/validation_100hz", "other/challenge", "other/ludb"])
def test_no_real_recording_is_refused(shared, name):
    found = read_all("parquet", shared / "data" / f"{name}.parquet")
    assert len(found) > 100
    for recording in found:
        check(recording)
