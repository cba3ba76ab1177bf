"""The mean softmax cross-entropy of rows of logits."""

from __future__ import annotations

from graphnet.kernels.cuda.device import LINE, Device
from graphnet.kernels.cuda.kernel import CudaKernel
from graphnet.kernels.placed import ROWS, Call, Memory, Terms, in_turn
from ops.cross_entropy import SoftmaxCrossEntropy
from ops.operator import Operator, Spec, known

__all__ = ["CudaCrossEntropy", "is_plain"]


def is_plain(operator: SoftmaxCrossEntropy, specs: tuple[Spec | None, ...]) -> bool:
    """Whether a loss is served here: the mean over rows of which all count, not smoothed."""
    x, labels = specs
    return (
        x is not None
        and labels is not None
        and x.rank == 2
        and labels.dtype == "int64"
        and operator.reduction == "mean"
        and operator.label_smoothing == 0
        and operator.ignore_index is None
    )


class CudaCrossEntropy(CudaKernel):
    """The mean over labels of which all count, without smoothing."""

    file = "cross_entropy.cu"

    def __init__(self, device: Device, operator: Operator, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(device, operator, specs)
        x = specs[0]
        assert x is not None, "infer saw to it"
        self._rows, self._classes = known(*x.shape)
        self.terms = Terms(
            inputs=(ROWS, ROWS),
            outputs=(ROWS,),
            reads=(1,),
            extras=(Spec(x.shape, "float32"),),
            forward_space=8 * self._rows,
        )

    def bind_forward(self, memory: Memory) -> Call:
        x, labels = memory.inputs
        values = memory.space.view("float64")
        return in_turn(
            self.bound(
                "losses", (self._rows,), (LINE,), x, labels, memory.extras[0], values,
                self._classes,
            ),
            self.bound("mean", (1,), (LINE,), values, memory.outputs[0], self._rows),
        )  # fmt: skip

    def bind_backward(self, memory: Memory) -> Call:
        return self.walked(
            "losses_backward", self._rows * self._classes, memory.extras[0], memory.inputs[1],
            memory.doutputs[0], memory.dinputs[0], self._rows, self._classes,
        )  # fmt: skip
