"""The demonstration, without a browser: drawing, FHIR, uploads of every kind, the batch, the Space's files."""

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from bad_files import BAD_FILES
from PIL import Image

from hub_scripts.push_checks import check_space, files_of
from processing.leads import LEADS
from processing.pages import PageError
from processing.renderer import render
from processing.simulator import simulate

if find_spec("gradio") is None:
    pytest.skip("gradio is not installed (extra `demo`)", allow_module_level=True)

from spaces_demo import batch
from spaces_demo.assemble import PACKAGES, assemble
from spaces_demo.fhir import observation
from spaces_demo.interface import build, launch_options
from spaces_demo.paper import twelve_leads
from spaces_demo.service import MAX_PAGES, Service, open_upload

# after the interface, which says first that Gradio may ask no other host
from gradio_client import Client, handle_file  # isort: skip


@pytest.fixture(scope="module")
def service(tiny) -> Service:
    return Service(str(tiny))


@pytest.fixture(scope="module")
def page_file(tmp_path_factory) -> Path:
    page = render(simulate(5), seed=5, layout="3x4+1", condition="clean", speed=25.0, gain=10.0, pixels_per_mm=4.0)
    path = tmp_path_factory.mktemp("page") / "good.png"
    Image.fromarray(page.image).save(path)
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "given").mkdir()
    return tmp_path / "given"


def _printed_part() -> tuple[np.ndarray, np.ndarray]:
    """A signal of which 2.5 s are printed, and the whole."""
    whole = simulate(3).signal
    printed = np.full_like(whole, np.nan)
    printed[:, 1250:2500] = whole[:, 1250:2500]
    return printed, whole


def _points(drawing: str, lead: str, style: str) -> np.ndarray:
    """(N, 2) corners in millimetres of a lead's line in an SVG."""
    path = ElementTree.fromstring(drawing).find(f".//*[@data-lead='{lead}']/*[@class='{style}']")
    return np.array([pair.split(",") for pair in re.findall(r"[\d.]+,[-\d.]+", path.get("d"))], float)


def test_a_second_is_25_mm_and_a_millivolt_10_mm():
    printed, whole = _printed_part()
    points = _points(twelve_leads(printed, None), "V2", "printed")
    assert np.ptp(points[:, 0]) == pytest.approx(1249 / 500 * 25, abs=0.02)
    assert np.ptp(points[:, 1]) == pytest.approx(np.ptp(whole[7, 1250:2500]) * 10, abs=0.1)


def test_what_is_not_printed_is_drawn_as_inferred_and_joins_what_is():
    printed, whole = _printed_part()
    drawing = twelve_leads(printed, whole)
    solid, dashed = _points(drawing, "I", "printed"), _points(drawing, "I", "inferred")
    inside = (dashed[:, 0] > solid[0, 0] + 0.1) & (dashed[:, 0] < solid[-1, 0] - 0.1)
    assert not inside.any()
    for end in (solid[0], solid[-1]):
        assert np.abs(dashed - end).sum(1).min() < 0.02


def test_nothing_is_called_inferred_where_nothing_was():
    assert 'class="inferred"' not in twelve_leads(_printed_part()[0], None)


def test_the_observation_gives_the_signal_back():
    printed, _ = _printed_part()
    document = {"file": "page.jpg", "model": {"name": "m", "revision": "r"}, "measurements": {"heart_rate_bpm": 71.5}}
    resource = observation(document, printed)
    waves = [part for part in resource["component"] if "valueSampledData" in part]
    assert [part["code"]["coding"][0]["display"].rsplit("_", 1)[1] for part in waves] == [
        lead.upper() for lead in LEADS
    ]
    for values, part in zip(printed, waves, strict=True):
        data = part["valueSampledData"]
        read = [np.nan if word == "E" else int(word) * data["factor"] for word in data["data"].split(" ")]
        np.testing.assert_allclose(read, values, atol=0.00051)
    assert resource["component"][-1]["valueQuantity"] == {
        "value": 71.5,
        "unit": "/min",
        "system": "http://unitsofmeasure.org",
        "code": "/min",
    }


