"""How near a reading comes to the recording that was printed: `snr_db` and its stricter relatives.

snr_db     per lead one time shift (at most 0.2 s) and one offset are free, powers are summed over the leads,
           the ratio is capped; over pages the ratios are averaged.
page_db    the plain mean over pages of each page's own decibels.
worst_db   the worst page.
strict_db  one time shift for the page, offsets of at most 0.05 mV.
r          median over leads of Pearson's correlation under the strict alignment.
named      share of printed leads that resemble themselves more than any other printed lead.
"""

from dataclasses import dataclass, field

import numpy as np

from processing.leads import LEAD_LAWS, LEADS, law_residuals

MAX_SHIFT_S = 0.2
MAX_RATIO = 384.0
MAX_OFFSET_MV = 0.05
_SAME_LEAD_R = 0.95

Printed = dict[str, list[float]]


@dataclass(frozen=True)
class PageScore:
    """Figures of one page; `lead_db` holds each printed lead's own ratio in dB under the free alignment."""

    ratio: float
    strict_db: float
    r: float
    named: float
    lead_db: dict[str, float]

    @property
    def snr_db(self) -> float:
        return _decibel(self.ratio)


@dataclass
class _Lead:
    truth: np.ndarray
    read: np.ndarray
    start: int
    strict: np.ndarray = field(default_factory=lambda: np.empty(0))


def score_page(
    truth: np.ndarray, truth_rate: float, printed: Printed, read: np.ndarray | None, read_rate: float
) -> PageScore:
    """Scores one page.

    Args:
        truth: (12, samples) mV, standard order, NaN where there is no truth (counts as 0).
        printed: which seconds of the recording are on the page, by lead.
        read: (12, samples) mV with NaN where nothing was read, on the recording's time axis; None scores as flat.
    """
    leads = {}
    for name, (start_s, end_s) in printed.items():
        start, end = round(start_s * truth_rate), round(end_s * truth_rate)
        target = np.nan_to_num(np.asarray(truth[LEADS.index(name), start:end], np.float64))
        signal = None if read is None else np.asarray(read[LEADS.index(name)], np.float64)
        leads[name] = _Lead(target, _on_grid(signal, read_rate, start_s, len(target), truth_rate), start)

    limit = round(MAX_SHIFT_S * truth_rate)
    power, noise = {}, {}
    shifts = []
    for name, lead in leads.items():
        power[name] = float(np.sum(lead.truth**2))
        aligned = lead.read
        if np.isfinite(aligned).any():
            shifts.append(_best_shift(lead.truth, lead.read, limit))
            aligned = _moved(lead.read, shifts[-1])
            aligned = aligned + np.nanmean(lead.truth - aligned)
        noise[name] = _noise(lead.truth, aligned)

    page_shift = int(np.median(shifts)) if shifts else 0
    for lead in leads.values():
        lead.strict = _strictly_aligned(lead, page_shift)
    strict_noise = float(sum(_noise(lead.truth, lead.strict) for lead in leads.values()))
    return PageScore(
        ratio=_ratio(sum(power.values()), sum(noise.values())),
        strict_db=_decibel(_ratio(sum(power.values()), strict_noise)),
        r=float(np.median([_correlation(lead.truth, lead.strict) for lead in leads.values()])),
        named=float(np.mean([_resembles_itself(name, leads, truth) for name in leads])),
        lead_db={name: _decibel(_ratio(power[name], noise[name])) for name in leads},
    )


def summarise(scores: list[PageScore]) -> dict[str, float]:
    """Figures over pages: means, and of the decibels also median and 10th percentile."""
    decibels = np.array([score.snr_db for score in scores])
    return {
        "pages": len(scores),
        "snr_db": _decibel(float(np.mean([score.ratio for score in scores]))),
        "page_db": float(decibels.mean()),
        "median_db": float(np.median(decibels)),
        "p10_db": float(np.percentile(decibels, 10)),
        "worst_db": float(decibels.min()),
        "strict_db": float(np.mean([score.strict_db for score in scores])),
        "r": float(np.median([score.r for score in scores])),
        "named": float(np.mean([score.named for score in scores])),
    }


