"""Makes the README's picture: an example photo as it was read, beside the recording that was printed on it.

python docs/make_pictures.py
"""

import csv
import json
from pathlib import Path

import cv2

from hub_scripts.contact_sheet import Case, contact_sheet
from hub_scripts.loading import load_reader
from hub_scripts.scoring import score_page
from processing.pages import open_page
from processing.records import read_wfdb

DOCS = Path(__file__).resolve().parent
EXAMPLES = DOCS.parent / "examples"


def main() -> None:
    with (EXAMPLES / "index.csv").open(encoding="utf-8", newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["kind"] == "photo")
    image = open_page(EXAMPLES / row["file"]).image
    recording, printed = read_wfdb(EXAMPLES / row["truth"]), json.loads(row["printed"])
    reading, size = load_reader().read([image])[0]
    score = score_page(recording.signal, recording.sampling_rate, printed, reading.signal, 500.0)
    title = f"{row['file']}: {score.snr_db:.1f} dB   (right: the recording in black, what was read in red)"
    sheet = contact_sheet([Case(title, image, reading, size, recording, printed, score)])
    cv2.imwrite(str(DOCS / "reading.png"), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
