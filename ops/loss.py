"""Losses: a prediction and its labels in, one scalar out.

A label outside the classes, which only a label computed within a graph can be, gives a loss
and gradients of NaN: no class is hit, and nothing is read out of bounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ops.arrays import Array, namespace
from ops.fields import NOT_NEGATIVE, freeze_numbers
from ops.operator import (
    Interval,
    Operator,
    ShapeError,
    Spec,
    expect_floating,
    expect_rank,
    expect_spec,
    known,
    show,
    show_shape,
)
from ops.softmax import below_maximum

__all__ = ["Hinge", "L2Penalty", "MeanSquaredError", "SoftmaxCrossEntropy"]


@dataclass(frozen=True)
class SoftmaxCrossEntropy(Operator):
    """Mean negative logarithm of the probability that the softmax gives to each label.

    ``y = mean(log(sum_j exp(x_j)) - x_label)``, with ``dx = (softmax(x) - one_hot) / count``.

    The loss of one label is at most the largest finite number of the dtype.

    Shapes:
        - x: ``(N, classes, *positions)``, labels: ``(N, *positions)``, of an integer dtype
        - y: ``()``, the mean over all labels

    Raises:
        ShapeError: the labels are not integers or do not fit the logits, or there are none.

    Source: Bridle, "Training Stochastic Model Recognition Algorithms as Networks", 1990.

    >>> import numpy as np
    >>> loss, _ = SoftmaxCrossEntropy().forward(np.zeros((2, 10)), np.array([3, 7]))
    >>> round(loss.item(), 4)
    2.3026
    """

    def infer(self, x: Spec, labels: Spec) -> Spec:
        _expect_labels(x, labels)
        return x.with_shape(())

    def domains(self, x: Spec, labels: Spec) -> dict[str, Interval]:
        return {"labels": Interval(0, *known(x.shape[1]))}

    def forward(self, x: Array, labels: Array) -> tuple[Array, tuple[Array, ...]]:
        xp = namespace(x)
        hit = _hits(x, labels)  # (N, classes, *positions)
        shifted = below_maximum(x, 1)
        probabilities = xp.exp(shifted)
        total = probabilities.sum(axis=1, keepdims=True)
        # one NaN here spoils the loss and the gradient of a label that hits no class
        total = xp.where(hit.any(axis=1, keepdims=True), total, math.nan)
        picked = xp.where(hit, shifted, 0.0).sum(axis=1, keepdims=True)
        probabilities /= total
        return _mean(xp.log(total) - picked), (probabilities, labels)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        probabilities, labels = saved
        if not needs[0]:
            return None, None
        return (probabilities - _hits(probabilities, labels)) * (dy / labels.size), None

    def flops(self, x: Spec, labels: Spec) -> int:
        return 5 * x.elements


@dataclass(frozen=True)
class Hinge(Operator):
    """Multiclass hinge loss: how far each wrong class comes within the margin of the label's.

    ``y = mean over N of sum_{j != label} max(0, x_j - x_label + margin)``; the gradient of a
    class exactly at the margin is 0.

    Shapes:
        - x: ``(N, classes)``, labels: ``(N,)``, of an integer dtype
        - y: ``()``, the mean over the examples

    Args:
        margin: the wanted distance in score, at least 0; default 1.

    Raises:
        TypeError, ValueError: the margin is no finite number of at least 0.
        ShapeError: the labels are not integers or do not fit the scores, or there are none.

    Source: Weston, Watkins, "Support Vector Machines for Multi-Class Pattern Recognition", 1999.

    >>> import numpy as np
    >>> loss, _ = Hinge().forward(np.array([[2.0, 1.5, -4.0]]), np.array([0]))
    >>> loss.item()
    0.5
    """

    margin: float = 1.0

    def __post_init__(self) -> None:
        freeze_numbers(self, NOT_NEGATIVE, "margin")

    def infer(self, x: Spec, labels: Spec) -> Spec:
        expect_rank("an input", x, 2, 2)
        _expect_labels(x, labels)
        return x.with_shape(())

    def domains(self, x: Spec, labels: Spec) -> dict[str, Interval]:
        return {"labels": Interval(0, *known(x.shape[1]))}

    def forward(self, x: Array, labels: Array) -> tuple[Array, tuple[Array, ...]]:
        xp = namespace(x)
        hit = _hits(x, labels)  # (N, classes)
        own = xp.where(hit, x, 0.0).sum(axis=1, keepdims=True)
        own = xp.where(hit.any(axis=1, keepdims=True), own, math.nan)
        excess = xp.where(hit, 0.0, xp.maximum(x - own + self.margin, 0))
        return _mean(excess.sum(axis=1)), (excess > 0, labels)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        within, labels = saved
        if not needs[0]:
            return None, None
        xp = namespace(within)
        hit = _hits(within, labels)
        share = xp.where(hit.any(axis=1, keepdims=True), dy / labels.size, math.nan)
        # each class within the margin pushes itself down and the label's class up
        return share * within - share * hit * within.sum(
            axis=1, keepdims=True, dtype=dy.dtype
        ), None

    def flops(self, x: Spec, labels: Spec) -> int:
        return 4 * x.elements


@dataclass(frozen=True)
class MeanSquaredError(Operator):
    """Mean of the squared differences, ``y = mean((x - labels)^2)``, over all entries.

    Shapes:
        - x, labels: any, equal, of one floating dtype
        - y: ``()``

    Raises:
        ShapeError: shapes or dtypes differ, or there is no entry.

    Source: Gauss, "Theoria combinationis observationum erroribus minimis obnoxiae", 1823.

    >>> import numpy as np
    >>> MeanSquaredError().forward(np.array([1.0, 2.0]), np.array([1.0, 4.0]))[0].item()
    2.0
    """

    def infer(self, x: Spec, labels: Spec) -> Spec:
        expect_floating("an input", x)
        expect_spec("labels", labels, x.shape, x.dtype)
        _expect_entries(labels)
        return x.with_shape(())

    def domains(self, x: Spec, labels: Spec) -> dict[str, Interval]:
        return {"labels": Interval()}

    def forward(self, x: Array, labels: Array) -> tuple[Array, tuple[Array, ...]]:
        difference = x - labels
        return _mean(difference * difference), (difference,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (difference,) = saved
        scale = dy * (2.0 / difference.size)
        dx = difference * scale if needs[0] else None
        dlabels = difference * -scale if needs[1] else None
        return dx, dlabels

    def flops(self, x: Spec, labels: Spec) -> int:
        return 3 * x.elements


@dataclass(frozen=True)
class L2Penalty(Operator):
    """A loss plus the squared length of the weights, ``y = loss + strength * sum(w^2)``.

    The sum runs over all entries of all weights; ``dw = 2 * strength * w``.

    Shapes:
        - loss, y: ``()``
        - weights: one or more, any, of the dtype of the loss

    Args:
        strength: the factor of the penalty, at least 0.

    Raises:
        TypeError, ValueError: the strength is no finite number of at least 0.
        ShapeError: the loss is no floating scalar, a dtype differs, or there is no weight.

    Source: Hoerl, Kennard, "Ridge Regression: Biased Estimation for Nonorthogonal Problems",
    1970.

    >>> import numpy as np
    >>> L2Penalty(0.1).forward(np.array(1.0), np.array([3.0, 4.0]))[0].item()
    3.5
    """

    strength: float

    def __post_init__(self) -> None:
        freeze_numbers(self, NOT_NEGATIVE, "strength")

    def infer(self, loss: Spec, *weights: Spec) -> Spec:
        expect_floating("a loss", loss)
        expect_spec("a loss", loss, (), loss.dtype)
        if not weights:
            raise ShapeError("expected at least one weight, received none")
        for weight in weights:
            expect_spec("a weight", weight, weight.shape, loss.dtype)
        return loss

    def forward(self, loss: Array, *weights: Array) -> tuple[Array, tuple[Array, ...]]:
        total = loss.reshape(1)
        for weight in weights:
            total = total + self.strength * (weight * weight).sum()
        return total.reshape(()), weights

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        scale = dy * (2.0 * self.strength)
        dloss = dy.copy() if needs[0] else None
        return dloss, *(
            weight * scale if needed else None
            for weight, needed in zip(saved, needs[1:], strict=True)
        )

    def flops(self, loss: Spec, *weights: Spec) -> int:
        return sum(2 * weight.elements for weight in weights)


def _expect_labels(x: Spec, labels: Spec) -> None:
    """Refuse labels that are no classes of ``(N, classes, *positions)``."""
    expect_floating("an input", x)
    expect_rank("an input", x, 2)
    if not isinstance(x.shape[1], int) or x.shape[1] == 0:
        raise ShapeError(f"expected a known number of classes, at least one, received {show(x)}")
    if not labels.dtype.startswith(("int", "uint")):
        raise ShapeError(f"expected integer labels, received {labels.dtype}")
    wanted = (x.shape[0], *x.shape[2:])
    if labels.shape != wanted:
        raise ShapeError(
            f"expected labels {show_shape(wanted)} for {show(x)}, received {show(labels)}"
        )
    _expect_entries(labels)


def _expect_entries(labels: Spec) -> None:
    if labels.size == 0:
        raise ShapeError(f"expected at least one label to take a mean, received {show(labels)}")


def _hits(x: Array, labels: Array) -> Array:
    """Where each class of ``(N, classes, *positions)`` is the label's."""
    classes = namespace(x).arange(x.shape[1]).reshape(-1, *[1] * (x.ndim - 2))
    return classes == labels[:, None]


def _mean(values: Array) -> Array:
    """The mean of all entries, none negative, as an array of shape ``()``."""
    flat = values.reshape(-1)
    # a sum of large entries would overflow, one of fractions of the largest does not
    largest = namespace(values).maximum(flat.max(), 1.0)
    return ((flat / largest).mean(keepdims=True) * largest).reshape(())
