"""Endless rendered pages for the locating and the reading network, made inside the loader's workers."""

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from processing.not_ecg import draw_not_ecg
from processing.page_targets import close_up, letterbox, locate_targets, picture_of, reading_tile
from processing.records import Recording
from processing.renderer import Page, render

FIND_SIZE: tuple[int, int] = (384, 384)
LOCATE_SIZE: tuple[int, int] = (576, 768)
CONDITION_SHARES: dict[str, float] = {"clean": 0.2, "scan": 0.27, "photo": 0.53}


class PageStream(IterableDataset):
    """Rendered pages without end; worker and epoch choose the seeds, so a run can be repeated and resumed.

    Args:
        recordings: what is printed, 12 leads at 500 Hz.
        seed: of the whole stream.
        start: number of samples already taken by an earlier part of the run.
    """

    def __init__(self, recordings: list[Recording], seed: int, start: int = 0) -> None:
        self.recordings, self.seed, self.start = recordings, seed, start

    def seeds(self) -> Iterator[np.random.Generator]:
        """One generator per sample of this worker."""
        worker = get_worker_info()
        index, step = (worker.id, worker.num_workers) if worker else (0, 1)
        cv2.setNumThreads(1)
        position = self.start + index
        while True:
            yield np.random.default_rng((self.seed, position))
            position += step

    def page(self, rng: np.random.Generator, pixels_per_mm: tuple[float, float]) -> Page:
        """A page of a random recording in a random condition."""
        recording = self.recordings[int(rng.integers(len(self.recordings)))]
        condition = str(rng.choice(list(CONDITION_SHARES), p=list(CONDITION_SHARES.values())))
        return render(
            recording,
            seed=int(rng.integers(2**31)),
            condition=condition,
            pixels_per_mm=float(rng.uniform(*pixels_per_mm)),
        )


class FindStream(PageStream):
    """Small pictures of whole pages, any way up, with dense truth; a share of them holds no ECG."""

    size, pixels_per_mm, empty_share = FIND_SIZE, (1.9, 2.8), 0.15

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        for rng in self.seeds():
            if rng.random() < self.empty_share:
                picture, maps, truth = self._empty(rng)
            else:
                page = self.page(rng, self.pixels_per_mm)
                picture, maps, truth = locate_targets(page, self.size, self.view(page, rng))
            yield {"picture": torch.from_numpy(picture), "maps": torch.from_numpy(maps), "page": torch.from_numpy(truth)}

    def view(self, page: Page, rng: np.random.Generator) -> np.ndarray:
        """Affine map of the picture to take of a page."""
        return letterbox(page.image, self.size)

    def _empty(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        image = draw_not_ecg(rng)
        maps = np.zeros((15, self.size[0] // 4, self.size[1] // 4), np.float32)
        return picture_of(image, letterbox(image, self.size), self.size), maps, np.zeros(3, np.int64)


class LocateStream(FindStream):
    """Close-ups of the strips, roughly upright, as the first look leaves them."""

    size, pixels_per_mm, empty_share = LOCATE_SIZE, (3.2, 5.0), 0.04

    def view(self, page: Page, rng: np.random.Generator) -> np.ndarray:
        return close_up(page, self.size, rng)


class TileStream(PageStream):
    """Batches of strip tiles; tiles of several pages are mixed through a small pool.

    Args:
        pool: number of tiles kept to draw from.
        per_page: at most so many tiles of one page.
    """

    pool, per_page = 48, 6

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        pool: list[dict[str, np.ndarray]] = []
        for rng in self.seeds():
            page = self.page(rng, (4.6, 8.0))
            for index in rng.permutation(len(page.strips))[: self.per_page]:
                pool.append(reading_tile(page, int(index), rng))
            while len(pool) > self.pool:
                tile = pool.pop(int(rng.integers(len(pool))))
                tile["tile"] = tile["tile"].transpose(2, 0, 1).astype(np.float16)
                yield {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in tile.items()}
