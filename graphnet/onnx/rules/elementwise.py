"""Rules of arithmetic, comparisons, choices and activations."""

from __future__ import annotations

import dataclasses
import math
from functools import reduce
from typing import Any

import numpy as np

import ops
from graphnet.onnx.call import Call, Item, elem_type
from graphnet.onnx.draft import Draft
from graphnet.onnx.rules.base import Rule, only_read, reshape, same
from graphnet.values import Value
from ops.operator import Operator

__all__ = ["ELEMENTWISE"]


def _aligned(call: Call) -> list[Item]:
    """Two inputs that broadcast as NumPy has it; before opset 7 an attribute said how."""
    a, b = call.inputs
    broadcast = call.attribute("broadcast", 0) if call.opset < 7 else 0
    axis = call.attribute("axis", None) if call.opset < 7 else None
    call.ignore("consumed_inputs")
    if broadcast and axis is not None:
        at = axis % call.rank(a)
        trailing = call.rank(a) - at - call.rank(b)
        b = reshape(call, b, (*call.shape(b), *[1] * trailing), "aligned")
    return [a, b]


def _binary(name: str, operator: type[Operator]) -> tuple[Rule, ...]:
    def read(call: Call) -> Any:
        return call.apply(operator(), *_aligned(call))

    def write(draft: Draft, _: Any) -> None:
        draft.node(name, draft.inputs, draft.outputs)

    return (Rule(name, read, operator, write),)


def _power(call: Call) -> Any:
    x, exponent = _aligned(call)
    dtype = call.dtype(x)
    if call.dtype(exponent) == dtype and np.dtype(dtype).kind != "i":
        return call.apply(ops.Power(), x, exponent)
    wide = "float64" if np.dtype(dtype).kind in "iu" or call.is_known(x) else dtype
    y = call.apply(ops.Power(), call.cast(x, wide, "x"), call.cast(exponent, wide, "exponent"))
    return call.cast(y, dtype)


def _ordered(name: str, operator: type[Operator]) -> tuple[Rule, ...]:
    (rule,) = _binary(name, operator)

    def write(draft: Draft, _: Any) -> None:
        inputs = draft.inputs
        if draft.specs[0].dtype == "bool":  # the standard puts numbers in order only
            inputs = [draft.node("Cast", [x], to=elem_type("uint8")) for x in inputs]
        draft.node(name, inputs, draft.outputs)

    return (dataclasses.replace(rule, write=write),)


def _fold_pairs(name: str, operator: type[Operator]) -> tuple[Rule, ...]:
    """Of any number of inputs in the standard, and of two here."""

    def read(call: Call) -> Any:
        call.ignore("consumed_inputs")
        first, *others = call.inputs
        last = len(others) - 1
        for number, other in enumerate(others):
            part = "" if number == last else str(number + 1)
            first = call.apply(operator(), first, other, part=part)
        return first

    def write(draft: Draft, _: Any) -> None:
        draft.node(name, draft.inputs, draft.outputs)

    written = {"Max": ops.Maximum, "Min": ops.Minimum}.get(name)
    return (Rule(name, read, written, write if written else None),)


def _mean(call: Call) -> Any:
    total = reduce(lambda a, b: call.apply(ops.Add(), a, b, part="sum"), call.inputs)
    count = call.constant(len(call.inputs), total)
    return call.apply(ops.Divide(), total, count)


def _clip(call: Call) -> Any:
    x = call.input(0)
    call.ignore("consumed_inputs")
    if call.opset < 11:
        bounds = [call.attribute("min", None), call.attribute("max", None)]
        # the largest finite numbers stand for no bound there
        edge = float(np.finfo("float32").max)
        low, high = (None if v is None or abs(v) >= edge * (1 - 1e-6) else v for v in bounds)
        return call.apply(ops.Clip(low, high), x)
    given = [call.input(1), call.input(2)]
    numbers = all(bound is None or call.is_known(bound) for bound in given)
    if numbers and np.dtype(call.dtype()).kind == "f":
        values = [None if b is None else float(call.number(b, "a bound")) for b in given]
        low, high = (None if v is None or math.isinf(v) else v for v in values)
        if low is None or high is None or low <= high:
            return call.apply(ops.Clip(low, high), x)
    for bound, operator in zip(given, (ops.Maximum(), ops.Minimum()), strict=True):
        if bound is not None:
            x = call.apply(operator, x, bound, part=type(operator).__name__.lower())
    return x


