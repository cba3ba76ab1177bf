"""Picking and writing by indices, as the ONNX standard has them."""

from __future__ import annotations

import numpy as np

from tests.oracles.onnx_node import run


def gather(operator, x, indices):
    return run("Gather", x, indices.astype(np.int64), axis=operator.axis)


def gather_elements(operator, x, indices):
    axis = operator.axis % x.ndim
    # the reference implementation wants equal sizes but for the axis, and that from the front
    met = tuple(slice(None if at == axis else n) for at, n in enumerate(indices.shape))
    return run("GatherElements", x[met], indices.astype(np.int64), axis=axis)


def scatter_elements(operator, x, indices, updates):
    return run(
        "ScatterElements",
        x,
        indices.astype(np.int64),
        updates,
        axis=operator.axis,
        reduction=operator.reduction,
    )


def gather_nd(operator, x, indices):
    if x.size == 0 or indices.shape[-1] == 0:
        return None  # the reference implementation wants an entry, and an index at least
    return run("GatherND", x, indices.astype(np.int64), batch_dims=operator.batch_axes)


def scatter_nd(operator, x, indices, updates):
    return run("ScatterND", x, indices.astype(np.int64), updates, reduction=operator.reduction)


def tensor_scatter(operator, x, update, start=None):
    mode = "circular" if operator.circular else "linear"
    return run("TensorScatter", x, update, start, axis=operator.axis, mode=mode)


def reverse_sequence(operator, x, lengths):
    axes = operator.batch_axis % x.ndim, operator.time_axis % x.ndim
    if sorted(axes) != [0, 1]:
        return None  # the standard has the first two axes alone
    lengths = lengths.astype(np.int64)
    return run("ReverseSequence", x, lengths, batch_axis=axes[0], time_axis=axes[1])
