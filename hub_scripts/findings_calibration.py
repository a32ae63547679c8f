"""Fits the probabilities of the findings on validation recordings as pages print them, and drops what can't be told.

    python -m hub_scripts.findings_calibration CHECKPOINT --data VALIDATION.parquet ... --statements scp_statements.csv

Writes slope and offset by finding into the checkpoint's `config.json` and prints a row per finding.
"""

import argparse
import json
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modeling_ecgscan import ECGScanModel
from processing.layouts import LAYOUTS
from processing.processing_ecgscan import ECGScanProcessor
from processing.records import Recording
from processing.signal_views import isoelectric, printed_mask, without_wander
from processing.triplets import labelled_parquet, scp_phrases

from .calibration import calibration_error, fit_logistic
from .statistics import Interval, auroc, bootstrap
from .training_signal_text import findings_target

_PRINTED = ("3x4", "3x4+1", "3x4+3", "6x2", "12x1")
# ours: recordings with a finding from which it can be judged, and the least AUROC, at the lower end of its interval
_LEAST_POSITIVES, _LEAST_AUROC = 8, 0.7


@torch.no_grad()
def printed_logits(model: Any, processor: Any, recordings: list[Recording], seed: int) -> np.ndarray:
    """(recordings, findings) logits of recordings of which each shows what a page of some layout prints."""
    rng = np.random.default_rng(seed)
    rows = []
    for recording in recordings:
        prepared = processor.feature_extractor(recording)
        values = isoelectric(without_wander(prepared["signal_values"][0], 500.0))
        mask = printed_mask(LAYOUTS[str(rng.choice(_PRINTED))], values.shape[1]) & prepared["signal_mask"][0]
        given = torch.from_numpy(values)[None], torch.from_numpy(mask)[None].float()
        rows.append(model(signal_values=given[0], signal_mask=given[1]).findings_logits.float().numpy())
    return np.concatenate(rows)


def calibrate_findings(checkpoint: Path, data: list[Path], statements: Path, seed: int) -> list[dict[str, Any]]:
    """Fit and judge every finding of the head; a row for each, `told` where it is kept."""
    model = ECGScanModel.from_pretrained(checkpoint, dtype="float32").eval()
    processor = ECGScanProcessor.from_pretrained(checkpoint)
    recordings = [found for path in data for found in labelled_parquet(path, scp_phrases(statements))]
    logits = printed_logits(model, processor, recordings, seed)
    truth = np.array([findings_target(recording.labels, model.config.findings) for recording in recordings])
    rows: list[dict[str, Any]] = []
    lines: dict[str, list[float]] = {}
    for index, name in enumerate(model.config.findings):
        known = np.isfinite(truth[:, index])
        present, score = truth[known, index] == 1, logits[known, index]
        row = {"finding": name, "positives": int(present.sum()), "told": False}
        if row["positives"] >= _LEAST_POSITIVES:
            area = _area(present, score, [recording.patient_id for recording in compress(recordings, known)])
            weights, bias = fit_logistic(score[:, None], present)
            share = 1.0 / (1.0 + np.exp(-(score * weights[0] + bias)))
            row |= {
                "auroc": area.value,
                "auroc_low": area.low,
                "calibration_error": calibration_error(share, present),
                "told": area.low > _LEAST_AUROC,
            }
            if row["told"]:
                lines[name] = [float(weights[0]), bias]
        rows.append(row)
    path = checkpoint / "config.json"
    config = json.loads(path.read_text())
    model.config.findings_calibration = lines
    model.config.name_labels()
    config |= {name: getattr(model.config, name) for name in ("findings_calibration", "id2label", "label2id")}
    path.write_text(json.dumps(config, indent=2) + "\n")
    return rows


def _area(present: np.ndarray, score: np.ndarray, patients: list[str]) -> Interval:
    """Area under the ROC curve with its interval over patients."""
    return bootstrap(lambda rows: auroc(present[rows], score[rows]), patients, repeats=400)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="Parquet files of labelled recordings")
    parser.add_argument("--statements", type=Path, required=True, help="CSV of SCP-ECG statements")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for row in calibrate_findings(args.checkpoint, args.data, args.statements, args.seed):
        print(json.dumps(row))


if __name__ == "__main__":
    main()
