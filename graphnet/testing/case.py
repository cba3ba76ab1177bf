"""A case: an operator with inputs that fit it, and what follows from the two."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphnet.debug import kind_of
from ops.operator import Operator, OperatorError, ShapeError, Spec, infer_outputs, known, show

__all__ = ["BrokenPromise", "Case"]


class BrokenPromise(AssertionError):  # noqa: N818 - named for what happened
    """An operator breaks its contract; the text says which promise, and for which inputs.

    Attributes:
        case: the inputs that show it; None where a whole graph breaks it.
        promise: which promise, such as ``"gradient of 'x'"`` or ``"aliasing"``.
        problem: what was found instead.
        reproduce: a line that finds it again, None where nobody knows one.
    """

    def __init__(self, case: Case | None, promise: str, problem: str) -> None:
        super().__init__(problem)
        self.case = case
        self.promise = promise
        self.problem = problem
        self.reproduce: str | None = None

    def __str__(self) -> str:
        where = "" if self.case is None else f"{self.case}: "
        lines = [f"{where}{self.problem}", f"  promise:   {self.promise}"]
        if self.reproduce:
            lines.append(f"  reproduce: {self.reproduce}")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class Case:
    """An operator and float64, integer or boolean inputs that fit it, None where one is absent.

    Attributes:
        seed: of the random directions that checks need.
        kernel: computes in the operator's place; the operator itself when None.
    """

    operator: Operator
    inputs: tuple[np.ndarray | None, ...]
    seed: int = 0
    kernel: Any = None

    @property
    def specs(self) -> tuple[Spec | None, ...]:
        """The specs of the inputs."""
        return tuple(None if x is None else Spec(x.shape, x.dtype.name) for x in self.inputs)

    @property
    def inferred(self) -> tuple[Spec, ...]:
        """The specs of the outputs."""
        try:
            return infer_outputs(self.operator, self.specs)
        except ShapeError:
            raise
        except OperatorError as error:
            raise self.broken("structure", str(error)) from error
        except (Exception, SystemExit) as error:
            raise self.broken("infer", f"infer raises {_raised(error)}") from error

    @property
    def states(self) -> tuple[str, ...]:
        """The names of the inputs that the last outputs renew; neither carries a gradient."""
        cls = type(self.operator)
        if cls.states is Operator.states:
            return ()
        return tuple(self.operator.states(*self.specs[: len(cls.signature().data)]))

    @property
    def carries(self) -> tuple[bool, ...]:
        """Which outputs can carry a gradient: the floating ones that renew no state."""
        specs = self.inferred
        visible = len(specs) - len(self.states)
        return tuple(spec.is_floating and i < visible for i, spec in enumerate(specs))

    @property
    def needs(self) -> tuple[bool, ...]:
        """Which inputs can have a gradient: the floating ones that are no state.

        None can where no output carries one.
        """
        states = self.states
        reachable = any(self.carries)
        return tuple(
            reachable and x is not None and x.dtype.kind == "f" and role not in states
            for role, x in zip(self.roles, self.inputs, strict=True)
        )

    @property
    def differentiable(self) -> bool:
        """Whether any input can have a gradient."""
        return any(self.needs)

    @property
    def roles(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return type(self.operator).signature().inputs(len(self.inputs))

    def forward(self, inputs: Sequence[Any] | None = None) -> tuple[list[Any], Any]:
        """The outputs as a list, and what was saved.

        Raises:
            BrokenPromise: ``forward`` raises, or returns something other than output and saved.
        """
        try:
            result = (self.kernel or self.operator).forward(
                *(self.inputs if inputs is None else inputs)
            )
        except (Exception, SystemExit) as error:
            raise self.broken("forward", f"forward raises {_raised(error)}") from error
        if not (isinstance(result, tuple) and len(result) == 2):
            raise self.broken(
                "structure",
                f"forward must return a tuple (output, saved), received {kind_of(result)}",
            )
        outputs, saved = result
        if not isinstance(saved, tuple):
            raise self.broken(
                "structure",
                f"saved, the second result of forward, must be a tuple, received {kind_of(saved)}: "
                f"return y, (x,) for one array and y, () for none",
            )
        found = list(outputs) if isinstance(outputs, tuple) else [outputs]
        for index, y in enumerate(found):
            if not (hasattr(y, "shape") and hasattr(y, "dtype")):
                raise self.broken(
                    "structure",
                    f"output {index} of forward must be an array, received {kind_of(y)}",
                )
        return found, saved

    def backward(
        self, saved: Any, douts: Sequence[Any], needs: tuple[bool, ...] | None = None
    ) -> tuple[Any, ...]:
        """The gradients, one per input; ``needs`` is that of the case when None.

        Raises:
            BrokenPromise: ``backward`` raises, or returns something other than a tuple with one
                gradient per input.
        """
        dy = tuple(douts) if len(douts) > 1 else douts[0]
        needs = self.needs if needs is None else needs
        try:
            results = (self.kernel or self.operator).backward(saved, dy, needs)
        except (Exception, SystemExit) as error:
            absent = [i for i, d in enumerate(douts) if d is None]
            hint = f"; dy is None for the outputs {absent}, which carry no gradient"
            raise self.broken(
                "backward", f"backward raises {_raised(error)}{hint if absent else ''}"
            ) from error
        if not isinstance(results, tuple):
            raise self.broken(
                "structure",
                f"backward must return a tuple with one gradient per input, received "
                f"{kind_of(results)}: return (dx,) for one input",
            )
        if len(results) != len(self.inputs):
            raise self.broken(
                "structure",
                f"backward must return one gradient for each of the {len(self.inputs)} inputs "
                f"{self.roles}, received {len(results)}",
            )
        return results

    def directions(self) -> tuple[list[np.ndarray], list[Any]]:
        """Random ``u`` like the inputs, and ``v`` like the outputs, None where no gradient is."""
        rng = np.random.default_rng([self.seed, 1])
        u = [rng.normal(size=() if x is None else x.shape) for x in self.inputs]
        v: list[Any] = [
            rng.normal(size=known(*spec.shape)).astype(spec.dtype) if carries else None
            for spec, carries in zip(self.inferred, self.carries, strict=True)
        ]
        return u, v

    def cast(self, dtype: str) -> Case:
        """The same case with floating inputs of another dtype."""
        inputs = tuple(
            x.astype(dtype) if x is not None and x.dtype.kind == "f" else x for x in self.inputs
        )
        return Case(self.operator, inputs, self.seed, self.kernel)

    def broken(self, promise: str, problem: str) -> BrokenPromise:
        """The error that says what is wrong with this case."""
        return BrokenPromise(self, promise, problem)

    def __repr__(self) -> str:
        inputs = ", ".join(
            f"{role} {show(spec)}"
            for role, spec in zip(self.roles, self.specs, strict=True)
            if spec is not None
        )
        return f"{self.operator!r} with {inputs}"


def _raised(error: BaseException) -> str:
    """An error of an operator, with the line of the operator's file at which it arose."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename][-1]
    hint = ""
    if isinstance(error, IndexError):
        hint = "; where an integer input is an index, domains() says which values it may hold"
    if isinstance(error, RuntimeWarning):
        hint = "; low= and high= give the range in which the operator is defined"
    return f"{type(error).__name__}: {error} ({Path(own.filename).name}:{own.lineno}){hint}"
