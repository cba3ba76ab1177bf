"""Rules of matrix products, attention and recurrent networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import ops
from graphnet.onnx.call import Call, Item
from graphnet.onnx.errors import OnnxError
from graphnet.onnx.known import Known
from graphnet.onnx.rules.base import Rule, reshape

if TYPE_CHECKING:
    from graphnet.onnx.draft import Draft

__all__ = ["PRODUCTS"]


def _gemm(call: Call) -> Any:
    a, b, c = (call.input(number) for number in range(3))
    alpha, beta = call.attribute("alpha"), call.attribute("beta")
    turned_a, turned_b = call.attribute("transA"), call.attribute("transB")
    call.attribute("broadcast", 0)  # of opset 6; NumPy's rule allows it all
    if alpha == 1 and (c is None or beta == 1) and not turned_a and _is_layer(call, a, b, c):
        weight = b if turned_b else call.apply(ops.Transpose((1, 0)), b, part="weight")
        units = call.shape(weight)[0]
        bias = c
        if c is not None and call.shape(c) != (units,):
            bias = reshape(call, c, (units,), "bias")
        return call.apply(ops.Linear(int(units), bias=c is not None), a, weight, bias)  # type: ignore[call-overload]
    a, b = (
        call.apply(ops.Transpose((1, 0)), item, part=part) if turned else item
        for item, turned, part in ((a, turned_a, "a"), (b, turned_b, "b"))
    )
    product = _products(call, a, b, "product")
    if alpha != 1:
        product = call.apply(ops.Multiply(), product, call.constant(alpha, product), part="scaled")
    if c is None:
        return product
    if beta != 1:
        c = call.apply(ops.Multiply(), c, call.constant(beta, c), part="c")
    return call.apply(ops.Add(), product, c)


def _is_layer(call: Call, a: Item, b: Item, c: Item) -> bool:
    """Whether a product is that of a linear layer: weights that are stored, a bias per unit."""
    if not isinstance(b, Known) or call.rank(a) != 2 or np.dtype(call.dtype(a)).kind != "f":
        return False
    sizes = set(call.shape(b))
    return c is None or (
        call.shape(c) in {s for n in sizes for s in ((n,), (1, n))}
        and (call.rank(c) > 0 and call.shape(c)[-1] == _units(call))
    )


def _units(call: Call) -> Any:
    sizes = call.shape(1)
    turned = any(a.name == "transB" and a.i for a in call.proto.attribute)
    return sizes[0] if turned else sizes[1]


def _matmul(call: Call) -> Any:
    return _products(call, *call.inputs, "")


def _products(call: Call, a: Item, b: Item, part: str) -> Any:
    """NumPy's ``matmul``: a vector is a row on the left and a column on the right."""
    ranks = call.rank(a), call.rank(b)
    if ranks[0] == 1:
        a = call.apply(ops.Unsqueeze(0), a, part="row")
    if ranks[1] == 1:
        b = call.apply(ops.Unsqueeze(1), b, part="column")
    if 1 not in ranks:
        return call.apply(ops.MatMul(), a, b, part=part)
    y = call.apply(ops.MatMul(), a, b, part="product")
    axes = tuple(axis for axis, rank in ((-2, ranks[0]), (-1, ranks[1])) if rank == 1)
    return call.apply(ops.Squeeze(axes), y, part=part)


def _write_linear(draft: Draft, operator: ops.Linear) -> None:
    rank = draft.specs[0].rank
    axis = operator.axis % rank
    if rank == 2 and axis == 1:
        draft.node("Gemm", draft.inputs, draft.outputs, transB=1)
        return
    x, weight, *bias = draft.inputs
    if axis != rank - 1:
        shape = draft.constant(np.array([*[0] * axis, -1]), "rows")
        x = draft.node("Reshape", [x, shape])
    turned = draft.node("Transpose", [weight], perm=[1, 0])
    if not bias or not bias[0]:
        draft.node("MatMul", [x, turned], draft.outputs)
        return
    draft.node("Add", [draft.node("MatMul", [x, turned]), bias[0]], draft.outputs)


def _write_matmul(draft: Draft, _: ops.MatMul) -> None:
    draft.node("MatMul", draft.inputs, draft.outputs)


def _einsum(call: Call) -> Any:
    return call.apply(ops.Einsum(call.attribute("equation")), *call.inputs)


def _write_einsum(draft: Draft, operator: ops.Einsum) -> None:
    draft.node("Einsum", draft.inputs, draft.outputs, equation=operator.equation)


# attention


