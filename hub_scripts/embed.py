"""`ecgscan embed`: one vector for every page and every recording."""

from pathlib import Path
from typing import Any

import numpy as np

from processing.pages import PageError, open_pages
from processing.records import read_wfdb

from . import console
from .arguments import UsageError
from .loading import Reader, load_reader
from .read import expand, prepare_folder


def embed_images(reader: Reader, images: list[np.ndarray]) -> np.ndarray:
    """(pages, projection_dim) float32 of RGB pages."""
    import torch

    with torch.inference_mode():
        return reader.model.get_image_features(**reader.pixels(images)).float().cpu().numpy()


def embed_record(reader: Reader, path: Path) -> np.ndarray:
    """(projection_dim,) float32 of a WFDB record."""
    import torch

    recording = read_wfdb(path)
    batch = reader.processor.feature_extractor(
        recording.signal, sampling_rate=recording.sampling_rate, return_tensors="pt"
    ).to(reader.model.device)
    with torch.inference_mode():
        return reader.model.get_signal_features(**batch)[0].float().cpu().numpy()


def embed_command(paths: list[Path], out: Path, *, batch_size: int, checkpoint: str | None) -> int:
    """Embeds all pages and recordings into one Parquet file; returns the exit code."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if out.is_dir():
        raise UsageError(f"{out}: is a folder; --out is the Parquet file to write")
    prepare_folder(out.parent)
    records = [path for path in paths if path.suffix in (".hea", ".dat")]
    files, problems = expand([path for path in paths if path not in records], out)
    rows: list[dict[str, Any]] = []
    if files or records:
        reader = load_reader(checkpoint)
        for path in records:
            try:
                rows.append(_row(path, 1, "signal", embed_record(reader, path)))
            except ValueError as error:
                problems.append(str(error))
        for batch in _batches(files, batch_size, problems):
            vectors = embed_images(reader, [page.image for page in batch])
            rows += [_row(page.file, page.page, "image", vector) for page, vector in zip(batch, vectors, strict=True)]
    for problem in problems:
        console.error_line(problem)
    if not rows:
        return 2
    schema = pa.schema(
        [("file", pa.string()), ("page", pa.int32()), ("kind", pa.string()), ("embedding", pa.list_(pa.float32()))]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), out)
    console.out.print(f"{len(rows)} embeddings of {len(rows[0]['embedding'])} numbers: {out.as_posix()}", markup=False)
    return 2 if problems else 0


def _row(file: str | Path, page: int, kind: str, vector: np.ndarray) -> dict[str, Any]:
    return {"file": str(file), "page": page, "kind": kind, "embedding": vector.tolist()}


def _batches(files: list[Path], batch_size: int, problems: list[str]):
    waiting = []
    for path in files:
        try:
            for page in open_pages(path):
                waiting.append(page)
                if len(waiting) == batch_size:
                    yield waiting
                    waiting = []
        except PageError as error:
            problems.append(str(error))
    if waiting:
        yield waiting
