"""What `ecgscan prepare` says about its result: report.json, dropped.csv, the dataset card, a table."""

import csv
import json
import os
from pathlib import Path
from typing import Any

from rich.table import Table

from processing.archives import Drop
from processing.prepared import REPORT

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
- config_name: default
  data_files:
{data_files}
---

# Twelve-lead ECG recordings with reports

{about}. Written by `ecgscan prepare`, schema version {schema}.

| split | recordings | patients |
|---|---|---|
{splits}

```python
import numpy as np
from datasets import load_dataset

row = next(iter(load_dataset({folder!r}, split={first!r}, streaming=True)))
millivolts = np.frombuffer(row["signal"], "<i2").reshape(len(row["leads"]), row["n_samples"]) / 1000
```

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

Recordings with leads missing: {with_leads_missing}. Left out, of {all}:

| reason | number |
|---|---|
{dropped}

For research; not for diagnosis. The terms of the archive hold for this copy too.
"""


def write_report(out: Path, report: dict[str, Any], drops: list[Drop]) -> None:
    """Writes `dropped.csv`, the card and, last, `report.json`, which says that the folder is whole."""
    with (out / "dropped.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("record_id", "reason", "sentence"))
        writer.writerows((drop.record_id, drop.reason, drop.sentence) for drop in drops)
    if report["written"]:
        (out / "README.md").write_text(card(report, out.name), encoding="utf-8")
    part = out / f"{REPORT}.part"
    part.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(part, out / REPORT)


def card(report: dict[str, Any], folder: str) -> str:
    """The dataset card of a folder with rows, with the `configs:` by which `load_dataset` finds the splits."""
    written, source = report["written"], report["source"]
    rows = sum(written.values())
    files = "\n".join(f'  - split: {split}\n    path: "data/{split}-*.parquet"' for split in written)
    return _CARD.format(
        license=f"license: {_LICENSES[source]}\n" if source in _LICENSES else "",
        size=next((name for most, name in _SIZES if rows < most), "1M<n<10M"),
        data_files=files,
        about=report["about"],
        schema=report["schema"],
        splits="\n".join(f"| {split} | {count} | {report['patients'][split]} |" for split, count in written.items()),
        folder=folder,
        first=next(iter(written)),
        with_leads_missing=report["with_leads_missing"],
        all=rows + sum(report["dropped"].values()),
        dropped="\n".join(f"| {reason} | {count} |" for reason, count in report["dropped"].items()) or "| none | 0 |",
    )


def print_report(out: Path, report: dict[str, Any], kept: int) -> None:
    """A table of what was written and left out, with a sentence for each reason."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("", "recordings", "patients"):
        table.add_column(name, justify="right" if name else "left")
    for split, count in report["written"].items():
        table.add_row(split, str(count), str(report["patients"][split]))
    for reason, count in report["dropped"].items():
        table.add_row(f"left out: {reason}", str(count), "", style="yellow")
    console.out.print(table)
    for reason in report["dropped"]:
        console.error_line(report["examples"][reason])
    if kept:
        console.out.print(f"{kept} shards were written by an earlier run and kept")
    if report["written"]:
        console.out.print(f"{out.as_posix()}: README.md, {REPORT}, dropped.csv, data/", markup=False)
    else:
        console.error_line(f"no recording could be written; {(out / 'dropped.csv').as_posix()} says why")
