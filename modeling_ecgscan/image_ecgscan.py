"""The image tower that reads: locate, rectify, read; one `ECGReading` per page."""

from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from .edges_ecgscan import name_rhythm_strips, refine_edges
from .geometry_ecgscan import PageGeometry, fit_geometry
from .locating_ecgscan import GAINS, JACOBIAN_SCALE, LOCATE_CHANNELS, SPEEDS, PageLocator
from .reading_ecgscan import TILE_HEIGHT, TILE_PX_PER_MM_Y, StripReader
from .rectifying_ecgscan import StripColumns, cut_tile, join_tiles, plan_tiles
from .strips_ecgscan import LEADS, FoundLayout, FoundStrip, decode_layout, find_rows, row_evidence

SAMPLING_RATE = 500
_WHOLE = (384, 384)
_CLOSE_UP = (576, 768)
_FINEST_PX_PER_MM = 3.4  # of the picture on which a page is located
_READ_PX_PER_MM = 7.5  # a finer page is reduced to this before its strips are cut
_NODE_CELLS = 6.0
_GRID_SEEN = 0.3  # visibility below which the grid does not carry the scale
_ROW_MM = 250.0


@dataclass
class ECGReading:
    """What was read from one page.

    Attributes:
        status: "read", "partial" or "no_ecg"; `reason` says why it is not "read".
        signal: (12, samples) float32 millivolts at 500 Hz in standard lead order, NaN where nothing is printed.
        confidence: (12, samples) float32, 0 to 1, 0 where nothing is printed.
        completed: (12, 5000) float32 millivolts, printed parts as read and the rest inferred, or None.
        layout: `{"name": ..., "rows": [[lead, ...], ...]}`.
        quality: probability that the reading reaches 10 dB.
        speed, gain: value and whether it was "read" or "assumed".
        columns: "sequential" or "simultaneous", and its source.
        strips: per strip its lead, row, column, times, confidence, trace and outline in image pixels.
    """

    status: str
    reason: str | None
    signal: np.ndarray
    confidence: np.ndarray
    layout: dict[str, Any]
    quality: float
    speed: tuple[float, str] = (25.0, "assumed")
    gain: tuple[float, str] = (10.0, "assumed")
    columns: tuple[str, str] = ("sequential", "assumed")
    strips: list[dict[str, Any]] = field(default_factory=list)
    completed: np.ndarray | None = None
    heart_rate_bpm: float | None = None
    lead_law_residual_uv: float | None = None
    grid_px_per_mm: float | None = None
    features: dict[str, float] = field(default_factory=dict)


@dataclass
class Located:
    """Geometry and strips of a page, before reading."""

    geometry: PageGeometry
    layout: FoundLayout
    ecg_probability: float
    speed: tuple[float, float]
    gain: tuple[float, float]
    rows_mm: list[tuple[float, float]]


def _softmax(logits: np.ndarray, axis: int = 0) -> np.ndarray:
    shifted = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return shifted / shifted.sum(axis=axis, keepdims=True)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.clip(logits, -30, 30)))


def _shrink(image: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """The image reduced by area, and the (3, 3) map from its pixels back to the image's."""
    if scale >= 1.0:
        return image, np.eye(3)
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    sx, sy = image.shape[1] / size[0], image.shape[0] / size[1]
    back = np.array([[sx, 0, 0.5 * sx - 0.5], [0, sy, 0.5 * sy - 0.5], [0, 0, 1.0]])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), back


def _standard_width(geometry: PageGeometry, layout: FoundLayout) -> tuple[PageGeometry, FoundLayout]:
    """Without a visible grid, scale the page so that its rows have the standard length, where they nearly do."""
    length = max(s.end_mm for s in layout.strips) - min(s.start_mm for s in layout.strips)
    ratio = _ROW_MM / length
    if not 0.85 < ratio < 1.18:
        return geometry, layout
    strips = [
        replace(s, start_mm=s.start_mm * ratio, end_mm=s.end_mm * ratio, baseline_mm=s.baseline_mm * ratio)
        for s in layout.strips
    ]
    scaled = replace(geometry, paper=geometry.paper * ratio)
    return scaled, replace(layout, strips=strips)


