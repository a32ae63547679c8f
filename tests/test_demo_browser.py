"""The demonstration in a real browser: what a person does there, on one server with the shipped checkpoint."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from importlib.util import find_spec
from urllib.request import urlopen

import numpy as np
import pytest
from bad_files import BAD_FILES
from PIL import Image

from processing.leads import LEADS
from processing.records import read_wfdb

if find_spec("gradio") is None:
    pytest.skip("gradio is not installed (extra `demo`)", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `dev`)")

pytestmark = pytest.mark.slow

_QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
_PATIENCE_MS = 240_000


@pytest.fixture(scope="module")
def url(checkpoint, tmp_path_factory):
    """A running server."""
    from spaces_demo.interface import build, launch_options
    from spaces_demo.service import Service

    before = os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = str(tmp_path_factory.mktemp("gradio"))
    page = build(Service(str(checkpoint)))
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    yield url
    page.close()
    if before is None:
        del os.environ["GRADIO_TEMP_DIR"]
    else:
        os.environ["GRADIO_TEMP_DIR"] = before


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def troubles() -> list[str]:
    """Errors on the console and requests to other hosts, of all tests."""
    return []


@pytest.fixture(scope="module")
def tab(browser, url, troubles):
    """The page in a tab of the browser."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.set_default_timeout(60_000)
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    tab.on("console", lambda line: troubles.append(line.text) if line.type == "error" else None)
    tab.on("request", lambda request: None if _is_local(request.url, url) else troubles.append(request.url))
    tab.goto(url)
    tab.wait_for_selector("#page-file input[type=file]", state="attached")
    return tab


@pytest.fixture(scope="module")
def read(tab, repository):
    """The same, after an example page was given and read."""
    tab.set_input_files("#page-file input[type=file]", repository / "examples" / "clean.png")
    tab.wait_for_selector("#summary .working", state="attached")
    tab.wait_for_selector("#leads svg.paper", timeout=_PATIENCE_MS)
    return tab


def _is_local(address: str, url: str) -> bool:
    return address.startswith((url, "data:", "blob:"))


def _width_beyond(tab) -> int:
    return tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def test_a_page_gives_twelve_leads_measurements_and_findings(read):
    drawn = read.locator("#leads svg.paper [data-lead]").evaluate_all("rows => rows.map(row => row.dataset.lead)")
    assert drawn == list(LEADS)
    assert read.locator("#leads path.printed").count() == 12
    # all but the rhythm strip, which may lack its last moments
    assert read.locator("#leads path.inferred").count() in (11, 12)
    tiles = read.locator("#summary .tiles").inner_text()
    assert re.search(r"Heart rate\s+\d+ bpm", tiles)
    assert "3x4+1" in read.locator("#summary .facts").inner_text()
    assert "sinus rhythm" in read.locator("#findings .bars").first.inner_text()
    assert read.locator("#similar li").count() == 3
    assert "Simulated" in read.locator("#similar").inner_text()


def test_the_downloaded_record_opens_and_is_the_one_that_was_printed(read, tmp_path, repository):
    with read.expect_download() as waiting:
        read.click("#get-wfdb")
    waiting.value.save_as(tmp_path / "record.zip")
    with zipfile.ZipFile(tmp_path / "record.zip") as archive:
        archive.extractall(tmp_path)
    found, truth = read_wfdb(tmp_path / "clean.hea"), read_wfdb(repository / "examples" / "truth" / "clean.hea")
    assert found.sampling_rate == 500
    known = np.isfinite(found.signal)
    assert np.corrcoef(found.signal[known], truth.signal[:, : found.signal.shape[1]][known])[0, 1] > 0.9


def test_labels_in_words_are_compared(read):
    read.fill("#results textarea, #results input[type=text]", "sinus rhythm, ventricular tachycardia")
    read.click("#compare")
    read.wait_for_selector("#compared .bars li")
    bars = read.locator("#compared .bars").inner_text()
    assert "ventricular tachycardia" in bars
    shares = [int(share) for share in re.findall(r"(\d+) %", bars)]
    assert 98 <= sum(shares) <= 102


def test_all_twelve_leads_are_seen_without_moving_the_paper_until_it_is_zoomed(read):
    window = read.locator("#leads .window")
    hidden = "view => view.scrollHeight - view.clientHeight"
    assert window.evaluate(hidden) == 0
    read.click("[data-zoom=in]")
    assert window.evaluate(hidden) > 0
    read.click("[data-zoom=out]")
    assert window.evaluate(hidden) == 0
    assert "clean.png" in read.locator("#summary .banner").inner_text()


def test_the_paper_is_zoomed_and_moved_by_keyboard(read):
    svg, window = read.locator("#leads svg.paper"), read.locator("#leads .window")
    window.focus()
    before = svg.bounding_box()["width"]
    read.keyboard.press("+")
    assert svg.bounding_box()["width"] == pytest.approx(1.3 * before, rel=0.01)
    read.keyboard.press("1")
    millimetres = float(svg.get_attribute("data-mm"))
    assert svg.bounding_box()["width"] == pytest.approx(max(millimetres * 96 / 25.4, before), rel=0.02)
    read.keyboard.press("0")
    assert svg.bounding_box()["width"] == pytest.approx(before, rel=0.02)


def test_the_page_is_shown_with_what_was_found_on_it(read):
    read.get_by_role("tab", name="On the page").click()
    picture = read.wait_for_selector("#picture img")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 1000
    read.get_by_role("tab", name="Twelve leads").click()


