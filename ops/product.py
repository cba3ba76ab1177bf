"""Products over chosen axes, by a tree of pairs of factors.

A product of many factors leaves the range of floating point numbers on the way long before
its result does, and dividing it by a factor to find the gradient fails where the factor is
0.  In a tree of pairs each node keeps its product as ``mantissa * 2^exponent``, and the
product of all factors outside a node is that outside its parent times its sibling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.operator import Spec, expect_numeric
from ops.reduction import Reduction

__all__ = ["ReduceProd"]


@dataclass(frozen=True)
class ReduceProd(Reduction):
    """Product of the entries; the gradient of each is the product of the others times ``dy``.

    The factors are multiplied in pairs, pairs of pairs and so on, with their powers of two
    kept apart, so that nothing overflows or vanishes unless the result does.  No gradient is
    computed by dividing, and entries of 0 are as good as others.

    Shapes:
        - x: any, of a floating or integer dtype, which stays; a product of integers that it
          cannot hold wraps around
        - y: the shape of x without the reduced axes; they stay with size 1 if ``keepdims``

    Args:
        axis: the reduced axis or axes, negative ones counted from the end; all when None.
            The batch may be among them.
        keepdims: whether a reduced axis stays, with size 1; default False.

    Raises:
        TypeError, ValueError: a field is no integer or empty.
        ShapeError: the input is boolean, or an axis is missing or named twice.

    Source: ONNX ``ReduceProd``.

    >>> import numpy as np
    >>> ReduceProd(axis=1).forward(np.array([[1e200, 1e200, 1e-200], [2.0, 3.0, 0.0]]))[0]
    array([1.e+200, 0.e+000])
    """

    def infer(self, x: Spec) -> Spec:
        expect_numeric("an input", x)
        return self._reduced(x)

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        xp = namespace(x)
        if x.dtype.kind != "f":
            return self._squeezed(x.prod(axis=self.axis, dtype=x.dtype, keepdims=True)), ()
        *_, (mantissa, exponent) = _products(self._rows(x))
        return self._squeezed(self._kept(xp.ldexp(mantissa, exponent), x.shape)), (x,)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (x,) = saved
        if not needs[0]:
            return (None,)
        xp = namespace(x)
        rows = self._rows(x)  # (*kept, entries)
        *below, _ = _products(rows)
        # dy times the product of all factors outside a node of the tree, from the root down
        mantissa, exponent = xp.frexp(dy.reshape(*rows.shape[:-1], 1))
        for factors, powers in reversed(below):
            pairs, pair_powers = _pairs(factors, powers)  # (*kept, nodes, 2)
            mantissa, carry = xp.frexp(mantissa[..., None] * pairs[..., ::-1])
            exponent = exponent[..., None] + pair_powers[..., ::-1] + carry
            flat = (*mantissa.shape[:-2], 2 * mantissa.shape[-2])  # (*kept, 2 * nodes)
            entries = factors.shape[-1]
            mantissa = mantissa.reshape(flat)[..., :entries]
            exponent = exponent.reshape(flat)[..., :entries]
        return (self._from_rows(xp.ldexp(mantissa, exponent), x.shape),)


def _products(rows: Array) -> list[tuple[Array, Array]]:
    """Products ``mantissa * 2^exponent`` of rows of factors: each, of two, of four, ... of all."""
    xp = namespace(rows)
    levels = [xp.frexp(rows)]
    while levels[-1][0].shape[-1] != 1:
        factors, powers = _pairs(*levels[-1])
        mantissa, carry = xp.frexp(factors[..., 0] * factors[..., 1])
        levels.append((mantissa, powers[..., 0] + powers[..., 1] + carry))
    return levels


def _pairs(mantissa: Array, exponent: Array) -> tuple[Array, Array]:
    """Factors two by two, ``(*kept, pairs, 2)``, the last with a factor of 1 where they are odd."""
    xp = namespace(mantissa)
    *kept, entries = mantissa.shape
    pairs = max((entries + 1) // 2, 1)
    missing = (*kept, 2 * pairs - entries)
    mantissa = xp.concatenate([mantissa, xp.ones(missing, dtype=mantissa.dtype)], axis=-1)
    exponent = xp.concatenate([exponent, xp.zeros(missing, dtype=exponent.dtype)], axis=-1)
    return mantissa.reshape(*kept, pairs, 2), exponent.reshape(*kept, pairs, 2)
