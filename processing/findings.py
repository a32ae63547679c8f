"""What can be found on an ECG: codes, names and wordings (`findings.json`), and the label sets of PTB-XL's tasks.

The statements, their classes and kinds are those of PTB-XL (Wagner et al. 2020, CC BY 4.0); the SNOMED CT codes are
those with which the PhysioNet/CinC Challenge 2021 says the same. The wordings are our own.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

SUPERCLASS_PHRASES = {
    "NORM": "normal ECG",
    "MI": "myocardial infarction",
    "STTC": "ST/T changes",
    "CD": "conduction disturbance",
    "HYP": "hypertrophy",
}
KINDS = ("diagnostic", "form", "rhythm")
TASKS = ("super", "sub", "form", "rhythm")

_FILE = Path(__file__).with_name("findings.json")


@dataclass(frozen=True)
class Finding:
    """One statement about an ECG.

    Attributes:
        code: the SCP-ECG statement code as PTB-XL writes it (`"CLBBB"`), or a code of ours for findings that PTB-XL
            lacks.
        name: plain clinical English.
        statement: PTB-XL's own short description; None for findings that PTB-XL lacks.
        superclass, subclass: PTB-XL's diagnostic classes, or None.
        kinds: which of `KINDS` PTB-XL counts it among; empty for findings that PTB-XL lacks.
        snomed: the 2021 challenge's name by SNOMED CT code; empty where none says the same.
        phrases: what is seen, in the words of a report.
        source: where the definition comes from.
    """

    code: str
    name: str
    statement: str | None
    superclass: str | None
    subclass: str | None
    kinds: tuple[str, ...]
    snomed: Mapping[str, str]
    phrases: tuple[str, ...]
    source: str


@cache
def findings() -> tuple[Finding, ...]:
    """All findings: PTB-XL's 71 statements in PTB-XL's order, then those that PTB-XL lacks."""
    rows = json.loads(_FILE.read_text(encoding="utf-8"))
    return tuple(Finding(**{**row, "kinds": tuple(row["kinds"]), "phrases": tuple(row["phrases"])}) for row in rows)


@cache
def _by_code() -> dict[str, Finding]:
    return {finding.code: finding for finding in findings()}


@cache
def _by_snomed() -> dict[str, Finding]:
    return {code: finding for finding in findings() for code in finding.snomed}


@cache
def _by_name() -> dict[str, Finding]:
    names: dict[str, Finding] = {}
    for finding in findings():
        for name in (finding.name, finding.statement, *finding.snomed.values()):
            if name is not None:
                names[_key(name)] = finding
    return names


def _key(name: str) -> str:
    return " ".join(name.lower().split())


def finding_by_code(code: str) -> Finding:
    """The finding of an SCP-ECG code.

    Raises:
        ValueError: there is none.
    """
    if code not in _by_code():
        raise ValueError(f"unknown finding {code!r}; expected one of {', '.join(_by_code())}")
    return _by_code()[code]


def finding_by_snomed(code: str | int) -> Finding | None:
    """The finding that a SNOMED CT code of the 2021 challenge means, or None where no finding means the same."""
    return _by_snomed().get(str(code))


def finding_by_label(label: str) -> Finding | None:
    """The finding that a recording's label means, or None.

    Args:
        label: an SCP-ECG code, a SNOMED CT code, or a name as PTB-XL, the 2021 challenge or `findings()` spell it, in
            any case. A bare superclass such as `MI` is no finding (`NORM` is both).
    """
    return _by_code().get(label) or finding_by_snomed(label) or _by_name().get(_key(label))


@cache
def class_findings(task: str) -> Mapping[str, tuple[Finding, ...]]:
    """The findings that make up each class of a task, classes in their fixed order.

    Args:
        task: `super` (5 superclasses), `sub` (23 subclasses), `form` (19 codes) or `rhythm` (12 codes).
    """
    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}; expected one of {', '.join(TASKS)}")
    members: dict[str, list[Finding]] = {name: [] for name in (SUPERCLASS_PHRASES if task == "super" else ())}
    for finding in findings():
        name = _class_of(finding, task)
        if name is not None:
            members.setdefault(name, []).append(finding)
    return {name: tuple(found) for name, found in members.items()}


def task_classes(task: str) -> tuple[str, ...]:
    """Names of a task's classes in their fixed order; tasks as `class_findings` takes them."""
    return tuple(class_findings(task))


def task_targets(labels: Iterable[str], task: str, *, skip_unknown: bool = False) -> np.ndarray:
    """Which classes of a task a recording's labels say.

    A statement that is listed counts, whatever its likelihood: PTB-XL gives 0, "not stated", to nearly all form and
    rhythm statements and to some diagnostic ones. This is the rule of PTB-XL's benchmark and of the published
    figures, which leave recordings without any class of a task out of that task.

    Args:
        labels: superclasses and labels as `finding_by_label` knows them; the keys of PTB-XL's `scp_codes` will do.
        task: one of `TASKS`.
        skip_unknown: passes over labels that are no finding instead of raising.

    Returns:
        (classes,) bool in the order of `task_classes`.

    Raises:
        ValueError: the task or a label is unknown.
    """
    classes = task_classes(task)
    said: set[str | None] = set()
    for label in labels:
        if task == "super" and label in SUPERCLASS_PHRASES:
            said.add(label)
            continue
        finding = finding_by_label(label)
        if finding is not None:
            said.add(_class_of(finding, task))
        elif label not in SUPERCLASS_PHRASES and not skip_unknown:
            raise ValueError(
                f"the label {label!r} is no known finding; correct it, or pass skip_unknown=True to leave it out"
            )
    return np.array([name in said for name in classes])


def _class_of(finding: Finding, task: str) -> str | None:
    if task == "super":
        return finding.superclass
    if task == "sub":
        return finding.subclass
    return finding.code if task in finding.kinds else None


__all__ = [
    "KINDS",
    "SUPERCLASS_PHRASES",
    "TASKS",
    "Finding",
    "class_findings",
    "finding_by_code",
    "finding_by_label",
    "finding_by_snomed",
    "findings",
    "task_classes",
    "task_targets",
]
