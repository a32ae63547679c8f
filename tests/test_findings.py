"""The data file of findings, and from labels to the targets of PTB-XL's tasks."""

import csv
import json

import numpy as np
import pytest

from processing.findings import (
    KINDS,
    SUPERCLASS_PHRASES,
    TASKS,
    class_findings,
    finding_by_code,
    finding_by_label,
    finding_by_snomed,
    findings,
    task_classes,
    task_targets,
)
from processing.triplets import labelled_parquet, scp_phrases

SIZES = {"super": 5, "sub": 23, "form": 19, "rhythm": 12}


def named(labels, task, **options) -> set[str]:
    return {name for name, said in zip(task_classes(task), task_targets(labels, task, **options), strict=True) if said}


def test_all_statements_of_ptb_xl_are_there_and_some_more():
    of_ptb_xl = [finding for finding in findings() if finding.kinds]
    assert len(of_ptb_xl) == 71
    assert list(findings()[:71]) == of_ptb_xl
    assert len(findings()) > 80
    assert [sum(kind in finding.kinds for finding in findings()) for kind in KINDS] == [44, 19, 12]


def test_codes_names_and_snomed_codes_mean_one_finding_each():
    codes = [finding.code for finding in findings()]
    snomed = [code for finding in findings() for code in finding.snomed]
    assert len(set(codes)) == len(codes)
    assert len(set(snomed)) == len(snomed)
    names: dict[str, str] = {}
    for finding in findings():
        for name in {finding.name, finding.statement or finding.name, *finding.snomed.values()}:
            assert names.setdefault(name.lower(), finding.code) == finding.code, name


@pytest.mark.parametrize("finding", findings(), ids=lambda finding: finding.code)
def test_a_finding_is_described_in_three_to_five_ways_and_says_where_its_definition_comes_from(finding):
    assert 3 <= len(finding.phrases) <= 5
    assert finding.source
    assert finding.name
    for phrase in finding.phrases:
        assert phrase == phrase.strip()
        assert 5 < len(phrase) <= 120
        assert not phrase.endswith(".")


def test_no_phrase_is_said_of_two_findings():
    phrases = [phrase.lower() for finding in findings() for phrase in finding.phrases]
    assert len(set(phrases)) == len(phrases)


def test_only_diagnostic_statements_have_classes():
    for finding in findings():
        assert (finding.superclass is not None) == ("diagnostic" in finding.kinds)
        assert (finding.subclass is not None) == ("diagnostic" in finding.kinds)
        assert finding.superclass in (None, *SUPERCLASS_PHRASES)
        assert (finding.statement is not None) == bool(finding.kinds)


def test_the_tasks_have_the_sizes_of_the_literature():
    assert {task: len(task_classes(task)) for task in TASKS} == SIZES
    for task in TASKS:
        assert len(set(task_classes(task))) == SIZES[task]


def test_classes_are_made_up_of_findings_and_share_none():
    for task, size in {"super": 44, "sub": 44, "form": 19, "rhythm": 12}.items():
        members = [finding.code for group in class_findings(task).values() for finding in group]
        assert len(members) == len(set(members)) == size
    assert [finding.code for finding in class_findings("sub")["_AVB"]] == ["1AVB", "3AVB", "2AVB"]
    assert {finding.superclass for finding in class_findings("super")["HYP"]} == {"HYP"}


def test_a_finding_is_found_by_code_by_snomed_code_and_by_any_of_its_names():
    block = finding_by_code("CLBBB")
    assert finding_by_snomed(164909002) is finding_by_snomed("733534002") is block
    names = ["CLBBB", "164909002", "Complete Left Bundle  Branch Block", block.statement, "left bundle branch block"]
    assert all(finding_by_label(name) is block for name in names)
    assert finding_by_snomed("0") is None
    assert finding_by_label("MI") is None


def test_an_unknown_code_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="unknown finding 'LBBB'; expected one of NDT"):
        finding_by_code("LBBB")


