"""The loss of yes-or-no questions, each with a probability or a logit of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ops.arrays import Array, namespace
from ops.fields import freeze_flags
from ops.loss import ElementwiseLoss, reduced, shared
from ops.operator import Interval, Spec

__all__ = ["BinaryCrossEntropy"]

#: The least logarithm of a probability, which stands for that of 0.
_LOWEST = -100.0


@dataclass(frozen=True)
class BinaryCrossEntropy(ElementwiseLoss):
    """Cross entropy of yes-or-no labels t, ``-t * log(p) - (1 - t) * log(1 - p)``.

    From logits, ``p = sigmoid(x)`` and ``dx = p - t``, which never overflows.  From
    probabilities, ``p = x`` and ``dx = (p - t) / (p * (1 - p))``; as in PyTorch, a logarithm
    is at least -100, and the divisor at least 1e-12.  The loss of a p outside 0..1 is NaN.

    Shapes:
        - x, labels: any, equal, of one floating dtype; labels in 0..1
        - y: ``()``, or that of x for the reduction ``"none"``

    Args:
        from_logits: whether x holds logits, not probabilities; default True.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``; default ``"mean"``.

    Raises:
        TypeError, ValueError: ``from_logits`` is no flag, or the reduction unknown.
        ShapeError: shapes or dtypes differ, or there is no entry to take the mean of.

    Source: Cox, "The Regression Analysis of Binary Sequences", 1958.

    >>> import numpy as np
    >>> loss, _ = BinaryCrossEntropy().forward(np.array([0.0, 1e30]), np.array([1.0, 1.0]))
    >>> round(loss.item(), 4)
    0.3466
    """

    from_logits: bool = True
    reduction: str = "mean"

    def __post_init__(self) -> None:
        freeze_flags(self, "from_logits")
        super().__post_init__()

    def domains(self, x: Spec, labels: Spec) -> dict[str, Interval]:
        # an interval leaves out its end: here the number of this dtype that follows 1
        share = Interval(0.0, 1.0 + float(np.finfo(labels.dtype).eps))
        return {"labels": share} if self.from_logits else {"x": share, "labels": share}

    def forward(self, x: Array, labels: Array) -> tuple[Array, tuple[Array, ...]]:
        xp = namespace(x)
        if self.from_logits:
            distance = xp.abs(x)
            values = distance * _against(x, labels) + xp.log1p(xp.exp(-distance))
        else:
            yes, no = _logarithms(x)
            values = -(labels * yes + (1.0 - labels) * no)
        return reduced(values, self.reduction), (x, labels)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        x, labels = saved
        xp = namespace(x)
        share = shared(dy, self.reduction, x)
        dx = dlabels = None
        if needs[0] and self.from_logits:
            odds = xp.exp(-xp.abs(x))
            excess = odds / (1.0 + odds) - _against(x, labels)
            dx = xp.where(x < 0, excess, -excess) * share
        elif needs[0]:
            dx = (x - labels) / xp.maximum(x * (1.0 - x), 1e-12) * share
        if needs[1] and self.from_logits:
            dlabels = x * -share
        elif needs[1]:
            yes, no = _logarithms(x)
            dlabels = (no - yes) * share
        return dx, dlabels

    def flops(self, x: Spec, labels: Spec) -> int:
        return 8 * x.elements


def _against(x: Array, labels: Array) -> Array:
    """The target of the answer that the logit speaks against."""
    return namespace(x).where(x < 0, labels, 1.0 - labels)


def _logarithms(p: Array) -> tuple[Array, Array]:
    """The logarithms of p and of ``1 - p``, each at least -100."""
    xp = namespace(p)
    yes = xp.maximum(xp.log(xp.where(p == 0, 1.0, p)), _LOWEST)
    no = xp.maximum(xp.log1p(xp.where(p == 1, 0.0, -p)), _LOWEST)
    return xp.where(p == 0, _LOWEST, yes), xp.where(p == 1, _LOWEST, no)