def test_a_phone_needs_no_scrolling_sideways(read):
    read.set_viewport_size({"width": 390, "height": 844})
    read.wait_for_timeout(500)
    assert _width_beyond(read) <= 0
    read.set_viewport_size({"width": 1280, "height": 900})


def test_dark_mode_darkens_the_paper(browser, url):
    tab = browser.new_page()
    tab.goto(f"{url}?__theme=dark")
    tab.wait_for_selector("#page-file", timeout=60_000)
    sheet = tab.evaluate("getComputedStyle(document.querySelector('.intro')).getPropertyValue('--sheet').trim()")
    assert sheet == "#14181f"
    tab.close()


def test_a_wrong_file_is_a_sentence_and_the_next_page_can_be_given(tab, tmp_path):
    BAD_FILES["text.jpg"][0](tmp_path / "text.jpg")
    tab.set_input_files("#page-file input[type=file]", tmp_path / "text.jpg")
    alert = tab.wait_for_selector("#summary [role=alert]")
    assert "text.jpg: not an image or a PDF that can be read" in alert.inner_text()
    assert not tab.is_visible("#results")
    tab.wait_for_selector("#page-file input[type=file]", state="attached")


def test_a_page_without_an_ecg_leaves_no_empty_headings(tab, tmp_path):
    Image.new("RGB", (800, 600), "white").save(tmp_path / "blank.png")
    tab.set_input_files("#page-file input[type=file]", tmp_path / "blank.png")
    tab.wait_for_selector("#summary .banner.no_ecg", timeout=_PATIENCE_MS)
    assert tab.is_visible("#leads") and tab.is_enabled("#get-json")
    assert not tab.is_visible("#findings") and not tab.is_visible("#similar") and not tab.is_enabled("#get-wfdb")


def test_a_tab_that_is_closed_while_its_page_is_read_stops_nobody_else(browser, tab, url, repository):
    closed = browser.new_page()
    closed.goto(url)
    closed.set_input_files("#page-file input[type=file]", repository / "examples" / "photo.jpg")
    closed.wait_for_selector("#summary .working", state="attached")
    closed.close()
    tab.click("#examples button >> nth=0")
    tab.wait_for_selector("#summary .banner.read", timeout=_PATIENCE_MS)


def test_a_picture_is_pasted(tab):
    tab.evaluate(
        """() => {
            const given = new DataTransfer();
            given.items.add(new File(["no picture"], "pasted.png", {type: "image/png"}));
            document.dispatchEvent(new ClipboardEvent("paste", {clipboardData: given, bubbles: true}));
        }"""
    )
    tab.wait_for_function("document.querySelector('#summary').innerText.includes('pasted.png: ')")
    tab.wait_for_selector("#page-file input[type=file]", state="attached")


def test_many_files_give_a_table_that_names_the_bad_ones_and_a_zip(tab, tmp_path, repository):
    with zipfile.ZipFile(tmp_path / "pages.zip", "w") as archive:
        archive.write(repository / "examples" / "clean.png", "inside.png")
    (tmp_path / "program.jpg").write_bytes(b"MZ\x90\x00")
    tab.get_by_role("tab", name="Many pages").click()
    tab.set_input_files("#batch-files input[type=file]", [tmp_path / "program.jpg", tmp_path / "pages.zip"])
    tab.wait_for_selector("#batch-files :text('pages')")
    tab.click("#batch-start")
    tab.wait_for_selector("#batch-download", timeout=_PATIENCE_MS)
    table = tab.locator("#batch-table").inner_text()
    assert "program.jpg: not an image" in table
    assert "inside.png" in table
    with tab.expect_download() as waiting:
        tab.click("#batch-download")
    waiting.value.save_as(tmp_path / "results.zip")
    names = set(zipfile.ZipFile(tmp_path / "results.zip").namelist())
    assert {"summary.csv", "inside.hea", "inside.dat", "inside.csv", "inside.json", "inside.png"} <= names


def test_programs_reach_it_by_name(url, tmp_path):
    from gradio_client import Client, handle_file

    client = Client(url, verbose=False)
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == {"/read", "/labels", "/batch"}
    (tmp_path / "text.png").write_text("no picture")
    document, *_ = client.predict(handle_file(str(tmp_path / "text.png")), api_name="/read")
    assert document["status"] == "error"
    assert document["reason"].startswith("text.png: ")
    document, *_ = client.predict(handle_file(str(tmp_path / "text.png")), "sequential", None, api_name="/read")
    assert document["reason"].startswith("text.png: ")
    assert "read a page first" in client.predict("a, b", api_name="/labels")


def test_nothing_went_wrong_on_the_console_and_no_other_host_was_asked(read, troubles):
    assert troubles == []


def test_the_space_starts_without_the_package(tiny, tmp_path):
    from spaces_demo.assemble import assemble

    assemble(tmp_path / "space")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "ECGSCAN_MODEL": str(tiny), "GRADIO_SERVER_PORT": str(port)}
    log = tmp_path / "log"
    with log.open("w") as output:
        space = subprocess.Popen(
            [sys.executable, "app.py"], cwd=tmp_path / "space", env=environment, stdout=output, stderr=output
        )
    try:
        while "is open" not in log.read_text():
            assert space.poll() is None, log.read_text()
            time.sleep(0.5)
        assert b"ECG-Scan" in urlopen(f"http://127.0.0.1:{port}").read()
    finally:
        space.terminate()
        space.wait(30)
