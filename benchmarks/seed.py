"""Nested loops against vectorised kernels, on the inputs of a university course.

Convolution: x (10, 3, 31, 31), w (25, 3, 3, 3), stride 2, padding 1.  Max pooling: x
(40, 3, 32, 32), 2x2 windows, stride 2.  All in float64, as the course has it, unless
``--dtype`` says otherwise.  Both sides are checked to agree before anything is timed.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.timing import alternate, machine, write_json
from graphnet.draw import render_table
from graphnet.kernels import PROVIDERS as KERNELS
from ops import Conv, MaxPool, Operator, Spec

PROVIDERS = ("naive", "reference")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each (median)")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float64")


def run(options: argparse.Namespace) -> None:
    """Time both kernels forward and in reverse; print times and factors."""
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
        needs = (True,) * len(inputs)
        forward, backward = {}, {}
        results = {}
        for provider in PROVIDERS:
            kernel = KERNELS[provider].prepare(operator, specs)
            assert kernel is not None, f"{provider} serves {name}"
            y, saved = kernel.forward(*inputs)
            results[provider] = [y, *kernel.backward(saved, dy, needs)]
            forward[provider] = lambda kernel=kernel: kernel.forward(*inputs)  # noqa: B023
            backward[provider] = lambda kernel=kernel, saved=saved: kernel.backward(
                saved,
                dy,  # noqa: B023
                needs,  # noqa: B023
            )
        difference = max(
            float(np.abs(a - b).max())
            for a, b in zip(results["naive"], results["reference"], strict=True)
        )
        tolerance = 1e-8 if options.dtype == "float64" else 1e-3
        if not difference <= tolerance:
            raise SystemExit(f"{name}: naive and reference differ by {difference}")
        for direction, functions in (("forward", forward), ("backward", backward)):
            seconds = alternate(functions, options.rounds)
            figures.append(
                {
                    "work": f"{name} {direction}",
                    "naive_ms": seconds["naive"] * 1e3,
                    "reference_ms": seconds["reference"] * 1e3,
                    "factor": seconds["naive"] / seconds["reference"],
                    "largest_difference": difference,
                }
            )
    rows = [
        (
            str(row["work"]),
            f"{row['naive_ms']:,.2f}",
            f"{row['reference_ms']:.3f}",
            f"{row['factor']:,.0f}x",
            f"{row['largest_difference']:.1e}",
        )
        for row in figures
    ]
    columns = ("work", "naive ms", "reference ms", "factor", "largest difference")
    title = f"{options.dtype}, medians of {options.rounds}, {machine()['processor']}"
    print(render_table(columns, rows, title=title))
    if options.json:
        write_json(options.json, {"benchmark": "seed", "dtype": options.dtype, "rows": figures})