def _differ(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two views of a page are turned by 2 degrees or scaled by an eighth against each other."""
    change = np.linalg.inv(first[:, :2]) @ second[:, :2]
    turn = np.arctan2(change[1, 0] - change[0, 1], change[0, 0] + change[1, 1])
    return bool(abs(turn) > 0.035 or abs(np.log(abs(np.linalg.det(change)))) > 0.25)


def _leaves_tile(trace: StripColumns, y_scale: float) -> bool:
    """Whether the trace runs along the upper or lower end of its tile."""
    reach = 0.88 * TILE_HEIGHT / 2 / (TILE_PX_PER_MM_Y * y_scale)
    return bool((np.abs(trace.height_mm[trace.presence > 0.5]) > reach).sum() > 3)


def _row_angle(points: np.ndarray, weight: np.ndarray, guess: float) -> float:
    """Direction of the rows (radians), near a guess: seen along it, baselines pile up in the fewest places."""
    best, angle = -1.0, guess
    for offset in np.deg2rad(np.arange(-44.0, 44.5, 1.0)):
        turned = guess + offset
        across = points[:, 1] * np.cos(turned) - points[:, 0] * np.sin(turned)
        pile = np.bincount(((across - across.min()) / 4.0).astype(int), weight)
        pile = np.convolve(pile, (0.25, 0.5, 0.25))
        sharpness = float(np.square(pile).sum()) * (1.0 - 0.15 * abs(offset))
        if sharpness > best:
            best, angle = sharpness, turned
    return float(angle)


def _picture(image: np.ndarray, to_image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Sample a picture of `size` through the (2, 3) affine map from its pixels to image pixels."""
    scale = 1.0 / max(float(np.sqrt(abs(np.linalg.det(to_image[:, :2])))), 1e-6)
    small, back = _shrink(image, min(1.0, 1.15 * scale))
    lifted = np.linalg.inv(back) @ np.vstack([to_image, [0, 0, 1]])
    return cv2.warpAffine(
        small,
        lifted[:2],
        size[::-1],
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(128, 128, 128),
    )


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
        self.reader = StripReader(config.read_widths, config.read_depths)

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
        from .reporting_ecgscan import nothing_read, report

        if min(image.shape[:2]) < 48:
            return nothing_read(f"the page is {image.shape[1]} x {image.shape[0]} pixels, too small to read", 0.0)
        located = self.locate(image)
        if isinstance(located, str):
            return nothing_read(located, 0.0)
        strips, traces = self.trace(image, located)
        return report(located, strips, traces, columns, self.config.calibration)

    def _maps(self, net: PageLocator, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = torch.from_numpy(picture).permute(2, 0, 1)[None].float().div(255)
        x = x.to(next(self.parameters()).device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, torch.bfloat16):
            maps, page = net(x)
        return maps[0].float().cpu().numpy(), page[0].float().cpu().numpy()

    def locate(self, image: np.ndarray) -> Located | str:
        """Geometry and strips of a page, or the reason why there are none."""
        scale = max(image.shape[0] / _WHOLE[0], image.shape[1] / _WHOLE[1])
        whole = np.array([[scale, 0, 0.5 * scale - 0.5], [0, scale, 0.5 * scale - 0.5]])
        maps, page = self._maps(self.finder, _picture(image, whole, _WHOLE))
        found = float(_sigmoid(page[0]))
        to_image = self._close_up(maps, whole)
        if found < self.config.calibration.get("find_threshold", 0.1) or to_image is None:
            return "no ECG was found on the page"
        maps, page = self._maps(self.locator, _picture(image, to_image, _CLOSE_UP))
        again = self._close_up(maps, to_image)
        if again is not None and _differ(to_image, again):
            to_image = again
            maps, page = self._maps(self.locator, _picture(image, to_image, _CLOSE_UP))
        ecg = min(found, float(_sigmoid(page[0])))
        geometry = fit_geometry(
            maps[LOCATE_CHANNELS["phase"]],
            maps[LOCATE_CHANNELS["jacobian"]] / JACOBIAN_SCALE,
            _sigmoid(maps[LOCATE_CHANNELS["paper"]][0]),
            to_image,
            _NODE_CELLS,
        )
        return self._strips(maps, page, geometry, ecg)

    def _close_up(self, maps: np.ndarray, whole: np.ndarray) -> np.ndarray | None:
        """(2, 3) affine map of an upright picture that the strips fill; None where there are none."""
        evidence = 1.0 - _softmax(maps[LOCATE_CHANNELS["lead"]])[0]
        evidence = np.maximum(evidence, _sigmoid(maps[LOCATE_CHANNELS["baseline"]][0]))
        on = evidence > 0.4
        if on.sum() < 20:
            return None
        slope = maps[LOCATE_CHANNELS["jacobian"]] / JACOBIAN_SCALE
        ux, uy, vx, vy = (float(np.median(slope[k][on])) for k in range(4))
        angle = float(np.angle(complex(ux, uy) + complex(vy, -vx)))
        mm_per_px = float(np.clip(np.sqrt(abs(ux * vy - uy * vx)), 0.05, 2.0))
        y, x = np.nonzero(on)
        points = np.stack([x, y], 1) * 4.0 + 1.5
        angle = _row_angle(points, _sigmoid(maps[LOCATE_CHANNELS["baseline"]][0])[on], angle)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        along = points @ turn.T
        low, high = np.percentile(along, 0.5, axis=0), np.percentile(along, 99.5, axis=0)
        margin = np.array([22.0, 22.0]) / mm_per_px
        low, high = low - margin, high + margin
        span = high - low
        scale = max(span[0] / _CLOSE_UP[1], span[1] / _CLOSE_UP[0], 1.0 / (_FINEST_PX_PER_MM * mm_per_px))
        centre = (low + high) / 2
        # picture pixel p -> turned page coordinate centre + scale * (p - size / 2) -> letterbox pixel -> image pixel
        linear = turn.T * scale
        offset = turn.T @ (centre - scale * (np.array(_CLOSE_UP[::-1]) - 1) / 2)
        lifted = np.vstack([whole, [0, 0, 1]]) @ np.vstack([np.column_stack([linear, offset]), [0, 0, 1]])
        return lifted[:2]

    def _strips(self, maps: np.ndarray, page: np.ndarray, geometry: PageGeometry, ecg: float) -> Located | str:
        paper = geometry.paper.reshape(-1, 2)
        baseline = _sigmoid(maps[LOCATE_CHANNELS["baseline"]][0]).ravel()
        rows = find_rows(paper, baseline)
        if not rows:
            return "no row of traces was found on the page"
        lead = _softmax(maps[LOCATE_CHANNELS["lead"]]).reshape(13, -1).T
        start = _sigmoid(maps[LOCATE_CHANNELS["start"]][0]).ravel()
        evidence = row_evidence(paper, np.log(lead + 1e-4), start, rows)
        layout = decode_layout(evidence, self.config.layouts)
        if layout is None or not layout.strips:
            return "traces were found, but no lead could be named"
        if np.percentile(geometry.amplitude, 75) < _GRID_SEEN:
            geometry, layout = _standard_width(geometry, layout)
        speed, gain = _softmax(page[1:3]), _softmax(page[3:6])
        return Located(
            geometry,
            layout,
            ecg,
            (SPEEDS[int(speed.argmax())], float(speed.max())),
            (GAINS[int(gain.argmax())], float(gain.max())),
            rows,
        )

    def trace(self, image: np.ndarray, located: Located) -> tuple[list[FoundStrip], list[StripColumns]]:
        """Read the strips column by column; read again where their ends were not where they had been expected."""
        scale = _READ_PX_PER_MM / located.geometry.px_per_mm()
        small, back = _shrink(image, min(1.0, scale))
        lifted = np.linalg.inv(back) @ np.vstack([located.geometry.to_image, [0, 0, 1]])
        geometry = PageGeometry(
            located.geometry.paper, located.geometry.amplitude, located.geometry.residual_mm, lifted[:2]
        )
        strips = located.layout.strips
        y_scales = [min(1.0, 10.0 / located.gain[0])] * len(strips)
        for _ in range(2):
            columns = self._read_tiles(small, geometry, strips, y_scales)
            moved = refine_edges(strips, columns)
            shift = max(
                max(abs(a.start_mm - b.start_mm), abs(a.end_mm - b.end_mm)) for a, b in zip(strips, moved, strict=True)
            )
            strips = moved
            if shift < 2.0:
                break
        tall = [k for k, trace in enumerate(columns) if _leaves_tile(trace, y_scales[k])]
        if tall:
            again = self._read_tiles(small, geometry, strips, [0.55 * scale for scale in y_scales])
            columns = [again[k] if k in tall else trace for k, trace in enumerate(columns)]
        return name_rhythm_strips(strips, columns), columns

    def _read_tiles(
        self, image: np.ndarray, geometry: PageGeometry, strips: list[FoundStrip], y_scales: list[float]
    ) -> list[StripColumns]:
        jobs = plan_tiles(strips, y_scales)
        device = next(self.parameters()).device
        height, spread, presence = [], [], []
        for first in range(0, len(jobs), 8):
            tiles = np.stack([cut_tile(image, geometry, strips, job) for job in jobs[first : first + 8]])
            x = torch.from_numpy(tiles).permute(0, 3, 1, 2).to(device).contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16):
                reading = self.reader(x)
            height.append(reading.height_mm().cpu().numpy())
            spread.append(reading.spread_mm().cpu().numpy())
            presence.append(reading.presence.float().sigmoid().cpu().numpy())
        return join_tiles(jobs, np.concatenate(height), np.concatenate(spread), np.concatenate(presence), len(strips))


__all__ = ["LEADS", "ECGReading", "ECGScanImageReader", "Located"]
