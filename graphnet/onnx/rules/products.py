"""Rules of matrix products, attention and recurrent networks."""

from __future__ import annotations

from typing import Any

import numpy as np

import ops
from graphnet.onnx.call import Call, Item
from graphnet.onnx.draft import Draft
from graphnet.onnx.known import Known
from graphnet.onnx.rules.base import Rule, reshape, same
from ops.operator import known

__all__ = ["PRODUCTS"]


def _gemm(call: Call) -> Any:
    a, b, c = (call.input(number) for number in range(3))
    alpha, beta = call.attribute("alpha"), call.attribute("beta")
    turned_a, turned_b = call.attribute("transA"), call.attribute("transB")
    call.attribute("broadcast", 0)  # of opset 6; NumPy's rule allows it all
    if alpha == 1 and (c is None or beta == 1) and not turned_a and _is_layer(call, a, b, c):
        weight = b if turned_b else call.apply(ops.Transpose((1, 0)), b, part="weight")
        (units,) = known(call.shape(weight)[0])
        bias = c
        if c is not None and call.shape(c) != (units,):
            bias = reshape(call, c, (units,), "bias")
        return call.apply(ops.Linear(units, bias=c is not None), a, weight, bias)
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
    stored = isinstance(b, Known) or _is_turned(call)
    if not stored or call.rank(a) != 2 or np.dtype(call.dtype(a)).kind != "f":
        return False
    sizes = set(call.shape(b))
    return c is None or (
        call.shape(c) in {s for n in sizes for s in ((n,), (1, n))}
        and (call.rank(c) > 0 and call.shape(c)[-1] == _units(call))
    )


def _units(call: Call) -> Any:
    sizes = call.shape(1)
    return sizes[0] if _is_turned(call) else sizes[1]


def _is_turned(call: Call) -> bool:
    """Whether the second matrix lies as the weights of a layer do."""
    return any(a.name == "transB" and a.i for a in call.proto.attribute)


def _matmul(call: Call) -> Any:
    a, b = call.inputs
    return _products(call, a, b, "")


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


PRODUCTS: tuple[Rule, ...] = (
    *same("Det", ops.Determinant),
    Rule("Gemm", _gemm, ops.Linear, _write_linear),
    Rule("MatMul", _matmul, ops.MatMul, _write_matmul),
    Rule("Einsum", _einsum, ops.Einsum, _write_einsum),
)
