"""The graph object of the frontend: it records, refuses what breaks a rule, and evaluates."""

from __future__ import annotations

import ctypes
import enum
import itertools
from typing import Any

import numpy as np

from graphnet.backends.recording import enqueue
from tests.frontend import operations

__all__ = ["NotSupportedError", "Pygraph", "data_type"]


class NotSupportedError(RuntimeError):
    """cuDNN has no engine for a graph."""


class data_type(enum.Enum):  # noqa: N801 - the frontend's name
    NOT_SET = None
    FLOAT = "float32"
    HALF = "float16"
    BFLOAT16 = "bfloat16"
    BOOLEAN = "bool"


class Tensor:
    """As the frontend's: attributes are set one after the other."""

    def __init__(self, graph: Pygraph, **attributes: Any) -> None:
        self.graph = graph
        self.dim: list[int] = []
        self.stride: list[int] = []
        self.data_type = data_type.NOT_SET
        self.uid: int | None = None
        self.is_virtual = True
        self.by_value = False
        self.producer: str | None = None
        self.__dict__.update(attributes)

    def set_output(self, value: bool) -> Tensor:
        assert self.producer, "what is read is no output"
        self.is_virtual = not value
        return self

    def set_dim(self, dim: list[int]) -> Tensor:
        self.dim = dim
        return self

    def set_stride(self, stride: list[int]) -> Tensor:
        self.stride = stride
        return self

    def set_data_type(self, kind: data_type) -> Tensor:
        assert isinstance(kind, data_type)
        self.data_type = kind
        return self

    def set_uid(self, uid: int) -> Tensor:
        self.uid = uid
        return self


class Plans:
    """The engines that the stand-in offers: good ones, and one of every kind that is no good."""

    NOTES = (
        ("eng0_k1=0", ("TENSOR_CORE", "DOWN_CONVERT_INPUTS")),
        ("eng1_k1=0", ("NONDETERMINISTIC",)),
        ("eng2_k1=0", ()),
        ("eng3_k1=0", None),  # does not build
        ("eng4_k1=7", ("WINOGRAD",)),
        ("eng5_k1=1", ()),
    )


