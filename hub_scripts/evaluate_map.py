"""A map of embeddings in two dimensions (t-SNE), coloured by diagnosis, pages beside recordings."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from .arguments import UsageError

_COLOURS = ("#0b6e4f", "#c1121f", "#e08e00", "#2a5bd7", "#8e44ad")
_SEVERAL = "#b8bcc4"
_PERPLEXITY = 30.0


def check_installed() -> None:
    """Raises UsageError where scikit-learn, which draws the map, is not installed."""
    if find_spec("sklearn") is None:
        raise UsageError('scikit-learn is not installed; `pip install -e ".[evaluate]"` brings it')


def map_of(embeddings: np.ndarray, *, seed: int) -> np.ndarray:
    """(rows, 2) places of (rows, dimensions) unit vectors, near ones near: t-SNE by cosine distance.

    Source: van der Maaten and Hinton, JMLR 9 (2008).
    """
    from sklearn.manifold import TSNE

    perplexity = min(_PERPLEXITY, (len(embeddings) - 1) / 3)
    method = TSNE(perplexity=perplexity, metric="cosine", init="random", random_state=seed)
    return method.fit_transform(np.asarray(embeddings, np.float32))


def draw_map(
    path: Path,
    signals: np.ndarray,
    truth: np.ndarray,
    classes: list[str],
    *,
    pages: dict[str, np.ndarray],
    seen: np.ndarray,
    seed: int,
) -> None:
    """Draws one map of recordings and of the pages rendered of some of them, and writes it as a PNG file.

    Args:
        signals: (recordings, dimensions) unit vectors.
        truth: (recordings, classes) bool; recordings of none are left out, those of several are grey.
        pages: (pages, dimensions) unit vectors by name, the same recordings in each.
        seen: (pages,) which recording each page shows.
    """
    from matplotlib.figure import Figure

    groups = _groups(truth)
    whole, *papers = np.split(
        map_of(np.concatenate([signals, *pages.values()]), seed=seed),
        len(signals) + len(seen) * np.arange(len(pages)),
    )
    panels = [(f"{len(signals)} recordings", whole, groups)]
    panels += [(f"{len(seen)} pages ({name})", paper, groups[seen]) for name, paper in zip(pages, papers, strict=True)]
    figure = Figure(figsize=(5.5 * len(panels), 5.2), layout="constrained")
    for axes, (title, points, group) in zip(
        figure.subplots(1, len(panels), sharex=True, sharey=True), panels, strict=True
    ):
        for number, name in ((len(classes), "several"), *enumerate(classes)):
            own = group == number
            colour = _SEVERAL if number == len(classes) else _COLOURS[number % len(_COLOURS)]
            axes.scatter(*points[own].T, s=12, color=colour, label=name, alpha=0.8, linewidths=0)
        axes.set_title(title)
        axes.set(xticks=[], yticks=[])
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(classes) + 1, frameon=False)
    figure.savefig(path, dpi=110)


def _groups(truth: np.ndarray) -> np.ndarray:
    """(rows,) the class of each row, the number of classes for several, -1 for none."""
    count = truth.sum(1)
    return np.where(count == 1, truth.argmax(1), np.where(count > 1, truth.shape[1], -1))
