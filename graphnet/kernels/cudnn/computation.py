"""A graph of cuDNN while it is written, and a plan that executes it on arrays.

A :class:`Computation` names its tensors; a :class:`Plan` is bound to arrays by these names.  What
is bound allocates nothing, waits for nothing and reads nothing back, so it can be captured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from graphnet.kernels.cudnn.library import Library
from graphnet.kernels.placed import Call

__all__ = ["ALIGNMENT", "Computation", "Plan", "last_strides", "planar", "row_strides", "whole"]

#: The workspace begins at a multiple of this many bytes.
ALIGNMENT = 256
#: cuDNN's names of the dtypes of arrays.
TYPES = {"float32": "FLOAT", "float16": "HALF", "bfloat16": "BFLOAT16"}


def row_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides, in entries, of memory in the order of the axes.

    >>> row_strides((2, 3, 4))
    (12, 4, 1)
    """
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def last_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides, in entries, of an array ``(N, C, *spatial)`` whose channels lie side by side.

    >>> last_strides((2, 3, 4, 5))
    (60, 1, 15, 3)
    """
    batch, channels, *spatial = shape
    first, *rest, _ = row_strides((batch, *spatial, channels))
    return (first, 1, *rest)


def planar(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The same array with two spatial axes at least, which is what cuDNN takes.

    >>> planar((2, 3)), planar((2, 3, 4)), planar((2, 3, 4, 5))
    ((2, 3, 1, 1), (2, 3, 1, 4), (2, 3, 4, 5))
    """
    missing = max(0, 4 - len(shape))
    return (*shape[:2], *[1] * missing, *shape[2:])


def whole(nbytes: int) -> int:
    """Bytes in whole lines, so that what follows is aligned as the beginning is.

    >>> whole(1), whole(256)
    (256, 256)
    """
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Operand:
    """A tensor that is bound to memory: its number, and how many bytes it has."""

    uid: int
    nbytes: int


class Computation:
    """A graph of cuDNN whose tensors have names.

    Sums are in float32 and so is what lies between the operations.

    Args:
        library: that it is for.
        dtype: of the tensors, unless something else is said of one.

    Attributes:
        graph: the frontend's graph, whose methods add operations.
        operands: the tensors in memory by name.
        constants: the numbers in the memory of the host, by the number of their tensor.
    """

    def __init__(self, library: Library, dtype: str) -> None:
        self._types = library.frontend.data_type
        self._dtype = dtype
        self.graph = library.frontend.pygraph(
            io_data_type=self._type(dtype),
            intermediate_data_type=self._types.FLOAT,
            compute_data_type=self._types.FLOAT,
            handle=library.handle,
        )
        self.operands: dict[str, Operand] = {}
        self.constants: dict[int, Any] = {}

    @property
    def kind(self) -> Any:
        """The frontend's type of the dtype."""
        return self._type(self._dtype)

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        strides: tuple[int, ...] | None = None,
        dtype: str | None = None,
    ) -> Any:
        """A tensor that is read; channels-last unless its strides, in entries, are given."""
        return self.graph.tensor(
            name=name,
            dim=list(shape),
            stride=list(strides or last_strides(shape)),
            data_type=self._type(dtype or self._dtype),
            uid=self._named(name, shape, dtype),
        )

    def number(self, name: str, value: float, rank: int = 4) -> Any:
        """A float that is passed by value."""
        uid = len(self.operands) + len(self.constants) + 1
        self.constants[uid] = np.full(1, value, "float32")
        return self.graph.tensor(
            name=name,
            dim=[1] * rank,
            stride=[1] * rank,
            data_type=self._types.FLOAT,
            is_pass_by_value=True,
            uid=uid,
        )

    def result(
        self,
        name: str,
        tensor: Any,
        shape: tuple[int, ...],
        strides: tuple[int, ...] | None = None,
        dtype: str | None = None,
    ) -> None:
        """Let the result of an operation be written; channels-last unless strides are given."""
        tensor.set_output(True)
        tensor.set_dim(list(shape))
        tensor.set_stride(list(strides or last_strides(shape)))
        tensor.set_data_type(self._type(dtype or self._dtype))
        tensor.set_uid(self._named(name, shape, dtype))

    def _named(self, name: str, shape: tuple[int, ...], dtype: str | None) -> int:
        uid = len(self.operands) + len(self.constants) + 1
        itemsize = np.dtype(dtype or self._dtype).itemsize
        self.operands[name] = Operand(uid, math.prod(shape) * itemsize)
        return uid

    def _type(self, dtype: str) -> Any:
        return getattr(self._types, TYPES[dtype])


@dataclass(frozen=True)
class Plan:
    """One way of executing a graph.

    Attributes:
        library: that executes it.
        computation: the graph.
        index: of the way, among those of the graph.
        method: the name of its engine.
        nbytes: of temporary memory, which may begin anywhere.
    """

    library: Library
    computation: Computation
    index: int
    method: str
    nbytes: int

    def bind(self, arrays: Mapping[str, Any], space: Any) -> Call:
        """What computes the results from the operands.

        Args:
            arrays: by the names of the tensors, all of them.
            space: at least ``nbytes`` of bytes.
        """
        device, operands = self.library.device, self.computation.operands
        assert set(arrays) == set(operands), (set(arrays), set(operands))
        pointers = {operands[name].uid: device.address(array) for name, array in arrays.items()}
        for uid, value in self.computation.constants.items():
            pointers[uid] = value.ctypes.data
        workspace = 0
        if self.nbytes:
            workspace = -(-device.address(space) // ALIGNMENT) * ALIGNMENT
        # the arrays live as long as the call does
        return partial(self._execute, pointers, workspace, (arrays, space))

    def _execute(self, pointers: dict[int, int], workspace: int, held: object) -> None:
        library = self.library
        library.follow()
        self.computation.graph.execute_plan_at_index(
            pointers, workspace, self.index, handle=library.handle
        )
