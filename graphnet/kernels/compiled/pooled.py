"""A first layer in one kernel: convolution of few channels, max pooling by 2x2, and ReLU.

Forward, the four sums of a window stay in registers, and only the largest is written: the result
of the convolution, four times as large, never exists.  Kernels of some widths leave that to
:mod:`pairs`, which needs fewer products.

In reverse only the winner of a window has a gradient.  So the gradient of the kernels is not the
dense sum over all positions, of which three quarters are zeros: for each window and tap, every
filter multiplies its gradient with one of the four entries of the input that the tap sees from
the four positions, chosen by the number of the winner.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from graphnet.kernels.compiled import pairs
from graphnet.kernels.compiled.vector import (
    BYTES,
    CHOOSES,
    ENTRIES,
    OPTIONS,
    REGISTERS,
    WIDTH,
    Vectors,
    in_groups,
)
from graphnet.kernels.onednn.convolution import DirectConv
from graphnet.kernels.onednn.library import Library
from graphnet.kernels.placed import (
    LAST,
    ROWS,
    Call,
    Memory,
    PlacedKernel,
    Terms,
    first,
    in_turn,
    last,
)
from ops.convolution import Conv
from ops.fused import ConvMaxPoolReLU
from ops.operator import Spec, known

__all__ = ["CompiledConvMaxPoolReLU", "is_pooled"]

#: Positions of a window.
FOUR = 4
#: Taps whose sums stay in registers, beside a gradient, the winners and an entry.
HELD = REGISTERS - 3


def is_pooled(operator: ConvMaxPoolReLU, specs: tuple[Spec | None, ...]) -> bool:
    """Whether a layer is served here."""
    x = specs[0]
    if x is None or x.rank != 4 or operator.groups != 1 or operator.filters % WIDTH:
        return False
    windows = operator.windows(x)
    pool = operator.pool.windows(x.with_shape((x.shape[0], operator.filters, *windows.out)))
    return (
        CHOOSES
        and windows.dilation == pool.dilation == (1, 1)
        and pool.kernel == pool.stride == (2, 2)
        and all(pair == (0, 0) for pair in pool.padding)
    )


def _conv(operator: ConvMaxPoolReLU) -> Conv:
    """The convolution alone."""
    return Conv(**{f.name: getattr(operator, f.name) for f in dataclasses.fields(Conv)})


class CompiledConvMaxPoolReLU(PlacedKernel):
    """One such layer of known shape.

    Args:
        library: computes the gradient of the input, where it is wanted.
        operator: the layer.
        specs: of its inputs.
        exact: use no method whose rounding is larger than that of plain sums.
    """

    method = "pooled"

    def __init__(
        self,
        library: Library,
        operator: ConvMaxPoolReLU,
        specs: tuple[Spec | None, ...],
        *,
        exact: bool = False,
    ) -> None:
        super().__init__(operator, specs)
        x = specs[0]
        assert x is not None, "infer saw to it"
        self._conv = DirectConv(library, _conv(operator), specs)
        self._threads = library.threads
        windows = operator.windows(x)
        self._kernel, self._stride = windows.kernel, windows.stride
        (self._top, _), (self._left, _) = windows.padding
        batch, self._channels, _, width = known(*x.shape)
        (y,), (conv_y,) = self.results, self._conv.results
        _, self._filters, down, across = known(*y.shape)
        # the part of the padded image that windows see
        self._rows = (2 * down - 1) * self._stride[0] + self._kernel[0]
        columns = (2 * across - 1) * self._stride[1] + self._kernel[1]
        self._line = self._channels * max(columns, self._left + width)
        (self._dense,) = known(conv_y.nbytes)
        #: Vectors of filters at a time: their sums at four positions stay in registers.
        self._vectors = 2 if REGISTERS > 16 and self._filters % (2 * WIDTH) == 0 else 1
        #: Whether pairs of columns are convolved together.
        self._in_pairs = not exact and self._stride == (1, 1) and self._kernel[1] in pairs.WIDTHS
        points = self._kernel[1] + self._in_pairs
        if self._in_pairs:
            self.method = "pooled winograd"
        self.terms = Terms(
            inputs=(LAST, ROWS, ROWS),
            outputs=(LAST,),
            reads=(0, 1),
            keeps=(0,),
            extras=(Spec((batch, down, across, self._filters), "uint8"),),
            packed=4 * self._filters * self._channels * self._kernel[0] * points,
            packs=(1,),
            backward_space=self._dense + self._conv.data_space,
        )

    def bind_packed(self, memory: Memory) -> Call:
        if self._in_pairs:
            _, g, _ = pairs.matrices(self._kernel[1])
            packed = memory.packed.view("float32").reshape(
                -1, len(g), self._kernel[0], self._channels, WIDTH
            )
            return partial(_pack_pairs, memory.inputs[1], np.array(g, "float32").T, packed)
        part = self._vectors * WIDTH
        weight = memory.inputs[1].reshape(-1, part, self._channels, *self._kernel)
        weight = weight.transpose(0, 3, 4, 2, 1)  # (parts, F, C, *kernel) -> (parts, *kernel, C, F)
        return partial(np.copyto, memory.packed.view("float32").reshape(weight.shape), weight)

    def bind_forward(self, memory: Memory) -> Call:
        x, _, bias = memory.inputs
        (winner,) = memory.extras
        bias = np.zeros(self._filters, "float32") if bias is None else bias
        if self._in_pairs:
            return self._bind_pairs(last(x), memory.packed, bias, last(memory.outputs[0]), winner)
        return partial(
            _forward,
            last(x), self._image(), self._geometry(), memory.packed.view("float32"), bias,
            last(memory.outputs[0]), winner, (0,) * (self._channels * self._kernel[1]),
            (0,) * self._vectors, self._threads,
        )  # fmt: skip

    def _bind_pairs(self, x: Any, packed: Any, bias: Any, y: Any, winner: Any) -> Call:
        """What :mod:`pairs` computes forward."""
        kernel_h, kernel_w = self._kernel
        across, points = y.shape[2], kernel_w + 1
        wide = -(-across // WIDTH) * WIDTH
        room = (
            np.zeros((self._threads, self._channels, 2, wide + WIDTH), "float32"),
            np.empty((self._threads, points, self._rows, self._channels, wide), "float32"),
            np.empty((self._threads, 2, points, across, WIDTH), "float32"),
        )
        held, more, fewer = in_groups(across, pairs.HELD)
        return partial(
            pairs.forward,
            x, self._geometry(),
            packed.view("float32").reshape(-1, points, kernel_h, self._channels, WIDTH),
            bias, y, winner, room, (0,) * kernel_w, (0,) * held, more, (0,) * (held - 1), fewer,
            self._threads,
        )  # fmt: skip

    def bind_backward(self, memory: Memory) -> Call:
        x, weight, _ = memory.inputs
        dx, dweight, dbias = memory.dinputs
        y, dy = last(memory.outputs[0]), last(memory.doutputs[0])
        (winner,) = memory.extras
        calls: list[Call] = []
        if dweight is not None or dbias is not None:
            filters, taps = self._filters, self._channels * self._kernel[1]
            held, more, fewer = in_groups(taps, HELD)
            threads = self._threads
            room = (
                np.empty((threads, self._rows - self._stride[0], self._line, FOUR), "float32"),
                np.empty((threads, dy.shape[2], filters), "float32"),
                np.empty((threads, dy.shape[2], filters), "int32"),
                np.empty((threads, filters // ENTRIES, self._kernel[0], taps, ENTRIES), "float32"),
                np.empty((threads, filters), "float64"),
            )
            calls.append(
                partial(
                    _sum_chosen,
                    last(x), self._image(), self._geometry(), y, dy, winner, room,
                    np.empty(weight.shape, "float32") if dweight is None else dweight,
                    np.empty(filters, "float32") if dbias is None else dbias,
                    (0,) * held, more, (0,) * (held - 1), fewer, threads,
                )
            )  # fmt: skip
        if dx is not None:
            shape = known(*self._conv.results[0].shape)
            dense = memory.space[: self._dense].view("float32")
            dense = dense.reshape(shape[0], *shape[2:], shape[1])
            inner = Memory(
                memory.inputs,
                [],
                space=memory.space[self._dense :],
                doutputs=[first(dense)],
                dinputs=[dx, None, None],
            )
            calls.append(partial(_spread, y, dy, winner, dense, self._threads))
            calls += self._conv.bind_data(inner)
        return in_turn(*calls)

    def _image(self) -> Any:
        """Room for a padded image a thread, whose padding stays 0; vectors may read past it."""
        return np.zeros((self._threads, self._rows * self._line + 4 * WIDTH), "float32")

    def _geometry(self) -> tuple[int, ...]:
        return (*self._kernel, *self._stride, self._top, self._left, self._rows, self._line)


def _pack_pairs(weight: Any, transposed: Any, packed: Any) -> None:
    """``G g`` for each row of the kernel, filter and channel."""
    _, channels, height, _ = weight.shape
    points = (weight @ transposed).reshape(-1, WIDTH, channels, height, transposed.shape[1])
    # (parts, filters, C, rows, points) -> (parts, points, rows, C, filters)
    packed[...] = points.transpose(0, 4, 3, 2, 1)


@intrinsic
def _largest_of_four(
    typing: Any, image: Any, down: Any, right: Any, line: Any, weights: Any, rows: Any, bias: Any,
    y: Any, winner: Any, taps: Any, vectors: Any,
) -> Any:  # fmt: skip
    """Convolve at the four positions of a window, write the largest sum, rectified, and which.

    A NaN is larger than all others, and the first one stays.

    Args:
        image: address of what the first position sees.
        down: bytes from there to the position below.
        right: bytes to the position to the right.
        line: bytes of a row of the image.
        weights: address of ``(rows, taps, filters)``, as many filters as are computed here.
        rows: of the kernel.
        bias: address of as many constants as there are filters here.
        y: address of the result.
        winner: address of the bytes that take the position, 0 to 3.
        taps: a tuple with one entry for each column of the kernel and channel.
        vectors: a tuple with one entry for each vector of filters.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at, below, beside, pitch, weights_at, height, bias_at, y_at, winner_at = arguments[:9]
        word = at.type
        v = Vectors(builder)
        sums = [
            [cgutils.alloca_once(builder, v.type) for _ in range(vectors.count)] for _ in range(4)
        ]
        for row in sums:
            for total in row:
                builder.store(v.constant(0.0), total)
        shifts = [ir.Constant(word, 0), beside, below, builder.add(below, beside)]
        filters = BYTES * vectors.count
        with cgutils.for_range(builder, height) as loop:
            source = builder.add(at, builder.mul(loop.index, pitch))
            spots = [builder.add(source, shift) for shift in shifts]
            kernel = builder.add(
                weights_at, builder.mul(loop.index, ir.Constant(word, taps.count * filters))
            )
            for tap in range(taps.count):
                factors = [
                    v.load(builder.add(kernel, ir.Constant(word, tap * filters + BYTES * i)))
                    for i in range(vectors.count)
                ]
                for spot, row in zip(spots, sums, strict=True):
                    x = v.spread(v.scalar(builder.add(spot, ir.Constant(word, 4 * tap))))
                    for total, weight in zip(row, factors, strict=True):
                        builder.store(v.multiply_add(x, weight, builder.load(total)), total)
        for i in range(vectors.count):
            v.largest_of_four(
                [builder.load(row[i]) for row in sums],
                builder.add(bias_at, ir.Constant(word, BYTES * i)),
                builder.add(y_at, ir.Constant(word, BYTES * i)),
                builder.add(winner_at, ir.Constant(word, WIDTH * i)),
            )
        return context.get_dummy_value()

    return types.void(*(types.intp,) * 9, taps, vectors), generate