def law_residuals_uv(signal: np.ndarray, *, free_offset: bool = False) -> dict[str, float]:
    """Mean absolute residual of each lead law in microvolts, over the moments at which all of its leads are known.

    Args:
        signal: (12, samples) mV, standard order, NaN where unknown.
        free_offset: takes each law's median residual out first.

    Returns:
        By name as in `LEAD_LAWS`; laws that can be checked nowhere are left out.
    """
    if signal.ndim != 2 or len(signal) != len(LEADS):
        raise ValueError(f"expected 12 leads as (12, samples) in mV, got {signal.shape}")
    found = {}
    for law, residual in zip(LEAD_LAWS, law_residuals(signal), strict=True):
        known = residual[np.isfinite(residual)]
        if len(known):
            found[law] = float(1000 * np.abs(known - (np.median(known) if free_offset else 0.0)).mean())
    return found


def _ratio(power: float, noise: float) -> float:
    return min(power / noise, MAX_RATIO) if noise > 0 else MAX_RATIO


def _decibel(ratio: float) -> float:
    return float(10 * np.log10(ratio)) if ratio > 0 else float("-inf")


def _noise(truth: np.ndarray, read: np.ndarray) -> float:
    return float(np.sum((truth - np.nan_to_num(read)) ** 2))


def _on_grid(signal: np.ndarray | None, rate: float, start_s: float, length: int, target_rate: float) -> np.ndarray:
    """`length` samples at `target_rate` from `start_s` on, linear between samples, NaN outside of the signal."""
    if signal is None or not len(signal):
        return np.full(length, np.nan)
    places = (start_s + np.arange(length) / target_rate) * rate
    last = len(signal) - 1
    values = np.interp(places.clip(0, last), np.arange(len(signal)), signal)
    # A hair beyond either end still belongs to the nearest sample.
    values[(places < -0.5) | (places > last + max(1.0, rate / target_rate))] = np.nan
    return values


def _best_shift(truth: np.ndarray, read: np.ndarray, limit: int) -> int:
    """The shift of `read` in samples that correlates best; of equals the smallest, then the first."""
    target = truth - truth.mean()
    guess = np.nan_to_num(read - np.nanmean(read))
    best, best_product = 0, -np.inf
    for shift in sorted(range(-limit, limit + 1), key=abs):
        here = target[max(shift, 0) : len(target) + min(shift, 0)]
        product = float(np.dot(here, guess[max(-shift, 0) : len(guess) + min(-shift, 0)]))
        if product > best_product:
            best, best_product = shift, product
    return best


def _moved(signal: np.ndarray, shift: int) -> np.ndarray:
    moved = np.full(len(signal), np.nan)
    moved[max(shift, 0) : len(signal) + min(shift, 0)] = signal[max(-shift, 0) : len(signal) + min(-shift, 0)]
    return moved


def _strictly_aligned(lead: _Lead, shift: int) -> np.ndarray:
    moved = _moved(lead.read, shift)
    if not np.isfinite(moved).any():
        return moved
    return moved + np.clip(np.nanmean(lead.truth - moved), -MAX_OFFSET_MV, MAX_OFFSET_MV)


def _correlation(truth: np.ndarray, read: np.ndarray) -> float:
    known = np.isfinite(read)
    if known.sum() < 3 or np.std(read[known]) == 0 or np.std(truth[known]) == 0:
        return 0.0
    return float(np.corrcoef(truth[known], read[known])[0, 1])


def _resembles_itself(name: str, leads: dict[str, _Lead], truth: np.ndarray) -> bool:
    lead = leads[name]
    known = np.isfinite(lead.strict)
    if known.sum() < 3 or np.std(lead.strict[known]) == 0:
        return False
    window = slice(lead.start, lead.start + len(lead.truth))
    likeness, pieces = {}, {}
    for other in leads:
        piece = np.asarray(truth[LEADS.index(other), window], np.float64)
        if len(piece) == len(lead.truth) and np.std(piece[known]) > 0:
            pieces[other] = piece
            likeness[other] = np.corrcoef(piece[known], lead.strict[known])[0, 1]
    if not likeness:
        return False
    best = max(likeness, key=likeness.__getitem__)
    return best == name or bool(np.corrcoef(pieces[best], lead.truth)[0, 1] > _SAME_LEAD_R)
