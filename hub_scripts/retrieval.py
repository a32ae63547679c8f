"""Retrieval: whether what belongs to a page is the nearest to it, and whether anything lies near to all pages."""

from collections.abc import Iterable

import numpy as np
from scipy.stats import skew

from processing.records import Recording
from processing.triplets import SUPERCLASS_PHRASES

_AMONG = 10  # nearest candidates of a page that count for the skewness


def ranks(similarity: np.ndarray, own: np.ndarray) -> np.ndarray:
    """(pages,) how many candidates are as near to each page as its own, or nearer.

    Args:
        similarity: (pages, candidates), higher for nearer.
        own: (pages,) number of each page's own candidate.
    """
    return (similarity >= similarity[np.arange(len(own)), own][:, None]).sum(1) - 1


def recalls(similarity: np.ndarray, own: np.ndarray) -> dict[str, float]:
    """Share of pages whose own candidate is the nearest, or among the five nearest; arguments as for `ranks`."""
    rank = ranks(similarity, own)
    return {
        "among": similarity.shape[1],
        "r_at_1": float((rank < 1).mean()),
        "r_at_5": float((rank < 5).mean()),
    }


def hubs(similarity: np.ndarray) -> dict[str, float]:
    """What share of pages (pages, candidates) one candidate attracts as the nearest at most, and the skewness over
    candidates of how often each is among the ten nearest: 0 where all are near as often, high where few are to most.

    Source: Radovanović, Nanopoulos and Ivanović, JMLR 11 (2010).
    """
    candidates = similarity.shape[1]
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :_AMONG]
    first, among = (np.bincount(part.ravel(), minlength=candidates) for part in (nearest[:, 0], nearest))
    uneven = float(skew(among)) if among.std() else 0.0
    return {"largest_share": float(first.max() / len(similarity)), "skewness": uneven}


def own_text(recording: Recording) -> str:
    """A recording's report, or where it has none its labels in words."""
    said = recording.report or ", ".join(SUPERCLASS_PHRASES.get(label, label) for label in recording.labels)
    return " ".join(said.split()) or "electrocardiogram"


def distinct_texts(recordings: Iterable[Recording]) -> tuple[list[str], np.ndarray]:
    """The texts of recordings, each once, and the (recordings,) number of each one's own."""
    said = [own_text(recording) for recording in recordings]
    numbers = {text: number for number, text in enumerate(dict.fromkeys(said))}
    return list(numbers), np.array([numbers[text] for text in said])
