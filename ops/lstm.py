"""Long short-term memory: a recurrent network whose cells keep what gates let in."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from ops.arrays import Array, namespace
from ops.fields import freeze_flags
from ops.initializers import Uniform
from ops.operator import Parameter, ShapeError, Spec, expect_spec, known, show
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
from ops.special import sigmoid

__all__ = ["LSTM"]

_Saved = tuple[Any, ...]
_Gradients = tuple[Array | None, ...]


@dataclass(frozen=True)
class LSTM(Recurrent):
    """Long short-term memory over sequences, batch first.

    Each step computes four gates from the input ``x_t`` and the last hidden state ``h``, each
    with its rows of the weights: input ``i``, forget ``f``, candidate ``g``, output ``o``::

        z = input_weight x_t + input_bias + hidden_weight h + hidden_bias
        i, f, o = sigmoid(z_i), sigmoid(z_f), sigmoid(z_o);  g = tanh(z_g)
        c = f * c + i * g
        h = o * tanh(c)

    With ``peepholes`` the gates see the cell too: ``z_i`` and ``z_f`` get ``peephole * c`` of the
    cell ahead of the step, ``z_o`` of the one after it.

    Shapes:
        - D: the number of directions, 2 if bidirectional, else 1
        - x: ``(N, T, features)`` with at least one step
        - input_weight: ``(D, 4 * units, features)``, hidden_weight: ``(D, 4 * units, units)``,
          input_bias, hidden_bias: ``(D, 4 * units)``
        - initial_hidden, initial_cell: ``(D, N, units)``; zeros if left out
        - peephole: ``(D, 3 * units)``, of the gates ``i, f, o``; with ``peepholes`` alone
        - y: ``(N, T, D * units)``, the hidden state after each step, directions side by side
        - hidden, cell: ``(D, N, units)``, the states after the last step that each direction reads

    The rows of the weights hold the gates in PyTorch's order ``i, f, g, o``, so one direction
    of its weights loads by shape.  ONNX has ``i, o, f, c`` with ``c`` for ``g``, and lays the
    two biases end to end.

    Args:
        units: the number of cells, and so of entries of the hidden state.
        direction: ``"forward"`` reads steps as they come, ``"reverse"`` from the last to the
            first, ``"bidirectional"`` both, with weights of their own; default ``"forward"``.
        bias: whether learned constants are added to the gates; default True.
        peepholes: whether the gates see the cell; default False.

    Raises:
        TypeError, ValueError: ``units`` is no positive integer, ``direction`` unknown, or
            ``bias`` or ``peepholes`` no flag.
        ShapeError: the input has another rank or no step, or the others do not fit it.

    Source: Hochreiter, Schmidhuber, "Long Short-Term Memory", 1997; the forget gate: Gers,
    Schmidhuber, Cummins, "Learning to Forget", 2000; peepholes: Gers, Schmidhuber, "Recurrent
    Nets that Time and Count", 2000.

    >>> import graphnet as gn
    >>> y, hidden, cell = LSTM(8, direction="bidirectional")(gn.Input("x", ("N", 20, 5)))
    >>> y.shape, hidden.shape, cell.shape
    ((N, 20, 16), (2, N, 8), (2, N, 8))
    """

    _: KW_ONLY
    peepholes: bool = False

    gates: ClassVar[int] = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze_flags(self, "peepholes")

    def parameters(self, x: Spec) -> dict[str, Parameter]:
        learned = super().parameters(x)
        if self.peepholes:
            spread = Uniform(1 / math.sqrt(self.units))
            learned["peephole"] = Parameter(self._peephole_shape(), spread, x.dtype)
        return learned

    def infer(
        self,
        x: Spec,
        input_weight: Spec,
        hidden_weight: Spec,
        input_bias: Spec | None = None,
        hidden_bias: Spec | None = None,
        initial_hidden: Spec | None = None,
        initial_cell: Spec | None = None,
        peephole: Spec | None = None,
    ) -> tuple[Spec, Spec, Spec]:
        self.expect_weights(x, input_weight, hidden_weight, input_bias, hidden_bias)
        self.expect_state("initial_hidden", initial_hidden, x)
        self.expect_state("initial_cell", initial_cell, x)
        if self.peepholes != (peephole is not None):
            raise ShapeError(
                f"expected {'a' if self.peepholes else 'no'} peephole, as peepholes="
                f"{self.peepholes} says, received {'none' if peephole is None else show(peephole)}"
            )
        if peephole is not None:
            expect_spec("a peephole", peephole, self._peephole_shape(), x.dtype)
        return self.sequence(x), self.state(x), self.state(x)

    def forward(
        self,
        x: Array,
        input_weight: Array,
        hidden_weight: Array,
        input_bias: Array | None = None,
        hidden_bias: Array | None = None,
        initial_hidden: Array | None = None,
        initial_cell: Array | None = None,
        peephole: Array | None = None,
    ) -> tuple[tuple[Array, Array, Array], _Saved]:
        xp = namespace(x)
        bias = None if input_bias is None else input_bias + hidden_bias
        gates = project(x, input_weight, bias, self.gates)
        steps, examples, directions, _, units = gates.shape
        y = xp.empty((steps, examples, directions, units), dtype=x.dtype)
        cells = xp.empty(y.shape, dtype=y.dtype)
        hidden, cell = start(initial_hidden, y), start(initial_cell, y)
        for d, times in enumerate(self.passes(steps)):
            h, c = hidden[d], cell[d]
            recurrent = hidden_weight[d].T
            seen = None if peephole is None else peephole[d].reshape(3, units)
            for t in times:
                step = gates[t, :, d]  # (N, 4, units)
                step += (h @ recurrent).reshape(step.shape)
                if seen is not None:
                    step[:, :2] += c[:, None] * seen[:2]
                candidate, last = xp.tanh(step[:, 2]), step[:, 3].copy()
                step[...] = sigmoid(step)  # one call for all gates is quicker than two for three
                step[:, 2] = candidate
                c = step[:, 1] * c
                c += step[:, 0] * candidate
                if seen is not None:
                    step[:, 3] = sigmoid(last + c * seen[2])
                h = step[:, 3] * xp.tanh(c)
                y[t, :, d], cells[t, :, d] = h, c
            hidden[d], cell[d] = h, c
        weights = (input_weight, hidden_weight, peephole)
        saved = (x, *weights, initial_hidden, initial_cell, gates, cells, y)
        return (join_directions(y), hidden, cell), saved

    def backward(self, saved: _Saved, dy: _Gradients, needs: tuple[bool, ...]) -> _Gradients:
        x, input_weight, hidden_weight, peephole, *rest = saved
        initial_hidden, initial_cell, gates, cells, y = rest
        xp = namespace(x)
        i, f, g, o = (gates[:, :, :, k] for k in range(4))  # (T, N, D, units) each
        squashed = xp.tanh(cells)
        # the gradient of each gate ahead of its activation is its slope here times the gradient
        # of the cell, or of the hidden state for the output gate: the loop multiplies that in
        dgates = xp.empty(gates.shape, dtype=gates.dtype)
        dgates[:, :, :, 0] = g * i * (1.0 - i)
        before = self.before(cells, initial_cell)
        dgates[:, :, :, 1] = before * f * (1.0 - f)
        dgates[:, :, :, 2] = i * (1.0 - g) * (1.0 + g)
        dgates[:, :, :, 3] = squashed * o * (1.0 - o)
        through = o * (1.0 - squashed) * (1.0 + squashed)  # from the hidden state to the cell

        dsequence = None if dy[0] is None else split_directions(dy[0], self.directions)
        dhidden, dcell = start(dy[1], y), start(dy[2], y)
        for d, times in enumerate(self.passes(len(y))):
            dh, dc = dhidden[d], dcell[d]  # dc, a view, changes in place throughout
            seen = None if peephole is None else peephole[d].reshape(3, self.units)
            for t in reversed(times):
                if dsequence is not None:
                    dh += dsequence[t, :, d]
                dc += dh * through[t, :, d]
                step = dgates[t, :, d]  # (N, 4, units)
                into_cell, output = step[:, :3], step[:, 3]
                output *= dh
                if seen is not None:
                    dc += output * seen[2]
                into_cell *= dc[:, None]
                dc *= f[t, :, d]
                if seen is not None:
                    dc += (into_cell[:, :2] * seen[:2]).sum(axis=1)
                dh = step.reshape(len(step), 4 * self.units) @ hidden_weight[d]
            dhidden[d] = dh

        dx, dinput_weight = input_gradients(x, input_weight, dgates, needs)
        return (
            dx,
            dinput_weight,
            hidden_gradient(dgates, self.before(y, initial_hidden)) if needs[2] else None,
            bias_gradient(dgates) if needs[3] else None,
            bias_gradient(dgates) if needs[4] else None,
            dhidden if needs[5] else None,
            dcell if needs[6] else None,
            self._peephole_gradient(dgates, before, cells) if needs[7] else None,
        )

    def _peephole_shape(self) -> tuple[int, int]:
        return (self.directions, 3 * self.units)

    def _peephole_gradient(self, dgates: Array, before: Array, cells: Array) -> Array:
        """What the gates hand back to the factors of the cells that they see."""
        met = (dgates[:, :, :, 0] * before, dgates[:, :, :, 1] * before, dgates[:, :, :, 3] * cells)
        # (T, N, D, units) each, over steps and examples
        return namespace(dgates).concatenate([part.sum(axis=(0, 1)) for part in met], axis=1)

    def flops(self, x: Spec, *others: Spec | None) -> int:
        (features,) = known(x.shape[2])
        each = 8 * (features + self.units) + 4 * (1 + self.bias) + 6 * self.peepholes + 15
        return self.sequence(x).elements * each
