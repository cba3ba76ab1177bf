"""Linear attention: a matrix of memory that keys write to and queries read, step by step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.fields import POSITIVE, expect_choice, freeze_counts, freeze_numbers
from ops.operator import (
    Operator,
    ShapeError,
    Spec,
    expect_floating,
    expect_rank,
    expect_spec,
    known,
    show,
)

__all__ = ["LinearAttention"]


@dataclass(frozen=True)
class LinearAttention(Operator):
    """Attention whose cost grows with the length, through a memory S of each head.

    Each step t writes the value ``v`` under the key ``k``, and reads with the query ``q``::

        S = exp(decay) * S                     if the rule is gated
        r = v - S^T k                          if it has the delta, else r = v
        S = S + rate * k r^T                   with a rate of 1 unless it has the delta
        y = scale * S^T q

    The states of all steps are computed again for the way back, and none is kept.

    Shapes:
        - query: ``(N, T, heads * d)``, y: ``(N, T, heads * e)``
        - key: ``(N, T, key_value_heads * d)``, value: ``(N, T, key_value_heads * e)``
        - state, next state: ``(N, key_value_heads, d, e)``; zeros ahead of the first step if
          left out
        - decay, of a gated rule: ``(N, T, key_value_heads * d)``, or ``(N, T, key_value_heads)``
          for all features of a head alike
        - rate, of a rule with the delta: ``(N, T, key_value_heads)``, or ``(N, T, 1)``

    Args:
        heads: the number of heads of the queries; default 1.
        key_value_heads: how many heads keys and values have, and memories there are; each serves
            ``heads / key_value_heads`` heads of the queries that lie side by side.  As many as
            the queries when None.
        rule: ``"linear"``, ``"gated"``, ``"delta"`` or ``"gated_delta"``; default ``"linear"``.
        scale: the factor of what is read, above 0; ``1 / sqrt(d)`` when None.

    Raises:
        TypeError, ValueError: a count of heads is no positive integer or does not divide the
            other, the rule unknown, or the scale no positive number.
        ShapeError: inputs do not have their axes, have no step, or do not fit each other or the
            rule.

    Source: Katharopoulos et al., "Transformers are RNNs", 2020; Yang, Kautz, Hatamizadeh, "Gated
    Delta Networks", 2024; ONNX ``LinearAttention``.

    >>> import graphnet as gn
    >>> x = gn.Input("x", ("N", 16, 64))
    >>> y, state = LinearAttention(heads=8)(x, x, x)
    >>> y.shape, state.shape
    ((N, 16, 64), (N, 8, 8, 8))
    """

    heads: int = 1
    key_value_heads: int | None = None
    rule: str = "linear"
    scale: float | None = None

    def __post_init__(self) -> None:
        freeze_counts(self, "heads")
        if self.key_value_heads is not None:
            freeze_counts(self, "key_value_heads")
            if self.heads % self.key_value_heads:
                raise ValueError(
                    f"LinearAttention: expected key_value_heads that divide the {self.heads} "
                    f"heads, received {self.key_value_heads}"
                )
        expect_choice(self, "rule", ("linear", "gated", "delta", "gated_delta"))
        if self.scale is not None:
            freeze_numbers(self, POSITIVE, "scale")

    def infer(
        self,
        query: Spec,
        key: Spec,
        value: Spec,
        state: Spec | None = None,
        decay: Spec | None = None,
        rate: Spec | None = None,
    ) -> tuple[Spec, Spec]:
        groups = self._groups
        sizes = []
        for name, spec, heads in (
            ("query", query, self.heads),
            ("key", key, groups),
            ("value", value, groups),
        ):
            expect_rank(f"a {name}", spec, 3)
            expect_floating(f"a {name}", spec)
            (features,) = known(spec.shape[2])
            if features == 0 or features % heads:
                raise ShapeError(
                    f"expected a {name} whose features divide into {heads} heads, "
                    f"received {show(spec)}"
                )
            if spec.shape[:2] != query.shape[:2] or spec.dtype != query.dtype:
                raise ShapeError(
                    f"expected inputs of one dtype, with as many examples and steps, "
                    f"received {show(query)} and {show(spec)}"
                )
            sizes.append(features // heads)
        if query.shape[1] == 0:
            raise ShapeError(f"expected at least one step, received {show(query)}")
        if sizes[0] != sizes[1]:
            raise ShapeError(
                f"expected keys and queries with as many features in a head, "
                f"received {show(query)} and {show(key)}"
            )
        memory = query.with_shape((query.shape[0], groups, *sizes[1:]))
        if state is not None:
            expect_spec("a state", state, memory.shape, query.dtype)
        self._expect_gate("decay", decay, "gated", query, (groups * sizes[1], groups))
        self._expect_gate("rate", rate, "delta", query, (groups, 1))
        return query.with_shape((*query.shape[:2], self.heads * sizes[2])), memory

    def forward(
        self,
        query: Array,
        key: Array,
        value: Array,
        state: Array | None = None,
        decay: Array | None = None,
        rate: Array | None = None,
    ) -> tuple[tuple[Array, Array], tuple[Any, ...]]:
        saved = (query, key, value, state, decay, rate)
        steps = self._steps(*saved)
        y, last = [], self._start(key, value, state)
        for q, k, v, a, b in steps:
            last, _, _ = _write(last, k, v, a, b)
            y.append(self._scale(key) * (q @ last))  # (N, groups, shared, e)
        return (self._join(y), last), saved

    def backward(
        self, saved: tuple[Any, ...], dy: tuple[Array | None, ...], needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        query, key, value, state, decay, rate = saved
        xp = namespace(query)
        scale = self._scale(key)
        steps = self._steps(*saved)
        states = [self._start(key, value, state)]
        for _, k, v, a, b in steps:
            states.append(_write(states[-1], k, v, a, b)[0])
        dlast = xp.zeros_like(states[-1]) if dy[1] is None else dy[1].copy()
        found: list[tuple[Array, ...]] = []
        for t in range(len(steps) - 1, -1, -1):
            q, k, v, a, b = steps[t]
            dq = xp.zeros_like(q)
            if dy[0] is not None:
                read = scale * self._split(dy[0][:, t], self.heads)  # (N, groups, shared, e)
                dq = read @ states[t + 1].swapaxes(2, 3)
                dlast = dlast + q.swapaxes(2, 3) @ read
            _, kept, rest = _write(states[t], k, v, a, b)
            met = dlast @ rest[..., None]  # (N, groups, d, 1), by the key
            drest = (dlast.swapaxes(2, 3) @ k[..., None])[..., 0]  # (N, groups, e)
            dk, drate = met[..., 0], None
            if b is not None:
                drate = (k * dk).sum(axis=2, keepdims=True)
                dk, drest = dk * b, drest * b
                dk = dk - (kept @ drest[..., None])[..., 0]
                dlast = dlast - k[..., None] * drest[:, :, None]
            ddecay = None
            if a is not None:
                ddecay = (dlast * kept).sum(axis=3)
                dlast = dlast * xp.exp(a)[..., None]
            found.append((dq, dk, drest, ddecay, drate))
        found.reverse()
        parts = [
            self._join([step[i] for step in found]) if needs[at] else None
            for i, at in enumerate((0, 1, 2, 4, 5))
        ]
        if parts[3] is not None and decay.shape[2] == self._groups:
            features = key.shape[2] // self._groups
            parts[3] = parts[3].reshape((*decay.shape, features)).sum(axis=3)
        if parts[4] is not None and rate.shape[2] == 1:
            parts[4] = parts[4].sum(axis=2, keepdims=True)
        return *parts[:3], dlast if needs[3] else None, *parts[3:]

    def flops(self, query: Spec, key: Spec, value: Spec, *others: Spec | None) -> int:
        batch, positions, features, outputs = known(*key.shape, value.shape[2])
        memory = features * outputs // self._groups
        # writing to each memory, and reading by each query; the delta reads as well
        work = 2 + ("delta" in self.rule) * 2 + ("gated" in self.rule)
        return batch * positions * memory * (work + 2 * self.heads // self._groups)

    def _expect_gate(
        self, name: str, gate: Spec | None, rule: str, query: Spec, widths: tuple[int, int]
    ) -> None:
        """Refuse what does not fit the rule, or has other than one of two numbers of features."""
        if (gate is None) == (rule in self.rule):
            raise ShapeError(
                f"expected {'a' if rule in self.rule else 'no'} {name}, as the rule "
                f"{self.rule!r} says, received {'none' if gate is None else show(gate)}"
            )
        allowed = [query.with_shape((*query.shape[:2], width)) for width in widths]
        if gate is not None and gate not in allowed:
            raise ShapeError(
                f"expected a {name} of {widths[0]} or {widths[1]} features for each step of "
                f"{show(query)}, received {show(gate)}"
            )

    @property
    def _groups(self) -> int:
        return self.key_value_heads or self.heads

    def _scale(self, key: Array) -> float:
        return self.scale or 1 / math.sqrt(key.shape[2] // self._groups)

    def _start(self, key: Array, value: Array, state: Array | None) -> Array:
        if state is not None:
            return state.copy()
        groups = self._groups
        shape = (len(key), groups, key.shape[2] // groups, value.shape[2] // groups)
        return namespace(key).zeros(shape, dtype=key.dtype)

    def _steps(
        self,
        query: Array,
        key: Array,
        value: Array,
        state: Array | None,
        decay: Array | None,
        rate: Array | None,
    ) -> list[tuple[Array, ...]]:
        """For each step the query ``(N, groups, shared, d)``, and the rest ``(N, groups, ...)``."""
        groups = self._groups
        steps = []
        for t in range(query.shape[1]):
            rest = [
                None if x is None else x[:, t].reshape((len(x), heads, x.shape[2] // heads))
                for x, heads in ((key, groups), (value, groups), (decay, groups))
            ]
            # one for each head, or one for all
            rest.append(None if rate is None else rate[:, t, :, None])
            steps.append((self._split(query[:, t], self.heads), *rest))
        return steps

    def _split(self, x: Array, heads: int) -> Array:
        """``(N, heads * d) -> (N, groups, heads / groups, d)``."""
        return x.reshape((len(x), self._groups, heads // self._groups, x.shape[1] // heads))

    def _join(self, steps: list[Array]) -> Array:
        """A list of ``(N, ...)`` as ``(N, T, features)``."""
        joined = namespace(steps[0]).stack(steps, axis=1)
        return joined.reshape((*joined.shape[:2], math.prod(joined.shape[2:])))


def _write(
    state: Array, key: Array, value: Array, decay: Array | None, rate: Array | None
) -> tuple[Array, Array, Array]:
    """The memory after a step, what it kept of the one before, and what was written."""
    xp = namespace(state)
    kept = state if decay is None else xp.exp(decay)[..., None] * state
    if rate is None:
        return kept + key[..., None] * value[:, :, None], kept, value
    rest = value - (kept.swapaxes(2, 3) @ key[..., None])[..., 0]
    return kept + (rate * key)[..., None] * rest[:, :, None], kept, rest
