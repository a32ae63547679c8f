"""Areas under curves and bootstrap intervals against closed forms and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub_scripts.statistics import auprc, auroc, bootstrap, macro, paired_bootstrap

rows = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=40)


def split(pairs) -> tuple[np.ndarray, np.ndarray]:
    return np.array([flag for flag, _ in pairs]), np.array([float(score) for _, score in pairs])


@given(rows)
@settings(max_examples=60, deadline=None)
def test_areas_are_those_of_scikit_learn_with_ties(pairs):
    from sklearn.metrics import average_precision_score, roc_auc_score

    positive, score = split(pairs)
    if positive.any():
        assert auprc(positive, score) == pytest.approx(average_precision_score(positive, score))
        if not positive.all():
            assert auroc(positive, score) == pytest.approx(roc_auc_score(positive, score))


@given(rows)
@settings(max_examples=60, deadline=None)
def test_turning_the_scores_round_turns_the_roc_area_round(pairs):
    positive, score = split(pairs)
    if positive.any() and not positive.all():
        assert auroc(positive, -score) == pytest.approx(1 - auroc(positive, score))
        assert auroc(positive, np.exp(score)) == pytest.approx(auroc(positive, score))


def test_areas_of_four_rows_are_those_on_paper():
    positive, score = np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1])
    assert auroc(positive, score) == pytest.approx(3 / 4)
    assert auprc(positive, score) == pytest.approx((1 + 2 / 3) / 2)


def test_scores_that_say_nothing_have_half_the_area_and_the_share_of_positives_as_precision():
    positive, score = np.array([1, 0, 0, 1, 0]), np.zeros(5)
    assert auroc(positive, score) == pytest.approx(0.5)
    assert auprc(positive, score) == pytest.approx(0.4)


def test_classes_that_do_not_occur_are_left_out_of_the_mean_and_named():
    truth = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 1], [0, 0, 1]])
    scores = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.3], [0.7, 0.3, 0.1], [0.1, 0.4, 0.2]])
    result = macro(auroc, truth, scores, ["MI", "CD", "NORM"])
    assert result.value == pytest.approx(0.75)
    assert result.by_class == {"MI": pytest.approx(0.75)}
    assert result.absent == ("CD", "NORM")
    assert macro(auprc, truth, scores).absent == ("1",)
    assert macro(auprc, truth, scores).by_class["2"] == pytest.approx(1.0)
    assert np.isnan(macro(auroc, truth[:, 1:], scores[:, 1:]).value)


@pytest.mark.parametrize(
    ("truth", "scores", "message"),
    [
        (np.zeros((3, 2)), np.zeros((3, 4)), r"one shape \(rows, classes\), got \(3, 2\) and \(3, 4\)"),
        (np.zeros(3), np.zeros(3), r"one shape \(rows, classes\)"),
        (np.zeros((3, 2)), np.full((3, 2), np.nan), "scores must not be NaN"),
        (np.full((3, 2), 0.5), np.zeros((3, 2)), "truth must be 0 or 1"),
    ],
)
def test_unusable_truth_and_scores_are_errors_that_say_why(truth, scores, message):
    with pytest.raises(ValueError, match=message):
        macro(auroc, truth, scores)


def test_names_must_be_as_many_as_classes():
    with pytest.raises(ValueError, match="expected a name for each of 2 classes, got 1"):
        macro(auroc, np.zeros((3, 2)), np.zeros((3, 2)), ["MI"])


def test_the_interval_of_a_mean_is_that_of_the_central_limit():
    values = np.random.default_rng(0).normal(0, 1, 1000)
    interval = bootstrap(lambda rows: values[rows].mean(), range(1000), repeats=2000, seed=1)
    assert interval.value == pytest.approx(values.mean())
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std() / 1000**0.5, rel=0.06)
    assert interval.low < interval.value < interval.high
    assert interval.repeats == 2000


def test_rows_of_one_patient_are_drawn_together():
    values = np.random.default_rng(0).normal(0, 1, 100)
    once = bootstrap(lambda rows: values[rows].mean(), range(100), seed=3)
    # Nine copies of every row tell nothing new, as long as copies go with their patient.
    many = np.repeat(values, 9)
    copies = bootstrap(lambda rows: many[rows].mean(), np.repeat(np.arange(100), 9), seed=3)
    loose = bootstrap(lambda rows: many[rows].mean(), range(900), seed=3)
    assert (copies.low, copies.high) == pytest.approx((once.low, once.high))
    assert loose.high - loose.low == pytest.approx((once.high - once.low) / 3, rel=0.15)


@given(st.lists(st.sampled_from("abcde"), min_size=1, max_size=20), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_a_resample_holds_as_many_patients_and_each_with_all_rows(patients, seed):
    owner = np.array(patients)
    count = {name: patients.count(name) for name in set(patients)}

    def whole_patients(rows):
        drawn = {name: int((owner[rows] == name).sum()) for name in count}
        assert all(drawn[name] % count[name] == 0 for name in count)
        assert sum(drawn[name] // count[name] for name in count) == len(count)
        return 0.0

    bootstrap(whole_patients, patients, repeats=20, seed=seed)


def test_the_same_seed_gives_the_same_interval():
    values = np.arange(30.0)
    first, again, other = (
        bootstrap(lambda rows: values[rows].mean(), range(30), repeats=50, seed=seed) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_resamples_without_a_figure_are_left_out_and_counted():
    positive, score = np.array([1, 0, 0, 0]), np.array([0.9, 0.1, 0.2, 0.3])
    interval = bootstrap(lambda rows: auroc(positive[rows], score[rows]), "abcd", repeats=400)
    # No positive is drawn with probability (3/4)^4, no negative with (1/4)^4.
    assert interval.repeats / 400 == pytest.approx(1 - (3 / 4) ** 4 - (1 / 4) ** 4, abs=0.08)
    assert (interval.low, interval.high) == (1.0, 1.0)


def test_a_constant_difference_has_no_width_and_the_smallest_p():
    values = np.random.default_rng(0).normal(0, 5, 50)
    better = paired_bootstrap(lambda rows: values[rows].mean() + 0.1, lambda rows: values[rows].mean(), range(50))
    assert (better.value, better.low, better.high) == pytest.approx((0.1, 0.1, 0.1))
    assert better.p == pytest.approx(2 / 1001)


def test_a_method_does_not_differ_from_itself_and_swapping_turns_the_sign():
    values, others = np.random.default_rng(1).normal(0, 1, (2, 80))

    def mean(of):
        return lambda rows: of[rows].mean()

    same = paired_bootstrap(mean(values), mean(values), range(80))
    assert (same.value, same.low, same.high, same.p) == (0.0, 0.0, 0.0, 1.0)
    ahead = paired_bootstrap(mean(values), mean(others), range(80))
    behind = paired_bootstrap(mean(others), mean(values), range(80))
    assert (ahead.low, ahead.high) == pytest.approx((-behind.high, -behind.low))
    assert ahead.p == behind.p


def test_bootstrap_says_what_it_needs():
    with pytest.raises(ValueError, match="at least one row and one repeat, got 0 rows"):
        bootstrap(lambda rows: 0.0, [])
    with pytest.raises(ValueError, match="2 rows have no patient; give each of them an identifier of its own"):
        bootstrap(lambda rows: 0.0, ["a", "", None])
    with pytest.raises(ValueError, match="a level between 0 and 1, got 95"):
        bootstrap(lambda rows: 0.0, [1, 2], level=95)
