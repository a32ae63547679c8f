"""Pages of any size and mode as the input of the image tower: RGB, 8 bit, padded at the right and the bottom."""

from typing import Any

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor
from transformers import BatchFeature
from transformers.image_processing_backends import PilBackend
from transformers.processing_utils import ImagesKwargs
from transformers.utils import TensorType

from .page_pixels_ecgscan import PagePixels


class ECGScanImageKwargs(ImagesKwargs, total=False):
    """Options of `ECGScanImageProcessor` beyond those of every image processor."""

    longest_edge: int
    multiple: int


class ECGScanImageProcessor(PilBackend):
    """Turns pages upright by their EXIF tag, into RGB on white, and pads a batch to its largest page.

    Nothing is cropped, enlarged or normalised: reading needs the page's own pixels, and the model does the rest.

    Args:
        longest_edge: pages longer than that many pixels are reduced to it.
        multiple: padded height and width are multiples of it.
    """

    model_input_names = ["pixel_values", "page_size"]
    valid_kwargs = ECGScanImageKwargs
    do_convert_rgb = True
    longest_edge = 4000
    multiple = 32

    def _prepare_images_structure(self, images: Any, expected_ndims: int = 3) -> list[Any]:
        images = self.fetch_images(images)
        if isinstance(images, list | tuple):
            return [page for item in images for page in self._prepare_images_structure(item)]
        if getattr(images, "ndim", 3) == 4:
            return list(images)
        return [images]

    def process_image(self, image: Any, **_: Any) -> np.ndarray:  # type: ignore[override]
        """(3, height, width) uint8 RGB of one page, reduced to `longest_edge`."""
        rgb = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.shape[2:] == (3,)
        if rgb and max(image.shape) <= self.longest_edge:
            return image.transpose(2, 0, 1)
        picture = to_rgb(image)
        scale = self.longest_edge / max(picture.size)
        if scale < 1:
            width, height = (max(1, round(side * scale)) for side in picture.size)
            picture = picture.resize((width, height), Image.Resampling.BICUBIC)
        return np.asarray(picture).transpose(2, 0, 1)

    def _preprocess(  # type: ignore[override]
        self, images: list[np.ndarray], multiple: int, return_tensors: str | TensorType | None = None, **_: Any
    ) -> BatchFeature:
        sizes = np.array([page.shape[1:] for page in images], np.int64).reshape(-1, 2)
        height, width = (-(-int(side) // multiple) * multiple for side in sizes.max(0))
        pixels = np.empty((len(images), 3, height, width), np.uint8)
        for canvas, page in zip(pixels, images, strict=True):
            canvas[:, : page.shape[1], : page.shape[2]] = page
            canvas[:, page.shape[1] :] = canvas[:, :, page.shape[2] :] = 255
        batch = BatchFeature({"pixel_values": pixels, "page_size": sizes}, tensor_type=return_tensors)
        if isinstance(batch["pixel_values"], Tensor):
            batch["pixel_values"] = batch["pixel_values"].as_subclass(PagePixels)
        return batch


def to_rgb(image: Any) -> Image.Image:
    """An upright RGB picture on white from a PIL image, or an array or tensor of grey, RGB or RGBA pixels.

    Arrays may be (H, W), (H, W, C) or (C, H, W); 8 or 16 bit, bool, or floating point between 0 and 1.
    """
    if not isinstance(image, Image.Image):
        return _on_white(Image.fromarray(_bytes_of(image)))
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_bytes_of(np.asarray(image))).convert("RGB")
    return _on_white(image)


def _on_white(image: Image.Image) -> Image.Image:
    """RGB; what is transparent becomes white."""
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        paper = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(paper, layer).convert("RGB")
    return image.convert("RGB")


def _bytes_of(image: Any) -> np.ndarray:
    """(H, W) or (H, W, C) uint8 from an array or tensor."""
    array = np.asarray(image.detach().cpu() if hasattr(image, "detach") else image)
    if array.ndim == 3 and array.shape[-1] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or array.size == 0 or (array.ndim == 3 and array.shape[-1] not in (3, 4)):
        raise ValueError(
            f"a page must be a PIL image or an array (H, W), (H, W, C) or (C, H, W) with 1, 3 or 4 channels, "
            f"got shape {array.shape}"
        )
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    values = np.nan_to_num(array.astype(np.float64))
    # A picture never says how deep it is; the brightest pixel of a page tells (paper is near white).
    top = max(values.max(), 0.0)
    depth = 1.0 if top <= 1.0 else 255.0 if top <= 255.0 else 65535.0
    return np.ascontiguousarray(np.clip(np.rint(values * (255.0 / depth)), 0, 255).astype(np.uint8))


ECGScanImageProcessor.register_for_auto_class("AutoImageProcessor")

__all__ = ["ECGScanImageProcessor", "to_rgb"]
