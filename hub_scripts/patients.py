"""Splits that keep every patient on one side: otherwise patients would be recognised rather than diagnosed."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import combinations

from .arguments import UsageError


def refuse_shared_patients(patients: Mapping[str, Sequence[str]]) -> None:
    """Stops where two splits, by name, have a patient in common; "" is an unknown patient."""
    for one, other in combinations(patients, 2):
        shared = set(patients[one]) & set(patients[other]) - {""}
        if shared:
            first = sorted(shared)[0]
            who = f"patient {first} is" if len(shared) == 1 else f"{len(shared)} patients, {first} among them, are"
            raise UsageError(f"{who} both in {one} and in {other}; split the recordings by patient")


def validation_patients(labels: Mapping[str, str], every: int = 5) -> set[str]:
    """One patient of `every` that share a label, the same whatever the order; labels are given by patient."""
    ordered = sorted(labels, key=lambda patient: (labels[patient], sha256(patient.encode()).hexdigest()))
    return set(ordered[every // 2 :: every])
