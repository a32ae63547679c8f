"""A page's truth as the reading that a perfect model would give, to test what stands behind a reading."""

import numpy as np

from modeling_ecgscan.readings_ecgscan import ECGReading
from processing.leads import LEADS
from processing.renderer import Page


def perfect_reading(page: Page, samples: int = 5000) -> ECGReading:
    """What is printed on the page, exactly where it is printed; the longer of two strips of a lead."""
    signal = np.full((12, samples), np.nan, np.float32)
    strips = []
    for strip in page.strips:
        row = LEADS.index(strip.lead)
        values = page.recording.signal[row]
        part = slice(round(strip.start_s * 500), round(strip.end_s * 500))
        if page.printed()[strip.lead] == [strip.start_s, strip.end_s]:
            signal[row, part] = values[part]
        times = np.arange(part.start, part.stop) / 500
        heights = np.interp(times * 500, np.arange(len(values)), values)
        x = strip.x_mm + (times - strip.start_s) * page.speed
        trace = np.stack([x, strip.baseline_mm - heights * page.gain], axis=1)
        along = np.linspace(strip.x_mm, strip.x_mm + strip.width_mm, 24)
        sides = [np.stack([along, np.full(24, strip.baseline_mm + side)], axis=1) for side in (-6, 6)]
        outline = np.concatenate([sides[0], sides[1][::-1]])
        strips.append(
            {
                "lead": strip.lead,
                "row": strip.row,
                "column": strip.column,
                "start_s": strip.start_s,
                "end_s": strip.end_s,
                "confidence": 0.9,
                "polyline_px": page.to_image(trace),
                "outline_px": page.to_image(outline),
            }
        )
    return ECGReading(
        status="read",
        reason=None,
        signal=signal,
        confidence=np.where(np.isfinite(signal), 0.9, 0.0).astype(np.float32),
        layout={"name": page.layout.name, "rows": [list(row) for row in page.layout.rows]},
        quality=0.95,
        speed=(page.speed, "read"),
        gain=(page.gain, "read"),
        strips=strips,
        heart_rate_bpm=72.4,
        lead_law_residual_uv=3.0,
    )