@intrinsic
def _add_chosen(
    typing: Any, entries: Any, entries_step: Any, gradients: Any, winners: Any, step: Any,
    count: Any, sums: Any, taps: Any,
) -> Any:  # fmt: skip
    """``sums[tap] += gradient * entries[tap][winner]`` over a row of windows, for some filters.

    Args:
        entries: address of ``(taps, 4)``, what the taps see from the four positions.
        entries_step: bytes to those of the next window.
        gradients: address of one number for each filter.
        winners: address of one integer of 32 bits for each.
        step: bytes to those of the next window.
        count: how many windows there are.
        sums: address of ``(taps, filters)``.
        taps: a tuple with one entry for each tap.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at, beside, gradients_at, winners_at, distance, number, sums_at = arguments[:7]
        word = at.type
        v = Vectors(builder, ENTRIES)
        spots = [
            builder.add(sums_at, ir.Constant(word, 4 * ENTRIES * tap)) for tap in range(taps.count)
        ]
        totals = [cgutils.alloca_once(builder, v.type) for _ in spots]
        for total, spot in zip(totals, spots, strict=True):
            builder.store(v.load(spot), total)
        with cgutils.for_range(builder, number) as loop:
            far = builder.mul(loop.index, distance)
            gradient = v.load(builder.add(gradients_at, far))
            numbers = v.numbers(builder.add(winners_at, far))
            source = builder.add(at, builder.mul(loop.index, beside))
            for tap, total in enumerate(totals):
                x = v.chosen(builder.add(source, ir.Constant(word, 4 * FOUR * tap)), numbers)
                builder.store(v.multiply_add(x, gradient, builder.load(total)), total)
        for total, spot in zip(totals, spots, strict=True):
            v.store(builder.load(total), spot)
        return context.get_dummy_value()

    return types.void(*(types.intp,) * 7, taps), generate


@njit(**OPTIONS)
def _pad(x, n, geometry, image):
    """Copy image n of ``x (N, H, W, C)`` into the padded one."""
    top, left, rows, line = geometry[4:]
    height, width, channels = x.shape[1:]
    for row in range(min(height, rows - top)):
        start = (row + top) * line + left * channels
        source = x[n, row]
        for column in range(width):
            for c in range(channels):
                image[start + column * channels + c] = source[column, c]


@njit(parallel=True, **OPTIONS)
def _forward(x, images, geometry, weights, bias, y, winner, taps, vectors, threads):
    kernel_h, _, stride_h, stride_w = geometry[:4]
    line = geometry[7]
    batch, down, across, filters = y.shape
    channels = x.shape[3]
    part = WIDTH * len(vectors)
    for thread in prange(threads):
        image = images[thread]
        base = image.ctypes.data
        # rows of windows, counted over all images: one image alone is shared too
        first, end = batch * down * thread // threads, batch * down * (thread + 1) // threads
        while first < end:
            n, begin = first // down, first % down
            stop = min(down, begin + end - first)
            first += stop - begin
            _pad(x, n, geometry, image)
            for f in range(0, filters, part):
                for i in range(begin, stop):
                    for j in range(across):
                        at = base + 4 * (2 * i * stride_h * line + 2 * j * stride_w * channels)
                        _largest_of_four(
                            at, 4 * stride_h * line, 4 * stride_w * channels, 4 * line,
                            weights.ctypes.data + 4 * f * kernel_h * len(taps), kernel_h,
                            bias.ctypes.data + 4 * f, y[n, i, j].ctypes.data + 4 * f,
                            winner[n, i, j].ctypes.data + f, taps, vectors,
                        )  # fmt: skip


@njit(**OPTIONS)
def _by_fours(image, geometry, channels, fours):
    """What is seen at each entry of a padded image, below, beside and diagonally of it."""
    stride_h, stride_w, line = geometry[2], geometry[3], geometry[7]
    right = stride_w * channels
    for row in range(fours.shape[0]):
        here = image[row * line : (row + 1) * line + right]
        below = image[(row + stride_h) * line : (row + stride_h + 1) * line + right]
        for entry in range(line):
            fours[row, entry, 0] = here[entry]
            fours[row, entry, 1] = here[entry + right]
            fours[row, entry, 2] = below[entry]
            fours[row, entry, 3] = below[entry + right]


@njit(parallel=True, **OPTIONS)
def _sum_chosen(
    x, images, geometry, y, dy, winner, room, dweight, dbias, taps, more, less_taps, fewer, threads
):
    kernel_h, kernel_w, stride_h, stride_w = geometry[:4]
    batch, down, across, filters = y.shape
    channels = x.shape[3]
    fours, gradients, winners, sums, biases = room
    for thread in prange(threads):
        four, gradient, chosen = fours[thread], gradients[thread], winners[thread]
        own, bias = sums[thread], biases[thread]
        own[:] = 0
        bias[:] = 0
        for n in range(batch * thread // threads, batch * (thread + 1) // threads):
            _pad(x, n, geometry, images[thread])
            _by_fours(images[thread], geometry, channels, four)
            for i in range(down):
                for j in range(across):
                    arriving, result, place = dy[n, i, j], y[n, i, j], winner[n, i, j]
                    through, number = gradient[j], chosen[j]
                    for f in range(through.size):
                        through[f] = arriving[f] if result[f] > 0 else np.float32(0)
                    for f in range(number.size):
                        number[f] = place[f]
                    for f in range(bias.size):
                        bias[f] += through[f]
                for part in range(own.shape[0]):
                    factors = gradient.ctypes.data + 4 * ENTRIES * part
                    numbers = chosen.ctypes.data + 4 * ENTRIES * part
                    for p in range(kernel_h):
                        source = four[2 * i * stride_h + p].ctypes.data
                        target = own[part, p].ctypes.data
                        for _ in range(more):
                            _add_chosen(
                                source, 4 * FOUR * 2 * stride_w * channels, factors, numbers,
                                4 * filters, across, target, taps,
                            )  # fmt: skip
                            source += 4 * FOUR * len(taps)
                            target += 4 * ENTRIES * len(taps)
                        for _ in range(fewer):
                            _add_chosen(
                                source, 4 * FOUR * 2 * stride_w * channels, factors, numbers,
                                4 * filters, across, target, less_taps,
                            )  # fmt: skip
                            source += 4 * FOUR * len(less_taps)
                            target += 4 * ENTRIES * len(less_taps)
    # by loops: numba would make a parallel region of each array's sum
    for f in range(filters):
        whole = 0.0
        for thread in range(threads):
            whole += biases[thread, f]
        dbias[f] = whole
        for p in range(kernel_h):
            for q in range(kernel_w):
                for c in range(channels):
                    tap = np.float32(0)
                    for thread in range(threads):
                        tap += sums[thread, f // ENTRIES, p, q * channels + c, f % ENTRIES]
                    dweight[f, c, p, q] = tap


@njit(parallel=True, **OPTIONS)
def _spread(y, dy, winner, dense, threads):
    """The gradient of the convolution's result, ``dense (N, H, W, F)``."""
    batch, down, across, filters = y.shape
    for thread in prange(threads):
        for n in range(batch * thread // threads, batch * (thread + 1) // threads):
            dense[n] = 0
            for i in range(down):
                for j in range(across):
                    for f in range(filters):
                        if y[n, i, j, f] > 0:
                            place = winner[n, i, j, f]
                            row, column = 2 * i + (place >> 1), 2 * j + (place & 1)
                            dense[n, row, column, f] = dy[n, i, j, f]
