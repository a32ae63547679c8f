"""Recordings of other organs: brain, sleep, pressure, breath, labour, nerves. No trace here is an ECG."""

import numpy as np

from .refusal_canvas import BLACK, WHITE, Axes, Canvas, Colour, cloud, jittered, mixed, round_ticks, smooth, walk

_MONTAGE = (
    *("Fp1-F7", "F7-T3", "T3-T5", "T5-O1", "Fp2-F8", "F8-T4", "T4-T6", "T6-O2", "Fp1-F3", "F3-C3"),
    *("C3-P3", "P3-O1", "Fp2-F4", "F4-C4", "C4-P4", "P4-O2", "Fz-Cz", "Cz-Pz", "A1-A2", "EMG"),
)
_SLEEP = ("F3-M2", "C3-M2", "O1-M2", "LOC", "ROC", "Chin", "Flow", "Thorax", "Abdomen", "SpO2", "Snore", "Leg L")
_POLYGRAPH = ("Pneumo 1", "Pneumo 2", "EDA", "Cuff", "Motion")


def _oscillation(rng: np.random.Generator, seconds: np.ndarray, rate: float, breadth: float = 0.08) -> np.ndarray:
    """A wave whose rate and size wander."""
    wander = smooth(rng, len(seconds), max(4, int(seconds[-1])))
    phase = 2 * np.pi * np.cumsum(rate * (1 + breadth * wander)) * (seconds[1] - seconds[0])
    return np.sin(phase + rng.uniform(0, 6)) * (
        0.5 + 0.5 * np.abs(smooth(rng, len(seconds), max(4, len(seconds) // 250)))
    )


def _brain(rng: np.random.Generator, seconds: np.ndarray, alpha: float) -> np.ndarray:
    slow = _oscillation(rng, seconds, rng.uniform(1, 3.5), 0.3)
    fast = _oscillation(rng, seconds, rng.uniform(16, 24), 0.3)
    return alpha * _oscillation(rng, seconds, 9.5) + 0.6 * slow + 0.2 * fast + rng.normal(0, 0.12, len(seconds))


def eeg(rng: np.random.Generator) -> np.ndarray:
    """Twenty channels of an EEG with the names of their electrodes, one line a second."""
    paper: Colour = ((255, 255, 255), (250, 250, 240), (240, 244, 250))[int(rng.integers(3))]
    canvas = Canvas(rng, rng.uniform(1.25, 1.8), paper)
    left, top, right, bottom = canvas.inner(6, 3, 1, 3)
    length = int(rng.choice([8, 10, 12]))
    seconds = np.linspace(0, length, length * 150)
    names = _MONTAGE[: int(rng.choice([16, 18, 20]))]
    pitch = (bottom - top) / len(names)
    for second in range(length + 1):
        x = left + second * (right - left) / length
        canvas.line([(x, top), (x, bottom)], mixed(paper, (80, 90, 120), 0.3))
    ink: Colour = ((10, 10, 10), (20, 30, 110))[int(rng.integers(2))]
    blinks = sum(np.exp(-(((seconds - at) / 0.12) ** 2)) for at in rng.uniform(0, length, int(rng.integers(1, 6))))
    spikes = rng.random() < 0.3
    for row, name in enumerate(names):
        wave = _brain(rng, seconds, 1.1 if "O" in name or "P" in name else 0.4)
        if name.startswith("Fp"):
            wave = wave + 3.5 * blinks
        if name == "EMG" or (name.startswith("T") and rng.random() < 0.4):
            wave = wave + rng.normal(0, 0.6, len(seconds)) * np.abs(smooth(rng, len(seconds), 6))
        if spikes:
            wave = wave + 2.0 * np.exp(3 * np.sin(2 * np.pi * 3 * seconds) - 3) * (np.abs(seconds - 5) < 2)
        middle = top + (row + 0.5) * pitch
        canvas.curve(left + seconds / length * (right - left), middle - 0.3 * pitch * wave, ink)
        canvas.text(left - 0.6 * canvas.unit, middle + 0.35 * canvas.unit, name, canvas.unit, BLACK, align="right")
    x, y = right - 6 * canvas.unit, bottom + 0.8 * canvas.unit
    canvas.line([(x, y), (x, y + 1.4 * canvas.unit)], BLACK, canvas.thin(1.5))
    canvas.text(x + 0.5 * canvas.unit, y + 1.2 * canvas.unit, "50 µV", canvas.unit)
    settings = (
        f"LF {rng.choice([0.3, 0.5, 1.0])} Hz   HF {rng.choice([35, 70])} Hz   {rng.choice([7, 10])} µV/mm   30 mm/s"
    )
    canvas.text(left, 2 * canvas.unit, settings, 1.1 * canvas.unit)
    return canvas.image


def sleep_study(rng: np.random.Generator) -> np.ndarray:
    """Thirty seconds of a night in the sleep laboratory, or the strip of a polygraph."""
    polygraph = rng.random() < 0.4
    names = _POLYGRAPH if polygraph else _SLEEP
    dark = rng.random() < 0.3
    paper: Colour = (12, 14, 20) if dark else (252, 252, 250)
    canvas = Canvas(rng, rng.uniform(1.3, 2.0), paper)
    ink: Colour = (220, 220, 220) if dark else (30, 30, 30)
    left, top, right, bottom = canvas.inner(7, 3, 1, 3)
    canvas.grid((left, top, right, bottom), ((right - left) / 30, bottom - top), mixed(paper, ink, 0.15))
    seconds, pitch = np.linspace(0, 30, 4500), (bottom - top) / len(names)
    colours = [(0, 0, 0), (0, 70, 160), (160, 30, 30), (0, 110, 60), (120, 60, 130)]
    pause = (seconds > 12) & (seconds < 20) & (rng.random() < 0.4)
    for row, name in enumerate(names):
        if name in ("Flow", "Thorax", "Abdomen", "Pneumo 1", "Pneumo 2"):
            wave = _oscillation(rng, seconds, 0.27) * np.where(pause, 0.1, 1.0)
        elif name in ("Chin", "Snore", "Leg L"):
            wave = rng.normal(0, 0.3, len(seconds)) * (0.1 + np.abs(smooth(rng, len(seconds), 9)))
        elif name in ("SpO2", "EDA", "Motion"):
            wave = 0.6 * smooth(rng, len(seconds), 8) + rng.normal(0, 0.01, len(seconds))
        elif name == "Cuff":
            wave = np.maximum(0, np.sin(2 * np.pi * 1.15 * seconds)) ** 2 + 0.3 * smooth(rng, len(seconds), 8)
        else:
            wave = 0.6 * _brain(rng, seconds, 0.3)
        middle = top + (row + 0.5) * pitch
        colour = mixed(colours[row % 5], WHITE, 0.6) if dark else colours[row % 5]
        canvas.curve(left + seconds / 30 * (right - left), middle - 0.32 * pitch * wave, colour)
        canvas.text(left - 0.6 * canvas.unit, middle, name, canvas.unit, ink, align="right")
    canvas.text(
        left,
        2 * canvas.unit,
        f"Epoch {int(rng.integers(1, 960))}   Stage N{int(rng.integers(1, 4))}   30 s",
        canvas.unit,
        ink,
    )
    return canvas.image


def seismogram(rng: np.random.Generator) -> np.ndarray:
    """The drum of a seismograph, or three components of one earthquake."""
    drum = rng.random() < 0.5
    canvas = Canvas(rng, rng.uniform(1.1, 1.7), jittered(rng, (250, 248, 238), 4))
    left, top, right, bottom = canvas.inner(6, 5, 2, 5)
    rows = int(rng.integers(18, 36)) if drum else 3
    pitch, samples = (bottom - top) / rows, 3000
    colours = [(0, 0, 0), (180, 20, 20), (20, 20, 160), (10, 110, 30)] if rng.random() < 0.6 else [(20, 20, 40)]
    shock, at = int(rng.integers(rows)), int(rng.uniform(0.1, 0.5) * samples)
    time = np.arange(samples)
    for row in range(rows):
        noise = np.convolve(rng.normal(0, 1, samples), np.hanning(9) / 3, "same") * rng.uniform(0.4, 0.7)
        if row == shock or not drum:
            after = np.maximum(time - at, 0)
            second = np.maximum(time - at - 320, 0)
            noise = noise + rng.normal(0, 1, samples) * (2.5 * np.exp(-after / 250) * (after > 0))
            noise = noise + 9 * np.sin(second / rng.uniform(5, 8)) * np.exp(-second / 420) * (second > 0)
        middle = top + (row + 0.5) * pitch
        height = 0.16 * pitch if drum else 0.05 * pitch
        canvas.curve(left + time / samples * (right - left), middle - height * noise, colours[row % len(colours)])
        name = f"{row % 24:02d}:00" if drum else ("BHZ", "BHN", "BHE")[row]
        canvas.text(left - 0.5 * canvas.unit, middle + 0.3 * canvas.unit, name, canvas.unit, align="right")
    axes = Axes(canvas, (left, top, right, bottom), (0, 60 if drum else 600), (0, 1))
    axes.ticks(np.linspace(0, axes.x_range[1], 7), "x", (215, 215, 215))
    axes.frame(True)
    axes.labels(f"Station {''.join(rng.choice(list('ABEKLMRSTV'), 4))}", "minutes" if drum else "seconds")
    return canvas.image


def pressure_monitor(rng: np.random.Generator) -> np.ndarray:
    """A bedside screen with arterial pressure, plethysmogram and breath, and large numbers."""
    canvas = Canvas(rng, rng.uniform(1.3, 1.8), (4, 6, 8))
    unit, seconds, rate = canvas.unit, np.linspace(0, 6, 2400), rng.uniform(0.9, 2.0)
    phase = (seconds * rate + rng.uniform(0, 1)) % 1.0
    upstroke = np.clip(phase / 0.14, 0, 1)
    arterial = np.sin(np.pi / 2 * upstroke) * np.exp(-2.2 * np.maximum(phase - 0.14, 0))
    arterial = arterial + 0.12 * np.exp(-(((phase - 0.42) / 0.05) ** 2))
    pulse = np.sin(np.pi * np.clip(((phase - 0.25) % 1.0) * 1.4, 0, 1)) ** 1.6
    breath = 0.5 + 0.45 * np.sin(2 * np.pi * seconds * rng.uniform(0.2, 0.35))
    venous = 0.4 + 0.15 * np.sin(2 * np.pi * (seconds * rate)) + 0.1 * np.sin(4 * np.pi * seconds * rate + 1)
    systolic, diastolic = int(rng.integers(85, 180)), int(rng.integers(40, 80))
    rows: list[tuple[str, np.ndarray, Colour, str]] = [
        ("ART", arterial, (235, 60, 60), f"{systolic}/{diastolic}"),
        ("SpO2", pulse, (70, 200, 240), f"{int(rng.integers(86, 100))}"),
        ("CVP", venous, (90, 140, 255), f"{int(rng.integers(2, 16))}"),
        ("RESP", breath, (240, 220, 70), f"{int(rng.integers(8, 30))}"),
    ]
    rows = [rows[0], rows[1], *(row for row in rows[2:] if rng.random() < 0.7)]
    left, top, right, bottom = canvas.inner(1, 4, 18, 2)
    tall = (bottom - top) / len(rows)
    for index, (name, wave, colour, number) in enumerate(rows):
        low = top + (index + 0.9) * tall
        canvas.curve(left + seconds / 6 * (right - left), low - 0.7 * tall * wave, colour, canvas.thin(2.5))
        gap = left + (right - left) * 0.62
        canvas.box((gap, low - tall * 0.88, gap + 1.2 * unit, low + 0.08 * tall), None, (4, 6, 8))
        canvas.text(left, low - 0.72 * tall, name, 1.3 * unit, colour)
        canvas.text(right + unit, low - 0.25 * tall, number, 4.2 * unit, colour, weight=700)
        canvas.text(right + unit, low - 0.68 * tall, name, 1.2 * unit, colour)
        canvas.line([(0, low + 0.1 * tall), (canvas.width, low + 0.1 * tall)], (40, 44, 50))
    canvas.box((0, 0, canvas.width, 2.4 * unit), None, (30, 50, 80))
    canvas.text(unit, 1.8 * unit, f"Bed {int(rng.integers(1, 30))}   ADULT", 1.4 * unit, WHITE)
    canvas.text(
        canvas.width - unit,
        1.8 * unit,
        f"{int(rng.integers(0, 24)):02d}:{int(rng.integers(60)):02d}",
        1.4 * unit,
        WHITE,
        align="right",
    )
    return canvas.image


def spirometry(rng: np.random.Generator) -> np.ndarray:
    """Flow over volume, volume over time, and the table of what was predicted."""
    canvas = Canvas(rng, rng.uniform(0.7, 1.4))
    left, top, right, bottom = canvas.inner(6, 8, 2, 4)
    split, middle, unit = (left + right) / 2, top + 0.55 * (bottom - top), canvas.unit
    capacity, peak = rng.uniform(2, 6), rng.uniform(3, 11)
    loop = Axes(canvas, (left, top, split - 3 * unit, middle - 3 * unit), (-0.5, 7), (-9, 12))
    time = Axes(canvas, (split + 4 * unit, top, right, middle - 3 * unit), (0, 8), (0, 7))
    for axes, (title, below, beside) in (
        (loop, ("Flow / volume", "Volume (l)", "Flow (l/s)")),
        (time, ("Volume / time", "Time (s)", "Volume (l)")),
    ):
        axes.ticks(round_ticks(*axes.x_range, 6), "x", (225, 225, 225))
        axes.ticks(round_ticks(*axes.y_range, 6), "y", (225, 225, 225))
        axes.frame(True)
        axes.labels(title, below, beside)
    colours: list[Colour] = [(200, 30, 30), (20, 60, 180), (20, 130, 50)]
    for effort in range(int(rng.integers(1, 4))):
        volume = np.linspace(0, capacity * rng.uniform(0.9, 1), 200)
        part = volume / volume[-1]
        flow = peak * np.minimum(part / 0.12, 1) * ((1 - part) / 0.88).clip(0, 1) ** rng.uniform(0.9, 2.2)
        loop.plot(volume, flow + rng.normal(0, 0.06, 200), colours[effort], canvas.thin(2))
        loop.plot(volume, -0.55 * peak * np.sin(np.pi * part) ** 0.8, colours[effort], canvas.thin(2))
        seconds = np.linspace(0, 8, 200)
        time.plot(seconds, volume[-1] * (1 - np.exp(-seconds / rng.uniform(0.5, 1.6))), colours[effort], canvas.thin(2))
    tall = (bottom - middle) / 7
    for row, name in enumerate(("", "FVC (l)", "FEV1 (l)", "FEV1/FVC", "PEF (l/s)", "MEF50", "TLC (l)")):
        y = middle + (row + 0.7) * tall
        cells = ("measured", "predicted", "% pred.") if not row else [f"{v:.2f}" for v in rng.uniform(0.5, 9, 3)]
        for place, cell in zip((0.0, 0.35, 0.55, 0.75), (name, *cells), strict=True):
            canvas.text(left + place * (right - left), y, cell, 1.1 * unit, weight=400 if row else 700)
        canvas.line([(left, y + 0.3 * tall), (right, y + 0.3 * tall)], (170, 170, 170))
    canvas.text(left, 3 * unit, "PULMONARY FUNCTION TEST", 1.8 * unit, weight=700)
    return canvas.image


def cardiotocogram(rng: np.random.Generator) -> np.ndarray:
    """A fetus's heart rate above and contractions below, on the paper made for it."""
    tint: Colour = ((240, 150, 150), (150, 200, 150), (240, 170, 110), (170, 170, 210))[int(rng.integers(4))]
    paper = jittered(rng, (254, 250, 246), 2)
    canvas = Canvas(rng, rng.uniform(1.4, 2.4), paper)
    left, top, right, bottom = canvas.inner(0, 2, 0, 3)
    gap = top + 0.6 * (bottom - top)
    minutes = int(rng.integers(12, 26))
    rate = Axes(canvas, (left, top, right, gap), (0, minutes), (50, 210))
    tone = Axes(canvas, (left, gap + 2 * canvas.unit, right, bottom), (0, minutes), (0, 100))
    wide = right - left
    for axes, steps in ((rate, 32), (tone, 20)):
        tall = axes.box[3] - axes.box[1]
        canvas.grid(axes.box, (wide / (minutes * 2), tall / steps), mixed(paper, tint, 0.5))
        canvas.grid(axes.box, (wide / minutes, tall / steps * (4 if steps == 32 else 5)), tint, canvas.thin(1.5))
    for minute in range(2, minutes, 6):
        x = minute / minutes * wide
        for value in (60, 90, 120, 150, 180, 200):
            canvas.text(x, float(rate.place(0, value)[0, 1]) + 0.4 * canvas.unit, str(value), canvas.unit, tint)
        for value in (0, 25, 50, 75, 100):
            canvas.text(x, float(tone.place(0, value)[0, 1]) + 0.4 * canvas.unit, str(value), canvas.unit, tint)
    time = np.linspace(0, minutes, minutes * 120)
    cycle, first = rng.uniform(2.5, 5), rng.uniform(0, 3)
    pushes = np.exp(-((((time - first + cycle / 2) % cycle - cycle / 2) / 0.45) ** 2))
    late = np.roll(pushes, int(rng.uniform(0, 50)))
    beats = rng.uniform(115, 155) + 4 * smooth(rng, len(time), minutes * 5) + 2 * rng.normal(0, 1, len(time)) * 0.8
    beats = beats + rng.choice([-25.0, 15.0, 0.0]) * late
    lost = smooth(rng, len(time), minutes * 2) > 1.5
    ink: Colour = ((10, 10, 10), (40, 30, 90))[int(rng.integers(2))]
    for piece in np.split(np.arange(len(time)), np.flatnonzero(np.diff(lost)) + 1):
        if not lost[piece[0]]:
            rate.plot(time[piece], beats[piece], ink, canvas.thin(1.5))
    tone.plot(
        time,
        12 + 55 * pushes + 3 * smooth(rng, len(time), minutes * 3) + rng.normal(0, 0.8, len(time)),
        ink,
        canvas.thin(1.5),
    )
    stamp = (
        f"{int(rng.integers(1, 29))}.{int(rng.integers(1, 13))}.  {int(rng.integers(24)):02d}:10   US  TOCO   1 cm/min"
    )
    canvas.text(3 * canvas.unit, gap + 1.5 * canvas.unit, stamp, 1.1 * canvas.unit)
    return canvas.image


def nerve_conduction(rng: np.random.Generator) -> np.ndarray:
    """Answers of a muscle to a stimulated nerve, row above row, beside a table of latencies."""
    dotted = rng.random() < 0.5
    canvas = Canvas(rng, rng.uniform(0.9, 1.5), (252, 252, 252))
    left, top, right, bottom = canvas.inner(3, 7, 22, 3)
    rows = int(rng.integers(3, 7))
    across, tall, unit = (right - left) / 10, (bottom - top) / rows, canvas.unit
    if dotted:
        for x in np.arange(left, right + 1, across):
            for y in np.arange(top, bottom + 1, across):
                canvas.dot(x, y, 0.15 * unit, (120, 120, 120))
    else:
        canvas.grid((left, top, right, bottom), (across, tall / 3), (215, 222, 230))
    seconds = np.linspace(0, 30, 1500)
    for row, place in zip(range(rows), ("Wrist", "Elbow", "Axilla", "Palm", "Ankle", "Knee"), strict=False):
        delay, size = 3 + 2.5 * row + rng.uniform(0, 1), rng.uniform(0.6, 1)
        bent = (seconds - delay) / rng.uniform(1.3, 2.0)
        wave = np.where(bent > 0, size * np.sin(np.pi * np.minimum(bent, 3.4) / 1.7) * np.exp(-0.5 * bent), 0.0)
        wave = wave + 0.5 * np.exp(-(((seconds - 0.6) / 0.12) ** 2)) + 0.01 * walk(rng, len(seconds), 2)
        middle = top + (row + 0.6) * tall
        canvas.curve(left + seconds / 30 * (right - left), middle - 0.45 * tall * wave, (20, 40, 120), canvas.thin(1.5))
        canvas.text(left + 0.3 * unit, middle - 0.35 * tall, f"{row + 1} {place}", unit)
        canvas.text(right + unit, middle, f"{delay:.1f} ms   {8 * size:.1f} mV", 1.1 * unit)
    canvas.text(
        left,
        2.6 * unit,
        f"Motor NCS   {rng.choice(['R Median', 'L Ulnar', 'R Tibial', 'L Peroneal'])}",
        1.6 * unit,
        weight=700,
    )
    canvas.text(left, 4.8 * unit, "5 mV/div   3 ms/div   20 Hz - 10 kHz   33 °C", 1.1 * unit)
    return canvas.image


def scan_slice(rng: np.random.Generator) -> np.ndarray:
    """A grey slice through a body with the marks of its machine."""
    canvas = Canvas(rng, rng.uniform(0.9, 1.3), BLACK)
    unit, size = canvas.unit, canvas.image.shape[:2]
    y, x = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float32)
    u, v = (x / size[1] - 0.5) * 2, (y / size[0] - 0.5) * 2
    u, v = u + 0.05 * (cloud(rng, size, 2) - 0.5), v + 0.05 * (cloud(rng, size, 2) - 0.5)
    body = (u / 0.8) ** 2 + (v / 0.6) ** 2
    level = np.where(body < 1, 90 + 40 * cloud(rng, size), 4)
    level = np.where((body < 1) & (body > 0.9), 50, level)
    for _ in range(int(rng.integers(3, 9))):
        place, reach = rng.uniform(-0.45, 0.45, 2), rng.uniform(0.05, 0.25, 2)
        organ = ((u - place[0]) / reach[0]) ** 2 + ((v - 0.7 * place[1]) / reach[1]) ** 2 < 1
        level = np.where(organ, rng.choice([15, 120, 150, 180]) + 25 * cloud(rng, size), level)
    bone = ((u / 0.12) ** 2 + ((v - 0.42) / 0.1) ** 2) < 1
    level = np.where(bone, 235, level) + rng.normal(0, 5, size)
    canvas.image[:] = np.clip(level, 0, 255).astype(np.uint8)[..., None]
    for row, text in enumerate(
        ("SE 3  IM " + str(int(rng.integers(1, 90))), "W 400  L 40", "kV 120  mA 210", "5.0 mm")
    ):
        canvas.text(unit, (2 + 1.6 * row) * unit, text, 1.2 * unit, WHITE)
    canvas.text(canvas.width / 2, 2 * unit, "A", 1.6 * unit, WHITE, align="centre")
    canvas.text(canvas.width - 2 * unit, canvas.height / 2, "L", 1.6 * unit, WHITE)
    return canvas.image
