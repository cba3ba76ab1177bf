"""Determinants of square matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.operator import Operator, ShapeError, Spec, expect_floating, expect_rank, known, show

__all__ = ["Determinant"]


@dataclass(frozen=True)
class Determinant(Operator):
    """Determinant of each matrix, by elimination.

    The gradient is the matrix of cofactors times ``dy``.  It is found from the singular values,
    and not from an inverse, so that a singular matrix has it too.

    Shapes:
        - x: ``(..., n, n)`` with n at least 1
        - y: the shape of x without the last two axes

    Raises:
        ShapeError: the input is not floating, or not of square matrices with entries.

    Source: ONNX ``Det``; Stewart, "On the adjugate matrix", 1998.

    >>> import numpy as np
    >>> Determinant().forward(np.array([[1.0, 2.0], [3.0, 5.0]]))[0].round(6).item()
    -1.0
    """

    def infer(self, x: Spec) -> Spec:
        expect_floating("an input", x)
        expect_rank("an input", x, least=2)
        if x.shape[-1] != x.shape[-2] or known(x.shape[-1])[0] == 0:
            raise ShapeError(f"expected square matrices with entries, received {show(x)}")
        return x.with_shape(x.shape[:-2])

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        xp = namespace(x)
        return xp.asarray(xp.linalg.det(x)), (x,)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        if not needs[0]:
            return (None,)
        xp = namespace(x)
        left, values, right = xp.linalg.svd(x)
        # for each singular value the product of the others
        others = xp.ones_like(values)
        for k in range(values.shape[-1] - 1):
            others *= xp.roll(values, k + 1, axis=-1)
        sign = xp.linalg.det(left) * xp.linalg.det(right) * dy
        return ((left * (others * sign[..., None])[..., None, :]) @ right,)

    def flops(self, x: Spec) -> int:
        (n,) = known(x.shape[-1])
        return x.elements * n * 2 // 3 + x.elements
