"""Functions whose results have a size that depends on values, for arrays on the host.

A graph knows every shape before any data arrives, so none of these can be a node of one.  They
serve where the values are known ahead of the graph, as those of constants are, or after it, as
boxes are chosen among the outputs of a detector.  No gradient flows through them.
"""

from __future__ import annotations

import math

import numpy as np

from ops.operator import ShapeError

__all__ = ["compress", "non_max_suppression", "nonzero", "unique"]


def nonzero(x: np.ndarray) -> np.ndarray:
    """Where the entries are that are not 0: a column of indices for each, in raster order.

    Returns:
        int64 ``(rank, count)``; a scalar counts as one entry of one axis.

    Source: ONNX ``NonZero``.

    >>> nonzero(np.array([[0, 2], [3, 0]])).tolist()
    [[0, 1], [1, 0]]
    """
    return np.stack(np.nonzero(np.atleast_1d(x))).astype("int64")


def compress(x: np.ndarray, condition: np.ndarray, axis: int | None = None) -> np.ndarray:
    """The slices along an axis for which a condition holds, or the entries if there is no axis.

    Args:
        x: any array.
        condition: bool, one axis, with at most as many entries as there are slices; the rest are
            left out.
        axis: which axis, counted from the end if negative; all of them as one when None.

    Raises:
        ShapeError: the condition is not boolean, has another rank or too many entries.

    Source: ONNX ``Compress``.

    >>> compress(np.array([[1, 2], [3, 4]]), np.array([False, True]), axis=1).tolist()
    [[2], [4]]
    """
    entries = x.size if axis is None else x.shape[axis]
    if condition.dtype != bool or condition.ndim != 1 or len(condition) > entries:
        raise ShapeError(
            f"expected a boolean condition of one axis and at most {entries} entries, "
            f"received {condition.dtype} {condition.shape}"
        )
    found: np.ndarray = np.compress(condition, x, axis)
    return found


def unique(
    x: np.ndarray, axis: int | None = None, *, in_order: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Every value once, or every slice along an axis.

    Args:
        x: any array.
        axis: along which slices are compared, as a whole; single entries when None.
        in_order: whether the values rise; else they come as they first occur.

    Returns:
        The values; where each first occurs; for each entry or slice of x the index of its
        value; and how often each occurs.  All but the values are int64 of one axis.

    Source: ONNX ``Unique``.

    >>> values, first, inverse, counts = unique(np.array([2, 1, 1, 3, 2]), in_order=False)
    >>> values.tolist(), first.tolist(), inverse.tolist(), counts.tolist()
    ([2, 1, 3], [0, 1, 3], [0, 1, 1, 2, 0], [2, 2, 1])
    """
    values, first, inverse, counts = np.unique(
        x, return_index=True, return_inverse=True, return_counts=True, axis=axis
    )
    inverse = inverse.reshape(-1)
    if not in_order:
        order = np.argsort(first, kind="stable")
        place = np.argsort(order, kind="stable")  # of each value in the other order
        values = np.take(values, order, axis=0 if axis is None else axis)
        first, inverse, counts = first[order], place[inverse], counts[order]
    return values, first.astype("int64"), inverse.astype("int64"), counts.astype("int64")


def non_max_suppression(
    boxes: np.ndarray,
    scores: np.ndarray,
    *,
    most: int,
    overlap: float = 0.0,
    score: float = -math.inf,
    centred: bool = False,
) -> np.ndarray:
    """Boxes with the highest scores of each class, without those that overlap a better one.

    Boxes are taken by falling score, of equal ones the first.  One is left out if its
    intersection with a box taken before is more than ``overlap`` of their union.

    Args:
        boxes: ``(N, boxes, 4)``, two opposite corners ``y1, x1, y2, x2``, or, if ``centred``,
            ``x, y`` of the centre, width and height.
        scores: ``(N, classes, boxes)``.
        most: how many boxes a class may have at most.
        overlap: the share of the union from which on boxes exclude each other, 0 to 1.
        score: boxes count whose score is above it.
        centred: how boxes are given; default False.

    Returns:
        int64 ``(chosen, 3)``: example, class and box of each, classes and examples in order.

    Raises:
        ShapeError: boxes and scores do not fit each other.

    Source: ONNX ``NonMaxSuppression``; Rosenfeld, Thurston, "Edge and Curve Detection for Visual
    Scene Analysis", 1971.

    >>> boxes = np.array([[[0.0, 0, 2, 2], [0.0, 0, 2, 1.9], [5.0, 5, 6, 6]]])
    >>> non_max_suppression(boxes, np.array([[[0.5, 0.9, 0.1]]]), most=3, overlap=0.5).tolist()
    [[0, 0, 1], [0, 0, 2]]
    """
    if (
        boxes.ndim != 3
        or scores.ndim != 3
        or boxes.shape[2] != 4
        or (boxes.shape[0], boxes.shape[1]) != (scores.shape[0], scores.shape[2])
    ):
        raise ShapeError(
            f"expected boxes (N, boxes, 4) and scores (N, classes, boxes), "
            f"received {boxes.shape} and {scores.shape}"
        )
    low, high = _corners(boxes.astype("float64"), centred)
    chosen: list[tuple[int, int, int]] = []
    for example, label in np.ndindex(scores.shape[:2]):
        rated = scores[example, label]
        left = np.argsort(-rated, kind="stable")
        left = left[rated[left] > score]
        taken = 0
        while len(left) and taken < most:
            best, left = left[0], left[1:]
            taken += 1
            chosen.append((example, label, int(best)))
            share = _overlap(low[example], high[example], best, left)
            left = left[~(share > overlap)]
    return np.array(chosen, dtype="int64").reshape(-1, 3)


def _corners(boxes: np.ndarray, centred: bool) -> tuple[np.ndarray, np.ndarray]:
    """The lower and upper ends of boxes along both axes, ``(N, boxes, 2)`` each."""
    first, second = boxes[..., :2], boxes[..., 2:]
    if centred:
        first, second = first - second / 2, first + second / 2
    return np.minimum(first, second), np.maximum(first, second)


def _overlap(low: np.ndarray, high: np.ndarray, best: int, others: np.ndarray) -> np.ndarray:
    """The intersection of one box with others, as a share of their union; 0 for none."""
    area = (high - low).prod(axis=-1)
    near = np.minimum(high[best], high[others]) - np.maximum(low[best], low[others])
    meeting = np.maximum(near, 0).prod(axis=-1)
    union = area[best] + area[others] - meeting
    share: np.ndarray = meeting / np.where(meeting > 0, union, 1)
    return share
