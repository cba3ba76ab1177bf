"""The three transforms of Winograd's convolution F(4x4, 3x3), along the channels.

A 3x3 convolution computes an output tile of 4x4 from an input tile of 6x6.  With

    V = B^T d B,   U = G g G^T,   y = A^T (sum over channels of U * V) A

the sum over the channels needs 36 products for 16 outputs, where the direct sum has 144.  The
36 entries are numbered ``6 * row + column``; over all tiles and channels, each of them is one
matrix product.

Arrays are channels-last, ``(N, H, W, C)``, and C is a multiple of the vector's width, so each
transform works on 16 channels at once.  A transform is one pass over the columns of a whole row
of tiles, and one over its rows; neighbouring tiles share two columns, which the first pass
transforms once.

Source: Lavin, Gray, "Fast Algorithms for Convolutional Neural Networks", 2016; the points are
0, 1, -1, 2, -2 and infinity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numba import njit

from graphnet.kernels.compiled.vector import (
    BYTES,
    OPTIONS,
    WIDTH,
    Vectors,
    copy,
    finish,
    transform,
    transform_and_finish,
    zero,
)

__all__ = [
    "POINTS",
    "clear",
    "gather_gradients",
    "gather_inputs",
    "scatter_outputs",
    "spread_kernels",
    "sum_kernels",
]

#: Entries of a transformed tile.
POINTS = 36


def _input_step(v: Vectors, d: Sequence[Any]) -> list[Any]:
    """``B^T``: 6 entries of the input to 6 points."""
    even, odd = v.combine((1, d[4]), (-4, d[2])), v.combine((1, d[3]), (-4, d[1]))
    outer, inner = v.combine((1, d[4]), (-1, d[2])), v.combine((2, d[3]), (-2, d[1]))
    return [
        v.combine((1, d[4]), (-5, d[2]), (4, d[0])),
        v.combine((1, even), (1, odd)),
        v.combine((1, even), (-1, odd)),
        v.combine((1, outer), (1, inner)),
        v.combine((1, outer), (-1, inner)),
        v.combine((1, d[5]), (-5, d[3]), (4, d[1])),
    ]


def _output_step(v: Vectors, m: Sequence[Any]) -> list[Any]:
    """``A^T``: 6 points to 4 entries of the output."""
    one, minus_one = v.combine((1, m[1]), (1, m[2])), v.combine((1, m[1]), (-1, m[2]))
    two, minus_two = v.combine((1, m[3]), (1, m[4])), v.combine((1, m[3]), (-1, m[4]))
    return [
        v.combine((1, m[0]), (1, one), (1, two)),
        v.combine((1, minus_one), (2, minus_two)),
        v.combine((1, one), (4, two)),
        v.combine((1, minus_one), (1, m[5]), (8, minus_two)),
    ]


def _gradient_step(v: Vectors, y: Sequence[Any]) -> list[Any]:
    """``A``: 4 entries of the output's gradient to 6 points."""
    even, odd = v.combine((1, y[0]), (1, y[2])), v.combine((1, y[1]), (1, y[3]))
    far, near = v.combine((1, y[0]), (4, y[2])), v.combine((2, y[1]), (8, y[3]))
    return [
        y[0],
        v.combine((1, even), (1, odd)),
        v.combine((1, even), (-1, odd)),
        v.combine((1, far), (1, near)),
        v.combine((1, far), (-1, near)),
        y[3],
    ]


def _kernel_step(v: Vectors, g: Sequence[Any]) -> list[Any]:
    """``G``: 3 entries of the kernel to 6 points."""
    outer, near = v.combine((1, g[0]), (1, g[2])), v.combine((1 / 24, g[0]), (1 / 6, g[2]))
    return [
        v.combine((1 / 4, g[0])),
        v.combine((-1 / 6, outer), (-1 / 6, g[1])),
        v.combine((-1 / 6, outer), (1 / 6, g[1])),
        v.combine((1, near), (1 / 12, g[1])),
        v.combine((1, near), (-1 / 12, g[1])),
        g[2],
    ]


def _kernel_gradient_step(v: Vectors, u: Sequence[Any]) -> list[Any]:
    """``G^T``: 6 points to 3 entries of the kernel's gradient."""
    one, minus_one = v.combine((1, u[1]), (1, u[2])), v.combine((1, u[1]), (-1, u[2]))
    two, minus_two = v.combine((1, u[3]), (1, u[4])), v.combine((1, u[3]), (-1, u[4]))
    return [
        v.combine((1 / 4, u[0]), (-1 / 6, one), (1 / 24, two)),
        v.combine((-1 / 6, minus_one), (1 / 12, minus_two)),
        v.combine((1, u[5]), (-1 / 6, one), (1 / 6, two)),
    ]


