"""Losses of values: a prediction and its labels in, how far apart they are out.

``reduction`` says what becomes of the loss of each entry: ``"mean"`` and ``"sum"`` make one
number of them, ``"none"`` keeps them.  Means and sums of finite entries are finite: they are
at most the largest finite number of the dtype.  Losses on classes are in
:mod:`ops.cross_entropy`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ops.arrays import Array, namespace
from ops.fields import NOT_NEGATIVE, POSITIVE, expect_choice, freeze_flags, freeze_numbers
from ops.operator import (
    Interval,
    Operator,
    ShapeError,
    Spec,
    expect_floating,
    expect_rank,
    expect_spec,
    show,
)

__all__ = [
    "REDUCTIONS",
    "ElementwiseLoss",
    "Huber",
    "KLDivergence",
    "L1Loss",
    "L2Penalty",
    "MeanSquaredError",
    "expect_entries",
    "reduced",
    "shared",
]

#: What may become of the losses of the entries.
REDUCTIONS = ("mean", "sum", "none")


class ElementwiseLoss(Operator):
    """What losses of two equal arrays share: the field ``reduction``, and the shapes."""

    reduction: str

    def __post_init__(self) -> None:
        expect_choice(self, "reduction", REDUCTIONS)

    def infer(self, x: Spec, labels: Spec) -> Spec:
        expect_floating("an input", x)
        expect_spec("labels", labels, x.shape, x.dtype)
        expect_entries(labels, self.reduction)
        return x if self.reduction == "none" else x.with_shape(())

    def domains(self, x: Spec, labels: Spec) -> dict[str, Interval]:
        return {"labels": Interval()}


class _OfDifference(ElementwiseLoss):
    """What losses of ``x - labels`` share: the gradients are a slope and its opposite."""

    steepness: ClassVar[float] = 1.0

    def _curve(self, difference: Array) -> tuple[Array, Array]:
        """The loss of each difference, and its slope there over ``steepness``."""
        raise NotImplementedError

    def forward(self, x: Array, labels: Array) -> tuple[Array, tuple[Array, ...]]:
        values, slope = self._curve(x - labels)
        return reduced(values, self.reduction), (slope,)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (slope,) = saved
        scale = shared(dy, self.reduction, slope) * self.steepness
        dx = slope * scale if needs[0] else None
        dlabels = slope * -scale if needs[1] else None
        return dx, dlabels


@dataclass(frozen=True)
class MeanSquaredError(_OfDifference):
    """Squared differences ``(x - labels)^2``, their mean over all entries by default.

    Shapes:
        - x, labels: any, equal, of one floating dtype
        - y: ``()``, or that of x for the reduction ``"none"``

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``; default ``"mean"``.

    Raises:
        ValueError: the reduction is none of these.
        ShapeError: shapes or dtypes differ, or there is no entry to take the mean of.

    Source: Gauss, "Theoria combinationis observationum erroribus minimis obnoxiae", 1823.

    >>> import numpy as np
    >>> MeanSquaredError().forward(np.array([1.0, 2.0]), np.array([1.0, 4.0]))[0].item()
    2.0
    """

    reduction: str = "mean"

    steepness: ClassVar[float] = 2.0

    def _curve(self, difference: Array) -> tuple[Array, Array]:
        return difference * difference, difference

    def flops(self, x: Spec, labels: Spec) -> int:
        return 3 * x.elements


@dataclass(frozen=True)
class L1Loss(_OfDifference):
    """Absolute differences ``|x - labels|``, their mean by default; the gradient at 0 is 0.

    Shapes:
        - x, labels: any, equal, of one floating dtype
        - y: ``()``, or that of x for the reduction ``"none"``

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``; default ``"mean"``.

    Raises:
        ValueError: the reduction is none of these.
        ShapeError: shapes or dtypes differ, or there is no entry to take the mean of.

    Source: Laplace, "Mémoire sur la probabilité des causes par les évènements", 1774.

    >>> import numpy as np
    >>> L1Loss().forward(np.array([1.0, 2.0]), np.array([1.0, 4.0]))[0].item()
    1.0
    """

    reduction: str = "mean"

    def _curve(self, difference: Array) -> tuple[Array, Array]:
        xp = namespace(difference)
        return xp.abs(difference), xp.sign(difference)

    def flops(self, x: Spec, labels: Spec) -> int:
        return 3 * x.elements


@dataclass(frozen=True)
class Huber(_OfDifference):
    """Half the square of small differences, a straight line for those beyond ``delta``.

    With ``d = x - labels``, an entry costs ``d^2 / 2`` where ``|d| <= delta``, else
    ``delta * (|d| - delta / 2)``; ``dx`` is d, kept within ``-delta..delta``.

    Shapes:
        - x, labels: any, equal, of one floating dtype
        - y: ``()``, or that of x for the reduction ``"none"``

    Args:
        delta: the difference from which the loss is straight, above 0; default 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``; default ``"mean"``.

    Raises:
        TypeError, ValueError: delta is no finite positive number, or the reduction unknown.
        ShapeError: shapes or dtypes differ, or there is no entry to take the mean of.

    Source: Huber, "Robust Estimation of a Location Parameter", 1964.

    >>> import numpy as np
    >>> Huber(reduction="none").forward(np.array([0.5, -3.0]), np.zeros(2))[0].tolist()
    [0.125, 2.5]
    """

    delta: float = 1.0
    reduction: str = "mean"

    def __post_init__(self) -> None:
        freeze_numbers(self, POSITIVE, "delta")
        super().__post_init__()

    def _curve(self, difference: Array) -> tuple[Array, Array]:
        slope = namespace(difference).clip(difference, -self.delta, self.delta)
        return slope * (difference - 0.5 * slope), slope

    def flops(self, x: Spec, labels: Spec) -> int:
        return 6 * x.elements


@dataclass(frozen=True)
class KLDivergence(ElementwiseLoss):
    """Kullback-Leibler divergence ``labels * (log(labels) - x)`` of log-probabilities x.

    As in PyTorch, x is logarithmic already, such as the output of LogSoftmax, and the mean is
    one over all entries: ``"batchmean"`` gives the mean divergence of an example.  A label of
    0 costs nothing, and its gradient, which is infinite, is given as 0; a negative label
    gives NaN.

    Shapes:
        - x, labels: any, equal, of one floating dtype; the first axis is the batch
        - y: ``()``, or that of x for the reduction ``"none"``

    Args:
        reduction: ``"mean"``, ``"sum"``, ``"none"`` or ``"batchmean"``, the sum over the
            number of examples; default ``"mean"``.
        log_target: whether the labels are log-probabilities as well; default False.

    Raises:
        TypeError, ValueError: ``log_target`` is no flag, or the reduction unknown.
        ShapeError: shapes or dtypes differ, or there is no entry to take the mean of.

    Source: Kullback, Leibler, "On Information and Sufficiency", 1951.

    >>> import numpy as np
    >>> loss, _ = KLDivergence("sum").forward(np.log([0.25, 0.75]), np.array([1.0, 0.0]))
    >>> round(loss.item(), 4)
    1.3863
    """

    reduction: str = "mean"
    log_target: bool = False

    def __post_init__(self) -> None:
        expect_choice(self, "reduction", (*REDUCTIONS, "batchmean"))
        freeze_flags(self, "log_target")

    def infer(self, x: Spec, labels: Spec) -> Spec:
        if self.reduction == "batchmean":
            expect_rank("an input", x, least=1)
        return super().infer(x, labels)

    def domains(self, x: Spec, labels: Spec) -> dict[str, Interval]:
        return {"labels": Interval() if self.log_target else Interval(low=0.0)}

    def forward(self, x: Array, labels: Array) -> tuple[Array, tuple[Array, ...]]:
        target, excess = self._parts(x, labels)
        return reduced(target * excess, self.reduction, signed=True), (x, labels)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        x, labels = saved
        share = shared(dy, self.reduction, x)
        target, excess = self._parts(x, labels)
        dlabels = None
        if needs[1]:
            slope = excess + 1.0
            if self.log_target:
                dlabels = target * slope * share
            else:
                dlabels = namespace(x).where(labels == 0, 0.0, slope) * share
        return target * -share if needs[0] else None, dlabels

    def flops(self, x: Spec, labels: Spec) -> int:
        return 4 * x.elements

    def _parts(self, x: Array, labels: Array) -> tuple[Array, Array]:
        """The probabilities of the labels, and how far their logarithms are above x."""
        xp = namespace(x)
        if self.log_target:
            return xp.exp(labels), labels - x
        excess = xp.log(xp.where(labels == 0, 1.0, labels)) - x
        return labels, xp.where(labels == 0, 0.0, excess)  # 0 times infinity is no cost


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


def expect_entries(labels: Spec, reduction: str) -> None:
    """Refuse to take a mean over nothing.

    Raises:
        ShapeError: the reduction is a mean, and there is no label, or no example.
    """
    counted = {"mean": labels.size, "batchmean": labels.shape[0] if labels.rank else 1}
    if counted.get(reduction) == 0:
        raise ShapeError(f"expected at least one label to take a mean, received {show(labels)}")


def reduced(values: Array, reduction: str, *, signed: bool = False) -> Array:
    """The losses of the entries, or their mean or sum as an array of shape ``()``.

    Args:
        values: the loss of each entry.
        reduction: what becomes of them.
        signed: whether any may be negative.

    >>> import numpy as np
    >>> reduced(np.array([1.0, 2.0, 6.0]), "mean")
    array(3.)
    """
    if reduction == "none":
        return values
    xp = namespace(values)
    flat = values.reshape(-1)
    if not flat.size:
        return flat.sum(keepdims=True).reshape(())
    highest = float(xp.finfo(values.dtype).max)
    # a sum of large entries would overflow, one of fractions of the largest does not
    largest = xp.minimum(xp.maximum((xp.abs(flat) if signed else flat).max(), 1.0), highest)
    fractions = flat / largest
    if reduction == "mean":
        return (fractions.mean(keepdims=True) * largest).reshape(())
    total = fractions.sum(keepdims=True) / (values.shape[0] if reduction == "batchmean" else 1)
    # one step below, so that the product cannot round past the highest number
    bound = highest * (1.0 - float(xp.finfo(values.dtype).eps)) / largest
    total = xp.where(xp.isinf(total), total, xp.clip(total, -bound, bound))
    return (total * largest).reshape(())


def shared(dy: Array, reduction: str, values: Array) -> Array:
    """What arrives at the loss of each entry, where ``dy`` arrives at the reduced ones.

    >>> import numpy as np
    >>> shared(np.array(6.0), "mean", np.zeros((3, 4))).item()
    0.5
    """
    if reduction == "mean":
        return dy / values.size
    if reduction == "batchmean":
        return dy / values.shape[0]
    return dy
