"""What `ecgscan prepare` says about its result: report.json, dropped.csv, the dataset card, a table."""

import csv
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.table import Table

from processing.listings import Drop
from processing.prepared import REPORT, SPLITS

from . import console

# As their publishers state it; Parquet files and folders come without.
_LICENSES = {"ptbxl": "cc-by-4.0", "mimic-iv-ecg": "odbl", "challenge": "cc-by-4.0"}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))

_CARD = """---
{license}pretty_name: Twelve-lead ECG recordings with reports
size_categories:
- {size}
tags:
- ecg
- electrocardiogram
- medical
configs:
{configs}
---

# Twelve-lead ECG recordings with reports

{about}. Written by `ecgscan prepare`, schema version {schema}.

{splits}

{examples}

| column | meaning |
|---|---|
| `record_id`, `patient_id` | the archive's; no patient is in two splits |
| `signal` | little-endian int16 microvolts, lead after lead |
| `leads` | their names, in the standard order I II III aVR aVL aVF V1-V6; leads with unknown samples are left out |
| `n_samples`, `sampling_rate` | samples per lead, hertz |
| `report` | as recorded, or empty |
| `labels` | what is known about it, in English where the archive's codes have a name |
| `age`, `sex` | years (90: 90 or older), `male` or `female`; null or empty where unknown |
| `split` | `train`, `validation` or `test` |
| `image` | the page that shows it, where the archive has one, else null |

Recordings with leads missing: {with_leads_missing}; with their page: {with_page}. Left out, of {all}:

| reason | number |
|---|---|
{dropped}

For research; not for diagnosis. The terms of the archive hold for this copy too.
"""

_RECORDINGS_EXAMPLE = """```python
import numpy as np
from datasets import load_dataset

row = next(iter(load_dataset({folder!r}, split={first!r}, streaming=True)))
millivolts = np.frombuffer(row["signal"], "<i2").reshape(len(row["leads"]), row["n_samples"]) / 1000
```"""
_PAGES_EXAMPLE = """The configuration `pages` has pages of unknown signal; `signal` and `sampling_rate` are null:

```python
from datasets import load_dataset

row = next(iter(load_dataset({folder!r}, "pages", split={first!r}, streaming=True)))
print(row["image"].size, row["report"], row["labels"])
```"""


def write_report(out: Path, report: dict[str, Any], drops: list[Drop]) -> None:
    """Writes `dropped.csv`, the card and, last, `report.json`, which says that the folder is whole."""
    with (out / "dropped.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("record_id", "reason", "sentence"))
        writer.writerows((drop.record_id, drop.reason, drop.sentence) for drop in drops)
    if report["written"] or report["pages"]:
        (out / "README.md").write_text(card(report, out.name), encoding="utf-8")
    part = out / f"{REPORT}.part"
    part.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(part, out / REPORT)


def card(report: dict[str, Any], folder: str) -> str:
    """The dataset card of a folder with rows, with the `configs:` by which `load_dataset` finds the splits."""
    source = report["source"]
    kinds = [
        ("default", "data", report["written"], _RECORDINGS_EXAMPLE),
        ("pages", "pages", report["pages"], _PAGES_EXAMPLE),
    ]
    kinds = [kind for kind in kinds if kind[2]]
    rows = sum(count for _, _, written, _ in kinds for count in written.values())
    header, *table = _splits(report)
    return _CARD.format(
        license=f"license: {_LICENSES[source]}\n" if source in _LICENSES else "",
        size=next((name for most, name in _SIZES if rows < most), "1M<n<10M"),
        configs="\n".join(_config(name, place, written) for name, place, written, _ in kinds),
        about=report["about"],
        schema=report["schema"],
        splits="\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *table)),
        examples="\n\n".join(
            example.format(folder=folder, first=next(iter(written))) for _, _, written, example in kinds
        ),
        with_page=report["with_page"],
        with_leads_missing=report["with_leads_missing"],
        all=rows + sum(report["dropped"].values()),
        dropped="\n".join(f"| {reason} | {count} |" for reason, count in report["dropped"].items()) or "| none | 0 |",
    )


def _config(name: str, place: str, splits: Iterable[str]) -> str:
    files = "\n".join(f'  - split: {split}\n    path: "{place}/{split}-*.parquet"' for split in splits)
    return f"- config_name: {name}\n  data_files:\n{files}"


def _splits(report: dict[str, Any]) -> list[list[str]]:
    """What each split holds, under a header; pages without a signal where there are any."""
    columns = {
        "recordings": report["written"],
        "pages without a signal": report["pages"],
        "patients": report["patients"],
    }
    columns = {name: counts for name, counts in columns.items() if counts or name == "recordings"}
    rows = [[split, *(str(counts.get(split, 0)) for counts in columns.values())] for split in SPLITS]
    return [["split", *columns], *(row for row in rows if row[0] in report["patients"])]


def print_report(out: Path, report: dict[str, Any], kept: int) -> None:
    """A table of what was written and left out, with a sentence for each reason."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    (_, *names), *splits = _splits(report)
    for name in ("", *names):
        table.add_column(name, justify="right" if name else "left")
    for row in splits:
        table.add_row(*row)
    for reason, count in report["dropped"].items():
        table.add_row(f"left out: {reason}", str(count), style="yellow")
    console.out.print(table)
    for reason in report["dropped"]:
        console.error_line(report["examples"][reason])
    if kept:
        console.out.print(f"{kept} shards were written by an earlier run and kept")
    folders = [place for place, rows in (("data/", report["written"]), ("pages/", report["pages"])) if rows]
    if folders:
        console.out.print(f"{out.as_posix()}: README.md, {REPORT}, dropped.csv, {', '.join(folders)}", markup=False)
    else:
        console.error_line(f"no recording could be written; {(out / 'dropped.csv').as_posix()} says why")
