"""The twelve leads: their names, their standard order and the laws that bind the six limb leads."""

import numpy as np

LEADS: tuple[str, ...] = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
LIMB_LEADS: tuple[str, ...] = LEADS[:6]
PRECORDIAL_LEADS: tuple[str, ...] = LEADS[6:]

# Einthoven and Goldberger as rows of coefficients over I, II, III, aVR, aVL, aVF: every row sums a
# lawful recording to zero.
LEAD_LAWS: dict[str, tuple[float, float, float, float, float, float]] = {
    "III = II - I": (1.0, -1.0, 1.0, 0.0, 0.0, 0.0),
    "aVR = -(I + II) / 2": (0.5, 0.5, 0.0, 1.0, 0.0, 0.0),
    "aVL = I - II / 2": (-1.0, 0.5, 0.0, 0.0, 1.0, 0.0),
    "aVF = II - I / 2": (0.5, -1.0, 0.0, 0.0, 0.0, 1.0),
    "aVR + aVL + aVF = 0": (0.0, 0.0, 0.0, 1.0, 1.0, 1.0),
}

_BY_LOWER = {name.lower(): name for name in LEADS}


def canonical_lead(name: str) -> str | None:
    """Standard spelling of a lead name (`"avr"`, `"Lead II"`, `"MLII"`), or None if it is none of the twelve."""
    key = name.strip().lower().removeprefix("lead").strip(" _-").removeprefix("ml")
    return _BY_LOWER.get(key)


def law_residuals(signal: np.ndarray) -> np.ndarray:
    """Residuals of the five lead laws.

    Args:
        signal: (12, samples) or (6, samples) in millivolts, standard order; NaN where unknown.

    Returns:
        (5, samples) in millivolts, in the order of `LEAD_LAWS`; NaN where a lead of the law is unknown.
    """
    limb = np.asarray(signal)[:6]
    residuals = np.zeros((len(LEAD_LAWS), limb.shape[1]), dtype=np.result_type(limb.dtype, np.float32))
    for row, coefficients in enumerate(LEAD_LAWS.values()):
        for lead, coefficient in zip(limb, coefficients, strict=True):
            if coefficient:
                residuals[row] += coefficient * lead
    return residuals


def limb_leads_from(lead_i: np.ndarray, lead_ii: np.ndarray) -> np.ndarray:
    """The six limb leads (6, samples) that follow from I and II by Einthoven and Goldberger."""
    return np.stack(
        [
            lead_i,
            lead_ii,
            lead_ii - lead_i,
            -(lead_i + lead_ii) / 2,
            lead_i - lead_ii / 2,
            lead_ii - lead_i / 2,
        ]
    )
