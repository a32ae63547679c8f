"""Pens: how traces are laid on the page, by coverage of every pixel."""

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

Join = Literal["round", "miter", "bevel", "pixels"]
_SHIFT = 4


def stroked(size: tuple[int, int], lines: Sequence[np.ndarray], width: float, join: Join) -> np.ndarray:
    """uint8 (height, width) coverage, 0 to 255, of lines drawn with one pen.

    Args:
        size: height and width of the picture.
        lines: (points, 2) each, in pixels; pixel centres stand at whole numbers and a half.
        width: of the pen, in pixels, any fraction.
        join: how strokes meet; "pixels" for a pen of whole pixels, which is uneven as OpenCV draws it.
    """
    if join == "pixels":
        ink = np.zeros(size, np.uint8)
        fixed = [np.rint((line - 0.5) * (1 << _SHIFT)).astype(np.int32).reshape(-1, 1, 2) for line in lines]
        # it comes out one to two pixels wider than it is told
        cv2.polylines(ink, fixed, False, 255, max(1, round(width - 1.5)), cv2.LINE_AA, _SHIFT)
        return ink
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.path import Path
    from matplotlib.transforms import IdentityTransform

    canvas = RendererAgg(size[1], size[0], 72)  # at 72 dots an inch a point is a pixel
    context = canvas.new_gc()
    context.set_linewidth(width)
    context.set_joinstyle(join)
    context.set_capstyle("round" if join == "round" else "butt")
    context.set_snap(False)
    for line in lines:
        canvas.draw_path(context, Path(np.stack([line[:, 0], size[0] - line[:, 1]], 1)), IdentityTransform())
    return np.asarray(canvas.buffer_rgba())[..., 3].copy()