def _write_clip(draft: Draft, operator: ops.Clip) -> None:
    dtype = draft.specs[0].dtype
    bounds = [
        "" if value is None else draft.constant(np.array(value, dtype), role)
        for value, role in ((operator.low, "min"), (operator.high, "max"))
    ]
    draft.node("Clip", [*draft.inputs, *bounds], draft.outputs)


def _prelu(call: Call) -> Any:
    x, slope = call.inputs
    call.ignore("consumed_inputs")
    if call.opset < 7 and call.rank(slope) == 1 and call.shape(slope) != (1,):
        slope = reshape(call, slope, (*call.shape(slope), *[1] * (call.rank(x) - 2)), "aligned")
    sizes, rank = call.shape(slope), call.rank(x)
    floating = np.dtype(call.dtype(x)).kind == "f"
    if floating and all(size == 1 for size in sizes) and len(sizes) <= max(rank, 1):
        return call.apply(ops.PReLU(shared=True), x, reshape(call, slope, (1,), "slope"))
    channels = call.shape(x)[1] if rank > 1 else None
    across = (channels, *[1] * (rank - 2))
    if floating and channels is not None and sizes in (across, (1, *across)):
        return call.apply(ops.PReLU(), x, reshape(call, slope, (channels,), "slope"))
    positive = call.apply(ops.Maximum(), x, call.constant(0, x), part="positive")
    negative = call.apply(ops.Minimum(), x, call.constant(0, x), part="negative")
    scaled = call.apply(ops.Multiply(), slope, negative, part="scaled")
    return call.apply(ops.Add(), positive, scaled)


def _write_prelu(draft: Draft, operator: ops.PReLU) -> None:
    x, slope = draft.inputs
    if not operator.shared and draft.specs[0].rank > 2:
        sizes = (draft.specs[1].shape[0], *[1] * (draft.specs[0].rank - 2))
        slope = draft.node("Reshape", [slope, draft.constant(np.array(sizes), "sizes")])
    draft.node("PRelu", [x, slope], draft.outputs)


def _gelu(call: Call) -> Any:
    return call.apply(ops.GELU(call.attribute("approximate", "none")), *call.inputs)


def _write_gelu(draft: Draft, operator: ops.GELU) -> None:
    if draft.opset >= 20:
        draft.node("Gelu", draft.inputs, draft.outputs, approximate=operator.approximate)
        return
    (x,) = draft.inputs
    half, one = _number(draft, 0.5), _number(draft, 1.0)
    if operator.approximate == "tanh":
        cube = draft.node("Mul", [draft.node("Mul", [x, x]), x])
        bent = draft.node("Add", [x, draft.node("Mul", [cube, _number(draft, 0.044715)])])
        steep = _number(draft, math.sqrt(2 / math.pi))
        curve = draft.node("Tanh", [draft.node("Mul", [bent, steep])])
    else:
        curve = draft.node("Erf", [draft.node("Mul", [x, _number(draft, math.sqrt(0.5))])])
    share = draft.node("Mul", [draft.node("Add", [curve, one]), half])
    draft.node("Mul", [x, share], draft.outputs)


def _number(draft: Draft, value: float) -> str:
    return draft.constant(np.array(value, draft.specs[0].dtype), "number")


def _write_mish(draft: Draft, _: ops.Mish) -> None:
    if draft.opset >= 18:
        draft.node("Mish", draft.inputs, draft.outputs)
        return
    gate = draft.node("Tanh", [draft.node("Softplus", draft.inputs)])
    draft.node("Mul", [*draft.inputs, gate], draft.outputs)


