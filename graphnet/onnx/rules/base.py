"""What a rule is: how one ONNX operator is read, and how one of ours is written as it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from graphnet.onnx.call import Call, Item, Items
from graphnet.onnx.draft import Draft
from graphnet.onnx.known import FILLED, Known, expect_affordable, is_computed
from ops.dimension import Dim, Size
from ops.operator import Operator, Spec
from ops.shape import Reshape

__all__ = ["Read", "Rule", "Write", "fields_of", "full", "only_read", "reshape", "same", "size_of"]

Read = Callable[[Call], Items]
Write = Callable[["Draft", Any], None]


@dataclass(frozen=True)
class Rule:
    """One row of the table of operators.

    Attributes:
        name: of the ONNX operator.
        read: what becomes of a node of it; ``NotImplemented`` leaves it to the function by which
            the standard defines it.  None for an operator of ours that the standard lacks.
        operator: which of ours is written as it.
        write: how; several nodes where the standard has no operator of this meaning.
        since: the first opset with this form of the operator.
        older: whether other operators are written in its place under an older opset.
        plain: whether several nodes are written as they are, since they are read as one again.
            Else they become a function.
        domain: of the ONNX operator.
    """

    name: str
    read: Read | None
    operator: type[Operator] | None = None
    write: Write | None = None
    since: int = 13
    older: bool = False
    plain: bool = False
    domain: str = ""


def only_read(read: Read, *names: str, domain: str = "") -> tuple[Rule, ...]:
    """Rules of operators that become several of ours, or none."""
    return tuple(Rule(name, read, domain=domain) for name in names)


def fields_of(operator: type[Operator]) -> dict[str, dataclasses.Field[Any]]:
    """The configuration of a class of operators."""
    return {f.name: f for f in dataclasses.fields(operator)}  # type: ignore[arg-type]


def same(
    name: str, operator: type[Operator], *, since: int = 13, **attributes: str
) -> tuple[Rule, ...]:
    """The rule of an operator that both sides have, with the same inputs.

    Args:
        name: of the ONNX operator.
        operator: ours.
        since: the first opset that has it so.
        attributes: the field that each attribute is.
    """
    fields = fields_of(operator)
    flags = {field for field in attributes.values() if isinstance(fields[field].default, bool)}

    def read(call: Call) -> Any:
        call.ignore("consumed_inputs")  # of opset 1 to 5, and of no meaning
        values = {}
        for attribute, field in attributes.items():
            value = call.attribute(attribute)
            if value is not None:
                values[field] = bool(value) if field in flags else value
        return call.apply(operator(**values), *call.inputs)

    def write(draft: Draft, written: Any) -> None:
        values = {attribute: getattr(written, field) for attribute, field in attributes.items()}
        draft.node(name, draft.inputs, draft.outputs, **values)

    return (Rule(name, read, operator, write, since),)


def reshape(call: Call, item: Item, sizes: tuple[Size, ...], part: str = "") -> Any:
    """An item in another shape, of which one size may be the batch or a multiple of it."""
    if call.shape(item) == sizes:
        return item
    wanted: list[int | str] = []
    for size in sizes:
        if not isinstance(size, Dim):
            wanted.append(size)
        elif size == "N" and "N" not in wanted:
            wanted.append("N")
        else:
            wanted.append(-1)
    return call.apply(Reshape(tuple(wanted)), item, part=part)


def full(sizes: tuple[int, ...], value: Any, dtype: Any) -> Known:
    """A new constant, unless it is far too large."""
    if is_computed(np.dtype(dtype)):
        expect_affordable((Spec(sizes, np.dtype(dtype).name),), limit=FILLED)
    return Known(np.broadcast_to(np.asarray(value, dtype), sizes))


def size_of(call: Call) -> Any:
    """How many entries the first input has."""
    return reduce(lambda a, b: a * b, call.shape(), 1)  # type: ignore[arg-type,return-value]
