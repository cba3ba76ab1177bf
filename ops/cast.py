"""The same numbers, or the same bits, in another dtype."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ops.arrays import Array, namespace
from ops.operator import Operator, ShapeError, Spec, show

__all__ = ["BitCast", "Cast"]


@dataclass(frozen=True)
class _ToDtype(Operator):
    """What the two share: the dtype, and no arithmetic."""

    dtype: str

    def __post_init__(self) -> None:
        try:
            spec = Spec((), self.dtype)
        except ValueError as error:
            raise ValueError(f"{type(self).__name__}: {error}") from None
        object.__setattr__(self, "dtype", spec.dtype)

    def flops(self, x: Spec) -> int:
        return 0


@dataclass(frozen=True)
class Cast(_ToDtype):
    """The numbers of the input in another dtype, ``y = dtype(x)``.

    A floating number becomes an integer without its fraction, and True where it is not 0; what
    a narrower integer dtype cannot hold wraps around.  What an integer dtype makes of a
    floating number beyond its range, of NaN or of infinity is left open.  Between floating
    dtypes the gradient is ``dx = dy``, in the dtype of x; none flows to or from integers.

    Shapes:
        - x: any, of any dtype
        - y: the shape of x, of dtype ``dtype``

    Args:
        dtype: that of y.

    Raises:
        ValueError: the dtype is unknown.

    Source: ONNX ``Cast``.

    >>> import numpy as np
    >>> Cast("int64").forward(np.array([-1.5, 2.9]))[0].tolist()
    [-1, 2]
    """

    def infer(self, x: Spec) -> Spec:
        return Spec(x.shape, self.dtype)

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return x.astype(self.dtype), (x.dtype,)

    def backward(
        self, saved: tuple[Any, ...], dy: Array | None, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (dtype,) = saved
        if dy is None or not needs[0]:
            return (None,)
        return (dy.astype(dtype),)


@dataclass(frozen=True)
class BitCast(_ToDtype):
    """The bytes of the input read as numbers of another dtype of equal width.

    No gradient flows to or from integers; floating dtypes of equal width are equal.

    Shapes:
        - x: any, of any dtype but bool
        - y: the shape of x, of dtype ``dtype``

    Args:
        dtype: that of y, but for bool, which not every byte is.

    Raises:
        ValueError: the dtype is unknown, or bool.
        ShapeError: the input is boolean, or its entries have another number of bytes.

    Source: ONNX ``BitCast``.

    >>> import numpy as np
    >>> hex(int(BitCast("int32").forward(np.array([1.0], "float32"))[0][0]))
    '0x3f800000'
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dtype == "bool":
            raise ValueError("BitCast: expected another dtype than bool, which not every byte is")

    def infer(self, x: Spec) -> Spec:
        width = np.dtype(self.dtype).itemsize
        if x.dtype == "bool" or np.dtype(x.dtype).itemsize != width:
            raise ShapeError(f"expected entries of {width} bytes, received {show(x)}")
        return Spec(x.shape, self.dtype)

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return namespace(x).ascontiguousarray(x).reshape(x.shape).view(self.dtype).copy(), ()

    def backward(
        self, saved: tuple[Any, ...], dy: Array | None, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        return (None if dy is None or not needs[0] else dy.copy(),)
