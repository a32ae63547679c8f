"""`ecgscan prepare folder` with pages: pictures and PDFs beside, or instead of, the records they show."""

import json
from collections import Counter
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from archive_trees import many, recordings, write_parquet, write_record, write_table
from datasets import IterableDataset, load_dataset
from PIL import Image
from pillow_heif import register_heif_opener
from typer.testing import CliRunner

from hub_scripts.arguments import UsageError
from hub_scripts.cli import app
from hub_scripts.finetune_data import _parquet_sources
from hub_scripts.prepare import plan, prepare_command
from hub_scripts.push_checks import check_dataset
from hub_scripts.training_align import TripletSamples
from hub_scripts.training_data import pages_left_out, prepared_shards
from processing.archives import list_archive
from processing.folders import stored_page
from processing.listings import Entry
from processing.pages import open_page
from processing.prepared import prepared_split, schema
from processing.processing_ecgscan import ECGScanProcessor
from processing.records import Recording, recording_of_row
from processing.triplets import BatchStream, bytes_per_row, known_labels, labelled_parquet
from processing.wfdb_records import RecordError

COLUMNS = ["file", "page", "record", "patient_id", "report", "labels", "split"]
KINDS = {"both.jpg": "JPEG", "scan.tif": "TIFF", "alone.png": "PNG"}


def picture(seed: int, size: tuple[int, int] = (96, 64)) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8))


@pytest.fixture(scope="module")
def simulated() -> list[Recording]:
    return recordings(3)


def archive_of(folder: Path, simulated: list[Recording]) -> Path:
    """Two records with their pages, one record without a page, two pages and a PDF of two without a record."""
    for number, recording in enumerate(simulated):
        write_record(folder / "wfdb" / f"r{number}", recording)
    (folder / "pages").mkdir()
    for seed, (name, kind) in enumerate(KINDS.items()):
        picture(seed).save(folder / "pages" / name, kind)
    picture(5).save(folder / "two.pdf", save_all=True, append_images=[picture(6)])
    told = {"report": "as printed", "split": "train"}
    rows = [
        {"file": "pages/both.jpg", "record": "wfdb/r0", "patient_id": "7", "labels": "NORM;sinus rhythm", **told},
        {"file": "pages/scan.tif", "record": "wfdb/r1.hea", **told},
        {"record": "wfdb/r2", **told},
        {"file": "pages/alone.png", "patient_id": "7", "labels": "MI", **told},
        {"file": "two.pdf", "page": "2", "labels": "NORM", **told},
    ]
    write_table(folder / "records.csv", COLUMNS, rows)
    return folder


@pytest.fixture(scope="module")
def archive(simulated, tmp_path_factory) -> Path:
    return archive_of(tmp_path_factory.mktemp("archive"), simulated)


@pytest.fixture(scope="module")
def prepared(archive, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "out"
    assert prepare_command("folder", archive, out, limit=None, num_processes=1) == 0
    return out


def rows_of(folder: Path) -> dict[str, dict]:
    return {row["record_id"]: row for path in folder.glob("*.parquet") for row in pq.read_table(path).to_pylist()}


def report_of(out: Path) -> dict:
    return json.loads((out / "report.json").read_text(encoding="utf-8"))


def identity(recording: Recording, rng: np.random.Generator) -> dict:
    return {"recording": recording}


def streamed(shards, count: int, **more) -> dict[str, Recording]:
    batch = next(iter(BatchStream(shards, identity, lambda samples: samples, count, **more)))
    return {sample["recording"].record_id: sample["recording"] for sample in batch}


def test_the_stored_page_is_the_file_byte_for_byte(archive, prepared):
    rows = rows_of(prepared / "data") | rows_of(prepared / "pages")
    for name in KINDS:
        assert rows[f"pages/{Path(name).stem}"]["image"]["bytes"] == (archive / "pages" / name).read_bytes()
    assert rows["r2"]["image"] is None


@pytest.mark.parametrize(("name", "page"), [("a.heic", 0), ("two.pdf", 2), ("two.tif", 2)])
def test_what_datasets_can_not_open_as_that_page_is_stored_as_a_png_of_it(tmp_path, name, page):
    register_heif_opener()
    more = {"save_all": True, "append_images": [picture(6)]} if page else {}
    picture(5).save(tmp_path / name, **more)
    with Image.open(BytesIO(stored_page(str(tmp_path / name), page))) as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image), open_page(tmp_path / name, page or 1).image)


