"""What the lead laws (Einthoven, Goldberger) tell about a page: how well limb leads agree, and which six it shows."""

from dataclasses import replace

import numpy as np

from .rectifying_ecgscan import StripColumns
from .strips_ecgscan import LEADS, FoundLayout, FoundStrip

_LEAST_MOMENTS = 250  # samples or columns at which a law must be checked
# share of the laws' terms that stays over: at most 0.15 for limb leads and at least 0.54 for chest leads on 29 rendered
# validation pages; 0.62 for the limb leads of a page whose rows were not followed
_LIMB, _CHEST = 0.25, 0.45
_NAMED = 1.0  # log odds, per strip, from which printed names are believed though no law holds
_STEP_MM = 0.2


def law_terms(limb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Residuals of III = II - I, aVR + aVL + aVF = 0 and aVR = -(I + II) / 2, and the sizes of what they compare.

    Args:
        limb: (6, samples) I, II, III, aVR, aVL, aVF in any one unit.

    Returns:
        Both (3, samples).
    """
    lead_i, lead_ii, lead_iii, avr, avl, avf = limb
    residuals = np.stack([lead_iii - (lead_ii - lead_i), avr + avl + avf, avr + (lead_i + lead_ii) / 2])
    sizes = np.stack(
        [
            np.abs(lead_i) + np.abs(lead_ii) + np.abs(lead_iii),
            np.abs(avr) + np.abs(avl) + np.abs(avf),
            np.abs(avr) + np.abs(lead_i + lead_ii) / 2,
        ]
    )
    return residuals, sizes


def law_residual_uv(signal: np.ndarray) -> float | None:
    """Mean absolute residual (microvolts) of the lead laws where their leads are printed at the same moment."""
    found = []
    for law in law_terms(signal[:6])[0]:
        known = np.isfinite(law)
        if known.sum() > _LEAST_MOMENTS:
            # an offset between baselines is not a reading error: it is taken out
            found.append(np.mean(np.abs(law[known] - np.median(law[known]))))
    return float(1000 * np.mean(found)) if found else None


def name_six_rows(
    strips: list[FoundStrip], columns: list[StripColumns], layout: FoundLayout
) -> tuple[list[FoundStrip], FoundLayout]:
    """Six whole rows named after the limb leads where these obey the lead laws, and after the chest leads where not.

    Printed names that are clear are believed where no law holds: the rows may have been followed badly.
    """
    if layout.name not in ("6x1-limb", "6x1-chest") or len(strips) != 6:
        return strips, layout
    share = _share_left(strips, columns)
    if share is None:
        return strips, layout
    if layout.name == "6x1-chest" and share < _LIMB:
        name, leads, sure = "6x1-limb", LEADS[:6], 1.0 - share
    elif layout.name == "6x1-limb" and share > _CHEST and layout.printed < _NAMED:
        name, leads, sure = "6x1-chest", LEADS[6:], share
    else:
        return strips, layout
    named = [replace(strip, lead=leads[strip.row], name_probability=sure) for strip in strips]
    return named, replace(layout, name=name, strips=named)


def _share_left(strips: list[FoundStrip], columns: list[StripColumns]) -> float | None:
    """Share of the laws' terms that is left if the rows are the limb leads; None where the rows hardly overlap."""
    x = np.arange(max(s.start_mm for s in strips) + 1.0, min(s.end_mm for s in strips) - 1.0, _STEP_MM)
    if len(x) < _LEAST_MOMENTS:
        return None
    rows = sorted(zip(strips, columns, strict=True), key=lambda pair: pair[0].row)
    heights = np.stack([np.interp(x, trace.x_mm, trace.height_mm) for _, trace in rows])
    residuals, sizes = law_terms(heights - np.median(heights, axis=1, keepdims=True))
    return float(np.abs(residuals).sum() / max(sizes.sum(), 1e-6))
