"""The command line: what it writes, how it resumes, and one line for everything that can't be used."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import wfdb
from bad_files import BAD_FILES
from PIL import Image

from hub_scripts.read import output_names
from processing.leads import LEADS
from processing.records import read_wfdb, write_wfdb
from processing.renderer import render
from processing.simulator import simulate


@pytest.fixture(scope="session")
def page() -> np.ndarray:
    """A small clean page (height, width, 3)."""
    return render(
        simulate(5), seed=5, layout="3x4+1", condition="clean", speed=25.0, gain=10.0, pixels_per_mm=4.0
    ).image


@pytest.fixture
def folder(tmp_path, page) -> Path:
    """A folder with one good page."""
    (tmp_path / "pages").mkdir()
    Image.fromarray(page).save(tmp_path / "pages" / "good.png")
    return tmp_path / "pages"


def _rows(out: Path) -> list[dict[str, str]]:
    with (out / "summary.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _is_one_line(message: str) -> bool:
    return message.startswith("error: ") and message.strip().count("\n") == 0 and "Traceback" not in message


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_one_line_and_exit_code_2_and_the_others_are_done(ecgscan, tiny, tmp_path, folder, name):
    BAD_FILES[name][0](folder / name)
    code, _, err = ecgscan("read", folder, "--out", tmp_path / "out", "--model", tiny)
    assert code == 2
    assert _is_one_line(err)
    assert name in err
    rows = {Path(row["file"]).name: row for row in _rows(tmp_path / "out")}
    assert rows[name]["status"] == "error"
    assert rows["good.png"]["status"] in ("read", "partial", "no_ecg")
    document = json.loads((tmp_path / "out" / f"{rows[name]['output']}.json").read_text())
    assert document["status"] == "error"
    assert BAD_FILES[name][1] in document["reason"]
    assert document["leads"] == {}


def _animated(image: Image.Image, path: Path) -> None:
    image.save(path, save_all=True, append_images=[image.rotate(180)])


def _sixteen_bit(image: Image.Image, path: Path) -> None:
    Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(path)


def _exif_rotated(image: Image.Image, path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image.rotate(90, expand=True).save(path, exif=exif)


ODD_PAGES = {
    "animated.gif": _animated,
    "deep.png": _sixteen_bit,
    "cmyk.jpg": lambda image, path: image.convert("CMYK").save(path, quality=95),
    "palette.png": lambda image, path: image.quantize(64).save(path),
    "alpha.png": lambda image, path: image.convert("RGBA").save(path),
    "turned.jpg": _exif_rotated,
    "upside.png": lambda image, path: image.rotate(180).save(path),
    "page.pdf": lambda image, path: image.save(path, resolution=100.0),
}
NO_PAGES = {
    "blank.png": lambda image, path: Image.new("RGB", image.size, (255, 255, 255)).save(path),
    "black.png": lambda image, path: Image.new("L", (300, 200)).save(path),
    "scene.jpg": lambda image, path: Image.fromarray(_scene()).save(path),
}


def _scene() -> np.ndarray:
    """Something that is no page: soft colours and a few discs."""
    y, x = np.mgrid[0:600, 0:900]
    scene = np.stack([120 + 80 * np.sin(x / 130), 110 + 60 * np.cos(y / 90), 140 + 50 * np.sin((x + y) / 170)], -1)
    for cx, cy, r in ((200, 300, 90), (560, 200, 60), (700, 430, 130)):
        scene[(x - cx) ** 2 + (y - cy) ** 2 < r * r] *= 0.6
    return scene.astype(np.uint8)


@pytest.mark.parametrize("name", [*ODD_PAGES, *NO_PAGES])
def test_odd_but_valid_files_give_a_status_and_exit_code_0(ecgscan, tiny, tmp_path, page, name):
    {**ODD_PAGES, **NO_PAGES}[name](Image.fromarray(page), tmp_path / name)
    code, _, err = ecgscan("read", tmp_path / name, "--out", tmp_path / "out", "--model", tiny, "--min-quality", 0)
    assert code == 0, err
    assert err == ""
    (row,) = _rows(tmp_path / "out")
    assert row["status"] in ("read", "partial", "no_ecg")
    assert (tmp_path / "out" / f"{row['output']}.png").is_file()
    if row["status"] != "read":
        assert row["reason"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ODD_PAGES)
def test_odd_files_are_read_like_the_page_they_hold(ecgscan, checkpoint, tmp_path, page, name):
    ODD_PAGES[name](Image.fromarray(page), tmp_path / name)
    code, _, err = ecgscan(
        "read", tmp_path / name, "--out", tmp_path / "out", "--model", checkpoint, "--min-quality", 0
    )
    assert code == 0, err
    (row,) = _rows(tmp_path / "out")
    assert row["status"] == "read"
    assert row["layout"] == "3x4+1"


@pytest.mark.slow
@pytest.mark.parametrize("name", NO_PAGES)
def test_nothing_is_invented_where_there_is_no_ecg(ecgscan, checkpoint, tmp_path, page, name):
    NO_PAGES[name](Image.fromarray(page), tmp_path / name)
    code, _, _ = ecgscan("read", tmp_path / name, "--out", tmp_path / "out", "--model", checkpoint)
    assert code == 0
    (row,) = _rows(tmp_path / "out")
    assert row["status"] == "no_ecg"
    assert row["leads"] == ""
    assert not list((tmp_path / "out").glob("*.hea"))


def test_a_path_that_is_not_there_does_not_stop_the_others(ecgscan, tiny, tmp_path, folder):
    code, _, err = ecgscan("read", tmp_path / "nowhere.jpg", folder, "--out", tmp_path / "out", "--model", tiny)
    assert code == 2
    assert _is_one_line(err)
    assert len(_rows(tmp_path / "out")) == 1


def test_a_folder_without_images_is_one_line(ecgscan, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = ecgscan("read", tmp_path / "empty", "--out", tmp_path / "out")
    assert code == 2
    assert _is_one_line(err)
    assert "holds no page" in err


@pytest.mark.parametrize("command", ["read", "render"])
def test_an_output_that_cannot_be_written_is_one_line(ecgscan, tiny, tmp_path, folder, command):
    (tmp_path / "file").write_text("in the way")
    arguments = (folder,) if command == "read" else ("simulator:1",)
    code, _, err = ecgscan(command, *arguments, "--out", tmp_path / "file" / "out")
    assert code == 2
    assert _is_one_line(err)
    assert "can't be written" in err


def _missing(checkpoint: Path) -> None:
    shutil.rmtree(checkpoint)


def _corrupt(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").write_bytes(b"\xff" * 4000)


def _half_downloaded(checkpoint: Path) -> None:
    weights = checkpoint / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])


def _without_weights(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").unlink()


def _lfs_pointer(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


def _without_processor(checkpoint: Path) -> None:
    (checkpoint / "processor_config.json").unlink()


def _broken_config(checkpoint: Path) -> None:
    (checkpoint / "config.json").write_text('{"model_type": "ecgscan", ')


def _lost_weight(checkpoint: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(checkpoint / "model.safetensors")
    weights.pop(sorted(weights)[3])
    save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    "damage",
    [
        _missing,
        _corrupt,
        _half_downloaded,
        _without_weights,
        _lfs_pointer,
        _without_processor,
        _broken_config,
        _lost_weight,
    ],
)
@pytest.mark.parametrize("command", ["read", "embed"])
def test_a_checkpoint_that_cannot_be_used_is_one_line(ecgscan, tiny, tmp_path, folder, damage, command):
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(tiny, checkpoint)
    damage(checkpoint)
    out = tmp_path / ("out" if command == "read" else "out.parquet")
    code, _, err = ecgscan(command, folder, "--out", out, "--model", checkpoint)
    assert code == 2
    assert _is_one_line(err.strip().split("\n")[-1]), err
    assert "Traceback" not in err
    assert "checkpoint" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--format", "wfdb,docx"),
        ("--columns", "both"),
        ("--min-quality", "2"),
        ("--batch-size", "0"),
        ("--num-processes", "none"),
        ("--nonsense",),
    ],
)
def test_unusable_arguments_end_with_code_2(ecgscan, tmp_path, folder, arguments):
    code, _, err = ecgscan("read", folder, "--out", tmp_path / "out", *arguments)
    assert code == 2
    assert "Traceback" not in err


def test_a_second_run_keeps_what_is_done_and_reads_what_changed(ecgscan, tiny, tmp_path, folder, page):
    Image.fromarray(page).save(folder / "other.png")
    command = ("read", folder, "--out", tmp_path / "out", "--model", tiny, "--min-quality", 0)
    assert ecgscan(*command)[0] == 0
    pictures = {name: (tmp_path / "out" / f"{name}.png") for name in ("good", "other")}
    first = {name: path.stat().st_mtime_ns for name, path in pictures.items()}
    Image.fromarray(page[::-1]).save(folder / "other.png")
    code, out, _ = ecgscan(*command)
    assert code == 0
    assert "1 of 2 files were done by an earlier run" in out
    assert pictures["good"].stat().st_mtime_ns == first["good"]
    assert pictures["other"].stat().st_mtime_ns > first["other"]
    assert len(_rows(tmp_path / "out")) == 2
    # Another option is another reading.
    assert "earlier run" not in ecgscan(*command, "--columns", "simultaneous")[1]


def test_a_killed_run_is_continued_from_its_last_whole_row(ecgscan, tiny, tmp_path, folder, page):
    Image.fromarray(page).save(folder / "other.png")
    command = ("read", folder, "--out", tmp_path / "out", "--model", tiny)
    ecgscan(*command)
    summary = tmp_path / "out" / "summary.csv"
    summary.write_bytes(summary.read_bytes()[:-40])
    assert "1 of 2 files" in ecgscan(*command)[1]
    assert len(_rows(tmp_path / "out")) == 2


def test_two_processes_give_what_one_gives(ecgscan, tiny, tmp_path, folder, page):
    for number in range(2):
        Image.fromarray(np.roll(page, 40 * number, axis=0)).save(folder / f"p{number}.png")
    (folder / "bad.png").touch()
    for processes in (1, 2):
        out = tmp_path / f"out{processes}"
        assert ecgscan("read", folder, "--out", out, "--model", tiny, "--num-processes", processes)[0] == 2
    rows = [[{**row, "seconds": ""} for row in _rows(tmp_path / f"out{processes}")] for processes in (1, 2)]
    assert rows[0] == rows[1]


def test_batches_over_files_give_what_single_pages_give(ecgscan, tiny, tmp_path, folder, page):
    Image.fromarray(page[:-100, :-60]).save(folder / "smaller.png")
    for size in (1, 3):
        assert ecgscan("read", folder, "--out", tmp_path / f"out{size}", "--model", tiny, "--batch-size", size)[0] == 0
    rows = [[{**row, "seconds": ""} for row in _rows(tmp_path / f"out{size}")] for size in (1, 3)]
    assert rows[0] == rows[1]


def test_pages_of_one_file_and_equal_stems_get_names_of_their_own(ecgscan, tiny, tmp_path, page):
    small = Image.fromarray(page).resize((300, 200))
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        small.save(tmp_path / place / "page 1.png")
    small.save(tmp_path / "two.tif", save_all=True, append_images=[small])
    paths = (tmp_path / "a", tmp_path / "b", tmp_path / "two.tif")
    assert ecgscan("read", *paths, "--out", tmp_path / "out", "--model", tiny, "--format", "json")[0] == 0
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.json"))
    assert written == ["a/page_1.json", "b/page_1.json", "two-p2.json", "two.json"]
    assert [row["page"] for row in _rows(tmp_path / "out")] == ["1", "1", "1", "2"]


def test_equal_stems_in_one_folder_keep_their_suffix(tmp_path):
    names = [task.name for task in output_names([tmp_path / "x.png", tmp_path / "x.jpg", tmp_path / "y.jpg"])]
    assert names == ["x_png", "x_jpg", "y"]


def test_names_that_are_equal_in_ascii_are_told_apart_whatever_else_is_read():
    files = [Path("心電図.png"), Path("診断書.png"), Path("ä/x.png"), Path("ö/x.png"), Path(f"{'n' * 250}.png")]
    names = {task.file: task.name for task in output_names(files)}
    assert len(set(names.values())) == len(files)
    assert re.fullmatch("____png_[0-9a-f]{8}", names[files[0]])
    assert all(len(Path(name).name) <= 210 for name in names.values())
    assert output_names(files[:2])[1].name == names[files[1]]


def test_files_that_no_run_wrote_are_never_replaced(ecgscan, tiny, tmp_path, folder):
    before = (folder / "good.png").read_bytes()
    code, _, err = ecgscan("read", folder / "good.png", "--out", folder, "--model", tiny)
    assert code == 2
    assert "choose another --out" in err
    assert (folder / "good.png").read_bytes() == before


def test_render_writes_pages_truth_and_an_index(ecgscan, tmp_path):
    header = write_wfdb(simulate(9), tmp_path / "records", "nine")
    code, out, err = ecgscan(
        *("render", header, "simulator:2", "--out", tmp_path / "out"),
        *("--layout", "6x2", "--condition", "scan", "--seed", 5),
    )
    assert code == 0, err
    assert "3 pages" in out
    with (tmp_path / "out" / "index.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert Image.open(tmp_path / "out" / row["file"]).size[0] > 300
        truth = wfdb.rdrecord(str(tmp_path / "out" / row["truth"]))
        assert truth.sig_name == list(LEADS)
        assert set(json.loads(row["printed"])) == set(LEADS)
        assert (row["kind"], row["layout"]) == ("scan", "6x2")
    assert [row["labels"] for row in rows[1:]] == [";".join(simulate(5 + number).labels) for number in range(2)]
    np.testing.assert_allclose(read_wfdb(tmp_path / "out" / "nine").signal, simulate(9).signal, atol=0.001)


def test_render_is_repeatable(ecgscan, tmp_path):
    for name in ("a", "b"):
        ecgscan("render", "simulator:1", "--out", tmp_path / name, "--condition", "photo", "--seed", 8)
    (first,), (second,) = ((tmp_path / name).glob("*.jpg") for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("nowhere", "--out", "out"), "nowhere"),
        (("nowhere.parquet", "--out", "out"), "nowhere.parquet"),
        (("simulator:1", "--out", "out", "--layout", "5x5"), "5x5"),
    ],
)
def test_render_refuses_in_one_line(ecgscan, tmp_path, monkeypatch, arguments, expected):
    monkeypatch.chdir(tmp_path)
    code, _, err = ecgscan("render", *arguments)
    assert code == 2
    assert _is_one_line(err)
    assert expected in err


def test_embed_writes_unit_vectors_of_pages_and_recordings(ecgscan, tiny, tmp_path, folder):
    header = write_wfdb(simulate(2), tmp_path, "record")
    (folder / "bad.jpg").write_text("no image")
    code, _, err = ecgscan("embed", folder, header, "--out", tmp_path / "e.parquet", "--model", tiny)
    assert code == 2
    assert _is_one_line(err)
    table = pq.read_table(tmp_path / "e.parquet").to_pylist()
    assert {(Path(row["file"]).name, row["page"], row["kind"]) for row in table} == {
        ("good.png", 1, "image"),
        ("record.hea", 1, "signal"),
    }
    for row in table:
        assert np.linalg.norm(row["embedding"]) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.slow
def test_what_was_rendered_is_read_back(ecgscan, checkpoint, tmp_path):
    ecgscan("render", "simulator:3", "--out", tmp_path / "pages", "--layout", "3x4+1", "--seed", 40)
    assert ecgscan("read", tmp_path / "pages", "--out", tmp_path / "out", "--min-quality", 0)[0] == 0
    from hub_scripts.scoring import score_page

    with (tmp_path / "pages" / "index.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    decibels = []
    for row in rows:
        truth = read_wfdb(tmp_path / "pages" / row["truth"])
        read = read_wfdb(tmp_path / "out" / Path(row["file"]).stem)
        printed = json.loads(row["printed"])
        decibels.append(score_page(truth.signal, truth.sampling_rate, printed, read.signal, 500.0).snr_db)
    assert np.median(decibels) > 15


@pytest.mark.slow
@pytest.mark.shared
def test_a_real_photo_becomes_a_record_that_wfdb_opens(ecgscan, shared, checkpoint, tmp_path):
    photo = shared / "data" / "photos" / "p2p_00012_photo.jpg"
    code, _, err = ecgscan("read", photo, "--out", tmp_path, "--min-quality", 0)
    assert code == 0, err
    record = wfdb.rdrecord(str(tmp_path / photo.stem))
    assert record.sig_name == list(LEADS)
    assert record.units == ["mV"] * 12
    assert record.fs == 500
    assert record.sig_len == pytest.approx(5000, abs=50)
    signal = record.p_signal.T
    v1 = np.flatnonzero(np.isfinite(signal[LEADS.index("V1")])) / 500
    assert v1[0] == pytest.approx(5.0, abs=0.2)
    assert v1[-1] == pytest.approx(7.5, abs=0.2)
    assert np.isnan(signal[LEADS.index("V1"), :2000]).all()
    assert np.isfinite(signal[LEADS.index("II")]).mean() > 0.9


@pytest.mark.slow
@pytest.mark.shared
def test_nothing_is_read_from_pictures_without_an_ecg(ecgscan, shared, checkpoint, tmp_path):
    code, _, _ = ecgscan("read", shared / "data" / "not_ecg", "--out", tmp_path)
    assert code == 0
    assert not list(tmp_path.glob("*.hea"))
