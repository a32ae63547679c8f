"""Linear probe: how much a frozen embedding tells about each class, by L2-regularised logistic regression."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from .statistics import auroc, macro

FRACTIONS = (0.01, 0.1, 1.0)
SEEDS = (0, 1, 2)
# Weights of the penalty, from strong to weak: each fit starts from its stronger neighbour.
STRENGTHS = (1e4, 1e3, 1e2, 1e1, 1e0, 1e-1, 1e-2)


@dataclass(frozen=True)
class Labelled:
    """Embeddings and what is true of them: `features` (rows, dimensions), `truth` (rows, classes) bool."""

    features: np.ndarray
    truth: np.ndarray

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or self.truth.ndim != 2 or len(self.features) != len(self.truth):
            raise ValueError(
                "expected features (rows, dimensions) and truth (rows, classes) with as many rows, "
                f"got {self.features.shape} and {self.truth.shape}"
            )
        if not np.isfinite(self.features).all():
            raise ValueError("features must be finite; leave recordings without an embedding out")


@dataclass(frozen=True)
class Probe:
    """One logistic regression per class on standardised features.

    Attributes:
        mean, scale: (dimensions,) of the rows it was fitted on.
        weights: (classes, dimensions + 1), the intercept last.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Log odds (rows, classes) of features (rows, dimensions)."""
        return (features - self.mean) / self.scale @ self.weights[:, :-1].T + self.weights[:, -1]


@dataclass(frozen=True)
class ProbeResult:
    """A probe fitted on a part of the labels.

    Attributes:
        fraction, seed: which part of the training rows.
        rows: how many rows that is.
        strength: weight of the penalty, chosen on validation.
        validation_auroc: macro AUROC there, by which it was chosen.
        untrained: numbers of the classes of which the part holds no positive or no negative: their scores say nothing.
        probe: the regression.
    """

    fraction: float
    seed: int
    rows: int
    strength: float
    validation_auroc: float
    untrained: tuple[int, ...]
    probe: Probe


def fit_logistic(
    features: np.ndarray, positive: np.ndarray, strength: float, start: np.ndarray | None = None
) -> np.ndarray:
    """Weights that minimise summed log loss + strength / 2 x squared norm; the intercept is not penalised.

    Args:
        features: (rows, dimensions).
        positive: (rows,) bool, both values present.
        strength: above 0; scikit-learn's `C` is its inverse.
        start: (dimensions + 1,) to begin from.

    Returns:
        (dimensions + 1,), the intercept last.
    """
    if strength <= 0:
        raise ValueError(f"expected a strength above 0, got {strength}")
    positive = np.asarray(positive, bool)
    if positive.all() or not positive.any():
        raise ValueError("a logistic regression needs positives and negatives; leave such a class out")
    sign = np.where(positive, 1.0, -1.0)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (features @ weights[:-1] + weights[-1])
        pull = -sign * expit(-margin)
        value = np.logaddexp(0, -margin).sum() + strength / 2 * weights[:-1] @ weights[:-1]
        gradient = np.append(features.T @ pull + strength * weights[:-1], pull.sum())
        # The mean keeps the optimiser's tolerances the same for any number of rows.
        return value / len(sign), gradient / len(sign)

    if start is None:
        share = positive.mean()
        start = np.append(np.zeros(features.shape[1]), np.log(share / (1 - share)))
    return minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000, "ftol": 1e-12, "gtol": 1e-7}).x


def fit_path(data: Labelled, strengths: Sequence[float] = STRENGTHS) -> Iterator[tuple[float, Probe]]:
    """A probe for each strength, from strong to weak; classes without both kinds of rows get zeros."""
    mean = data.features.mean(axis=0)
    spread = data.features.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    standard = (data.features - mean) / scale
    trained = [number for number in range(data.truth.shape[1]) if _has_both(data.truth[:, number])]
    starts: dict[int, np.ndarray] = {}
    for strength in sorted(strengths, reverse=True):
        weights = np.zeros((data.truth.shape[1], standard.shape[1] + 1))
        for number in trained:
            starts[number] = fit_logistic(standard, data.truth[:, number], strength, starts.get(number))
            weights[number] = starts[number]
        yield strength, Probe(mean, scale, weights)


def linear_probe(
    train: Labelled,
    validation: Labelled,
    *,
    fraction: float = 1.0,
    seed: int = 0,
    strengths: Sequence[float] = STRENGTHS,
) -> ProbeResult:
    """Fits on a part of the training rows, with the strength that is best on validation; never sees test rows.

    Args:
        fraction: share of the training rows, at least one row; for one seed the smaller part lies in the larger.
        seed: which rows.
        strengths: to choose from; of equals the strongest.

    Raises:
        ValueError: the fraction is outside of (0, 1], or no class can be both trained and validated.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"expected a fraction above 0 and at most 1, got {fraction}")
    count = max(1, round(fraction * len(train.features)))
    chosen = np.random.default_rng(seed).permutation(len(train.features))[:count]
    part = Labelled(train.features[chosen], train.truth[chosen])
    untrained = tuple(number for number in range(part.truth.shape[1]) if not _has_both(part.truth[:, number]))
    best: tuple[float, float, Probe] | None = None
    for strength, probe in fit_path(part, strengths):
        value = macro(auroc, validation.truth, probe.scores(validation.features)).value
        if not np.isnan(value) and (best is None or value > best[0]):
            best = (value, strength, probe)
    if best is None or len(untrained) == part.truth.shape[1]:
        raise ValueError(
            f"no class has positives and negatives among {count} training rows and on validation; take more rows"
        )
    return ProbeResult(fraction, seed, count, best[1], best[0], untrained, best[2])


def probe_table(
    train: Labelled,
    validation: Labelled,
    *,
    fractions: Sequence[float] = FRACTIONS,
    seeds: Sequence[int] = SEEDS,
    strengths: Sequence[float] = STRENGTHS,
) -> list[ProbeResult]:
    """Probes for every fraction and seed; all of the labels are fitted once, for no seed changes them."""
    return [
        linear_probe(train, validation, fraction=fraction, seed=seed, strengths=strengths)
        for fraction in fractions
        for seed in (seeds if fraction < 1 else seeds[:1])
    ]


def _has_both(positive: np.ndarray) -> bool:
    return bool(positive.any() and not positive.all())
