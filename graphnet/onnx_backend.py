"""graphnet as a backend of the ONNX standard: ``prepare(model, device).run(arrays)``."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto
from onnx.backend.base import Backend as _Backend
from onnx.backend.base import BackendRep, Device, DeviceType, namedtupledict

from graphnet.backends import BackendError, get_backend
from graphnet.executor import Executor
from graphnet.graph import Graph
from graphnet.onnx.errors import OnnxError, UndecidedError
from graphnet.onnx.importing import Importer
from graphnet.onnx.known import Known, is_computed
from graphnet.values import Value

__all__ = ["Backend", "GraphnetRep", "prepare", "run_model", "run_node", "supports_device"]

#: How many graphs a model is remembered as; each set of input shapes has its own.
FORMS = 16

_BACKENDS = {DeviceType.CPU: "numpy", DeviceType.CUDA: "cupy"}


class GraphnetRep(BackendRep):
    """A model, ready to run.

    A graph is made for the shapes of the first inputs, and again for others.  Inputs whose
    entries decide a shape are part of it: it is made again for other entries.
    """

    def __init__(self, model: ModelProto, backend: str) -> None:
        self._model = model
        self._backend = backend
        stored = {tensor.name for tensor in model.graph.initializer}
        self._inputs = [value.name for value in model.graph.input if value.name not in stored]
        self._tensors = {
            value.name
            for value in model.graph.input
            if value.type.WhichOneof("value") == "tensor_type"
        }
        self._outputs = [value.name for value in model.graph.output]
        self._forms: OrderedDict[tuple[Any, ...], _Form] = OrderedDict()
        self._bound: dict[tuple[Any, ...], frozenset[str]] = {}

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """The outputs for some inputs.

        Args:
            inputs: one array per input, in the model's order, or by name.
            kwargs: none are known.

        Raises:
            OnnxError: the model cannot be run on them.
        """
        if kwargs:
            raise OnnxError(f"expected no options, received {list(kwargs)}")
        if isinstance(inputs, Mapping):
            feeds = dict(inputs)
        else:
            given = list(inputs) if isinstance(inputs, Sequence) else [inputs]
            if len(given) > len(self._inputs):
                raise OnnxError(f"expected inputs {self._inputs}, received {len(given)}")
            feeds = dict(zip(self._inputs, given, strict=False))
        found = self._form(feeds).run(feeds)
        return tuple(namedtupledict("Outputs", self._outputs)(*found))

    def _form(self, feeds: dict[str, Any]) -> _Form:
        shapes = tuple((name, _shape(feed)) for name, feed in feeds.items())
        still = frozenset(n for n, f in feeds.items() if n not in self._tensors or not _flows(f))
        bound = self._bound.get(shapes, still)
        while True:
            key = (shapes, *((name, _fingerprint(feeds[name])) for name in sorted(bound)))
            if key in self._forms:
                self._forms.move_to_end(key)
                return self._forms[key]
            try:
                form = _Form(self._model, feeds, bound, self._backend)
            except UndecidedError as error:
                wanted = frozenset(error.inputs) | bound
                if wanted == bound:
                    raise
                bound = wanted
                continue
            self._bound[shapes] = bound
            self._forms[key] = form
            if len(self._forms) > FORMS:
                self._forms.popitem(last=False)
            return form


class _Form:
    """The graph of a model for some shapes, and some entries."""

    def __init__(
        self, model: ModelProto, feeds: Mapping[str, Any], bound: frozenset[str], backend: str
    ) -> None:
        importer = Importer(
            model,
            model.graph.name or "the model",
            shapes={n: np.shape(f) for n, f in feeds.items() if n not in bound},
            constants={name: feeds[name] for name in bound},
            trainable=False,
        )
        self._found = importer.outputs()
        values: dict[str, Value] = {}
        for item in self._found.values():
            _collect(item, values)
        self._names = importer.inputs
        self._net: Executor | None = None
        if values:
            graph = Graph(**values)
            if any(value.dtype == "float16" for value in graph.values()):
                # no kernel computes in it: the operators themselves do, while the model is read
                raise UndecidedError("float16 is computed while the model is read", feeds)
            self._net = Executor(graph, backend=backend)

    def run(self, feeds: Mapping[str, Any]) -> list[Any]:
        results: Mapping[str, Any] = {}
        if self._net is not None:
            wanted = self._net.graph.inputs
            arrays: dict[str, Any] = {
                str(value.name): np.asarray(feeds[name])
                for name, value in self._names.items()
                if value.name in wanted
            }
            found = self._net.forward(**arrays)
            results = {name: self._net.to_host(array) for name, array in found.items()}
        return [_result(item, results) for item in self._found.values()]


def _key(value: Value) -> str:
    return f"value{value.order}"


def _collect(item: Any, values: dict[str, Value]) -> None:
    if isinstance(item, list):
        for entry in item:
            _collect(entry, values)
    elif isinstance(item, Value):
        values[_key(item)] = item


def _result(item: Any, results: Mapping[str, Any]) -> Any:
    if isinstance(item, list):
        return [_result(entry, results) for entry in item]
    if isinstance(item, Value):
        return results[_key(item)]
    if isinstance(item, Known):
        return item.array
    return None


def _flows(feed: Any) -> bool:
    """Whether a feed is an array that the kernels take."""
    return isinstance(feed, np.ndarray | np.generic | float | int) and (
        is_computed(np.asarray(feed).dtype)
    )


def _shape(feed: Any) -> Any:
    if isinstance(feed, list):
        return tuple(map(_shape, feed))
    return None if feed is None else (np.shape(feed), str(np.asarray(feed).dtype))


def _fingerprint(feed: Any) -> Any:
    if isinstance(feed, list):
        return tuple(map(_fingerprint, feed))
    if feed is None:
        return None
    array = np.asarray(feed)
    return tuple(map(str, array.reshape(-1))) if array.dtype.kind in "OUS" else array.tobytes()


class Backend(_Backend):
    """What ONNX's own test runner drives."""

    @classmethod
    def is_compatible(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Every model is tried; what is not supported is an error that says so."""
        return True

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> GraphnetRep:
        """A model, ready to run on a device.

        Args:
            model: a model of the standard.
            device: ``"CPU"``, or ``"CUDA"`` where CuPy works.
            kwargs: none are known.

        Raises:
            OnnxError: the model is invalid, or the options or the device are unknown.
        """
        if kwargs:
            raise OnnxError(f"expected no options, received {list(kwargs)}")
        if not cls.supports_device(device):
            raise OnnxError(f"expected a device that works here, received {device!r}")
        return GraphnetRep(model, _BACKENDS[Device(device).type])

    @classmethod
    def run_model(
        cls, model: ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any
    ) -> tuple[Any, ...]:
        """The outputs of a model; :meth:`prepare` keeps what more runs can use again."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Any = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """The outputs of one node of the newest opset."""
        arrays = [np.asarray(array) for array in inputs]
        names = [name for name in node.input if name]
        declared = [
            onnx.helper.make_tensor_value_info(
                name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in zip(names, arrays, strict=True)
        ]
        outputs = [onnx.helper.make_empty_tensor_value_info(name) for name in node.output if name]
        graph = onnx.helper.make_graph([node], "node", declared, outputs)
        opset = kwargs.pop("opset_version", onnx.defs.onnx_opset_version())
        model = onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid(node.domain, opset)]
        )
        return cls.run_model(model, arrays, device, **kwargs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether a device works here."""
        try:
            get_backend(_BACKENDS[Device(device).type])
        except (BackendError, KeyError, AttributeError):
            return False
        return True


prepare = Backend.prepare
run_model = Backend.run_model
run_node = Backend.run_node
supports_device = Backend.supports_device