@pytest.mark.parametrize("name", ["text.jpg", "empty.png", "cut.pdf", "locked.pdf"])
def test_a_file_that_is_no_page_is_one_sentence_that_names_only_it(tmp_path, name):
    BAD_FILES[name][0](tmp_path / name)
    with pytest.raises(PageError, match=re.escape(BAD_FILES[name][1])) as caught:
        open_upload(tmp_path / name)
    assert str(caught.value).startswith(f"{name}: ")
    assert str(tmp_path) not in str(caught.value)


def test_a_page_of_200_is_opened_and_a_page_that_is_not_there_is_said(tmp_path):
    path = tmp_path / "long.tif"
    sheet = Image.new("1", (64, 64))
    sheet.save(path, save_all=True, append_images=[sheet] * 199)
    assert open_upload(path, 2).n_pages == 200
    for number, said in ((0, f"pages 1 to {MAX_PAGES}"), (MAX_PAGES + 1, f"pages 1 to {MAX_PAGES}")):
        with pytest.raises(PageError, match=said):
            open_upload(path, number)
    sheet.save(tmp_path / "one.png")
    with pytest.raises(PageError, match="page 3 was asked for, the file has 1"):
        open_upload(tmp_path / "one.png", 3)


def test_a_zip_gives_its_files_under_names_of_their_own(tmp_path, folder):
    with zipfile.ZipFile(tmp_path / "pages.zip", "w") as archive:
        for name in ("a/page.png", "b/page.png", "../../page.jpg", "__MACOSX/._page.png", ".hidden", "empty/", ".."):
            archive.writestr(name, "x")
        archive.writestr(f"{'é' * 300}.png", "x")
    found = batch.collect([tmp_path / "pages.zip"], folder)
    assert [upload.path.name for upload in found] == ["page.png", "page_2.png", "page_3.jpg", f"{'é' * 90}.png"]
    assert {upload.path.parent for upload in found} == {folder}
    assert not any(upload.problem for upload in found)


