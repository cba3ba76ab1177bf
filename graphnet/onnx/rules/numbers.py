"""Rules of casts, bits, remainders, questions about numbers, and trigonometry."""

from __future__ import annotations

from typing import Any

import numpy as np

import ops
from graphnet.onnx.call import Call, dtype_name, elem_type
from graphnet.onnx.draft import Draft
from graphnet.onnx.errors import OnnxError
from graphnet.onnx.known import Known
from graphnet.onnx.rules.base import Rule, only_read, same

__all__ = ["NUMBERS"]


def _cast(call: Call) -> Any:
    return _converted(call, dtype_name(call.attribute("to")))


def _cast_like(call: Call) -> Any:
    return _converted(call, call.dtype(1))


def _converted(call: Call, dtype: str) -> Any:
    rounding = call.attribute("round_mode", None) or "up"
    saturate = bool(call.attribute("saturate", 1))
    if dtype == "float8_e8m0fnu":
        return Known(_powers(call.array(0, "what becomes a power of 2"), rounding))
    return call.cast(call.input(0), dtype, "", saturate=saturate)


def _powers(array: np.ndarray, rounding: str) -> np.ndarray:
    """The powers of 2 near some numbers, as bytes that hold their exponents."""
    wide = np.abs(array.astype("float64"))
    with np.errstate(all="ignore"):
        exponent = np.log2(wide)
    whole: dict[str, Any] = {
        "up": np.ceil,
        "down": np.floor,
        "nearest": lambda e: np.floor(np.log2(wide * 4 / 3)),
    }
    if rounding not in whole:
        raise OnnxError(f"round_mode {rounding!r} is not supported")
    with np.errstate(all="ignore"):
        bounded = np.clip(whole[rounding](exponent), -127, 127)
    return np.where(np.isnan(wide), np.nan, np.exp2(bounded)).astype("float8_e8m0fnu")


def _write_cast(draft: Draft, operator: ops.Cast) -> None:
    draft.node("Cast", draft.inputs, draft.outputs, to=elem_type(operator.dtype))


def _bit_cast(call: Call) -> Any:
    x, dtype = call.input(0), dtype_name(call.attribute("to"))
    if call.dtype(x) == "bool" or dtype == "bool":
        if {call.dtype(x), dtype} <= {"bool", "uint8", "int8"}:
            return call.cast(x, dtype, "")  # a truth value is a byte, 0 or 1
        raise OnnxError("truth values have as many bits as 8-bit integers only")
    return call.apply(ops.BitCast(dtype), x)


def _write_bit_cast(draft: Draft, operator: ops.BitCast) -> None:
    if draft.opset < 26:
        raise OnnxError("BitCast is there from opset 26 on")
    draft.node("BitCast", draft.inputs, draft.outputs, to=elem_type(operator.dtype))


def _modulo(call: Call) -> Any:
    return call.apply(ops.Modulo(bool(call.attribute("fmod"))), *call.inputs)


def _write_modulo(draft: Draft, operator: ops.Modulo) -> None:
    a, b = draft.inputs
    if operator.truncated or not draft.specs[0].is_floating:
        draft.node("Mod", [a, b], draft.outputs, fmod=int(operator.truncated))
        return
    # of floats the standard has the truncated remainder only
    rest = draft.node("Mod", [a, b], fmod=1)
    zero = draft.constant(np.array(0, draft.specs[0].dtype), "zero")
    signs = [draft.node("Less", [name, zero]) for name in (rest, b)]
    apart = draft.node("Xor", signs)
    whole = draft.node("Equal", [rest, zero])
    wrong = draft.node("And", [apart, draft.node("Not", [whole])])
    draft.node("Where", [wrong, draft.node("Add", [rest, b]), rest], draft.outputs)


def _bit_shift(call: Call) -> Any:
    direction = call.attribute("direction").lower()
    a, b = call.inputs
    dtype = call.dtype(a)
    if not dtype.startswith("int"):
        return call.apply(ops.BitShift(direction), a, b)
    # of signed integers the bits move, and to the right the sign comes after them
    unsigned = f"u{dtype}"
    bits, by = (call.apply(ops.BitCast(unsigned), item, part="bits") for item in (a, b))
    if direction == "left":
        return call.apply(
            ops.BitCast(dtype), call.apply(ops.BitShift("left"), bits, by, part="shifted")
        )
    below = call.apply(ops.Less(), a, call.constant(0, a), part="below")
    turned = call.apply(ops.BitwiseNot(), bits, part="turned")
    start = call.apply(ops.Where(), below, turned, bits, part="start")
    shifted = call.apply(ops.BitShift("right"), start, by, part="shifted")
    back = call.apply(ops.BitwiseNot(), shifted, part="back")
    signed = call.apply(ops.Where(), below, back, shifted, part="signed")
    return call.apply(ops.BitCast(dtype), signed)


def _write_bit_shift(draft: Draft, operator: ops.BitShift) -> None:
    draft.node("BitShift", draft.inputs, draft.outputs, direction=operator.direction.upper())


def _is_inf(call: Call) -> Any:
    positive, negative = (bool(call.attribute(f"detect_{s}")) for s in ("positive", "negative"))
    return call.apply(ops.IsInf(positive, negative), call.input(0))


def _write_is_inf(draft: Draft, operator: ops.IsInf) -> None:
    draft.node(
        "IsInf",
        draft.inputs,
        draft.outputs,
        detect_positive=int(operator.positive),
        detect_negative=int(operator.negative),
    )


def _trilu(call: Call) -> Any:
    upper = bool(call.attribute("upper"))
    k = 0 if call.input(1) is None else int(call.number(1, "the diagonal"))
    return call.apply(ops.Triangle(upper, k), call.input(0))


def _write_trilu(draft: Draft, operator: ops.Triangle) -> None:
    k = draft.constant(np.array(operator.diagonal, "int64"), "diagonal")
    draft.node("Trilu", [*draft.inputs, k], draft.outputs, upper=int(operator.upper))


NUMBERS: tuple[Rule, ...] = (
    Rule("Cast", _cast, ops.Cast, _write_cast),
    *only_read(_cast_like, "CastLike"),
    Rule("BitCast", _bit_cast, ops.BitCast, _write_bit_cast, since=26),
    Rule("Mod", _modulo, ops.Modulo, _write_modulo),
    *same("BitwiseAnd", ops.BitwiseAnd, since=18),
    *same("BitwiseOr", ops.BitwiseOr, since=18),
    *same("BitwiseXor", ops.BitwiseXor, since=18),
    *same("BitwiseNot", ops.BitwiseNot, since=18),
    Rule("BitShift", _bit_shift, ops.BitShift, _write_bit_shift),
    *same("IsNaN", ops.IsNaN),
    Rule("IsInf", _is_inf, ops.IsInf, _write_is_inf),
    Rule("Trilu", _trilu, ops.Triangle, _write_trilu, since=14),
    *same("Sin", ops.Sin),
    *same("Cos", ops.Cos),
    *same("Tan", ops.Tan),
    *same("Asin", ops.Asin),
    *same("Acos", ops.Acos),
    *same("Atan", ops.Atan),
    *same("Sinh", ops.Sinh),
    *same("Cosh", ops.Cosh),
    *same("Asinh", ops.Asinh),
    *same("Acosh", ops.Acosh),
    *same("Atanh", ops.Atanh),
)