def test_pages_without_a_signal_stand_in_a_configuration_of_their_own(prepared, simulated):
    recorded = load_dataset(str(prepared), split="train", streaming=True)
    rows = {row["record_id"]: row for row in recorded}
    assert set(rows) == {"pages/both", "pages/scan", "r2"}
    assert rows["pages/both"]["image"].size == (96, 64)
    assert (rows["pages/both"]["report"], rows["pages/both"]["labels"]) == ("as printed", ["NORM", "sinus rhythm"])
    stored = np.frombuffer(rows["pages/scan"]["signal"], "<i2").reshape(12, -1) / 1000
    np.testing.assert_allclose(stored, simulated[1].signal, atol=1e-5)
    pages = {row["record_id"]: row for row in load_dataset(str(prepared), "pages", split="train", streaming=True)}
    assert set(pages) == {"pages/alone", "two-p2"}
    alone = pages["pages/alone"]
    assert (alone["signal"], alone["leads"], alone["n_samples"], alone["sampling_rate"]) == (None, [], 0, None)
    assert (alone["patient_id"], alone["labels"]) == ("7", ["MI"])
    np.testing.assert_array_equal(np.asarray(alone["image"]), np.asarray(picture(2)))


def test_the_report_and_the_card_count_both_kinds(prepared):
    report = report_of(prepared)
    assert (report["written"], report["pages"], report["with_page"]) == ({"train": 3}, {"train": 2}, 2)
    assert (report["patients"], report["dropped"]) == ({"train": 4}, {})
    card = (prepared / "README.md").read_text(encoding="utf-8")
    assert "| train | 3 | 2 | 4 |" in card
    assert 'path: "pages/train-*.parquet"' in card
    assert "with their page: 2" in card


def test_the_picture_of_a_streamed_triplet_is_the_stored_page_and_rendered_only_where_there_is_none(
    archive, prepared, tiny
):
    shards = prepared_shards(Path("unused"), [str(prepared)])
    maker = TripletSamples(ECGScanProcessor.from_pretrained(tiny), known_labels(shards), [], (4.0, 6.0))
    stream = BatchStream(shards, lambda r, g: {"id": r.record_id, **maker.sample(r, g)}, lambda s: s, 3, pages=True)
    samples = next(iter(stream))
    found = {sample["id"]: sample["image"] for sample in samples}
    for name in ("both.jpg", "scan.tif"):
        expected = open_page(archive / "pages" / name).image
        np.testing.assert_array_equal(found[f"pages/{Path(name).stem}"], expected)
    assert min(found["r2"].shape[:2]) > 200
    batch = maker.collate(samples)
    assert batch["pixel_values"].shape[0] == batch["signal_values"].shape[0] == 3


def test_stages_that_need_no_pages_do_not_read_them(prepared):
    shards = prepared_shards(Path("unused"), [str(prepared)])
    with_pages, without = streamed(shards, 3, pages=True), streamed(shards, 3)
    assert list(with_pages) == list(without)
    assert {name for name, recording in with_pages.items() if recording.page} == {"pages/both", "pages/scan"}
    assert not any(recording.page for recording in without.values())


def test_large_pages_are_shuffled_a_few_at_a_time_and_none_is_lost(prepared, monkeypatch):
    shards = prepared_shards(Path("unused"), [str(prepared)])
    sizes = [len(row["image"]["bytes"]) for row in rows_of(prepared / "data").values() if row["image"]]
    assert bytes_per_row(shards) > sum(sizes) / 3
    windows = []
    shuffle = IterableDataset.shuffle
    monkeypatch.setattr(
        IterableDataset, "shuffle", lambda *a, **k: windows.append(k["buffer_size"]) or shuffle(*a, **k)
    )
    monkeypatch.setattr("processing.triplets._SHUFFLE_BYTES", 2 * bytes_per_row(shards))
    assert len(streamed(shards, 3, pages=True)) == len(streamed(shards, 3)) == 3
    assert windows == [2, 512]


