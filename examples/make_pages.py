"""Makes the example pages: one clean, one a photo of a turned, folded and shaded page; the same ones every time.

python examples/make_pages.py
"""

import csv
from pathlib import Path

from hub_scripts.render import INDEX_COLUMNS, index_row, write_rendered
from processing.records import write_wfdb
from processing.renderer import render
from processing.simulator import simulate

FOLDER = Path(__file__).resolve().parent
PAGES = (
    ("clean", {"seed": 11, "condition": "clean", "pixels_per_mm": 6.0}, {"seed": 101, "rhythm": "sinus_rhythm"}),
    (
        "photo",
        {"seed": 13, "condition": "photo", "pixels_per_mm": 8.0, "turn_deg": 11.0},
        {"seed": 202, "rhythm": "sinus_rhythm"},
    ),
)


def main() -> None:
    with (FOLDER / "index.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, INDEX_COLUMNS)
        writer.writeheader()
        for name, page_options, heart in PAGES:
            recording = simulate(**heart)
            page = render(recording, layout="3x4+1", rhythm=("II",), speed=25.0, gain=10.0, **page_options)
            truth = write_wfdb(recording, FOLDER / "truth", name)
            writer.writerow(
                index_row(page, write_rendered(page, FOLDER, name), f"truth/{truth.stem}", page_options["seed"])
            )


if __name__ == "__main__":
    main()
