"""What happens to paper before it is photographed: stains, pens, holes, tears and fading, on the flat drawing."""

import cv2
import numpy as np

Box = tuple[float, float, float, float]

# Ours: share of scanned and photographed pages that show each.
AGEING_SHARES: dict[str, float] = {
    "coffee": 0.03,
    "water": 0.03,
    "mould": 0.02,
    "fade": 0.06,
    "highlight": 0.06,
    "pen": 0.10,
    "staple": 0.04,
    "dog_ear": 0.04,
    "tear": 0.04,
    "holes": 0.05,
}


class Sheet:
    """A flat drawing that ages.

    Attributes:
        image: (height, width, 3) uint8 RGB, changed in place.
        gone: (height, width) uint8, 255 where there is no paper any more; None where all of it is there.
        traces_mm: left, top, right and bottom of what the traces cover; no paper is lost there.
    """

    def __init__(self, image: np.ndarray, px_per_mm: float, traces_mm: Box) -> None:
        self.image, self.px_per_mm, self.traces_mm = image, px_per_mm, traces_mm
        self.gone: np.ndarray | None = None

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height of the paper."""
        return self.image.shape[1] / self.px_per_mm, self.image.shape[0] / self.px_per_mm

    def pixels(self, points_mm: np.ndarray) -> np.ndarray:
        """Fixed-point pixels (4 bits) of places on paper, as OpenCV draws them."""
        return np.rint((np.asarray(points_mm, np.float64) * self.px_per_mm - 0.5) * 16).astype(np.int32)

    def window(self, box: Box) -> tuple[slice, slice, np.ndarray, np.ndarray]:
        """Rows and columns of a box (mm) on the paper, and the millimetres of their pixels."""
        width, height = self.size_mm
        left, top, right, bottom = np.clip(box, 0, (width, height, width, height)) * self.px_per_mm
        # the height in millimetres may come back a hair above the whole number of pixels
        most = self.image.shape
        rows = slice(int(top), min(int(np.ceil(bottom)), most[0]))
        columns = slice(int(left), min(int(np.ceil(right)), most[1]))
        y = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5) / np.float32(self.px_per_mm)
        x = (np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5) / np.float32(self.px_per_mm)
        return rows, columns, y[:, None], x[None]

    def dye(self, window: tuple[slice, slice], cover: np.ndarray, colour: np.ndarray) -> None:
        """Colours a window as a transparent liquid does: ink below stays visible."""
        for channel in range(3):
            part = self.image[(*window, channel)]
            shade = np.float32(1.0) - cover * np.float32(1.0 - colour[channel])
            part[:] = cv2.multiply(np.ascontiguousarray(part), shade, dtype=cv2.CV_8U)

    def stroke(
        self, points_mm: np.ndarray, colour: tuple[int, int, int], width_mm: float, closed: bool = False
    ) -> None:
        """An opaque line."""
        thickness = max(1, round(width_mm * self.px_per_mm))
        cv2.polylines(self.image, [self.pixels(points_mm)], closed, colour, thickness, cv2.LINE_AA, 4)

    def lose(self, outline_mm: np.ndarray) -> bool:
        """Takes the paper inside an outline away, unless a trace runs there."""
        left, top, right, bottom = self.traces_mm
        lost = np.zeros(self.image.shape[:2], np.uint8)
        cv2.fillPoly(lost, [self.pixels(outline_mm)], 255, cv2.LINE_AA, 4)
        low, high = np.floor(np.array([[left, top], [right, bottom]]) * self.px_per_mm).astype(int) + [[0], [1]]
        if lost[max(low[1], 0) : max(high[1], 0), max(low[0], 0) : max(high[0], 0)].any():
            return False
        self.gone = lost if self.gone is None else np.maximum(self.gone, lost)
        return True


def _ragged(rng: np.random.Generator, count: int, cells: int) -> np.ndarray:
    """(count,) smooth random values of about unit spread."""
    coarse = rng.normal(0, 1, (1, cells)).astype(np.float32)
    return cv2.resize(coarse, (count, 1), interpolation=cv2.INTER_CUBIC)[0]


def _coffee(rng: np.random.Generator, sheet: Sheet) -> None:
    """Rings that a cup leaves."""
    width, height = sheet.size_mm
    for _ in range(int(rng.integers(1, 3))):
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(22, 42)
        rows, columns, v, u = sheet.window((x - radius - 8, y - radius - 8, x + radius + 8, y + radius + 8))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        angle = np.arctan2(v - y, u - x)
        wobble = sum(rng.normal(0, 0.5 / k) * np.cos(k * angle + rng.uniform(0, 6)) for k in (2, 3, 5))
        away = np.hypot(v - y, u - x) - radius - wobble
        wet = np.clip(0.55 + 0.6 * np.cos(angle + rng.uniform(0, 6)) + 0.25 * np.cos(3 * angle + wobble), 0.05, 1.0)
        ring = np.exp(-np.abs(away) / rng.uniform(0.5, 1.2)) + 0.5 * np.exp(-np.square((away + 2.2) / 2.0))
        inner = rng.uniform(0.0, 0.12) * (away < 0)
        cover = np.clip(rng.uniform(0.25, 0.7) * wet * ring + inner, 0, 1).astype(np.float32)
        sheet.dye((rows, columns), cover, rng.uniform((0.62, 0.42, 0.2), (0.75, 0.58, 0.36)))


def _water(rng: np.random.Generator, sheet: Sheet) -> None:
    """A dried puddle with the dark line where it ended."""
    height, width = sheet.image.shape[:2]
    small = (height // 4 + 1, width // 4 + 1)
    field = cv2.resize(rng.normal(0, 1, (4, 6)).astype(np.float32), small[::-1], interpolation=cv2.INTER_CUBIC)
    field = field + 0.18 * cv2.resize(
        rng.normal(0, 1, (16, 22)).astype(np.float32), small[::-1], interpolation=cv2.INTER_CUBIC
    )
    above = field - np.float32(rng.uniform(0.5, 1.1))
    line = np.exp(-np.square(above / 0.035)) * (0.4 + 0.6 * (above > 0))
    cover = np.clip(0.25 * line + 0.10 * (above > 0), 0, 1).astype(np.float32)
    cover = cv2.resize(cv2.GaussianBlur(cover, (0, 0), 0.8), (width, height), interpolation=cv2.INTER_LINEAR)
    sheet.dye((slice(None), slice(None)), cover, rng.uniform((0.45, 0.35, 0.15), (0.8, 0.72, 0.55)))


def _mould(rng: np.random.Generator, sheet: Sheet) -> None:
    """Clusters of dark specks."""
    width, height = sheet.size_mm
    cover = np.zeros(sheet.image.shape[:2], np.uint8)
    for _ in range(int(rng.integers(1, 5))):
        middle, spread = rng.uniform((0, 0), (width, height)), rng.uniform(4, 18)
        for place in rng.normal(middle, spread, (int(rng.integers(20, 120)), 2)):
            radius = min(2.0, 0.12 * np.exp(rng.normal(0.4, 0.7)))
            shade = int(255 * rng.uniform(0.15, 0.75))
            cv2.circle(
                cover, sheet.pixels(place).tolist(), int(radius * sheet.px_per_mm * 16), shade, -1, cv2.LINE_AA, 4
            )
    soft = cv2.GaussianBlur(cover, (0, 0), 0.15 * sheet.px_per_mm + 0.3)
    colour = rng.uniform((0.25, 0.25, 0.2), (0.5, 0.5, 0.4))
    sheet.dye((slice(None), slice(None)), soft * np.float32(1 / 255), colour)


def _fade(rng: np.random.Generator, sheet: Sheet) -> None:
    """Thermal paper that paled towards one side, traces and grid alike, and often yellowed."""
    height, width = sheet.image.shape[:2]
    paper = np.median(sheet.image[:: max(1, height // 60), :: max(1, width // 60)].reshape(-1, 3), axis=0)
    along = np.linspace(-1, 1, width, dtype=np.float32) * np.float32(rng.choice([-1, 1])) + 0.4 * _ragged(rng, width, 7)
    steep, middle, most = rng.uniform(1.5, 6), rng.uniform(-0.5, 0.9), rng.uniform(0.35, 0.78)
    pale = (most / (1 + np.exp(-steep * (along - middle)))).astype(np.float32)
    rows = np.clip(1 + 0.15 * _ragged(rng, height, 9), 0.7, 1.2).astype(np.float32)
    share = np.minimum(rows[:, None] * pale[None], 0.82)
    yellow = np.where(rng.random() < 0.5, 1.0, (1.0, 0.97, 0.86)) * paper
    for channel in range(3):
        layer = np.ascontiguousarray(sheet.image[..., channel])
        sheet.image[..., channel] = cv2.add(
            cv2.multiply(layer, 1 - share, dtype=cv2.CV_32F), share * np.float32(yellow[channel]), dtype=cv2.CV_8U
        )


def _highlight(rng: np.random.Generator, sheet: Sheet) -> None:
    """Text marker over a word, or along a part of a trace."""
    width, height = sheet.size_mm
    colours = ((1.0, 0.98, 0.35), (0.6, 1.0, 0.5), (1.0, 0.6, 0.8), (1.0, 0.8, 0.4))
    colour = np.array(colours[int(rng.integers(len(colours)))])
    for _ in range(int(rng.integers(1, 4))):
        x, y, long, thick = rng.uniform(0, 0.8 * width), rng.uniform(0, height), rng.uniform(10, 70), rng.uniform(3, 6)
        rows, columns, v, u = sheet.window((x, y - thick, x + long, y + thick))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        lean = rng.normal(0, 0.02)
        across = np.abs(v - y - lean * (u - x) - 0.3 * np.sin(u / rng.uniform(8, 25)))
        cover = np.clip((thick / 2 - across) * sheet.px_per_mm + 0.5, 0, 1) * rng.uniform(0.6, 1.0)
        cover *= 1.0 + 0.15 * (across > thick / 2 - 0.5)
        sheet.dye((rows, columns), np.clip(cover, 0, 1).astype(np.float32), colour)


def _written(rng: np.random.Generator, size: float) -> np.ndarray:
    """(N, 2) millimetres of a few joined letters, from the left end of their line on."""
    letters = int(rng.integers(3, 9))
    knots = [np.zeros(2)]
    for letter in range(letters):
        x = letter * size * 0.62
        tall = rng.choice([1.0, 1.0, 1.9, -0.9])
        knots += [
            np.array([x + 0.18 * size, -size * tall * rng.uniform(0.8, 1.1)]),
            np.array([x + 0.02 * size + rng.uniform(0, 0.25) * size, -0.45 * size * rng.random()]),
            np.array([x + rng.uniform(0.35, 0.5) * size, rng.normal(0, 0.06) * size]),
        ]
    path = np.array(knots)
    path[:, 0] += 0.25 * -path[:, 1]
    return _smooth(path, 8)


def _smooth(knots: np.ndarray, steps: int) -> np.ndarray:
    """Catmull-Rom curve through knots (N, 2)."""
    padded = np.concatenate([knots[:1], knots, knots[-1:]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
    before, start, end, after = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    curve = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )
    return curve.transpose(1, 0, 2).reshape(-1, 2)


def _pen(rng: np.random.Generator, sheet: Sheet) -> None:
    """A reader's marks: circled beats, arrows, brackets and notes."""
    width, height = sheet.size_mm
    inks = ((25, 45, 140), (30, 30, 35), (170, 30, 40), (20, 70, 160))
    colour = inks[int(rng.choice(4, p=[0.4, 0.3, 0.2, 0.1]))]
    pen = float(rng.uniform(0.3, 0.6))
    for _ in range(int(rng.integers(1, 6))):
        place = rng.uniform((0.04 * width, 0.06 * height), (0.9 * width, 0.95 * height))
        kind = rng.choice(["note", "circle", "arrow", "bracket", "tick"], p=[0.45, 0.2, 0.15, 0.1, 0.1])
        if kind == "note":
            for line in range(int(rng.integers(1, 4))):
                size = rng.uniform(1.6, 3.6)
                sheet.stroke(place + _written(rng, size) + (rng.normal(0, 1), line * size * 2.4), colour, pen)
        elif kind == "circle":
            angle = np.linspace(0, rng.uniform(6.0, 7.2), 40)
            radius = rng.uniform((4, 4), (18, 10)) * (1 + 0.06 * np.cos(angle * 0.5)[:, None])
            sheet.stroke(place + np.stack([np.cos(angle), np.sin(angle)], 1) * radius, colour, pen)
        elif kind == "arrow":
            tip, way = place, rng.uniform(0, 2 * np.pi)
            tail = tip + rng.uniform(7, 20) * np.array([np.cos(way), np.sin(way)])
            barbs = [tip + 3 * np.array([np.cos(way + turn), np.sin(way + turn)]) for turn in (-0.45, 0.45)]
            sheet.stroke(_smooth(np.array([tail, (tail + tip) / 2 + rng.normal(0, 0.8, 2), tip]), 8), colour, pen)
            sheet.stroke(np.array([barbs[0], tip, barbs[1]]), colour, pen)
        elif kind == "bracket":
            long, deep = rng.uniform(8, 30), rng.uniform(2, 4)
            sheet.stroke(place + np.array([[0, -deep], [0, 0], [long, 0], [long, -deep]]), colour, pen)
        else:
            sheet.stroke(place + np.array([[0, 0], [1.5, 2.5], [6, -4.5]]) * rng.uniform(0.6, 1.4), colour, pen)


