"""Papers that are no ECG: empty grids, sums, music, prose, tables, letters, forms."""

import cv2
import numpy as np

from .refusal_canvas import BLACK, WHITE, Box, Canvas, Colour, jittered, mixed, text_width, walk

_WORDS = (
    *("river", "council", "therefore", "market", "between", "season", "under", "were", "measured", "the", "and"),
    *("of", "a", "to", "in", "was", "water", "evening", "method", "results", "however", "large", "small", "each"),
    *("village", "sample", "year", "new", "old", "light", "which", "winter", "often", "letter", "shown", "by"),
)
_NAMES = ("Miller", "Okafor", "Lindqvist", "Tanaka", "Rossi", "Novak", "Haddad", "Silva", "Moreau", "Petrov")
_HAND: Colour = (25, 35, 120)
# paper, fine and bold lines of ruled papers
_RULINGS: tuple[tuple[Colour, Colour, Colour], ...] = (
    ((255, 247, 244), (250, 205, 198), (238, 140, 132)),
    ((255, 255, 255), (235, 200, 215), (215, 130, 165)),
    ((246, 252, 246), (190, 222, 190), (125, 185, 130)),
    ((252, 246, 236), (240, 208, 170), (222, 160, 100)),
    ((250, 250, 252), (205, 215, 232), (140, 165, 205)),
)


def _ruled(rng: np.random.Generator, canvas: Canvas, box: Box, step: float) -> Colour:
    """Millimetre lines with a bold one every five; returns the bold lines' colour."""
    paper, fine, bold = (jittered(rng, colour, 5) for colour in _RULINGS[int(rng.integers(len(_RULINGS)))])
    canvas.image[:] = paper
    canvas.grid(box, (step, step), fine)
    canvas.grid(box, (5 * step, 5 * step), bold, canvas.thin(1.2))
    return bold


def _sentence(rng: np.random.Generator) -> str:
    words = rng.choice(_WORDS, int(rng.integers(5, 16)))
    return " ".join(words).capitalize() + str(rng.choice([".", ".", ".", "?", ";"]))


def _prose(canvas: Canvas, box: Box, size: float, font: str, colour: Colour = BLACK) -> float:
    """Lines of text that fill a box; returns where the last one stands."""
    rng, (left, top, right, bottom) = canvas.rng, box
    y, words = top + size, _sentence(canvas.rng).split()
    while y < bottom:
        line = words.pop(0)
        words = words or _sentence(rng).split()
        while text_width(f"{line} {words[0]}", size, font) < right - left:
            line = f"{line} {words.pop(0)}"
            words = words or _sentence(rng).split()
        canvas.text(left, y, line, size, colour, font=font)
        y += 1.45 * size
        if rng.random() < 0.06:
            y += 0.8 * size
    return y


def blank_ecg_paper(rng: np.random.Generator) -> np.ndarray:
    """The grid of an ECG without any trace; some with an empty heading, some a roll's narrow strip."""
    canvas = Canvas(rng, float(rng.choice([0.71, 1.41, 1.41, 2.5])))
    edge = float(rng.choice([0.0, 1.5, 3.0])) * canvas.unit
    top = edge + float(rng.choice([0.0, 5.0])) * canvas.unit
    step = float(rng.uniform(0.35, 0.7)) * canvas.unit
    bold = _ruled(rng, canvas, (edge, top, canvas.width - edge, canvas.height - edge), step)
    if top > edge:
        canvas.text(
            edge + canvas.unit, 2.2 * canvas.unit, "Name:                Born:                Date:", 1.2 * canvas.unit
        )
    if rng.random() < 0.4:
        text = f"REF {int(rng.integers(10000, 99999))}   210 mm x 295 mm   Z-fold"
        canvas.text(canvas.width / 2, canvas.height - 0.6 * canvas.unit, text, 0.9 * canvas.unit, bold, align="centre")
    return canvas.image


