"""The linear probe against closed forms and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub_scripts.linear_probe import Labelled, fit_logistic, linear_probe, probe_table
from hub_scripts.statistics import auroc, macro


def embedded(count: int, seed: int, noise: float = 1.0) -> Labelled:
    """Rows whose first and second dimension tell the two classes apart, among eight others of noise."""
    rng = np.random.default_rng(seed)
    truth = rng.random((count, 2)) < (0.5, 0.3)
    features = rng.normal(0, noise, (count, 10))
    features[:, :2] += truth
    return Labelled(features, truth)


@pytest.mark.parametrize("strength", [100.0, 1.0, 0.01])
def test_weights_are_those_of_scikit_learn(strength):
    from sklearn.linear_model import LogisticRegression

    data = embedded(300, seed=0)
    reference = LogisticRegression(C=1 / strength, tol=1e-10, max_iter=10_000)
    reference.fit(data.features, data.truth[:, 0])
    weights = fit_logistic(data.features, data.truth[:, 0], strength)
    assert weights[:-1] == pytest.approx(reference.coef_[0], abs=2e-4)
    assert weights[-1] == pytest.approx(reference.intercept_[0], abs=2e-4)


@given(st.integers(1, 30), st.integers(1, 30))
@settings(max_examples=25, deadline=None)
def test_features_that_say_nothing_leave_the_log_odds_of_the_class(positives, negatives):
    positive = np.repeat([True, False], [positives, negatives])
    weights = fit_logistic(np.zeros((len(positive), 3)), positive, 1.0)
    assert weights == pytest.approx([0, 0, 0, np.log(positives / negatives)], abs=1e-5)


@given(st.integers(0, 1000), st.floats(0.01, 100))
@settings(max_examples=20, deadline=None)
def test_the_gradient_vanishes_at_the_solution(seed, strength):
    data = embedded(60, seed)
    positive = data.truth[:, 0]
    weights = fit_logistic(data.features, positive, strength)
    share = 1 / (1 + np.exp(-(data.features @ weights[:-1] + weights[-1])))
    assert strength * weights[:-1] == pytest.approx(data.features.T @ (positive - share), abs=1e-2)
    assert share.mean() == pytest.approx(positive.mean(), abs=1e-4)


def test_two_points_have_the_solution_of_one_equation():
    # Symmetric points at +1 and -1: weight w solves 2 / (1 + exp(w)) = strength * w, here at w = 1.
    strength = 2 / (1 + np.e)
    weights = fit_logistic(np.array([[1.0], [-1.0]]), np.array([True, False]), strength)
    assert weights == pytest.approx([1.0, 0.0], abs=1e-5)


def test_the_strength_with_the_best_validation_is_chosen():
    train, validation = embedded(60, seed=1, noise=2.0), embedded(400, seed=2, noise=2.0)
    result = linear_probe(train, validation)
    values = {}
    for strength in (1e4, 1e2, 1.0, 1e-2):
        one = linear_probe(train, validation, strengths=[strength])
        values[strength] = one.validation_auroc
        assert one.strength == strength
    assert result.validation_auroc >= max(values.values()) - 1e-9
    scores = result.probe.scores(validation.features)
    assert result.validation_auroc == pytest.approx(macro(auroc, validation.truth, scores).value)


def test_scale_and_offset_of_the_features_do_not_matter():
    train, validation, test = (embedded(200, seed=seed) for seed in (1, 2, 3))
    stretch, offset = np.linspace(0.1, 50, 10), np.linspace(-100, 100, 10)

    def moved(data):
        return Labelled(data.features * stretch + offset, data.truth)

    plain, other = linear_probe(train, validation), linear_probe(moved(train), moved(validation))
    assert other.strength == plain.strength
    assert other.probe.scores(moved(test).features) == pytest.approx(plain.probe.scores(test.features), abs=1e-3)


def test_a_constant_dimension_does_no_harm():
    train = embedded(100, seed=1)
    train.features[:, 5] = 3.0
    probe = linear_probe(train, embedded(100, seed=2)).probe
    assert np.isfinite(probe.scores(train.features)).all()
    assert probe.weights[:, 5] == pytest.approx([0, 0], abs=1e-9)


def test_fractions_and_seeds_choose_rows_and_all_labels_are_fitted_once():
    table = probe_table(embedded(400, seed=1), embedded(200, seed=2), fractions=(0.05, 0.5, 1.0), seeds=(0, 1, 2))
    assert [(result.fraction, result.seed, result.rows) for result in table] == [
        *((0.05, seed, 20) for seed in range(3)),
        *((0.5, seed, 200) for seed in range(3)),
        (1.0, 0, 400),
    ]
    assert len({result.probe.mean[0] for result in table}) == 7
    again = linear_probe(embedded(400, seed=1), embedded(200, seed=2), fraction=0.05, seed=2)
    assert np.array_equal(again.probe.weights, table[2].probe.weights)


def test_classes_that_cannot_be_trained_are_named_and_score_the_same_everywhere():
    train, validation = embedded(100, seed=1), embedded(100, seed=2)
    train.truth[:, 1] = False
    result = linear_probe(train, validation)
    assert result.untrained == (1,)
    assert (result.probe.scores(validation.features)[:, 1] == 0).all()


def test_unusable_arguments_are_errors_that_say_what_is_expected():
    train, validation = embedded(50, seed=1), embedded(50, seed=2)
    with pytest.raises(ValueError, match="a fraction above 0 and at most 1, got 10"):
        linear_probe(train, validation, fraction=10)
    with pytest.raises(ValueError, match="no class has positives and negatives among 1 training rows"):
        linear_probe(train, validation, fraction=0.01)
    with pytest.raises(ValueError, match="a strength above 0, got 0"):
        fit_logistic(train.features, train.truth[:, 0], 0)
    with pytest.raises(ValueError, match="needs positives and negatives"):
        fit_logistic(train.features, np.ones(50, bool), 1.0)
    with pytest.raises(ValueError, match="with as many rows"):
        Labelled(train.features, train.truth[1:])
    with pytest.raises(ValueError, match="features must be finite"):
        Labelled(np.full((2, 2), np.nan), np.ones((2, 1), bool))
