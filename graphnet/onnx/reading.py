"""The guarded way in: a model file from anywhere becomes a message that can be trusted in its form.

What is checked here belongs to the file: bytes, names, sizes of stored values, other files. Whether
operators are known and shapes fit is found where the graph is built.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from graphnet.onnx.external import ExternalData
from graphnet.onnx.functions import function_problems
from graphnet.onnx.limits import FILE_BYTES, PROBLEMS
from graphnet.onnx.problems import ModelFileError, shown
from graphnet.onnx.scopes import Scope, called, subgraphs
from graphnet.onnx.tensors import shape_problems, tensor_problems, type_problems
from graphnet.onnx.wire import WireError, check_bytes

__all__ = ["read_model"]

#: A graph or the body of a function.
Body = onnx.GraphProto | onnx.FunctionProto

#: The first IR version whose files say which opsets they use.
OLDEST_IR = 3

#: What the domain of the standard operators is called.
STANDARD = ("", "ai.onnx")

#: How files that are often taken for a model begin, and what they are.
BEGINNINGS = (
    (0, b"PK\x03\x04", "a zip archive, such as torch.save and numpy.savez write"),
    (0, b"\x80\x02", "a pickle, which could run anything"),
    (0, b"\x80\x04", "a pickle, which could run anything"),
    (0, b"\x89HDF", "an HDF5 file, such as Keras writes"),
    (0, b"\x1f\x8b", "a gzip file: unpack it"),
    (0, b"version https://git-lfs", "a pointer of Git LFS: fetch the file with git lfs pull"),
    (4, b"ORTM", "a model in ONNX Runtime's own format"),
    (4, b"TFL3", "a model of TensorFlow Lite"),
)

#: The field that holds the value of an attribute, by its type.
VALUES = {
    "FLOAT": "f", "INT": "i", "STRING": "s", "TENSOR": "t", "GRAPH": "g",
    "SPARSE_TENSOR": "sparse_tensor", "TYPE_PROTO": "tp", "FLOATS": "floats", "INTS": "ints",
    "STRINGS": "strings", "TENSORS": "tensors", "GRAPHS": "graphs",
    "SPARSE_TENSORS": "sparse_tensors", "TYPE_PROTOS": "type_protos",
}  # fmt: skip


def read_model(source: str | os.PathLike[str] | bytes) -> onnx.ModelProto:
    """Read an ONNX model from a file, or from the bytes of one.

    Afterwards every name that is read is made once, nodes come after those they read from, each
    stored value has as many bytes as its sizes promise, and values from files beside the model are
    part of it. A file runs nothing, and nothing outside the model's folder is opened.

    Args:
        source: the path of a ``.onnx`` file, or its content.

    Raises:
        ModelFileError: it is no model, or a damaged or malicious one; all that is wrong is listed.
        OSError: the file cannot be opened.

    Source: "Open Neural Network Exchange Intermediate Representation Specification", onnx.ai.

    >>> read_model(b"")
    Traceback (most recent call last):
    ...
    graphnet.onnx.problems.ModelFileError: model: expected an ONNX model, received nothing: 0 bytes
    """
    if isinstance(source, bytes):
        what, folder, data = "model", None, source
    else:
        path = Path(source)
        what, folder, data = str(path), path.parent, _content(path)
    model = _parse(data, what)
    external = ExternalData(folder)
    scopes = [Scope(body, label) for label, body in _wholes(model)]
    problems = itertools.chain(
        _model_problems(model),
        *(scope.problems() for scope in scopes),
        function_problems(model),
        *(_body_problems(model, label, body, external) for label, body in _wholes(model)),
        external.overlaps(),
    )
    found = list(itertools.islice(problems, PROBLEMS + 1))
    if found:
        raise ModelFileError(what, found)
    external.read()
    for scope in scopes:
        scope.put_in_order()
    return model


def _content(path: Path) -> bytes:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ModelFileError(str(path), ["expected a file, received a folder, a pipe or a device"])
    if status.st_size > FILE_BYTES:
        raise ModelFileError(
            str(path),
            [
                f"expected at most {FILE_BYTES:,} bytes, received {status.st_size:,}; larger "
                f"models keep their weights in a file of their own"
            ],
        )
    return path.read_bytes()


def _parse(data: bytes, what: str) -> onnx.ModelProto:
    if not data:
        raise ModelFileError(what, ["expected an ONNX model, received nothing: 0 bytes"])
    try:
        check_bytes(data, onnx.ModelProto.DESCRIPTOR)
        model: onnx.ModelProto = onnx.ModelProto.FromString(data)
    except (WireError, DecodeError) as error:
        for offset, beginning, likely in BEGINNINGS:
            if data.startswith(beginning, offset):
                raise ModelFileError(what, [f"expected an ONNX model, received {likely}"]) from None
        if _is_text(data[:1024]):
            raise ModelFileError(what, ["expected an ONNX model, received a text"]) from None
        raise ModelFileError(what, [f"no ONNX model, or a damaged one: {error}"]) from None
    return model


def _is_text(data: bytes) -> bool:
    try:
        return all(char.isprintable() or char.isspace() for char in data.decode())
    except UnicodeDecodeError:
        return False


def _wholes(model: onnx.ModelProto) -> Iterator[tuple[str, Body]]:
    """The graph and the functions, each with what errors call it."""
    yield f"graph {shown(model.graph.name)}", model.graph
    for function in model.functions:
        yield f"function {shown(function.name)}", function


def _model_problems(model: onnx.ModelProto) -> Iterator[str]:
    if not OLDEST_IR <= model.ir_version <= onnx.IR_VERSION:
        yield (
            f"expected a file of IR version {OLDEST_IR} to {onnx.IR_VERSION}, which the installed "
            f"onnx {onnx.__version__} knows, received {model.ir_version}"
        )
    if not model.HasField("graph"):
        yield "has no graph"
    yield from _opset_problems(model.opset_import, "the model")
    for function in model.functions:
        yield from _opset_problems(function.opset_import, f"function {shown(function.name)}")


def _opset_problems(opsets: Sequence[onnx.OperatorSetIdProto], whose: str) -> Iterator[str]:
    if not opsets:
        yield f"{whose} does not say which opsets it uses"
    for domain, count in Counter(opset.domain for opset in opsets).items():
        if count > 1:
            yield f"{whose} names {count} opsets of the domain {shown(domain)}"
    for opset in opsets:
        newest = onnx.defs.onnx_opset_version()
        if opset.version < 1:
            yield f"expected an opset of at least 1, received {opset.version}"
        elif opset.domain in STANDARD and opset.version > newest:
            yield (
                f"opset {opset.version} is newer than {newest}, the last one that the installed "
                f"onnx {onnx.__version__} knows"
            )


def _body_problems(
    model: onnx.ModelProto, label: str, whole: Body, external: ExternalData
) -> Iterator[str]:
    """What is wrong inside the graphs and functions, other than with names.

    Args:
        model: the model.
        label: how errors call the graph or function.
        whole: the graph or function.
        external: takes note of the values that lie in other files.
    """
    inside_function = isinstance(whole, onnx.FunctionProto)
    imported = whole.opset_import if inside_function else model.opset_import
    domains = {"" if opset.domain in STANDARD else opset.domain for opset in imported}
    parameters: set[str] | None = None
    if inside_function:
        defaults = [attribute.name for attribute in whole.attribute_proto]
        parameters = {*whole.attribute, *defaults}
        for attribute in whole.attribute_proto:
            yield from _attribute_problems(attribute, f"of {label}", set(), external)
    waiting: list[tuple[str, Body]] = [(label, whole)]
    while waiting:
        where, body = waiting.pop()
        if isinstance(body, onnx.GraphProto):
            for value in (*body.input, *body.output, *body.value_info):
                yield from type_problems(value.type, f"value {shown(value.name)} of {where}")
            for tensor in body.initializer:
                name = f"weight {shown(tensor.name)} of {where}"
                yield from _stored_problems(tensor, name, external)
            for sparse in body.sparse_initializer:
                name = f"weight {shown(sparse.values.name)} of {where}"
                yield from _sparse_problems(sparse, name, external)
        for index, node in enumerate(body.node):
            name = called(node, index)
            domain = "" if node.domain in STANDARD else node.domain
            if not node.op_type:
                yield f"{name} names no operator"
            elif domain not in domains:
                yield f"{name}: the domain {shown(domain)} is not among the opsets in use"
            names: set[str] = set()
            for attribute in node.attribute:
                if attribute.name in names:
                    yield f"{name} has two attributes {shown(attribute.name)}"
                names.add(attribute.name)
                yield from _attribute_problems(attribute, f"of {name}", parameters, external)
            waiting.extend(subgraphs(node, name))


def _attribute_problems(
    attribute: onnx.AttributeProto,
    owner: str,
    parameters: set[str] | None,
    external: ExternalData,
) -> Iterator[str]:
    """What is wrong with an attribute; ``parameters`` are those of the function around it."""
    where = f"attribute {shown(attribute.name)} {owner}"
    kind = onnx.AttributeProto.AttributeType.Name(attribute.type)
    filled = {field.name for field, _ in attribute.ListFields()} & set(VALUES.values())
    if attribute.ref_attr_name:
        if filled:
            yield f"{where} has a value and refers to another attribute"
        if parameters is None or attribute.ref_attr_name not in parameters:
            yield f"{where} refers to {shown(attribute.ref_attr_name)}, which no function takes"
    elif kind == "UNDEFINED":
        yield f"{where} does not say of which type it is"
    elif wrong := filled - {VALUES[kind]}:
        yield f"{where} is of type {kind}, but has a value in {' and '.join(sorted(wrong))}"
    elif kind in ("TENSOR", "GRAPH", "SPARSE_TENSOR", "TYPE_PROTO") and not filled:
        yield f"{where} has no value"
    for tensor in (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors):
        yield from _stored_problems(tensor, where, external)
    alone = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
    for sparse in (*alone, *attribute.sparse_tensors):
        yield from _sparse_problems(sparse, where, external)


def _sparse_problems(
    sparse: onnx.SparseTensorProto, where: str, external: ExternalData
) -> Iterator[str]:
    yield from shape_problems(sparse.dims, where)
    yield from _stored_problems(sparse.values, f"values of {where}", external)
    yield from _stored_problems(sparse.indices, f"indices of {where}", external)


def _stored_problems(tensor: onnx.TensorProto, where: str, external: ExternalData) -> Iterator[str]:
    found = list(tensor_problems(tensor, where))
    yield from found
    if tensor.data_location == onnx.TensorProto.EXTERNAL and not found:
        yield from external.problems(tensor, where)