def _staple(rng: np.random.Generator, sheet: Sheet) -> None:
    """A staple near a corner, or the two holes that one left."""
    width, height = sheet.size_mm
    corner = np.array([rng.choice([9.0, width - 9.0]), rng.choice([8.0, height - 8.0])])
    way = rng.choice([0.0, np.pi / 4, -np.pi / 4]) + rng.normal(0, 0.1)
    half = 5.5 * np.array([np.cos(way), np.sin(way)])
    ends = np.array([corner - half, corner + half])
    if rng.random() < 0.4:
        for end in ends:
            sheet.stroke(np.array([end - half * 0.05, end + half * 0.05]), (70, 65, 60), 0.7)
        return
    sheet.stroke(ends + (0.25, 0.45), tuple((0.6 * np.array(_colour_at(sheet, corner))).astype(int).tolist()), 0.9)
    shade = int(rng.integers(120, 190))
    sheet.stroke(ends, (shade, shade, shade + 4), 0.7)
    sheet.stroke(ends - (0.0, 0.12), (min(shade + 50, 255),) * 3, 0.15)


def _colour_at(sheet: Sheet, place_mm: np.ndarray) -> tuple[float, float, float]:
    x, y = (place_mm * sheet.px_per_mm).astype(int)
    part = sheet.image[max(y - 5, 0) : y + 6, max(x - 5, 0) : x + 6].reshape(-1, 3)
    return tuple(np.median(part, axis=0)) if len(part) else (220.0, 220.0, 220.0)  # type: ignore[return-value]


