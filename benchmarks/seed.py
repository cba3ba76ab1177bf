"""Nested loops, vectorised and fast kernels and PyTorch, on the inputs of a university course.

Convolution: x (10, 3, 31, 31), w (25, 3, 3, 3), stride 2, padding 1.  Max pooling: x
(40, 3, 32, 32), 2x2 windows, stride 2.  Arrays lie as each side likes them, as they do inside a
network: PyTorch is timed on contiguous and on channels-last tensors.  Weights are prepared anew in
every call.  PyTorch's functions are called below its bookkeeping for gradients, which is faster.
All results are checked to agree before anything is timed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.timing import alternate, machine, write_json
from graphnet.draw import render_table
from graphnet.kernels import PROVIDERS as KERNELS
from graphnet.kernels import PlacedKernel
from graphnet.kernels.placed import ROWS, Memory, allocate, in_turn
from ops import Conv, MaxPool, Operator, Spec

#: What computes, with the kernels it asks for in turn.
SIDES = {"naive": ("naive",), "reference": ("reference",), "fast": ("compiled", "onednn")}
#: Largest difference from the naive loops, relative to the largest entry.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}

#: Both directions of a side, and what they give: the result and its gradients.
_Side = tuple[Callable[[], Any], Callable[[], Any], list[np.ndarray]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each (median)")
    parser.add_argument(
        "--dtype",
        choices=tuple(TOLERANCE),
        default="float32",
        help="of all arrays; fast kernels are there in float32 alone",
    )


def run(options: argparse.Namespace) -> None:
    """Time all sides forward and in reverse; print times and factors."""
    rng = np.random.default_rng(231)

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(options.dtype)

    work: dict[str, tuple[Operator, tuple[np.ndarray, ...]]] = {
        "convolution": (
            Conv(25, kernel_size=3, stride=2, padding=1),
            (draw(10, 3, 31, 31), draw(25, 3, 3, 3), draw(25)),
        ),
        "max pooling": (MaxPool(2), (draw(40, 3, 32, 32),)),
    }
    figures = []
    for name, (operator, inputs) in work.items():
        specs = tuple(Spec(x.shape, x.dtype.name) for x in inputs)
        dy = draw(*operator.infer(*specs).shape)
        sides = {}
        for side, providers in SIDES.items():
            kernels = [KERNELS[provider].prepare(operator, specs) for provider in providers]
            kernel = next((k for k in kernels if k is not None), None)
            if isinstance(kernel, PlacedKernel):
                sides[side] = _bound(kernel, inputs, dy)
            elif kernel is not None and side != "fast":
                sides[side] = _called(kernel, inputs, dy)
        if importlib.util.find_spec("torch"):
            for layout in ("contiguous", "channels-last"):
                sides[f"PyTorch {layout}"] = _torch(operator, inputs, dy, layout)
        difference = _difference(sides)
        if not difference <= TOLERANCE[options.dtype]:
            raise SystemExit(f"{name}: results differ by {difference:.1e} of the largest")
        for number, direction in enumerate(("forward", "backward")):
            functions = {side: parts[number] for side, parts in sides.items()}
            seconds = alternate(functions, options.rounds)
            figures.append(
                {
                    "work": f"{name} {direction}",
                    "us": {side: value * 1e6 for side, value in seconds.items()},
                    "largest_difference": difference,
                }
            )
    shown = list(figures[0]["us"])
    rows = [
        (
            str(row["work"]),
            *(f"{row['us'][side]:,.1f}" for side in shown),
            *(_factor(row["us"], side, "naive") for side in ("reference", "fast")),
            _factor(row["us"], "fast", _best_torch(row["us"])),
        )
        for row in figures
    ]
    columns = (
        "work",
        *(f"{side}, us" for side in shown),
        "naive / reference",
        "naive / fast",
        "best PyTorch / fast",
    )
    title = f"{options.dtype}, medians of {options.rounds}, {machine()['processor']}"
    print(render_table(columns, rows, title=title))
    if options.json:
        write_json(options.json, {"benchmark": "seed", "dtype": options.dtype, "rows": figures})


def _factor(microseconds: dict[str, float], side: str, beside: str) -> str:
    """How many times the time of one side is that of another; nothing where one is absent."""
    if not {side, beside} <= set(microseconds):
        return ""
    ratio = microseconds[beside] / microseconds[side]
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.2f}"


def _best_torch(microseconds: dict[str, float]) -> str:
    """The faster of PyTorch's sides, where there is one."""
    sides = [side for side in microseconds if "PyTorch" in side]
    return min(sides, key=microseconds.__getitem__, default="PyTorch")


