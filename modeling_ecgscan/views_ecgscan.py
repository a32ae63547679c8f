"""Views of a page: the whole of it, and an upright close-up that its strips fill."""

import cv2
import numpy as np

from .terms_ecgscan import JACOBIAN_SCALE, LOCATE_CHANNELS

WHOLE = (384, 384)
CLOSE_UP = (576, 768)
_FINEST_PX_PER_MM = 3.4  # no finer close-up is ever taken
_MARGIN_MM = 22.0
_STRAY = 2.0  # per cent at either end that may lie elsewhere
_NEAR_BORDER_MM = 8.0  # ours: of a close-up, within which nothing is located well
_EXTENT_MM = (150.0, 320.0)  # shortest and longest side of what is printed


def softmax(logits: np.ndarray, axis: int = 0) -> np.ndarray:
    """Shares that sum to one along an axis."""
    shifted = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return shifted / shifted.sum(axis=axis, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probability of a logit."""
    return 1.0 / (1.0 + np.exp(-np.clip(logits, -30, 30)))


def shrink(image: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """The image reduced by area, and the (3, 3) map from its pixels back to the image's."""
    if scale >= 1.0:
        return image, np.eye(3)
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    sx, sy = image.shape[1] / size[0], image.shape[0] / size[1]
    back = np.array([[sx, 0, 0.5 * sx - 0.5], [0, sy, 0.5 * sy - 0.5], [0, 0, 1.0]])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), back


