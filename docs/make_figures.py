"""Writes the measured figures into the README, from what `ecgscan benchmark reading` wrote.

python docs/make_figures.py benchmarks/rendered/reading.json benchmarks/photos/reading.json
"""

import json
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"
START, END = "<!-- figures:start -->", "<!-- figures:end -->"
HEAD = (
    "| pages (`ecgscan benchmark reading`) | number | mean dB | median | 10th percentile | leads named right |\n"
    "|---|---|---|---|---|---|"
)


def table(files: list[Path]) -> str:
    """A row for every kind of page in every file; rows by layout stay in the JSON."""
    lines = [HEAD]
    for file in files:
        document = json.loads(file.read_text(encoding="utf-8"))
        kinds = dict.fromkeys(page["kind"] for page in document["pages"])
        for kind in kinds:
            figures = document["summary"][kind]
            decibels = " | ".join(f"{figures[name]:.1f}" for name in ("page_db", "median_db", "p10_db"))
            lines.append(f"| {kind.replace('_', ' ')} | {figures['pages']} | {decibels} | {figures['named']:.2f} |")
    return "\n".join(lines)


def main() -> None:
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(START)
    _, after = rest.split(END)
    README.write_text(f"{before}{START}\n{table(list(map(Path, sys.argv[1:])))}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
