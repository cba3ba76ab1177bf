"""Rules of attention and rotary embedding; the standard's own are read as its functions."""

from __future__ import annotations

from typing import Any

import numpy as np

import ops
from graphnet.onnx.call import Call
from graphnet.onnx.draft import Draft
from graphnet.onnx.errors import OnnxError
from graphnet.onnx.rules.base import Rule
from ops.operator import known

__all__ = ["ATTENTION"]


def _write_attention(draft: Draft, operator: ops.ScaledDotProductAttention) -> None:
    query, key, value, *mask = draft.inputs
    dtype = draft.specs[0].dtype
    heads, features = operator.heads, known(draft.specs[0].shape[2])[0]
    groups = operator.key_value_heads or heads
    apart = [
        draft.node("Reshape", [name, draft.constant(np.array([0, 0, count, -1]), "heads")])
        for name, count in ((query, heads), (key, groups), (value, groups))
    ]
    if groups != heads:
        # each head of the keys and values serves several of the queries
        places = draft.constant(np.arange(heads) // (heads // groups), "shared")
        apart[1:] = [draft.node("Gather", [name, places], axis=2) for name in apart[1:]]
    q, v = (draft.node("Transpose", [apart[i]], perm=[0, 2, 1, 3]) for i in (0, 2))
    k = draft.node("Transpose", [apart[1]], perm=[0, 2, 3, 1])
    scale = operator.scale if operator.scale is not None else (features // heads) ** -0.5
    factor = draft.constant(np.array(scale, dtype), "scale")
    scores = draft.node("Mul", [draft.node("MatMul", [q, k]), factor])
    if operator.softcap is not None:
        cap = draft.constant(np.array(operator.softcap, dtype), "softcap")
        scores = draft.node("Mul", [draft.node("Tanh", [draft.node("Div", [scores, cap])]), cap])
    lowest = draft.constant(np.array(np.finfo(dtype).min / 2, dtype), "lowest")
    zero = draft.constant(np.array(0, dtype), "zero")
    allowed = []
    near = _near(draft, operator)
    if near is not None:
        allowed.append(draft.constant(near, "near"))
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
    draft.node("Reshape", [y, draft.constant(np.array([0, 0, -1]), "joined")], draft.outputs)


def _near(draft: Draft, operator: ops.ScaledDotProductAttention) -> np.ndarray | None:
    """Which keys a query may attend to, ``(L, S)``; None for all."""
    before, after = operator.window
    if not operator.causal and before is None and after is None:
        return None
    length, keys = draft.specs[0].shape[1], draft.specs[1].shape[1]
    if not (isinstance(length, int) and isinstance(keys, int)):
        raise OnnxError("attention to some of a symbolic number of positions")
    distance = np.arange(keys) - (operator.past + np.arange(length))[:, None]
    found = np.ones((length, keys), bool)
    if operator.causal:
        found &= distance <= 0
    if before is not None:
        found &= distance >= -before
    if after is not None:
        found &= distance <= after
    return found


def _write_rotary(draft: Draft, operator: ops.RotaryEmbedding) -> None:
    x, *angles = draft.inputs
    features, pairs = known(draft.specs[0].shape[2], draft.specs[1].shape[-1])

    def cut(name: str, start: int, end: int, step: int = 1) -> str:
        given = (
            draft.constant(np.array([n]), role)
            for n, role in ((start, "start"), (end, "end"), (3, "axis"), (step, "step"))
        )
        return draft.node("Slice", [name, *given])

    split = draft.constant(np.array([0, 0, operator.heads, -1]), "heads")
    apart = draft.node("Reshape", [x, split])
    if operator.interleaved:
        a, b = cut(apart, 0, 2 * pairs, 2), cut(apart, 1, 2 * pairs, 2)
    else:
        a, b = cut(apart, 0, pairs), cut(apart, pairs, 2 * pairs)
    axis = draft.constant(np.array([-2]), "axis")
    cos, sin = (draft.node("Unsqueeze", [name, axis]) for name in angles)
    products = [draft.node("Mul", pair) for pair in ((a, cos), (b, sin), (a, sin), (b, cos))]
    left, right = draft.node("Sub", products[:2]), draft.node("Add", products[2:])
    if operator.interleaved:
        last = draft.constant(np.array([-1]), "last")
        sides = [draft.node("Unsqueeze", [name, last]) for name in (left, right)]
        both = draft.node("Concat", sides, axis=-1)
        shape = draft.constant(np.array([0, 0, operator.heads, 2 * pairs]), "turned")
        parts = [draft.node("Reshape", [both, shape])]
    else:
        parts = [left, right]
    size = features // operator.heads
    if size > 2 * pairs:
        parts.append(cut(apart, 2 * pairs, size))
    whole = draft.node("Concat", parts, axis=3) if len(parts) > 1 else parts[0]
    draft.node("Reshape", [whole, draft.constant(np.array([0, 0, -1]), "joined")], draft.outputs)


def _linear_attention(call: Call) -> Any:
    call.ignore("chunk_size")  # how the work is cut, and not what comes out
    heads, groups = call.attribute("q_num_heads"), call.attribute("kv_num_heads")
    rule, scale = call.attribute("update_rule"), call.attribute("scale") or None
    if call.dtype() == "float16":
        return NotImplemented  # its function sums in float32
    operator = ops.LinearAttention(heads, None if groups == heads else groups, rule, scale)
    return call.apply(operator, *(call.input(number) for number in range(6)))


def _write_linear_attention(draft: Draft, operator: ops.LinearAttention) -> None:
    draft.node(
        "LinearAttention",
        draft.inputs,
        draft.outputs,
        q_num_heads=operator.heads,
        kv_num_heads=operator.key_value_heads or operator.heads,
        update_rule=operator.rule,
        scale=operator.scale,
    )


ATTENTION: tuple[Rule, ...] = (
    Rule("ScaledDotProductAttention", None, ops.ScaledDotProductAttention, _write_attention),
    Rule(
        "LinearAttention",
        _linear_attention,
        ops.LinearAttention,
        _write_linear_attention,
        since=27,
    ),
    Rule("RotaryEmbedding", None, ops.RotaryEmbedding, _write_rotary),
)
