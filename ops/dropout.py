"""Dropout: random zeros in training, nothing at inference."""

from __future__ import annotations

from dataclasses import dataclass

from ops.arrays import Array
from ops.elementwise import Identity
from ops.fields import BELOW_ONE, freeze_numbers
from ops.initializers import Constant, RandomKey
from ops.operator import Operator, Spec, State, expect_floating, expect_spec
from ops.random import draws, uniform

__all__ = ["Dropout"]


@dataclass(frozen=True)
class Dropout(Operator):
    """Inverted dropout: each entry becomes 0 with ``probability``, the others grow to match.

    ``y = x * mask / (1 - probability)``, so the expected value of ``y`` is ``x``.  The mask
    comes from a counter-based generator whose key and counter are state: a run can be
    replayed and resumed bit for bit.

    Shapes:
        - x, y: any, equal; key, counter: ``(1,)``, uint64

    Args:
        probability: of dropping an entry, in 0 <= p < 1; default 0.5.

    Raises:
        ValueError: ``probability`` is out of range.
        ShapeError: the input is not floating.

    Source: Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from
    Overfitting", 2014.

    >>> import graphnet as gn
    >>> Dropout(0.2)(gn.Input("x", ("N", 64))).shape
    (N, 64)
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        freeze_numbers(self, BELOW_ONE, "probability")

    def states(self, x: Spec) -> dict[str, State]:
        return {
            "key": State((1,), RandomKey(), "uint64"),
            "counter": State((1,), Constant(0), "uint64"),
        }

    def infer(self, x: Spec, key: Spec, counter: Spec) -> tuple[Spec, Spec, Spec]:
        expect_floating("an input", x)
        expect_spec("a key", key, (1,), "uint64")
        expect_spec("a counter", counter, (1,), "uint64")
        return x, key, counter

    def forward(
        self, x: Array, key: Array, counter: Array
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        kept = (uniform(key, counter, x.size) >= self.probability).reshape(x.shape)
        return (self._scale(x, kept), key.copy(), counter + draws(x.size)), (kept,)

    def backward(
        self, saved: tuple[Array, ...], dy: tuple[Array, ...], needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        (kept,) = saved
        return self._scale(dy[0], kept), None, None

    def for_inference(self) -> Operator:
        return Identity()

    def _scale(self, x: Array, kept: Array) -> Array:
        return x * kept * (1 / (1 - self.probability))
