"""The plain recurrent network: a new state from the input and the last state, and no gates."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from ops.arrays import Array, namespace
from ops.fields import expect_choice
from ops.operator import Spec, known
from ops.recurrent import (
    Recurrent,
    bias_gradient,
    hidden_gradient,
    input_gradients,
    join_directions,
    project,
    split_directions,
    start,
)

__all__ = ["RNN"]

_Saved = tuple[Any, ...]
_Gradients = tuple[Array | None, ...]


@dataclass(frozen=True)
class RNN(Recurrent):
    """Plain recurrent network over sequences, batch first.

    Each step computes a new hidden state from the input ``x_t`` and the last hidden state h::

        h = tanh(input_weight x_t + input_bias + hidden_weight h + hidden_bias)

    Shapes:
        - D: the number of directions, 2 if bidirectional, else 1
        - x: ``(N, T, features)`` with at least one step
        - input_weight: ``(D, units, features)``, hidden_weight: ``(D, units, units)``,
          input_bias, hidden_bias: ``(D, units)``
        - initial_hidden: ``(D, N, units)``; zeros if left out
        - y: ``(N, T, D * units)``, the hidden state after each step, directions side by side
        - hidden: ``(D, N, units)``, the state after the last step that each direction reads

    One direction of PyTorch's weights loads by shape.  ONNX lays the two biases end to end.

    Args:
        units: the number of entries of the hidden state.
        direction: ``"forward"`` reads steps as they come, ``"reverse"`` from the last to the
            first, ``"bidirectional"`` both, with weights of their own; default ``"forward"``.
        bias: whether learned constants are added; default True.
        activation: ``"tanh"``, the default, or ``"relu"``.

    Raises:
        TypeError, ValueError: ``units`` is no positive integer, ``direction`` or ``activation``
            unknown, or ``bias`` no flag.
        ShapeError: the input has another rank or no step, or the others do not fit it.

    Source: Elman, "Finding Structure in Time", 1990; ONNX ``RNN``.

    >>> import graphnet as gn
    >>> y, hidden = RNN(8)(gn.Input("x", ("N", 20, 5)))
    >>> y.shape, hidden.shape
    ((N, 20, 8), (1, N, 8))
    """

    _: KW_ONLY
    activation: str = "tanh"

    gates: ClassVar[int] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_choice(self, "activation", ("tanh", "relu"))

    def infer(
        self,
        x: Spec,
        input_weight: Spec,
        hidden_weight: Spec,
        input_bias: Spec | None = None,
        hidden_bias: Spec | None = None,
        initial_hidden: Spec | None = None,
    ) -> tuple[Spec, Spec]:
        self.expect_weights(x, input_weight, hidden_weight, input_bias, hidden_bias)
        self.expect_state("initial_hidden", initial_hidden, x)
        return self.sequence(x), self.state(x)

    def forward(
        self,
        x: Array,
        input_weight: Array,
        hidden_weight: Array,
        input_bias: Array | None = None,
        hidden_bias: Array | None = None,
        initial_hidden: Array | None = None,
    ) -> tuple[tuple[Array, Array], _Saved]:
        xp = namespace(x)
        bias = None if input_bias is None else input_bias + hidden_bias
        y = project(x, input_weight, bias, self.gates)[:, :, :, 0]  # (T, N, D, units)
        hidden = start(initial_hidden, y)
        for d, times in enumerate(self.passes(len(y))):
            h, weight = hidden[d], hidden_weight[d].T
            for t in times:
                step = y[t, :, d]
                step += h @ weight
                step[...] = xp.tanh(step) if self.activation == "tanh" else xp.maximum(step, 0)
                h = step
            hidden[d] = h
        return (join_directions(y), hidden), (x, input_weight, hidden_weight, initial_hidden, y)

    def backward(self, saved: _Saved, dy: _Gradients, needs: tuple[bool, ...]) -> _Gradients:
        x, input_weight, hidden_weight, initial_hidden, y = saved
        slopes = (1.0 - y) * (1.0 + y) if self.activation == "tanh" else (y > 0).astype(y.dtype)
        dsequence = None if dy[0] is None else split_directions(dy[0], self.directions)
        dhidden = start(dy[1], y)
        for d, times in enumerate(self.passes(len(y))):
            dh = dhidden[d]
            for t in reversed(times):
                if dsequence is not None:
                    dh += dsequence[t, :, d]
                step = slopes[t, :, d]
                step *= dh
                dh = step @ hidden_weight[d]
            dhidden[d] = dh

        dgates = slopes[:, :, :, None]  # (T, N, D, 1, units)
        dx, dinput_weight = input_gradients(x, input_weight, dgates, needs)
        return (
            dx,
            dinput_weight,
            hidden_gradient(dgates, self.before(y, initial_hidden)) if needs[2] else None,
            bias_gradient(dgates) if needs[3] else None,
            bias_gradient(dgates) if needs[4] else None,
            dhidden if needs[5] else None,
        )

    def flops(self, x: Spec, *others: Spec | None) -> int:
        (features,) = known(x.shape[2])
        return self.sequence(x).elements * (2 * (features + self.units) + self.bias + 2)
