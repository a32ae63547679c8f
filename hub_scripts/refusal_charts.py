"""Charts that are no ECG: prices, lines, bars, points, spectra, sound, growth."""

import numpy as np

from .refusal_canvas import BLACK, PALETTES, WHITE, Axes, Canvas, Colour, mixed, round_ticks, smooth, walk

_TOPICS = ("Revenue", "Energy use", "Visitors", "Rainfall", "Exports", "Unemployment", "Traffic", "Yield")
_SERIES = ("North", "South", "Plan", "Actual", "2021", "2022", "Model A", "Model B", "Median", "Target", "Control")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def _theme(rng: np.random.Generator) -> tuple[Colour, Colour, Colour]:
    """Paper, ink and lines of a chart; one in four is a dark screen."""
    if rng.random() < 0.25:
        return (22, 26, 37), (200, 205, 215), (48, 54, 68)
    paper = ((255, 255, 255), (250, 250, 247), (234, 234, 242))[int(rng.integers(3))]
    return paper, (40, 40, 40), mixed(paper, BLACK, 0.12)


def _palette(rng: np.random.Generator) -> list[Colour]:
    return [PALETTES[int(rng.integers(len(PALETTES)))][int(k)] for k in rng.permutation(5)]


def stock_prices(rng: np.random.Generator) -> np.ndarray:
    """Candles with moving averages, and the volume below."""
    paper, ink, lines = _theme(rng)
    canvas = Canvas(rng, rng.uniform(1.4, 2.0), paper)
    days = int(rng.integers(60, 140))
    close = float(rng.uniform(20, 400)) * np.exp(walk(rng, days, 0.35) + 0.1 * smooth(rng, days, 5))
    start = np.concatenate([[close[0]], close[:-1]]) * (1 + rng.normal(0, 0.004, days))
    high = np.maximum(start, close) * (1 + np.abs(rng.normal(0, 0.012, days)))
    low = np.minimum(start, close) * (1 - np.abs(rng.normal(0, 0.012, days)))
    left, top, right, bottom = canvas.inner(3, 5, 7, 4)
    prices = Axes(canvas, (left, top, right, bottom * 0.74), (-1, days), (low.min() * 0.98, high.max() * 1.02), ink)
    rise, fall = (((38, 166, 154), (239, 83, 80)), ((0, 130, 60), (190, 30, 40)), (paper, ink))[int(rng.integers(3))]
    for value in round_ticks(*prices.y_range, 7):
        y = float(prices.place(0, value)[0, 1])
        canvas.line([(left, y), (right, y)], lines)
        canvas.text(right + 0.6 * canvas.unit, y + 0.35 * canvas.unit, f"{value:.2f}", canvas.unit, ink)
    half = 0.36 * (right - left) / (days + 1)
    volume = np.abs(rng.normal(0, 1, days)) + 0.3
    for day in range(days):
        colour = rise if close[day] >= start[day] else fall
        prices.plot([day, day], [low[day], high[day]], ink if colour == paper else colour)
        (x, y0), (_, y1) = prices.place([day, day], [start[day], close[day]])
        canvas.box((x - half, min(y0, y1), x + half, max(y0, y1)), ink if colour == paper else None, colour)
        height = (bottom - bottom * 0.78) * volume[day] / volume.max()
        canvas.box(
            (x - half, bottom - height, x + half, bottom), None, mixed(ink if colour == paper else colour, paper, 0.5)
        )
    for length, colour in zip((10, 30), _palette(rng), strict=False):
        mean = np.convolve(close, np.ones(length) / length, "valid")
        prices.plot(np.arange(length - 1, days), mean, colour, canvas.thin(1.5))
        canvas.text(left + (length - 10) * 0.6 * canvas.unit, top - canvas.unit, f"MA({length})", canvas.unit, colour)
    name = "".join(rng.choice(list("ABCDEKLMNPRST"), 3))
    canvas.text(left, 2.4 * canvas.unit, f"{name} daily  {close[-1]:.2f}", 1.6 * canvas.unit, ink, weight=700)
    for day in range(5, days, 20):
        x = float(prices.place(day, close[0])[0, 0])
        canvas.text(x, bottom + 1.6 * canvas.unit, _MONTHS[day // 20 % 12], canvas.unit, ink, align="centre")
    return canvas.image


def line_chart(rng: np.random.Generator) -> np.ndarray:
    """A few series over a time, with their legend."""
    paper, ink, lines = _theme(rng)
    canvas = Canvas(rng, rng.uniform(1.1, 1.9), paper)
    number, points = int(rng.integers(2, 6)), int(rng.integers(10, 150))
    series = [rng.uniform(20, 80) + rng.uniform(5, 25) * smooth(rng, points, 4) for _ in range(number)]
    series = [values + rng.uniform(0, 6) * rng.normal(0, 1, points) for values in series]
    low, high = min(values.min() for values in series), max(values.max() for values in series)
    first = float(rng.integers(1960, 2010))
    axes = Axes(canvas, canvas.inner(8, 5, 4, 7), (first, first + 20), (low - 5, high + 12), ink)
    axes.ticks(round_ticks(*axes.y_range, 6), "y", lines)
    axes.ticks(np.arange(first, first + 21, 4), "x", lines if rng.random() < 0.5 else None)
    axes.frame(bool(rng.random() < 0.4), canvas.thin(1.5))
    topic = str(rng.choice(_TOPICS))
    axes.labels(f"{topic} by year", "Year", f"{topic} (index)")
    colours, marks = _palette(rng), rng.random() < 0.5 and points < 40
    _, top, right, _ = axes.box
    names = rng.choice(_SERIES, number, replace=False)
    for index, values in enumerate(series):
        x = np.linspace(first, first + 20, points)
        axes.plot(x, values, colours[index], canvas.thin(rng.uniform(1.5, 3)))
        for across, down in axes.place(x, values) if marks else []:
            canvas.dot(across, down, 0.45 * canvas.unit, colours[index])
        y = top + (1.5 + 1.6 * index) * canvas.unit
        canvas.line([(right - 10 * canvas.unit, y), (right - 7 * canvas.unit, y)], colours[index], canvas.thin(2))
        canvas.text(right - 6.5 * canvas.unit, y + 0.4 * canvas.unit, str(names[index]), 1.1 * canvas.unit, ink)
    return canvas.image


def bar_chart(rng: np.random.Generator) -> np.ndarray:
    """Groups of bars, side by side or on top of each other."""
    paper, ink, lines = _theme(rng)
    canvas = Canvas(rng, rng.uniform(1.0, 1.8), paper)
    groups, number, stacked = int(rng.integers(4, 13)), int(rng.integers(1, 4)), rng.random() < 0.4
    heights = rng.uniform(5, 60, (groups, number)) * (1 + 0.5 * smooth(rng, groups, 3)[:, None] ** 2)
    top_value = float((heights.sum(1) if stacked else heights).max()) * 1.15
    axes = Axes(canvas, canvas.inner(8, 5, 3, 6), (0, groups), (0, top_value), ink)
    axes.ticks(round_ticks(0, top_value, 6), "y", lines)
    colours, wide = _palette(rng), float(rng.uniform(0.5, 0.9))
    for group in range(groups):
        base = 0.0
        for index in range(number):
            left = group + 0.5 - wide / 2 + (0 if stacked else index * wide / number)
            right = left + (wide if stacked else wide / number)
            low, value = (base, heights[group, index]) if stacked else (0.0, heights[group, index])
            (x0, y1), (x1, y0) = axes.place([left, right], [low, low + value])
            canvas.box((x0, y0, x1, y1), ink if rng.random() < 0.3 else None, colours[index])
            base += value
        x = float(axes.place(group + 0.5, 0)[0, 0])
        canvas.text(x, axes.box[3] + 1.6 * canvas.unit, _MONTHS[group % 12], canvas.unit, ink, align="centre")
        if not stacked and number == 1:
            y = float(axes.place(0, heights[group, 0])[0, 1])
            canvas.text(x, y - 0.4 * canvas.unit, f"{heights[group, 0]:.0f}", canvas.unit, ink, align="centre")
    axes.frame(False, canvas.thin(1.5))
    topic = str(rng.choice(_TOPICS))
    axes.labels(f"{topic}, {int(rng.integers(1990, 2025))}", "", f"{topic} in thousands")
    return canvas.image


def scatter_plot(rng: np.random.Generator) -> np.ndarray:
    """Points of two or three groups with lines fitted through them."""
    paper, ink, lines = _theme(rng)
    canvas = Canvas(rng, rng.uniform(1.0, 1.6), paper)
    axes = Axes(canvas, canvas.inner(8, 5, 4, 7), (0, 100), (0, 100), ink)
    axes.ticks(np.arange(0, 101, 20), "x", lines)
    axes.ticks(np.arange(0, 101, 20), "y", lines)
    colours = _palette(rng)
    for index in range(int(rng.integers(1, 4))):
        x = np.clip(rng.normal(rng.uniform(25, 75), rng.uniform(8, 22), int(rng.integers(30, 250))), 1, 99)
        slope, level = rng.uniform(-0.9, 0.9), rng.uniform(35, 65)
        y = np.clip(level + slope * (x - 50) + rng.normal(0, rng.uniform(4, 15), len(x)), 1, 99)
        thickness = -1 if rng.random() < 0.6 else canvas.thin()
        for across, down in axes.place(x, y):
            canvas.dot(across, down, canvas.unit * 0.35, colours[index], thickness)
        ends = np.array([x.min(), x.max()])
        axes.plot(ends, np.clip(level + slope * (ends - 50), 0, 100), colours[index], canvas.thin(2))
    axes.frame(bool(rng.random() < 0.6), canvas.thin())
    axes.labels(f"r = {rng.uniform(-1, 1):.2f}, n = {int(rng.integers(30, 900))}", "Dose (mg/kg)", "Response (%)")
    return canvas.image


def spectrum(rng: np.random.Generator) -> np.ndarray:
    """Peaks of a nuclear resonance, a mass or an infrared spectrum."""
    kind = str(rng.choice(["resonance", "mass", "infrared"]))
    canvas = Canvas(rng, rng.uniform(1.3, 1.9))
    ink: Colour = (10, 10, 10) if rng.random() < 0.6 else ((180, 20, 30), (20, 40, 160))[int(rng.integers(2))]
    spans = {"resonance": (10.0, 0.0), "mass": (40.0, 460.0), "infrared": (4000.0, 400.0)}
    axes = Axes(canvas, canvas.inner(6, 6, 3, 6), spans[kind], (-4, 108))
    start, end = spans[kind]
    x = np.linspace(start, end, 4000)
    peaks = rng.uniform(min(start, end), max(start, end), int(rng.integers(6, 22)))
    sizes = np.clip(rng.exponential(30, len(peaks)), 3, 100)
    if kind == "mass":
        for place, size in [*zip(peaks, sizes, strict=True), (float(peaks[0]), 100.0)]:
            axes.plot([place, place], [0, size], ink, canvas.thin(1.5))
            (px, py), *_ = axes.place(place, size)
            canvas.text(px, py - 0.3 * canvas.unit, f"{place:.1f}", canvas.unit, align="centre")
        axes.plot([start, end], [0, 0], BLACK)
    else:
        width = 0.008 if kind == "resonance" else 25.0
        y = rng.normal(0, 0.25, len(x))
        for place, size in zip(peaks, sizes, strict=True):
            lines = int(rng.integers(1, 6)) if kind == "resonance" else 1
            for line in range(lines):
                share = float(np.exp(-((line - (lines - 1) / 2) ** 2)))
                y += share * size / (1 + ((x - place - (line - (lines - 1) / 2) * 4 * width) / width) ** 2)
        y = np.clip(y, -3, 105)
        axes.plot(x, y if kind == "resonance" else 100 - 0.8 * y, ink, canvas.thin())
    axes.ticks(np.linspace(start, end, 8 if kind == "mass" else 11 if kind == "resonance" else 10), "x")
    axes.frame(bool(rng.random() < 0.4 or kind == "infrared"))
    below = {"resonance": "chemical shift (ppm)", "mass": "m/z", "infrared": "wavenumber (1/cm)"}[kind]
    beside = {"resonance": "", "mass": "relative abundance (%)", "infrared": "transmittance (%)"}[kind]
    axes.labels(f"Sample {int(rng.integers(1, 99))}-{rng.choice(list('ABCDE'))}", below, beside)
    return canvas.image


def audio_waveform(rng: np.random.Generator) -> np.ndarray:
    """The window of a sound editor: one or two tracks, on dark or light ground."""
    dark = rng.random() < 0.6
    paper, ink, lines = (
        ((30, 32, 36), (190, 190, 190), (60, 62, 68)) if dark else (WHITE, (50, 50, 50), (215, 215, 215))
    )
    canvas = Canvas(rng, rng.uniform(1.5, 2.4), paper)
    tracks = int(rng.integers(1, 4))
    left, top, right, bottom = canvas.inner(5, 5, 1, 2)
    colour = (((80, 160, 255), (90, 220, 120), (255, 150, 50)) if dark else PALETTES[0][:3])[int(rng.integers(3))]
    columns = int(right - left)
    tall = (bottom - top) / tracks
    words = np.repeat(rng.random(60) ** 2, columns // 60 + 1)[:columns]
    for track in range(tracks):
        middle = top + (track + 0.5) * tall
        loud = np.convolve(words, np.hanning(25) / 12, "same") * (0.7 + 0.3 * rng.random(columns)) + 0.01
        for column, level in enumerate(np.clip(loud, 0, 0.95)):
            x, reach = left + column, 0.5 * tall * level
            canvas.line([(x, middle - reach * rng.uniform(0.6, 1)), (x, middle + reach * rng.uniform(0.6, 1))], colour)
            canvas.line([(x, middle - 0.5 * reach), (x, middle + 0.5 * reach)], mixed(colour, paper, 0.3))
        canvas.line([(left, middle), (right, middle)], lines)
        canvas.box((left, middle - tall / 2, right, middle + tall / 2), lines)
        canvas.text(0.5 * canvas.unit, middle, f"Track {track + 1}", canvas.unit, ink)
        canvas.text(0.5 * canvas.unit, middle + 1.5 * canvas.unit, "44.1 kHz", 0.9 * canvas.unit, ink)
    for second in range(0, 21, 2):
        x = left + second * (right - left) / 20
        canvas.line([(x, top - canvas.unit), (x, top)], ink)
        canvas.text(x + 3, top - canvas.unit, f"0:{second:02d}", canvas.unit, ink)
    return canvas.image


def growth_chart(rng: np.random.Generator) -> np.ndarray:
    """Percentile curves over age on a fine grid, with the crosses of one child."""
    tint: Colour = ((225, 90, 140), (60, 120, 190), (60, 140, 90))[int(rng.integers(3))]
    canvas = Canvas(rng, rng.uniform(0.68, 0.8))
    years = int(rng.choice([3, 5, 18]))
    axes = Axes(canvas, canvas.inner(7, 7, 6, 7), (0, years), (40, 62 + 7.6 * years))
    left, top, right, bottom = axes.box
    canvas.grid(
        axes.box, ((right - left) / (years * (12 if years < 9 else 4)), (bottom - top) / 60), mixed(WHITE, tint, 0.25)
    )
    canvas.grid(axes.box, ((right - left) / years, (bottom - top) / 12), mixed(WHITE, tint, 0.55), canvas.thin())
    age = np.linspace(0, years, 200)
    for rank, name in zip((-1.9, -1.3, -0.7, 0, 0.7, 1.3, 1.9), ("3", "10", "25", "50", "75", "90", "97"), strict=True):
        height = 50 + (7.2 * years - 8) * (age / years) ** 0.62 + rank * (2 + 0.35 * age)
        axes.plot(age, height, tint, canvas.thin(3 if rank == 0 else 1.5))
        (_, y), *_ = axes.place(years, height[-1])
        canvas.text(right + 0.5 * canvas.unit, y + 0.3 * canvas.unit, name, canvas.unit, tint)
    visits, rank = np.sort(rng.uniform(0, years, int(rng.integers(4, 14)))), rng.normal(0, 1)
    heights = 50 + (7.2 * years - 8) * (visits / years) ** 0.62 + (rank + rng.normal(0, 0.15, len(visits))) * 3
    for x, y in axes.place(visits, heights):
        reach = 0.5 * canvas.unit
        canvas.line([(x - reach, y - reach), (x + reach, y + reach)], (30, 30, 90), canvas.thin(1.5))
        canvas.line([(x - reach, y + reach), (x + reach, y - reach)], (30, 30, 90), canvas.thin(1.5))
    axes.ticks(np.arange(0, years + 1, 1 if years < 9 else 2), "x")
    axes.ticks(round_ticks(*axes.y_range, 8), "y")
    axes.labels(f"Length for age, {'girls' if tint[0] > 200 else 'boys'}", "Age (years)", "Length (cm)")
    canvas.text(left, 2.2 * canvas.unit, "Name: ____________   Born: ________", 1.1 * canvas.unit)
    return canvas.image
