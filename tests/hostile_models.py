"""ONNX files that were made to break readers, each with what the error must say.

Those here are wrong as files. They are made of bytes by hand where no writer would make them.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx
from onnx import TensorProto, helper

FLOAT = TensorProto.FLOAT
HUGE = 2**40


def model(
    *nodes: onnx.NodeProto,
    weights: tuple[TensorProto, ...] = (),
    inputs: tuple[str, ...] = ("x",),
    outputs: tuple[str, ...] = ("y",),
    shape: tuple[int | str, ...] = ("N", 4),
    functions: tuple[onnx.FunctionProto, ...] = (),
    opset: int = 17,
) -> onnx.ModelProto:
    """A model of these nodes, unchecked."""
    values = {name: helper.make_tensor_value_info(name, FLOAT, shape) for name in inputs}
    made = [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs]
    graph = helper.make_graph(list(nodes), "g", list(values.values()), made, list(weights))
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("mine", 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=8)


def relu(x: str = "x", y: str = "y", **fields: str) -> onnx.NodeProto:
    return helper.make_node("Relu", [x], [y], **fields)


def tensor(name: str = "w", dims: tuple[int, ...] = (2,), **fields: object) -> TensorProto:
    """A tensor of exactly these fields, float unless said."""
    return TensorProto(**{"name": name, "dims": dims, "data_type": FLOAT, **fields})


def with_weight(weight: TensorProto) -> onnx.ModelProto:
    return model(helper.make_node("Add", ["x", weight.name], ["y"]), weights=(weight,))


def field(number: int, content: bytes) -> bytes:
    """A field of a message as bytes: tag, length, content."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def nested(depth: int) -> bytes:
    """A graph in an attribute of a node of a graph, and so on, without a writer's recursion."""
    # lengths grow from the inside, so the headers are written from there, and turned around
    size, headers = 0, []
    for _ in range(depth):
        for number in (6, 5, 1):  # AttributeProto.g, NodeProto.attribute, GraphProto.node
            headers.append(varint(number << 3 | 2) + varint(size))
            size += len(headers[-1])
    return field(7, b"".join(reversed(headers)))


def cycle(length: int) -> onnx.ModelProto:
    names = [f"v{i}" for i in range(length)]
    nodes = [relu(names[i - 1], names[i], name=f"n{i}") for i in range(length)]
    return model(*nodes, outputs=("v0",))


def calling(name: str, *others: str, times: int = 1) -> onnx.FunctionProto:
    """A function that calls others, each so many times, one after the other."""
    nodes, last = [], "x"
    for other in others * times:
        nodes.append(helper.make_node(other, [last], [f"{last}_"], domain="mine"))
        last = f"{last}_"
    nodes.append(relu(last, "y"))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    return helper.make_function("mine", name, ["x"], ["y"], nodes, opsets)


def doubling(levels: int) -> onnx.ModelProto:
    functions = [calling("f0")]
    functions += [calling(f"f{i}", f"f{i - 1}", times=2) for i in range(1, levels)]
    call = helper.make_node(f"f{levels - 1}", ["x"], ["y"], domain="mine")
    return model(call, functions=tuple(functions))


def changed(change: Callable[[onnx.ModelProto], object], start: onnx.ModelProto) -> bytes:
    change(start)
    return start.SerializeToString()


def attribute(**fields: object) -> onnx.ModelProto:
    node = helper.make_node("LeakyRelu", ["x"], ["y"])
    node.attribute.append(onnx.AttributeProto(**fields))
    return model(node)


def subgraph_reads(name: str) -> onnx.ModelProto:
    inner = helper.make_graph(
        [relu(name, "z")], "inner", [], [helper.make_tensor_value_info("z", FLOAT, None)]
    )
    node = helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)
    return model(node)


WHOLE = model(relu()).SerializeToString()

