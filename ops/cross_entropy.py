"""Losses on classes: how little probability, or how small a lead, a label's class has.

A label outside the classes, which only a label computed within a graph can be, gives a loss
and gradients of NaN: no class is hit, and nothing is read out of bounds.  A label equal to
``ignore_index`` is no fault: it counts for nothing, and a mean over no label at all is 0 with
gradients of 0.  ``ignore_index`` may lie among the classes or outside; a label between it and
the classes is a fault still, and gives NaN, though it is not refused when it is fed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ops.arrays import Array, namespace
from ops.fields import (
    NOT_NEGATIVE,
    SHARE,
    expect_choice,
    freeze_integers,
    freeze_numbers,
)
from ops.loss import REDUCTIONS, expect_entries, reduced, shared
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

__all__ = ["Hinge", "NegativeLogLikelihood", "SoftmaxCrossEntropy"]


class _Likelihood(Operator):
    """What losses of the probability of each label share: two fields and the shapes."""

    reduction: str
    ignore_index: int | None

    def __post_init__(self) -> None:
        expect_choice(self, "reduction", REDUCTIONS)
        if self.ignore_index is not None:
            freeze_integers(self, "ignore_index")

    def _inferred(self, x: Spec, labels: Spec) -> Spec:
        _expect_labels(x, labels, self.reduction)
        if self.ignore_index is not None:
            limits = np.iinfo(labels.dtype)
            if not limits.min <= self.ignore_index <= limits.max:
                raise ShapeError(
                    f"expected labels of a dtype that holds ignore_index {self.ignore_index}, "
                    f"received {labels.dtype}"
                )
        return x.with_shape(labels.shape if self.reduction == "none" else ())

    def _allowed(self, x: Spec) -> Interval:
        """The range of the classes, extended to the index that stands for no class."""
        (classes,) = known(x.shape[1])
        if self.ignore_index is None:
            return Interval(0, classes)
        return Interval(min(0, self.ignore_index), max(classes, self.ignore_index + 1))


@dataclass(frozen=True)
class SoftmaxCrossEntropy(_Likelihood):
    """Negative logarithm of the probability that the softmax gives to each label.

    For one label ``y = log(sum_j exp(x_j)) - sum_j target_j * x_j`` and ``dx = softmax(x) -
    target``.  The target is 1 at the label and 0 elsewhere or, smoothed, ``(1 - s) * one_hot +
    s / classes`` with the ``label_smoothing`` s.

    The loss is at most the largest finite number of the dtype.

    Shapes:
        - x: ``(N, classes, *positions)``, labels: ``(N, *positions)``, of an integer dtype
        - y: ``()``, or that of the labels for the reduction ``"none"``

    Args:
        label_smoothing: the part of the target, in 0..1, that is spread evenly over all
            classes; default 0.
        reduction: ``"mean"`` over the labels that count, ``"sum"`` or ``"none"``; default
            ``"mean"``.
        ignore_index: the label that does not count; None, the default, for no such label.

    Raises:
        TypeError, ValueError: a field is not one of these.
        ShapeError: the labels are not integers or do not fit the logits, their dtype does not
            hold ``ignore_index``, or there is none to take the mean of.

    Source: Bridle, "Training Stochastic Model Recognition Algorithms as Networks", 1990; label
    smoothing: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2016.

    >>> import numpy as np
    >>> loss, _ = SoftmaxCrossEntropy().forward(np.zeros((2, 10)), np.array([3, 7]))
    >>> round(loss.item(), 4)
    2.3026
    """

    label_smoothing: float = 0.0
    reduction: str = "mean"
    ignore_index: int | None = None

    def __post_init__(self) -> None:
        freeze_numbers(self, SHARE, "label_smoothing")
        super().__post_init__()

    def infer(self, x: Spec, labels: Spec) -> Spec:
        return self._inferred(x, labels)

    def domains(self, x: Spec, labels: Spec) -> dict[str, Interval]:
        return {"labels": self._allowed(x)}

    def forward(self, x: Array, labels: Array) -> tuple[Array, tuple[Array, ...]]:
        xp = namespace(x)
        hit = _hits(labels, x.shape[1])  # (N, classes, *positions)
        shifted = below_maximum(x, 1)
        probabilities = xp.exp(shifted)
        total = probabilities.sum(axis=1, keepdims=True)
        found = hit.any(axis=1, keepdims=True)
        if self.ignore_index is not None:
            found |= (labels == self.ignore_index)[:, None]
        # one NaN here spoils the loss and the gradient of a label that hits no class
        total = xp.where(found, total, math.nan)
        picked = xp.where(hit, shifted, 0.0).sum(axis=1, keepdims=True)
        probabilities /= total
        values = self._values(xp.log(total), picked, shifted).reshape(labels.shape)
        if self.ignore_index is None:
            return reduced(values, self.reduction), (probabilities, labels)
        counted = _counted(hit, labels, self.ignore_index, x.dtype)
        return _weighed(values, counted, self.reduction), (probabilities, labels)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        probabilities, labels = saved
        if not needs[0]:
            return None, None
        classes = probabilities.shape[1]
        hit = _hits(labels, classes)
        if self.ignore_index is None:
            share = shared(dy, self.reduction, labels)
        else:
            counted = _counted(hit, labels, self.ignore_index, dy.dtype)
            share = dy * _shares(counted, self.reduction)
        if self.label_smoothing:
            rest = probabilities - self.label_smoothing / classes
            above = namespace(hit).where(hit, rest - (1.0 - self.label_smoothing), rest)
        else:
            above = probabilities - hit
        return above * _over_classes(share), None

    def flops(self, x: Spec, labels: Spec) -> int:
        return (7 if self.label_smoothing else 5) * x.elements

    def _values(self, log_total: Array, picked: Array, shifted: Array) -> Array:
        """The loss of each label, with an axis of size 1 in place of the classes."""
        if not self.label_smoothing:
            return log_total - picked
        xp = namespace(shifted)
        # in halves, since the sum of the weighted parts may round past the largest number
        at_label = picked * (0.5 - 0.5 * self.label_smoothing)
        each = 0.5 * self.label_smoothing / shifted.shape[1]
        half = 0.5 * log_total - at_label - (shifted * each).sum(axis=1, keepdims=True)
        return 2.0 * xp.minimum(half, 0.5 * float(xp.finfo(shifted.dtype).max))


@dataclass(frozen=True)
class NegativeLogLikelihood(_Likelihood):
    """Negative log-probability of each label, times the weight of its class.

    For the n-th label ``-w_n * x_n``, with ``w_n`` the weight of its class: 1 without weights.
    The mean is ``sum_n(-w_n * x_n) / sum_n(w_n)`` over the labels that count.  It is 0, and so
    are its gradients, where these weights sum to 0; PyTorch gives NaN there.

    Shapes:
        - x: ``(N, classes, *positions)``, log-probabilities
        - labels: ``(N, *positions)``, of an integer dtype
        - weights: ``(classes,)``, each at least 0, of the dtype of x; optional
        - y: ``()``, or that of the labels for the reduction ``"none"``

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``; default ``"mean"``.
        ignore_index: the label that does not count; None, the default, for no such label.

    Raises:
        TypeError, ValueError: a field is not one of these.
        ShapeError: the labels are not integers or do not fit the log-probabilities, their
            dtype does not hold ``ignore_index``, there is none to take the mean of, or the
            weights do not fit.

    Source: Fisher, "On the Mathematical Foundations of Theoretical Statistics", 1922; ONNX
    ``NegativeLogLikelihoodLoss``.

    >>> import numpy as np
    >>> x = np.log([[0.5, 0.5], [0.25, 0.75]])
    >>> loss, _ = NegativeLogLikelihood("none").forward(x, np.array([1, 0]))
    >>> loss.round(4).tolist()
    [0.6931, 1.3863]
    """

    reduction: str = "mean"
    ignore_index: int | None = None

    def infer(self, x: Spec, labels: Spec, weights: Spec | None = None) -> Spec:
        y = self._inferred(x, labels)
        if weights is not None:
            expect_spec("weights", weights, (x.shape[1],), x.dtype)
        return y

    def domains(self, x: Spec, labels: Spec, weights: Spec | None = None) -> dict[str, Interval]:
        allowed = {"labels": self._allowed(x)}
        return allowed if weights is None else {**allowed, "weights": Interval(low=0.0)}

    def forward(
        self, x: Array, labels: Array, weights: Array | None = None
    ) -> tuple[Array, tuple[Any, ...]]:
        classes = x.shape[1]
        hit = _hits(labels, classes)  # (N, classes, *positions)
        picked = namespace(x).where(hit, x, 0.0).sum(axis=1)
        counted = _counted(hit, labels, self.ignore_index, x.dtype)
        if weights is None:
            return _weighed(-picked, counted, self.reduction), (labels, classes)
        own = counted * _picked_weights(hit, weights)
        return _weighed(-picked, own, self.reduction), (labels, classes, weights, picked)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        labels, classes, *given = saved
        hit = _hits(labels, classes)
        counted = _counted(hit, labels, self.ignore_index, dy.dtype)
        own = counted * _picked_weights(hit, given[0]) if given else counted
        shares = _shares(own, self.reduction)
        dx = hit * _over_classes(-dy * shares) if needs[0] else None
        if not needs[2]:
            return dx, None, None
        slope = -given[1]
        if self.reduction == "mean":
            # the quotient rule: how far each value is above the mean, over the total weight
            mean = reduced(slope * shares, "sum", signed=True)
            slope = (slope - mean) * _inverse(own.sum())
        others = tuple(axis for axis in range(hit.ndim) if axis != 1)
        return dx, None, (hit * _over_classes(dy * slope * counted)).sum(axis=others)

    def flops(self, x: Spec, labels: Spec, weights: Spec | None = None) -> int:
        return (2 if weights is None else 3) * labels.elements


@dataclass(frozen=True)
class Hinge(Operator):
    """Multiclass hinge loss: how far each wrong class comes within the margin of the label's.

    For one example ``sum_{j != label} max(0, x_j - x_label + margin)``, at most the largest
    finite number of the dtype; the gradient of a class exactly at the margin is 0.

    Shapes:
        - x: ``(N, classes)``, labels: ``(N,)``, of an integer dtype
        - y: ``()``, or that of the labels for the reduction ``"none"``

    Args:
        margin: the wanted distance in score, at least 0; default 1.
        reduction: ``"mean"`` over the examples, ``"sum"`` or ``"none"``; default ``"mean"``.

    Raises:
        TypeError, ValueError: the margin is no finite number of at least 0, or the reduction
            unknown.
        ShapeError: the labels are not integers or do not fit the scores, or there is none to
            take the mean of.

    Source: Weston, Watkins, "Support Vector Machines for Multi-Class Pattern Recognition", 1999.

    >>> import numpy as np
    >>> loss, _ = Hinge().forward(np.array([[2.0, 1.5, -4.0]]), np.array([0]))
    >>> loss.item()
    0.5
    """

    margin: float = 1.0
    reduction: str = "mean"

    def __post_init__(self) -> None:
        freeze_numbers(self, NOT_NEGATIVE, "margin")
        expect_choice(self, "reduction", REDUCTIONS)

    def infer(self, x: Spec, labels: Spec) -> Spec:
        expect_rank("an input", x, 2)
        _expect_labels(x, labels, self.reduction)
        return x.with_shape(labels.shape if self.reduction == "none" else ())

    def domains(self, x: Spec, labels: Spec) -> dict[str, Interval]:
        return {"labels": Interval(0, *known(x.shape[1]))}

    def forward(self, x: Array, labels: Array) -> tuple[Array, tuple[Array, ...]]:
        xp = namespace(x)
        hit = _hits(labels, x.shape[1])  # (N, classes)
        own = xp.where(hit, x, 0.0).sum(axis=1, keepdims=True)
        own = xp.where(hit.any(axis=1, keepdims=True), own, math.nan)
        # a power of two rounds nothing, and this one leaves room for the sum over the classes
        shrink = 2.0 ** -(x.shape[1].bit_length() + 2)
        excess = x * shrink - own * shrink + self.margin * shrink
        excess = xp.where(hit, 0.0, xp.maximum(excess, 0))
        total = excess.sum(axis=1)
        bound = float(xp.finfo(x.dtype).max) * shrink
        losses = xp.where(xp.isinf(total), total, xp.minimum(total, bound)) / shrink
        return reduced(losses, self.reduction), (excess > 0, labels)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        within, labels = saved
        if not needs[0]:
            return None, None
        xp = namespace(within)
        hit = _hits(labels, within.shape[1])
        share = _over_classes(shared(dy, self.reduction, labels))
        share = xp.where(hit.any(axis=1, keepdims=True), share, math.nan)
        # each class within the margin pushes itself down and the label's class up
        return share * within - share * hit * within.sum(
            axis=1, keepdims=True, dtype=dy.dtype
        ), None

    def flops(self, x: Spec, labels: Spec) -> int:
        return 4 * x.elements


def _expect_labels(x: Spec, labels: Spec, reduction: str) -> None:
    """Refuse labels that are no classes of ``(N, classes, *positions)``."""
    expect_floating("an input", x)
    expect_rank("an input", x, least=2)
    if not isinstance(x.shape[1], int) or x.shape[1] == 0:
        raise ShapeError(f"expected a known number of classes, at least one, received {show(x)}")
    if not labels.dtype.startswith(("int", "uint")):
        raise ShapeError(f"expected integer labels, received {labels.dtype}")
    wanted = (x.shape[0], *x.shape[2:])
    if labels.shape != wanted:
        last = (*x.shape[:1], *x.shape[1:-1]) == labels.shape
        hint = "; classes lie along axis 1: move them there with Transpose" if last else ""
        raise ShapeError(
            f"expected labels {show_shape(wanted)} for {show(x)}, received {show(labels)}{hint}"
        )
    expect_entries(labels, reduction)


def _hits(labels: Array, classes: int) -> Array:
    """Where each class of ``(N, classes, *positions)`` is the label's."""
    numbers = namespace(labels).arange(classes).reshape(-1, *[1] * (labels.ndim - 1))
    return numbers == labels[:, None]


