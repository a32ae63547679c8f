"""What the lead laws (Einthoven, Goldberger) tell of a page: how well its limb leads agree, and which six it shows."""

from dataclasses import replace

import numpy as np

from .rectifying_ecgscan import StripColumns
from .strips_ecgscan import LEADS, FoundLayout, FoundStrip
from .terms_ecgscan import LIMB_FROM_I_II

_LEAST_MOMENTS = 250  # samples or columns at which a law must be checked
# share of the laws' terms that stays over: at most 0.15 for limb leads and at least 0.54 for chest leads on 29 rendered
# validation pages; 0.62 for the limb leads of a page whose rows were not followed
_LIMB, _CHEST = 0.25, 0.45
_NAMED = 1.0  # log odds, per strip, from which printed names are believed though no law holds
_STEP_MM = 0.2
# ours: the same share up to which leads are made to agree; there are recordings that miss the laws by as much as 0.16
_OBEYED = 0.12
_TOGETHER_S = 0.004  # ours: what is moved less counts as read at the same moment
# ours: how far (mV) a lead may be off the others and still count half; how often weights and offsets are set anew; what
# a sample counts at least
_OFF_MV, _ROUNDS, _LEAST_WEIGHT = 0.05, 3, 1e-3


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


def agreed(signal: np.ndarray, confidence: np.ndarray, moved_s: np.ndarray | None = None) -> np.ndarray:
    """The leads, limb leads as the lead laws have them where three or more are printed at the same moment.

    Each moment's I and II are those that the leads read there come nearest to: weighted by confidence, and the less
    the farther a lead is off what the others say (Cauchy weights). Offsets between baselines stay as they were read,
    and so do stretches on which the laws do not hold, as under wrong names.

    Args:
        signal: (12, samples) mV, NaN where nothing was read.
        confidence: (12, samples), 0 to 1.
        moved_s: (12, samples) by how much a sample's time was moved from what its place on paper says; a rhythm strip
            that was not moved with the columns above it is left aside.
    """
    limb = signal[:6].astype(np.float64)
    present = np.isfinite(limb)
    if moved_s is not None:
        moved = np.where(present, moved_s[:6], 0.0)
        present &= np.abs(moved - np.take_along_axis(moved, np.abs(moved).argmax(0)[None], 0)) < _TOGETHER_S
    result = signal.copy()
    for group in np.unique(present, axis=1).T:
        moments = (present == group[:, None]).all(0)
        if group.sum() < 3 or moments.sum() < _LEAST_MOMENTS:
            continue
        part = limb[:, moments]
        middle = np.median(part, axis=1, keepdims=True)
        if _share(part - middle) < _OBEYED:
            weight = np.maximum(confidence[:6][group][:, moments], _LEAST_WEIGHT)
            result[np.ix_(np.flatnonzero(group), np.flatnonzero(moments))] = _nearest_lawful(
                part[group], weight, np.array(LIMB_FROM_I_II)[group]
            )
    return result


def _nearest_lawful(limb: np.ndarray, weight: np.ndarray, laws: np.ndarray) -> np.ndarray:
    """Leads (leads, samples) that follow from an I and a II by laws (leads, 2), but for an offset of each."""
    offset = np.median(limb, axis=1, keepdims=True)
    trusted = weight
    for _ in range(_ROUNDS):
        normal = np.einsum("lt,lj,lk->tjk", trusted, laws, laws) + 1e-9 * np.eye(2)
        side = np.einsum("lt,lj->tj", trusted * (limb - offset), laws)
        lawful = laws @ np.linalg.solve(normal, side[..., None])[..., 0].T
        left = limb - offset - lawful
        trusted = weight / (1.0 + (left / _OFF_MV) ** 2)
        offset = offset + np.median(left, axis=1, keepdims=True)
    return lawful + offset


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


def obey_laws(strips: list[FoundStrip], columns: list[StripColumns]) -> bool:
    """Whether the first six of some whole rows are the limb leads and obey the lead laws."""
    rows = sorted(zip(strips, columns, strict=True), key=lambda pair: pair[0].row)[:6]
    if [strip.lead for strip, _ in rows] != list(LEADS[:6]):
        return False
    share = _share_left(*map(list, zip(*rows, strict=True)))
    return share is not None and share < _LIMB


def _share_left(strips: list[FoundStrip], columns: list[StripColumns]) -> float | None:
    """Share of the laws' terms that is left if the rows are the limb leads; None where the rows hardly overlap."""
    x = np.arange(max(s.start_mm for s in strips) + 1.0, min(s.end_mm for s in strips) - 1.0, _STEP_MM)
    if len(x) < _LEAST_MOMENTS:
        return None
    rows = sorted(zip(strips, columns, strict=True), key=lambda pair: pair[0].row)
    heights = np.stack([np.interp(x, trace.x_mm, trace.height_mm) for _, trace in rows])
    return _share(heights - np.median(heights, axis=1, keepdims=True))


def _share(limb: np.ndarray) -> float:
    """Share of the laws' terms that is left of (6, samples) limb leads without offsets; NaN where one is not there."""
    residuals, sizes = law_terms(limb)
    known = np.isfinite(residuals)
    return float(np.abs(residuals[known]).sum() / max(sizes[known].sum(), 1e-6))
