"""What recurrent networks share: directions, parameters, and the products over all steps.

Only the product with the last hidden state has to wait for the step before.  All others run
over all steps at once: the input is projected ahead of the loop, and the reverse pass forms
the gradients of the weights after it.  Inside, arrays lie steps first, ``(T, N, D, ...)``
with ``D`` directions, so that one step is one block of memory.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal

from ops.arrays import Array, namespace
from ops.fields import expect_choice, freeze_counts, freeze_flags
from ops.initializers import Constant, Uniform
from ops.operator import (
    Operator,
    Parameter,
    ShapeError,
    Spec,
    expect_floating,
    expect_rank,
    expect_spec,
    known,
    show,
)

__all__ = [
    "Recurrent",
    "bias_gradient",
    "hidden_gradient",
    "input_gradients",
    "join_directions",
    "project",
    "split_directions",
    "start",
]

_Gradient = Array | None


@dataclass(frozen=True)
class Recurrent(Operator):
    """A network that reads a sequence step by step, and its own last hidden state with it.

    ``gates`` counts the vectors of ``units`` numbers that a step computes.
    """

    units: int
    _: KW_ONLY
    direction: Literal["forward", "reverse", "bidirectional"] = "forward"
    bias: bool = True

    gates: ClassVar[int]

    def __post_init__(self) -> None:
        freeze_counts(self, "units")
        freeze_flags(self, "bias")
        expect_choice(self, "direction", ("forward", "reverse", "bidirectional"))

    @property
    def directions(self) -> int:
        """The size of the axis ``D``: how many networks read the sequence, each its own way."""
        return 2 if self.direction == "bidirectional" else 1

    def passes(self, steps: int) -> tuple[range, ...]:
        """The order in which each direction reads the steps.

        >>> from ops.lstm import LSTM
        >>> LSTM(1, direction="bidirectional").passes(3)
        (range(0, 3), range(2, -1, -1))
        """
        ahead, back = range(steps), range(steps - 1, -1, -1)
        return {"forward": (ahead,), "reverse": (back,), "bidirectional": (ahead, back)}[
            self.direction
        ]

    def parameters(self, x: Spec) -> dict[str, Parameter]:
        weight_shapes, bias_shape = self._learned_shapes(x)
        spread = Uniform(1 / math.sqrt(self.units))
        learned = {name: Parameter(shape, spread, x.dtype) for name, shape in weight_shapes.items()}
        for name in ("input_bias", "hidden_bias") if self.bias else ():
            learned[name] = Parameter(bias_shape, Constant(0.0), x.dtype, decay=False)
        return learned

    def expect_weights(
        self,
        x: Spec,
        input_weight: Spec,
        hidden_weight: Spec,
        input_bias: Spec | None,
        hidden_bias: Spec | None,
    ) -> None:
        """Refuse an input without steps, and weights and biases that do not fit it.

        Raises:
            ShapeError: one of these.
        """
        weight_shapes, bias_shape = self._learned_shapes(x)
        expect_spec("input_weight", input_weight, weight_shapes["input_weight"], x.dtype)
        expect_spec("hidden_weight", hidden_weight, weight_shapes["hidden_weight"], x.dtype)
        for name, bias in (("input_bias", input_bias), ("hidden_bias", hidden_bias)):
            if self.bias != (bias is not None):
                raise ShapeError(
                    f"expected {'' if self.bias else 'no '}{name}, as bias={self.bias} says, "
                    f"received {'none' if bias is None else show(bias)}"
                )
            if bias is not None:
                expect_spec(name, bias, bias_shape, x.dtype)

    def expect_state(self, name: str, state: Spec | None, x: Spec) -> None:
        """Refuse an initial state that does not fit the input.

        Raises:
            ShapeError: its shape or dtype is another.
        """
        if state is not None:
            expect_spec(name, state, self.state(x).shape, x.dtype)

    def state(self, x: Spec) -> Spec:
        """A state of each example ahead of a step or after it: ``(D, N, units)``."""
        return x.with_shape((self.directions, x.shape[0], self.units))

    def sequence(self, x: Spec) -> Spec:
        """The hidden states of all steps, directions side by side: ``(N, T, D * units)``."""
        return x.with_shape((*x.shape[:2], self.directions * self.units))

    def before(self, states: Array, initial: Array | None) -> Array:
        """The state ahead of each step ``(T, N, D, units)``, from those after each step."""
        shifted = namespace(states).empty(states.shape, dtype=states.dtype)
        for d, times in enumerate(self.passes(len(states))):
            shifted[times[0], :, d] = 0.0 if initial is None else initial[d]
            if times.step > 0:
                shifted[1:, :, d] = states[:-1, :, d]
            else:
                shifted[:-1, :, d] = states[1:, :, d]
        return shifted

    def _learned_shapes(self, x: Spec) -> tuple[dict[str, tuple[int, ...]], tuple[int, ...]]:
        """The shapes of the weights by name, and that of both biases."""
        expect_rank("an input", x, 3)
        expect_floating("an input", x)
        steps, features = known(*x.shape[1:])
        if steps == 0:
            raise ShapeError(f"expected at least one time step, received {show(x)}")
        rows = (self.directions, self.gates * self.units)
        return {"input_weight": (*rows, features), "hidden_weight": (*rows, self.units)}, rows


def project(x: Array, weight: Array, bias: Array | None, gates: int) -> Array:
    """The input's part in the gates of all steps, ``(T, N, D, gates, units)``."""
    examples, steps, features = x.shape
    directions, width, _ = weight.shape
    projected = _rows(x) @ weight.reshape(directions * width, features).T
    if bias is not None:
        projected += bias.reshape(directions * width)
    return projected.reshape(steps, examples, directions, gates, width // gates)


def input_gradients(
    x: Array, weight: Array, dgates: Array, needs: tuple[bool, ...]
) -> tuple[_Gradient, _Gradient]:
    """What :func:`project` hands back to ``x`` and ``weight``, where ``needs`` says so."""
    examples, steps, features = x.shape
    directions, width, _ = weight.shape
    rows = dgates.reshape(steps * examples, directions * width)
    dx = dweight = None
    if needs[0]:
        dx = rows @ weight.reshape(directions * width, features)
        dx = dx.reshape(steps, examples, features).swapaxes(0, 1)  # (T, N, F) -> (N, T, F)
    if needs[1]:
        dweight = (rows.T @ _rows(x)).reshape(weight.shape)
    return dx, dweight


def hidden_gradient(dgates: Array, before: Array) -> Array:
    """The gradient ``(D, gates * units, units)`` of a weight that met ``before`` each step."""
    steps, examples, directions, gates, units = dgates.shape
    rows = dgates.reshape(steps * examples, directions, gates * units)
    met = before.reshape(steps * examples, directions, units)
    # (D, gates * units, T * N) times (D, T * N, units)
    return rows.transpose(1, 2, 0) @ met.swapaxes(0, 1)


def bias_gradient(dgates: Array) -> Array:
    """The gradient ``(D, gates * units)`` of a bias that was added to the gates each step."""
    directions, gates, units = dgates.shape[2:]
    return dgates.sum(axis=(0, 1)).reshape(directions, gates * units)


def start(given: Array | None, states: Array) -> Array:
    """A copy of ``given``, or zeros: the ``(D, N, units)`` from which a loop over steps starts."""
    if given is not None:
        return given.copy()
    _, examples, directions, units = states.shape
    return namespace(states).zeros((directions, examples, units), dtype=states.dtype)


def join_directions(states: Array) -> Array:
    """``(T, N, D, units)`` as a batch of sequences ``(N, T, D * units)``."""
    steps, examples, directions, units = states.shape
    return states.reshape(steps, examples, directions * units).swapaxes(0, 1)


def split_directions(sequences: Array, directions: int) -> Array:
    """The inverse of :func:`join_directions`."""
    examples, steps, width = sequences.shape
    split = sequences.reshape(examples, steps, directions, width // directions)
    return split.swapaxes(0, 1)  # (N, T, D, units) -> (T, N, D, units)


def _rows(x: Array) -> Array:
    """A batch of sequences ``(N, T, features)`` as one row a step and example, steps first."""
    examples, steps, features = x.shape
    return x.swapaxes(0, 1).reshape(steps * examples, features)
