"""An operator that computes in float32 between narrow arrays, as sums in a network must."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ops.arrays import Array
from ops.operator import Interval, Operator, Spec

__all__ = ["Wide", "inner", "kind"]


@dataclass(frozen=True)
class Wide(Operator):
    """Another operator in float32, of whose inputs some are narrow: they are widened first.

    So a normalization keeps its statistics and what is learned in float32 while the images are
    in float16, and a loss its logarithms.

    Args:
        operator: what is computed.
        dtype: of the narrow inputs, such as ``"float16"``.
        narrows: whether the first output is of that dtype too; else all are float32.

    >>> import numpy as np
    >>> from ops import Softmax
    >>> y, _ = Wide(Softmax(), "float16").forward(np.array([[60000, 0]], "float16"))
    >>> y.dtype.name, y.tolist()
    ('float16', [[1.0, 0.0]])
    """

    operator: Operator
    dtype: str
    narrows: bool = True

    def infer(self, x: Spec, *others: Spec | None) -> Any:
        inferred = self.operator.infer(*map(self._widened, (x, *others)))
        if not self.narrows:
            return inferred
        if isinstance(inferred, tuple):
            return (Spec(inferred[0].shape, self.dtype), *inferred[1:])
        return Spec(inferred.shape, self.dtype)

    def forward(self, x: Array, *others: Array) -> tuple[Any, tuple[Any, ...]]:
        arrays = (x, *others)
        narrow = tuple(a is not None and a.dtype.name == self.dtype for a in arrays)
        given = (a.astype("float32") if n else a for a, n in zip(arrays, narrow, strict=True))
        result, saved = self.operator.forward(*given, *[None] * self._absent(len(arrays)))
        if self.narrows:
            if isinstance(result, tuple):
                result = (result[0].astype(self.dtype), *result[1:])
            else:
                result = result.astype(self.dtype)
        return result, (saved, narrow)

    def backward(
        self, saved: tuple[Any, ...], dy: Any, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        kept, narrow = saved
        if self.narrows:
            if isinstance(dy, tuple):
                dy = (None if dy[0] is None else dy[0].astype("float32"), *dy[1:])
            else:
                dy = dy.astype("float32")
        whole = (*needs, *[False] * self._absent(len(needs)))
        gradients = self.operator.backward(kept, dy, whole)
        return tuple(
            g.astype(self.dtype) if g is not None and n else g
            for g, n in zip(gradients, narrow, strict=False)  # without those that are absent
        )

    def flops(self, x: Spec, *others: Spec | None) -> int:
        return self.operator.flops(*map(self._widened, (x, *others)))

    def domains(self, x: Spec, *others: Spec | None) -> dict[str, Interval]:
        specs = (x, *others)
        found = self.operator.domains(*map(self._widened, specs))
        own = type(self).signature().inputs(len(specs))
        names = type(self.operator).signature().inputs(len(specs))
        return {own[names.index(name)]: interval for name, interval in found.items()}

    def _absent(self, count: int) -> int:
        """How many optional inputs of the operator there are beside ``count`` that are given."""
        return max(0, len(type(self.operator).signature().names) - count)

    def _widened(self, spec: Spec | None) -> Spec | None:
        if spec is None or spec.dtype != self.dtype:
            return spec
        return Spec(spec.shape, "float32")


def kind(operator: Operator) -> str:
    """The name of an operator's class, and for a wide one that of what it computes.

    >>> from ops import Softmax
    >>> kind(Softmax()), kind(Wide(Softmax(), "float16"))
    ('Softmax', 'Softmax in float32')
    """
    name = type(inner(operator)).__name__
    return f"{name} in float32" if isinstance(operator, Wide) else name


def inner(operator: Operator) -> Operator:
    """What a wide operator computes; any other operator itself."""
    return operator.operator if isinstance(operator, Wide) else operator