def test_listed_statements_count_whatever_their_likelihood():
    codes = {"NDT": 100.0, "NST_": 0.0, "VCLVH": 0.0, "SR": 0.0}
    assert named(codes, "super") == {"STTC"}
    assert named(codes, "sub") == {"STTC", "NST_"}
    assert named(codes, "form") == {"NDT", "NST_", "VCLVH"}
    assert named(codes, "rhythm") == {"SR"}


def test_superclasses_and_english_names_among_the_labels_count_too():
    labels = ["MI", "HYP", "in inferior leads"]
    assert named(labels[:2], "super") == {"MI", "HYP"}
    assert named(labels[:2], "sub") == set()
    assert named(["ischemic in inferior leads", "sinus rhythm", "atrial fibrillation"], "sub") == {"ISCI"}
    assert named(["sinus rhythm", "atrial fibrillation"], "rhythm") == {"SR", "AFIB"}
    assert named([], "super") == set()


@pytest.mark.parametrize("task", TASKS)
def test_an_unknown_label_raises_unless_it_may_be_skipped(task):
    with pytest.raises(ValueError, match="the label 'nonsense' is no known finding; correct it, or pass"):
        task_targets(["NORM", "nonsense"], task)
    targets = task_targets(["NORM", "nonsense"], task, skip_unknown=True)
    assert targets.dtype == bool
    assert np.array_equal(targets, task_targets(["NORM"], task))


def test_an_unknown_task_is_an_error_that_says_which_there_are():
    with pytest.raises(ValueError, match="unknown task 'all'; expected one of super, sub, form, rhythm"):
        task_targets(["NORM"], "all")


@pytest.mark.shared
def test_statements_and_classes_are_those_of_ptb_xl(shared):
    with (shared / "data/meta/scp_statements.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row[""] for row in rows] == [finding.code for finding in findings() if finding.kinds]
    for row in rows:
        finding = finding_by_code(row[""])
        assert finding.statement == row["description"]
        assert finding.kinds == tuple(kind for kind in KINDS if row[kind])
        assert (finding.superclass or "") == row["diagnostic_class"]
        assert (finding.subclass or "") == row["diagnostic_subclass"]


@pytest.mark.shared
def test_snomed_codes_and_names_are_those_of_the_challenge(shared):
    names = {}
    for part in ("scored", "unscored"):
        with (shared / f"data/meta/dx_mapping_{part}.csv").open(newline="", encoding="utf-8") as file:
            names.update({row["SNOMEDCTCode"]: " ".join(row["Dx"].split()) for row in csv.DictReader(file)})
    for finding in findings():
        assert {code: names[code] for code in finding.snomed} == finding.snomed


@pytest.mark.shared
@pytest.mark.parametrize("part", ["validation", "validation_100hz"])
def test_superclasses_of_real_recordings_follow_from_their_statements(shared, part):
    import pyarrow.parquet as pq

    rows = pq.read_table(shared / f"data/ptbxl/{part}.parquet", columns=["scp_codes", "superclasses"]).to_pylist()
    for row in rows:
        assert named(json.loads(row["scp_codes"]), "super") == set(row["superclasses"])


@pytest.mark.shared
def test_labels_in_words_say_what_the_statements_say(shared):
    import pyarrow.parquet as pq

    path = shared / "data/ptbxl/validation_100hz.parquet"
    phrases = scp_phrases(shared / "data/meta/scp_statements.csv")
    codes = [json.loads(row["scp_codes"]) for row in pq.read_table(path, columns=["scp_codes"]).to_pylist()]
    for recording, listed in zip(labelled_parquet(path, phrases), codes, strict=True):
        for task in TASKS:
            assert named(recording.labels, task) == named(listed, task), recording.record_id


@pytest.mark.shared
def test_labels_of_the_challenge_are_found_by_name(shared):
    labels = [recording.labels for recording in labelled_parquet(shared / "data/other/challenge.parquet")]
    assert all(
        named(names, "rhythm", skip_unknown=True) >= {"AFIB"} for names in labels if "atrial fibrillation" in names
    )
    found = [finding_by_label(name) is not None for names in labels for name in names]
    assert np.mean(found) > 0.75
