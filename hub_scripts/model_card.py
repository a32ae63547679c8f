"""A model card's figures, from the JSON that `ecgscan benchmark reading` and `ecgscan evaluate` wrote.

python -m hub_scripts.model_card ecgscan benchmarks/reading/reading.json evaluation/evaluation.json
"""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .arguments import UsageError
from .loading import check_files, weights_revision

_DECIBELS = ("page_db", "median_db", "p10_db", "strict_db")
_READING_HEAD = (
    "| pages | number | mean dB | median | 10th percentile | strict dB | leads named right "
    "| strips placed, mm along time (median) |\n|---|---|---|---|---|---|---|---|"
)
_FRONT_MATTER = re.compile(r"---\n(.*?\n)---\n", re.S)
_MODEL_INDEX = re.compile(r"^model-index:\n(?:[ -].*\n)*", re.M)
_NEW_CARD = """---
library_name: transformers
pipeline_tag: image-feature-extraction
tags:
  - ecg
  - electrocardiogram
  - digitization
---

# {name}

Reads photos, scans and PDFs of 12-lead ECG pages into millivolts and embeddings. For research; not a medical device.

```python
from transformers import AutoModel, AutoProcessor

model = AutoModel.from_pretrained("{repo_id}", trust_remote_code=True).eval()
processor = AutoProcessor.from_pretrained("{repo_id}", trust_remote_code=True)
```
"""


def card_of(folder: Path, figures: Sequence[Path], repo_id: str) -> str:
    """The card of a checkpoint: its README.md, or a plain one where it has none, with the figures of the JSON files.

    Raises:
        UsageError: a file holds no figures, or those of other weights.
    """
    from .push_checks import front_matter

    path = folder / "README.md"
    if path.is_file():
        card = path.read_text(encoding="utf-8")
        front_matter(card, str(path))
    else:
        card = _NEW_CARD.format(name=repo_id.split("/")[-1], repo_id=repo_id)
    if not figures:
        return card
    revision = weights_revision(folder)
    return with_figures(card, [_document(file, revision) for file in figures])


def with_figures(card: str, documents: Sequence[dict[str, Any]]) -> str:
    """A card with its tables and its `model-index` written anew; all else stays as it was.

    Tables stand between `<!-- reading:start -->` and `<!-- reading:end -->`, `<!-- evaluation:start -->` and
    `<!-- evaluation:end -->`; a card without these gets them at its end.
    """
    readings = [document for document in documents if "summary" in document]
    evaluations = [document for document in documents if "probe" in document]
    if readings:
        card = replaced(card, "reading", reading_section(readings))
    if evaluations:
        card = replaced(card, "evaluation", "\n\n".join(map(evaluation_section, evaluations)))
    return _with_model_index(card, readings, evaluations)


def replaced(text: str, name: str, content: str) -> str:
    """A text with what stands between the two comments of that name replaced, or added at its end."""
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    if start not in text or end not in text:
        text = f"{text.rstrip()}\n\n## {name.capitalize()}\n\n{start}\n{end}\n"
    before, rest = text.split(start, 1)
    return f"{before}{start}\n{content}\n{end}{rest.split(end, 1)[1]}"