def _dog_ear(rng: np.random.Generator, sheet: Sheet) -> None:
    """A corner folded over: its back shows, and what lay beyond the fold is gone."""
    width, height = sheet.size_mm
    side = np.array([rng.integers(0, 2), rng.integers(0, 2)])
    corner = side * (width, height)
    inward = 1.0 - 2.0 * side
    across, down = rng.uniform(8, 32), rng.uniform(8, 32)
    first, second = corner + (inward[0] * across, 0), corner + (0, inward[1] * down)
    outline = np.array([corner - inward * 2, first - (0, inward[1] * 2), first, second, second - (inward[0] * 2, 0)])
    fold = (second - first) / np.linalg.norm(second - first)
    mirrored = first + 2 * fold * ((corner - first) @ fold) - (corner - first)
    left, top, right, bottom = sheet.traces_mm
    low, high = np.minimum(mirrored, np.minimum(first, second)), np.maximum(mirrored, np.maximum(first, second))
    if (high > (left, top)).all() and (low < (right, bottom)).all():
        return
    if not sheet.lose(outline):
        return
    flap = np.array([first, second, mirrored])
    shadow = np.zeros(sheet.image.shape[:2], np.uint8)
    cv2.fillPoly(shadow, [sheet.pixels(flap + inward * 0.8)], 90, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(shadow, (0, 0), 0.9 * sheet.px_per_mm)
    sheet.dye((slice(None), slice(None)), soft * np.float32(1 / 255), np.full(3, 0.2))
    back = np.array(_colour_at(sheet, np.clip(mirrored, 2, (width - 2, height - 2)))) * rng.uniform(0.86, 0.97)
    cv2.fillPoly(sheet.image, [sheet.pixels(flap)], back.tolist(), cv2.LINE_AA, 4)
    sheet.stroke(np.array([first, second]), tuple((back * 0.8).astype(int).tolist()), 0.3)


def _tear(rng: np.random.Generator, sheet: Sheet) -> None:
    """A torn edge with its pale fibres."""
    width, height = sheet.size_mm
    side = int(rng.integers(4))
    long, wide = (height, width) if side < 2 else (width, height)
    along = np.linspace(-2, long + 2, 160)
    room = (sheet.traces_mm[0], width - sheet.traces_mm[2], sheet.traces_mm[1], height - sheet.traces_mm[3])[side]
    depth = min(room - 2.0, rng.uniform(3, 16))
    if depth < 1.5:
        return
    edge = depth * (0.55 + 0.22 * _ragged(rng, 160, 6)) + 0.5 * _ragged(rng, 160, 50) + 0.2 * rng.normal(0, 1, 160)
    edge = np.clip(edge, 0.2, depth)

    def placed(deep: np.ndarray) -> np.ndarray:
        deep = deep if side in (0, 2) else wide - deep
        return np.stack([deep, along] if side < 2 else [along, deep], 1)

    beyond = np.full(160, -3.0)
    rim = edge + np.abs(rng.normal(0.5, 0.35, 160)) * rng.uniform(0.5, 1.6)
    pale = rng.uniform(225, 250)
    cv2.fillPoly(
        sheet.image, [sheet.pixels(np.concatenate([placed(beyond), placed(rim)[::-1]]))], (pale,) * 3, cv2.LINE_AA, 4
    )
    sheet.lose(np.concatenate([placed(beyond), placed(edge)[::-1]]))


def _holes(rng: np.random.Generator, sheet: Sheet) -> None:
    """Holes of a punch, 80 mm apart, on the left or the upper side."""
    width, height = sheet.size_mm
    inset = rng.uniform(9, 13)
    first, step = (
        (np.array([inset, height / 2 - 40]), np.array([0.0, 80.0]))
        if rng.random() < 0.5
        else (np.array([width / 2 - 40, inset]), np.array([80.0, 0.0]))
    )
    angle = np.linspace(0, 2 * np.pi, 40)
    circle = np.stack([np.cos(angle), np.sin(angle)], 1)
    for middle in (first, first + step):
        sheet.stroke(
            middle + 3.05 * circle, tuple((0.85 * np.array(_colour_at(sheet, middle))).astype(int).tolist()), 0.3
        )
        sheet.lose(middle + 3.0 * circle)


_AGEING = {
    "coffee": _coffee,
    "water": _water,
    "mould": _mould,
    "fade": _fade,
    "highlight": _highlight,
    "pen": _pen,
    "staple": _staple,
    "dog_ear": _dog_ear,
    "tear": _tear,
    "holes": _holes,
}


def age(
    rng: np.random.Generator,
    image: np.ndarray,
    px_per_mm: float,
    traces_mm: Box,
    kinds: tuple[str, ...] | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """An aged copy of a flat drawing.

    Args:
        image: (height, width, 3) uint8 RGB.
        traces_mm: left, top, right and bottom of what the traces cover; no paper is lost there.
        kinds: out of `AGEING_SHARES`, or None for any.

    Returns:
        The picture, and (height, width) uint8 that is 255 where there is no paper any more, or None.
    """
    chosen = [kind for kind, share in AGEING_SHARES.items() if rng.random() < share] if kinds is None else kinds
    if not chosen:
        return image, None
    sheet = Sheet(image.copy(), px_per_mm, traces_mm)
    for kind in chosen:
        _AGEING[kind](rng, sheet)
    return sheet.image, sheet.gone