_input = transform(6, _input_step)
_output = transform(6, _output_step)
_output_and_finish = transform_and_finish(6, _output_step)
_gradient = transform(4, _gradient_step)
_kernel = transform(3, _kernel_step)
_kernel_gradient = transform(6, _kernel_gradient_step)


@njit(**OPTIONS)
def clear(points, plane, channels, first, last):
    """Zero the tiles from ``first`` to ahead of ``last`` of ``(36, tiles, channels)``.

    Args:
        points: address of the planes.
        plane: bytes from one of the 36 to the next.
        channels: of a tile.
        first: the number of a tile.
        last: the number after the last one.
    """
    for point in range(36):
        for at in range(4 * first * channels, 4 * last * channels, BYTES):
            zero(points + point * plane + at)


@njit(**OPTIONS)
def gather_inputs(x, height, width, channels, first, last, points, plane, space):
    """Transform the input tiles of some rows of tiles.

    Args:
        x: address of ``(N, H, W, C)``.
        height: H.
        width: W.
        channels: C.
        first: row of tiles, counted over all images.
        last: the row after the last one.
        points: address of ``(36, tiles, C)``.
        plane: bytes from one of the 36 to the next.
        space: address of room for ``6 * (4 * ceil(W / 4) + 2) + 6`` vectors.
    """
    down, across = (height + 3) // 4, (width + 3) // 4
    pixel = 4 * channels
    line = pixel * width
    columns = BYTES * (4 * across + 2)
    edge = space + 6 * columns
    for tile_row in range(first, last):
        image, row = tile_row // down, 4 * (tile_row % down) - 1
        inside = row >= 0 and row + 6 <= height
        top = x + (image * height + row) * line
        to = points + (tile_row - first) * across * pixel
        for channel in range(0, pixel, BYTES):
            # along the columns of the image, once for each column that any tile needs
            for column in range(-1, 4 * across + 1):
                at = space + (column + 1) * BYTES
                source = top + column * pixel + channel
                if column < 0 or column >= width:
                    for i in range(6):
                        zero(at + i * columns)
                elif inside:
                    _input(source, line, at, columns)
                else:
                    for i in range(6):
                        if 0 <= row + i < height:
                            copy(source + i * line, edge + i * BYTES)
                        else:
                            zero(edge + i * BYTES)
                    _input(edge, BYTES, at, columns)
            for tile in range(across):
                for i in range(6):
                    _input(
                        space + i * columns + 4 * tile * BYTES,
                        BYTES,
                        to + 6 * i * plane + tile * pixel + channel,
                        plane,
                    )


@njit(**OPTIONS)
def scatter_outputs(
    points, plane, part, y, height, width, channels, bias, low, added, first, last, space
):
    """Transform products back to output tiles, cut off where the image ends.

    What is written is ``max(y + bias + added, low)``.

    Args:
        points: address of ``(36, tiles, part)``.
        plane: bytes from one of the 36 to the next.
        part: how many channels are written.
        y: address of ``(N, H, W, channels)``, at the first of them.
        height: H.
        width: W.
        channels: of ``y``.
        bias: address of ``part`` numbers.
        low: the least number that is written.
        added: address of an array like ``y``; 0 for none.
        first: row of tiles, counted over all images.
        last: the row after the last one.
        space: address of room for 28 vectors.
    """
    down, across = (height + 3) // 4, (width + 3) // 4
    pixel = 4 * channels
    line = pixel * width
    edge = space + 24 * BYTES
    for tile_row in range(first, last):
        image, row = tile_row // down, 4 * (tile_row % down)
        rows = min(4, height - row)
        top = y + (image * height + row) * line
        at = points + 4 * (tile_row - first) * across * part
        for tile in range(across):
            for channel in range(0, 4 * part, BYTES):
                source = at + 4 * tile * part + channel
                for i in range(6):
                    _output(source + 6 * i * plane, plane, space + i * BYTES, 6 * BYTES)
                for j in range(min(4, width - 4 * tile)):
                    target = top + (4 * tile + j) * pixel + channel
                    more = added + (target - y) if added else 0
                    if rows == 4:
                        _output_and_finish(
                            space + 6 * j * BYTES, BYTES, target, line, bias + channel, low, more
                        )
                    else:
                        _output(space + 6 * j * BYTES, BYTES, edge, BYTES)
                        for i in range(rows):
                            finish(
                                edge + i * BYTES, 0, target + i * line, 0, bias + channel, low,
                                more + i * line if added else 0,
                            )  # fmt: skip


