"""Prepared shards and the stream of batches over them."""

import json
from dataclasses import replace
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from torch.utils.data import DataLoader

from hub_scripts.arguments import UsageError
from hub_scripts.training_data import prepared_shards
from processing.layouts import LAYOUTS
from processing.leads import LEADS, law_residuals
from processing.prepared import row_of, schema
from processing.records import Recording, read_parquet
from processing.signal_views import isoelectric, printed_mask, random_mask, read_view, training_view, without_wander
from processing.triplets import (
    SUPERCLASS_PHRASES,
    BatchStream,
    count_rows,
    known_labels,
    label_text,
    labelled_parquet,
    prepare,
    scp_phrases,
    simulated,
)
from processing.wfdb_records import RecordError


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("shards")
    assert prepare(simulated(37, seed=3), folder, shards=3, seed=1) == {"written": 37}
    return sorted(str(path) for path in folder.glob("*.parquet"))


def identity(recording: Recording, rng: np.random.Generator) -> dict:
    return {"id": recording.record_id, "draw": int(rng.integers(1_000_000))}


def pairs(samples: list[dict]) -> dict:
    return {"rows": [f"{sample['id']} {sample['draw']}" for sample in samples]}


def stream(shards, start=0, rank=0, world=1, batch_size=4, seed=5) -> BatchStream:
    return BatchStream(shards, identity, pairs, batch_size, seed=seed, start=start, rank=rank, world=world)


def first(batches, count: int) -> list[list[str]]:
    return [batch["rows"] for batch in islice(iter(batches), count)]


def test_prepared_rows_hold_the_recordings(shards):
    read = {recording.record_id: recording for path in shards for recording in read_parquet(path)}
    assert len(read) == 37
    for recording in simulated(5, seed=3):
        stored = read[recording.record_id]
        assert np.abs(stored.signal - recording.signal).max() <= 0.00051
        assert (stored.report, stored.labels) == (recording.report, recording.labels)
    columns = "record_id patient_id signal leads n_samples sampling_rate report labels age sex split image".split()
    assert pq.ParquetFile(shards[0]).schema_arrow.names == columns


def test_unusable_recordings_are_counted_and_unknown_leads_left_out(tmp_path):
    good = next(simulated(1))
    partial = good.signal.copy()
    partial[7, 100:200] = np.nan
    recordings = [
        good,
        replace(good, signal=partial),
        replace(good, signal=np.full_like(good.signal, np.nan)),
        replace(good, signal=good.signal[:, :100]),
    ]
    assert prepare(recordings, tmp_path, shards=1) == {"written": 2, "no complete lead": 1, "too short": 1}
    rows = list(read_parquet(next(tmp_path.glob("*.parquet"))))
    assert np.isnan(rows[1].signal).all(1).nonzero()[0].tolist() == [7]


def test_bad_rows_of_raw_parquet_files_are_counted_and_the_others_trained_on(tmp_path, capsys):
    rows = [row_of(recording, "train") for recording in simulated(7)]
    for number, row in enumerate(rows):
        row["record_id"] = f"r{number}"
    rows[1]["sampling_rate"] = None
    rows[2]["signal"] = rows[2]["signal"][:100]
    rows[3] |= {"signal": b"", "n_samples": 0}
    rows[4]["leads"] = ["V9"] * 12
    rows[5]["sampling_rate"] = -500
    pq.write_table(pa.Table.from_pylist(rows, schema=schema()), tmp_path / "raw.parquet")
    paths = prepared_shards(tmp_path / "run", [str(tmp_path / "raw.parquet")], shards=1)
    assert [recording.record_id for recording in read_parquet(paths[0])] == ["r0", "r6"]
    assert json.loads((tmp_path / "run" / "prepared.json").read_text())["counts"] == {
        "written": 2,
        "damaged table": 1,
        "damaged file": 1,
        "no samples": 1,
        "lead names": 1,
        "sampling rate": 1,
    }
    pq.write_table(pa.Table.from_pylist(rows[1:3], schema=schema()), tmp_path / "bad.parquet")
    with pytest.raises(UsageError, match="nothing to train on"):
        prepared_shards(tmp_path / "other", [str(tmp_path / "bad.parquet")])


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda whole: whole[: len(whole) // 2], "raw.parquet: no whole Parquet file; copy or make it again"),
        (lambda whole: b"", "raw.parquet: no whole Parquet file; copy or make it again"),
        (None, "raw.parquet: lacks the columns ['signal']; expected them beside"),
    ],
)
def test_a_raw_parquet_file_that_can_not_be_used_is_a_sentence_with_its_name(tmp_path, spoil, sentence):
    file = tmp_path / "raw.parquet"
    table = pa.Table.from_pylist([row_of(recording, "train") for recording in simulated(2)], schema=schema())
    pq.write_table(table if spoil else table.drop_columns("signal"), file)
    if spoil:
        file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(RecordError) as refused:
        prepared_shards(tmp_path / "run", [str(file)])
    assert sentence in str(refused.value)
    with pytest.raises(RecordError, match=r"raw\.parquet"):
        list(read_parquet(file))


