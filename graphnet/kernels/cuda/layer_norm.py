"""Layer normalization of rows of features."""

from __future__ import annotations

import math

from graphnet.kernels.cuda.device import LINE, Device, grid_of
from graphnet.kernels.cuda.kernel import CudaKernel
from graphnet.kernels.placed import ROWS, Call, Memory, Terms, in_turn
from graphnet.kernels.wide import inner
from ops.normalization import LayerNorm
from ops.operator import Operator, Spec, known

__all__ = ["CudaLayerNorm"]

#: Rows whose gradients of gamma and beta are summed by one thread.
STRETCH = 32


class CudaLayerNorm(CudaKernel):
    """One layer normalization of known shape, one block of threads a row."""

    file = "layer_norm.cu"

    def __init__(self, device: Device, operator: Operator, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(device, operator, specs)
        operator = inner(operator)
        assert isinstance(operator, LayerNorm), "the provider sees to it"
        x, gamma = specs[:2]
        assert x is not None and gamma is not None, "infer saw to it"
        if gamma.dtype != x.dtype:
            self._options += ("-DWIDE",)
        self._eps = operator.eps
        self._features = math.prod(known(*gamma.shape))
        self._rows = math.prod(known(*x.shape)) // self._features
        self._stretches = -(-self._rows // STRETCH)
        self.terms = Terms(
            inputs=(ROWS, ROWS, ROWS),
            outputs=(ROWS,),
            reads=(0, 1),
            # the power of two, the mean and 1 / sqrt(var + eps)
            extras=(Spec((self._rows,), "float32"),) * 3,
            backward_space=2 * 8 * self._stretches * self._features,
            over_gradient=((0, 0),),
        )

    def bind_forward(self, memory: Memory) -> Call:
        return self.bound(
            "layer_norm", (self._rows,), (LINE,), *memory.inputs, memory.outputs[0],
            *memory.extras, self._features, self._eps,
        )  # fmt: skip

    def bind_backward(self, memory: Memory) -> Call:
        x, gamma, _ = memory.inputs
        dx, dgamma, dbeta = memory.dinputs
        dy, features = memory.doutputs[0], self._features
        calls = []
        if dgamma is not None or dbeta is not None:
            sums = memory.space.view("float64")
            half = self._stretches * features
            grid = (-(-features // LINE), self._stretches)
            calls += [
                self.bound(
                    "layer_norm_sums", grid, (LINE,), x, dy, *memory.extras, sums[:half],
                    sums[half:], self._rows, features, STRETCH,
                ),
                self.bound(
                    "layer_norm_total", grid_of(self.device, features), (LINE,), sums[:half],
                    sums[half:], dgamma, dbeta, features, self._stretches,
                ),
            ]  # fmt: skip
        if dx is not None:  # last, since it may lie where dy does
            calls.append(
                self.bound(
                    "layer_norm_backward", (self._rows,), (LINE,), x, gamma, dy, *memory.extras,
                    dx, features,
                )
            )  # fmt: skip
        return in_turn(*calls)
