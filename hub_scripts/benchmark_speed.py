"""`ecgscan benchmark rendering`, `streaming` and `latency`: what a page costs."""

import os
import resource
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import cv2

from processing.feature_extraction_ecgscan import ECGScanFeatureExtractor
from processing.image_processing_ecgscan import ECGScanImageProcessor
from processing.pages import open_page
from processing.processing_ecgscan import ECGScanProcessor
from processing.renderer import CONDITIONS, render
from processing.simulator import simulate
from processing.tokenization_ecgscan import train_tokenizer
from processing.triplets import BatchStream, known_labels, prepare, simulated

from .loading import Reader
from .training_align import READ_PX_PER_MM, TripletSamples
from .training_data import texts_of
from .training_pages import FIND_PX_PER_MM

_BATCH = 8
PHOTO_SIZE = (3464, 2598)
_MEGAPIXEL = 1_000_000


def rendering_speed(pages: int) -> dict[str, float]:
    """Pages per second of one core's time, as they came out and converted to pages of one megapixel."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    recordings = [simulate(seed) for seed in range(4)]
    layouts = ("3x4", "3x4+1", "6x2", "12x1")
    figures: dict[str, float] = {}
    try:
        for condition in CONDITIONS:
            # what is loaded once, such as fonts, is no cost of a page
            render(recordings[0], seed=pages, condition=condition, pixels_per_mm=4.0)
            pixels = 0
            started = process_time()
            for number in range(pages):
                layout = layouts[number % len(layouts)]
                page = render(
                    recordings[number % 4], seed=number, layout=layout, condition=condition, pixels_per_mm=4.0
                )
                pixels += page.image.shape[0] * page.image.shape[1]
            seconds = process_time() - started
            figures[f"{condition}_pages_per_s"] = pages / seconds
            figures[f"{condition}_megapixels"] = pixels / pages / _MEGAPIXEL
            figures[f"{condition}_pages_per_s_at_1_mp"] = pixels / _MEGAPIXEL / seconds
    finally:
        cv2.setNumThreads(threads)
    return figures


def streaming_speed(triplets: int) -> dict[str, float]:
    """Triplets of stage `align` per second of one core's time, for the tower that reads and for a transformer."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        prepare(simulated(triplets + _BATCH), folder, shards=1)
        shards = [str(path) for path in Path(folder).glob("*.parquet")]
        processor = ECGScanProcessor(
            ECGScanImageProcessor(), ECGScanFeatureExtractor(), train_tokenizer(texts_of(shards), 512)
        )
        for tower, resolution in (("reader", READ_PX_PER_MM), ("vit", FIND_PX_PER_MM)):
            maker = TripletSamples(processor, known_labels(shards), [], resolution)
            batches = iter(BatchStream(shards, maker.sample, maker.collate, _BATCH, pages=True))
            next(batches)
            started, seen = process_time(), 0
            while seen < triplets:
                seen += len(next(batches)["pixel_values"])
            figures[f"{tower}_triplets_per_s"] = seen / (process_time() - started)
    return figures


def photo_latency(reader: Reader, repeats: int) -> dict[str, float]:
    """Median seconds from a JPEG file to its reading, and the highest memory of the process so far."""
    photo = render(simulate(1), seed=1, layout="3x4+1", condition="photo", pixels_per_mm=11.0).image
    photo = cv2.resize(photo, PHOTO_SIZE, interpolation=cv2.INTER_CUBIC)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        cv2.imwrite(str(path), cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])
        reader.read([open_page(path).image])
        seconds = []
        for _ in range(repeats):
            started = perf_counter()
            reader.read([open_page(path).image])
            seconds.append(perf_counter() - started)
    return {
        "megapixels": PHOTO_SIZE[0] * PHOTO_SIZE[1] / _MEGAPIXEL,
        "median_s": median(seconds),
        "slowest_s": max(seconds),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "cores": float(len(os.sched_getaffinity(0))),
    }