def kinds(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each kind of page of a `reading.json` in words, with its figures."""
    for kind in dict.fromkeys(page["kind"] for page in document["pages"]):
        yield kind.replace("_", " "), document["summary"][kind]


def reading_section(documents: Sequence[dict[str, Any]]) -> str:
    """Where the figures come from, and a row for every kind of page."""
    sources, lines = [], [_READING_HEAD]
    for document in documents:
        every = document["summary"]["all"]
        sources.append(
            f"{every['pages']} pages, rendered ones of recordings of {Path(document['data']).name} "
            f"(seed {document['seed']}), {100 * every['coverage']:.0f} in 100 of quality "
            f"{document['min_quality']:g} and more; weights {document['model']['revision']}"
        )
        for kind, figures in kinds(document):
            # geometry is known of rendered pages only
            rendered, placed = "x_median_mm" in figures, figures.get("x_median_mm")
            decibels = " | ".join(f"{figures[name]:.1f}" for name in _DECIBELS)
            lines.append(
                f"| {'rendered ' if rendered else ''}{kind} | {figures['pages']} | {decibels} "
                f"| {figures['named']:.2f} | {'' if placed is None else f'{placed:.3f}'} |"
            )
    return f"`ecgscan benchmark reading`: {'; '.join(sources)}.\n\n" + "\n".join(lines)


def evaluation_section(document: dict[str, Any]) -> str:
    """What `ecgscan evaluate` measured: probes as a table, prompts and retrieval as sentences."""
    from .evaluate import cell, representations

    tasks = document["probe"]
    among = document["recordings"]
    lines = [
        f"`ecgscan evaluate`: macro AUROC on {among['test']} recordings of linear probes fitted on {among['train']}, "
        f"95 % intervals over patients; printed is what a {document['layout']} page shows, image what was read from "
        f"{document['pages']} rendered pages ({', '.join(document['conditions'])}, seed {document['seed']}); "
        f"weights {document['model']['revision']}.",
        "",
        f"| features | {' | '.join(tasks)} |",
        f"|---|{'---|' * len(tasks)}",
    ]
    lines += [
        f"| {name} | {' | '.join(cell(task.get(name)) for task in tasks.values())} |"
        for name in representations(document)
    ]
    curves = "; ".join(filter(None, (learning_curve(task, found) for task, found in tasks.items())))
    if curves:
        lines += ["", f"What a page prints, by the share of the training labels (mean over draws): {curves}."]
    prompts = ", ".join(f"{name} {cell(figure)}" for name, figure in document["prompts"].items())
    names = ", ".join(f"{name} {cell(figure)}" for name, figure in document["names"].items())
    lines += [
        "",
        f"Superclasses by all wordings of their findings, averaged: {prompts}. By their names alone, which training "
        f"texts held: {names}.",
    ]
    for name, found in document.get("retrieval", {}).items():
        own = " and ".join(
            f"its own {'report' if what == 'text' else what} among {figures['among']} in "
            f"{100 * figures['r_at_1']:.0f} of 100 cases ({100 * figures['r_at_5']:.0f} among the nearest five)"
            for what, figures in found.items()
        )
        lines[-1] += f" A page ({name}) finds {own}."
    return "\n".join(lines)


def learning_curve(task: str, found: dict[str, Any]) -> str:
    """Macro AUROC of the probes of a task by how many of the labels they were fitted on; nothing of a single share."""
    by_share = found.get("signal, printed", {})
    points = [
        f"{np.mean([draw['auroc'] for draw in draws]):.3f} with {100 * float(share):g} %"
        for share, draws in sorted(by_share.items(), key=lambda item: float(item[0]))
        if all(draw["auroc"] is not None for draw in draws)
    ]
    return f"{task} {', '.join(points)}" if len(points) > 1 else ""


def _with_model_index(card: str, readings: Sequence[dict[str, Any]], evaluations: Sequence[dict[str, Any]]) -> str:
    from huggingface_hub.repocard_data import eval_results_to_model_index
    from huggingface_hub.utils import yaml_dump

    results = [*_reading_results(readings), *_probe_results(evaluations)]
    name = (*readings, *evaluations)[0]["model"]["name"]
    block = yaml_dump({"model-index": eval_results_to_model_index(name, results)}, sort_keys=False)
    opening, head, body = (
        re.split(r"^---\n", card, maxsplit=2, flags=re.M) if card.startswith("---\n") else ("", "", card)
    )
    return f"{opening}---\n{_MODEL_INDEX.sub('', head)}{block}---\n{body}"


def _reading_results(documents: Sequence[dict[str, Any]]) -> Iterator[Any]:
    from huggingface_hub import EvalResult

    for document in documents:
        for kind, figures in kinds(document):
            for metric, value in (("page_db", figures["page_db"]), ("named", figures["named"])):
                yield EvalResult(
                    task_type="ecg-digitization",
                    task_name="Reading ECG pages",
                    dataset_type="ecg-pages",
                    dataset_name=f"{kind}, {figures['pages']} pages",
                    metric_type=metric,
                    metric_name={"page_db": "mean signal-to-noise ratio, dB", "named": "leads named right"}[metric],
                    metric_value=round(value, 3),
                )


def _probe_results(documents: Sequence[dict[str, Any]]) -> Iterator[Any]:
    from huggingface_hub import EvalResult

    for document in documents:
        for task, found in document["probe"].items():
            for name in ("signal, 10 s", "signal, printed", *document.get("retrieval", {})):
                figure = found.get(name, {}).get("1", [{}])[0].get("auroc")
                if figure is not None:
                    yield EvalResult(
                        task_type="ecg-classification",
                        task_name=f"Linear probe, {task}",
                        dataset_type="ecg-recordings",
                        dataset_name=f"{found['recordings']} test recordings",
                        metric_type="roc_auc",
                        metric_name=f"macro AUROC, {name}",
                        metric_value=round(figure, 3),
                    )


def _document(file: Path, revision: str) -> dict[str, Any]:
    """The figures of one file, which must be those of the weights at hand."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        measured = document["model"]["revision"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file}: no figures of a model; give reading.json or evaluation.json") from error
    if not {"summary", "probe"} & set(document):
        raise UsageError(f"{file}: no figures of reading or of probes; give reading.json or evaluation.json")
    if measured != revision:
        raise UsageError(
            f"{file}: figures of the weights {measured}, the checkpoint holds {revision}; measure it again"
        )
    return document


def main(folder: str, *files: str) -> None:
    """Writes the figures into the README.md of a checkpoint."""
    place = Path(folder)
    check_files(place)
    card = card_of(place, [Path(file) for file in files], f"OWNER/{place.name}")
    (place / "README.md").write_text(card, encoding="utf-8")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (UsageError, OSError) as error:
        sys.exit(f"error: {error}")
