"""The image tower that reads: the networks that look at a page; one `ECGReading` per page."""

from typing import Any

import numpy as np
import torch
from torch import nn

from .blocks_ecgscan import fast_precision
from .locating_ecgscan import PageLocator
from .naming_ecgscan import NameReader
from .onward_ecgscan import gone_on
from .page_reading_ecgscan import PageReading, TileReadings
from .reading_ecgscan import StripReader
from .readings_ecgscan import ECGReading


class ECGScanImageReader(nn.Module, PageReading):
    """The reading image tower.

    Args:
        config: `ECGScanImageConfig`.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.finder = PageLocator(config.find_widths, config.find_depths)
        self.locator = PageLocator(config.locate_widths, config.locate_depths)
        self.namer = NameReader(config.name_widths, config.name_depths)
        self.reader = StripReader(config.read_widths, config.read_depths, config.read_mixer_layers)

    @torch.no_grad()
    def read(
        self, pixel_values: torch.Tensor, page_size: torch.Tensor | None = None, columns: str | None = None
    ) -> list[ECGReading]:
        """Read pages.

        Args:
            pixel_values: (batch, 3, H, W) uint8 RGB, padded at the right and the bottom.
            page_size: (batch, 2) height and width of each page, or None where nothing is padded.
            columns: "sequential" or "simultaneous"; None where rhythm strips are to tell, sequential if none does.

        Raises:
            ValueError: for another `columns`, or pixel values that are not (batch, 3, H, W).
        """
        if columns not in (None, "sequential", "simultaneous"):
            raise ValueError(f"columns must be 'sequential', 'simultaneous' or None, got {columns!r}")
        if pixel_values.ndim != 4 or pixel_values.shape[1] != 3:
            raise ValueError(f"pixel_values must be (batch, 3, height, width), got {tuple(pixel_values.shape)}")
        readings = []
        for index, page in enumerate(pixel_values):
            height, width = (int(v) for v in page_size[index]) if page_size is not None else page.shape[1:]
            image = np.ascontiguousarray(page[:, :height, :width].permute(1, 2, 0).to(torch.uint8).cpu().numpy())
            readings.append(self.read_page(image, columns))
        return readings

    def find_maps(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._maps(self.finder, picture)

    def locate_maps(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._maps(self.locator, picture)

    def _on_device(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures.to(next(self.parameters()).device).contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def _maps(self, net: PageLocator, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = self._on_device(torch.from_numpy(picture).permute(2, 0, 1)[None].float().div(255))
        with fast_precision(x.device):
            maps, page = net(x)
        return maps[0].float().cpu().numpy(), page[0].float().cpu().numpy()

    @torch.no_grad()
    def name_shares(self, flat: np.ndarray) -> np.ndarray:
        x = self._on_device(torch.from_numpy(flat).permute(2, 0, 1)[None].float())
        with fast_precision(x.device):
            logits = self.namer(x)
        return logits.float().softmax(1)[0].cpu().numpy()

    @torch.no_grad()
    def read_tiles(self, tiles: np.ndarray, onward: bool) -> TileReadings:
        x = self._on_device(torch.from_numpy(tiles).permute(0, 3, 1, 2))
        with fast_precision(x.device):
            reading = self.reader(x)
        mean, deviation = (part.cpu().numpy() for part in reading.height_mm())
        parts = (reading.presence.float().sigmoid(), reading.speed, reading.gain)
        presence, speed, gain = (part.float().cpu().numpy() for part in parts)
        if not onward:
            return TileReadings(mean, deviation, presence, speed, gain)
        logits, movement = (part.float().cpu().numpy() for part in (reading.logits, reading.movement))
        return TileReadings(*gone_on(mean, deviation, logits, movement), presence, speed, gain, logits, movement)


__all__ = ["ECGScanImageReader"]