def test_data_of_the_first_schema_still_train_beside_pages(prepared, simulated, tmp_path):
    table = pq.read_table(write_parquet(tmp_path / "source.parquet", many(simulated, 4), "train"))
    old = tmp_path / "old"
    (old / "data").mkdir(parents=True)
    (old / "report.json").write_text(json.dumps({"schema": 1, "written": {"train": 4}}))
    first = table.drop_columns("image").replace_schema_metadata({"ecgscan_schema": "1"})
    pq.write_table(first, old / "data" / "train-00000-of-00001.parquet")
    shards = prepared_shards(tmp_path / "unused", [str(prepared), str(old)])
    for pages in (True, False):
        found = streamed(shards, 7, pages=pages)
        assert set(found) == {"pages/both", "pages/scan", "r2", "r0000", "r0001", "r0002", "r0003"}
        assert bool(found["pages/both"].page) == pages
    second = table.drop_columns("image").replace_schema_metadata({"ecgscan_schema": "2"})
    pq.write_table(second, old / "data" / "train-00000-of-00001.parquet")
    with pytest.raises(RecordError, match=r"lacks the columns \['image'\]"):
        prepared_split(old, "train")


def test_pages_survive_when_simulated_recordings_are_mixed_in_and_when_prepared_again(prepared, archive, tmp_path):
    expected = (archive / "pages" / "both.jpg").read_bytes()
    shards = prepared_shards(tmp_path / "run", [str(prepared)], simulated_count=2, shards=1)
    assert streamed(shards, 5, pages=True)["pages/both"].page == expected
    assert prepare_command("parquet", prepared / "data", tmp_path / "out", limit=None, num_processes=1) == 0
    assert rows_of(tmp_path / "out" / "data")["pages/both"]["image"]["bytes"] == expected
    assert all(recording.page is None for recording in labelled_parquet(shards[0]))


def test_training_says_which_pages_it_leaves_out(prepared):
    (sentence,) = pages_left_out([str(prepared)])
    assert sentence == f"{prepared}: 2 pages of train without a signal are left out: training needs signals"
    assert not list(pages_left_out([str(prepared), str(prepared / "data")], "validation"))


