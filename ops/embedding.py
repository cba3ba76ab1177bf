"""Integers as vectors: learned ones, or one entry on and the rest off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ops.arrays import Array, namespace
from ops.fields import FINITE, freeze_counts, freeze_integers, freeze_numbers, holds
from ops.indexing import expect_indices
from ops.initializers import Initializer, Normal
from ops.operator import (
    Interval,
    Parameter,
    Spec,
    expect_floating,
    expect_integers,
    expect_spec,
    normalize_axis,
)
from ops.scatter import added_back, picked
from ops.shape import Rearrangement

__all__ = ["Embedding", "OneHot"]


@dataclass(frozen=True)
class Embedding(Rearrangement):
    """A learned vector for each integer: row ``indices[...]`` of the weight.

    Shapes:
        - indices: any, of an integer dtype, each in ``0 <= i < vocabulary``
        - weight: ``(vocabulary, features)``
        - y: ``(*indices.shape, features)``

    Args:
        vocabulary: the number of vectors.
        features: the length of each.
        padding_index: an index whose row gets no gradient, counted from the end if negative;
            the row starts at 0, and so stays there.  None, the default, for no such row.

    Raises:
        TypeError, ValueError: a field is no positive integer, or the padding index no row.
        ShapeError: the indices are no integers, or the weight does not fit.

    Source: Bengio, Ducharme, Vincent, Jauvin, "A Neural Probabilistic Language Model", 2003;
    weight layout and first values, normal with standard deviation 1, as in PyTorch.

    >>> import graphnet as gn
    >>> Embedding(1000, 16)(gn.Input("tokens", ("N", 64), "int64")).shape
    (N, 64, 16)
    """

    vocabulary: int
    features: int
    padding_index: int | None = None

    def __post_init__(self) -> None:
        freeze_counts(self, "vocabulary", "features")
        if self.padding_index is None:
            return
        freeze_integers(self, "padding_index")
        if not -self.vocabulary <= self.padding_index < self.vocabulary:
            raise ValueError(
                f"Embedding: expected a padding_index in {-self.vocabulary}.."
                f"{self.vocabulary - 1}, received {self.padding_index}"
            )
        object.__setattr__(self, "padding_index", self.padding_index % self.vocabulary)

    def parameters(self, indices: Spec) -> dict[str, Parameter]:
        first = Normal(1.0) if self.padding_index is None else _ZeroRow(self.padding_index)
        return {"weight": Parameter((self.vocabulary, self.features), first)}

    def infer(self, indices: Spec, weight: Spec) -> Spec:
        expect_floating("a weight", weight)
        expect_spec("a weight", weight, (self.vocabulary, self.features), weight.dtype)
        expect_indices(indices, weight, 0)
        return weight.with_shape((*indices.shape, self.features))

    def domains(self, indices: Spec, weight: Spec) -> dict[str, Interval]:
        return {"indices": Interval(0, self.vocabulary)}

    def forward(self, indices: Array, weight: Array) -> tuple[Array, tuple[Any, ...]]:
        return picked(weight, indices, 0), (indices,)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (indices,) = saved
        if not needs[1]:
            return None, None
        dweight = added_back(dy, indices, (self.vocabulary, self.features), 0)
        if self.padding_index is not None:
            dweight[self.padding_index] = 0
        return None, dweight


@dataclass(frozen=True)
class OneHot(Rearrangement):
    """A vector for each integer, with one entry on, the one that it counts, and the rest off.

    Shapes:
        - indices: any, of an integer dtype; -1 counts the last entry, and an index outside
          ``-depth <= i < depth`` none, so that all stay off
        - y: the shape of the indices with ``depth`` inserted at ``axis``, of dtype ``dtype``

    Args:
        depth: the number of entries of each vector.
        axis: where they stand in y, counted from its end if negative; default -1.
        on_value: the entry that is counted; default 1.
        off_value: the other entries; default 0.
        dtype: of y; default ``"float32"``.

    Raises:
        TypeError, ValueError: a field is no positive integer or finite number, or the dtype is
            unknown or cannot hold a value.
        ShapeError: y has no such axis, or the indices are no integers.

    Source: ONNX ``OneHot``.

    >>> import numpy as np
    >>> OneHot(3).forward(np.array([0, -1]))[0]
    array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """

    depth: int
    axis: int = -1
    on_value: float = 1.0
    off_value: float = 0.0
    dtype: str = "float32"

    def __post_init__(self) -> None:
        freeze_counts(self, "depth")
        freeze_integers(self, "axis")
        freeze_numbers(self, FINITE, "on_value", "off_value")
        try:
            spec = Spec((), self.dtype)
        except ValueError as error:
            raise ValueError(f"OneHot: {error}") from None
        object.__setattr__(self, "dtype", spec.dtype)
        for value in (self.on_value, self.off_value):
            if not spec.is_floating and not holds(spec.dtype, value):
                raise ValueError(f"OneHot: expected values of {spec.dtype}, received {value!r}")

    def infer(self, indices: Spec) -> Spec:
        expect_integers("indices", indices)
        axis = normalize_axis(self.axis, indices.rank + 1)
        return Spec((*indices.shape[:axis], self.depth, *indices.shape[axis:]), self.dtype)

    def forward(self, indices: Array) -> tuple[Array, tuple[Array, ...]]:
        xp = namespace(indices)
        axis = normalize_axis(self.axis, indices.ndim + 1)
        # (depth, 1, ...) aligns with the last axes of the output
        entries = xp.arange(self.depth).reshape((self.depth,) + (1,) * (indices.ndim - axis))
        wanted = xp.expand_dims(indices, axis)
        hit = (wanted == entries) | (wanted == entries - self.depth)
        on, off = (xp.full((), v, dtype=self.dtype) for v in (self.on_value, self.off_value))
        return xp.where(hit, on, off), ()

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        return (None,)


@dataclass(frozen=True)
class _ZeroRow(Initializer):
    """Standard normal entries, but for one row of zeros."""

    row: int

    def sample(self, shape: tuple[int, ...], dtype: str, rng: np.random.Generator) -> np.ndarray:
        weight = Normal(1.0).sample(shape, dtype, rng)
        weight[self.row] = 0
        return weight
