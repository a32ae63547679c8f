"""What networks and geometry agree on: channels, values, sizes of pictures and tiles."""

import numpy as np

# Channels of the locators' dense output, stride 4 of the network's picture.
LOCATE_CHANNELS: dict[str, slice] = {
    "phase": slice(0, 4),  # sin and cos of the 5 mm grid along x, then along y
    "jacobian": slice(4, 8),  # paper millimetres per picture pixel: dx/dpx, dx/dpy, dy/dpx, dy/dpy
    "paper": slice(8, 9),  # logit: paper, not table
    "baseline": slice(9, 10),  # logit: baseline of a row
    "start": slice(10, 11),  # logit: first moment of a strip
    "end": slice(11, 12),  # logit: last moment of a strip
    "lead": slice(12, 25),  # logits: none, then the twelve leads
}
JACOBIAN_SCALE = 2.5  # the network predicts millimetres per pixel times this: about 1 on a full page
SPEEDS: tuple[float, ...] = (25.0, 50.0)
GAINS: tuple[float, ...] = (10.0, 5.0, 20.0)
# I, II, III, aVR, aVL and aVF of I and II (Einthoven, Goldberger)
LIMB_FROM_I_II = ((1.0, 0.0), (0.0, 1.0), (-1.0, 1.0), (-0.5, -0.5), (1.0, -0.5), (-0.5, 1.0))

NAME_STRIDE = 8
NAME_CLASSES = 13 + len(SPEEDS) + len(GAINS)  # nothing, twelve leads, paper speeds, gains

# A tile is a stretch of one row, rectified to millimetres.
TILE_HEIGHT, TILE_WIDTH = 256, 608  # pixels
TILE_PX_PER_MM_X, TILE_PX_PER_MM_Y = 8.0, 4.5
TILE_CHANNELS = 5  # red, green, blue, own baseline, other rows' baselines
COLUMNS_PER_PX = 2  # heights are read finer than the tile's pixels: a QRS stroke is one millimetre wide
HEIGHT_BINS = TILE_HEIGHT // 2
BIN_MM = 2.0 / TILE_PX_PER_MM_Y
# Ours: what a trace pays per bin that it moves between two columns, in three ways between which the net chooses.
COSTS_PER_BIN: tuple[float, ...] = (0.03, 0.1, 0.4)


def column_places() -> np.ndarray:
    """(columns,) where the columns of a tile stand, in its pixels."""
    return (np.arange(TILE_WIDTH * COLUMNS_PER_PX) + 0.5) / COLUMNS_PER_PX - 0.5
