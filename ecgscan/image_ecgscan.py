"""The image tower that reads: locate, rectify, read; one `ECGReading` per page."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from .blocks_ecgscan import fast_precision
from .edges_ecgscan import lean, name_rhythm_strips, refine_edges, rest_on_pulses, settle_baselines
from .geometry_ecgscan import PageGeometry, fit_geometry
from .laws_ecgscan import name_six_rows
from .locating_ecgscan import JACOBIAN_SCALE, LOCATE_CHANNELS, SPEEDS, PageLocator
from .naming_ecgscan import NAME_STRIDE, NameReader, PrintedNames, in_words
from .pulse_size_ecgscan import measure_pulses, pulse_ratio
from .pulses_ecgscan import contradictions, find_pulse, settle_gain, settle_speed
from .rasters_ecgscan import RASTER_PX_PER_MM, Box, flat_raster
from .reading_ecgscan import TILE_HEIGHT, TILE_PX_PER_MM_Y, StripReader
from .readings_ecgscan import ECGReading, Located, Traced
from .rectifying_ecgscan import StripColumns, cut_tile, join_tiles, plan_tiles
from .reporting_ecgscan import nothing_read, report
from .settling_ecgscan import scaled, settle_on_grid, squared, standard_width, turned
from .strips_ecgscan import FoundLayout, FoundStrip, decode_layout, find_rows, row_evidence
from .views_ecgscan import (
    CLOSE_UP,
    WHOLE,
    close_up_view,
    picture_of,
    shrink,
    sigmoid,
    softmax,
    turned_view,
    views_differ,
    whole_view,
)

_READ_PX_PER_MM = 7.5  # a finer page is reduced to this before its strips are cut
# cells between nodes of the page's map, where a grid is seen and where it is not
_NODE_CELLS, _BLIND_NODE_CELLS = 24.0, 96.0
_SENSIBLE = -1.0  # mean log probability of the leads of a page that is the right way up
_CLEARLY = 0.1  # by how much another way up must make more sense
_NAMES_SEEN, _NAMES_CLEARLY = 1.0, 0.7  # log odds per strip that the names are printed where they should be
# ours: log odds of all strips from which rows do not stand on end; 840 to 7,900 the right way, up to 730 on end
_ROWS_SEEN = 1000.0
_ECG_SEEN = 0.05  # probability, from close by, below which there is no ECG
_NAME_SHARE = 0.5  # of the maps' evidence on which lead it is, beside that a lead is printed at all
_SHIFTED_MM = 2.0  # a strip whose ends were this far from where they had been expected is read again
_ABOVE_MM, _BELOW_MM = 70.0, 56.0  # of the rows, where names, paper speed and gain are looked for
_WIDE_MARGIN_MM = 40.0  # around what a first look took for strips


def _at_reading_scale(image: np.ndarray, geometry: PageGeometry) -> tuple[np.ndarray, PageGeometry]:
    """The image reduced to what reading needs, and the geometry that maps to it."""
    small, back = shrink(image, min(1.0, _READ_PX_PER_MM / geometry.px_per_mm()))
    lifted = np.linalg.inv(back) @ np.vstack([geometry.to_image, [0, 0, 1]])
    return small, replace(geometry, to_image=lifted[:2])


def _makes_more_sense(layout: FoundLayout, than: FoundLayout) -> bool:
    """Whether another way up explains the page clearly better, by its printed names or by more than a part of it."""
    if max(layout.printed, than.printed) > 0.0 and abs(layout.printed - than.printed) > _NAMES_CLEARLY:
        return layout.printed > than.printed
    return layout.score_per_mm > than.score_per_mm + _CLEARLY and layout.gain > 0.6 * than.gain


def _is_upright(layout: FoundLayout) -> bool:
    """Whether no other way up need be tried."""
    return layout.printed > _NAMES_SEEN or (layout.printed >= 0.0 and layout.score_per_mm > _SENSIBLE)


def _leaves_tile(trace: StripColumns, y_scale: float) -> bool:
    """Whether the trace runs along the upper or lower end of its tile."""
    reach = 0.88 * TILE_HEIGHT / 2 / (TILE_PX_PER_MM_Y * y_scale)
    return bool((np.abs(trace.height_mm[trace.presence > 0.5]) > reach).sum() > 6)


class ECGScanImageReader(nn.Module):
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
        self, pixel_values: torch.Tensor, page_size: torch.Tensor | None = None, columns: str = "sequential"
    ) -> list[ECGReading]:
        """Read pages.

        Args:
            pixel_values: (batch, 3, H, W) uint8 RGB, padded at the right and the bottom.
            page_size: (batch, 2) height and width of each page, or None where nothing is padded.
            columns: "sequential" or "simultaneous".

        Raises:
            ValueError: for another `columns`, or pixel values that are not (batch, 3, H, W).
        """
        if columns not in ("sequential", "simultaneous"):
            raise ValueError(f"columns must be 'sequential' or 'simultaneous', got {columns!r}")
        if pixel_values.ndim != 4 or pixel_values.shape[1] != 3:
            raise ValueError(f"pixel_values must be (batch, 3, height, width), got {tuple(pixel_values.shape)}")
        readings = []
        for index, page in enumerate(pixel_values):
            height, width = (int(v) for v in page_size[index]) if page_size is not None else page.shape[1:]
            image = np.ascontiguousarray(page[:, :height, :width].permute(1, 2, 0).to(torch.uint8).cpu().numpy())
            readings.append(self.read_page(image, columns))
        return readings

    @torch.no_grad()
    def read_page(self, image: np.ndarray, columns: str = "sequential") -> ECGReading:
        """Read one (height, width, 3) uint8 RGB page."""
        if min(image.shape[:2]) < 48:
            return nothing_read(f"the page is {image.shape[1]} x {image.shape[0]} pixels, too small to read", 0.0)
        located = self.locate(image)
        if isinstance(located, str):
            return nothing_read(located, 0.0)
        small, geometry = _at_reading_scale(image, located.geometry)
        geometry, strips, gridded = self._settle_scale(small, geometry, located.layout.strips)
        pulse = find_pulse(small, geometry, strips)
        traced = self.trace(small, geometry, strips, 10.0 if pulse is None else pulse.gain)
        speed = settle_speed(located.speed_share, traced.speed_share, pulse, located.names)
        gain = settle_gain(located.gain_share, traced.gain_share, pulse, located.names)
        named, layout = name_six_rows(traced.strips, traced.columns, located.layout)
        strips, columns_read = rest_on_pulses(named, traced.columns, measure_pulses(small, geometry, strips), gain[0])
        reading = report(
            replace(
                located, layout=layout, geometry=replace(geometry, to_image=located.geometry.to_image), gridded=gridded
            ),
            strips,
            columns_read,
            speed=speed,
            gain=gain,
            columns=columns,
            calibration=self.config.calibration,
        )
        return replace(reading, warnings=contradictions(speed[0], gain[0], pulse, located.names))

    def _settle_scale(
        self, small: np.ndarray, geometry: PageGeometry, strips: list[FoundStrip]
    ) -> tuple[PageGeometry, list[FoundStrip], bool]:
        """Geometry and strips in true millimetres: those of the printed grid, else those of a row's standard length
        or, where it clearly contradicts that, of the calibration pulse.

        The last value says whether it was the grid.
        """
        gridded = settle_on_grid(small, geometry, strips)
        if gridded is not None:
            return *gridded, True
        # the length of the rows is the scale: found roughly, then where the reader sees them begin and end
        flat = squared(geometry, strips)
        geometry, strips = standard_width(*(flat or (geometry, strips)))
        traced = self.trace(small, geometry, strips, 10.0, in_mm=False)
        if flat is None:
            return *standard_width(geometry, traced.strips), False
        leaning = lean(traced.strips, traced.columns)
        geometry, strips = standard_width(*turned(geometry, traced.strips, leaning))
        gridded = settle_on_grid(small, geometry, strips)
        if gridded is not None:
            return *gridded, True
        pulse = measure_pulses(small, geometry, strips)
        return (*scaled(geometry, strips, pulse_ratio(pulse)), False) if pulse else (geometry, strips, False)

    def _maps(self, net: PageLocator, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = torch.from_numpy(picture).permute(2, 0, 1)[None].float().div(255)
        x = x.to(next(self.parameters()).device).contiguous(memory_format=torch.channels_last)
        with fast_precision(x.device):
            maps, page = net(x)
        return maps[0].float().cpu().numpy(), page[0].float().cpu().numpy()

    def locate(self, image: np.ndarray) -> Located | str:
        """Geometry and strips of a page, or the reason why there are none."""
        view, found = self._find(image)
        if found < self.config.calibration.get("find_threshold", 0.1) or view is None:
            return "no ECG was found on the page"
        best: Located | str = "no row of traces was found on the page"
        # a page that makes no sense this way up may do so another way up
        for quarters in (0, 2, 1, 3):
            if quarters == 1 and isinstance(best, Located) and best.layout.gain > _ROWS_SEEN:
                break
            located = self._locate_view(image, turned_view(view, quarters), found)
            if isinstance(located, Located):
                if isinstance(best, str) or _makes_more_sense(located.layout, best.layout):
                    best = located
                if _is_upright(best.layout):
                    break
            elif isinstance(best, str):
                best = located
        return best

    def _find(self, image: np.ndarray) -> tuple[np.ndarray | None, float]:
        """Close-up view of the strips, if any were found, and the probability that the page holds an ECG."""
        whole = whole_view(image)
        maps, page = self._maps(self.finder, picture_of(image, whole, WHOLE))
        found = float(sigmoid(page[0]))
        nearer = close_up_view(maps, whole, WHOLE, _WIDE_MARGIN_MM)
        if nearer is None:
            return None, found
        closer, _ = self._maps(self.finder, picture_of(image, nearer, WHOLE))
        view = close_up_view(closer, nearer)
        return close_up_view(maps, whole) if view is None else view, found

    def _locate_view(self, image: np.ndarray, view: np.ndarray, found: float) -> Located | str:
        maps, page = self._maps(self.locator, picture_of(image, view, CLOSE_UP))
        if sigmoid(page[0]) < _ECG_SEEN:
            return "no ECG was found on the page"
        again = close_up_view(maps, view)
        if again is not None and views_differ(view, again):
            view = again
            maps, page = self._maps(self.locator, picture_of(image, view, CLOSE_UP))
        geometry = fit_geometry(
            maps[LOCATE_CHANNELS["phase"]],
            maps[LOCATE_CHANNELS["jacobian"]] / JACOBIAN_SCALE,
            sigmoid(maps[LOCATE_CHANNELS["paper"]][0]),
            view,
            _NODE_CELLS,
            _BLIND_NODE_CELLS,
        )
        return self._strips(image, maps, page, geometry, min(found, float(sigmoid(page[0]))))

    def _names(self, image: np.ndarray, geometry: PageGeometry, box_mm: Box) -> PrintedNames | None:
        """Names of leads, paper speed and gain printed in a part of the page."""
        small, lifted = _at_reading_scale(image, geometry)
        flat = flat_raster(small, lifted, box_mm)
        if flat is None:
            return None
        height, width = (side - side % NAME_STRIDE for side in flat.shape[:2])
        x = torch.from_numpy(flat[:height, :width]).permute(2, 0, 1)[None].to(next(self.parameters()).device)
        with fast_precision(x.device):
            logits = self.namer(x.float().contiguous(memory_format=torch.channels_last))
        share = logits.float().softmax(1)[0, 1:].cpu().numpy()
        speeds, gains = (in_words(part) for part in np.split(share[12:], [len(SPEEDS)]))
        return PrintedNames(share[:12], np.array(box_mm[:2]), NAME_STRIDE / RASTER_PX_PER_MM, speeds, gains)

    def _strips(
        self, image: np.ndarray, maps: np.ndarray, page: np.ndarray, geometry: PageGeometry, ecg: float
    ) -> Located | str:
        paper = geometry.paper.reshape(-1, 2)
        baseline = sigmoid(maps[LOCATE_CHANNELS["baseline"]][0]).ravel()
        rows = find_rows(paper, baseline)
        if not rows:
            return "no row of traces was found on the page"
        lead = softmax(maps[LOCATE_CHANNELS["lead"]]).reshape(13, -1).T
        start = sigmoid(maps[LOCATE_CHANNELS["start"]][0]).ravel()
        log_lead = np.log(lead + 1e-4)
        some = np.log(1.0 - lead[:, :1] + 1e-4)
        log_lead[:, 1:] = some + _NAME_SHARE * (log_lead[:, 1:] - some)
        evidence = row_evidence(paper, log_lead, start, rows)
        along = paper[baseline > 0.3, 0]
        names = None
        if len(along):
            left, right = np.percentile(along, (1, 99))
            names = self._names(
                image, geometry, (left - 26, rows[0][0] - _ABOVE_MM, right + 10, rows[-1][0] + _BELOW_MM)
            )
        layout = decode_layout(evidence, self.config.layouts, names)
        if layout is None or not layout.strips:
            return "traces were found, but no lead could be named"
        speed, gain = softmax(page[1:3]), softmax(page[3:6])
        return Located(image.shape[:2], geometry, layout, ecg, speed, gain, names)

    def trace(
        self, image: np.ndarray, geometry: PageGeometry, strips: list[FoundStrip], gain: float, *, in_mm: bool = True
    ) -> Traced:
        """Read the strips column by column; read again where their ends were not where they had been expected.

        Args:
            image: at most `_READ_PX_PER_MM` fine; `geometry` maps to it.
            gain: in mm/mV; above 10, tiles hold more height.
            in_mm: whether the geometry's scale is known, so that rows have the lengths that machines print.
        """
        y_scales = [min(1.0, 10.0 / gain)] * len(strips)
        found, speed, gains = self._read_tiles(image, geometry, strips, y_scales, range(len(strips)))
        columns = [found[k] for k in range(len(strips))]
        moved = refine_edges(strips, columns, in_mm=in_mm)
        shifted = [
            k
            for k, (old, new) in enumerate(zip(strips, moved, strict=True))
            if max(abs(old.start_mm - new.start_mm), abs(old.end_mm - new.end_mm)) >= _SHIFTED_MM
        ]
        strips = moved
        if shifted:
            again, _, _ = self._read_tiles(image, geometry, strips, y_scales, shifted)
            columns = [again[k] if k in shifted else trace for k, trace in enumerate(columns)]
            strips = refine_edges(strips, columns, in_mm=in_mm)
        tall = [k for k, trace in enumerate(columns) if _leaves_tile(trace, y_scales[k])]
        if tall:
            again, _, _ = self._read_tiles(image, geometry, strips, [0.55 * scale for scale in y_scales], tall)
            columns = [again[k] if k in tall else trace for k, trace in enumerate(columns)]
        strips, columns = settle_baselines(name_rhythm_strips(strips, columns), columns)
        return Traced(strips, columns, speed, gains)

    def _read_tiles(
        self,
        image: np.ndarray,
        geometry: PageGeometry,
        strips: list[FoundStrip],
        y_scales: list[float],
        chosen: Iterable[int],
    ) -> tuple[dict[int, StripColumns], np.ndarray, np.ndarray]:
        """Columns of the chosen strips, and the probabilities of the paper speeds and of the gains."""
        wanted = set(chosen)
        jobs = [job for job in plan_tiles(strips, y_scales) if job.strip in wanted]
        device = next(self.parameters()).device
        height, spread, presence, speed, gain = [], [], [], [], []
        for first in range(0, len(jobs), 8):
            tiles = np.stack([cut_tile(image, geometry, strips, job) for job in jobs[first : first + 8]])
            x = torch.from_numpy(tiles).permute(0, 3, 1, 2).to(device).contiguous(memory_format=torch.channels_last)
            with fast_precision(device):
                reading = self.reader(x)
            mean, deviation = reading.height_mm()
            height.append(mean.cpu().numpy())
            spread.append(deviation.cpu().numpy())
            presence.append(reading.presence.float().sigmoid().cpu().numpy())
            speed.append(reading.speed.float().cpu().numpy())
            gain.append(reading.gain.float().cpu().numpy())
        columns = join_tiles(jobs, np.concatenate(height), np.concatenate(spread), np.concatenate(presence))
        # tiles are no independent witnesses: their logits are averaged, not added
        return columns, softmax(np.concatenate(speed).mean(0)), softmax(np.concatenate(gain).mean(0))


__all__ = ["ECGScanImageReader"]