def handwritten_sum(rng: np.random.Generator) -> np.ndarray:
    """Numbers added by hand on squared or millimetre paper, with a note and a line drawn freely."""
    canvas = Canvas(rng, rng.uniform(0.7, 1.4))
    _ruled(rng, canvas, (0, 0, canvas.width, canvas.height), rng.uniform(0.5, 1.2) * canvas.unit)
    unit, ink = canvas.unit, ((25, 35, 120), (40, 40, 45), (90, 90, 95))[int(rng.integers(3))]
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(0.25, 0.8) * canvas.width, rng.uniform(0.1, 0.45) * canvas.height
        size, numbers = rng.uniform(2.0, 3.5) * unit, rng.integers(10, 5000, int(rng.integers(2, 6)))
        for number in [*numbers, int(numbers.sum())]:
            y += 1.5 * size
            if number == numbers.sum():
                canvas.line([(x - 4.5 * size, y - 1.2 * size), (x + 0.5 * size, y - 1.25 * size)], ink, canvas.thin(2))
            shift = rng.normal(0, 0.06, 2) * size
            canvas.text(x + shift[0], y + shift[1], str(number), size, ink, font="hand", align="right")
        canvas.text(x - 4.2 * size, y - 1.6 * size, "+", size, ink, font="hand")
    canvas.text(
        2 * unit,
        4 * unit,
        f"{rng.choice(['Shopping', 'Sum', 'Rent', 'km'])} {int(rng.integers(1, 30))}.",
        3 * unit,
        ink,
        font="hand",
    )
    along = np.linspace(0.1, rng.uniform(0.4, 0.9), 300) * canvas.width
    if rng.random() < 0.5:
        canvas.curve(along, 0.88 * canvas.height + 2 * unit * walk(rng, 300), ink, canvas.thin(2))
    return canvas.image


def sheet_music(rng: np.random.Generator) -> np.ndarray:
    """Staves with notes, bars and a title."""
    canvas = Canvas(rng, rng.uniform(0.68, 0.8), jittered(rng, (254, 252, 246), 2))
    left, top, right, bottom = canvas.inner(4, 9, 4, 5)
    staves = int(rng.integers(6, 13))
    pitch, ink = (bottom - top) / staves, (15, 15, 15)
    space = 0.11 * pitch
    canvas.text(
        canvas.width / 2,
        4 * canvas.unit,
        f"{rng.choice(['Sonata', 'Menuet', 'Waltz', 'Song'])} No. {int(rng.integers(1, 20))}",
        2.4 * canvas.unit,
        align="centre",
    )
    for stave in range(staves):
        y = top + stave * pitch
        for line in range(5):
            canvas.line([(left, y + line * space), (right, y + line * space)], ink)
        clef = np.linspace(0, 9, 80)
        canvas.curve(
            left + space * (2 + 0.9 * np.cos(clef) * (1 - clef / 14)),
            y + space * (4.8 - clef * 0.65),
            ink,
            canvas.thin(2),
        )
        places = np.linspace(left + 5 * space, right - 2 * space, int(rng.integers(12, 26)))
        for index, x in enumerate(places):
            if index % 5 == 4:
                canvas.line([(x, y), (x, y + 4 * space)], ink)
                continue
            height = y + float(rng.integers(-2, 11)) * space / 2
            axes = (round(space * 0.65 * 16), round(space * 0.45 * 16))
            filled = -1 if rng.random() < 0.8 else canvas.thin(1.5)
            cv2.ellipse(
                canvas.image, (round(x * 16), round(height * 16)), axes, -20, 0, 360, ink, filled, cv2.LINE_AA, 4
            )
            up = -1 if height > y + 2 * space else 1
            stem = (x - up * 0.6 * space, height + up * 3.4 * space)
            canvas.line([(stem[0], height), stem], ink, canvas.thin())
            if index % 5 in (0, 2) and index + 1 < len(places) and rng.random() < 0.5:
                canvas.line([stem, (stem[0] + 1.2 * space, stem[1] - up * 1.3 * space)], ink, canvas.thin(2))
    return canvas.image