def _zip_of_zeros(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("page.png", "w") as member:
        for _ in range(1 + batch.MAX_UNPACKED // 10_000_000):
            member.write(bytes(10_000_000))


def _zip_of_many(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(batch.MAX_FILES + 1):
            archive.writestr(f"{number}.png", "x")


def _zip_with_a_damaged_list(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("page.png", "x")
    path.write_bytes(path.read_bytes().replace(b"PK\x01\x02", b"PK\x00\x00"))


BAD_ZIPS = {
    "bomb": (_zip_of_zeros, "unpacks to more than"),
    "many": (_zip_of_many, "more than the 100"),
    "empty": (lambda path: zipfile.ZipFile(path, "w").close(), "holds no file"),
    "damaged list": (_zip_with_a_damaged_list, "damaged"),
    "damaged": (lambda path: path.write_bytes(b"PK\x03\x04 cut"), "damaged"),
}


@pytest.mark.parametrize("kind", BAD_ZIPS)
def test_a_zip_that_cannot_be_used_is_one_sentence_and_leaves_no_file(tmp_path, folder, monkeypatch, kind):
    monkeypatch.setattr(batch, "MAX_UNPACKED", 50_000_000)
    BAD_ZIPS[kind][0](tmp_path / "pages.zip")
    (upload,) = batch.collect([tmp_path / "pages.zip"], folder)
    assert upload.problem.startswith("pages.zip: ")
    assert BAD_ZIPS[kind][1] in upload.problem
    assert not list(folder.iterdir())


def test_no_file_and_too_many_files_are_said(tmp_path, folder, page_file):
    with pytest.raises(batch.BatchError, match="no file was given"):
        batch.collect([], folder)
    (tmp_path / "page.txt").write_text("x")
    with pytest.raises(batch.BatchError, match="more than 100 files"):
        batch.collect([tmp_path / "page.txt"] * (batch.MAX_FILES + 1), folder)


def test_in_a_batch_bad_files_are_named_and_the_others_are_read(service, tmp_path, folder, page_file):
    (tmp_path / "program.jpg").write_bytes(b"MZ\x90\x00")
    sheet = Image.new("1", (64, 64))
    sheet.save(tmp_path / "long.tif", save_all=True, append_images=[sheet] * MAX_PAGES)
    _zip_of_many(tmp_path / "many.zip")
    given = [tmp_path / "program.jpg", tmp_path / "long.tif", tmp_path / "many.zip", page_file]
    (tmp_path / "out").mkdir()
    told = []
    uploads = batch.collect(given, folder)
    rows = list(batch.run(service, uploads, tmp_path / "out", "sequential", lambda *part: told.append(part)))
    assert [(row.file, row.status) for row in rows][:3] == [
        *(("program.jpg", "error"), ("long.tif", "error"), ("many.zip", "error")),
    ]
    for row, said in zip(rows, ("not an image", f"more than the {MAX_PAGES}", "more than the 100"), strict=False):
        assert said in row.reason
    assert rows[3].file == "good.png"
    assert rows[3].status in ("read", "partial", "no_ecg")
    assert {share for share, _ in told} <= {part for part, _ in told if 0 <= part < 1}
    results = batch.packed(tmp_path / "out", tmp_path / "results.zip")
    names = set(zipfile.ZipFile(results).namelist())
    assert {"summary.csv", "good.json", "good.png", "program.json"} <= names
    assert str(tmp_path) not in (tmp_path / "out" / "good.json").read_text()


def test_ten_uploads_at_once_each_get_their_own_answer(service, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    page = build(service)
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    try:
        client = Client(url, verbose=False)
        paths = [tmp_path / f"page{number}.png" for number in range(10)]
        for path in paths:
            Image.new("RGB", (40, 40), "white").save(path)
        jobs = [client.submit(handle_file(str(path)), api_name="/read") for path in paths]
        documents = [job.result(timeout=300)[0] for job in jobs]
    finally:
        page.close()
    assert [document["file"] for document in documents] == [path.name for path in paths]
    assert {document["status"] for document in documents} == {"no_ecg"}


def test_labels_must_be_several(service):
    with pytest.raises(ValueError, match="got 1 labels, expected 2 to 20"):
        service.shares(None, ["sinus rhythm"])


def test_a_recording_of_the_gallery_is_nearest_to_itself(service):
    from modeling_ecgscan.readings_ecgscan import ECGReading

    for index in (0, 20):
        signal = service.gallery.recordings[index].signal
        reading = ECGReading("read", None, signal, np.ones_like(signal), {}, 1.0)
        nearest = service.gallery.nearest(reading, 3)
        assert nearest[0].recording is service.gallery.recordings[index]
        assert nearest[0].cosine >= nearest[1].cosine >= nearest[2].cosine


def test_without_gradio_the_command_says_how_to_install_it(repository):
    code = "import sys; sys.modules['gradio'] = None; from hub_scripts.cli import main; main()"
    run = subprocess.run(
        [sys.executable, "-c", code, "demo"], cwd=repository, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 2
    assert run.stderr.startswith("error: gradio is not installed")
    assert run.stderr.strip().count("\n") == 0


def test_the_space_asks_for_what_the_project_asks_for(repository):
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = (repository / "spaces_demo" / "requirements.txt").read_text(encoding="utf-8").split()
    assert set(asked) <= set(project["dependencies"])
    pins = dict(line.split("==") for line in (repository / "constraints.txt").read_text(encoding="utf-8").split())
    front = (repository / "spaces_demo" / "README.md").read_text(encoding="utf-8").split("---")[1]
    assert f"sdk_version: {pins['gradio']}\n" in front
    assert "app_file: app.py\n" in front


def test_the_space_holds_what_it_runs(tiny, tmp_path):
    assemble(tmp_path / "space")
    top = {path.name for path in (tmp_path / "space").iterdir()}
    assert {"app.py", "README.md", "requirements.txt", "ecgscan_autoload.py", "examples", *PACKAGES} == top
    assemble(tmp_path / "whole", tiny)
    assert (tmp_path / "whole" / "ecgscan" / "config.json").read_bytes() == (tiny / "config.json").read_bytes()
    check_space(tmp_path / "whole", files_of(tmp_path / "whole"))
