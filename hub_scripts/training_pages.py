"""Samples for the four networks that read a page, rendered from one recording inside the loader's workers."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from scipy.ndimage import maximum_filter1d, minimum_filter1d
from torch import Tensor

from processing.not_ecg import draw_not_ecg
from processing.other_traces import trace_mm
from processing.page_targets import (
    GAIN_CLASSES,
    SPEED_CLASSES,
    close_up,
    letterbox,
    locate_targets,
    name_patch,
    picture_of,
    reading_tile,
)
from processing.records import Recording, resample
from processing.renderer import Page, render
from processing.signal_changes import loosened

FIND_SIZE: tuple[int, int] = (384, 384)
LOCATE_SIZE: tuple[int, int] = (576, 768)
# Share of the conditions, pixels per millimetre of the drawing and share of pages without an ECG: ours, chosen on
# rendered validation pages.
CONDITION_SHARES: dict[str, float] = {"clean": 0.2, "scan": 0.27, "photo": 0.53}
TILE_CONDITION_SHARES: dict[str, float] = {"clean": 0.32, "scan": 0.28, "photo": 0.4}
FIND_PX_PER_MM, LOCATE_PX_PER_MM, TILE_PX_PER_MM = (1.9, 2.8), (3.2, 5.0), (4.6, 9.0)
NAME_PX_PER_MM = (3.0, 7.5)
# a strip that no other trace comes near is as likely chosen as one that is crowded along this share of its length
LEAST_CROWDED, NEAR_MM = 0.02, 1.0
# ours: share of the pages for tiles whose waves are drawn twice as tall or whose rows are twelve, and of recordings of
# which an electrode is loose: of PTB-XL's one in fifty swings by more than 2 mV
TALL_PAGES, TWELVE_ROWS, LOOSE = 0.1, 0.15, 0.12
FIND_EMPTY, LOCATE_EMPTY = 0.15, 0.04
SAMPLING_RATE = 500.0


def random_page(
    recording: Recording,
    rng: np.random.Generator,
    pixels_per_mm: tuple[float, float],
    shares: dict[str, float] = CONDITION_SHARES,
    **choices: Any,
) -> Page:
    """A page of a recording in a random condition; `choices` as `render` takes them."""
    cv2.setNumThreads(1)
    condition = str(rng.choice(list(shares), p=list(shares.values())))
    printed = resample(recording, SAMPLING_RATE)
    return render(
        printed,
        seed=int(rng.integers(2**31)),
        condition=condition,
        pixels_per_mm=float(rng.uniform(*pixels_per_mm)),
        **choices,
    )


def find_sample(recording: Recording, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A small picture of a whole page, any way up, with dense truth; a share of them holds no ECG."""
    if rng.random() < FIND_EMPTY:
        return _empty(rng, FIND_SIZE)
    page = random_page(recording, rng, FIND_PX_PER_MM)
    return _located(page, FIND_SIZE, letterbox(page.image, FIND_SIZE))


def locate_sample(recording: Recording, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A close-up of the strips, roughly upright, as the first look leaves it."""
    if rng.random() < LOCATE_EMPTY:
        return _empty(rng, LOCATE_SIZE)
    page = random_page(recording, rng, LOCATE_PX_PER_MM)
    return _located(page, LOCATE_SIZE, close_up(page, LOCATE_SIZE, rng))


def tile_samples(recording: Recording, rng: np.random.Generator, count: int) -> list[dict[str, np.ndarray]]:
    """Tiles of up to `count` strips of one page, rather of those that other traces cross."""
    if rng.random() < LOOSE:
        recording = resample(recording, SAMPLING_RATE)
        recording = replace(recording, signal=loosened(recording.signal, rng))
    page = random_page(recording, rng, TILE_PX_PER_MM, TILE_CONDITION_SHARES, **crowded_page(rng))
    share = LEAST_CROWDED + crowding(page)
    count = min(count, len(share))
    tiles = []
    for index in rng.choice(len(share), count, replace=False, p=share / share.sum()):
        tile = reading_tile(page, int(index), rng)
        tile["tile"] = np.ascontiguousarray(tile["tile"].transpose(2, 0, 1)).astype(np.float16)
        tiles.append(tile)
    return tiles


def crowded_page(rng: np.random.Generator) -> dict[str, Any]:
    """What makes the rows of some pages run into each other, as `render` takes it."""
    kind = rng.random()
    if kind < TALL_PAGES:
        return {"gain": GAIN_CLASSES[-1]}
    return {"layout": "12x1"} if kind < TALL_PAGES + TWELVE_ROWS else {}


def crowding(page: Page) -> np.ndarray:
    """Per strip the share of its length along which another trace comes within `NEAR_MM` of its own."""
    along = np.arange(min(s.x_mm for s in page.strips), max(s.x_mm + s.width_mm for s in page.strips), 0.2)
    top, bottom = np.full((2, len(page.strips), len(along)), np.nan)
    for row, strip in enumerate(page.strips):
        x, y = trace_mm(page, strip)
        line = np.interp(along, x, y, left=np.nan, right=np.nan)
        # a stroke covers what lies between neighbouring places
        top[row], bottom[row] = minimum_filter1d(line, 5), maximum_filter1d(line, 5)
    near = (top[:, None] - NEAR_MM < bottom[None]) & (top[None] < bottom[:, None] + NEAR_MM)
    near[np.arange(len(near)), np.arange(len(near))] = False
    return near.any(1).sum(1) / np.isfinite(top).sum(1).clip(1)


def name_samples(recording: Recording, rng: np.random.Generator, count: int) -> list[dict[str, np.ndarray]]:
    """`count` pieces of one flattened page with the names printed there."""
    # each speed and gain as often as the others: the words are to be read, not guessed
    speed, gain = float(rng.choice(SPEED_CLASSES)), float(rng.choice(GAIN_CLASSES))
    page = random_page(recording, rng, NAME_PX_PER_MM, speed=speed, gain=gain)
    return [name_patch(page, rng) for _ in range(count)]


def stack(samples: list[dict[str, np.ndarray]]) -> dict[str, Tensor]:
    """A batch of samples."""
    return {name: torch.from_numpy(np.stack([sample[name] for sample in samples])) for name in samples[0]}


def _located(page: Page, size: tuple[int, int], to_image: np.ndarray) -> dict[str, np.ndarray]:
    picture, maps, truth = locate_targets(page, size, to_image)
    return {"picture": picture, "maps": maps, "page": truth}


def _empty(rng: np.random.Generator, size: tuple[int, int]) -> dict[str, np.ndarray]:
    image = draw_not_ecg(rng)
    maps = np.zeros((15, size[0] // 4, size[1] // 4), np.float32)
    return {"picture": picture_of(image, letterbox(image, size), size), "maps": maps, "page": np.zeros(3, np.int64)}