def _write_hard_swish(draft: Draft, _: ops.HardSwish) -> None:
    if draft.opset >= 14:
        draft.node("HardSwish", draft.inputs, draft.outputs)
        return
    gate = draft.node("HardSigmoid", draft.inputs, alpha=1 / 6, beta=0.5)
    draft.node("Mul", [*draft.inputs, gate], draft.outputs)


def _selu(call: Call) -> Any:
    standard = {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875}
    alpha, gamma = (call.attribute(name, standard[name]) for name in ("alpha", "gamma"))
    near = all(
        abs(value - standard[name]) < 1e-6 for name, value in (("alpha", alpha), ("gamma", gamma))
    )
    if near:
        return call.apply(ops.SELU(), *call.inputs)
    y = call.apply(ops.ELU(alpha), *call.inputs, part="elu")
    return call.apply(ops.Multiply(), y, call.constant(gamma, y))


def _write_plain(name: str) -> Any:
    def write(draft: Draft, _: Any) -> None:
        draft.node(name, draft.inputs, draft.outputs)

    return write


def _swish(call: Call) -> Any:
    x = call.input(0)
    alpha = call.attribute("alpha", 1.0)
    if alpha == 1.0:
        return call.apply(ops.SiLU(), x)
    scaled = call.apply(ops.Multiply(), x, call.constant(alpha, x), part="scaled")
    gate = call.apply(ops.Sigmoid(), scaled, part="gate")
    return call.apply(ops.Multiply(), x, gate)


def _write_silu(draft: Draft, _: ops.SiLU) -> None:
    if draft.opset >= 24:
        draft.node("Swish", draft.inputs, draft.outputs)
    else:
        gate = draft.node("Sigmoid", draft.inputs)
        draft.node("Mul", [draft.inputs[0], gate], draft.outputs)


def _plain(operator: type[Operator]) -> Any:
    """An operator without fields."""

    def read(call: Call) -> Any:
        return call.apply(operator(), *call.inputs)

    return read


def _write_softplus(draft: Draft, operator: ops.Softplus) -> None:
    if operator.beta == 1:
        draft.node("Softplus", draft.inputs, draft.outputs)
        return
    beta = draft.constant(np.array(operator.beta, draft.specs[0].dtype), "beta")
    scaled = draft.node("Mul", [draft.inputs[0], beta])
    draft.node("Div", [draft.node("Softplus", [scaled]), beta], draft.outputs)


def _write_not_equal(draft: Draft, _: ops.NotEqual) -> None:
    draft.node("Not", [draft.node("Equal", draft.inputs)], draft.outputs)


def _softmax(operator: Any) -> Any:
    def read(call: Call) -> Any:
        x = call.input(0)
        axis = call.attribute("axis")
        rank = call.rank()
        if call.opset >= 13 or axis in (-1, rank - 1):
            return call.apply(operator(axis=axis), x)
        # before opset 13, all axes from this one on are one
        axis %= rank
        sizes = call.shape()
        leading, rest = _product(sizes[:axis]), _product(sizes[axis:])
        rows = reshape(call, x, (leading, rest), "rows")
        y = call.apply(operator(axis=-1), rows, part="softmax")
        return reshape(call, y, sizes)

    return read


def _product(sizes: Any) -> Any:
    return reduce(lambda a, b: a * b, sizes, 1)


def _write_softmax(name: str) -> Any:
    def write(draft: Draft, operator: Any) -> None:
        draft.node(name, draft.inputs, draft.outputs, axis=operator.axis)

    return write


def _hardmax(call: Call) -> Any:
    x = call.input(0)
    axis, rank, sizes = call.attribute("axis"), call.rank(), call.shape()
    rows = x
    if call.opset < 13:
        axis %= rank
        rows = reshape(call, x, (_product(sizes[:axis]), _product(sizes[axis:])), "rows")
        axis = -1
    best = call.apply(ops.ArgMax(axis=axis), rows, part="best")
    (depth,) = (call.shape(rows)[axis],)
    y = call.apply(ops.OneHot(depth, axis=axis, dtype=call.dtype(x)), best, part="hot")
    return reshape(call, y, sizes)


