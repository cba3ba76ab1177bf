"""Winograd's convolution along rows, for a first layer that is pooled by 2x2: F(2, r).

Two neighbouring sums of r products need r + 1 products in place of 2 r: the two columns of a
window that is pooled are such a pair.  With the matrices of :func:`matrices`, for each row of the
kernel and each channel,

    y = A^T (sum over rows and channels of (G g) * (B^T d))

where d are the r + 1 entries that the pair sees, and g is the row of the kernel.  The image is
transformed once for all filters.  Beside float64 the result is off by up to 1e-6 of its largest
entry, where the direct sum is off by half of that.

Source: Winograd, "Arithmetic Complexity of Computations", 1980; the points are 0, 1, -1, 2, -2,
1/2, -1/2, as many as are needed, and infinity.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from llvmlite import ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from graphnet.kernels.compiled.vector import (
    BYTES,
    ENTRIES,
    OPTIONS,
    REGISTERS,
    WIDTH,
    Vectors,
)

__all__ = ["HELD", "WIDTHS", "forward", "matrices"]

#: The widths of kernels for which this is worth while.
WIDTHS = (5, 7)
#: Pairs whose sums stay in registers, a vector of filters each, beside one more and an entry.
HELD = (REGISTERS - 1) * ENTRIES // WIDTH - 1
_POINTS = (0, 1, -1, 2, -2, Fraction(1, 2), Fraction(-1, 2))

Matrix = list[list[Fraction]]


def matrices(width: int) -> tuple[Matrix, Matrix, Matrix]:
    """``A^T (2, n)``, ``G (n, width)`` and ``B^T (n, n)`` with ``n = width + 1``.

    >>> at, g, bt = matrices(3)
    >>> [[int(entry) for entry in row] for row in at]
    [[1, 1, 1, 0], [0, 1, -1, 1]]
    """
    points = [Fraction(p) for p in _POINTS[:width]]
    at = [[Fraction(1)] * width + [Fraction(0)], [*points, Fraction(1)]]
    g, bt = [], []
    for p in points:
        others = [q for q in points if q != p]
        scale = Fraction(1)
        for q in others:
            scale *= p - q
        g.append([p**k / scale for k in range(width)])
        bt.append([*_product(others), Fraction(0)])
    g.append([Fraction(k == width - 1) for k in range(width)])
    bt.append(_product(points))
    return at, g, bt


def _product(roots: Sequence[Fraction]) -> list[Fraction]:
    """The coefficients, the constant first, of the polynomial with these roots."""
    found = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *found]
        found = [
            high - root * low for high, low in zip(shifted, [*found, Fraction(0)], strict=True)
        ]
    return found


@intrinsic
def _spread_pairs(typing: Any, even: Any, odd: Any, points: Any, plane: Any, kernel: Any) -> Any:
    """``B^T d`` for 16 pairs of one row and channel.

    Args:
        even: address of the entries at even columns, from that of the first pair on.
        odd: address of those at odd columns.
        points: address of the results.
        plane: bytes from one point to the next.
        kernel: a tuple with one entry for each column of the kernel.
    """
    _, _, bt = matrices(kernel.count)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sides, target, step = arguments[:2], arguments[2], arguments[3]
        word = target.type
        v = Vectors(builder)
        d = [
            v.load(builder.add(sides[k % 2], ir.Constant(word, 4 * (k // 2))))
            for k in range(len(bt))
        ]
        for row in bt:
            v.store(v.combine(*zip(map(float, row), d, strict=True)), target)
            target = builder.add(target, step)
        return context.get_dummy_value()

    return types.void(*(types.intp,) * 4, kernel), generate


@intrinsic
def _multiply(
    typing: Any, entries: Any, step: Any, weights: Any, count: Any, sums: Any, pairs: Any
) -> Any:
    """``sums[pair] = sum over i of entries[i, pair] * weights[i]``, 16 filters at a time.

    Args:
        entries: address of the first entry of the first pair.
        step: bytes to the next entry of a pair; pairs lie side by side.
        weights: address of ``(count, 16)``.
        count: how many entries there are.
        sums: address of ``(pairs, 16)``.
        pairs: a tuple with one entry for each pair.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at, distance, weights_at, number, sums_at = arguments[:5]
        word = at.type
        v = Vectors(builder)
        totals = [cgutils.alloca_once(builder, v.type) for _ in range(pairs.count)]
        for total in totals:
            builder.store(v.constant(0.0), total)
        with cgutils.for_range(builder, number) as loop:
            source = builder.add(at, builder.mul(loop.index, distance))
            weight = v.load(
                builder.add(weights_at, builder.mul(loop.index, ir.Constant(word, BYTES)))
            )
            for pair, total in enumerate(totals):
                x = v.spread(v.scalar(builder.add(source, ir.Constant(word, 4 * pair))))
                builder.store(v.multiply_add(x, weight, builder.load(total)), total)
        for pair, total in enumerate(totals):
            v.store(builder.load(total), builder.add(sums_at, ir.Constant(word, BYTES * pair)))
        return context.get_dummy_value()

    return types.void(*(types.intp,) * 5, pairs), generate


