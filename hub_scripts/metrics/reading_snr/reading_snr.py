"""Signal-to-noise ratio of readings as a module of `evaluate`."""

import json
from typing import Any

import datasets
import evaluate
import numpy as np

from hub_scripts.scoring import score_page, summarise

_DESCRIPTION = """\
How near readings of pages come to the recordings that were printed, in decibels. Per lead one time shift (at most
0.2 s) and one offset are free, powers are summed over the leads, the ratio is capped at 384 (25.84 dB).
"""
_INPUTS = """\
Args:
    predictions: per page (12, samples) in mV, standard lead order, NaN where nothing was read, on the recording's time
        axis.
    references: per page (12, samples) in mV of the recording, NaN where there is no truth (counts as 0).
    printed: per page a JSON object: lead -> [start, end] in seconds of what is on the page.
    sampling_rate: hertz of predictions.
    reference_sampling_rate: hertz of references; that of predictions without it.
Returns:
    snr_db: pages' ratios averaged, then in decibels. page_db, median_db, p10_db, worst_db: of the pages' own decibels.
    strict_db: one shift for the page and offsets of at most 0.05 mV. r: median correlation under that alignment.
    named: share of leads that resemble themselves most. pages: how many.
"""


class ReadingSnr(evaluate.Metric):
    """Signal-to-noise ratio of readings."""

    def _info(self) -> evaluate.MetricInfo:
        leads = datasets.Sequence(datasets.Sequence(datasets.Value("float64")))
        inputs = {"predictions": leads, "references": leads, "printed": datasets.Value("string")}
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(inputs),
        )

    def _compute(
        self,
        predictions: Any,
        references: Any,
        printed: Any,
        sampling_rate: float = 500.0,
        reference_sampling_rate: float | None = None,
    ) -> dict[str, float]:
        truth_rate = reference_sampling_rate or sampling_rate
        pages = zip(predictions, references, printed, strict=True)
        return summarise(
            [
                score_page(np.asarray(truth), truth_rate, json.loads(places), np.asarray(read), sampling_rate)
                for read, truth, places in pages
            ]
        )
