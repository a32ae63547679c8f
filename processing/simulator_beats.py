"""Shapes of simulated beats: heart vectors, what disease does to them, and their projection to the free leads."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

# Dower's projection of the heart vector (x to the left, y to the feet, z to the front) to the leads that are
# free of each other: I, II, V1 to V6. The other four limb leads follow by law.
LEAD_MATRIX = np.array(
    [
        [0.632, -0.235, -0.059],
        [0.235, 1.066, 0.132],
        [-0.515, 0.157, 0.917],
        [0.044, 0.164, 1.387],
        [0.882, 0.098, 1.277],
        [1.213, 0.127, 0.601],
        [1.125, 0.127, 0.086],
        [0.831, 0.076, -0.230],
    ]
)

# Rows of a vector table: centre, half length of the flat top, sigma before, sigma after; then x, y, z in mV.
# Atrial and QRS tables count in milliseconds from the onset, repolarisation tables in QT intervals.
# Rows of a lead table end in millivolts of I, II, V1 ... V6 instead.
Rows = tuple[tuple[float, ...], ...]

SINUS_P: Rows = ((38, 0, 15, 15, 0.04, 0.09, 0.055), (68, 0, 17, 16, 0.07, 0.05, -0.03))
ECTOPIC_P: Rows = ((32, 0, 13, 13, 0.05, 0.02, 0.05), (58, 0, 14, 13, 0.06, -0.05, 0.03))
RETROGRADE_P: Rows = ((36, 0, 14, 15, -0.01, -0.11, 0.05), (60, 0, 14, 14, 0.0, -0.06, 0.04))

NORMAL_QRS: Rows = (
    (15, 0, 6, 6, -0.20, -0.06, 0.30),
    (36, 0, 8.5, 8.5, 1.40, 0.66, -0.30),
    (50, 0, 8.5, 9, 0.12, 0.05, -0.95),
    (68, 0, 8, 9, -0.24, -0.14, -0.12),
)
NORMAL_T: Rows = ((0.80, 0, 0.135, 0.09, 0.32, 0.22, 0.22), (0.55, 0.10, 0.12, 0.10, 0.03, 0.02, 0.04))

LEFT_BUNDLE_QRS: Rows = (
    (30, 0, 12, 16, 0.35, 0.18, -0.15),
    (58, 0, 15, 15, 0.85, 0.25, -0.85),
    (92, 0, 18, 15, 0.85, 0.05, -0.95),
    (124, 0, 15, 13, 0.12, -0.05, -0.35),
)
LEFT_BUNDLE_T: Rows = ((0.52, 0.14, 0.07, 0.1, -0.08, -0.01, 0.13), (0.80, 0, 0.13, 0.09, -0.30, -0.05, 0.38))
RIGHT_BUNDLE_QRS: Rows = (
    (15, 0, 6, 6, -0.20, -0.06, 0.28),
    (36, 0, 9, 9, 1.15, 0.60, -0.35),
    (54, 0, 9, 9, 0.05, 0.0, -0.40),
    (98, 0, 19, 17, -0.50, -0.02, 0.50),
)
RIGHT_BUNDLE_T: Rows = ((0.80, 0, 0.135, 0.09, 0.36, 0.20, -0.12),)
INCOMPLETE_RIGHT_BUNDLE_QRS: Rows = (*NORMAL_QRS[:3], (78, 0, 9, 10, -0.38, -0.04, 0.30))
LEFT_HYPERTROPHY_QRS: Rows = (
    (15, 0, 6, 6, -0.16, -0.06, 0.22),
    (41, 0, 10.5, 10, 2.0, 0.60, -0.65),
    (57, 0, 10, 10, 0.45, 0.05, -1.35),
    (74, 0, 8, 9, -0.10, -0.12, -0.30),
)
STRAIN_T: Rows = ((0.54, 0.14, 0.07, 0.10, -0.12, -0.03, 0.08), (0.80, 0, 0.17, 0.08, -0.30, -0.08, 0.22))
RIGHT_HYPERTROPHY_QRS: Rows = (
    (16, 0, 7, 7, 0.22, 0.02, 0.25),
    (38, 0, 9, 9, -0.10, 0.85, 0.62),
    (58, 0, 10, 11, -0.85, 0.30, 0.20),
)
RIGHT_STRAIN_T: Rows = ((0.52, 0.14, 0.07, 0.10, 0.03, -0.05, -0.06), (0.80, 0, 0.14, 0.09, 0.28, 0.05, -0.24))
DELTA_QRS: Rows = ((22, 8, 12, 14, 0.34, 0.14, 0.13), *((row[0] + 26, *row[1:]) for row in NORMAL_QRS[1:]))
SLOW_QRS: Rows = (
    (20, 0, 9, 9, -0.18, -0.05, 0.25),
    (46, 0, 13, 12, 1.20, 0.45, -0.45),
    (72, 0, 13, 13, 0.35, 0.0, -0.80),
    (98, 0, 12, 12, -0.22, -0.12, -0.15),
)

# Wide beats that start in a ventricle: shape of one origin in the right and of one in the left ventricle.
RIGHT_ORIGIN_QRS: Rows = (
    (34, 0, 15, 18, 0.65, 0.35, -0.30),
    (72, 0, 20, 19, 1.10, 0.65, -0.95),
    (112, 0, 18, 18, 0.25, 0.15, -0.55),
)
LEFT_ORIGIN_QRS: Rows = (
    (34, 0, 15, 18, -0.25, 0.30, 0.60),
    (74, 0, 21, 19, -0.75, 0.45, 1.00),
    (114, 0, 18, 18, -0.45, -0.10, 0.35),
)


@dataclass(frozen=True)
class Morphology:
    """What conducted beats look like in one condition; pairs are ranges to draw from.

    Attributes:
        qrs, t: vector tables. `local_qrs`, `local_st`: lead tables, scaled by `severity`.
        stretch: factor on the times of `qrs`. turn_deg: turn of the frontal axis. pr_s, qtc_s: seconds.
        labels: diagnostic superclasses. phrases: statements for the report.
    """

    phrases: tuple[str, ...]
    labels: tuple[str, ...] = ()
    qrs: Rows = NORMAL_QRS
    t: Rows = NORMAL_T
    local_qrs: Rows = ()
    local_st: Rows = ()
    severity: tuple[float, float] = (0.7, 1.5)
    stretch: tuple[float, float] = (0.9, 1.12)
    turn_deg: tuple[float, float] = (-32, 40)
    pr_s: tuple[float, float] = (0.125, 0.195)
    qtc_s: tuple[float, float] = (0.375, 0.44)
    voltage: tuple[float, float] = (0.7, 1.3)
    t_gain: tuple[float, float] = (0.65, 1.4)
    p_gain: tuple[float, float] = (0.7, 1.4)
    weight: float = 1.0


def _st(*leads: float, centre: float = 0.50, top: float = 0.20, fall: float = 0.13) -> tuple[float, ...]:
    return (centre, top, 0.05, fall, *leads)


def _t(*leads: float) -> tuple[float, ...]:
    return (0.80, 0, 0.11, 0.09, *leads)


# Lead tables: I, II, V1, V2, V3, V4, V5, V6.
ANTERIOR_Q: Rows = ((27, 0, 10, 11, 0.0, 0.0, -0.25, -0.60, -0.95, -0.80, -0.30, -0.05),)
INFERIOR_Q: Rows = ((18, 0, 9, 8, 0.15, -0.42, 0.0, 0.05, 0.0, 0.0, -0.10, -0.12),)
LATERAL_Q: Rows = ((19, 0, 8, 8, -0.42, 0.05, 0.05, 0.05, 0.0, -0.15, -0.40, -0.40),)

MORPHOLOGIES: dict[str, Morphology] = {
    "normal": Morphology(
        ("Normal QRS, ST segment and T wave", "No ST-T changes, normal conduction intervals", "Normal tracing"),
        ("NORM",),
        turn_deg=(-30, 30),
        weight=16,
    ),
    "left_bundle_branch_block": Morphology(
        ("Left bundle branch block", "Complete left bundle branch block", "LBBB with secondary repolarisation changes"),
        ("CD",),
        LEFT_BUNDLE_QRS,
        LEFT_BUNDLE_T,
        stretch=(0.93, 1.18),
        turn_deg=(-35, 35),
        qtc_s=(0.42, 0.48),
    ),
    "right_bundle_branch_block": Morphology(
        ("Right bundle branch block", "Complete right bundle branch block", "RBBB, rsR' in V1"),
        ("CD",),
        RIGHT_BUNDLE_QRS,
        RIGHT_BUNDLE_T,
        stretch=(0.95, 1.2),
        turn_deg=(-85, 10),
        qtc_s=(0.40, 0.46),
    ),
    "incomplete_right_bundle_branch_block": Morphology(
        ("Incomplete right bundle branch block", "Incomplete RBBB with r' in V1"),
        ("CD",),
        INCOMPLETE_RIGHT_BUNDLE_QRS,
        stretch=(0.98, 1.1),
    ),
    "left_anterior_fascicular_block": Morphology(
        ("Left anterior fascicular block", "Left anterior hemiblock"),
        ("CD",),
        turn_deg=(-86, -68),
        stretch=(1.0, 1.15),
        voltage=(0.6, 0.95),
    ),
    "nonspecific_conduction_delay": Morphology(
        ("Nonspecific intraventricular conduction delay", "Intraventricular conduction disturbance, unspecific"),
        ("CD",),
        SLOW_QRS,
        stretch=(0.95, 1.15),
    ),
    "wolff_parkinson_white": Morphology(
        ("Wolff-Parkinson-White pattern", "Ventricular pre-excitation with short PR and delta wave"),
        ("CD",),
        DELTA_QRS,
        ((0.80, 0, 0.135, 0.09, 0.05, 0.08, 0.25), (0.5, 0.12, 0.07, 0.1, -0.08, -0.05, 0.0)),
        stretch=(0.95, 1.15),
        pr_s=(0.085, 0.115),
        turn_deg=(-60, 40),
    ),
    "left_ventricular_hypertrophy": Morphology(
        ("Left ventricular hypertrophy by voltage criteria", "Voltage criteria for LVH", "LVH"),
        ("HYP",),
        LEFT_HYPERTROPHY_QRS,
        turn_deg=(-30, 32),
        voltage=(0.85, 1.3),
        p_gain=(0.9, 1.7),
    ),
    "left_ventricular_hypertrophy_strain": Morphology(
        ("Left ventricular hypertrophy with strain pattern", "LVH with secondary ST-T changes in the lateral leads"),
        ("HYP", "STTC"),
        LEFT_HYPERTROPHY_QRS,
        STRAIN_T,
        turn_deg=(-30, 30),
        voltage=(0.85, 1.3),
        p_gain=(0.9, 1.7),
    ),
    "right_ventricular_hypertrophy": Morphology(
        ("Right ventricular hypertrophy", "Right ventricular hypertrophy with strain, tall R in V1"),
        ("HYP",),
        RIGHT_HYPERTROPHY_QRS,
        RIGHT_STRAIN_T,
        turn_deg=(-5, 22),
        p_gain=(1.0, 2.0),
        weight=0.7,
    ),
    "acute_anterior_infarction": Morphology(
        ("Acute anterior myocardial infarction, ST elevation in V1-V4", "Acute anterior STEMI"),
        ("MI",),
        local_qrs=tuple((*row[:4], *(0.4 * v for v in row[4:])) for row in ANTERIOR_Q),
        local_st=(
            _st(0.03, -0.05, 0.12, 0.26, 0.33, 0.25, 0.12, 0.04),
            _t(0.02, -0.03, 0.10, 0.30, 0.38, 0.28, 0.12, 0.03),
        ),
    ),
    "acute_inferior_infarction": Morphology(
        ("Acute inferior myocardial infarction, ST elevation in II, III and aVF", "Inferior STEMI"),
        ("MI",),
        local_qrs=tuple((*row[:4], *(0.5 * v for v in row[4:])) for row in INFERIOR_Q),
        local_st=(
            _st(-0.09, 0.19, -0.03, -0.13, -0.11, -0.04, 0.02, 0.05),
            _t(-0.07, 0.16, 0.0, -0.06, -0.05, 0.0, 0.03, 0.04),
        ),
    ),
    "acute_lateral_infarction": Morphology(
        ("Acute lateral myocardial infarction, ST elevation in I, aVL, V5 and V6", "Lateral STEMI"),
        ("MI",),
        local_qrs=tuple((*row[:4], *(0.4 * v for v in row[4:])) for row in LATERAL_Q),
        local_st=(
            _st(0.15, -0.05, -0.07, -0.08, 0.0, 0.11, 0.21, 0.19),
            _t(0.12, -0.03, -0.03, -0.03, 0.02, 0.10, 0.17, 0.14),
        ),
    ),
    "old_anterior_infarction": Morphology(
        ("Old anterior infarction, loss of R waves in V1-V4", "Q waves V1-V4, anterior infarction, age undetermined"),
        ("MI",),
        local_qrs=ANTERIOR_Q,
        local_st=(_t(-0.05, 0.0, 0.0, -0.20, -0.35, -0.42, -0.30, -0.15),),
    ),
    "old_inferior_infarction": Morphology(
        ("Old inferior infarction, Q waves in II, III and aVF", "Inferior infarction, age undetermined"),
        ("MI",),
        local_qrs=INFERIOR_Q,
        local_st=(_t(0.04, -0.20, 0.0, 0.08, 0.06, 0.0, -0.03, -0.05),),
    ),
    "ischaemia_st_depression": Morphology(
        ("ST depression in the anterolateral leads, suggesting ischaemia", "Horizontal ST depression V3-V6, ischaemia"),
        ("STTC",),
        local_st=(_st(-0.05, -0.09, 0.02, -0.02, -0.10, -0.17, -0.18, -0.13, fall=0.08),),
        t_gain=(0.3, 0.8),
    ),
    "ischaemia_t_inversion": Morphology(
        ("T wave inversion in the anterior leads, suggesting ischaemia", "Deep T wave inversion V2-V5, ischaemia"),
        ("STTC",),
        local_st=(_t(-0.14, -0.12, -0.05, -0.45, -0.75, -0.75, -0.55, -0.32),),
        qtc_s=(0.41, 0.48),
        t_gain=(0.2, 0.8),
    ),
    "nonspecific_t_changes": Morphology(
        ("Nonspecific T wave changes", "Flat T waves, nonspecific", "Nonspecific ST-T abnormality"),
        ("STTC",),
        t_gain=(-0.25, 0.3),
    ),
    "long_qt": Morphology(
        ("Prolonged QT interval", "Long QT interval", "QT prolongation"), ("STTC",), qtc_s=(0.49, 0.57)
    ),
    "hyperkalaemia": Morphology(
        ("Tall peaked T waves, suggesting hyperkalaemia", "Peaked T waves, consider hyperkalaemia"),
        ("STTC",),
        SLOW_QRS,
        ((0.82, 0, 0.075, 0.07, 0.78, 0.55, 0.52),),
        pr_s=(0.17, 0.23),
        p_gain=(0.2, 0.6),
        t_gain=(0.8, 1.5),
        weight=0.6,
    ),
    "hypokalaemia": Morphology(
        ("Flat T waves with prominent U waves, suggesting hypokalaemia", "Prominent U waves, consider hypokalaemia"),
        ("STTC",),
        t=(
            (0.50, 0.12, 0.06, 0.1, -0.07, -0.05, -0.03),
            (0.78, 0, 0.12, 0.09, 0.10, 0.06, 0.05),
            (1.12, 0, 0.09, 0.10, 0.12, 0.10, 0.13),
        ),
        weight=0.6,
    ),
    "digitalis_effect": Morphology(
        ("Scooped ST depression, digitalis effect", "Digitalis effect with sagging ST segments"),
        ("STTC",),
        t=((0.55, 0.02, 0.17, 0.15, -0.22, -0.13, -0.02), (0.84, 0, 0.10, 0.09, 0.16, 0.12, 0.10)),
        qtc_s=(0.34, 0.39),
        weight=0.6,
    ),
    "pericarditis": Morphology(
        ("Diffuse concave ST elevation, consistent with pericarditis", "Acute pericarditis, widespread ST elevation"),
        ("STTC",),
        local_st=(_st(0.09, 0.15, 0.01, 0.12, 0.17, 0.18, 0.16, 0.12, centre=0.55, top=0.22),),
        weight=0.5,
    ),
    "low_voltage": Morphology(
        ("Low voltage", "Low QRS voltage in all leads", "Low voltage of the limb and chest leads"),
        voltage=(0.24, 0.4),
        t_gain=(0.3, 0.6),
        p_gain=(0.4, 0.9),
    ),
}


class Waves(NamedTuple):
    """Flat-topped Gaussians: timing (K, 4) centre, half top, sigma before, after; leads (K, 8) mV of I, II, V1-V6."""

    timing: np.ndarray
    leads: np.ndarray


@dataclass
class Heart:
    """One individual: age and sex, projection of the heart vector (8, 3), turns in degrees, intervals and gains."""

    rng: np.random.Generator
    morphology: Morphology
    matrix: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        rng, kind = self.rng, self.morphology
        self.age = float(np.clip(np.rint(rng.normal(60, 17)), 18, 95))
        self.sex = "female" if rng.random() < 0.5 else "male"
        female = self.sex == "female"
        chest = 1 + 0.12 * rng.standard_normal((6, 1))
        self.matrix = LEAD_MATRIX * np.vstack([np.ones((2, 1)), chest]) + rng.normal(0, 0.05, (8, 3))
        self.turn_deg = _within(rng, kind.turn_deg) - 0.1 * (self.age - 60)
        self.transition_deg = float(np.clip(rng.normal(0, 12), -25, 25))
        self.pr_s = rng.uniform(*kind.pr_s)
        self.qtc_s = rng.uniform(*kind.qtc_s) + (0.008 if female else 0.0)
        self.voltage = _within(rng, kind.voltage) * (0.93 if female else 1.03)
        self.stretch = rng.uniform(*kind.stretch)
        self.severity = rng.uniform(*kind.severity)

    def atria(self, rows: Rows) -> Waves:
        """P wave, in seconds from its onset."""
        return self._waves(rows, (), 1e-3, self.rng.uniform(*self.morphology.p_gain), 0.2)

    def conducted(self) -> tuple[Waves, Waves]:
        """QRS in seconds from its onset, and repolarisation in QT intervals, of a beat conducted from the atria."""
        kind = self.morphology
        qrs = self._waves(kind.qrs + self._notches(kind.qrs), kind.local_qrs, 1e-3 * self.stretch, self.voltage, 1.0)
        return qrs, self._waves(kind.t, kind.local_st, 1.0, _within(self.rng, kind.t_gain), 0.3)

    def _notches(self, qrs: Rows) -> Rows:
        """Up to three small, sharp vectors within the QRS, as individuals have them."""
        rng, (first, last) = self.rng, (qrs[0][0], qrs[-1][0])
        draws = [(rng.uniform(first, last), rng.uniform(3, 6), rng.normal(0, 0.08, 3)) for _ in range(rng.integers(4))]
        return tuple((centre, 0, sigma, sigma, *vector) for centre, sigma, vector in draws)

    def ventricular(self, rows: Rows, turn_deg: float) -> tuple[Waves, Waves]:
        """The same of a beat that starts in a ventricle: repolarisation runs against the QRS."""
        gain = self.rng.uniform(0.8, 1.35) * self.voltage**0.5
        qrs = self._waves(rows, (), 1e-3 * self.rng.uniform(0.95, 1.15), gain, 0.3, turn_deg)
        against = -np.sum([row[4:] for row in rows], axis=0) * self.rng.uniform(0.16, 0.28)
        table = ((0.52, 0.12, 0.09, 0.10, *(0.35 * against)), (0.80, 0, 0.16, 0.09, *against))
        return qrs, self._waves(table, (), 1.0, gain, 0.3, turn_deg)

    def _waves(self, rows: Rows, local: Rows, unit: float, gain: float, follow: float, extra: float = 0.0) -> Waves:
        """Draw individual waves around a table; `follow` is the share of the axis turn that they take."""
        table = np.array(rows, float)
        vectors = table[:, 4:] * (1 + 0.12 * self.rng.standard_normal((len(table), 3)))
        turned = _turn(vectors, follow * self.turn_deg + extra, follow * self.transition_deg)
        timing, leads = table[:, :4], gain * turned @ self.matrix.T
        if local:
            extra_rows = np.array(local, float)
            spread = 1 + 0.15 * self.rng.standard_normal((len(extra_rows), 8))
            timing = np.vstack([timing, extra_rows[:, :4]])
            leads = np.vstack([leads, self.severity * extra_rows[:, 4:] * spread])
        widths = 1 + 0.08 * self.rng.standard_normal((len(timing), 1))
        timing = np.hstack([timing[:, :2], timing[:, 2:] * np.clip(widths, 0.8, 1.25)])
        return Waves(timing * unit, leads)


def frontal_axis_deg(qrs: Waves) -> float:
    """Frontal QRS axis in degrees (-180 to 180) from the net areas in leads I and aVF."""
    area = np.sqrt(np.pi / 2) * (qrs.timing[:, 2] + qrs.timing[:, 3]) + 2 * qrs.timing[:, 1]
    lead_i, lead_ii = area @ qrs.leads[:, :2]
    return float(np.degrees(np.arctan2((lead_ii - lead_i / 2) * 2 / np.sqrt(3), lead_i)))


def _within(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    """A draw that favours the middle of its range (mean of two uniform ones)."""
    return float(rng.uniform(*limits, 2).mean())


def _turn(vectors: np.ndarray, frontal_deg: float, horizontal_deg: float) -> np.ndarray:
    """Turn (K, 3) vectors in the frontal plane, left arm to feet, then in the horizontal one, left to front."""
    a, b = np.radians(frontal_deg), np.radians(horizontal_deg)
    x, y, z = vectors.T
    x, y = x * np.cos(a) - y * np.sin(a), x * np.sin(a) + y * np.cos(a)
    return np.stack([x * np.cos(b) - z * np.sin(b), y, x * np.sin(b) + z * np.cos(b)], axis=1)
