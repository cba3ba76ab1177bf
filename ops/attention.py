"""Attention: each query takes a weighted mean of values, by how its key matches theirs."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.broadcasting import broadcast_shapes, unbroadcast
from ops.dimension import Size
from ops.fields import POSITIVE, freeze_counts, freeze_flags, freeze_numbers, is_integer
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
    input are those of its heads side by side.  With a ``softcap`` c, ``c tanh(s / c)`` stands in
    for each scaled product s.  A query none of whose keys may be attended to gives zeros and
    has no gradient.  Results are finite wherever the scores are, the mask
    added.  For the way back the scores are computed again: what is kept is the largest of each
    row and the sum of its exponentials, not the ``L * S`` probabilities.

    Shapes:
        - query: ``(N, L, heads * d)``, key: ``(N, S, key_value_heads * d)``
        - value: ``(N, S, key_value_heads * e)``, y: ``(N, L, heads * e)``
        - mask, optional: broadcasts to ``(N, heads, L, S)``.  A boolean one says which keys may
            be attended to (True, as in PyTorch); a floating one is added to the scores, and
            its ``-inf`` rules a key out.

    Args:
        heads: the number of heads; default 1.
        causal: whether query ``i`` attends to keys ``j <= past + i`` only; default False.
        scale: the factor of the inner products, above 0; ``1 / sqrt(d)`` when None.
        key_value_heads: how many heads keys and values have; each serves ``heads /
            key_value_heads`` heads of the queries that lie side by side.  As many as the
            queries when None.
        past: how many keys lie ahead of the first query, which is where ``causal`` and ``window``
            count from; default 0.
        window: how many keys before and after its own position, ``past + i``, a query attends
            to; None, the default of both, for no bound.
        softcap: the bound of the scaled products, above 0; None, the default, for none.

    Raises:
        TypeError, ValueError: a count of heads is no positive integer or does not divide the
            other, ``causal`` no flag, ``scale`` or ``softcap`` no positive number, or ``past`` or
            ``window`` no count.
        ShapeError: inputs do not have three axes or do not fit each other, features do not
            divide into the heads, or there is no key or feature.

    Source: Vaswani et al., "Attention Is All You Need", 2017; fewer heads of keys: Ainslie et
    al., "GQA: Training Generalized Multi-Query Transformer Models", 2023; ONNX ``Attention``.

    >>> import graphnet as gn
    >>> x = gn.Input("x", ("N", 16, 64))
    >>> ScaledDotProductAttention(heads=8, causal=True)(x, x, x).shape
    (N, 16, 64)
    """

    heads: int = 1
    causal: bool = False
    scale: float | None = None
    _: KW_ONLY
    key_value_heads: int | None = None
    past: int = 0
    window: tuple[int | None, int | None] = (None, None)
    softcap: float | None = None

    def __post_init__(self) -> None:
        freeze_counts(self, "heads")
        freeze_flags(self, "causal")
        for name in ("scale", "softcap"):
            if getattr(self, name) is not None:
                freeze_numbers(self, POSITIVE, name)
        if self.key_value_heads is not None:
            freeze_counts(self, "key_value_heads")
            if self.heads % self.key_value_heads:
                raise ValueError(
                    f"ScaledDotProductAttention: expected key_value_heads that divide the "
                    f"{self.heads} heads, received {self.key_value_heads}"
                )
        bounds = self.window if isinstance(self.window, (list, tuple)) else ()
        if len(bounds) != 2:
            raise TypeError(
                f"ScaledDotProductAttention: expected a pair (before, after) for window, "
                f"received {self.window!r}"
            )
        object.__setattr__(self, "past", _distance("past", self.past))
        window = tuple(None if n is None else _distance("window", n) for n in bounds)
        object.__setattr__(self, "window", window)

    def infer(self, query: Spec, key: Spec, value: Spec, mask: Spec | None = None) -> Spec:
        groups = self._groups
        sizes = []
        for name, spec, heads in (
            ("query", query, self.heads),
            ("key", key, groups),
            ("value", value, groups),
        ):
            expect_rank(f"a {name}", spec, 3)
            expect_floating(f"a {name}", spec)
            sizes.append(_features(name, spec, heads))
        if sizes[0] != sizes[1] or not _alike(query, key, (0,)):
            raise ShapeError(
                f"expected keys and queries of one dtype, with as many examples and features, "
                f"received {show(query)} and {show(key)}"
            )
        if not _alike(key, value, (0, 1)):
            raise ShapeError(
                f"expected keys and values of one dtype, with as many examples and positions, "
                f"received {show(key)} and {show(value)}"
            )
        if key.shape[1] == 0:
            raise ShapeError(f"expected keys to attend to, received {show(key)}")
        if mask is not None:
            scores = (query.shape[0], self.heads, query.shape[1], key.shape[1])
            _expect_mask(mask, scores, query.dtype)
        return query.with_shape((*query.shape[:2], self.heads * sizes[2]))

    def forward(
        self, query: Array, key: Array, value: Array, mask: Array | None = None
    ) -> tuple[Array, tuple[Any, ...]]:
        xp = namespace(query)
        scores, _ = self._quarter_scores(query, key, mask)
        highest = scores.max(axis=3, keepdims=True)
        # where no key is left, -inf
        highest = xp.maximum(highest, float(xp.finfo(scores.dtype).min))
        weights = _exponentials(scores, highest)
        # the largest score adds 1, but where no key is left, and the sum is 0
        total = xp.maximum(weights.sum(axis=3, keepdims=True), 1)
        weights /= total
        y = _join(self._weighed(weights, value))
        return y, (query, key, value, mask, highest, total)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        query, key, value, mask, highest, total = saved
        scores, slope = self._quarter_scores(query, key, mask)
        weights = _exponentials(scores, highest)
        weights /= total  # (N, heads, L, S)
        dout = _split(dy, self.heads)
        dquery = dkey = dvalue = dmask = None
        if needs[2]:
            dvalue = _join(self._collected(weights, dout))
        if needs[0] or needs[1] or needs[3]:
            dscores = self._products(dout, value)
            dscores -= (dscores * weights).sum(axis=3, keepdims=True)
            dscores *= weights
            if needs[3]:
                dmask = unbroadcast(dscores.copy(), mask.shape)
            if slope is not None:
                dscores *= slope
            scale = self._scale(query)
            if needs[0]:
                dquery = _join(self._weighed(dscores, key)) * scale
            if needs[1]:
                dkey = _join(self._collected(dscores, _split(query, self.heads))) * scale
        return dquery, dkey, dvalue, dmask

    def flops(self, query: Spec, key: Spec, value: Spec, mask: Spec | None = None) -> int:
        batch, queries, features, keys = known(*query.shape, key.shape[1])
        (outputs,) = known(self.infer(query, key, value, mask).shape[2])
        # two matrix products, and about 5 for each entry of the softmax
        return batch * queries * keys * (2 * features + 2 * outputs + 5 * self.heads)

    def _quarter_scores(
        self, query: Array, key: Array, mask: Array | None
    ) -> tuple[Array, Array | None]:
        """A quarter of the scores, -inf where a key is ruled out, and the slope of the soft cap.

        Quarters, so that neither a sum with the mask nor a difference of two overflows.
        """
        xp = namespace(query)
        quarters = _split(query * (self._scale(query) / 4), self.heads)
        scores = self._products(quarters, key)  # (N, heads, L, S)
        slope = None
        if self.softcap is not None:
            # at five times the cap the tangent is 1 in any precision
            share = xp.clip(scores, -5.0 * self.softcap, 5.0 * self.softcap)
            share = xp.tanh(share * (4.0 / self.softcap))
            slope = 1.0 - share * share
            scores = share * (self.softcap / 4.0)
        if mask is not None and mask.dtype.kind == "b":
            scores = xp.where(mask, scores, -math.inf)
        elif mask is not None:
            scores += mask / 4
        visible = self._visible(xp, *scores.shape[2:])
        if visible is not None:
            scores = xp.where(visible, scores, -math.inf)
        return scores, slope

    def _visible(self, xp: Any, queries: int, keys: int) -> Array | None:
        """Which keys each query may attend to by its position, ``(L, S)``; None for all."""
        before, after = self.window
        if self.causal:
            after = 0
        if before is None and after is None:
            return None
        # how far each key lies behind the position of each query
        ahead = xp.arange(keys) - (xp.arange(queries)[:, None] + self.past)
        visible = xp.ones(ahead.shape, dtype="bool")
        if before is not None:
            visible &= ahead >= -before
        if after is not None:
            visible &= ahead <= after
        return visible

    @property
    def _groups(self) -> int:
        """The number of heads of keys and values."""
        return self.key_value_heads or self.heads

    def _scale(self, query: Array) -> float:
        return self.scale or 1 / math.sqrt(query.shape[2] // self.heads)

    def _products(self, rows: Array, key: Array) -> Array:
        """``(N, heads, L, d)`` times the keys ``(N, S, groups * d)``: ``(N, heads, L, S)``."""
        products = self._side_by_side(rows) @ _split(key, self._groups).swapaxes(2, 3)
        return products.reshape(*rows.shape[:3], key.shape[1])

    def _weighed(self, weights: Array, value: Array) -> Array:
        """``(N, heads, L, S)`` times the values ``(N, S, groups * e)``: ``(N, heads, L, e)``."""
        values = _split(value, self._groups)
        sums = self._side_by_side(weights) @ values
        return sums.reshape(*weights.shape[:3], values.shape[3])

    def _collected(self, weights: Array, rows: Array) -> Array:
        """What weights ``(N, heads, L, S)`` hand back of each row: ``(N, groups, S, e)``."""
        return self._side_by_side(weights).swapaxes(2, 3) @ self._side_by_side(rows)

    def _side_by_side(self, x: Array) -> Array:
        """``(N, heads, L, d) -> (N, groups, heads / groups * L, d)``: heads that share a key."""
        batch, heads, positions, features = x.shape
        return x.reshape(batch, self._groups, heads // self._groups * positions, features)


def _split(x: Array, heads: int) -> Array:
    """``(N, L, heads * d) -> (N, heads, L, d)``, a view where the memory allows it."""
    batch, positions, features = x.shape
    return x.reshape(batch, positions, heads, features // heads).swapaxes(1, 2)


def _features(name: str, spec: Spec, heads: int) -> int:
    """The features of each head."""
    (features,) = known(spec.shape[2])
    if features == 0 or features % heads:
        raise ShapeError(
            f"expected a {name} whose features divide into {heads} heads, received {show(spec)}"
        )
    return features // heads


def _alike(one: Spec, other: Spec, axes: tuple[int, ...]) -> bool:
    return one.dtype == other.dtype and all(one.shape[a] == other.shape[a] for a in axes)


def _distance(name: str, value: Any) -> int:
    """A number of keys, at least 0, as a Python integer."""
    if not is_integer(value):
        raise TypeError(
            f"ScaledDotProductAttention: expected an integer for {name}, received {value!r}"
        )
    if value < 0:
        raise ValueError(
            f"ScaledDotProductAttention: expected {name} of at least 0, received {value}"
        )
    return int(value)


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
