"""Products with a matrix: the fully connected layer and the general matrix product."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any

from ops.arrays import Array
from ops.broadcasting import broadcast_shapes, unbroadcast
from ops.fields import freeze_counts, freeze_flags, is_integer
from ops.initializers import Constant, Kaiming
from ops.operator import (
    Operator,
    Parameter,
    ShapeError,
    Spec,
    expect_bias,
    expect_floating,
    expect_numeric,
    expect_rank,
    expect_spec,
    known,
    normalize_axis,
    show,
)

__all__ = ["Linear", "MatMul"]


@dataclass(frozen=True)
class Linear(Operator):
    """Fully connected layer ``y = x weight^T + bias``; all axes from ``axis`` on are features.

    Shapes:
        - x: ``(N, ..., *features)``, the features being ``x.shape[axis:]``
        - weight: ``(units, prod(features))``, bias: ``(units,)``
        - y: ``(N, ..., units)``

    Args:
        units: the number of outputs.
        bias: whether a learned constant is added to each output.
        axis: the first axis of the features. The default 1 makes one row of each example,
            so images need no flattening; -1 takes the last axis alone, as PyTorch does.

    Raises:
        TypeError, ValueError: ``units`` is no positive integer, or ``axis`` no integer.
        ShapeError: the input has no such axis after the first, or the weight does not fit it.

    Source: Rosenblatt, "The perceptron", 1958; weight layout as in PyTorch and ONNX ``Gemm``.

    >>> import graphnet as gn
    >>> Linear(10)(gn.Input("image", ("N", 1, 8, 8))).shape
    (N, 10)
    >>> Linear(10, axis=-1)(gn.Input("tokens", ("N", 16, 64))).shape
    (N, 16, 10)
    """

    units: int
    _: KW_ONLY
    bias: bool = True
    axis: int = 1

    def __post_init__(self) -> None:
        freeze_counts(self, "units")
        freeze_flags(self, "bias")
        if not is_integer(self.axis):
            raise TypeError(f"Linear: expected an integer axis, received {self.axis!r}")

    def parameters(self, x: Spec) -> dict[str, Parameter]:
        shape = self._weight_shape(x)
        learned = {"weight": Parameter(shape, Kaiming(gain=1.0), x.dtype)}
        if self.bias:
            learned["bias"] = Parameter((self.units,), Constant(0.0), x.dtype, decay=False)
        return learned

    def infer(self, x: Spec, weight: Spec, bias: Spec | None = None) -> Spec:
        expect_floating("an input", x)
        expect_spec("a weight", weight, self._weight_shape(x), x.dtype)
        expect_bias(self.bias, bias, self.units, x.dtype)
        return x.with_shape((*x.shape[: self._first(x)], self.units))

    def forward(
        self, x: Array, weight: Array, bias: Array | None = None
    ) -> tuple[Array, tuple[Any, ...]]:
        leading = x.shape[: self.axis]
        rows = x.reshape(math.prod(leading), weight.shape[1])  # (N, ..., *features) -> 2-d
        y = rows @ weight.T
        if bias is not None:
            y += bias
        return y.reshape(*leading, self.units), (rows, weight, x.shape)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        rows, weight, shape = saved
        rows_dy = dy.reshape(rows.shape[0], self.units)
        dx = (rows_dy @ weight).reshape(shape) if needs[0] else None
        dweight = rows_dy.T @ rows if needs[1] else None
        dbias = rows_dy.sum(axis=0) if needs[2] else None
        return dx, dweight, dbias

    def flops(self, x: Spec, weight: Spec, bias: Spec | None = None) -> int:
        outputs = self.infer(x, weight, bias).elements
        return outputs * (2 * known(weight.shape[1])[0] + (bias is not None))

    def _weight_shape(self, x: Spec) -> tuple[int, ...]:
        return (self.units, math.prod(known(*x.shape[self._first(x) :])))

    def _first(self, x: Spec) -> int:
        """The first axis of the features, counted from the front."""
        expect_rank("an input", x, least=2)
        first = normalize_axis(self.axis, x.rank)
        if first == 0:
            raise ShapeError(f"expected features after the first axis, received {show(x)}")
        return first


@dataclass(frozen=True)
class MatMul(Operator):
    """Matrix product over the last two axes, the others broadcast.

    ``y[..., i, j] = sum_k a[..., i, k] * b[..., k, j]``

    Shapes:
        - a: ``(..., n, k)``, b: ``(..., k, m)``, of one floating or integer dtype, which stays
        - y: ``(..., n, m)``, leading axes broadcast

    Raises:
        ShapeError: an input is boolean or has fewer than two axes, or the inner sizes or the
            dtypes differ.

    Source: ONNX ``MatMul``, for two or more axes.

    >>> import graphnet as gn
    >>> a, b = gn.Input("a", ("N", 4, 8)), gn.Input("b", (8, 2))
    >>> MatMul()(a, b).shape
    (N, 4, 2)
    """

    def infer(self, a: Spec, b: Spec) -> Spec:
        for name, spec in (("a", a), ("b", b)):
            expect_numeric(name, spec)
            expect_rank(name, spec, least=2)
        if a.shape[-1] != b.shape[-2] or a.dtype != b.dtype:
            raise ShapeError(
                f"expected equal inner sizes and dtypes, received {show(a)} and {show(b)}"
            )
        leading = broadcast_shapes(a.shape[:-2], b.shape[:-2])
        return a.with_shape((*leading, a.shape[-2], b.shape[-1]))

    def forward(self, a: Array, b: Array) -> tuple[Array, tuple[Array, ...]]:
        return a @ b, (a, b)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        a, b = saved
        da = unbroadcast(dy @ b.swapaxes(-1, -2), a.shape) if needs[0] else None
        db = unbroadcast(a.swapaxes(-1, -2) @ dy, b.shape) if needs[1] else None
        return da, db

    def flops(self, a: Spec, b: Spec) -> int:
        return self.infer(a, b).elements * 2 * known(a.shape[-1])[0]
