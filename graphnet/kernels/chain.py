"""Operators that stand for elementwise operators in a chain, so that one kernel computes all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ops.activation import GELU, Mish, Sigmoid, SiLU, Softplus, Softsign, Tanh
from ops.arrays import Array, namespace
from ops.elementwise import Add, Divide, Maximum, Minimum, Multiply, Power, Subtract
from ops.hard import Clip, HardSigmoid, HardSwish, Shrink, ThresholdedReLU
from ops.operator import Operator, Spec
from ops.rectifier import CELU, ELU, SELU, LeakyReLU, ReLU
from ops.unary import Abs, Ceil, Erf, Exp, Floor, Log, Neg, Reciprocal, Round, Sign, Sqrt

__all__ = ["ELEMENTWISE", "Chain", "Fixed", "is_elementwise"]

#: The operators that chains on the processor are made of.
ELEMENTWISE: frozenset[type[Operator]] = frozenset((
    Abs, Add, CELU, Ceil, Clip, Divide, ELU, Erf, Exp, Floor, GELU, HardSigmoid, HardSwish,
    LeakyReLU, Log, Maximum, Minimum, Mish, Multiply, Neg, ReLU, Reciprocal, Round, SELU, Shrink,
    SiLU, Sigmoid, Sign, Softplus, Softsign, Sqrt, Subtract, Tanh, ThresholdedReLU,
))  # fmt: skip
#: Of two inputs, those of which one may be fixed.
_BINARY = frozenset((Add, Divide, Maximum, Minimum, Multiply, Subtract))
#: Fixed exponents that products serve.
_EXPONENTS = (2.0, 3.0)


@dataclass(frozen=True)
class Fixed(Operator):
    """An operator on two numbers, one of which is always the same.

    Args:
        operator: of two inputs that broadcast.
        value: the number.
        position: which input it is, 0 or 1.

    >>> import numpy as np
    >>> from ops import Subtract
    >>> Fixed(Subtract(), 1.0, position=0).forward(np.array([0.25, 3.0]))[0]
    array([ 0.75, -2.  ])
    """

    operator: Operator
    value: float
    position: int = 1

    def infer(self, x: Spec) -> Spec:
        return x

    def forward(self, x: Array) -> tuple[Array, tuple[Any, ...]]:
        value = namespace(x).full((), self.value, dtype=x.dtype)
        y, saved = self.operator.forward(*((value, x) if self.position == 0 else (x, value)))
        return y, saved

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        both = (self.position == 1 and needs[0], self.position == 0 and needs[0])
        return (self.operator.backward(saved, dy, both)[1 - self.position],)


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

    def flops(self, x: Spec, *others: Spec) -> int:
        return sum(part.flops(x, x) if _takes_two(part) else part.flops(x) for part in self.parts)


def is_elementwise(operator: Operator) -> bool:
    """Whether chains on the processor serve an operator.

    >>> from ops import Power
    >>> is_elementwise(Fixed(Power(), 2.0)), is_elementwise(Power())
    (True, False)
    """
    if type(operator) is Fixed:
        inner = operator.operator
        if type(inner) is Power:
            return operator.position == 1 and operator.value in _EXPONENTS
        return type(inner) in _BINARY
    return type(operator) in ELEMENTWISE and _is_single(operator)


def _is_single(operator: Operator) -> bool:
    """Whether float32 has all numbers of an operator, other than 0 and not too close to it."""
    numbers = [abs(v) for v in vars(operator).values() if isinstance(v, int | float)]
    least, most = (float(n) for n in (np.finfo("float32").tiny, np.finfo("float32").max))
    return all(n == 0 or least <= n <= most for n in numbers if math.isfinite(n))


def _takes_two(operator: Operator) -> bool:
    return len(type(operator).signature().names) == 2
