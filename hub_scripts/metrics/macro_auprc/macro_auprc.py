"""Macro average precision (area under the precision-recall curve) as a module of `evaluate`."""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np

from hub_scripts.statistics import auprc, macro

_DESCRIPTION = """\
Mean average precision (area under the precision-recall curve) over classes that may hold at once. Classes that never
occur are left out of the mean and named: no figure is made up for them.
"""
_INPUTS = """\
Args:
    predictions: (rows, classes), higher for more likely.
    references: (rows, classes) of 0 and 1.
    class_names: names for the answer; numbers without them.
Returns:
    macro_auprc: the mean; NaN where no class has a figure.
    by_class: each remaining class's own figure.
    absent: names of the classes that were left out.
Examples:
    >>> metric = evaluate.load("hub_scripts/metrics/macro_auprc")
    >>> metric.compute(predictions=[[0.9, 0.1], [0.2, 0.3]], references=[[1, 0], [0, 0]], class_names=["MI", "CD"])
    {'macro_auprc': 1.0, 'by_class': {'MI': 1.0}, 'absent': ['CD']}
"""


class MacroAuprc(evaluate.Metric):
    """Macro average precision (area under the precision-recall curve)."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.Sequence(datasets.Value("float64")),
                    "references": datasets.Sequence(datasets.Value("int64")),
                }
            ),
        )

    def _compute(self, predictions: Any, references: Any, class_names: Sequence[str] | None = None) -> dict[str, Any]:
        result = macro(auprc, np.asarray(references), np.asarray(predictions), class_names)
        return {"macro_auprc": result.value, "by_class": result.by_class, "absent": list(result.absent)}
