"""Which method a convolution uses in which direction: the fastest, measured once and kept.

The file ``convolutions.json`` lies in the folder of :mod:`graphnet.kernels.kept`.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np

from graphnet.kernels.compiled.elementwise import add_to
from graphnet.kernels.compiled.rows import finished
from graphnet.kernels.convolution import DIRECTIONS, ConvKernel, MixedConv
from graphnet.kernels.kept import Kept
from graphnet.kernels.onednn.library import Library
from graphnet.kernels.placed import Call, in_turn, last
from graphnet.kernels.rehearsal import rehearsal, shortest
from ops.convolution import Conv
from ops.fused import ConvReLU
from ops.operator import Spec

__all__ = ["KEPT", "choose", "known_choices"]

#: What was measured before.
KEPT = Kept("convolutions.json", "which convolutions are fastest")
#: Timed runs, of which the fastest counts; one untimed comes first.
RUNS = 8
#: Bytes that are touched between the runs.
EVICTED = 32 << 20


def choose(
    library: Library,
    operator: Conv,
    specs: tuple[Spec | None, ...],
    candidates: Mapping[str, ConvKernel],
    *,
    forward_alone: bool,
) -> ConvKernel:
    """The fastest kernel for each direction.

    Args:
        library: what the candidates use.
        operator: the convolution.
        specs: of its inputs.
        candidates: by the name under which they are kept in the file.
        forward_alone: whether only forward matters, on weights that were prepared before.
    """
    if len(candidates) == 1:
        (only,) = candidates.values()
        return only
    mode = "inference" if forward_alone else "training"
    rectified = isinstance(operator, ConvReLU)
    what = f"{_shape(operator, specs[0])}{', ReLU' if rectified else ''}"
    among = " or ".join(candidates)  # fewer where methods are ruled out
    key = f"{what}, {mode}, by {among}, {_machine(library)}"
    names = known_choices().get(key)
    wanted = DIRECTIONS[:1] if forward_alone else DIRECTIONS
    if not _are_names(names, candidates, len(wanted)):
        names = [
            min(
                (name for name, kernel in candidates.items() if direction in kernel.directions),
                key=lambda name: _seconds(
                    candidates[name], direction, forward_alone, rectified, library.threads
                ),
            )
            for direction in wanted
        ]
        KEPT.write(key, names)
    kernels = [candidates[name] for name in names]
    if forward_alone or len(set(names)) == 1:
        return kernels[0]
    return MixedConv(operator, specs, *kernels)


def known_choices() -> dict[str, Any]:
    """What was measured before on machines like this one."""
    return KEPT.read()


def _are_names(
    found: Any, candidates: Mapping[str, ConvKernel], count: int
) -> TypeGuard[list[str]]:
    """Whether what a file holds, which may be anything, names so many candidates."""
    is_list = isinstance(found, list) and len(found) == count
    return is_list and all(isinstance(name, str) and name in candidates for name in found)


def _shape(operator: Conv, x: Spec | None) -> str:
    """What the times depend on, of the convolution."""
    assert x is not None, "infer saw to it"
    windows = operator.windows(x)
    image, kernel, stride, dilation = (
        "x".join(map(str, sizes))
        for sizes in (x.shape, windows.kernel, windows.stride, windows.dilation)
    )
    return (
        f"{image} to {operator.filters} by {kernel}, stride {stride}, dilation {dilation}, "
        f"padding {windows.padding}"
    )


def _machine(library: Library) -> str:
    """What the times depend on beside the shape."""
    return (
        f"{platform.machine()} {library.isa}, oneDNN {library.version}, {library.threads} threads"
    )


def _seconds(
    kernel: ConvKernel, direction: str, prepared: bool, rectified: bool, threads: int
) -> float:
    """How long one direction takes on arrays of ones, forward with a ReLU where one follows."""
    others = range(1, len(kernel.specs))
    memory = rehearsal(kernel, (0,) if direction == "data" else others)
    pack = kernel.bind_packed(memory) if kernel.terms.packed else in_turn()
    pack()
    if direction == "data":
        call = in_turn(*kernel.bind_data(memory))
    elif direction == "weights":
        call = in_turn(*kernel.bind_weights(memory))
    else:
        forward = kernel.bind_forward(memory)
        if rectified:
            after = finished(last(memory.outputs[0]), None, threads)
            forward = kernel.bind_finished(memory, None) or in_turn(forward, after)
        call = forward if prepared else in_turn(pack, forward)
    # between two runs of a layer the others are run
    return shortest(call, RUNS, before=_evict(threads))


@functools.cache
def _evict(threads: int) -> Call:
    """Read and write more than cores have of caches of their own, which also wakes their threads.

    What all cores share may hold it, as it holds the other layers of small networks.
    """
    others = np.zeros(EVICTED // 4, "float32")
    return add_to(others, others, threads)
