"""Makes the README's pictures: an example photo as it was read, and the demonstration in a browser (needs `chromium`).

python docs/make_pictures.py
"""

import csv
import json
import shutil
from pathlib import Path

import cv2
from playwright.sync_api import sync_playwright

from hub_scripts.contact_sheet import Case, contact_sheet
from hub_scripts.loading import load_reader
from hub_scripts.scoring import score_page
from processing.pages import open_page
from processing.records import read_wfdb
from spaces_demo.interface import build, launch_options
from spaces_demo.service import Service

DOCS = Path(__file__).resolve().parent
EXAMPLES = DOCS.parent / "examples"
_BROWSER = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
_PATIENCE_MS = 240_000


def picture_of_reading(row: dict[str, str]) -> None:
    """`reading.png`: the photo, what was read from it, and the recording that was printed."""
    image = open_page(EXAMPLES / row["file"]).image
    recording, printed = read_wfdb(EXAMPLES / row["truth"]), json.loads(row["printed"])
    reading, size = load_reader().read([image])[0]
    score = score_page(recording.signal, recording.sampling_rate, printed, reading.signal, 500.0)
    title = f"{row['file']}: {score.snr_db:.1f} dB   (right: the recording in black, what was read in red)"
    sheet = contact_sheet([Case(title, image, reading, size, recording, printed, score)])
    cv2.imwrite(str(DOCS / "reading.png"), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


def picture_of_demo(row: dict[str, str]) -> None:
    """`demo.png`: the same photo in the browser, options open."""
    page = build(Service(None))
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_BROWSER)
        tab = browser.new_page(viewport={"width": 1180, "height": 1120})
        tab.goto(url)
        tab.wait_for_selector("#page-file input[type=file]", state="attached")
        tab.get_by_text("Options", exact=True).click()
        tab.set_input_files("#page-file input[type=file]", EXAMPLES / row["file"])
        tab.wait_for_selector("#leads svg.paper", timeout=_PATIENCE_MS)
        tab.wait_for_selector("#similar li", timeout=_PATIENCE_MS)
        tab.screenshot(path=DOCS / "demo.png")
        browser.close()
    page.close()


def main() -> None:
    with (EXAMPLES / "index.csv").open(encoding="utf-8", newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["kind"] == "photo")
    picture_of_reading(row)
    picture_of_demo(row)


if __name__ == "__main__":
    main()
