"""Fits how beats at their own pace are told from the same beats at twice it, for pages that ran at 12.5 mm/s.

    python -m hub_scripts.pace_calibration CHECKPOINT --data TRAIN.parquet

Every recording is shown as a page of some layout prints it, with a reader's noise, once at its own pace and once at
twice it. Writes the weights into the checkpoint's `config.json` and prints how many of a fifth left out are told.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from modeling_ecgscan.beats_ecgscan import FS
from modeling_ecgscan.pace_ecgscan import pace_features
from processing.layouts import LAYOUTS
from processing.records import read_parquet, resample
from processing.signal_views import printed_mask

from .calibration import fit_logistic

_PRINTED = ("3x4+1", "6x1-limb", "6x2", "12x1", "6x1-chest", "3x4")
_NOISE_MV = 0.008
_LEFT_OUT = 5
_RIDGE = 1e-4


def shown_at_both_paces(data: Path, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(2 x recordings, features), and whether each is at twice its pace; recordings without beats are left out."""
    rng = np.random.default_rng(seed)
    rows, fast = [], []
    for number, recording in enumerate(read_parquet(data)):
        whole = resample(recording, float(FS)).signal
        for pace in (1, 2):
            signal = whole[:, ::pace] + rng.normal(0.0, _NOISE_MV, whole[:, ::pace].shape)
            shown = printed_mask(LAYOUTS[_PRINTED[number % len(_PRINTED)]], signal.shape[1])
            features = pace_features(np.where(shown, signal, np.nan))
            if features is not None:
                rows.append(features)
                fast.append(pace == 2)
    return np.array(rows), np.array(fast)


def calibrate(checkpoint: Path, data: Path, seed: int) -> dict[str, float]:
    """Fit on four fifths of the recordings, measure on the rest, then fit on all and write the weights."""
    features, fast = shown_at_both_paces(data, seed)
    left_out = np.arange(len(fast)) // 2 % _LEFT_OUT == 0
    weights, bias = fit_logistic(features[~left_out], fast[~left_out], _RIDGE)
    told = (features[left_out] @ weights + bias > 0) == fast[left_out]
    weights, bias = fit_logistic(features, fast, _RIDGE)
    path = checkpoint / "config.json"
    config = json.loads(path.read_text())
    config["image_config"]["calibration"]["pace"] = [*weights.tolist(), bias]
    path.write_text(json.dumps(config, indent=2) + "\n")
    return {"shown": float(len(fast)), "left_out": float(left_out.sum()), "told": float(told.mean())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="Parquet file of recordings")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(json.dumps(calibrate(args.checkpoint, args.data, args.seed), indent=1))


if __name__ == "__main__":
    main()
