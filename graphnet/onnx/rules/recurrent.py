"""Rules of recurrent networks: gates, steps and biases in the order of the other side."""

from __future__ import annotations

from typing import Any

import numpy as np

import ops
from graphnet.onnx.call import Call, Item
from graphnet.onnx.draft import Draft
from graphnet.onnx.errors import OnnxError
from graphnet.onnx.known import Known
from graphnet.onnx.rules.base import Rule, reshape
from ops.operator import known

__all__ = ["RECURRENT"]

#: The place of each of our gates among those of the standard.
_ORDER = {
    "LSTM": (0, 2, 3, 1),  # i, o, f, c -> i, f, g, o
    "GRU": (1, 0, 2),  # z, r, h -> r, z, n
    "RNN": (0,),
}
_BACK = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}

#: The order of the gates that see the cell, i, f, o, among those of the standard, and back.
_SEEN = (0, 2, 1)

_OPERATORS: dict[str, Any] = {"LSTM": ops.LSTM, "GRU": ops.GRU, "RNN": ops.RNN}

_USUAL = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}


def _gates(call: Call, item: Item, order: tuple[int, ...], units: int, part: str) -> Any:
    """The rows of the gates in another order."""
    if len(order) == 1:
        return item
    if call.shape(item)[1] != units * len(order):
        raise OnnxError(f"expected {len(order)} gates of {units} rows, received {call.shape(item)}")
    rows = np.concatenate([np.arange(units) + units * gate for gate in order])
    return call.apply(ops.Gather(1), item, Known(rows), part=part)


def _recurrent(call: Call) -> Any:
    kind = call.kind
    x, weight, hidden_weight, bias, lengths = (call.input(number) for number in range(5))
    (units,) = known(call.attribute("hidden_size", None) or call.shape(hidden_weight)[-1])
    direction = call.attribute("direction", "forward")
    directions = 2 if direction == "bidirectional" else 1
    activations = call.attribute("activations", None)
    usual = _USUAL[kind] * directions
    options: dict[str, Any] = {}
    if kind == "RNN" and activations and {a.lower() for a in activations} == {"relu"}:
        options["activation"], activations = "relu", None
    if activations is not None and tuple(a.lower() for a in activations) != tuple(
        a.lower() for a in usual
    ):
        raise OnnxError(f"activations {activations} are not supported, {usual} are")
    for name in ("activation_alpha", "activation_beta"):
        if call.attribute(name, None):
            raise OnnxError(f"{name} is not supported")
    if call.attribute("clip", None):
        raise OnnxError("clip is not supported")
    if call.attribute("input_forget", 0):
        raise OnnxError("input_forget is not supported")
    batch_first = bool(call.attribute("layout", 0))
    if kind == "GRU":
        options["reset_after"] = bool(call.attribute("linear_before_reset", 0))
    steps = call.shape(x)[1 if batch_first else 0]
    if lengths is not None:
        given = call.integers(lengths, "the lengths of the sequences")
        if any(length != steps for length in given):
            raise OnnxError("sequences of several lengths are not supported")
    states = [call.input(5), call.input(6)] if kind == "LSTM" else [call.input(5)]
    seen = []
    if kind == "LSTM" and call.input(7) is not None:
        options["peepholes"] = True
        seen = [_gates(call, call.input(7), _SEEN, units, "peephole")]
    if not batch_first:
        x = call.apply(ops.Transpose((1, 0, 2)), x, part="examples")
    else:
        states = [
            None if s is None else call.apply(ops.Transpose((1, 0, 2)), s, part="state")
            for s in states
        ]
    weights = [
        _gates(call, item, _ORDER[kind], units, part)
        for item, part in ((weight, "input_weight"), (hidden_weight, "hidden_weight"))
    ]
    biases: list[Any] = [None, None]
    if bias is not None:
        halves = call.apply(ops.Split(2, 1), bias, part="biases")
        biases = [
            _gates(call, half, _ORDER[kind], units, f"{part}_bias")
            for half, part in zip(halves, ("input", "hidden"), strict=True)
        ]
    operator = _OPERATORS[kind](units, direction=direction, bias=bias is not None, **options)
    y, *finals = call.apply(operator, x, *weights, *biases, *states, *seen)
    # (N, T, D * units) -> (N, T, D, units)
    sizes = (*call.shape(y)[:2], directions, units)
    apart = reshape(call, y, sizes, "directions")
    order = (0, 1, 2, 3) if batch_first else (1, 2, 0, 3)
    whole = call.apply(ops.Transpose(order), apart, part="y") if not batch_first else apart
    if batch_first:
        finals = [call.apply(ops.Transpose((1, 0, 2)), f, part="final") for f in finals]
    return (whole, *finals)


def _write_recurrent(kind: str) -> Any:
    def write(draft: Draft, operator: Any) -> None:
        x, weight, hidden_weight, *rest = [*draft.inputs, "", "", "", "", ""][:8]
        biases, states = rest[:2], rest[2 : 3 + (kind == "LSTM")]
        units = operator.units
        rows = np.concatenate([np.arange(units) + units * gate for gate in _BACK[kind]])
        order = draft.constant(rows, "gates")
        steps = draft.node("Transpose", [x], perm=[1, 0, 2])
        turned = [draft.node("Gather", [name, order], axis=1) for name in (weight, hidden_weight)]
        bias = ""
        if operator.bias:
            halves = [draft.node("Gather", [name, order], axis=1) for name in biases]
            bias = draft.node("Concat", halves, axis=1)
        inputs = [steps, *turned, bias, "", *states]
        if kind == "LSTM" and rest[4]:
            rows = np.concatenate([np.arange(units) + units * gate for gate in _SEEN])
            seen = draft.constant(rows, "seen")
            inputs.append(draft.node("Gather", [rest[4], seen], axis=1))
        while not inputs[-1]:
            inputs.pop()
        fields: dict[str, Any] = {"hidden_size": units, "direction": operator.direction}
        if kind == "GRU":
            fields["linear_before_reset"] = int(operator.reset_after)
        if kind == "RNN":
            fields["activations"] = [operator.activation.capitalize()] * operator.directions
        whole = draft.name("whole")
        draft.node(kind, inputs, [whole, *draft.outputs[1:]], **fields)
        # (T, D, N, units) -> (N, T, D * units)
        moved = draft.node("Transpose", [whole], perm=[2, 0, 1, 3])
        shape = draft.constant(np.array([0, 0, -1]), "joined")
        draft.node("Reshape", [moved, shape], draft.outputs[:1])

    return write


RECURRENT: tuple[Rule, ...] = (
    Rule("LSTM", _recurrent, ops.LSTM, _write_recurrent("LSTM")),
    Rule("GRU", _recurrent, ops.GRU, _write_recurrent("GRU")),
    Rule("RNN", _recurrent, ops.RNN, _write_recurrent("RNN")),
)
