"""From a model file to a damaged one: by its bytes, or by what a model is made of."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, ModelProto, TensorProto

__all__ = ["damaged"]

#: Numbers that arithmetic of sizes trips over.
INTEGERS = (0, -1, 1, 2, 3, 7, 64, 100, 10**6, 2**31, 2**40, -(2**40), 2**62, -(2**63), 2**63 - 1)
FLOATS = (0.0, -1.0, 0.5, 1e38, -1e38, 1e-45, float("nan"), float("inf"))
TEXTS = (b"", b"x", b"\xff", b"linear", b"SAME_UPPER", b"ij,jk->ik", b"constant")


def damaged(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """The file with one to four faults; ``others`` are those from which parts are taken."""
    for _ in range(rng.randint(1, 4)):
        change = rng.choice((_by_bytes, _by_parts, _by_parts))
        data = change(data, others, rng)
    return data


# bytes


def _by_bytes(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    if not data:
        return bytes([rng.randrange(256)])
    start = rng.randrange(len(data))
    end = min(start + rng.choice((1, 1, 2, 4, 8, 64)), len(data))
    kind = rng.randrange(6)
    if kind == 0:
        return data[:start]
    if kind == 1:
        return data[:start] + data[end:]
    if kind == 2:
        return data[:end] + data[start:]
    if kind == 3:
        return data[:start] + rng.choice(others)[-(len(data) - start) :]
    if kind == 4:
        return data[:start] + bytes([data[start] ^ 1 << rng.randrange(8)]) + data[start + 1 :]
    return data[:start] + rng.randbytes(end - start) + data[end:]


# parts


def _by_parts(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    model = ModelProto()
    try:
        model.ParseFromString(data)
        _change(model, others, rng)
    except (DecodeError, UnicodeDecodeError):
        return _by_bytes(data, others, rng)  # it is damaged too much
    return model.SerializeToString()


def _change(model: ModelProto, others: Sequence[bytes], rng: random.Random) -> None:
    graphs = [model.graph]
    for graph in graphs:
        graphs += [a.g for node in graph.node for a in node.attribute if a.HasField("g")]
    bodies = [*graphs, *model.functions]
    body = rng.choice(bodies)
    changes: list[Callable[[], object]] = [
        lambda: _opset(model, rng),
        lambda: _sizes(rng.choice(graphs), rng),
        lambda: _weight(rng.choice(graphs), rng),
    ]
    if body.node:
        node = rng.choice(body.node)
        names = [name for other in body.node for name in (*other.input, *other.output)]
        changes += [
            lambda: _attribute(node, rng),
            lambda: _attribute(node, rng),
            lambda: _wiring(node, names, rng),
            lambda: _another_node(body, others, rng),
        ]
    rng.choice(changes)()


def _opset(model: ModelProto, rng: random.Random) -> None:
    if model.opset_import:
        rng.choice(model.opset_import).version = rng.randint(1, onnx.defs.onnx_opset_version())


def _sizes(graph: onnx.GraphProto, rng: random.Random) -> None:
    """Another size, rank or type of a value."""
    if not graph.input:
        return
    tensor = rng.choice(graph.input).type.tensor_type
    kind = rng.randrange(4)
    if kind == 0:
        tensor.elem_type = rng.randrange(1, 27)
    elif kind == 1 or not tensor.shape.dim:
        tensor.shape.dim.add().dim_value = rng.choice((0, 1, 3))
    elif kind == 2:
        rng.choice(tensor.shape.dim).dim_param = rng.choice(("N", "M", ""))
    else:
        rng.choice(tensor.shape.dim).dim_value = max(rng.choice(INTEGERS), 0)


def _weight(graph: onnx.GraphProto, rng: random.Random) -> None:
    """Another entry, shape or type of what is stored."""
    if not graph.initializer:
        return
    _tensor(rng.choice(graph.initializer), rng)


def _tensor(tensor: TensorProto, rng: random.Random) -> None:
    kind = rng.randrange(4)
    if kind == 0:
        tensor.data_type = rng.randrange(1, 27)
    elif kind == 1:
        tensor.dims.append(1)
    elif kind == 2 and tensor.dims:
        del tensor.dims[-1]
    elif tensor.data_type == TensorProto.INT64:
        try:
            array = onnx.numpy_helper.to_array(tensor).copy()
        except Exception:
            return  # it is damaged already
        if array.size:
            array.flat[rng.randrange(array.size)] = rng.choice(INTEGERS)
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.asarray(array), tensor.name))


def _attribute(node: onnx.NodeProto, rng: random.Random) -> None:
    """Another value of an attribute, or one less."""
    if not node.attribute:
        return
    attribute = rng.choice(node.attribute)
    kind = attribute.type
    if kind == AttributeProto.INT:
        attribute.i = rng.choice(INTEGERS)
    elif kind == AttributeProto.INTS:
        if attribute.ints and rng.random() < 0.7:
            attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(INTEGERS)
        else:
            attribute.ints.append(rng.choice(INTEGERS))
    elif kind == AttributeProto.FLOAT:
        attribute.f = rng.choice(FLOATS)
    elif kind == AttributeProto.STRING:
        attribute.s = rng.choice(TEXTS)
    elif kind == AttributeProto.TENSOR and rng.random() < 0.8:
        _tensor(attribute.t, rng)
    else:
        node.attribute.remove(attribute)


def _wiring(node: onnx.NodeProto, names: list[str], rng: random.Random) -> None:
    """An input or output more, less, or another."""
    ends = node.input if rng.random() < 0.8 else node.output
    kind = rng.randrange(3)
    if kind == 0 and ends:
        ends.pop()
    elif kind == 1 and ends:
        ends[rng.randrange(len(ends))] = rng.choice([*names, ""])
    else:
        ends.append(rng.choice([*names, ""]))


def _another_node(body: onnx.GraphProto, others: Sequence[bytes], rng: random.Random) -> None:
    """A node of another file between these values, or one of these again."""
    chosen = rng.choice(body.node)
    other = ModelProto.FromString(rng.choice(others))
    if rng.random() < 0.3 or not other.graph.node:
        body.node.add().CopyFrom(chosen)
        return
    taken = rng.choice(other.graph.node)
    inputs, outputs = list(chosen.input), list(chosen.output)
    chosen.CopyFrom(taken)
    del chosen.input[len(inputs) :], chosen.output[len(outputs) :]
    chosen.input[:] = inputs[: len(taken.input)] or inputs
    chosen.output[:] = outputs
