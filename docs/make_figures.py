"""Writes the measured figures into the README, from what `ecgscan benchmark reading` wrote.

python docs/make_figures.py benchmarks/rendered/reading.json benchmarks/photos/reading.json
"""

import json
import sys
from pathlib import Path

from hub_scripts.model_card import kinds, replaced

README = Path(__file__).resolve().parent.parent / "README.md"
HEAD = (
    "| pages (`ecgscan benchmark reading`) | number | mean dB | median | 10th percentile | leads named right |\n"
    "|---|---|---|---|---|---|"
)


def table(files: list[Path]) -> str:
    """A row for every kind of page in every file; rows by layout stay in the JSON."""
    lines = [HEAD]
    for file in files:
        for kind, figures in kinds(json.loads(file.read_text(encoding="utf-8"))):
            decibels = " | ".join(f"{figures[name]:.1f}" for name in ("page_db", "median_db", "p10_db"))
            lines.append(f"| {kind} | {figures['pages']} | {decibels} | {figures['named']:.2f} |")
    return "\n".join(lines)


def main() -> None:
    text = README.read_text(encoding="utf-8")
    README.write_text(replaced(text, "figures", table(list(map(Path, sys.argv[1:])))), encoding="utf-8")


if __name__ == "__main__":
    main()
