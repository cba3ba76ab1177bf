"""A look at the bytes of a file, before protobuf makes objects of them.

protobuf refuses a damaged file with half a sentence, turns two bytes into hundreds, drops values it
does not know, and leaves text that is no UTF-8 to whoever reads it first. So the bytes are walked
once along the same schema, without making anything.

A message is a row of fields. Each begins with a tag, ``number << 3 | wire type``, a varint:

    0   a varint: 7 bits a byte, the lowest first, the high bit set on all but the last
    1   8 bytes
    2   a length (varint) and as many bytes: text, bytes, a message, or packed numbers
    5   4 bytes

Source: "Encoding", protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from graphnet.onnx.limits import EXPANSION, FIELDS, MESSAGE_DEPTH

__all__ = ["WireError", "check_bytes"]

#: Bytes in memory beside those in the file: of a message, of a text and of a number, at most.
#: Measured with protobuf 7; a node with one input takes 200.
MESSAGE_BYTES, TEXT_BYTES, NUMBER_BYTES = 256, 32, 8

#: A varint has at most as many bytes.
VARINT = 10

# What a tag announces; those of a fixed size come last, which is their size.
_MESSAGE, _TEXT, _BYTES, _PACKED, _PACKED_VARINTS, _NUMBER, _ENUM, _FIXED = range(8)

#: Wire type and size of the numbers that are no varints.
FIXED = {
    FieldDescriptor.TYPE_FLOAT: (5, 4), FieldDescriptor.TYPE_FIXED32: (5, 4),
    FieldDescriptor.TYPE_SFIXED32: (5, 4), FieldDescriptor.TYPE_DOUBLE: (1, 8),
    FieldDescriptor.TYPE_FIXED64: (1, 8), FieldDescriptor.TYPE_SFIXED64: (1, 8),
}  # fmt: skip

#: Of the fields that are no numbers, all of wire type 2.
LENGTH_DELIMITED = {
    FieldDescriptor.TYPE_MESSAGE: _MESSAGE,
    FieldDescriptor.TYPE_STRING: _TEXT,
    FieldDescriptor.TYPE_BYTES: _BYTES,
}


class WireError(ValueError):
    """Bytes that are no message of the schema, or one that would take too much memory."""


class _Schema:
    """The tags a message may have: for each, its kind and what belongs to the kind.

    That is the schema of a message, the values of an enum, the size of a fixed number.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.tags: dict[int, tuple[int, Any]] = {}


def _schema(root: Descriptor) -> _Schema:
    schemas: dict[str, _Schema] = {root.full_name: _Schema(root.name)}
    waiting = [root]
    while waiting:
        descriptor = waiting.pop()
        tags = schemas[descriptor.full_name].tags
        for field in descriptor.fields:
            tag = field.number << 3
            if field.type in LENGTH_DELIMITED:
                inner = field.message_type
                if inner is not None and inner.full_name not in schemas:
                    schemas[inner.full_name] = _Schema(inner.name)
                    waiting.append(inner)
                belongs = schemas[inner.full_name] if inner is not None else None
                tags[tag | 2] = (LENGTH_DELIMITED[field.type], belongs)
            elif field.type in FIXED:
                wire_type, size = FIXED[field.type]
                tags[tag | wire_type] = (_FIXED, size)
                tags[tag | 2] = (_PACKED, size)
            elif field.enum_type is not None:
                tags[tag] = (_ENUM, frozenset(field.enum_type.values_by_number))
            else:
                tags[tag] = (_NUMBER, None)
                tags[tag | 2] = (_PACKED_VARINTS, None)
    return schemas[root.full_name]


def check_bytes(data: bytes, root: Descriptor) -> None:
    """Walk the bytes of a message of type ``root``.

    Raises:
        WireError: the bytes are cut short or damaged, hold a field that the schema lacks, or nest
            deeper, have more fields or take more memory than the limits allow.

    >>> import onnx
    >>> check_bytes(onnx.ModelProto(ir_version=8).SerializeToString(), onnx.ModelProto.DESCRIPTOR)
    >>> check_bytes(b"name: 'net'", onnx.ModelProto.DESCRIPTOR)
    Traceback (most recent call last):
    ...
    graphnet.onnx.wire.WireError: byte 0: ModelProto has no field 13 of wire type 6
    """
    schema = _schema(root)
    position, end = 0, len(data)
    around: list[tuple[_Schema, int]] = []  # the messages that hold the present one, and their ends
    fields, budget = 0, EXPANSION
    try:
        while True:
            if position >= end:
                if position > end:
                    raise WireError(f"byte {end}: {schema.name} ends inside a number")
                if not around:
                    return
                schema, end = around.pop()
                continue
            start = position
            tag = data[position]
            position += 1
            if tag > 127:
                tag, position = _varint(data, start)
            kind, belongs = schema.tags.get(tag) or _refuse(schema, tag, start)
            fields += 1
            if kind >= _NUMBER:
                if kind == _FIXED:
                    position += belongs
                    continue
                value = data[position]
                position += 1
                if value > 127:
                    value, position = _varint(data, position - 1)
                if kind == _ENUM and value not in belongs:
                    raise WireError(f"byte {start}: {schema.name} has the unknown value {value}")
                continue
            length = data[position]
            position += 1
            if length > 127:
                length, position = _varint(data, position - 1)
            if position + length > end:
                raise WireError(
                    f"byte {start}: {schema.name} has a field of {length} bytes where "
                    f"{max(end - position, 0)} are left: cut short or damaged"
                )
            if kind == _MESSAGE:
                around.append((schema, end))
                if len(around) > MESSAGE_DEPTH:
                    raise WireError(
                        f"byte {start}: messages nest more than {MESSAGE_DEPTH} deep, which is "
                        f"{MESSAGE_DEPTH // 3} subgraphs"
                    )
                schema, end = belongs, position + length
                budget -= MESSAGE_BYTES
            else:
                budget -= _cost(data, position, position + length, kind, belongs, schema)
                position += length
            if fields > FIELDS or budget < 0:
                raise WireError(
                    f"more than {FIELDS:,} fields, or {EXPANSION >> 20} MiB of messages and names "
                    f"beside its bytes: more than models have"
                )
    except IndexError:
        raise WireError(f"byte {end}: cut short inside a number of {schema.name}") from None


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = 0
    for index in range(VARINT):
        byte = data[position + index]
        value |= (byte & 127) << 7 * index
        if byte < 128:
            return value, position + index + 1
    raise WireError(f"byte {position}: a number of more than {VARINT} bytes")


def _refuse(schema: _Schema, tag: int, start: int) -> tuple[int, Any]:
    raise WireError(f"byte {start}: {schema.name} has no field {tag >> 3} of wire type {tag & 7}")


def _cost(data: bytes, start: int, end: int, kind: int, size: Any, schema: _Schema) -> int:
    """Check a field that holds no message; returns what it takes in memory beside its bytes."""
    if kind == _TEXT:
        try:
            data[start:end].decode()
        except UnicodeDecodeError:
            raise WireError(f"byte {start}: {schema.name} has a text that is no UTF-8") from None
        return TEXT_BYTES
    if kind == _BYTES:
        return TEXT_BYTES
    if kind == _PACKED:
        if (end - start) % size:
            raise WireError(
                f"byte {start}: {schema.name} has {end - start} bytes of numbers of {size} bytes"
            )
        return 0
    numbers = np.frombuffer(data, np.uint8, end - start, start)
    if numbers.size and numbers[-1] > 127:
        raise WireError(f"byte {start}: {schema.name} has numbers that end inside one")
    return int(np.count_nonzero(numbers < 128)) * NUMBER_BYTES
