"""Deviation of limb leads from the laws that bind them, as a module of `evaluate`."""

from typing import Any

import datasets
import evaluate
import numpy as np

from hub_scripts.scoring import law_residuals_uv

_DESCRIPTION = """\
Mean absolute deviation, in microvolts, from Einthoven's and Goldberger's laws: III = II - I, aVR = -(I + II) / 2,
aVL = I - II / 2, aVF = II - I / 2, aVR + aVL + aVF = 0, each at the moments at which all of its leads are known.
Compute it of the true recordings too: they deviate by a few microvolts.
"""
_INPUTS = """\
Args:
    predictions: per page or recording (12, samples) in mV, standard lead order, NaN where a lead is unknown.
    free_offset: takes each law's median residual out first, so that leads' baselines do not count.
Returns:
    lead_law_residual_uv: mean over pages of the mean over the laws that could be checked; NaN where there is none.
    by_law: mean over pages of each law that could be checked.
    unchecked: how many pages had no law that could be checked.
"""


class LeadLawResidual(evaluate.Metric):
    """Mean absolute residual of the lead laws."""

    def _info(self) -> evaluate.MetricInfo:
        leads = datasets.Sequence(datasets.Sequence(datasets.Value("float64")))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": leads}),
        )

    def _compute(self, predictions: Any, free_offset: bool = False) -> dict[str, Any]:
        pages = [law_residuals_uv(np.asarray(signal), free_offset=free_offset) for signal in predictions]
        means = [float(np.mean(list(page.values()))) for page in pages if page]
        by_law: dict[str, list[float]] = {}
        for page in pages:
            for law, value in page.items():
                by_law.setdefault(law, []).append(value)
        return {
            "lead_law_residual_uv": float(np.mean(means)) if means else float("nan"),
            "by_law": {law: float(np.mean(values)) for law, values in by_law.items()},
            "unchecked": len(pages) - len(means),
        }
