"""Opening pages: photos, scans, multi-page TIFF and PDF, as upright RGB, or one sentence that says why not."""

import os
import struct
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .vector_pages import VectorPage, read_drawing

PAGE_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        "jpg",
        "jpeg",
        "jpe",
        "jfif",
        "png",
        "tif",
        "tiff",
        "bmp",
        "gif",
        "webp",
        "heic",
        "heif",
        "avif",
        "pdf",
    )
)
MAX_PIXELS = 200_000_000
MIN_SIDE = 32
PDF_DPI = 300
# Pages of an unusual size in millimetres are still ECGs: a strip scaled down, a poster, a page measured in pixels.
PDF_SIDES = (2000, 4000)
PDF_PIXELS = 20_000_000
# Pages are read at no more than this (`ECGScanImageProcessor.longest_edge`), so larger ones may be decoded reduced.
REDUCED_LONGEST_SIDE = 4000

_WAY_OUT_OF_HUGE = "scale it down to about 5000 pixels on the longest side"


class PageError(ValueError):
    """A file that gives no page; the message is one sentence with the way out."""


@dataclass(frozen=True)
class PageImage:
    """One opened page.

    Attributes:
        image: (height, width, 3) uint8 RGB, upright as the file's orientation tag says.
        file: the path it was opened from, as given.
        page: 1-based number within the file.
        n_pages: how many pages the file holds.
        note: what the reader of the result should know about the opening, or None.
        vectors: the page's lines and words, of a PDF opened with its drawing, or None.
        format: of the file, as Pillow names it, or PDF.
    """

    image: np.ndarray
    file: str
    page: int
    n_pages: int
    note: str | None = None
    vectors: VectorPage | None = None
    format: str = ""


def find_pages(paths: Iterable[str | Path], exclude: str | Path | None = None) -> list[Path]:
    """Files to open: files as given, folders expanded (sorted, with their subfolders, known suffixes only).

    Args:
        paths: images, PDFs and folders.
        exclude: a folder inside one of `paths` whose files are left out (where results are written).

    Raises:
        PageError: a path does not exist, or a folder holds no image and no PDF.
    """
    left_out = Path(exclude).resolve() if exclude is not None else None
    files: dict[Path, None] = {}
    for path in map(Path, paths):
        if not path.exists():
            raise PageError(f"{path}: no such file or folder; check the spelling")
        if path.is_dir():
            files.update(dict.fromkeys(_pages_of_folder(path, left_out)))
        else:
            files[path] = None
    return list(files)


def _pages_of_folder(folder: Path, left_out: Path | None) -> list[Path]:
    found = []
    for root, names, files in os.walk(folder):
        here = Path(root)
        names[:] = sorted(name for name in names if not name.startswith(".") and (here / name).resolve() != left_out)
        found += [here / name for name in files if not name.startswith(".")]
    pages = sorted(path for path in found if path.suffix.lower() in PAGE_SUFFIXES)
    if not pages:
        raise PageError(
            f"{folder}: the folder holds no page; expected files that end in {' '.join(sorted(PAGE_SUFFIXES))}"
        )
    return pages


def open_pages(path: str | Path, drawing: bool = False) -> Iterator[PageImage]:
    """Every page of one file, one at a time.

    Args:
        path: an image or a PDF.
        drawing: whether the lines and words of PDF pages are wanted beside their pictures.

    Raises:
        PageError: the file is missing, empty, truncated, encrypted, too large or no image; pages before the
            damaged one have been given by then.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError as error:
        raise PageError(f"{path}: can't be opened ({error.strerror}); check the path and its permissions") from error
    if not head:
        raise PageError(f"{path}: the file is empty (0 bytes); copy it again from where it came from")
    if b"%PDF-" in head:
        yield from _open_pdf(path, drawing)
    else:
        yield from _open_image(path, path)


def decode_page(picture: bytes, name: str) -> np.ndarray:
    """(height, width, 3) uint8 RGB, upright, of an encoded picture; `name` is what its errors call it."""
    return next(_open_image(BytesIO(picture), name)).image


def open_page(path: str | Path, page: int = 1) -> PageImage:
    """One page of a file (1-based)."""
    n_pages = 0
    for opened in open_pages(path):
        if opened.page == page:
            return opened
        n_pages = opened.n_pages
    raise PageError(f"{path}: page {page} was asked for, the file has {n_pages}")


@contextmanager
def _own_size_limit() -> Iterator[None]:
    """Pillow's own guard refuses before a JPEG could be decoded at reduced size: ours stands in for it."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _open_image(source: Path | BytesIO, path: Path | str) -> Iterator[PageImage]:
    from pillow_heif import register_heif_opener

    register_heif_opener()
    with _own_size_limit(), _damage_said(path):
        image = Image.open(source)
        frames = getattr(image, "n_frames", 1)
    with image:
        n_pages = frames if image.format == "TIFF" else 1
        note = None
        if frames > 1 and image.format in ("GIF", "PNG", "WEBP", "AVIF"):
            note = f"animated picture: only the first of {frames} frames was read"
        for page in range(1, n_pages + 1):
            with _own_size_limit(), _damage_said(path):
                pixels = _decode(image, page - 1, path)
            yield PageImage(pixels, str(path), page, n_pages, note, format=image.format or "")