def _write_attention(draft: Draft, operator: ops.ScaledDotProductAttention) -> None:
    query, key, value, *mask = draft.inputs
    dtype = draft.specs[0].dtype
    heads, features = operator.heads, draft.specs[0].shape[2]
    split = draft.constant(np.array([0, 0, heads, -1]), "heads")
    apart = [draft.node("Reshape", [name, split]) for name in (query, key, value)]
    q, v = (draft.node("Transpose", [apart[i]], perm=[0, 2, 1, 3]) for i in (0, 2))
    k = draft.node("Transpose", [apart[1]], perm=[0, 2, 3, 1])
    scale = operator.scale
    if scale is None:
        scale = (int(features) // heads) ** -0.5  # type: ignore[call-overload]
    factor = draft.constant(np.array(scale, dtype), "scale")
    scores = draft.node("Mul", [draft.node("MatMul", [q, k]), factor])
    lowest = draft.constant(np.array(np.finfo(dtype).min / 2, dtype), "lowest")
    zero = draft.constant(np.array(0, dtype), "zero")
    allowed = []
    if operator.causal:
        length, keys = draft.specs[0].shape[1], draft.specs[1].shape[1]
        if not (isinstance(length, int) and isinstance(keys, int)):
            raise OnnxError("causal attention over a symbolic number of positions")
        allowed.append(draft.constant(np.tri(length, keys, dtype=bool), "causal"))
    if mask and mask[0]:
        if draft.specs[3].dtype == "bool":
            allowed.append(mask[0])
        else:
            scores = draft.node("Add", [scores, mask[0]])
            # an entry of -inf rules a key out: no probability is left where all are
            allowed.append(draft.node("Less", [lowest, mask[0]]))
    for each in allowed:
        scores = draft.node("Where", [each, scores, lowest])
    weights = draft.node("Softmax", [scores], axis=-1)
    for each in allowed:
        weights = draft.node("Where", [each, weights, zero])
    y = draft.node("Transpose", [draft.node("MatMul", [weights, v])], perm=[0, 2, 1, 3])
    join = draft.constant(np.array([0, 0, -1]), "joined")
    draft.node("Reshape", [y, join], draft.outputs)


# recurrent networks


#: The place of each of our gates among those of the standard.
_ORDER = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2)}  # i, o, f, c -> i, f, g, o; z, r, h -> r, z, n
_BACK = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}

_USUAL = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh")}


def _gates(call: Call, item: Item, order: tuple[int, ...], units: int, part: str) -> Any:
    """The rows of the gates in another order."""
    rows = np.concatenate([np.arange(units) + units * gate for gate in order])
    return call.apply(ops.Gather(1), item, Known(rows), part=part)


def _recurrent(call: Call) -> Any:
    kind = call.kind
    x, weight, hidden_weight, bias, lengths = (call.input(number) for number in range(5))
    units = call.attribute("hidden_size", None) or call.shape(hidden_weight)[-1]
    direction = call.attribute("direction", "forward")
    directions = 2 if direction == "bidirectional" else 1
    activations = call.attribute("activations", None)
    usual = _USUAL[kind] * directions
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
    options: dict[str, Any] = {}
    if kind == "GRU":
        options["reset_after"] = bool(call.attribute("linear_before_reset", 0))
    steps = call.shape(x)[1 if batch_first else 0]
    if lengths is not None:
        given = call.integers(lengths, "the lengths of the sequences")
        if any(length != steps for length in given):
            raise OnnxError("sequences of several lengths are not supported")
    states = [call.input(5)] if kind == "GRU" else [call.input(5), call.input(6)]
    if kind == "LSTM" and call.input(7) is not None:
        peepholes = call.array(7, "the peepholes")
        if peepholes.any():
            raise OnnxError("peepholes are not supported")
    if not batch_first:
        x = call.apply(ops.Transpose((1, 0, 2)), x, part="examples")
    else:
        states = [
            None if s is None else call.apply(ops.Transpose((1, 0, 2)), s, part="state")
            for s in states
        ]
    weights = [
        _gates(call, item, _ORDER[kind], int(units), part)
        for item, part in ((weight, "input_weight"), (hidden_weight, "hidden_weight"))
    ]
    biases: list[Any] = [None, None]
    if bias is not None:
        size = len(_ORDER[kind]) * int(units)
        halves = call.apply(ops.Split(2, 1), bias, part="biases")
        del size
        biases = [
            _gates(call, half, _ORDER[kind], int(units), f"{part}_bias")
            for half, part in zip(halves, ("input", "hidden"), strict=True)
        ]
    operator: Any = {"LSTM": ops.LSTM, "GRU": ops.GRU}[kind](
        int(units), direction=direction, bias=bias is not None, **options
    )
    y, *finals = call.apply(operator, x, *weights, *biases, *states)
    # (N, T, D * units) -> (N, T, D, units)
    sizes = (*call.shape(y)[:2], directions, int(units))
    apart = reshape(call, y, sizes, "directions")
    order = (0, 1, 2, 3) if batch_first else (1, 2, 0, 3)
    whole = call.apply(ops.Transpose(order), apart, part="y") if not batch_first else apart
    if batch_first:
        finals = [call.apply(ops.Transpose((1, 0, 2)), f, part="final") for f in finals]
    return (whole, *finals)


def _write_recurrent(kind: str) -> Any:
    def write(draft: Draft, operator: Any) -> None:
        x, weight, hidden_weight, *rest = [*draft.inputs, "", "", "", ""][:7]
        biases, states = rest[:2], [name for name in rest[2 : 3 + (kind == "LSTM")]]
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
        while not inputs[-1]:
            inputs.pop()
        fields = {"hidden_size": units, "direction": operator.direction}
        if kind == "GRU":
            fields["linear_before_reset"] = int(operator.reset_after)
        whole = draft.name("whole")
        draft.node(kind, inputs, [whole, *draft.outputs[1:]], **fields)
        # (T, D, N, units) -> (N, T, D * units)
        moved = draft.node("Transpose", [whole], perm=[2, 0, 1, 3])
        shape = draft.constant(np.array([0, 0, -1]), "joined")
        draft.node("Reshape", [moved, shape], draft.outputs[:1])

    return write


PRODUCTS: tuple[Rule, ...] = (
    Rule("Gemm", _gemm, ops.Linear, _write_linear),
    Rule("MatMul", _matmul, ops.MatMul, _write_matmul),
    Rule("Einsum", _einsum, ops.Einsum, _write_einsum),
    Rule(
        "ScaledDotProductAttention",
        None,
        ops.ScaledDotProductAttention,
        _write_attention,
    ),
    Rule("LSTM", _recurrent, ops.LSTM, _write_recurrent("LSTM")),
    Rule("GRU", _recurrent, ops.GRU, _write_recurrent("GRU")),
)
