"""Read a photo or scan of an ECG with ONNX Runtime: python read_page.py PAGE.jpg [OUT.csv]

Needs numpy, scipy, opencv-python-headless and onnxruntime. Research use, not a medical device.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from ecgscan_onnx.onnx_ecgscan import ONNXPageReader  # type: ignore[import-not-found]

LEADS = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]
RATE = 500.0


def main(page: str, table: str | None = None) -> int:
    """Prints what was read; writes seconds and millivolts of every lead where a table is asked for."""
    image = cv2.imread(page, cv2.IMREAD_COLOR_RGB)
    if image is None:
        print(f"error: {page}: no image that OpenCV reads; expected a PNG, JPEG or TIFF", file=sys.stderr)
        return 2
    reading = ONNXPageReader(Path(__file__).resolve().parent).read(image)
    print(f"{reading.status}, quality {reading.quality:.2f}" + (f": {reading.reason}" if reading.reason else ""))
    for lead, signal, confidence in zip(LEADS, reading.signal, reading.confidence, strict=True):
        known = np.flatnonzero(np.isfinite(signal))
        if len(known):
            first, last = known[[0, -1]] / RATE
            print(f"{lead:>4}  {first:5.2f} to {last:5.2f} s  confidence {confidence[known].mean():.2f}")
    if table:
        seconds = np.arange(reading.signal.shape[1]) / RATE
        rows = np.column_stack([seconds, reading.signal.T])
        np.savetxt(table, rows, "%.4f", ",", header="seconds," + ",".join(LEADS), comments="")
    return 0


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    sys.exit(main(*sys.argv[1:]))
