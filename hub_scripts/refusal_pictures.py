"""Maps, puzzles, drawings of parts, clouds: pictures without any recording."""

import cv2
import numpy as np

from .refusal_canvas import BLACK, WHITE, Canvas, Colour, cloud, mixed, smooth, walk


def contour_map(rng: np.random.Generator) -> np.ndarray:
    """A map with contours, a river, roads and names."""
    canvas = Canvas(rng, rng.uniform(0.8, 1.6), (244, 240, 226))
    size, unit = canvas.image.shape[:2], canvas.unit
    height = cloud(rng, size, 5, 0.45)
    wood = cloud(rng, size, 4)
    canvas.image[wood > 0.6] = (206, 226, 190)
    for level in np.linspace(0.1, 0.95, int(rng.integers(10, 22))):
        lines, _ = cv2.findContours((height > level).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        for line in lines:
            points = cv2.GaussianBlur(line.astype(np.float32).reshape(-1, 1, 2), (1, 9), 0) if len(line) > 9 else line
            canvas.line(
                points.reshape(-1, 2), (176, 124, 76), canvas.thin(1 + (round(level * 20) % 5 == 0)), closed=True
            )
    x = np.linspace(0, canvas.width, 400)
    river = rng.uniform(0.3, 0.7) * canvas.height + 0.2 * canvas.height * smooth(rng, 400, 5) + unit * walk(rng, 400, 3)
    canvas.curve(x, river, (110, 160, 215), canvas.thin(6))
    for _ in range(int(rng.integers(1, 4))):
        y = np.linspace(0, canvas.height, 300)
        road = rng.uniform(0.1, 0.9) * canvas.width + 0.15 * canvas.width * smooth(rng, 300, 4)
        canvas.curve(road, y, (90, 60, 50), canvas.thin(5))
        canvas.curve(road, y, ((250, 220, 90), (235, 120, 90), WHITE)[int(rng.integers(3))], canvas.thin(3))
    if rng.random() < 0.6:
        canvas.grid((0, 0, canvas.width, canvas.height), (10 * unit, 10 * unit), (150, 170, 190))
    for name in rng.choice(["Oakfield", "Harrow", "Mill End", "Stonely", "Upton", "Westcott", "Long Hill", "Fen"], 6):
        x, y = rng.uniform(0.05, 0.9, 2) * (canvas.width, canvas.height)
        tall, font = rng.uniform(1, 1.8) * unit, str(rng.choice(["sans", "italic"]))
        canvas.text(x, y, str(name), tall, (30, 30, 30), font=font)
        x, y = rng.uniform(0.05, 0.95, 2) * (canvas.width, canvas.height)
        canvas.text(x, y, f"· {int(rng.integers(80, 900))}", unit, (120, 80, 50))
    return canvas.image


def crossword(rng: np.random.Generator) -> np.ndarray:
    """A crossword with its clues, partly filled in."""
    canvas = Canvas(rng, rng.uniform(0.7, 1.3), (250, 249, 244))
    unit, cells = canvas.unit, int(rng.choice([11, 13, 15]))
    side = 0.62 * min(canvas.width, canvas.height)
    step, left, top = side / cells, (canvas.width - side) / 2, 5 * unit
    half = rng.random((cells, cells)) < 0.16
    black = half | half[::-1, ::-1]
    number, hand = 1, rng.random() < 0.6
    for row in range(cells):
        for column in range(cells):
            x, y = left + column * step, top + row * step
            canvas.box((x, y, x + step, y + step), BLACK, BLACK if black[row, column] else WHITE, canvas.thin())
            if black[row, column]:
                continue
            if column == 0 or row == 0 or black[row, column - 1] or black[row - 1, column]:
                canvas.text(x + 0.06 * step, y + 0.34 * step, str(number), 0.3 * step)
                number += 1
            if hand and rng.random() < 0.35:
                letter = str(rng.choice(list("AEIORSTLNDM")))
                canvas.text(
                    x + 0.55 * step, y + 0.85 * step, letter, 0.75 * step, (30, 40, 130), font="hand", align="centre"
                )
    for share, title in ((0.06, "Across"), (0.54, "Down")):
        x, down = share * canvas.width, top + side + 2.5 * unit
        canvas.text(x, down, title, 1.3 * unit, weight=700)
        for clue in range(1, 30):
            down += 1.5 * unit
            if down < canvas.height - unit:
                words = " ".join(
                    rng.choice(["Old", "river", "bird", "to sing", "capital", "of tea", "a tool", "opposite"], 4)
                )
                canvas.text(x, down, f"{2 * clue - 1} {words} ({int(rng.integers(3, 10))})", unit)
    canvas.text(
        canvas.width / 2, 3 * unit, f"Crossword {int(rng.integers(100, 9999))}", 2 * unit, align="centre", weight=700
    )
    return canvas.image


def _measure(canvas: Canvas, first: tuple[float, float], last: tuple[float, float], ink: Colour) -> None:
    """A line with arrows at its ends and a length in its middle."""
    a, b = (tuple(round(part) for part in end) for end in (first, last))
    for start, end in ((a, b), (b, a)):
        cv2.arrowedLine(canvas.image, start, end, ink, canvas.thin(), cv2.LINE_AA, 0, 0.03)  # type: ignore[call-overload]
    length = np.hypot(last[0] - first[0], last[1] - first[1]) / canvas.unit
    place = ((first[0] + last[0]) / 2, (first[1] + last[1]) / 2 - 0.4 * canvas.unit)
    canvas.text(*place, f"{length:.1f}", canvas.unit, ink, align="centre")


def technical_drawing(rng: np.random.Generator) -> np.ndarray:
    """A flange and its side, with lengths, hatching and the box of the draughtsman; some as a blueprint."""
    paper, ink = ((28, 62, 120), (225, 235, 250)) if rng.random() < 0.3 else (WHITE, (15, 15, 15))
    canvas = Canvas(rng, 1.41, paper)
    unit, thick = canvas.unit, canvas.thin(2.5)
    canvas.box((unit, unit, canvas.width - unit, canvas.height - unit), ink, None, thick)
    x, y, radius = 0.3 * canvas.width, 0.42 * canvas.height, rng.uniform(0.18, 0.27) * canvas.height
    for share in (1.0, rng.uniform(0.6, 0.85), rng.uniform(0.2, 0.5)):
        canvas.dot(x, y, share * radius, ink, thick)
    holes = int(rng.choice([4, 6, 8]))
    for hole in np.arange(holes) * 2 * np.pi / holes:
        canvas.dot(
            x + 0.9 * radius * np.cos(hole), y + 0.9 * radius * np.sin(hole), 0.06 * radius, ink, canvas.thin(1.5)
        )
    for part in np.linspace(-1.25, 1.25, 40)[::2]:
        canvas.line([(x + part * radius, y), (x + (part + 0.045) * radius, y)], ink)
        canvas.line([(x, y + part * radius), (x, y + (part + 0.045) * radius)], ink)
    side, wide = 0.58 * canvas.width, rng.uniform(0.1, 0.25) * canvas.width
    for low, high, reach in ((0.0, 0.3, 1.0), (0.3, 1.0, rng.uniform(0.35, 0.7))):
        canvas.box((side + low * wide, y - reach * radius, side + high * wide, y + reach * radius), ink, None, thick)
    for offset in np.arange(0, 0.8 * radius, 0.8 * unit):
        canvas.line([(side, y - radius + offset + 0.3 * wide), (side + 0.3 * wide, y - radius + offset)], ink)
    _measure(canvas, (x - radius, y + 1.3 * radius), (x + radius, y + 1.3 * radius), ink)
    _measure(canvas, (side, y + 1.3 * radius), (side + wide, y + 1.3 * radius), ink)
    _measure(canvas, (side + 0.3 * wide, y - 1.2 * radius), (side + wide, y - 1.2 * radius), ink)
    left, top = 0.6 * canvas.width, canvas.height - 9 * unit
    for row, name in enumerate(("Scale 1:2", "Material S235", f"Part {int(rng.integers(100, 999))}", "Sheet 1 of 3")):
        canvas.box((left, top + 2 * row * unit, canvas.width - unit, top + 2 * (row + 1) * unit), ink)
        canvas.text(left + 0.5 * unit, top + (2 * row + 1.5) * unit, name, 1.1 * unit, ink)
    return canvas.image


def landscape(rng: np.random.Generator) -> np.ndarray:
    """A sky with clouds over hills and a field, grainy as a photograph is."""
    canvas = Canvas(rng, rng.uniform(0.75, 1.7))
    size = canvas.image.shape[:2]
    night = rng.random() < 0.2
    high, low = ((70, 120, 200), (190, 215, 240)) if not night else ((8, 10, 30), (50, 40, 70))
    down = np.linspace(0, 1, size[0])[:, None, None]
    picture = np.array(high) * (1 - down) + np.array(low) * down
    white = np.clip((cloud(rng, size, 7, 0.6) - rng.uniform(0.35, 0.6)) * 3, 0, 1)[..., None]
    picture = picture * (1 - white) + np.array((245, 245, 245) if not night else (80, 80, 95)) * white
    x = np.linspace(0, 1, size[1])
    for depth in range(int(rng.integers(2, 6))):
        ridge = 0.45 + 0.1 * depth + 0.09 * smooth(rng, size[1], 3 + 2 * depth) + 0.02 * walk(rng, size[1]) + 0 * x
        colour = mixed((120, 140, 160), (40, 70, 30) if not night else (5, 8, 10), min(1.0, 0.3 + 0.2 * depth))
        texture = (0.75 + 0.5 * cloud(rng, size, 7, 0.75))[..., None]
        picture = np.where(down > ridge[None, :, None], np.array(colour) * texture, picture)
    picture = picture + rng.normal(0, rng.uniform(2, 9), picture.shape)
    canvas.image[:] = np.clip(picture, 0, 255).astype(np.uint8)
    return cv2.GaussianBlur(canvas.image, (0, 0), float(rng.uniform(0.4, 2)))