def text_page(rng: np.random.Generator) -> np.ndarray:
    """A page of a book or a journal in two columns."""
    canvas = Canvas(rng, rng.uniform(0.65, 0.85), jittered(rng, (250, 248, 243), 4))
    left, top, right, bottom = canvas.inner(6, 10, 6, 6)
    unit, font = canvas.unit, str(rng.choice(["sans", "sans", "italic"]))
    gap, size = 2.5 * unit, rng.uniform(1.0, 1.35) * unit
    canvas.text(
        canvas.width / 2, 5 * unit, _sentence(rng)[:46].rstrip(" .?;"), 2 * unit, font=font, align="centre", weight=700
    )
    canvas.text(
        canvas.width / 2,
        7.6 * unit,
        f"{rng.choice(_NAMES)}, {rng.choice(_NAMES)}",
        1.2 * unit,
        font="italic",
        align="centre",
    )
    middle = (left + right) / 2
    for first, last in ((left, middle - gap / 2), (middle + gap / 2, right)):
        break_at = top + rng.uniform(0.3, 0.7) * (bottom - top)
        y = _prose(canvas, (first, top, last, break_at), size, font)
        if rng.random() < 0.4:
            canvas.box((first, y, last, y + 12 * unit), (90, 90, 90), mixed(WHITE, BLACK, rng.uniform(0.05, 0.5)))
            y += 13 * unit
        canvas.text(first, y + 1.6 * unit, _sentence(rng)[:22].rstrip(" .?;"), 1.3 * unit, font=font, weight=700)
        _prose(canvas, (first, y + 2.5 * unit, last, bottom), size, font)
    canvas.text(canvas.width / 2, canvas.height - 2 * unit, str(int(rng.integers(2, 900))), unit, align="centre")
    return canvas.image


def table(rng: np.random.Generator) -> np.ndarray:
    """A spreadsheet with letters above and numbers beside, or a printed table."""
    canvas = Canvas(rng, rng.uniform(0.8, 1.7))
    screen, unit = rng.random() < 0.6, canvas.unit
    left, top, right, bottom = canvas.inner(*((0, 5, 0, 0) if screen else (3, 7, 3, 4)))
    columns, rows = int(rng.integers(5, 12)), int(rng.integers(14, 38))
    edges = left + (right - left) * np.cumsum([0, *rng.dirichlet(np.full(columns, 12.0))])
    tall, lines = (bottom - top) / rows, (200, 200, 200) if screen else (60, 60, 60)
    size = min(1.1 * unit, 0.6 * tall)
    kinds = rng.choice(["name", "count", "money", "share", "empty"], columns, p=[0.2, 0.25, 0.3, 0.15, 0.1])
    for row in range(rows):
        y = top + row * tall
        if row == 0 or (row % 2 and not screen):
            canvas.box((left, y, right, y + tall), None, (225, 228, 232) if row == 0 else (246, 246, 246))
        for column, kind in enumerate(kinds):
            number = float(rng.lognormal(5, 1.5))
            texts = {"name": str(rng.choice(_NAMES)), "count": f"{number:.0f}", "money": f"{number:,.2f}"}
            texts |= {"share": f"{number % 100:.1f} %", "empty": ""}
            heading = chr(65 + column) if screen else f"{kind.capitalize()} {column + 1}"
            text = heading if row == 0 else texts[str(kind)]
            canvas.text(edges[column + 1] - 0.4 * unit, y + 0.72 * tall, text, size, (30, 30, 30), align="right")
        canvas.line([(left, y + tall), (right, y + tall)], lines)
    for x in edges:
        canvas.line([(x, top), (x, bottom)], lines)
    if screen:
        canvas.box(
            (0, 0, canvas.width, top), None, ((33, 115, 70), (60, 64, 67), (245, 246, 247))[int(rng.integers(3))]
        )
        canvas.box((unit, top - 2.2 * unit, canvas.width - unit, top - 0.4 * unit), (180, 180, 180), WHITE)
        canvas.text(1.5 * unit, top - 0.9 * unit, f"=SUM(B2:B{rows})", 1.2 * unit, (40, 40, 40))
    else:
        canvas.text(left, 4.5 * unit, f"Table {int(rng.integers(1, 9))}. {_sentence(rng)}", 1.3 * unit, weight=700)
    return canvas.image


