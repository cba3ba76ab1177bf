"""Gated recurrent unit: a recurrent network that blends its last state with a new one."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from ops.arrays import Array, namespace
from ops.fields import freeze_flags
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
from ops.special import sigmoid

__all__ = ["GRU"]

_Saved = tuple[Any, ...]
_Gradients = tuple[Array | None, ...]


@dataclass(frozen=True)
class GRU(Recurrent):
    """Gated recurrent unit over sequences, batch first.

    Each step computes two gates and a candidate from the input ``x_t`` and the last hidden
    state ``h``, each with its rows of the weights: reset ``r``, update ``z``, candidate ``n``::

        a = input_weight x_t + input_bias
        r = sigmoid(a_r + hidden_weight_r h + hidden_bias_r)
        z = sigmoid(a_z + hidden_weight_z h + hidden_bias_z)
        n = tanh(a_n + r * (hidden_weight_n h + hidden_bias_n))      reset after the product
        n = tanh(a_n + hidden_weight_n (r * h) + hidden_bias_n)      or ahead of it
        h = (1 - z) * n + z * h

    Shapes:
        - D: the number of directions, 2 if bidirectional, else 1
        - x: ``(N, T, features)`` with at least one step
        - input_weight: ``(D, 3 * units, features)``, hidden_weight: ``(D, 3 * units, units)``,
          input_bias, hidden_bias: ``(D, 3 * units)``
        - initial_hidden: ``(D, N, units)``; zeros if left out
        - y: ``(N, T, D * units)``, the hidden state after each step, directions side by side
        - hidden: ``(D, N, units)``, the state after the last step that each direction reads

    The rows of the weights hold the gates in PyTorch's order ``r, z, n``, so one direction of
    its weights loads by shape.  ONNX has ``z, r, h`` with ``h`` for ``n``, and lays the two
    biases end to end.

    Args:
        units: the number of entries of the hidden state.
        direction: ``"forward"`` reads steps as they come, ``"reverse"`` from the last to the
            first, ``"bidirectional"`` both, with weights of their own; default ``"forward"``.
        bias: whether learned constants are added to gates and candidate; default True.
        reset_after: True, the default, as in PyTorch and cuDNN, resets what the hidden state
            gives to the candidate (ONNX: ``linear_before_reset=1``); False resets the hidden
            state itself, as in the paper and by default in ONNX.

    Raises:
        TypeError, ValueError: ``units`` is no positive integer, ``direction`` unknown, or
            ``bias`` or ``reset_after`` no flag.
        ShapeError: the input has another rank or no step, or the others do not fit it.

    Source: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for
    Statistical Machine Translation", 2014.

    >>> import graphnet as gn
    >>> y, hidden = GRU(8)(gn.Input("x", ("N", 20, 5)))
    >>> y.shape, hidden.shape
    ((N, 20, 8), (1, N, 8))
    """

    _: KW_ONLY
    reset_after: bool = True

    gates: ClassVar[int] = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze_flags(self, "reset_after")

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
        early = input_bias  # the rest of the biases is reset, if after the product
        if input_bias is not None and not self.reset_after:
            early = input_bias + hidden_bias
        gates = project(x, input_weight, early, self.gates)
        steps, examples, directions, _, units = gates.shape
        y = xp.empty((steps, examples, directions, units), dtype=x.dtype)
        hidden = start(initial_hidden, y)
        for d, times in enumerate(self.passes(steps)):
            h, weight = hidden[d], hidden_weight[d]
            late = None if hidden_bias is None else hidden_bias[d]
            for t in times:
                step = gates[t, :, d]  # (N, 3, units)
                if self.reset_after:
                    _activate_reset_after(step, h, weight, late)
                else:
                    _activate_reset_ahead(step, h, weight)
                update, candidate = step[:, 1], step[:, 2]
                h = candidate + update * (h - candidate)
                y[t, :, d] = h
            hidden[d] = h
        saved = (x, input_weight, hidden_weight, hidden_bias, initial_hidden, gates, y)
        return (join_directions(y), hidden), saved

    def backward(self, saved: _Saved, dy: _Gradients, needs: tuple[bool, ...]) -> _Gradients:
        x, input_weight, hidden_weight, hidden_bias, initial_hidden, gates, y = saved
        before = self.before(y, initial_hidden)
        dgates = self._slopes(gates, before, hidden_weight, hidden_bias)
        dhidden = self._through_time(dgates, dy, gates, y, hidden_weight)

        dx, dinput_weight = input_gradients(x, input_weight, dgates, needs)
        dhidden_weight, dhidden_bias = self._hidden_gradients(dgates, gates, before, needs)
        return (
            dx,
            dinput_weight,
            dhidden_weight,
            bias_gradient(dgates) if needs[3] else None,
            dhidden_bias,
            dhidden if needs[5] else None,
        )

    def _slopes(self, gates: Array, before: Array, weight: Array, bias: Array | None) -> Array:
        """What turns a gradient into that of each gate ahead of its activation, by a product.

        It is the gradient of the new hidden state, but for a reset ahead of the matrix
        product: there it is the gradient of the state that has been reset.
        """
        r, z, n = (gates[:, :, :, k] for k in range(3))  # (T, N, D, units) each
        candidate = (1.0 - z) * (1.0 - n) * (1.0 + n)
        reached = before
        if self.reset_after:
            reached = candidate * _candidate_part(before, weight, bias)
        slopes = namespace(gates).empty(gates.shape, dtype=gates.dtype)
        slopes[:, :, :, 0] = reached * r * (1.0 - r)
        slopes[:, :, :, 1] = (before - n) * z * (1.0 - z)
        slopes[:, :, :, 2] = candidate
        return slopes

    def _through_time(
        self, dgates: Array, dy: _Gradients, gates: Array, y: Array, hidden_weight: Array
    ) -> Array:
        """Turn slopes into gradients in place, from the last step of each direction to its first.

        Returns:
            The gradient of the initial hidden state.
        """
        rows = 2 * self.units  # of both gates; those of the candidate follow
        dsequence = None if dy[0] is None else split_directions(dy[0], self.directions)
        dhidden = start(dy[1], y)
        for d, times in enumerate(self.passes(len(y))):
            dh, weight = dhidden[d], hidden_weight[d]  # dh, a view, changes in place
            for t in reversed(times):
                if dsequence is not None:
                    dh += dsequence[t, :, d]
                reset, update = gates[t, :, d, 0], gates[t, :, d, 1]
                step = dgates[t, :, d]  # (N, 3, units)
                if self.reset_after:
                    step *= dh[:, None]
                    dstate = (step[:, 2] * reset) @ weight[rows:]
                else:
                    others, dreset = step[:, 1:], step[:, 0]
                    others *= dh[:, None]
                    dstate = step[:, 2] @ weight[rows:]
                    dreset *= dstate
                    dstate *= reset
                dh *= update
                dh += dstate
                dh += step[:, :2].reshape(len(step), rows) @ weight[:rows]
        return dhidden

    def _hidden_gradients(
        self, dgates: Array, gates: Array, before: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, Array | None]:
        """The gradients of hidden weight and bias, where ``needs`` says so."""
        reset = gates[:, :, :, 0]
        of_gates, of_candidate = dgates[:, :, :, :2], dgates[:, :, :, 2:]
        met = before  # by the rows of the candidate
        if self.reset_after:
            of_candidate = of_candidate * reset[:, :, :, None]
        else:
            met = before * reset
        dweight = dbias = None
        concatenate = namespace(dgates).concatenate
        if needs[2]:
            parts = hidden_gradient(of_gates, before), hidden_gradient(of_candidate, met)
            dweight = concatenate(parts, axis=1)
        if needs[4]:
            dbias = concatenate((bias_gradient(of_gates), bias_gradient(of_candidate)), axis=1)
        return dweight, dbias

    def flops(self, x: Spec, *others: Spec | None) -> int:
        (features,) = known(x.shape[2])
        biases = (6 if self.reset_after else 3) if self.bias else 0
        return self.sequence(x).elements * (6 * (features + self.units) + biases + 14)


def _activate_reset_after(step: Array, h: Array, weight: Array, bias: Array | None) -> None:
    """Finish a step's gates ``(N, 3, units)`` in place, which hold the input's part."""
    part = h @ weight.T
    if bias is not None:
        part += bias
    part = part.reshape(step.shape)
    gates, candidate = step[:, :2], step[:, 2]
    gates += part[:, :2]
    gates[...] = sigmoid(gates)
    candidate += gates[:, 0] * part[:, 2]
    candidate[...] = namespace(step).tanh(candidate)


def _activate_reset_ahead(step: Array, h: Array, weight: Array) -> None:
    """The same for a reset of the hidden state itself, ahead of the product."""
    units = h.shape[1]
    gates, candidate = step[:, :2], step[:, 2]
    gates += (h @ weight[: 2 * units].T).reshape(gates.shape)
    gates[...] = sigmoid(gates)
    candidate += (gates[:, 0] * h) @ weight[2 * units :].T
    candidate[...] = namespace(step).tanh(candidate)


def _candidate_part(before: Array, weight: Array, bias: Array | None) -> Array:
    """What the states ahead of the steps give to the candidates, ``(T, N, D, units)``."""
    steps, examples, directions, units = before.shape
    rows = before.reshape(steps * examples, directions, units).swapaxes(0, 1)
    part = rows @ weight[:, 2 * units :].swapaxes(1, 2)  # (D, T * N, units)
    if bias is not None:
        part += bias[:, None, 2 * units :]
    return part.swapaxes(0, 1).reshape(before.shape)
