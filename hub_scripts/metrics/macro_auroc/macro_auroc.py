"""Macro area under the ROC curve as a module of `evaluate`."""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np

from hub_scripts.statistics import auroc, macro

_DESCRIPTION = """\
Mean area under the ROC curve over classes that may hold at once. Classes that never or always occur
are left out of the mean and named: no figure is made up for them.
"""
_INPUTS = """\
Args:
    predictions: (rows, classes), higher for more likely.
    references: (rows, classes) of 0 and 1.
    class_names: names for the answer; numbers without them.
Returns:
    macro_auroc: the mean; NaN where no class has a figure.
    by_class: each remaining class's own figure.
    absent: names of the classes that were left out.
Examples:
    >>> metric = evaluate.load("hub_scripts/metrics/macro_auroc")
    >>> metric.compute(predictions=[[0.9, 0.1], [0.2, 0.3]], references=[[1, 0], [0, 0]], class_names=["MI", "CD"])
    {'macro_auroc': 1.0, 'by_class': {'MI': 1.0}, 'absent': ['CD']}
"""


class MacroAuroc(evaluate.Metric):
    """Macro area under the ROC curve."""

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
        result = macro(auroc, np.asarray(references), np.asarray(predictions), class_names)
        return {"macro_auroc": result.value, "by_class": result.by_class, "absent": list(result.absent)}