def picture_of(image: np.ndarray, to_image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Sample a picture of `size` through the (2, 3) affine map from its pixels to image pixels."""
    scale = 1.0 / max(float(np.sqrt(abs(np.linalg.det(to_image[:, :2])))), 1e-6)
    small, back = shrink(image, min(1.0, 1.15 * scale))
    lifted = np.linalg.inv(back) @ np.vstack([to_image, [0, 0, 1]])
    return cv2.warpAffine(
        small,
        lifted[:2],
        size[::-1],
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(128, 128, 128),
    )


def whole_view(image: np.ndarray) -> np.ndarray:
    """(2, 3) affine map from the pixels of a `WHOLE` picture, which holds the whole image, to image pixels."""
    scale = max(image.shape[0] / WHOLE[0], image.shape[1] / WHOLE[1])
    return np.array([[scale, 0, 0.5 * scale - 0.5], [0, scale, 0.5 * scale - 0.5]])


def close_up_view(
    maps: np.ndarray, view: np.ndarray, size: tuple[int, int] = CLOSE_UP, margin_mm: float = _MARGIN_MM
) -> np.ndarray | None:
    """(2, 3) affine map of an upright picture of `size` that the strips fill; None where there are none.

    Args:
        maps: the locator's maps of a picture.
        view: (2, 3) affine map from that picture to the image.
        margin_mm: paper around the strips.
    """
    baseline = sigmoid(maps[LOCATE_CHANNELS["baseline"]][0])
    on = np.maximum(1.0 - softmax(maps[LOCATE_CHANNELS["lead"]])[0], baseline) > 0.4
    # what looks like a trace beside the paper is the table's grain, unless all of it is beside the paper
    held = on & (sigmoid(maps[LOCATE_CHANNELS["paper"]][0]) > 0.5)
    on = held if 2 * held.sum() > on.sum() else on
    if on.sum() < 20:
        return None
    ux, uy, vx, vy = (slope[on] for slope in maps[LOCATE_CHANNELS["jacobian"]] / JACOBIAN_SCALE)
    guess = float(np.angle(complex(np.median(ux), np.median(uy)) + complex(np.median(vy), -np.median(vx))))
    y, x = np.nonzero(on)
    points = np.stack([x, y], 1) * 4.0 + 1.5
    angle = _row_angle(points, baseline[on], guess)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    along = points @ turn.T
    low, high = np.percentile(along, (_STRAY, 100.0 - _STRAY), axis=0)
    # slopes that contradict one another cancel out: the strips' extent says what is possible
    longest = max(float((high - low).max()), 8.0)
    mm_per_px = float(
        np.clip(np.sqrt(np.median(np.abs(ux * vy - uy * vx))), _EXTENT_MM[0] / longest, _EXTENT_MM[1] / longest)
    )
    margin = margin_mm / mm_per_px
    low, high = low - margin, high + margin
    span = high - low
    scale = max(span[0] / size[1], span[1] / size[0], 1.0 / (_FINEST_PX_PER_MM * mm_per_px))
    # picture pixel p -> turned coordinate of the old picture -> its pixel -> image pixel
    offset = turn.T @ ((low + high) / 2 - scale * (np.array(size[::-1]) - 1) / 2)
    lifted = np.vstack([view, [0, 0, 1]]) @ np.vstack([np.column_stack([turn.T * scale, offset]), [0, 0, 1]])
    return lifted[:2]


def view_holding(points: np.ndarray, view: np.ndarray, image: np.ndarray, px_per_mm: float) -> np.ndarray | None:
    """A wider `CLOSE_UP` view that holds some places with a margin; None where they are well inside of this one.

    Args:
        points: (N, 2) pixels of the close-up; those that lie beyond the image do not count.
        view: (2, 3) affine map from the close-up to the image (height, width, 3).
        px_per_mm: of the close-up.
    """
    size = np.array(CLOSE_UP[::-1])
    there = points @ view[:, :2].T + view[:, 2]
    points = points[((there >= 0) & (there < image.shape[1::-1])).all(1)]
    near = _NEAR_BORDER_MM * px_per_mm
    if not len(points) or ((points > near) & (points < size - 1 - near)).all():
        return None
    margin = _MARGIN_MM * px_per_mm
    low, high = np.minimum(0.0, points.min(0) - margin), np.maximum(size - 1.0, points.max(0) + margin)
    scale = float(((high - low) / (size - 1)).max())
    offset = (low + high) / 2 - scale * (size - 1) / 2
    return (np.vstack([view, [0, 0, 1]]) @ np.array([[scale, 0, offset[0]], [0, scale, offset[1]], [0, 0, 1]]))[:2]


def turned_view(view: np.ndarray, quarters: int) -> np.ndarray:
    """The `CLOSE_UP` view turned by quarters about its middle; wider where it lies on its side."""
    middle = (np.array(CLOSE_UP[::-1]) - 1) / 2
    cosine, sine = (1, 0, -1, 0)[quarters % 4], (0, 1, 0, -1)[quarters % 4]
    turn = np.array([[cosine, -sine], [sine, cosine]]) * (CLOSE_UP[1] / CLOSE_UP[0] if quarters % 2 else 1.0)
    step = np.vstack([np.column_stack([turn, middle - turn @ middle]), [0, 0, 1]])
    return view @ step


def views_differ(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two views of a page are turned by 2 degrees or scaled by an eighth against each other."""
    change = np.linalg.inv(first[:, :2]) @ second[:, :2]
    turn = np.arctan2(change[1, 0] - change[0, 1], change[0, 0] + change[1, 1])
    return bool(abs(turn) > 0.035 or abs(np.log(abs(np.linalg.det(change)))) > 0.25)


def _row_angle(points: np.ndarray, weight: np.ndarray, guess: float) -> float:
    """Direction of the rows (radians), near a guess: seen along it, baselines pile up in the fewest places."""
    best, angle = -1.0, guess
    for offset in np.deg2rad(np.arange(-44.0, 44.5, 1.0)):
        turned = guess + offset
        across = points[:, 1] * np.cos(turned) - points[:, 0] * np.sin(turned)
        pile = np.bincount(((across - across.min()) / 4.0).astype(int), weight)
        smooth = np.convolve(pile, (0.25, 0.5, 0.25))
        sharpness = float(np.square(smooth).sum()) * (1.0 - 0.15 * abs(offset))
        if sharpness > best:
            best, angle = sharpness, turned
    return float(angle)
