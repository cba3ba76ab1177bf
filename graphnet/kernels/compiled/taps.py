"""Sums that stay in registers: entries, one by one, times vectors of weights."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from graphnet.kernels.compiled.vector import BYTES, Vectors

__all__ = ["sum_taps"]

#: Taps between those whose weights are multiplied and those whose weights are asked for: at
#: inference they come from beyond the second cache, which takes about a hundred cycles.
AHEAD = 32


@intrinsic
def sum_taps(
    typing: Any, x: Any, x_line: Any, x_step: Any, rows: Any, taps: Any, weights: Any, line: Any,
    bias: Any, y: Any, y_step: Any, low: Any, added: Any, positions: Any, vectors: Any,
) -> Any:  # fmt: skip
    """``y[position] = max(bias + sum of x[position, tap] * weights[tap] + added[position], low)``.

    Args:
        x: address of the first tap of the first position.
        x_line: bytes from one row of taps to the next.
        x_step: bytes from one position to the next.
        rows: of taps.
        taps: of a row.
        weights: address of those of the first tap.
        line: bytes from one tap's to the next one's.
        bias: its address.
        y: address of the first position.
        y_step: bytes from one position to the next.
        low: the least number that is written.
        added: address of what is added at the first position, as ``y``; 0 for nothing.
        positions: a tuple with one entry for each position.
        vectors: a tuple with one entry for each vector of filters.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at, row_bytes, step, downs, number, weights_at, pitch, bias_at, to, y_bytes = arguments[:10]
        least, more = arguments[10:12]
        word = at.type
        v = Vectors(builder)

        def behind(start: Any, vector: int) -> Any:
            return builder.add(start, ir.Constant(word, BYTES * vector))

        def apart(start: Any, far: Any, position: int) -> Any:
            return builder.add(start, builder.mul(far, ir.Constant(word, position)))

        totals = [
            [cgutils.alloca_once(builder, v.type) for _ in range(vectors.count)]
            for _ in range(positions.count)
        ]
        for vector in range(vectors.count):
            offset = v.load(behind(bias_at, vector))
            for row in totals:
                builder.store(offset, row[vector])
        with cgutils.for_range(builder, downs) as down:
            source = builder.add(at, builder.mul(down.index, row_bytes))
            first = builder.mul(down.index, builder.mul(number, pitch))
            factors = builder.add(weights_at, first)
            with cgutils.for_range(builder, number) as loop:
                tap = builder.add(source, builder.mul(loop.index, ir.Constant(word, 4)))
                own = builder.add(factors, builder.mul(loop.index, pitch))
                v.prefetch(builder.add(own, builder.mul(pitch, ir.Constant(word, AHEAD))))
                weight = [v.load(behind(own, vector)) for vector in range(vectors.count)]
                for position, row in enumerate(totals):
                    entry = v.spread(v.scalar(apart(tap, step, position)))
                    for total, factor in zip(row, weight, strict=True):
                        builder.store(v.multiply_add(entry, factor, builder.load(total)), total)
        with builder.if_then(builder.icmp_signed("!=", more, ir.Constant(word, 0))):
            for position, row in enumerate(totals):
                for vector, total in enumerate(row):
                    term = v.load(behind(apart(more, y_bytes, position), vector))
                    builder.store(builder.fadd(builder.load(total), term), total)
        lowest = v.spread(least)
        for position, row in enumerate(totals):
            for vector, total in enumerate(row):
                found = builder.load(total)
                below = builder.fcmp_ordered("<", found, lowest)  # a NaN stays one
                place = behind(apart(to, y_bytes, position), vector)
                v.store(builder.select(below, lowest, found), place)
        return context.get_dummy_value()

    words = (types.intp,) * 10
    return types.void(*words, types.float32, types.intp, positions, vectors), generate