def _decode(image: Image.Image, frame: int, path: Path | str) -> np.ndarray:
    """(height, width, 3) uint8 of one frame."""
    if frame:
        image.seek(frame)
    _guard_size(image, path)
    image.load()
    return np.asarray(_to_rgb(_upright(image)))


@contextmanager
def _damage_said(path: Path | str) -> Iterator[None]:
    """Turns what the decoders raise into one sentence: on damaged files they raise nearly anything."""
    try:
        yield
    except PageError:
        raise
    except UnidentifiedImageError as error:
        raise PageError(
            f"{path}: not an image or a PDF that can be read; expected JPEG, PNG, TIFF, BMP, GIF, WebP, HEIC or PDF"
        ) from error
    except Exception as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise PageError(
            f"{path}: the image is damaged or truncated ({reason}); copy it again from where it came from"
        ) from error


def _guard_size(image: Image.Image, path: Path | str) -> None:
    width, height = image.size
    if min(width, height) < MIN_SIDE:
        raise PageError(
            f"{path}: {width} x {height} pixels are too few for an ECG page; expected at least "
            f"{MIN_SIDE} on each side, and 1000 or more to be read well"
        )
    # JPEG can be decoded at a half, a quarter or an eighth. Progressive ones keep all their coefficients in memory
    # even so.
    if image.format == "JPEG" and (width * height <= MAX_PIXELS or not image.info.get("progressive")):
        share = REDUCED_LONGEST_SIDE / max(width, height)
        image.draft("RGB", (int(width * share), int(height * share)))
    if image.size[0] * image.size[1] <= MAX_PIXELS:
        return
    raise PageError(
        f"{path}: {width} x {height} pixels are more than the {MAX_PIXELS // 1_000_000} megapixels that "
        f"can be opened; {_WAY_OUT_OF_HUGE}"
    )


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except (SyntaxError, ValueError, KeyError, TypeError, struct.error):
        # A damaged orientation tag is no reason to refuse intact pixels.
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB; transparent places become white, as on a screen or a printer."""
    if image.mode == "F" or image.mode.startswith("I"):
        return _from_high_depth(image)
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layered).convert("RGB")
    return image.convert("RGB")


def _from_high_depth(image: Image.Image) -> Image.Image:
    """16-bit, 32-bit and float greys, stretched from the smallest usual range that holds them."""
    values = np.asarray(image, dtype=np.float32)
    highest = float(np.nanmax(values, initial=0.0))
    if image.mode == "F" and highest <= 1.0:
        top = 1.0
    else:
        top = float(next((2**bits - 1 for bits in (8, 10, 12, 16) if highest <= 2**bits - 1), highest))
    grey = np.clip(np.nan_to_num(values) * (255.0 / top), 0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def _open_pdf(path: Path, drawing: bool) -> Iterator[PageImage]:
    import pypdfium2 as pdfium

    try:
        document = pdfium.PdfDocument(path)
        n_pages = len(document)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower():
            raise PageError(f"{path}: the PDF is encrypted; save a copy without a password and read that") from error
        raise PageError(
            f"{path}: the PDF is damaged or truncated ({error}); copy it again from where it came from"
        ) from error
    try:
        if not n_pages:
            raise PageError(f"{path}: the PDF has no pages; print it again to PDF")
        for index in range(n_pages):
            try:
                page = document[index]
                pixels = _render_pdf_page(page, f"{path}: page {index + 1} of the PDF")
                vectors = _drawing_of(page) if drawing else None
            except pdfium.PdfiumError as error:
                raise PageError(
                    f"{path}: page {index + 1} of the PDF is damaged ({error}); print it again to PDF"
                ) from error
            yield PageImage(pixels, str(path), index + 1, n_pages, vectors=vectors, format="PDF")
    finally:
        document.close()


def _drawing_of(page: Any) -> VectorPage | None:
    """Lines and words of a page, or None where coordinates are no numbers."""
    try:
        return read_drawing(page)
    except (ArithmeticError, ValueError):
        return None


def pdf_scale(width: float, height: float) -> float:
    """Pixels per point at which a PDF page is rendered: 300 dpi, within what can be read and what memory holds.

    Args:
        width, height: of the page, in points of 1/72 inch.
    """
    longest = max(width, height)
    scale = min(max(PDF_DPI / 72, PDF_SIDES[0] / longest), PDF_SIDES[1] / longest)
    return min(scale, (PDF_PIXELS / (width * height)) ** 0.5)


def _render_pdf_page(page: Any, name: str) -> np.ndarray:
    """(height, width, 3) uint8."""
    width, height = page.get_size()
    if min(width, height) <= 0 or min(width, height) * pdf_scale(width, height) < MIN_SIDE:
        raise PageError(f"{name} measures {width:g} x {height:g} points, no page's shape; print it again to PDF")
    return np.asarray(page.render(scale=pdf_scale(width, height)).to_pil().convert("RGB"))
