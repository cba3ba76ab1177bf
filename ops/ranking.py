"""Which entries along an axis are largest: the place of one, or the best few in order.

NaN counts as larger than every number, as it does when NumPy sorts; ``ArgMin`` alone finds a
NaN too, as NumPy and PyTorch do, so that it is never passed over in silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.dimension import Dim
from ops.fields import freeze_counts, freeze_flags, freeze_integers
from ops.operator import Operator, ShapeError, Spec, known, normalize_axis, show

__all__ = ["ArgMax", "ArgMin", "TopK"]


@dataclass(frozen=True)
class _ArgExtremum(Operator):
    """What the two share: the fields, the shapes, and that no gradient flows."""

    axis: int = -1
    keepdims: bool = False

    def __post_init__(self) -> None:
        freeze_integers(self, "axis")
        freeze_flags(self, "keepdims")

    def infer(self, x: Spec) -> Spec:
        axis = normalize_axis(self.axis, x.rank)
        if x.shape[axis] == 0:
            raise ShapeError(f"expected entries along axis {axis}, received {show(x)}")
        kept = (1,) if self.keepdims else ()
        return Spec((*x.shape[:axis], *kept, *x.shape[axis + 1 :]), "int64")

    def backward(
        self, saved: tuple[Any, ...], dy: None, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        return (None,)

    def flops(self, x: Spec) -> int:
        return x.elements

    def _squeezed(self, kept: Array) -> Array:
        """``kept``, whose axis has size 1, without it unless it stays."""
        axis = normalize_axis(self.axis, kept.ndim)
        return kept if self.keepdims else kept.reshape(kept.shape[:axis] + kept.shape[axis + 1 :])


@dataclass(frozen=True)
class ArgMax(_ArgExtremum):
    """The index of the largest entry along an axis; of equal ones, the first.

    No gradient flows.  A NaN among the entries is the largest.

    Shapes:
        - x: any with at least one axis, of any dtype
        - y: the shape of x without the axis, of dtype int64; it stays with size 1 if
          ``keepdims``

    Args:
        axis: the axis along which entries compete; default -1, the last.
        keepdims: whether the axis stays, with size 1; default False, as in PyTorch (ONNX's
            own default is True).

    Raises:
        TypeError: a field is no integer, or not True or False.
        ShapeError: the input has no such axis or no entry along it.

    Source: ONNX ``ArgMax``.

    >>> import numpy as np
    >>> ArgMax().forward(np.array([[1.0, 3.0, 3.0], [2.0, 0.0, 1.0]]))[0]
    array([1, 0])
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return self._squeezed(x.argmax(axis=self.axis, keepdims=True)), ()


@dataclass(frozen=True)
class ArgMin(_ArgExtremum):
    """The index of the smallest entry along an axis; of equal ones, the first.

    No gradient flows.  A NaN among the entries is found as if it were the smallest.

    Shapes:
        - x: any with at least one axis, of any dtype
        - y: the shape of x without the axis, of dtype int64; it stays with size 1 if
          ``keepdims``

    Args:
        axis: the axis along which entries compete; default -1, the last.
        keepdims: whether the axis stays, with size 1; default False, as in PyTorch (ONNX's
            own default is True).

    Raises:
        TypeError: a field is no integer, or not True or False.
        ShapeError: the input has no such axis or no entry along it.

    Source: ONNX ``ArgMin``.

    >>> import numpy as np
    >>> ArgMin(axis=0).forward(np.array([[1.0, 3.0, 3.0], [2.0, 0.0, 3.0]]))[0]
    array([0, 1, 0])
    """

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return self._squeezed(x.argmin(axis=self.axis, keepdims=True)), ()


@dataclass(frozen=True)
class TopK(Operator):
    """The ``k`` largest or smallest entries along an axis, best first, and where they were.

    Of equal entries, the one of lower index comes first.  The gradient of each value goes
    back to its entry, and the others get 0.  NaN counts as larger than every number.

    Shapes:
        - x: any with at least one axis, of any dtype
        - values: the shape of x with ``k`` in place of the size of the axis
        - indices: as values, of dtype int64

    Args:
        k: how many entries, from 1 to the size of the axis.
        axis: the axis along which entries compete; default -1, the last.
        largest: whether the largest come first; the smallest if False; default True.

    Raises:
        TypeError, ValueError: a field is no integer, or not True or False, or k is below 1.
        ShapeError: the input has no such axis, or fewer than ``k`` entries along it.

    Source: ONNX ``TopK``, which may leave the order open where this one always sorts.

    >>> import numpy as np
    >>> TopK(2).forward(np.array([1.0, 3.0, 2.0, 3.0]))[0]
    (array([3., 3.]), array([1, 3]))
    """

    k: int
    axis: int = -1
    largest: bool = True

    def __post_init__(self) -> None:
        freeze_counts(self, "k")
        freeze_integers(self, "axis")
        freeze_flags(self, "largest")

    def infer(self, x: Spec) -> tuple[Spec, Spec]:
        axis = normalize_axis(self.axis, x.rank)
        entries = x.shape[axis]
        # a symbolic size is compared once it is known
        if not isinstance(entries, Dim) and entries < self.k:
            raise ShapeError(
                f"expected at least {self.k} entries along axis {axis}, received {show(x)}"
            )
        shape = (*x.shape[:axis], self.k, *x.shape[axis + 1 :])
        return Spec(shape, x.dtype), Spec(shape, "int64")

    def forward(self, x: Array) -> tuple[tuple[Array, Array], tuple[Any, ...]]:
        xp = namespace(x)
        axis = normalize_axis(self.axis, x.ndim)
        first = (*[slice(None)] * axis, slice(self.k))
        if self.largest:
            # sorted from small to large and read backwards, ties would come last index first:
            # so the entries are reversed before, and the indices counted from the end
            rising = xp.flip(x, axis=axis).argsort(axis=axis, kind="stable")
            indices = (x.shape[axis] - 1) - xp.flip(rising, axis=axis)[first]
        else:
            indices = x.argsort(axis=axis, kind="stable")[first].copy()
        return (xp.take_along_axis(x, indices, axis=axis), indices), (indices, x.shape)

    def backward(
        self, saved: tuple[Any, ...], dy: tuple[Array, None], needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        indices, shape = saved
        if not needs[0]:
            return (None,)
        xp = namespace(indices)
        dvalues, _ = dy
        dx = xp.zeros(shape, dtype=dvalues.dtype)
        xp.put_along_axis(dx, indices, dvalues, axis=normalize_axis(self.axis, dx.ndim))
        return (dx,)

    def flops(self, x: Spec) -> int:
        (entries,) = known(x.shape[normalize_axis(self.axis, x.rank)])
        return x.elements * entries.bit_length()  # the comparisons of a sort