def _called(kernel: Any, inputs: tuple[np.ndarray, ...], dy: np.ndarray) -> _Side:
    """A kernel that makes its own arrays."""
    needs = (True,) * len(inputs)
    y, saved = kernel.forward(*inputs)
    return (
        lambda: kernel.forward(*inputs),
        lambda: kernel.backward(saved, dy, needs),
        [y, *kernel.backward(saved, dy, needs)],
    )


def _bound(kernel: PlacedKernel, inputs: tuple[np.ndarray, ...], dy: np.ndarray) -> _Side:
    """A kernel that is bound to its memory, as in a program."""
    terms = kernel.terms.settled(ROWS)  # a kernel that takes either gets images as they are fed
    specs = [Spec(x.shape, x.dtype.name) for x in inputs]
    memory = Memory(
        [allocate(spec, layout) for spec, layout in zip(specs, terms.inputs, strict=False)],
        [
            allocate(spec, layout)
            for spec, layout in zip(kernel.results, terms.outputs, strict=True)
        ],
        [allocate(spec) for spec in terms.extras],
        np.empty(terms.packed, "uint8"),
        np.empty(max(terms.forward_space, terms.backward_space), "uint8"),
        [allocate(kernel.results[0], terms.outputs[0])],
        [allocate(spec, layout) for spec, layout in zip(specs, terms.inputs, strict=False)],
    )
    for array, given in zip((*memory.inputs, *memory.doutputs), (*inputs, dy), strict=True):
        array[...] = given
    packed = [kernel.bind_packed(memory)] if terms.packed else []
    forward = in_turn(*packed, kernel.bind_forward(memory))
    backward = kernel.bind_backward(memory)
    forward()
    backward()
    return forward, backward, [*memory.outputs, *memory.dinputs]


def _torch(
    operator: Operator, inputs: tuple[np.ndarray, ...], dy: np.ndarray, layout: str
) -> _Side:
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    form = torch.channels_last if layout == "channels-last" else torch.contiguous_format
    tensors, arriving = [torch.from_numpy(x) for x in inputs], torch.from_numpy(dy)
    if form is torch.channels_last:
        arriving, *tensors = (
            t.contiguous(memory_format=form) if t.ndim == 4 else t for t in (arriving, *tensors)
        )
    aten = torch.ops.aten
    if isinstance(operator, Conv):
        step, pad, one = [2, 2], [1, 1], [1, 1]
        sizes = [len(inputs[2])]

        def forward() -> Any:
            return aten.convolution(*tensors, step, pad, one, False, [0, 0], 1)

        def backward() -> Any:
            return aten.convolution_backward(
                arriving, *tensors[:2], sizes, step, pad, one, False, [0, 0], 1, [True] * 3
            )

        return forward, backward, [t.numpy() for t in (forward(), *backward())]

    def pool() -> Any:
        return aten.max_pool2d_with_indices(tensors[0], [2, 2], [2, 2])

    y, indices = pool()

    def unpool() -> Any:
        return aten.max_pool2d_with_indices_backward(
            arriving, tensors[0], [2, 2], [2, 2], [0, 0], [1, 1], False, indices
        )

    return pool, unpool, [y.numpy(), unpool().numpy()]


def _difference(sides: dict[str, _Side]) -> float:
    """The largest difference from the naive loops, relative to the largest entry."""
    wanted = sides["naive"][2]
    return max(
        float(np.abs(found - right).max() / np.abs(right).max())
        for *_, results in sides.values()
        for found, right in zip(results, wanted, strict=True)
    )
