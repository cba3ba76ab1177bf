"""A kernel on arrays of its own, so that its time can be taken before there is any data."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

from graphnet.kernels.placed import ROWS, Call, Memory, PlacedKernel, allocate
from ops.operator import Spec

__all__ = ["rehearsal", "shortest"]


def rehearsal(kernel: PlacedKernel, wanted: Collection[int] = (), *, apart: bool = False) -> Memory:
    """Arrays of ones for a kernel.

    Args:
        kernel: whose terms say what there is.
        wanted: the positions of the inputs whose gradients are computed.
        apart: whether gradients have arrays of their own; else they lie where the values do.
    """
    terms, xp = kernel.terms.settled(ROWS), kernel.xp
    inputs = [
        None if spec is None else _ones(spec, layout, xp)
        for spec, layout in zip(kernel.input_specs, terms.inputs, strict=True)
    ]
    outputs = [
        _ones(s, layout, xp) for s, layout in zip(kernel.results, terms.outputs, strict=True)
    ]
    gradients = [
        _ones(spec, layout, xp) if apart and spec is not None and i in wanted else x
        for i, (x, spec, layout) in enumerate(
            zip(inputs, kernel.input_specs, terms.inputs, strict=True)
        )
    ]
    return Memory(
        inputs,
        outputs,
        [_ones(spec, ROWS, xp) for spec in terms.extras],
        packed=xp.empty(terms.packed, dtype="uint8"),
        space=xp.empty(max(terms.forward_space, terms.backward_space), dtype="uint8"),
        # the outputs behind the first one are states, which carry none
        doutputs=[outputs[0], *[None] * (len(outputs) - 1)],
        dinputs=[x if i in wanted else None for i, x in enumerate(gradients)],
    )


def shortest(
    call: Call,
    runs: int,
    *,
    before: Callable[[], object] = lambda: None,
    until: Callable[[], object] = lambda: None,
) -> float:
    """The seconds of the fastest of several runs, after one that does not count.

    Args:
        call: what is timed.
        runs: how many count.
        before: done ahead of each of them, untimed.
        until: waits for what was enqueued, which is part of the time.
    """
    call()
    until()
    times = []
    for _ in range(runs):
        before()
        start = time.perf_counter()
        call()
        until()
        times.append(time.perf_counter() - start)
    return min(times)


def _ones(spec: Spec, layout: str, xp: Any) -> Any:
    array = allocate(spec, layout, xp)
    array[...] = 1
    return array
