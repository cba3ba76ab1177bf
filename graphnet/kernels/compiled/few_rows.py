"""The fully connected layer of few rows, such as one example at inference.

Each weight meets few entries, so that reading them takes the time: they are read once, by all
threads, in the order in which they lie.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from graphnet.kernels.compiled.vector import BYTES, OPTIONS, WIDTH, Vectors
from graphnet.kernels.onednn.linear import features_as_they_lie, rows_as_they_lie
from graphnet.kernels.placed import ROWS, SAME, Call, Memory, PlacedKernel, Terms
from ops.linear import Linear
from ops.operator import Spec, known

__all__ = ["FewRowsLinear", "has_few_rows"]

#: The most rows that count as few.
ROWS_AT_MOST = 4
#: Units whose sums are computed together.
UNITS = 4


def has_few_rows(operator: Linear, specs: tuple[Spec | None, ...]) -> bool:
    """Whether a layer is served here."""
    x = specs[0]
    assert x is not None, "infer saw to it"
    return math.prod(known(*x.shape[: operator.axis])) <= ROWS_AT_MOST


class FewRowsLinear(PlacedKernel):
    """One linear layer of known shape at inference.

    Images may lie channels-last: weights are then kept in that order.
    """

    method = "few rows"

    def __init__(self, operator: Linear, specs: tuple[Spec | None, ...], threads: int) -> None:
        super().__init__(operator, specs)
        x, weight = specs[:2]
        assert x is not None and weight is not None, "infer saw to it"
        self._threads = min(threads, operator.units)
        is_image = operator.axis == 1 and x.rank > 2
        self.terms = Terms(
            inputs=(SAME if is_image else ROWS, ROWS, ROWS),
            outputs=(ROWS,),
            packed=4 * math.prod(known(*weight.shape)) if is_image else 0,
            packs=(1,) if is_image else (),
            differentiable=False,
        )

    def bind_packed(self, memory: Memory) -> Call:
        x, weight = memory.inputs[:2]
        target = memory.packed.view("float32").reshape(weight.shape)
        source = features_as_they_lie(weight, x)
        return partial(np.copyto, target.reshape(source.shape), source)

    def bind_forward(self, memory: Memory) -> Call:
        x, weight, bias = (*memory.inputs, None)[:3]
        if self.terms.packed:
            weight = memory.packed.view("float32").reshape(weight.shape)
        units, features = weight.shape
        x = rows_as_they_lie(x, features)
        y = memory.outputs[0].reshape(len(x), units)
        bias = np.zeros(units, "float32") if bias is None else bias
        # one more row, so that no line of the cache holds sums of two threads
        room = np.empty((self._threads, UNITS * len(x) + 1, WIDTH), "float32")
        return partial(
            _multiply, x, weight, bias, y, room, (0,) * len(x), (0,) * UNITS, self._threads
        )

    def bind_backward(self, memory: Memory) -> Call:
        raise NotImplementedError("these are kernels of inference")


@intrinsic
def _add_products(
    typing: Any, x: Any, x_step: Any, weight: Any, weight_step: Any, count: Any, sums: Any,
    rows: Any, units: Any,
) -> Any:  # fmt: skip
    """``sums[unit, row]``: 16 partial sums over ``count`` vectors of ``x[row] * weight[unit]``.

    The numbers of rows and units are the lengths of two tuples.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x_at, x_distance, at, distance, number, sums_at = arguments[:6]
        word = at.type
        v = Vectors(builder)

        def addresses(start: Any, far: Any, many: int) -> list[Any]:
            return [builder.add(start, builder.mul(far, ir.Constant(word, i))) for i in range(many)]

        images = addresses(x_at, x_distance, rows.count)
        weights = addresses(at, distance, units.count)
        totals = [
            [cgutils.alloca_once(builder, v.type) for _ in range(rows.count)]
            for _ in range(units.count)
        ]
        for row in totals:
            for total in row:
                builder.store(v.constant(0.0), total)
        with cgutils.for_range(builder, number) as loop:
            far = builder.mul(loop.index, ir.Constant(word, BYTES))
            entries = [v.load(builder.add(image, far)) for image in images]
            for start, row in zip(weights, totals, strict=True):
                factor = v.load(builder.add(start, far))
                for entry, total in zip(entries, row, strict=True):
                    builder.store(v.multiply_add(entry, factor, builder.load(total)), total)
        places = addresses(sums_at, ir.Constant(word, BYTES), units.count * rows.count)
        for place, total in zip(places, (t for row in totals for t in row), strict=True):
            v.store(builder.load(total), place)
        return context.get_dummy_value()

    return types.void(*(types.intp,) * 6, rows, units), generate


@njit(parallel=True, **OPTIONS)
def _multiply(x, weight, bias, y, room, rows, together, threads):
    units, features = weight.shape
    x_at, weight_at, line = x.ctypes.data, weight.ctypes.data, 4 * features
    vectors = features // WIDTH
    for thread in prange(threads):
        sums = room[thread]
        sums_at = sums.ctypes.data
        unit = units * thread // threads
        end = units * (thread + 1) // threads
        while unit < end:
            if unit + len(together) <= end:
                count = len(together)
                _add_products(
                    x_at, line, weight_at + unit * line, line, vectors, sums_at, rows, together
                )
            else:
                count = 1
                _add_products(
                    x_at, line, weight_at + unit * line, line, vectors, sums_at, rows, (0,)
                )
            for i in range(count):
                for row in range(len(rows)):
                    total = bias[unit + i]
                    for lane in range(WIDTH):
                        total += sums[i * len(rows) + row, lane]
                    for feature in range(vectors * WIDTH, features):
                        total += x[row, feature] * weight[unit + i, feature]
                    y[row, unit + i] = total
            unit += count