def letter(rng: np.random.Generator) -> np.ndarray:
    """A letter with its head, an address, prose and a signature; one in three is written by hand."""
    hand = rng.random() < 0.33
    canvas = Canvas(rng, rng.uniform(0.68, 0.75), jittered(rng, (253, 252, 248), 3))
    left, top, right, bottom = canvas.inner(8, 6, 7, 9)
    unit, font, ink = canvas.unit, "hand" if hand else "sans", _HAND if hand else (20, 20, 20)
    size = (1.9 if hand else 1.15) * unit
    if not hand:
        tint: Colour = ((20, 60, 120), (130, 20, 40), (30, 90, 60))[int(rng.integers(3))]
        canvas.text(left, top, f"{rng.choice(_NAMES)} & {rng.choice(_NAMES)} Ltd.", 2 * unit, tint, weight=700)
        canvas.line([(left, top + unit), (right, top + unit)], tint, canvas.thin(2))
    y = top + 6 * unit
    for line in (
        str(rng.choice(_NAMES)),
        f"{int(rng.integers(1, 200))} Station Road",
        f"{int(rng.integers(10000, 99999))} Millbridge",
    ):
        canvas.text(left, y, line, size, ink, font=font)
        y += 1.5 * size
    canvas.text(
        right, y, f"{int(rng.integers(1, 29))} May {int(rng.integers(1990, 2025))}", size, ink, font=font, align="right"
    )
    canvas.text(left, y + 3 * size, f"Dear {rng.choice(_NAMES)},", size, ink, font=font)
    end = bottom - rng.uniform(0.05, 0.35) * (bottom - y)
    y = _prose(canvas, (left, y + 4 * size, right, end), size, font, ink)
    canvas.text(left, y + size, "Yours sincerely,", size, ink, font=font)
    turn = np.linspace(0, rng.uniform(14, 30), 200)
    x = left + turn * 0.45 * unit + 1.2 * unit * np.cos(1.7 * turn)
    canvas.curve(
        x,
        y + 4.5 * unit + 1.3 * unit * np.sin(1.7 * turn) * rng.uniform(0.5, 1) + 0.5 * walk(rng, 200, 2),
        _HAND,
        canvas.thin(2),
    )
    return canvas.image


def _comb(canvas: Canvas, left: float, low: float, tint: Colour) -> None:
    """A row of little boxes with a digit in each."""
    unit, rng = canvas.unit, canvas.rng
    for cell in range(int(rng.integers(8, 24))):
        x = left + cell * 2 * unit
        canvas.box((x, low, x + 2 * unit, low + 2.3 * unit), tint)
        digit = str(rng.integers(10))
        canvas.text(x + unit, low + 1.9 * unit, digit, 1.6 * unit, _HAND, font="hand", align="centre")


def _choices(canvas: Canvas, left: float, right: float, low: float, tint: Colour) -> None:
    """Boxes with answers beside them, some ticked."""
    unit, rng = canvas.unit, canvas.rng
    for option in range(int(rng.integers(2, 6))):
        x = left + option * (right - left) / 5.5
        canvas.box((x, low, x + 1.3 * unit, low + 1.3 * unit), tint)
        answer = str(rng.choice(["yes", "no", "often", "never", "weekly"]))
        canvas.text(x + 1.8 * unit, low + 1.1 * unit, answer, unit)
        if rng.random() < 0.35:
            tick = np.array([(0.0, 0.4), (0.6, 1.3), (1.8, -0.8)]) * unit
            canvas.line(tick + (x, low), _HAND, canvas.thin(2.5))


def form(rng: np.random.Generator) -> np.ndarray:
    """A questionnaire: fields, lines of comb boxes, boxes with ticks."""
    tint: Colour = ((0, 90, 140), (0, 0, 0), (150, 40, 40), (20, 110, 80))[int(rng.integers(4))]
    canvas = Canvas(rng, rng.uniform(0.68, 0.8))
    left, top, right, bottom = canvas.inner(4, 6, 4, 4)
    unit = canvas.unit
    title = f"Form {int(rng.integers(100, 999))}-{rng.choice(list('ABC'))}   Application"
    canvas.text(left, 3.6 * unit, title, 2 * unit, tint, weight=700)
    y, number = top, 1
    while y < bottom - 5 * unit:
        kind = str(rng.choice(["field", "boxes", "comb", "head"], p=[0.35, 0.35, 0.2, 0.1]))
        if kind == "head":
            canvas.box((left, y, right, y + 2 * unit), None, tint)
            canvas.text(left + 0.5 * unit, y + 1.5 * unit, f"Section {number}", 1.2 * unit, WHITE, weight=700)
            number, y = number + 1, y + 3 * unit
            continue
        canvas.text(left, y + 1.2 * unit, _sentence(rng)[:60], 1.1 * unit, (30, 30, 30))
        low = y + 1.8 * unit
        if kind == "field":
            canvas.box((left, low, right, low + 2.4 * unit), tint)
            if rng.random() < 0.7:
                canvas.text(left + unit, low + 1.9 * unit, str(rng.choice(_NAMES)), 1.9 * unit, _HAND, font="hand")
        elif kind == "comb":
            _comb(canvas, left, low, tint)
        else:
            _choices(canvas, left, right, low, tint)
        y = low + 3.4 * unit
    return canvas.image
