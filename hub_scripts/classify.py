"""`ecgscan classify`: findings of pages and recordings, or how well labels of the user's own fit them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from processing.pages import PageError, PageImage, open_pages
from processing.records import read_wfdb

from . import console
from .arguments import UsageError
from .loading import Reader, load_reader
from .read import expand, prepare_folder
from .results import findings_list, refuse_below

_SHOWN = 5


@dataclass
class Classified:
    """What was found on a page or in a recording: probability by name, or the reason why nothing was."""

    file: str
    page: int
    found: dict[str, float]
    reason: str | None = None


def classify_command(
    paths: list[Path], *, labels: tuple[str, ...], out: Path | None, min_quality: float | None, checkpoint: str | None
) -> int:
    """Classifies everything in `paths`, prints a table and, if asked, writes all probabilities; the exit code."""
    if out is not None:
        if out.is_dir():
            raise UsageError(f"{out}: is a folder; --out is the CSV file to write")
        prepare_folder(out.parent)
    records = [path for path in paths if path.suffix in (".hea", ".dat")]
    files, problems = expand([path for path in paths if path not in records])
    rows: list[Classified] = []
    if files or records:
        reader = load_reader(checkpoint)
        if not labels and not reader.model.config.findings:
            raise UsageError(f"{reader.name}: has no findings head; name what to look for with --labels")
        classifier = Classifier(reader, labels, min_quality)
        for path in records:
            try:
                rows.append(classifier.of_record(path))
            except ValueError as error:
                problems.append(str(error))
        for file in files:
            try:
                rows += [classifier.of_page(page) for page in open_pages(file)]
            except PageError as error:
                problems.append(str(error))
    for problem in problems:
        console.error_line(problem)
    if not rows:
        return 2
    _print(rows)
    if out is not None:
        _write(rows, out)
    return 2 if problems else 0


class Classifier:
    """Findings by the model's own head, or the share of each label among the given ones by the texts' embeddings."""

    def __init__(self, reader: Reader, labels: tuple[str, ...], min_quality: float | None):
        self.reader, self.labels = reader, labels
        self.min_quality = reader.min_quality if min_quality is None else min_quality
        self.texts = _text_features(reader, labels) if labels else None

    def of_page(self, page: PageImage) -> Classified:
        """Reads a page and says what it shows; nothing where it can't be read."""
        reading = refuse_below(self.reader.read([page.image])[0][0], self.min_quality)
        if not np.isfinite(reading.signal).any():
            return Classified(str(page.file), page.page, {}, reading.reason)
        return Classified(str(page.file), page.page, self.of_reading(reading))

    def of_reading(self, reading: Any) -> dict[str, float]:
        """What a reading shows that has a signal: probability by name."""
        if self.texts is None:
            return reading.findings
        values, weight = self.reader.model.signals_of([reading])
        return self._of_signal(values, weight > 0)

    def of_record(self, path: Path) -> Classified:
        """What a WFDB record shows."""
        recording = read_wfdb(path)
        batch = self.reader.processor.feature_extractor(
            recording.signal, sampling_rate=recording.sampling_rate, return_tensors="pt"
        ).to(self.reader.model.device)
        return Classified(str(path), 1, self._of_signal(batch["signal_values"], batch["signal_mask"]))

    def _of_signal(self, values: Any, weight: Any) -> dict[str, float]:
        import torch

        model = self.reader.model
        with torch.inference_mode():
            if self.texts is None:
                return model.findings_of(model.signal_model.encode(values, weight)[0])[0]
            cosines = model.get_signal_features(values, weight)[0] @ self.texts.T
            shares = (model.logit_scale.exp() * cosines).softmax(0)
        return dict(zip(self.labels, shares.tolist(), strict=True))


def _text_features(reader: Reader, labels: tuple[str, ...]) -> Any:
    import torch

    tokenizer = reader.processor.tokenizer
    tokens = tokenizer(list(labels), padding=True, truncation=True, return_tensors="pt")
    known = (~torch.isin(tokens["input_ids"], torch.tensor(tokenizer.all_special_ids))).any(1).tolist()
    strange = [label for label, told in zip(labels, known, strict=True) if not told]
    if strange:
        raise UsageError(
            f"label {strange[0]!r}: holds nothing that the texts of {reader.name} were written in; "
            "say it in Latin letters, English or German"
        )
    with torch.inference_mode():
        return reader.model.get_text_features(**tokens.to(reader.model.device))


def _print(rows: list[Classified]) -> None:
    table = Table("page", "findings")
    for row in rows:
        best = findings_list(row.found)[:_SHOWN]
        text = ", ".join(f"{item['name']} {item['probability']:.2f}" for item in best) or row.reason or ""
        table.add_row(row.file if row.page == 1 else f"{row.file} page {row.page}", text)
    console.out.print(table)


def _write(rows: list[Classified], out: Path) -> None:
    import csv

    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "page", "finding", "probability", "reason"])
        for row in rows:
            for item in findings_list(row.found) or [{"name": "", "probability": ""}]:
                writer.writerow([row.file, row.page, item["name"], item["probability"], row.reason or ""])
