"""Attention: each query takes a weighted mean of values, by how its key matches theirs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.broadcasting import broadcast_shapes, unbroadcast
from ops.dimension import Size
from ops.fields import POSITIVE, freeze_counts, freeze_flags, freeze_numbers
from ops.operator import (
    Operator,
    ShapeError,
    Spec,
    expect_floating,
    expect_rank,
    known,
    show,
    show_shape,
)

__all__ = ["ScaledDotProductAttention"]

#: A quarter of a difference of scores whose exponential is 0 in any precision.
_FAR_BELOW = -1e4


@dataclass(frozen=True)
class ScaledDotProductAttention(Operator):
    """Softmax over the keys of each query's scaled inner products, applied to the values.

    For each head ``y = softmax(scale * query key^T + mask) value``, where the features of an
    input are those of its heads side by side.  A query none of whose keys may be attended to
    gives zeros and has no gradient.  Results are finite wherever the scores are, the mask
    added.  For the way back the scores are computed again: what is kept is the largest of each
    row and the sum of its exponentials, not the ``L * S`` probabilities.

    Shapes:
        - query: ``(N, L, heads * d)``, key: ``(N, S, heads * d)``
        - value: ``(N, S, heads * e)``, y: ``(N, L, heads * e)``
        - mask, optional: broadcasts to ``(N, heads, L, S)``.  A boolean one says which keys may
            be attended to (True, as in PyTorch); a floating one is added to the scores, and
            its ``-inf`` rules a key out.

    Args:
        heads: the number of heads; default 1.
        causal: whether query ``i`` attends to keys ``j <= i`` only, both counted from the
            front also where ``L`` and ``S`` differ; default False.
        scale: the factor of the inner products, above 0; ``1 / sqrt(d)`` when None.

    Raises:
        TypeError, ValueError: ``heads`` is no positive integer, ``causal`` no flag, or
            ``scale`` no positive number.
        ShapeError: inputs do not have three axes or do not fit each other, features do not
            divide into the heads, or there is no key or feature.

    Source: Vaswani et al., "Attention Is All You Need", 2017; ``causal`` as in ONNX
    ``Attention``.

    >>> import graphnet as gn
    >>> x = gn.Input("x", ("N", 16, 64))
    >>> ScaledDotProductAttention(heads=8, causal=True)(x, x, x).shape
    (N, 16, 64)
    """

    heads: int = 1
    causal: bool = False
    scale: float | None = None

    def __post_init__(self) -> None:
        freeze_counts(self, "heads")
        freeze_flags(self, "causal")
        if self.scale is not None:
            freeze_numbers(self, POSITIVE, "scale")

    def infer(self, query: Spec, key: Spec, value: Spec, mask: Spec | None = None) -> Spec:
        for name, spec in (("query", query), ("key", key), ("value", value)):
            expect_rank(f"a {name}", spec, 3)
            expect_floating(f"a {name}", spec)
            self._expect_heads(name, spec)
        self._expect_equal("keys and queries", "features", query, key, (0, 2))
        self._expect_equal("keys and values", "positions", key, value, (0, 1))
        if key.shape[1] == 0:
            raise ShapeError(f"expected keys to attend to, received {show(key)}")
        if mask is not None:
            scores = (query.shape[0], self.heads, query.shape[1], key.shape[1])
            _expect_mask(mask, scores, query.dtype)
        return query.with_shape((*query.shape[:2], value.shape[2]))

    def forward(
        self, query: Array, key: Array, value: Array, mask: Array | None = None
    ) -> tuple[Array, tuple[Any, ...]]:
        xp = namespace(query)
        scores = self._quarter_scores(query, key, mask)
        highest = scores.max(axis=3, keepdims=True)
        # where no key is left, -inf
        highest = xp.maximum(highest, float(xp.finfo(scores.dtype).min))
        weights = _exponentials(scores, highest)
        # the largest score adds 1, but where no key is left, and the sum is 0
        total = xp.maximum(weights.sum(axis=3, keepdims=True), 1)
        weights /= total
        y = _join(weights @ self._split(value))
        return y, (query, key, value, mask, highest, total)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        query, key, value, mask, highest, total = saved
        weights = _exponentials(self._quarter_scores(query, key, mask), highest)
        weights /= total  # (N, heads, L, S)
        dout = self._split(dy)
        dquery = dkey = dvalue = dmask = None
        if needs[2]:
            dvalue = _join(weights.swapaxes(2, 3) @ dout)
        if needs[0] or needs[1] or needs[3]:
            dscores = dout @ self._split(value).swapaxes(2, 3)
            dscores -= (dscores * weights).sum(axis=3, keepdims=True)
            dscores *= weights
            scale = self._scale(query)
            if needs[0]:
                dquery = _join(dscores @ self._split(key)) * scale
            if needs[1]:
                dkey = _join(dscores.swapaxes(2, 3) @ self._split(query)) * scale
            if needs[3]:
                dmask = unbroadcast(dscores, mask.shape)
        return dquery, dkey, dvalue, dmask

    def flops(self, query: Spec, key: Spec, value: Spec, mask: Spec | None = None) -> int:
        batch, queries, features, keys, outputs = known(*query.shape, key.shape[1], value.shape[2])
        # two matrix products, and about 5 for each entry of the softmax
        return batch * queries * keys * (2 * features + 2 * outputs + 5 * self.heads)

    def _quarter_scores(self, query: Array, key: Array, mask: Array | None) -> Array:
        """A quarter of the scores, -inf where a key is ruled out.

        Quarters, so that neither a sum with the mask nor a difference of two overflows.
        """
        xp = namespace(query)
        quarters = self._split(query * (self._scale(query) / 4))
        scores = quarters @ self._split(key).swapaxes(2, 3)  # (N, heads, L, S)
        if mask is not None and mask.dtype.kind == "b":
            scores = xp.where(mask, scores, -math.inf)
        elif mask is not None:
            scores += mask / 4
        if self.causal:
            visible = xp.tri(*scores.shape[2:], dtype=bool)
            scores = xp.where(visible, scores, -math.inf)
        return scores

    def _scale(self, query: Array) -> float:
        return self.scale or 1 / math.sqrt(query.shape[2] // self.heads)

    def _split(self, x: Array) -> Array:
        """``(N, L, heads * d) -> (N, heads, L, d)``, a view where the memory allows it."""
        batch, positions, features = x.shape
        return x.reshape(batch, positions, self.heads, features // self.heads).swapaxes(1, 2)

    def _expect_heads(self, name: str, spec: Spec) -> None:
        (features,) = known(spec.shape[2])
        if features == 0 or features % self.heads:
            raise ShapeError(
                f"expected a {name} whose features divide into {self.heads} heads, "
                f"received {show(spec)}"
            )

    def _expect_equal(
        self, pair: str, what: str, one: Spec, other: Spec, axes: tuple[int, ...]
    ) -> None:
        if one.dtype != other.dtype or any(one.shape[a] != other.shape[a] for a in axes):
            raise ShapeError(
                f"expected {pair} of one dtype, with as many examples and {what}, "
                f"received {show(one)} and {show(other)}"
            )


def _exponentials(scores: Array, highest: Array) -> Array:
    """``exp(4 * (scores - highest))``, in the array ``scores``, which is given up."""
    xp = namespace(scores)
    scores -= highest
    xp.maximum(scores, _FAR_BELOW, out=scores)
    scores *= 4
    return xp.exp(scores, out=scores)


def _join(x: Array) -> Array:
    """``(N, heads, L, d) -> (N, L, heads * d)``."""
    batch, heads, positions, features = x.shape
    return x.swapaxes(1, 2).reshape(batch, positions, heads * features)


def _expect_mask(mask: Spec, scores: tuple[Size, ...], dtype: str) -> None:
    if mask.dtype not in ("bool", dtype):
        raise ShapeError(f"expected a boolean or {dtype} mask, received {show(mask)}")
    if mask.rank > 4 or broadcast_shapes(mask.shape, scores) != scores:
        raise ShapeError(
            f"expected a mask that broadcasts to {show_shape(scores)}, received {show(mask)}"
        )