def _over_classes(share: Array) -> Array:
    """One number for each label, or one for all, shaped to spread over the classes."""
    return share[:, None] if share.ndim else share


def _counted(hit: Array, labels: Array, ignore_index: int | None, dtype: Any) -> Array:
    """1 for a label that counts, 0 for one that does not, NaN for one that hits no class."""
    xp = namespace(labels)
    counted = xp.where(hit.any(axis=1), 1.0, math.nan).astype(dtype)
    return counted if ignore_index is None else xp.where(labels == ignore_index, 0.0, counted)


def _picked_weights(hit: Array, weights: Array) -> Array:
    """The weight of each label's class."""
    across = weights.reshape(-1, *[1] * (hit.ndim - 2))  # (classes,) -> (classes, *positions)
    return namespace(hit).where(hit, across, 0.0).sum(axis=1)


def _weighed(values: Array, weights: Array, reduction: str) -> Array:
    """The weighted losses of the labels, or their sum or weighted mean."""
    # what does not count costs nothing, an infinite value neither
    counted = namespace(values).where(weights == 0, 0.0, values)
    parts = counted * _shares(weights, reduction)
    return reduced(parts, "none" if reduction == "none" else "sum", signed=True)


def _shares(weights: Array, reduction: str) -> Array:
    """The factor that each label's value has in the loss."""
    return weights * _inverse(weights.sum()) if reduction == "mean" else weights


def _inverse(total: Array) -> Array:
    """``1 / total``, and 0 for a total of 0."""
    xp = namespace(total)
    return xp.where(total == 0, 0.0, 1.0 / xp.where(total == 0, 1.0, total))
