"""Resizing in every mode; which entries make up another, and their weights, stand in the source.

Back is the same kernel with the tables of the transpose: each entry collects the gradients of those
that it was part of, in a fixed order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from graphnet.kernels.cuda.device import Device, walked
from graphnet.kernels.cuda.formulas import literal
from graphnet.kernels.cuda.kernel import DTYPES
from graphnet.kernels.cuda.strided import steps_of
from graphnet.kernels.cuda.strided_source import index_source
from graphnet.kernels.placed import ROWS, SAME, Call, Memory, PlacedKernel, Terms, is_arranged
from graphnet.kernels.wide import inner
from ops.operator import Operator, Spec, known
from ops.resize import Resize

__all__ = ["CudaResize", "Table", "is_small", "resize_source"]

#: The most numbers of all tables of one source.
MOST = 1 << 16


@dataclass(frozen=True)
class Table:
    """What each entry along an axis is made of: ``entries[begins[i] : begins[i + 1]]``."""

    begins: tuple[int, ...]
    entries: tuple[int, ...]
    weights: tuple[float, ...]

    @classmethod
    def of(cls, targets: Any, sources: Any, weights: Any, count: int) -> Table:
        """Of as many targets, each with its sources in the order given."""
        order = np.argsort(targets, kind="stable")
        begins = np.searchsorted(targets[order], np.arange(count + 1))
        return cls(
            tuple(begins.tolist()), tuple(sources[order].tolist()), tuple(weights[order].tolist())
        )


def tables_of(index: Any, weight: Any, size: int) -> tuple[Table, Table]:
    """The table of an axis, and its transpose, from the entries ``(out, taps)`` and weights."""
    out, taps = index.shape
    targets = np.repeat(np.arange(out), taps)
    sources, weights = index.reshape(-1), weight.reshape(-1).astype("float64")
    own = (sources == targets) & (weights == 1)
    if out == size and own.sum() == out and not weights[~own].any():
        # an axis that stays as it is, where nothing is multiplied by 0
        targets, sources, weights = targets[own], sources[own], weights[own]
    return Table.of(targets, sources, weights, out), Table.of(sources, targets, weights, size)


def is_small(operator: Operator, specs: tuple[Spec | None, ...]) -> bool:
    """Whether the tables of a resizing fit into a source."""
    resize, x = inner(operator), specs[0]
    assert isinstance(resize, Resize) and x is not None, "nothing else gets here"
    return x.dtype in DTYPES and 4 * sum(i.size for i, _ in resize.taps(x)) < MOST


class CudaResize(PlacedKernel):
    """One resizing of one to three axes of known shape, in either layout."""

    def __init__(self, device: Device, operator: Operator, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(operator, specs)
        operator = inner(operator)
        assert isinstance(operator, Resize), "nothing else gets here"
        (x,) = specs
        assert x is not None, "infer saw to it"
        self.xp, self._device = device.xp, device
        self._options = DTYPES[x.dtype]
        pairs = zip(operator.taps(x), known(*x.shape[2:]), strict=True)
        both = [tables_of(*taps, size) for taps, size in pairs]
        self._forward, self._backward = (tuple(tables) for tables in zip(*both, strict=True))
        self.terms = Terms(inputs=(SAME,), outputs=(SAME,))

    def bind_forward(self, memory: Memory) -> Call:
        return self._resized(memory.inputs[0], memory.outputs[0], self._forward)

    def bind_backward(self, memory: Memory) -> Call:
        return self._resized(memory.doutputs[0], memory.dinputs[0], self._backward)

    def _resized(self, x: Any, y: Any, tables: tuple[Table, ...]) -> Call:
        text = resize_source(tables, last=not is_arranged(y, ROWS), size=y.size)
        arguments = (x, y, y.size, y.shape[1], *steps_of(x))
        return walked(self._device, text, "resize", self._options, y.size, *arguments)


def resize_source(tables: tuple[Table, ...], *, last: bool, size: int) -> str:
    """The source of a kernel ``resize`` for one to three axes.

    Args:
        tables: of each axis.
        last: whether y has its channels last, else it is in rows; x may have any strides.
        size: the entries of y.
    """
    axes = range(len(tables))
    held = "".join(
        f"__device__ const int begin{a}[] = {{{', '.join(map(str, table.begins))}}};\n"
        f"__device__ const int entry{a}[] = {{{', '.join(map(str, table.entries))}}};\n"
        f"__device__ const float weight{a}[] = {{{', '.join(map(literal, table.weights))}}};\n"
        for a, table in enumerate(tables)
    )
    channel = "        Int c = rest % (Index)channels; rest /= (Index)channels;\n"
    places = "".join(
        f"        int a{a} = (int)(rest % {len(tables[a].begins) - 1}u);"
        f" rest /= {len(tables[a].begins) - 1}u;\n"
        for a in reversed(axes)
    )
    loops = "".join(
        f"        for (int k{a} = begin{a}[a{a}]; k{a} < begin{a}[a{a} + 1]; ++k{a})\n"
        for a in axes
    )
    weight = " * ".join(f"weight{a}[k{a}]" for a in axes)
    place = " + ".join(f"entry{a}[k{a}] * step{a}" for a in axes)
    steps = ", ".join(f"Int step{a}" for a in axes)
    return (
        f"{index_source(size)}{held}\n"
        f"KERNEL resize(const T* x, T* y, Int size, Int channels, Int step_n, Int step_c, {steps})"
        " {\n    for (Int at = FIRST; at < size; at += STRIDE) {\n"
        "        Index rest = (Index)at;\n"
        f"{channel if last else ''}{places}{'' if last else channel}"
        "        const T* from = x + (Int)rest * step_n + c * step_c;\n"
        "        float total = 0;\n"
        f"{loops}            total += {weight} * widened(from[{place}]);\n"
        "        y[at] = narrowed(total);\n    }\n}\n"
    )
