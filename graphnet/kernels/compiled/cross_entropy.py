"""Softmax cross-entropy over the rows of a matrix of logits, in one pass each way."""

from __future__ import annotations

from functools import partial

import numpy as np
from numba import njit

from graphnet.kernels.compiled.vector import OPTIONS
from graphnet.kernels.placed import ROWS, Call, Memory, PlacedKernel, Terms
from ops.cross_entropy import SoftmaxCrossEntropy
from ops.operator import Spec

__all__ = ["CompiledCrossEntropy", "is_plain"]

#: The largest loss of one label.
FINITE = float(np.finfo(np.float32).max)


def is_plain(operator: SoftmaxCrossEntropy, specs: tuple[Spec | None, ...]) -> bool:
    """Whether a loss is served here: the mean over rows of which all count, not smoothed."""
    x = specs[0]
    return (
        x is not None
        and x.rank == 2
        and x.dtype == "float32"
        and x.elements != 0
        and operator.reduction == "mean"
        and operator.label_smoothing == 0
        and operator.ignore_index is None
    )


class CompiledCrossEntropy(PlacedKernel):
    """The mean over labels of which all count, without smoothing."""

    def __init__(self, operator: SoftmaxCrossEntropy, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(operator, specs)
        x = specs[0]
        assert x is not None, "infer saw to it"
        self.terms = Terms(inputs=(ROWS, ROWS), outputs=(ROWS,), reads=(1,), extras=(x,))

    def bind_forward(self, memory: Memory) -> Call:
        x, labels = memory.inputs
        return partial(_forward, x, labels, memory.extras[0], memory.outputs[0].reshape(1))

    def bind_backward(self, memory: Memory) -> Call:
        dy = memory.doutputs[0].reshape(1)
        return partial(_backward, memory.extras[0], memory.inputs[1], dy, memory.dinputs[0])


@njit(**OPTIONS)
def _forward(x, labels, probabilities, loss):
    rows, classes = x.shape
    whole = 0.0
    for row in range(rows):
        largest = x[row, 0]
        for c in range(1, classes):
            # the first NaN stays the largest
            if not x[row, c] <= largest and largest == largest:
                largest = x[row, c]
        total = np.float32(0)
        for c in range(classes):
            probabilities[row, c] = np.exp(x[row, c] - largest)
            total += probabilities[row, c]
        label = labels[row]
        if label < 0 or label >= classes:  # a label that hits no class
            total = np.float32(np.nan)
            label = 0
        for c in range(classes):
            probabilities[row, c] /= total
        value = np.float64(np.log(total)) - (np.float64(x[row, label]) - np.float64(largest))
        whole += FINITE if value > FINITE else value  # a NaN stays
    loss[0] = whole / rows


@njit(**OPTIONS)
def _backward(probabilities, labels, dy, dx):
    rows, classes = probabilities.shape
    share = dy[0] / np.float32(rows)
    for row in range(rows):
        for c in range(classes):
            dx[row, c] = probabilities[row, c] * share
        label = labels[row]
        if 0 <= label < classes:
            dx[row, label] = (probabilities[row, label] - np.float32(1)) * share