def test_a_shard_of_another_schema_is_refused_outside_its_prepared_folder_too(tmp_path):
    table = pa.Table.from_pylist([row_of(recording, "train") for recording in simulated(2)], schema=schema())
    pq.write_table(table.replace_schema_metadata({"ecgscan_schema": "99"}), tmp_path / "moved.parquet")
    with pytest.raises(RecordError, match=r"moved\.parquet: schema version 99, expected 1 to 2"):
        prepared_shards(tmp_path / "run", [str(tmp_path / "moved.parquet")])


def test_an_epoch_holds_every_row_once_and_epochs_differ(shards):
    batches = first(stream(shards, batch_size=37), 2)
    names = [[row.split()[0] for row in batch] for batch in batches]
    assert len(set(names[0])) == len(set(names[1])) == 37
    assert names[0] != names[1]
    assert not set(batches[0]) & set(batches[1])  # other augmentations too


def test_an_epoch_begins_without_a_wait(shards, monkeypatch):
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    first(stream(shards, batch_size=37), 3)
    assert not slept


@pytest.mark.parametrize("start", [1, 9, 12])
def test_a_stream_goes_on_where_it_was_stopped(shards, start):
    assert first(stream(shards, start=start), 4) == first(stream(shards), start + 4)[start:]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_do_not_change_the_batches(shards, workers):
    loader = DataLoader(stream(shards, start=3), batch_size=None, num_workers=workers)
    assert first(loader, 7) == first(stream(shards, start=3), 7)


def test_processes_share_the_rows_of_a_step(shards):
    one = first(stream(shards, batch_size=8), 4)
    two = [first(stream(shards, rank=rank, world=2, batch_size=4), 4) for rank in range(2)]
    assert [a + b for a, b in zip(*two, strict=True)] == one


def test_no_shards_is_an_error_that_says_what_to_do():
    with pytest.raises(ValueError, match=r"write some with processing\.triplets\.prepare"):
        stream([])


def test_labels_become_sentences_that_say_only_what_is_true():
    rng = np.random.default_rng(0)
    labels = ["MI", "sinus rhythm", "HYP"]
    for _ in range(20):
        text, said = label_text(labels, rng)
        assert said
        assert set(said) <= set(labels)
        assert all(SUPERCLASS_PHRASES.get(label, label) in text for label in said)
    assert label_text([], rng) == ("", [])


def test_known_labels_are_those_of_the_shards(shards):
    assert "sinus rhythm" in known_labels(shards)
    assert count_rows(shards) == 37


@pytest.mark.parametrize("name", ["3x4+1", "6x2", "12x1"])
def test_a_printed_mask_shows_each_lead_for_its_column(name):
    layout = LAYOUTS[name]
    mask = printed_mask(layout, 5000)
    columns = layout.n_columns
    for lead in LEADS:
        whole = any(row == (lead,) for row in layout.rows)
        assert mask[LEADS.index(lead)].sum() == (5000 if whole else 5000 // columns)
    if name == "3x4+1":
        assert mask[LEADS.index("V1"), 2500:3750].all()  # V1 stands in the third column


def test_random_masks_always_show_something():
    rng = np.random.default_rng(0)
    assert all(random_mask(500, rng).any() for _ in range(300))


def test_views_keep_the_lead_laws_and_count_hidden_samples_more():
    recording = next(simulated(1, seed=9))
    view = training_view(recording.signal, np.ones_like(recording.signal, bool), np.random.default_rng(1))
    assert np.abs(law_residuals(view.target)).max() < 1e-4
    assert view.values.shape == view.target.shape == view.weight.shape == (12, 5000)
    assert set(np.unique(view.weight[view.mask])) <= {1.0}
    assert set(np.unique(view.weight[~view.mask])) <= {4.0}


@pytest.mark.parametrize("seed", range(6))
def test_a_recording_as_read_off_a_page_is_near_the_recording_and_shows_a_part_of_it(seed):
    recording = next(simulated(1, seed=9))
    read, shown = read_view(recording.signal, np.random.default_rng(seed))
    assert shown.any()
    assert not shown.all()
    level = isoelectric(without_wander(recording.signal, 500.0))
    again = isoelectric(without_wander(read, 500.0))
    leads = shown.any(1)
    assert np.median(np.abs(again - level)[leads][shown[leads]]) < 0.1
    other, _ = read_view(recording.signal, np.random.default_rng(seed))
    np.testing.assert_array_equal(read, other)


def test_wander_is_removed_and_beats_are_kept():
    recording = next(simulated(1, seed=9))
    clean = without_wander(recording.signal, 500.0)
    wander = 2.0 * np.sin(2 * np.pi * 0.1 * np.arange(5000) / 500)
    again = without_wander(recording.signal + wander.astype(np.float32), 500.0)
    assert np.sqrt(np.mean((again - clean)[:, 500:-500] ** 2)) < 0.15
    assert np.abs(np.median(isoelectric(clean)[[0, 1, *range(6, 12)]], axis=1)).max() < 1e-6


@pytest.mark.shared
def test_scp_codes_become_english_labels(shared):
    phrases = scp_phrases(shared / "data" / "meta" / "scp_statements.csv")
    recording = next(labelled_parquet(shared / "data" / "ptbxl" / "validation.parquet", phrases))
    assert phrases["NORM"] == "normal ECG"
    assert set(recording.labels) - set(SUPERCLASS_PHRASES) <= set(phrases.values())
