"""Pages read by several processes: the same, in order, as by one."""

import operator

import numpy as np
import pytest

from hub_scripts.finetune_data import Readings, gather
from hub_scripts.loading import load_reader
from hub_scripts.representations import page_features
from hub_scripts.side_by_side import side_by_side
from processing.renderer import render
from processing.simulator import simulate


def test_processes_hold_the_checkpoint_and_answer_in_the_order_of_the_items(tiny):
    reader, wanted = load_reader(str(tiny)), ["revision", "name", "source", "min_quality", "name"] * 4
    made = list(side_by_side(getattr, wanted, reader, 2))
    assert made == [getattr(reader, name) for name in wanted]


def test_items_are_taken_only_a_few_ahead(tiny):
    taken = []
    items = (taken.append(number) or number for number in range(1000))
    made = side_by_side(operator.ne, items, load_reader(str(tiny)), 2)
    assert next(made) is True
    assert 0 < len(taken) < 20
    made.close()


@pytest.mark.slow
def test_examples_of_pages_are_the_same_whichever_process_reads_them(checkpoint, tmp_path):
    import cv2

    for seed in range(3):
        folder = tmp_path / "pages" / f"class {seed % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{seed}.png"), render(simulate(seed), seed=seed, layout="3x4+1").image[..., ::-1])
    (tmp_path / "pages" / "class 1" / "broken.png").write_bytes(b"no picture")
    reader = load_reader(str(checkpoint))
    alone, together = (
        gather(tmp_path / "pages", Readings(reader, tmp_path / str(count), count), list) for count in (1, 2)
    )
    assert [example.labels for example in alone.examples] == [("class 0",), ("class 0",), ("class 1",)]
    assert [example.patient for example in together.examples] == [example.patient for example in alone.examples]
    for one, other in zip(alone.examples, together.examples, strict=True):
        assert np.array_equal(one.microvolts, other.microvolts)
    assert together.problems == alone.problems and len(alone.problems) == 1
    assert together.left_out == {"unreadable": 1}


@pytest.mark.slow
def test_two_processes_make_the_features_of_pages_that_one_makes(checkpoint):
    reader, recordings = load_reader(str(checkpoint)), [simulate(seed) for seed in range(3)]
    alone, together = (
        page_features(reader, recordings, layout="3x4", condition="clean", seed=5, num_processes=count)[0]
        for count in (1, 2)
    )
    assert np.allclose(alone.pooled, together.pooled, atol=1e-4)
    assert np.ptp(alone.embedding, axis=0).max() > 0.01
