"""The largest and the smallest entry over chosen axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.operator import Spec
from ops.reduction import Reduction

__all__ = ["ReduceMax", "ReduceMin"]


@dataclass(frozen=True)
class _Extremum(Reduction):
    """What the two share: ``saved`` is the input and its extremes, and one entry of each wins."""

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        x, extreme = saved
        if not needs[0]:
            return (None,)
        xp = namespace(x)
        equal = (x == extreme) | (x != x)  # NaN alone differs from itself, and is the extreme
        rows = self._rows(equal)  # (*kept, entries)
        first = rows.argmax(axis=-1, keepdims=True)
        won = first == xp.arange(rows.shape[-1])
        return (self._from_rows(xp.where(won, dy.reshape(first.shape), 0), x.shape),)


@dataclass(frozen=True)
class ReduceMax(_Extremum):
    """The largest entry; a tie's gradient goes to the first in raster order.

    A NaN among the entries is the result, and the first NaN gets the gradient.

    Shapes:
        - x: any, of any dtype; False is less than True
        - y: the shape of x without the reduced axes; they stay with size 1 if ``keepdims``

    Args:
        axis: the reduced axis or axes, negative ones counted from the end; all when None.
            The batch may be among them.
        keepdims: whether a reduced axis stays, with size 1; default False.

    Raises:
        TypeError, ValueError: a field is no integer or empty.
        ShapeError: an axis is missing or named twice, or there is
            no entry to choose from.

    Source: ONNX ``ReduceMax``.

    >>> import numpy as np
    >>> ReduceMax(axis=1).forward(np.array([[1.0, 2.0], [4.0, 3.0]]))[0]
    array([2., 4.])
    """

    def infer(self, x: Spec) -> Spec:
        reduced = self._reduced(x)
        self._expect_entries(x, "maximum")
        return reduced

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        y = x.max(axis=self.axis, keepdims=True)
        return self._squeezed(y), (x, y)


@dataclass(frozen=True)
class ReduceMin(_Extremum):
    """The smallest entry; a tie's gradient goes to the first in raster order.

    A NaN among the entries is the result, and the first NaN gets the gradient.

    Shapes:
        - x: any, of any dtype; False is less than True
        - y: the shape of x without the reduced axes; they stay with size 1 if ``keepdims``

    Args:
        axis: the reduced axis or axes, negative ones counted from the end; all when None.
            The batch may be among them.
        keepdims: whether a reduced axis stays, with size 1; default False.

    Raises:
        TypeError, ValueError: a field is no integer or empty.
        ShapeError: an axis is missing or named twice, or there is
            no entry to choose from.

    Source: ONNX ``ReduceMin``.

    >>> import numpy as np
    >>> ReduceMin(axis=1).forward(np.array([[1.0, 2.0], [4.0, 3.0]]))[0]
    array([1., 3.])
    """

    def infer(self, x: Spec) -> Spec:
        reduced = self._reduced(x)
        self._expect_entries(x, "minimum")
        return reduced

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        y = x.min(axis=self.axis, keepdims=True)
        return self._squeezed(y), (x, y)
