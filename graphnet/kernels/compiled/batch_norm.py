"""Batch normalization with what follows it, an addition and ReLU, in few passes over memory.

The input is read as rows of channels, ``(N * positions, C)``.  Forward reads it twice, once for
the statistics and once for the result; the addition and the ReLU are part of the second.
Backward reads it twice as well: the sums over the batch, then the gradient.  Which entries the
ReLU let through is computed again from the input, unless something was added to it.

The statistics of a block of rows are taken about the block's own mean, and blocks are combined
in float64, so that a large mean costs the variance no digits.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numba import njit, prange

from graphnet.kernels.compiled.rows import BLOCK, FAST, as_rows
from graphnet.kernels.compiled.vector import OPTIONS
from graphnet.kernels.placed import LAST, ROWS, Call, Memory, PlacedKernel, Terms, last
from ops.batch_norm import BatchNorm, BatchNormInference
from ops.fused import BatchNormInferenceReLU, BatchNormReLU
from ops.operator import Spec, known

__all__ = ["CompiledBatchNorm", "CompiledBatchNormInference"]


class CompiledBatchNorm(PlacedKernel):
    """One batch normalization, or one with the addition and the ReLU behind it."""

    def __init__(self, operator: BatchNorm, specs: tuple[Spec | None, ...], threads: int) -> None:
        super().__init__(operator, specs)
        x, gamma = specs[:2]
        assert x is not None and gamma is not None, "infer saw to it"
        self._operator = operator
        self._relu = isinstance(operator, BatchNormReLU)
        self._added = len(specs) > 5 and specs[5] is not None
        self._threads = threads
        self.terms = Terms(
            inputs=(LAST, ROWS, ROWS, ROWS, ROWS, LAST)[: len(specs)],
            outputs=(LAST, ROWS, ROWS),
            reads=(0, 1, 2),
            keeps=(0,) if self._added else (),
            # mean, 1 / sqrt(var + eps), and that times gamma
            extras=(gamma,) * 3,
            backward_space=known(x.nbytes)[0] if self._added else 0,
            over_gradient=((5, 0),) if self._added else ((0, 0),),
            again=(0,),
            rereads=(5,) if self._added else (),
        )

    def bind_forward(self, memory: Memory) -> Call:
        x, gamma, beta, running_mean, running_var, added = (*memory.inputs, None)[:6]
        y, new_mean, new_var = memory.outputs
        rows, channels = as_rows(last(x)), x.shape[1]
        parts = np.empty((2, self._threads, channels)), np.empty(self._threads)
        return partial(
            _normalize,
            rows,
            (gamma, beta, running_mean, running_var),
            (new_mean, new_var),
            tuple(memory.extras),
            parts,
            (self._operator.eps, self._operator.momentum),
            rows if added is None else as_rows(last(added)),
            (added is not None, self._relu),
            as_rows(last(y)),
            self._threads,
        )

    def bind_again(self, memory: Memory) -> Call:
        mean, _, scale = memory.extras
        rows, y = (as_rows(last(a[0])) for a in (memory.inputs, memory.outputs))
        beta = memory.inputs[2]
        added = as_rows(last(memory.inputs[5])) if self._added else rows
        return partial(
            _apply, rows, mean, scale, beta, added, self._added, self._relu, y, self._threads
        )

    def bind_backward(self, memory: Memory) -> Call:
        x, gamma, beta = memory.inputs[:3]
        dx, dgamma, dbeta, *_, dadded = (*memory.dinputs, None)[:6]
        dy = as_rows(last(memory.doutputs[0]))
        rows, channels = as_rows(last(x)), x.shape[1]
        result = through = dy
        if self._added:
            result = as_rows(last(memory.outputs[0]))
            if dadded is None:
                through = memory.space.view("float32").reshape(rows.shape)
            else:
                through = as_rows(last(dadded))
        return partial(
            _differentiate,
            rows,
            (gamma, beta),
            tuple(memory.extras),
            np.empty((2, self._threads, channels)),
            np.empty((4, channels), "float32"),
            result,
            dy,
            through,
            (self._added, self._relu, dx is not None),
            # what nobody wants goes where nobody looks
            np.empty(channels, "float32") if dgamma is None else dgamma,
            np.empty(channels, "float32") if dbeta is None else dbeta,
            dy if dx is None else as_rows(last(dx)),
            self._threads,
        )


class CompiledBatchNormInference(PlacedKernel):
    """One affine map per channel, or one with the addition and the ReLU behind it."""

    def __init__(
        self, operator: BatchNormInference, specs: tuple[Spec | None, ...], threads: int
    ) -> None:
        super().__init__(operator, specs)
        self._eps = operator.eps
        self._relu = isinstance(operator, BatchNormInferenceReLU)
        self._threads = threads
        self.terms = Terms(
            inputs=(LAST, ROWS, ROWS, ROWS, ROWS, LAST)[: len(specs)],
            outputs=(LAST,),
            over=((0, 0),),
            differentiable=False,
        )

    def bind_forward(self, memory: Memory) -> Call:
        x, *statistics, added = (*memory.inputs, None)[:6]
        rows = as_rows(last(x))
        return partial(
            _infer,
            rows,
            tuple(statistics),
            np.empty(x.shape[1], "float32"),
            self._eps,
            rows if added is None else as_rows(last(added)),
            (added is not None, self._relu),
            as_rows(last(memory.outputs[0])),
            self._threads,
        )

    def bind_backward(self, memory: Memory) -> Call:
        raise NotImplementedError("inference alone")


@njit(**OPTIONS)
def _normalize(x, given, renewed, extras, parts, fields, added, flags, y, threads):
    gamma, beta, running_mean, running_var = given
    mean, rstd, scale = extras
    eps, momentum = fields
    blocks, counts = parts
    _statistics(x, blocks[0], blocks[1], counts, threads)
    rows = x.shape[0]
    for c in range(x.shape[1]):
        center = 0.0
        for thread in range(threads):
            center += blocks[0, thread, c] * (counts[thread] / rows)
        spread = 0.0
        for thread in range(threads):
            spread += blocks[1, thread, c]
            spread += counts[thread] * (blocks[0, thread, c] - center) ** 2
        var = spread / rows
        inverse = 1 / np.sqrt(var + eps)
        mean[c] = center
        rstd[c] = inverse
        scale[c] = gamma[c] * inverse
        renewed[0][c] = momentum * running_mean[c] + (1 - momentum) * center
        renewed[1][c] = momentum * running_var[c] + (1 - momentum) * var
    _apply(x, mean, scale, beta, added, flags[0], flags[1], y, threads)


@njit(**OPTIONS)
def _infer(x, given, scale, eps, added, flags, y, threads):
    gamma, beta, mean, var = given
    for c in range(x.shape[1]):
        scale[c] = gamma[c] / np.sqrt(np.float64(var[c]) + eps)
    _apply(x, mean, scale, beta, added, flags[0], flags[1], y, threads)


@njit(**OPTIONS)
def _differentiate(
    x, affine, extras, parts, factors, y, dy, through, flags, dgamma, dbeta, dx, threads
):
    gamma, beta = affine
    mean, rstd, scale = extras
    added, relu, wanted = flags
    if added:
        _masked_sums(x, y, mean, dy, through, parts, threads)
    elif relu:
        _sums(x, mean, scale, beta, dy, parts, threads)
    else:  # nothing is held back: 0 * x + 1 is above 0
        factors[0] = 0
        factors[3] = 1
        _sums(x, mean, factors[0], factors[3], dy, parts, threads)
    rows = x.shape[0]
    for c in range(x.shape[1]):
        plain = np.float64(0)
        along = np.float64(0)
        for thread in range(threads):
            plain += parts[0, thread, c]
            along += parts[1, thread, c]
        along *= rstd[c]
        dbeta[c] = plain
        dgamma[c] = along
        factor = np.float64(gamma[c]) * rstd[c]
        factors[0, c] = factor
        factors[1, c] = -factor * rstd[c] * along / rows
        factors[2, c] = -factor * plain / rows
    if wanted:
        if relu and not added:
            _masked_gradient(x, mean, scale, beta, factors, dy, dx, threads)
        else:
            _gradient(x, mean, factors, through, dx, threads)


@njit(**FAST)
def _statistics(x, means, squares, counts, threads):
    rows, channels = x.shape
    for thread in prange(threads):
        begin, end = rows * thread // threads, rows * (thread + 1) // threads
        mean, square = means[thread], squares[thread]
        mean[:] = 0.0
        square[:] = 0.0
        count = np.float64(0)
        total = np.empty(channels, np.float32)
        about = np.empty(channels, np.float32)
        for start in range(begin, end, BLOCK):
            stop = min(end, start + BLOCK)
            size = np.float32(stop - start)
            total[:] = 0
            for row in range(start, stop):
                for c in range(channels):
                    total[c] += x[row, c]
            for c in range(channels):
                about[c] = total[c] / size
                total[c] = 0
            for row in range(start, stop):
                for c in range(channels):
                    apart = x[row, c] - about[c]
                    total[c] += apart * apart
            both = count + size
            for c in range(channels):
                apart = about[c] - mean[c]
                mean[c] += apart * (size / both)
                square[c] += total[c] + apart * apart * (count * size / both)
            count = both
        counts[thread] = count


@njit(**FAST)
def _apply(x, mean, scale, beta, added, adds, relu, y, threads):
    rows, channels = x.shape
    low = np.float32(0) if relu else np.float32(-np.inf)
    for thread in prange(threads):
        begin, end = rows * thread // threads, rows * (thread + 1) // threads
        if adds:
            for row in range(begin, end):
                for c in range(channels):
                    value = (x[row, c] - mean[c]) * scale[c] + beta[c] + added[row, c]
                    y[row, c] = low if value < low else value
        else:
            for row in range(begin, end):
                for c in range(channels):
                    value = (x[row, c] - mean[c]) * scale[c] + beta[c]
                    y[row, c] = low if value < low else value


@njit(**FAST)
def _sums(x, mean, scale, beta, dy, parts, threads):
    rows, channels = x.shape
    for thread in prange(threads):
        begin, end = rows * thread // threads, rows * (thread + 1) // threads
        parts[:, thread] = 0.0
        plain = np.empty(channels, np.float32)
        along = np.empty(channels, np.float32)
        for start in range(begin, end, BLOCK):
            plain[:] = 0
            along[:] = 0
            for row in range(start, min(end, start + BLOCK)):
                for c in range(channels):
                    apart = x[row, c] - mean[c]
                    through = dy[row, c] if apart * scale[c] + beta[c] > 0 else np.float32(0)
                    plain[c] += through
                    along[c] += through * apart
            for c in range(channels):
                parts[0, thread, c] += plain[c]
                parts[1, thread, c] += along[c]


@njit(**FAST)
def _masked_sums(x, y, mean, dy, through, parts, threads):
    rows, channels = x.shape
    for thread in prange(threads):
        begin, end = rows * thread // threads, rows * (thread + 1) // threads
        parts[:, thread] = 0.0
        plain = np.empty(channels, np.float32)
        along = np.empty(channels, np.float32)
        passed = np.empty(channels, np.float32)
        for start in range(begin, end, BLOCK):
            plain[:] = 0
            along[:] = 0
            for row in range(start, min(end, start + BLOCK)):
                # by way of a row of its own: through may lie where dy does
                for c in range(channels):
                    passed[c] = dy[row, c] if y[row, c] > 0 else np.float32(0)
                for c in range(channels):
                    through[row, c] = passed[c]
                    plain[c] += passed[c]
                    along[c] += passed[c] * (x[row, c] - mean[c])
            for c in range(channels):
                parts[0, thread, c] += plain[c]
                parts[1, thread, c] += along[c]


@njit(**FAST)
def _masked_gradient(x, mean, scale, beta, factors, dy, dx, threads):
    rows, channels = x.shape
    for thread in prange(threads):
        for row in range(rows * thread // threads, rows * (thread + 1) // threads):
            for c in range(channels):
                apart = x[row, c] - mean[c]
                through = dy[row, c] if apart * scale[c] + beta[c] > 0 else np.float32(0)
                dx[row, c] = through * factors[0, c] + apart * factors[1, c] + factors[2, c]


@njit(**FAST)
def _gradient(x, mean, factors, dy, dx, threads):
    rows, channels = x.shape
    for thread in prange(threads):
        for row in range(rows * thread // threads, rows * (thread + 1) // threads):
            for c in range(channels):
                apart = x[row, c] - mean[c]
                dx[row, c] = dy[row, c] * factors[0, c] + apart * factors[1, c] + factors[2, c]
