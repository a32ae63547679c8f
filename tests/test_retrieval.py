"""Retrieval: what counts as found, and what a hub is."""

import numpy as np
import pytest

from hub_scripts.retrieval import distinct_texts, hubs, recalls
from processing.records import Recording


def test_a_page_that_lies_nearest_to_its_own_counts_as_found():
    signals, own = np.eye(6), np.array([1, 4, 5])
    assert recalls(signals[own] @ signals.T, own) == {"among": 6, "r_at_1": 1.0, "r_at_5": 1.0}
    shifted = recalls(np.roll(signals, 1, axis=0)[own] + 0.5 * signals[own], own)
    assert (shifted["r_at_1"], shifted["r_at_5"]) == (0.0, 1.0)


def test_where_all_candidates_are_as_near_nothing_is_found():
    assert recalls(np.ones((4, 6)), np.arange(4)) == {"among": 6, "r_at_1": 0.0, "r_at_5": 0.0}


def test_a_candidate_that_is_the_nearest_of_half_the_pages_is_a_hub_of_one_half():
    similarity = np.eye(4)
    similarity[1, 0] = 2.0
    assert hubs(similarity)["largest_share"] == 0.5


def test_the_skewness_of_one_hub_among_many_is_that_on_paper():
    pages, candidates = 3, 40
    similarity = np.zeros((pages, candidates))
    similarity[:, :10] = 1.0  # the same ten are the nearest of every page
    # a quarter of the candidates stands out: (1 - 2 p) / sqrt(p (1 - p)) of a coin of p = 1 / 4
    assert hubs(similarity)["skewness"] == pytest.approx(0.5 / np.sqrt(3 / 16))


def test_where_every_candidate_is_near_as_often_there_is_no_skewness():
    assert hubs(np.eye(10)) == {"largest_share": pytest.approx(0.1), "skewness": 0.0}


def test_equal_reports_are_one_text_and_labels_speak_where_there_is_none():
    blank = np.zeros((12, 10), np.float32)
    recordings = [
        Recording(blank, 500.0, report="sinus  rhythm"),
        Recording(blank, 500.0, labels=("MI",)),
        Recording(blank, 500.0, report="sinus rhythm "),
        Recording(blank, 500.0),
    ]
    texts, own = distinct_texts(recordings)
    assert texts == ["sinus rhythm", "myocardial infarction", "electrocardiogram"]
    assert own.tolist() == [0, 1, 0, 2]
