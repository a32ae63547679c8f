"""How a page is read: locate, rectify, read, with geometry in NumPy between networks of any framework."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .edges_ecgscan import (
    as_far_as_seen,
    lasts_as_printed,
    lengthened,
    much_longer,
    name_rhythm_strips,
    refine_edges,
    rest_on_pulses,
    settle_baselines,
    shortened,
)
from .geometry_ecgscan import CELL_PX, PageGeometry, fit_geometry
from .laws_ecgscan import name_six_rows, obey_laws
from .pace_ecgscan import SLOW, pace_warning, too_narrow
from .printed_names_ecgscan import PrintedNames, in_words
from .pulse_size_ecgscan import measure_pulses, pulse_ratio
from .pulses_ecgscan import contradictions, find_pulse, measured_pulse, settle_gain, settle_speed
from .rasters_ecgscan import RASTER_PX_PER_MM, Box, flat_raster
from .readings_ecgscan import ECGReading, Located, Traced
from .rectifying_ecgscan import DOUBT_MM, StripColumns, cut_tile, join_tiles, plan_tiles
from .reporting_ecgscan import nothing_read, report
from .sense_ecgscan import (
    NAMES_SEEN,
    bears_other_names,
    could_be_any_chart,
    doubted_names,
    explains_as_well,
    further_ecg,
    holds_an_ecg,
    is_upright,
    makes_more_sense,
    stands_on_rows,
)
from .settling_ecgscan import (
    evenly_spaced,
    scaled,
    settle_on_grid,
    squared,
    standard_width,
)
from .sharing_ecgscan import shared_out
from .strips_ecgscan import FoundStrip, as_long_as_rows, decode_layout, find_rows, further_rows, row_evidence
from .terms_ecgscan import JACOBIAN_SCALE, LOCATE_CHANNELS, NAME_STRIDE, SPEEDS, TILE_HEIGHT, TILE_PX_PER_MM_Y
from .uprighting_ecgscan import made_upright
from .views_ecgscan import (
    CLOSE_UP,
    WHOLE,
    close_up_view,
    picture_of,
    shrink,
    sigmoid,
    softmax,
    turned_view,
    view_holding,
    views_differ,
    whole_view,
)

_DARK = 90  # grey level below which most of a page lies whose paper is dark
_READ_PX_PER_MM = 9.0  # a finer page is reduced to this before its strips are cut
# cells between nodes of the page's map, where a grid is seen and where it is not
_NODE_CELLS, _BLIND_NODE_CELLS = 24.0, 96.0
_ECG_SEEN = 0.05  # probability, from close by, below which there is no ECG
_NAME_SHARE = 0.5  # of the maps' evidence on which lead it is, beside that a lead is printed at all
_SHIFTED_MM = 2.0  # a strip whose ends were this far from where they had been expected is read again
_LOOKS = 3  # ours: at strips whose ends are still elsewhere: marked far off, an end is approached from look to look
_ABOVE_MM, _BELOW_MM = 70.0, 56.0  # of the rows, where names, paper speed and gain are looked for
_DOUBTED = 0.01  # ours: of a strip's columns
_WIDE_MARGIN_MM = 40.0  # around what a first look took for strips


def _at_reading_scale(image: np.ndarray, geometry: PageGeometry) -> tuple[np.ndarray, PageGeometry]:
    """The image reduced to what reading needs, and the geometry that maps to it."""
    small, back = shrink(image, min(1.0, _READ_PX_PER_MM / geometry.px_per_mm()))
    lifted = np.linalg.inv(back) @ np.vstack([geometry.to_image, [0, 0, 1]])
    return small, replace(geometry, to_image=lifted[:2])


def _wider(located: Located, view: np.ndarray, image: np.ndarray) -> np.ndarray | None:
    """A close-up that holds all of the strips; None where this one does."""
    strips, geometry = located.layout.strips, located.geometry
    ends = np.array([[at, strip.baseline_mm] for strip in strips for at in (strip.start_mm, strip.end_mm)])
    shrunk = float(np.sqrt(abs(np.linalg.det(view[:, :2]))))
    return view_holding(
        CELL_PX * geometry.cells_of(ends) + (CELL_PX - 1) / 2, view, image, geometry.px_per_mm() / shrunk
    )


def _shifted(strips: list[FoundStrip], moved: list[FoundStrip]) -> list[int]:
    """Which strips begin or end elsewhere than was expected."""
    return [
        k
        for k, (old, new) in enumerate(zip(strips, moved, strict=True))
        if max(abs(old.start_mm - new.start_mm), abs(old.end_mm - new.end_mm)) >= _SHIFTED_MM
    ]


def _leaves_tile(trace: StripColumns, y_scale: float) -> bool:
    """Whether the trace runs along the upper or lower end of its tile."""
    reach = 0.88 * TILE_HEIGHT / 2 / (TILE_PX_PER_MM_Y * y_scale)
    return bool((np.abs(trace.height_mm[trace.presence > 0.5]) > reach).sum() > 6)


def _is_doubtful(trace: StripColumns) -> bool:
    """Whether a strip had better be read again with the other rows' traces in sight."""
    printed = trace.presence > 0.5
    return bool((trace.spread_mm[printed] > DOUBT_MM).sum() > _DOUBTED * printed.sum())