def _where(call: Call) -> Any:
    return call.apply(ops.Where(), *call.inputs)


def _identity(call: Call) -> Any:
    (item,) = call.inputs
    if isinstance(item, Value) and call.proto.name:
        return call.apply(ops.Identity(), item)
    return item


ELEMENTWISE: tuple[Rule, ...] = (
    *_binary("Add", ops.Add),
    *_binary("Sub", ops.Subtract),
    *_binary("Mul", ops.Multiply),
    *_binary("Div", ops.Divide),
    Rule("Pow", _power, ops.Power, _write_plain("Pow")),
    *_fold_pairs("Max", ops.Maximum),
    *_fold_pairs("Min", ops.Minimum),
    *_fold_pairs("Sum", ops.Add),
    *only_read(_mean, "Mean"),
    *_binary("Equal", ops.Equal),
    *_ordered("Less", ops.Less),
    *_ordered("Greater", ops.Greater),
    *_ordered("LessOrEqual", ops.LessOrEqual),
    *_ordered("GreaterOrEqual", ops.GreaterOrEqual),
    Rule("NotEqual", None, ops.NotEqual, _write_not_equal),
    *_binary("And", ops.And),
    *_binary("Or", ops.Or),
    *_binary("Xor", ops.Xor),
    *same("Not", ops.Not),
    Rule("Where", _where, ops.Where, _write_plain("Where")),
    Rule("Identity", _identity, ops.Identity, _write_plain("Identity")),
    # one value in, one out
    *same("Exp", ops.Exp),
    *same("Log", ops.Log),
    *same("Sqrt", ops.Sqrt),
    *same("Reciprocal", ops.Reciprocal),
    *same("Abs", ops.Abs),
    *same("Neg", ops.Neg),
    *same("Erf", ops.Erf),
    *same("Floor", ops.Floor),
    *same("Ceil", ops.Ceil),
    *same("Round", ops.Round),
    *same("Sign", ops.Sign),
    # activations
    *same("Sigmoid", ops.Sigmoid),
    *same("Tanh", ops.Tanh),
    Rule("Mish", _plain(ops.Mish), ops.Mish, _write_mish, since=18, older=True),
    *same("Softsign", ops.Softsign),
    *same("Relu", ops.ReLU),
    *same("LeakyRelu", ops.LeakyReLU, alpha="negative_slope"),
    *same("Elu", ops.ELU, alpha="alpha"),
    *same("Celu", ops.CELU, alpha="alpha"),
    *same("ThresholdedRelu", ops.ThresholdedReLU, alpha="alpha"),
    *same("HardSigmoid", ops.HardSigmoid, alpha="alpha", beta="beta"),
    Rule(
        "HardSwish", _plain(ops.HardSwish), ops.HardSwish, _write_hard_swish, since=14, older=True
    ),
    Rule("Gelu", _gelu, ops.GELU, _write_gelu, since=20, older=True),
    Rule("Selu", _selu, ops.SELU, _write_plain("Selu")),
    Rule("Swish", _swish, ops.SiLU, _write_silu, since=24, older=True),
    Rule("Softplus", _plain(ops.Softplus), ops.Softplus, _write_softplus),
    Rule("PRelu", _prelu, ops.PReLU, _write_prelu, plain=True),
    Rule("Clip", _clip, ops.Clip, _write_clip),
    Rule("Softmax", _softmax(ops.Softmax), ops.Softmax, _write_softmax("Softmax")),
    Rule("LogSoftmax", _softmax(ops.LogSoftmax), ops.LogSoftmax, _write_softmax("LogSoftmax")),
    *only_read(_hardmax, "Hardmax"),
    *same("Shrink", ops.Shrink, lambd="threshold", bias="bias"),
)
