"""Figures of an evaluation and how sure they are: areas under curves, bootstrap over patients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

Statistic = Callable[[np.ndarray], float]


def auroc(positive: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve: how often a positive scores above a negative, ties counting half.

    Args:
        positive: (rows,) bool.
        score: (rows,), higher for more likely.

    Returns:
        The area; NaN where positives or negatives are absent.
    """
    positive, score = _checked(positive, score, 1)
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    above = rankdata(score)[positive].sum() - n_positive * (n_positive + 1) / 2
    return float(above / (n_positive * n_negative))


def auprc(positive: np.ndarray, score: np.ndarray) -> float:
    """Average precision: precision at each threshold, weighted by the recall gained there.

    Args:
        positive: (rows,) bool.
        score: (rows,), higher for more likely; rows of equal score share a threshold.

    Returns:
        The area; NaN where positives are absent.
    """
    positive, score = _checked(positive, score, 1)
    if not positive.any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    last_of_ties = np.append(np.diff(score[order]) != 0, True)
    found = np.cumsum(positive[order])[last_of_ties]
    precision = found / (np.flatnonzero(last_of_ties) + 1)
    return float((precision * np.diff(found, prepend=0)).sum() / found[-1])


@dataclass(frozen=True)
class Macro:
    """A mean over classes.

    Attributes:
        value: mean over the classes for which the figure exists; NaN where there is none.
        by_class: each of those classes' own figure.
        absent: classes that were left out, by name.
    """

    value: float
    by_class: dict[str, float]
    absent: tuple[str, ...]


def macro(
    area: Callable[[np.ndarray, np.ndarray], float],
    truth: np.ndarray,
    scores: np.ndarray,
    names: Sequence[str] | None = None,
) -> Macro:
    """Mean of `auroc` or `auprc` over classes; classes that do not occur, or for `auroc` always do, are left out.

    Args:
        area: figure of one class.
        truth: (rows, classes) bool.
        scores: (rows, classes), higher for more likely.
        names: of the classes; their numbers when None.
    """
    truth, scores = _checked(truth, scores, 2)
    names = [str(number) for number in range(truth.shape[1])] if names is None else list(names)
    if len(names) != truth.shape[1]:
        raise ValueError(f"expected a name for each of {truth.shape[1]} classes, got {len(names)}")
    areas = {name: area(positive, score) for name, positive, score in zip(names, truth.T, scores.T, strict=True)}
    by_class = {name: value for name, value in areas.items() if not np.isnan(value)}
    value = float(np.mean(list(by_class.values()))) if by_class else float("nan")
    return Macro(value, by_class, tuple(name for name in names if name not in by_class))


def _checked(truth: np.ndarray, scores: np.ndarray, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    truth, scores = np.asarray(truth), np.asarray(scores, np.float64)
    if truth.shape != scores.shape or truth.ndim != dimensions:
        shape = "(rows,)" if dimensions == 1 else "(rows, classes)"
        raise ValueError(f"expected truth and scores of one shape {shape}, got {truth.shape} and {scores.shape}")
    if np.isnan(scores).any():
        raise ValueError("scores must not be NaN; leave such rows out of truth and scores")
    if not np.isin(truth, (0, 1)).all():
        raise ValueError("truth must be 0 or 1 everywhere; threshold likelihoods first")
    return truth.astype(bool), scores


@dataclass(frozen=True)
class Interval:
    """A figure and its percentile interval over resampled patients.

    Attributes:
        value: the figure of the data as they are.
        low, high: bounds of the interval.
        repeats: resamples that had a figure (were not NaN).
    """

    value: float
    low: float
    high: float
    repeats: int


@dataclass(frozen=True)
class Difference(Interval):
    """An `Interval` of `a - b`.

    Attributes:
        p: two-sided: twice the share of resamples on the rarer side of zero; no smaller than 2 / (repeats + 1).
    """

    p: float


def bootstrap(
    statistic: Statistic, patients: Sequence, *, repeats: int = 1000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Interval of a figure, patients drawn with replacement together with all of their rows.

    Args:
        statistic: figure of some rows, given by their numbers (any order, with repetitions); NaN where it has none.
        patients: (rows,) identifiers.
        level: share of resamples inside the interval.
    """
    drawn = _resampled(statistic, patients, repeats, seed)
    return Interval(statistic(np.arange(len(patients))), *_bounds(drawn, level), len(drawn))


def paired_bootstrap(
    a: Statistic, b: Statistic, patients: Sequence, *, repeats: int = 1000, level: float = 0.95, seed: int = 0
) -> Difference:
    """Interval of `a - b` for two figures on the same rows: each resample of patients serves both.

    Args:
        a, b, patients, level: as `bootstrap` takes them.
    """
    drawn = _resampled(lambda rows: a(rows) - b(rows), patients, repeats, seed)
    everything = np.arange(len(patients))
    rarer = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    p = min(1.0, 2 * (rarer + 1) / (len(drawn) + 1))
    return Difference(a(everything) - b(everything), *_bounds(drawn, level), len(drawn), p)


def _resampled(statistic: Statistic, patients: Sequence, repeats: int, seed: int) -> np.ndarray:
    """(resamples,) figures, without those that are NaN."""
    if repeats < 1 or not len(patients):
        raise ValueError(f"expected at least one row and one repeat, got {len(patients)} rows and {repeats} repeats")
    unknown = sum(patient is None or patient == "" or patient != patient for patient in patients)
    if unknown:
        raise ValueError(f"{unknown} rows have no patient; give each of them an identifier of its own")
    _, owner = np.unique(np.asarray(list(patients)), return_inverse=True)
    by_owner = np.argsort(owner, kind="stable")
    counts = np.bincount(owner)
    rows_of = np.split(by_owner, np.cumsum(counts)[:-1])
    rng = np.random.default_rng(seed)
    drawn = [
        statistic(np.concatenate([rows_of[patient] for patient in rng.integers(len(counts), size=len(counts))]))
        for _ in range(repeats)
    ]
    table = np.array(drawn)
    return table[~np.isnan(table)]


def _bounds(drawn: np.ndarray, level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise ValueError(f"expected a level between 0 and 1, got {level}")
    if not len(drawn):
        return float("nan"), float("nan")
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