def test_pages_without_any_signal_prepare_but_are_refused_for_training_in_a_sentence(tmp_path):
    (tmp_path / "in").mkdir()
    picture(1).save(tmp_path / "in" / "a.png")
    write_table(tmp_path / "in" / "records.csv", ["file", "split"], [{"file": "a.png", "split": "train"}])
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["prepare", "folder", str(tmp_path / "in"), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert not (out / "data").exists()
    assert load_dataset(str(out), split="train")[0]["image"].size == (96, 64)
    with pytest.raises(RecordError, match="holds pages without a signal only, and training needs signals; name the"):
        prepared_shards(tmp_path / "run", [str(out)])
    with pytest.raises(UsageError, match=r"nothing to train on was found .*'no signal': 1"):
        prepared_shards(tmp_path / "run", [str(out / "pages")])


def test_fine_tuning_finds_pages_without_a_signal(prepared, archive):
    _, sources, of_pages = _parquet_sources(sorted((prepared / "pages").glob("*.parquet")), ("train", "validation"))
    assert of_pages
    found = {source.labels: source.page for source in sources}
    assert found["MI",] == (archive / "pages" / "alone.png").read_bytes()


def test_a_data_set_with_pages_may_be_published(prepared):
    files = {file.relative_to(prepared).as_posix(): file for file in prepared.rglob("*") if file.is_file()}
    check_dataset(prepared, files)


def broken_archive(folder: Path, simulated: list[Recording]) -> Path:
    archive_of(folder, simulated)
    whole = (folder / "pages" / "alone.png").read_bytes()
    (folder / "pages" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "words.jpg").write_text("no picture")
    picture(8).save(folder / "forgotten.webp")
    named = ["pages/both.jpg", "pages/cut.png", "words.jpg", "absent.png", "two.pdf", "pages/alone.png", ""]
    rows = [{"file": name, "split": "train"} for name in named]
    rows += [
        {"file": "./pages/alone.png", "record_id": "again"},
        {"file": "pages/scan.tif", "record_id": "pages/both"},
        {"file": "two.pdf", "page": "9"},
        {"file": "two.pdf", "page": "first"},
    ]
    write_table(folder / "records.csv", ["record_id", *COLUMNS], rows)
    return folder


def test_bad_pages_are_counted_with_a_sentence_each_and_the_others_prepared(simulated, tmp_path):
    folder = broken_archive(tmp_path / "in", simulated)
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["prepare", "folder", str(folder), "--out", str(out)])
    assert result.exit_code == 2
    report = report_of(out)
    assert report["dropped"] == {
        "unreadable page": 4,
        "damaged table": 2,
        "missing file": 1,
        "duplicate file": 1,
        "duplicate id": 1,
        "not in the table": 1,
    }
    assert set(rows_of(out / "pages")) == {"pages/both", "pages/alone"}
    told = (out / "dropped.csv").read_text(encoding="utf-8")
    for sentence in (
        "cut.png: the image is damaged or truncated",
        "words.jpg: not an image or a PDF that can be read",
        "absent.png: there is no such file; copy it or correct its row of records.csv",
        "two.pdf: holds 2 pages; give each a row of records.csv with its number in the column page",
        "two.pdf: page 9 was asked for, the file has 2",
        "the page is 'first'; expected a number from 1",
        "line 8: names neither a record nor a file",
        "line 9: the page ./pages/alone.png is already that of line 7",
        "scan.tif: the id pages/both is already that of",
        "forgotten.webp: records.csv doesn't name it; give it a row there",
    ):
        assert told.count(sentence) == 1, sentence

    picture(9).save(folder / "absent.png")
    assert prepare_command("folder", folder, out, limit=None, num_processes=1) == 2
    assert "missing file" not in report_of(out)["dropped"]
    assert "absent" in rows_of(out / "pages")


def test_a_page_whose_record_is_bad_is_left_out_with_it(simulated, tmp_path):
    folder = archive_of(tmp_path / "in", simulated)
    write_record(folder / "wfdb" / "r0", replace(simulated[0], signal=simulated[0].signal[:, :100]))
    assert prepare_command("folder", folder, tmp_path / "out", limit=None, num_processes=1) == 0
    assert report_of(tmp_path / "out")["dropped"] == {"too short": 1}
    assert "pages/both" not in rows_of(tmp_path / "out" / "pages")


def test_a_limit_still_knows_the_files_that_the_rest_of_the_table_names(archive):
    listing = list_archive("folder", archive, 1)
    assert ([entry.record_id for entry in listing.entries], listing.drops) == (["pages/both"], [])


def test_pages_of_one_record_stay_on_one_side(simulated, tmp_path):
    rows = [{"file": f"{number}.png", "record": "r0"} for number in range(40)]
    write_table(tmp_path / "records.csv", ["file", "record", "split"], rows)
    assert len({entry.split for entry in list_archive("folder", tmp_path).entries}) == 1
    rows = [row | {"split": split} for row, split in zip(rows[:2], ("train", "test"), strict=True)]
    write_table(tmp_path / "records.csv", ["file", "record", "split"], rows)
    with pytest.raises(RecordError, match=r"r0 is in train and, with 1, in test"):
        list_archive("folder", tmp_path)


def test_a_shard_of_pages_holds_fewer_rows():
    entries = [Entry(f"{n}", "", "train", f"r{n}", image=f"{n}.png") for n in range(2000)]
    assert Counter(len(shard.entries) for shard in plan("folder", entries)) == {200: 10}


def test_a_row_of_pages_can_not_pass_for_a_recording():
    row = dict.fromkeys(schema().names) | {"record_id": "x", "leads": [], "n_samples": 0}
    with pytest.raises(RecordError, match="x: only its page is known"):
        recording_of_row(row)