@intrinsic
def _finish_window(
    typing: Any, top: Any, low: Any, plane: Any, bias: Any, y: Any, winner: Any, kernel: Any
) -> Any:
    """``A^T`` for the pairs of two rows, then as :meth:`Vectors.largest_of_four`.

    Args:
        top: address of the sums of the upper pair at the first point.
        low: address of those of the lower pair.
        plane: bytes from one point to the next.
        bias: address of 16 constants.
        y: address of the result.
        winner: address of the bytes that take the position, 0 to 3.
        kernel: a tuple with one entry for each column of the kernel.
    """
    at, _, _ = matrices(kernel.count)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        upper, lower, step, bias_at, y_at, winner_at = arguments[:6]
        v = Vectors(builder)
        four = []
        for spot in (upper, lower):
            sums = []
            for _ in range(kernel.count + 1):
                sums.append(v.load(spot))
                spot = builder.add(spot, step)
            four += [v.combine(*zip(map(float, row), sums, strict=True)) for row in at]
        v.largest_of_four(four, bias_at, y_at, winner_at)
        return context.get_dummy_value()

    return types.void(*(types.intp,) * 6, kernel), generate


@njit(**OPTIONS)
def _transform(x, n, first, last, geometry, sides, points, kernel):
    """Transform rows ``first .. last - 1`` of a padded image to ``points (n, rows, C, pairs)``."""
    top, left = geometry[4], geometry[5]
    height, width, channels = x.shape[1:]
    wide = points.shape[3]
    plane = 4 * points.shape[1] * channels * wide
    reach = 2 * sides.shape[2] - left
    for row in range(first, last):
        inside = 0 <= row - top < height
        for c in range(channels):
            target = points[0, row, c].ctypes.data
            if inside:
                line = x[n, row - top]
                for column in range(min(width, reach)):
                    at = column + left
                    sides[c, at & 1, at >> 1] = line[column, c]
                even, odd = sides[c, 0].ctypes.data, sides[c, 1].ctypes.data
                for pair in range(0, wide, WIDTH):
                    _spread_pairs(even + 4 * pair, odd + 4 * pair, target + 4 * pair, plane, kernel)
            else:
                for point in range(points.shape[0]):
                    points[point, row, c] = 0


@njit(parallel=True, **OPTIONS)
def forward(x, geometry, weights, bias, y, winner, room, kernel, held, more, less, fewer, threads):
    """Convolve, pool and rectify images; see :class:`pooled.CompiledConvMaxPoolReLU`.

    Args:
        x: ``(N, H, W, C)``.
        geometry: as there.
        weights: ``(parts, points, rows of the kernel, C, 16)``, transformed.
        bias: ``(F,)``.
        y: ``(N, down, across, F)``.
        winner: as many bytes.
        room: for each thread, columns by parity, transformed rows, and sums.
        kernel: a tuple with one entry for each column of the kernel.
        held: a tuple with one entry for each pair of the first groups.
        more: how many of these there are.
        less: a tuple for the groups that follow.
        fewer: how many of these there are.
        threads: how many work at once.
    """
    kernel_h = geometry[0]
    batch, down, across, filters = y.shape
    channels = x.shape[3]
    count = kernel_h * channels
    sides, transformed, products = room
    wide = transformed.shape[4]
    plane = BYTES * across
    for thread in prange(threads):
        points, sums = transformed[thread], products[thread].ctypes.data
        first, end = batch * down * thread // threads, batch * down * (thread + 1) // threads
        while first < end:
            n, begin = first // down, first % down
            stop = min(down, begin + end - first)
            first += stop - begin
            last = 2 * (stop - 1) + 1 + kernel_h
            _transform(x, n, 2 * begin, last, geometry, sides[thread], points, kernel)
            for part in range(filters // WIDTH):
                for i in range(begin, stop):
                    for row in range(2):
                        for point in range(len(kernel) + 1):
                            source = points[point, 2 * i + row].ctypes.data
                            factors = weights[part, point].ctypes.data
                            target = sums + (row * (len(kernel) + 1) + point) * plane
                            for _ in range(more):
                                _multiply(source, 4 * wide, factors, count, target, held)
                                source += 4 * len(held)
                                target += BYTES * len(held)
                            for _ in range(fewer):
                                _multiply(source, 4 * wide, factors, count, target, less)
                                source += 4 * len(less)
                                target += BYTES * len(less)
                    for j in range(across):
                        at = sums + BYTES * j
                        _finish_window(
                            at, at + (len(kernel) + 1) * plane, plane,
                            bias.ctypes.data + BYTES * part,
                            y[n, i, j].ctypes.data + BYTES * part,
                            winner[n, i, j].ctypes.data + WIDTH * part, kernel,
                        )  # fmt: skip
