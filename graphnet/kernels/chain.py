"""An operator that stands for elementwise operators in a chain, so that one kernel computes all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ops.arrays import Array
from ops.operator import Operator, Spec

__all__ = ["Chain"]


@dataclass(frozen=True)
class Chain(Operator):
    """Elementwise operators one after the other, all inputs of one shape.

    Each takes the result of the one before as its first input; those of two inputs take the
    next of the others as their second.

    Args:
        parts: the operators, the first one first.

    >>> import numpy as np
    >>> from ops import Add, ReLU
    >>> Chain((Add(), ReLU())).forward(np.array([-3.0, 1.0]), np.array([1.0, 1.0]))[0]
    array([0., 2.])
    """

    parts: tuple[Operator, ...]

    @property
    def count(self) -> int:
        """The number of inputs."""
        return 1 + sum(_takes_two(part) for part in self.parts)

    def infer(self, x: Spec, *others: Spec) -> Spec:
        return x

    def forward(self, x: Array, *others: Array) -> tuple[Array, tuple[Any, ...]]:
        left, saved = iter(others), []
        for part in self.parts:
            x, kept = part.forward(x, next(left)) if _takes_two(part) else part.forward(x)
            saved.append(kept)
        return x, tuple(saved)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        gradients: list[Array | None] = []
        for part, kept in zip(reversed(self.parts), reversed(saved), strict=True):
            if _takes_two(part):
                dy, other = part.backward(kept, dy, (True, True))
                gradients.append(other)
            else:
                (dy,) = part.backward(kept, dy, (True,))
        every = (dy, *reversed(gradients))
        return tuple(g if need else None for g, need in zip(every, needs, strict=True))


def _takes_two(operator: Operator) -> bool:
    return len(type(operator).signature().names) == 2
