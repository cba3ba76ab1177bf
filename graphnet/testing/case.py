"""A case: an operator with inputs that fit it, and what follows from the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ops.operator import Operator, Spec, describe, known, show

__all__ = ["BrokenPromise", "Case"]


class BrokenPromise(AssertionError):  # noqa: N818 - named for what happened
    """An operator breaks its contract; the message says which promise, for which input."""


@dataclass(frozen=True, eq=False)
class Case:
    """An operator and float64 or integer inputs that fit it, None where one is absent.

    Attributes:
        seed: of the random directions that checks need.
    """

    operator: Operator
    inputs: tuple[np.ndarray | None, ...]
    seed: int = 0

    @property
    def specs(self) -> tuple[Spec | None, ...]:
        """The specs of the inputs."""
        return tuple(None if x is None else Spec(x.shape, x.dtype.name) for x in self.inputs)

    @property
    def inferred(self) -> tuple[Spec, ...]:
        """The specs of the outputs."""
        inferred = self.operator.infer(*self.specs)
        return inferred if isinstance(inferred, tuple) else (inferred,)

    @property
    def states(self) -> int:
        """How many of the last outputs renew states; they carry no gradient."""
        cls = type(self.operator)
        if cls.states is Operator.states:
            return 0
        return len(self.operator.states(*self.specs[: len(cls.signature().data)]))

    @property
    def needs(self) -> tuple[bool, ...]:
        """Which inputs can have a gradient: the floating ones that are no state."""
        names = set()
        if self.states:
            data = type(self.operator).signature().data
            names = set(self.operator.states(*self.specs[: len(data)]))
        roles = self.roles
        return tuple(
            x is not None and x.dtype.kind == "f" and role not in names
            for role, x in zip(roles, self.inputs, strict=True)
        )

    @property
    def roles(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return type(self.operator).signature().inputs(len(self.inputs))

    def forward(self, inputs: Sequence[Any] | None = None) -> tuple[list[Any], Any]:
        """The outputs as a list, and what was saved."""
        result = self.operator.forward(*(self.inputs if inputs is None else inputs))
        if not (isinstance(result, tuple) and len(result) == 2):
            raise self.broken(f"forward must return (output, saved), received {type(result)}")
        outputs, saved = result
        return list(outputs) if isinstance(outputs, tuple) else [outputs], saved

    def backward(
        self, saved: Any, douts: Sequence[Any], needs: tuple[bool, ...] | None = None
    ) -> tuple[Any, ...]:
        """The gradients, one per input."""
        several = len(douts) > 1
        needs = self.needs if needs is None else needs
        results = self.operator.backward(saved, tuple(douts) if several else douts[0], needs)
        if not isinstance(results, tuple):
            raise self.broken(f"backward must return a tuple, received {type(results).__name__}")
        if len(results) != len(self.inputs):
            raise self.broken(
                f"backward must return one gradient for each of the {len(self.inputs)} inputs "
                f"{self.roles}, received {len(results)}"
            )
        return results

    def directions(self) -> tuple[list[np.ndarray], list[Any]]:
        """Random ``u`` like the inputs, and ``v`` like the outputs, None for renewed states."""
        rng = np.random.default_rng([self.seed, 1])
        u = [rng.normal(size=() if x is None else x.shape) for x in self.inputs]
        specs = self.inferred
        v: list[Any] = [rng.normal(size=known(*spec.shape)).astype(spec.dtype) for spec in specs]
        for index, spec in enumerate(specs):
            if index >= len(specs) - self.states or not spec.is_floating:
                v[index] = None
        return u, v

    def cast(self, dtype: str) -> Case:
        """The same case with floating inputs of another dtype."""
        inputs = tuple(
            x.astype(dtype) if x is not None and x.dtype.kind == "f" else x for x in self.inputs
        )
        return Case(self.operator, inputs, self.seed)

    def broken(self, problem: str) -> BrokenPromise:
        """The error that says what is wrong with this case."""
        shapes = ", ".join(
            f"{role} {show(spec)}"
            for role, spec in zip(self.roles, self.specs, strict=True)
            if spec is not None
        )
        return BrokenPromise(f"{describe(self.operator)} with {shapes}: {problem}")

    def __repr__(self) -> str:
        shapes = ", ".join("absent" if s is None else show(s) for s in self.specs)
        return f"Case({describe(self.operator)}, {shapes}, seed={self.seed})"