@dataclass
class TileReadings:
    """What the reading network says of a batch of tiles.

    Attributes:
        height_mm, spread_mm: (batch, columns) expected height above the middle of the tile and its standard deviation.
        presence: (batch, columns) probability that the strip is printed there.
        speed, gain: (batch, values) logits in the order of `SPEEDS` and `GAINS`.
        logits, movement: (batch, bins, columns) over height and (batch, costs, pixels) of the steps, where strokes
            cross.
    """

    height_mm: np.ndarray
    spread_mm: np.ndarray
    presence: np.ndarray
    speed: np.ndarray
    gain: np.ndarray
    logits: np.ndarray | None = None
    movement: np.ndarray | None = None


class PageReading(ABC):
    """Reads pages with four networks that a subclass brings; everything between them is NumPy and OpenCV.

    Attributes:
        config: holds `calibration` and `layouts`, as `ECGScanImageConfig` describes them.
    """

    config: Any

    @abstractmethod
    def find_maps(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(25, H/4, W/4) maps and (6,) page logits of a (H, W, 3) uint8 picture of a whole page, by the finder."""

    @abstractmethod
    def locate_maps(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same of an upright close-up, by the locator."""

    @abstractmethod
    def name_shares(self, flat: np.ndarray) -> np.ndarray:
        """(`NAME_CLASSES`, H/8, W/8) probabilities of a flat (H, W, 3) uint8 page, sides divisible by 8."""

    @abstractmethod
    def read_tiles(self, tiles: np.ndarray, onward: bool) -> TileReadings:
        """Readings of (batch, 256, 608, 5) float32 tiles; `onward` where strokes cross in them."""

    def read_page(self, image: np.ndarray, columns: str | None = None) -> ECGReading:
        """Read one (height, width, 3) uint8 RGB page.

        Args:
            columns: "sequential" or "simultaneous"; None where rhythm strips are to tell, sequential if none does.
        """
        if min(image.shape[:2]) < 48:
            return nothing_read(f"the page is {image.shape[1]} x {image.shape[0]} pixels, too small to read", 0.0)
        located = self.locate(image)
        if isinstance(located, str) and np.median(image) < _DARK:
            image = 255 - image  # light traces on a dark screen, or a negative
            located = self.locate(image)
            if isinstance(located, Located) and located.layout.printed < NAMES_SEEN:
                return nothing_read("light traces on a dark page, but no names of leads beside them", 0.0)
        if isinstance(located, str):
            return nothing_read(located, 0.0)
        further = further_ecg(located.layout)
        if further and located.layout.printed < NAMES_SEEN:
            return nothing_read(further[0], 0.0)
        small, geometry = _at_reading_scale(image, located.geometry)
        geometry, strips, gridded = self._settle_scale(small, geometry, located.layout.strips, located.names)
        if could_be_any_chart(located.layout, gridded=gridded):
            return nothing_read("a few rows of traces, but neither a grid nor names of leads beside them", 0.0)
        pulses = measure_pulses(small, geometry, strips)
        pulse = measured_pulse(pulses) or find_pulse(small, geometry, strips)
        traced = self._traced_whole(small, geometry, strips, 10.0 if pulse is None else pulse.gain, gridded)
        speed = settle_speed(located.speed_share, traced.speed_share, pulse, located.names)
        gain = settle_gain(located.gain_share, traced.gain_share, pulse, located.names)
        named, layout = name_six_rows(traced.strips, traced.columns, located.layout)
        if bears_other_names(layout) and not obey_laws(named, traced.columns):
            return nothing_read("rows of traces, but what stands beside them are no names of leads of an ECG", 0.0)
        strips, columns_read = rest_on_pulses(named, traced.columns, pulses, gain[0])
        located = replace(
            located, layout=layout, geometry=replace(geometry, to_image=located.geometry.to_image), gridded=gridded
        )
        warnings = contradictions(speed[0], gain[0], pulse, located.names) + doubted_names(layout) + further
        settings = {"gain": gain, "columns": columns, "calibration": self.config.calibration}
        reading = report(located, strips, columns_read, speed=speed, **settings)
        narrow = too_narrow(reading, strips, self.config.calibration) if gridded else None
        if narrow is not None and narrow > 0:
            slow = SLOW, float(sigmoid(np.array(narrow)))
            reading = report(located, strips, columns_read, speed=slow, **settings)
        warnings += pace_warning(narrow) if narrow is not None else []
        return replace(reading, warnings=reading.warnings + warnings)

    def _traced_whole(
        self, small: np.ndarray, geometry: PageGeometry, strips: list[FoundStrip], gain: float, gridded: bool
    ) -> Traced:
        """The strips read; again, where a grid shows that rows lack a part, or have one that is none of theirs."""
        traced = again = self.trace(small, geometry, strips, gain)
        if not gridded:
            return traced
        wide = much_longer(traced.strips)
        if wide is not None:
            look, _, _ = self._read_tiles(small, geometry, wide, [min(1.0, 10.0 / gain)] * len(wide), range(len(wide)))
            again = self.trace(small, geometry, as_far_as_seen(wide, [look[k] for k in range(len(wide))]), gain)
        mended = lengthened(again.strips, again.columns) or shortened(again.strips, again.columns)
        if mended is not None:
            again = self.trace(small, geometry, mended, gain)
        return again if lasts_as_printed(again.strips, again.columns) else traced

    def _settle_scale(
        self, small: np.ndarray, geometry: PageGeometry, strips: list[FoundStrip], names: PrintedNames | None
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
        geometry, strips, at_angle = made_upright(geometry, traced.strips, traced.columns)
        geometry, strips = standard_width(*evenly_spaced(geometry, strips))
        if flat is None:
            return geometry, strips, False
        gridded = settle_on_grid(small, geometry, strips)
        if gridded is not None:
            return *gridded, True
        pulse = measure_pulses(small, geometry, strips)
        if pulse is not None:
            ratio = pulse_ratio(pulse, geometry.px_per_mm(), names, at_angle=at_angle)
            geometry, strips = scaled(geometry, strips, ratio)
        return geometry, strips, False

    def locate(self, image: np.ndarray) -> Located | str:
        """Geometry and strips of a page, or the reason why there are none."""
        view, found = self._find(image)
        if view is None:
            return "no ECG was found on the page"
        best: Located | str = "no row of traces was found on the page"
        for quarters in self._ways_up(image, view):
            if quarters % 2 and isinstance(best, Located) and stands_on_rows(best.layout):
                continue
            located = self._locate_view(image, turned_view(view, quarters), found)
            if isinstance(located, Located):
                if isinstance(best, str) or makes_more_sense(located.layout, best.layout, on_end=quarters % 2 == 1):
                    best = located
                if is_upright(best.layout):
                    break
            elif isinstance(best, str):
                best = located
        seen = found >= self.config.calibration.get("find_threshold", 0.1)
        if isinstance(best, Located) and not holds_an_ecg(best.layout, seen):
            return "no ECG was found on the page"
        return best

    def _ways_up(self, image: np.ndarray, view: np.ndarray) -> Iterator[int]:
        """Quarter turns of a view to try until the page makes sense: as it is, then what looks most like an ECG."""
        yield 0
        ecg = {}
        for quarters in (2, 1, 3):
            _, page = self.locate_maps(picture_of(image, turned_view(view, quarters), CLOSE_UP))
            ecg[quarters] = round(float(sigmoid(page[0])), 2)
        yield from sorted(ecg, key=ecg.__getitem__, reverse=True)

    def _find(self, image: np.ndarray) -> tuple[np.ndarray | None, float]:
        """Close-up view of the strips, if any were found, and the probability that the page holds an ECG."""
        whole = whole_view(image)
        maps, page = self.find_maps(picture_of(image, whole, WHOLE))
        found = float(sigmoid(page[0]))
        nearer = close_up_view(maps, whole, WHOLE, _WIDE_MARGIN_MM)
        if nearer is None:
            return None, found
        closer, _ = self.find_maps(picture_of(image, nearer, WHOLE))
        view = close_up_view(closer, nearer)
        return close_up_view(maps, whole) if view is None else view, found

    def _locate_view(self, image: np.ndarray, view: np.ndarray, found: float) -> Located | str:
        maps, page = self.locate_maps(picture_of(image, view, CLOSE_UP))
        if sigmoid(page[0]) < _ECG_SEEN:
            return "no ECG was found on the page"
        again = close_up_view(maps, view)
        if again is not None and views_differ(view, again):
            view = again
            maps, page = self.locate_maps(picture_of(image, view, CLOSE_UP))
        located = self._located(image, maps, page, view, found)
        if isinstance(located, str):
            return located
        wider = _wider(located, view, image)
        if wider is None:
            return located
        maps, page = self.locate_maps(picture_of(image, wider, CLOSE_UP))
        other = self._located(image, maps, page, wider, found)
        return other if explains_as_well(other, located) else located

    def _located(
        self, image: np.ndarray, maps: np.ndarray, page: np.ndarray, view: np.ndarray, found: float
    ) -> Located | str:
        """Geometry and strips of what a close-up shows."""
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
        share = self.name_shares(flat[:height, :width])[1:]
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
        names, right = None, -np.inf
        if len(along):
            left, right = (float(end) for end in np.percentile(along, (1, 99)))
            names = self._names(
                image, geometry, (left - 26, rows[0][0] - _ABOVE_MM, right + 10, rows[-1][0] + _BELOW_MM)
            )
        layout = decode_layout(evidence, self.config.layouts, names)
        if layout is None or not layout.strips:
            return "traces were found, but no lead could be named"
        layout = as_long_as_rows(replace(layout, further_rows=further_rows(layout, rows)), rows, right)
        speed, gain = softmax(page[1:3]), softmax(page[3:6])
        return Located(image.shape[:2], geometry, layout, ecg, speed, gain, names)

    def trace(
        self,
        image: np.ndarray,
        geometry: PageGeometry,
        strips: list[FoundStrip],
        gain: float,
        *,
        in_mm: bool = True,
    ) -> Traced:
        """Read the strips column by column; again where their ends, height or neighbours were not as expected.

        Args:
            image: at most `_READ_PX_PER_MM` fine; `geometry` maps to it.
            gain: in mm/mV; above 10, tiles hold more height.
            in_mm: whether the geometry's scale is known, so that rows have the lengths that machines print.
        """
        y_scales = [min(1.0, 10.0 / gain)] * len(strips)
        found, speed, gains = self._read_tiles(image, geometry, strips, y_scales, range(len(strips)))
        columns = [found[k] for k in range(len(strips))]
        strips, columns = self._refined(image, geometry, strips, columns, y_scales, in_mm)
        tall = [k for k, trace in enumerate(columns) if _leaves_tile(trace, y_scales[k])]
        if tall:
            y_scales = [0.55 * scale if k in tall else scale for k, scale in enumerate(y_scales)]
            again, _, _ = self._read_tiles(image, geometry, strips, y_scales, tall)
            columns = [again[k] if k in tall else trace for k, trace in enumerate(columns)]
        doubtful = [k for k, trace in enumerate(columns) if _is_doubtful(trace)]
        if doubtful:
            again, _, _ = self._read_tiles(image, geometry, strips, y_scales, doubtful, columns)
            columns = [again[k] if k in doubtful else trace for k, trace in enumerate(columns)]
        strips, columns = settle_baselines(name_rhythm_strips(strips, columns), columns)
        return Traced(strips, columns, speed, gains)

    def _refined(
        self,
        image: np.ndarray,
        geometry: PageGeometry,
        strips: list[FoundStrip],
        columns: list[StripColumns],
        y_scales: list[float],
        in_mm: bool,
    ) -> tuple[list[FoundStrip], list[StripColumns]]:
        """Strips that begin and end where the reader sees them to, read again where that is elsewhere."""
        for _ in range(_LOOKS):
            moved = refine_edges(strips, columns, in_mm=in_mm)
            shifted = _shifted(strips, moved)
            strips = moved
            if not shifted:
                return strips, columns
            again, _, _ = self._read_tiles(image, geometry, strips, y_scales, shifted)
            columns = [again[k] if k in shifted else trace for k, trace in enumerate(columns)]
        return refine_edges(strips, columns, in_mm=in_mm), columns

    def _read_tiles(
        self,
        image: np.ndarray,
        geometry: PageGeometry,
        strips: list[FoundStrip],
        y_scales: list[float],
        chosen: Iterable[int],
        seen: list[StripColumns] | None = None,
    ) -> tuple[dict[int, StripColumns], np.ndarray, np.ndarray]:
        """Columns of the chosen strips, and the probabilities of the paper speeds and of the gains."""
        wanted = set(chosen)
        jobs = [job for job in plan_tiles(strips, y_scales) if job.strip in wanted]
        readings = []
        for first in range(0, len(jobs), 8):
            tiles = np.stack([cut_tile(image, geometry, strips, job, seen) for job in jobs[first : first + 8]])
            readings.append(self.read_tiles(tiles, onward=seen is not None))

        def joined(part: str) -> np.ndarray:
            return np.concatenate([getattr(reading, part) for reading in readings])

        columns = join_tiles(jobs, joined("height_mm"), joined("spread_mm"), joined("presence"))
        if seen is not None:
            first_look = [columns.get(k, trace) for k, trace in enumerate(seen)]
            columns = shared_out(strips, first_look, jobs, joined("logits"), joined("movement"))
        # tiles are no independent witnesses: their logits are averaged, not added
        return columns, softmax(joined("speed").mean(0)), softmax(joined("gain").mean(0))
