"""The softmax cross-entropy of a label for each example, or for each position of it."""

from __future__ import annotations

from typing import Any

from graphnet.kernels.cuda.device import LINE, Device, grid_of
from graphnet.kernels.cuda.kernel import INTEGERS, CudaKernel, Rows
from graphnet.kernels.placed import ROWS, SAME, Call, Memory, Terms, in_turn
from graphnet.kernels.wide import Wide, inner
from ops.cross_entropy import SoftmaxCrossEntropy
from ops.operator import Operator, Spec, known

__all__ = ["CudaCrossEntropy", "is_served"]


def is_served(operator: Operator, specs: tuple[Spec | None, ...]) -> bool:
    """Whether a loss is served here: one in float32, with a number to ignore that has 64 bits."""
    loss, x, labels = inner(operator), specs[0], specs[1]
    assert isinstance(loss, SoftmaxCrossEntropy), "nothing else gets here"
    assert x is not None and labels is not None, "infer saw to it"
    wide = x.dtype == "float32" or (isinstance(operator, Wide) and not operator.narrows)
    return wide and labels.dtype in INTEGERS and (loss.ignore_index or 0) < 1 << 63


class CudaCrossEntropy(CudaKernel):
    """A loss of known shape; probabilities are computed again from the logits in reverse."""

    file = "cross_entropy.cu"

    def __init__(self, device: Device, operator: Operator, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(device, operator, specs)
        operator = inner(operator)
        assert isinstance(operator, SoftmaxCrossEntropy), "the provider sees to it"
        x, labels = specs
        assert x is not None and labels is not None, "infer saw to it"
        self._options += (INTEGERS[labels.dtype],)
        self._reduction = operator.reduction
        self._smoothing = float(operator.label_smoothing)
        self._ignored = (operator.ignore_index is not None, operator.ignore_index or 0)
        (labelled,) = known(labels.size)
        (self._blocks,) = grid_of(device, labelled)
        one = self._reduction != "none"
        self.terms = Terms(
            inputs=(SAME, ROWS),
            outputs=(ROWS,),
            reads=(0, 1),
            # the largest logit of each label, the sum of exponentials, and the divisor
            extras=(Spec((labelled,), "float32"),) * 2 + (Spec((1,), "float32"),) * one,
            forward_space=8 * (labelled + 2 * self._blocks * one),
        )

    def bind_forward(self, memory: Memory) -> Call:
        x, labels = memory.inputs
        rows, y, space = Rows.along(x, 1), memory.outputs[0], memory.space.view("float64")
        largests, totals, *divisor = memory.extras
        values, parts = space[: rows.count], space[rows.count :]
        losses = self.lined(
            "losses", rows, x, labels, largests, totals, values, *self._numbers(rows)
        )
        counted = (rows.count, rows.size, *self._ignored)
        if not divisor:
            return in_turn(
                losses, self.walked("loss_each", rows.count, values, labels, y, *counted)
            )
        ends = (parts, y, *divisor, self._blocks, rows.count, self._ignored[0])
        return in_turn(
            losses,
            self.bound("loss_parts", (self._blocks,), (LINE,), values, labels, parts, *counted),
            self.bound("loss_total", (1,), (LINE,), *ends, self._reduction == "mean"),
        )

    def bind_backward(self, memory: Memory) -> Call:
        x, labels = memory.inputs
        rows = Rows.along(x, 1)
        largests, totals, *divisor = memory.extras
        return self.lined(
            "losses_backward", rows, x, labels, largests, totals,
            *(divisor or [None]), memory.doutputs[0], memory.dinputs[0], *self._numbers(rows),
        )  # fmt: skip

    def _numbers(self, rows: Rows) -> tuple[Any, ...]:
        return rows.count, rows.size, rows.inner, self._smoothing, *self._ignored