#: By name: the bytes of the file, and what the error says.
FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "received nothing"),
    "text": (b"ir_version: 8\ngraph { name: 'net' }\n", "received a text"),
    "zip": (b"PK\x03\x04" + bytes(60), "a zip archive"),
    "pickle": (b"\x80\x02}q\x00.", "a pickle"),
    "zeros": (bytes(64), "has no field 0"),
    "ones": (b"\xff" * 64, "a number of more than 10 bytes"),
    "cut inside": (WHOLE[:-3], "cut short"),
    "cut to the version": (WHOLE[:2], "has no graph"),
    "length of 2^40": (varint(7 << 3 | 2) + varint(HUGE) + b"..", "where 2 are left"),
    "length of 2^64": (varint(7 << 3 | 2) + b"\xff" * 9 + b"\x01", "cut short"),
    "unknown field": (WHOLE + field(99, b"?"), "no field 99"),
    "unknown value of an enum": (field(7, field(1, field(5, b"\xa0\x01\x63"))), "value 99"),
    "text that is no UTF-8": (field(2, b"\xff\xfe"), "no UTF-8"),
    "packed numbers cut": (field(7, field(5, field(1, b"\x80"))), "end inside one"),
    "packed floats cut": (field(7, field(5, field(4, b"123"))), "3 bytes of numbers of 4"),
    "nested 10,000 deep": (nested(10_000), "nest more than 100 deep"),
    "a million messages": (field(7, field(1, b"") * 1_000_000), "more than models have"),
    "five million names": (field(7, field(1, field(1, b"") * 5_000_000)), "more than models have"),
    "packed numbers that grow": (
        field(7, field(5, field(7, bytes(20_000_000)))), "more than models have",
    ),
    "no opset": (changed(lambda m: m.ClearField("opset_import"), model(relu())), "which opsets"),
    "opset twice": (
        changed(lambda m: m.opset_import.add(version=9), model(relu())), "names 2 opsets",
    ),
    "opset of the future": (model(relu(), opset=9999).SerializeToString(), "newer than"),
    "IR of the future": (
        changed(lambda m: setattr(m, "ir_version", 999), model(relu())), "received 999",
    ),
    "cycle of one": (cycle(1).SerializeToString(), "a cycle of 1 nodes: 'n0' (Relu) -> 'n0'"),
    "cycle of many": (cycle(1000).SerializeToString(), "a cycle of 1000 nodes"),
    "made twice": (
        model(relu(), relu()).SerializeToString(), "node 1 (Relu) makes 'y', which is there",
    ),
    "an input made again": (model(relu("x", "x"), relu()).SerializeToString(), "makes 'x'"),
    "input twice": (
        changed(lambda m: m.graph.input.extend(list(m.graph.input)), model(relu())),
        "two inputs or weights of the name 'x'",
    ),
    "output twice": (model(relu(), outputs=("y", "y")).SerializeToString(), "two outputs"),
    "undefined input": (model(relu("ghost")).SerializeToString(), "reads 'ghost', which nothing"),
    "undefined output": (model(relu(y="z")).SerializeToString(), "hands out 'y', which nothing"),
    "undefined in a subgraph": (
        subgraph_reads("ghost").SerializeToString(), "(Relu) reads 'ghost', which nothing makes",
    ),
    "no operator": (model(helper.make_node("", ["x"], ["y"])).SerializeToString(), "no operator"),
    "domain not in use": (
        model(helper.make_node("Relu", ["x"], ["y"], domain="theirs")).SerializeToString(),
        "the domain 'theirs' is not among the opsets",
    ),
    "function that calls itself": (
        model(
            helper.make_node("f", ["x"], ["y"], domain="mine"), functions=(calling("f", "f"),)
        ).SerializeToString(),
        "call each other in a circle",
    ),
    "functions in a circle": (
        model(
            helper.make_node("f", ["x"], ["y"], domain="mine"),
            functions=(calling("f", "g"), calling("g", "f")),
        ).SerializeToString(),
        "call each other in a circle",
    ),
    "functions that double": (doubling(60).SerializeToString(), "once its functions are written"),
    "function twice": (
        model(relu(), functions=(calling("f"), calling("f"))).SerializeToString(),
        "'mine:f' is there 2 times",
    ),
    "attribute without a type": (
        attribute(name="alpha", f=0.5).SerializeToString(), "does not say of which type",
    ),
    "attribute of another type": (
        attribute(name="alpha", f=0.5, type="INT").SerializeToString(), "type INT, but has",
    ),
    "attribute twice": (
        changed(
            lambda m: m.graph.node[0].attribute.add(name="alpha", type="FLOAT", f=1),
            attribute(name="alpha", type="FLOAT", f=2),
        ),
        "two attributes 'alpha'",
    ),
    "attribute that refers": (
        attribute(name="alpha", type="FLOAT", ref_attr_name="a").SerializeToString(),
        "refers to 'a', which no function takes",
    ),
    "tensor attribute without a tensor": (
        attribute(name="value", type="TENSOR").SerializeToString(), "has no value",
    ),
    "negative size": (with_weight(tensor(dims=(-2,))).SerializeToString(), "sizes of at least 0"),
    "rank bomb": (with_weight(tensor(dims=(1,) * 100_000)).SerializeToString(), "at most 64 axes"),
    "size of 2^40": (
        with_weight(tensor(dims=(HUGE,), raw_data=b"1234")).SerializeToString(),
        "expected 4,398,046,511,104 bytes",
    ),
    "sizes that overflow": (
        with_weight(tensor(dims=(HUGE, HUGE, HUGE))).SerializeToString(), "more than a computer",
    ),
    "sizes that wrap to 8 bytes": (
        with_weight(tensor(dims=(2**32, 2**32, 2), raw_data=bytes(8))).SerializeToString(),
        "more than a computer",
    ),
    "a zero that hides an overflow": (
        with_weight(tensor(dims=(0, HUGE, HUGE))).SerializeToString(), "more than a computer",
    ),
    "raw data too short": (
        with_weight(tensor(raw_data=bytes(7))).SerializeToString(), "expected 8 bytes", ),
    "raw data too long": (
        with_weight(tensor(raw_data=bytes(9))).SerializeToString(), "received 9",
    ),
    "values too few": (
        with_weight(tensor(float_data=[1.0])).SerializeToString(), "2 entries of float_data",
    ),
    "values twice": (
        with_weight(tensor(float_data=[1, 2], raw_data=bytes(8))).SerializeToString(),
        "its values once, received raw_data and float_data",
    ),
    "values in another field": (
        with_weight(tensor(int64_data=[1, 2])).SerializeToString(), "received int64_data",
    ),
    "no values": (with_weight(tensor()).SerializeToString(), "expected 2 values of FLOAT"),
    "no type": (
        with_weight(tensor(data_type=0, raw_data=bytes(8))).SerializeToString(), "UNDEFINED",
    ),
    "unknown type": (
        with_weight(tensor(data_type=12345, raw_data=bytes(8))).SerializeToString(), "type 12345",
    ),
    "segment": (
        with_weight(
            tensor(segment=TensorProto.Segment(begin=0, end=1), raw_data=bytes(8))
        ).SerializeToString(),
        "in segments",
    ),
    "external data without a folder": (
        with_weight(
            tensor(
                data_location="EXTERNAL",
                external_data=[onnx.StringStringEntryProto(key="location", value="w.bin")],
            )
        ).SerializeToString(),
        "which a model given as bytes has not",
    ),
    "rank bomb of an input": (
        model(relu(), shape=(1,) * 1000).SerializeToString(), "at most 64 axes",
    ),
    "size of an input below 0": (
        model(relu(), shape=(-5, 4)).SerializeToString(), "sizes of at least 0",
    ),
}  # fmt: skip
