"""Fits `quality`, the probability that a page's reading reaches 10 dB, on rendered pages of validation recordings
and on pages without an ECG.

    python -m hub_scripts.calibration CHECKPOINT --data VALIDATION.parquet --pages 120

Writes the weights into the checkpoint's `config.json` and prints reliability and expected calibration error of pages
left out of the fit.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from processing.not_ecg import draw_not_ecg

from .benchmark_reading import CONDITIONS, GOOD_DB, LAYOUTS, rendered_jobs, subject_of
from .loading import load_reader
from .scoring import score_page

_RIDGE = 0.02


def fit_logistic(features: np.ndarray, good: np.ndarray, ridge: float = _RIDGE) -> tuple[np.ndarray, float]:
    """Weights (features,) and bias of a ridge-regularised logistic regression, in the features' own units.

    Args:
        features: (pages, features).
        good: (pages,) bool.
        ridge: weight of the squared weights, in units of the features' spread.
    """
    from scipy.optimize import minimize

    mean, spread = features.mean(0), features.std(0) + 1e-6
    scaled = (features - mean) / spread
    sign = np.where(good, 1.0, -1.0)

    def cost(parameters: np.ndarray) -> float:
        margin = sign * (scaled @ parameters[:-1] + parameters[-1])
        return float(np.logaddexp(0.0, -margin).mean() + ridge * np.square(parameters[:-1]).sum())

    found = minimize(cost, np.zeros(features.shape[1] + 1), method="BFGS").x
    weights = found[:-1] / spread
    return weights, float(found[-1] - weights @ mean)


def calibration_error(probability: np.ndarray, good: np.ndarray, bins: int = 5) -> float:
    """Expected calibration error: mean distance of probability and frequency over equally filled bins."""
    parts = np.array_split(np.argsort(probability), bins)
    gaps = [abs(probability[part].mean() - good[part].mean()) * len(part) for part in parts if len(part)]
    return float(sum(gaps) / len(probability))


def _probability(features: np.ndarray, weights: np.ndarray, bias: float) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.clip(features @ weights + bias, -30, 30)))


def calibrate(checkpoint: Path, data: Path | None, pages: int, seed: int) -> dict[str, float]:
    """Fit on two thirds of the pages, measure on the rest, then fit on all and write the weights."""
    from tqdm.auto import tqdm

    reader = load_reader(str(checkpoint))
    rows, levels, names = [], [], []
    for job in tqdm(rendered_jobs(data, pages, LAYOUTS, CONDITIONS, seed), desc="calibration"):
        subject = subject_of(job)
        reading, _ = reader.read([subject.image])[0]
        if not reading.features:
            continue
        names = sorted(reading.features)
        rows.append([reading.features[name] for name in names])
        recording = subject.recording
        score = score_page(recording.signal, recording.sampling_rate, subject.printed, reading.signal, 500.0)
        levels.append(score.snr_db)
    rng = np.random.default_rng(seed)
    for _ in tqdm(range(pages // 3), desc="pages without an ECG"):
        reading, _ = reader.read([draw_not_ecg(rng)])[0]
        if reading.features:
            rows.append([reading.features[name] for name in names])
            levels.append(-np.inf)
    features, good = np.array(rows), np.array(levels) >= GOOD_DB
    held_out = rng.permutation(len(good)) % 3 == 2
    probability = _probability(features[held_out], *fit_logistic(features[~held_out], good[~held_out]))
    weights, bias = fit_logistic(features, good)
    path = checkpoint / "config.json"
    config = json.loads(path.read_text())
    quality = {"bias": bias} | {name: float(weight) for name, weight in zip(names, weights, strict=True)}
    config["image_config"]["calibration"]["quality"] = quality
    path.write_text(json.dumps(config, indent=2) + "\n")
    return {
        "pages": float(len(good)),
        "good": float(good.mean()),
        "expected_calibration_error": calibration_error(probability, good[held_out]),
        "brier": float(np.square(probability - good[held_out]).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, help="Parquet file of recordings (default: the simulator)")
    parser.add_argument("--pages", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1000)
    args = parser.parse_args()
    print(json.dumps(calibrate(args.checkpoint, args.data, args.pages, args.seed), indent=1))


if __name__ == "__main__":
    main()