class Pygraph:
    """One graph, from its tensors to its execution."""

    def __init__(
        self,
        frontend: Any,
        *,
        io_data_type: data_type,
        intermediate_data_type: data_type,
        compute_data_type: data_type,
        handle: int,
    ) -> None:
        assert handle == 77 and compute_data_type is data_type.FLOAT
        self._frontend, self._io = frontend, io_data_type
        self._between = intermediate_data_type
        self.tensors: list[Tensor] = []
        self.operations: list[tuple[str, dict[str, Any], list[Tensor]]] = []
        self._struck: set[str] = set()
        self._built: dict[int, int] = {}
        self._stage = 0

    # -- declaring

    def tensor(
        self,
        dim: list[int],
        stride: list[int],
        data_type: data_type,
        is_pass_by_value: bool = False,
        name: str = "",
        uid: int = -1,
    ) -> Tensor:
        assert self._stage == 0, "the graph is built already"
        found = Tensor(
            self, dim=dim, stride=stride, data_type=data_type, uid=uid,
            is_virtual=False, by_value=is_pass_by_value, name=name,
        )  # fmt: skip
        self.tensors.append(found)
        return found

    def __getattr__(self, name: str) -> Any:
        if name not in operations.SIGNATURES:
            raise AttributeError(f"the frontend has no operation {name!r} that is known here")
        required, optional, count = operations.SIGNATURES[name]

        def record(**given: Any) -> Any:
            assert self._stage == 0, "the graph is built already"
            missing, unknown = required - set(given), set(given) - required - optional
            assert not missing and not unknown, (name, missing, unknown)
            for value in given.values():
                if isinstance(value, Tensor):
                    assert value.graph is self, "a tensor of another graph"
            results = [Tensor(self, producer=name) for _ in range(count)]
            self.tensors += results
            self.operations.append((name, given, results))
            return results[0] if count == 1 else results

        return record

    # -- building

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(name for name, _, _ in self.operations)

    def validate(self) -> None:
        self._next(0)
        for tensor in self.tensors:
            if not tensor.is_virtual:
                self._validate_memory(tensor)
        uids = [tensor.uid for tensor in self.tensors if not tensor.is_virtual]
        assert len(set(uids)) == len(uids), f"two tensors of one uid: {uids}"
        assert any(t.producer and not t.is_virtual for t in self.tensors), "no output"
        for name, given, results in self.operations:
            operations.infer(name, given, results)

    def _validate_memory(self, tensor: Tensor) -> None:
        assert tensor.uid is not None and tensor.uid > 0, "a tensor in memory without uid"
        assert tensor.data_type is not data_type.NOT_SET
        assert len(tensor.dim) == len(tensor.stride) >= 3, "cuDNN takes three axes at least"
        assert all(n > 0 for n in tensor.dim) and all(s > 0 for s in tensor.stride)
        # no entry lies where another one does
        places = sorted((s, n) for s, n in zip(tensor.stride, tensor.dim, strict=True) if n > 1)
        reach = 1
        for step, count in places:
            assert step >= reach, f"entries overlap: {tensor.dim} {tensor.stride}"
            reach = step * (count - 1) + reach

    def build_operation_graph(self) -> None:
        self._next(1)

    def create_execution_plans(self, modes: list[str]) -> None:
        self._next(2)
        assert modes == ["A", "FALLBACK"]
        if self._frontend.refuses(self.kinds):
            raise NotSupportedError(f"no engine for {self.kinds}")

    def deselect_numeric_notes(self, notes: list[str]) -> None:
        assert self._stage == 3
        self._struck |= set(notes)

    def get_execution_plan_count(self) -> int:
        return len(Plans.NOTES)

    def get_plan_name_at_index(self, index: int) -> str:
        return Plans.NOTES[index][0]

    def build_plan_at_index(self, index: int) -> None:
        assert self._stage == 3
        name, notes = Plans.NOTES[index]
        if notes is None or self._struck & set(notes):
            raise RuntimeError("this engine does not do")
        self._frontend.built.append(name)
        self._built[index] = (0, 1000, 64)[index % 3]

    def get_workspace_size_plan_at_index(self, index: int) -> int:
        return self._built[index]

    def _next(self, stage: int) -> None:
        assert self._stage == stage, "out of order"
        self._stage += 1

    # -- executing

    def execute_plan_at_index(
        self, pack: dict[int, int], workspace: int, index: int, handle: int
    ) -> None:
        assert handle == 77 and self._frontend.stream is not None, "no stream was set"
        self._frontend.device.expect_stream(self._frontend.stream, "a graph of cuDNN")
        enqueue(lambda: self._run(dict(pack), workspace, index))

    @np.errstate(all="ignore")  # numbers that overflow are infinite on a card, and no warning
    def _run(self, pack: dict[int, int], workspace: int, index: int) -> None:
        nbytes = self._built[index]
        assert bool(workspace) == bool(nbytes) and workspace % 256 == 0
        if nbytes:
            ctypes.memset(workspace, 255, nbytes)
        in_memory = [t for t in self.tensors if not t.is_virtual]
        assert set(pack) == {t.uid for t in in_memory}, "not the tensors of the graph"
        values: dict[int, Any] = {}
        assert all(pack.values()), "an array that is not there"
        self._expect_apart(in_memory, pack)
        for tensor in in_memory:
            assert pack[tensor.uid] % (4 if tensor.by_value else 16) == 0, "misaligned"
            if not tensor.producer:
                values[id(tensor)] = self._memory(tensor, pack).astype("float64")
        for name, given, results in self.operations:
            found = operations.evaluate(name, given, results, values)
            for tensor, value in zip(results, found, strict=True):
                values[id(tensor)] = value
        for tensor in in_memory:
            if tensor.producer:
                self._memory(tensor, pack)[...] = values[id(tensor)]
        self._frontend.executed.append(" ".join(self.kinds))

    def _expect_apart(self, in_memory: list[Tensor], pack: dict[int, int]) -> None:
        """No result lies where something else does: an engine may write it before it reads that."""
        spans = []
        for tensor in in_memory:
            steps = zip(tensor.stride, tensor.dim, strict=True)
            count = 1 + sum(step * (n - 1) for step, n in steps)
            begin, itemsize = pack[tensor.uid], np.dtype(tensor.data_type.value).itemsize
            spans.append((begin, begin + count * itemsize, bool(tensor.producer)))
        spans.sort()
        for (_, end, one), (begin, _, other) in itertools.pairwise(spans):
            assert begin >= end or not (one or other), "a result lies over something else"

    def _memory(self, tensor: Tensor, pack: dict[int, int]) -> Any:
        from tests.frontend import memory_at

        address, dtype = pack[tensor.uid], tensor.data_type.value
        return memory_at(address, dtype, tuple(tensor.dim), tuple(tensor.stride))