@njit(**OPTIONS)
def gather_gradients(dy, height, width, channels, first, last, points, plane, space):
    """Transform tiles of the output's gradient to the 36 points.

    ``dy`` is the address of ``(N, H, W, channels)``, and ``space`` that of room for 28 vectors;
    the others are those of :func:`gather_inputs`.
    """
    down, across = (height + 3) // 4, (width + 3) // 4
    pixel = 4 * channels
    line = pixel * width
    edge = space + 24 * BYTES
    for tile_row in range(first, last):
        image, row = tile_row // down, 4 * (tile_row % down)
        rows = min(4, height - row)
        top = dy + (image * height + row) * line
        to = points + (tile_row - first) * across * pixel
        for tile in range(across):
            for channel in range(0, pixel, BYTES):
                for j in range(4):
                    source = top + (4 * tile + j) * pixel + channel
                    # columns of 6 points, each 4 vectors wide
                    if 4 * tile + j >= width:
                        for i in range(6):
                            zero(space + (4 * i + j) * BYTES)
                    elif rows == 4:
                        _gradient(source, line, space + j * BYTES, 4 * BYTES)
                    else:
                        for i in range(4):
                            if i < rows:
                                copy(source + i * line, edge + i * BYTES)
                            else:
                                zero(edge + i * BYTES)
                        _gradient(edge, BYTES, space + j * BYTES, 4 * BYTES)
                target = to + tile * pixel + channel
                for i in range(6):
                    _gradient(space + 4 * i * BYTES, BYTES, target + 6 * i * plane, plane)


@njit(**OPTIONS)
def spread_kernels(weight, flipped, points, plane, block, begin, end, first, last, space):
    """Transform kernels ``(F, C, 3, 3)`` to the 36 points.

    Args:
        weight: the array.
        flipped: False for ``(36, C, F)``, as the convolution wants them; True for
            ``(36, F, C)`` of the kernels turned by 180 degrees, as its input's gradient does.
        points: address of the result.
        plane: bytes from one of the 36 to the next.
        block: columns that lie together: ``(36, columns / block, rows, block)``; all as above.
        begin: the column of the result, of F or C, to begin with.
        end: the column after the last one.
        first: the row of the result, of C or F, to begin with.
        last: the row after the last one.
        space: an array of at least 27 vectors, one of them a row.
    """
    rows = weight.shape[0] if flipped else weight.shape[1]
    base = space.ctypes.data
    for column in range(begin, end, WIDTH):
        for row in range(first, last):
            for lane in range(WIDTH):
                for i in range(3):
                    for j in range(3):
                        if flipped:
                            entry = weight[row, column + lane, 2 - i, 2 - j]
                        else:
                            entry = weight[column + lane, row, i, j]
                        space[3 * i + j, lane] = entry
            for j in range(3):
                # down column j: points (6, 3)
                _kernel(base + j * BYTES, 3 * BYTES, base + (9 + j) * BYTES, 3 * BYTES)
            for i in range(6):
                place = ((column - begin) // block * rows + row) * block + (column - begin) % block
                target = points + 6 * i * plane + 4 * place
                _kernel(base + (9 + 3 * i) * BYTES, BYTES, target, plane)


@njit(**OPTIONS)
def sum_kernels(points, plane, parts, distance, dweight, first, last, space):
    """Sum the gradients of transformed kernels, and transform them back.

    Args:
        points: address of ``(parts, 36, C, F)``.
        plane: bytes from one of the 36 to the next.
        parts: how many there are to sum.
        distance: bytes from one part to the next.
        dweight: the result, ``(F, C, 3, 3)``.
        first: the channel to begin with.
        last: the channel after the last one.
        space: an array of at least 54 vectors, one of them a row.
    """
    filters = dweight.shape[0]
    base = space.ctypes.data
    for column in range(0, filters, WIDTH):
        for channel in range(first, last):
            source = points + 4 * (channel * filters + column)
            for j in range(6):
                # down column j: (3, 6)
                _kernel_gradient(source + j * plane, 6 * plane, base + j * BYTES, 6 * BYTES)
                for part in range(1, parts):
                    _kernel_gradient(
                        source + part * distance + j * plane,
                        6 * plane,
                        base + (18 + j) * BYTES,
                        6 * BYTES,
                    )
                    for i in range(3):
                        for lane in range(WIDTH):
                            space[6 * i + j, lane] += space[18 + 6 * i + j, lane]
            for i in range(3):
                _kernel_gradient(base + 6 * i * BYTES, BYTES, base + (36 + 3 * i) * BYTES, BYTES)
            for lane in range(WIDTH):
                for i in range(3):
                    for j in range(3):
                        dweight[column + lane, channel, i, j] = space[36 + 3 * i + j, lane]
