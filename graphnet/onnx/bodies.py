"""What a node stands for that no rule reads: an operator of ours, or a function of the standard."""

from __future__ import annotations

import json
from typing import Any

import onnx
from onnx import FunctionProto, NodeProto

import ops
from graphnet.onnx.call import Call, Item, elem_type
from graphnet.onnx.draft import DOMAIN, OPERATOR
from graphnet.onnx.errors import OnnxError
from ops.operator import Operator

__all__ = ["expect_attributes", "has_body", "own_operator", "standard_body"]


def own_operator(function: FunctionProto) -> Operator | None:
    """The operator for which a function stands that graphnet wrote; None for any other."""
    properties = {entry.key: entry.value for entry in function.metadata_props}
    if function.domain != DOMAIN or OPERATOR not in properties:
        return None
    try:
        said = json.loads(properties[OPERATOR])
        name, fields = said["name"], said["fields"]
        assert name in ops.__all__, f"there is no {name}"
        cls = getattr(ops, name)
        assert issubclass(cls, Operator)
        operator: Operator = cls(**{key: _frozen(value) for key, value in fields.items()})
    except Exception as error:
        raise OnnxError(
            f"function {function.name!r} does not say which operator it is: {error}"
        ) from None
    return operator


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def expect_attributes(call: Call, known: set[str]) -> None:
    """Refuse attributes that a function does not have."""
    extra = sorted({attribute.name for attribute in call.proto.attribute} - known)
    if extra:
        raise OnnxError(f"attribute {', '.join(extra)} of {call.kind} is not supported")


def has_body(node: NodeProto, opset: int) -> bool:
    """Whether the standard defines an operator by a function."""
    try:
        schema: Any = onnx.defs.get_schema(node.op_type, opset, node.domain)
    except onnx.defs.SchemaError:
        return False
    return bool(schema.has_function or schema.has_context_dependent_function)


def standard_body(call: Call) -> FunctionProto | None:
    """The function by which the standard defines an operator; None where it has none."""
    try:
        schema: Any = onnx.defs.get_schema(call.kind, call.opset, call.proto.domain)
    except onnx.defs.SchemaError:
        return None
    body = FunctionProto()
    if schema.has_function:
        versions = [v for v in schema.function_opset_versions if v <= call.opset]
        if versions:
            body.ParseFromString(schema.get_function_with_opset_version(max(versions)))
            return body
    if schema.has_context_dependent_function:
        versions = [v for v in schema.context_dependent_function_opset_versions if v <= call.opset]
        if versions:
            types = [_type(item).SerializeToString() for item in call.inputs]
            node = onnx.NodeProto()
            node.CopyFrom(call.proto)
            content = schema.get_context_dependent_function_with_opset_version(
                max(versions), node.SerializeToString(), types
            )
            body.ParseFromString(content)
            return body
    return None


def _type(item: Item) -> onnx.TypeProto:
    """The type of an item, as ONNX writes it."""
    if item is None:
        return onnx.TypeProto()
    if isinstance(item, list):
        element = _type(item[0]) if item else onnx.TypeProto()
        return onnx.helper.make_sequence_type_proto(element)
    sizes = [size if isinstance(size, int) else str(size) for size in item.shape]
    return onnx.helper.make_tensor_type_proto(elem_type(item.dtype), sizes)
