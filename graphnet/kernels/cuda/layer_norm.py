"""Normalizations of each example by itself: over its last axes, or over groups of channels."""

from __future__ import annotations

import math
from typing import Any

from graphnet.kernels.cuda.device import LINE, Device
from graphnet.kernels.cuda.kernel import CudaKernel
from graphnet.kernels.cuda.strided import Strided
from graphnet.kernels.placed import ROWS, SAME, Call, Memory, Terms, in_turn, is_arranged, last
from graphnet.kernels.wide import inner
from ops.normalization import GroupNorm, InstanceNorm, LayerNorm, RMSNorm
from ops.operator import Operator, Spec, known

__all__ = ["CudaGroupNorm", "CudaLayerNorm"]


class CudaLayerNorm(CudaKernel):
    """One normalization of known shape over the last axes, one block of threads a row."""

    file = "layer_norm.cu"
    layout = ROWS

    def __init__(self, device: Device, operator: Operator, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(device, operator, specs)
        x, gamma = specs[:2]
        assert x is not None and gamma is not None, "infer saw to it"
        if gamma.dtype != x.dtype:
            self._options += ("-DWIDE",)
        operator = inner(operator)
        assert isinstance(operator, LayerNorm | RMSNorm | GroupNorm | InstanceNorm), "no other"
        if isinstance(operator, RMSNorm):
            self._options += ("-DRMS",)
        self._eps = operator.eps
        #: Examples, groups of each, and in each of them channels and their positions.
        self._shape = self._cut(operator, known(*x.shape), known(*gamma.shape))
        rows = self._shape[0] * self._shape[1]
        self._strided = Strided(device, x.dtype)
        self.terms = Terms(
            inputs=(self.layout, *[ROWS] * (len(specs) - 1)),
            outputs=(self.layout,),
            reads=(0, 1),
            # the power of two, the mean and 1 / sqrt(var + eps)
            extras=(Spec((rows,), "float32"),) * 3,
            backward_space=self._strided.sum_bytes(self._shape, (0, 3)),
            over_gradient=((0, 0),),
        )

    def bind_forward(self, memory: Memory) -> Call:
        x, gamma, beta = (*memory.inputs, None)[:3]
        arrays = x, gamma, beta, memory.outputs[0], *memory.extras
        return self._each("layer_norm", x, *arrays, *self._numbers(), self._eps)

    def bind_backward(self, memory: Memory) -> Call:
        x, gamma = memory.inputs[:2]
        dx, dgamma, dbeta = (*memory.dinputs, None)[:3]
        dy = memory.doutputs[0]
        examples, groups, channels, _ = self._shape
        given = {"g": self._view(dy)}
        calls = []
        if dbeta is not None:
            target = dbeta.reshape(1, groups, channels, 1)
            calls.append(self._strided.summed("g", target, given, memory.space))
        if dgamma is not None:
            given["x"] = self._view(x)
            for name, extra in zip(("shrink", "mean", "rstd"), memory.extras, strict=True):
                given[name] = extra.reshape(examples, groups, 1, 1)
            target = dgamma.reshape(1, groups, channels, 1)
            hat = "g * ((x * shrink - mean) * rstd)"
            calls.append(self._strided.summed(hat, target, given, memory.space))
        if dx is not None:  # last, since it may lie where dy does
            arrays = x, gamma, dy, *memory.extras, dx
            calls.append(self._each("layer_norm_backward", x, *arrays, *self._numbers()))
        return in_turn(*calls)

    def _cut(
        self, operator: Any, x: tuple[int, ...], gamma: tuple[int, ...]
    ) -> tuple[int, int, int, int]:
        features = math.prod(gamma)
        return math.prod(x) // features, 1, features, 1

    def _view(self, x: Any) -> Any:
        """A view ``(examples, groups, channels, positions)``."""
        return x.reshape(self._shape)

    def _numbers(self) -> tuple[int, int, int]:
        _, groups, channels, positions = self._shape
        return channels * positions, groups, channels

    def _each(self, name: str, x: Any, *arguments: Any) -> Call:
        """A kernel with a block for each row."""
        rows = self._shape[0] * self._shape[1]
        return self._launched(name, self._options, (rows,), (LINE,), arguments)


class CudaGroupNorm(CudaLayerNorm):
    """One normalization over groups of channels and their positions, in either layout."""

    layout = SAME

    def _cut(
        self, operator: Any, x: tuple[int, ...], gamma: tuple[int, ...]
    ) -> tuple[int, int, int, int]:
        groups = operator.groups if isinstance(operator, GroupNorm) else x[1]
        return x[0], groups, x[1] // groups, math.prod(x[2:])

    def _view(self, x: Any) -> Any:
        if is_arranged(x, ROWS):
            return x.reshape(self._shape)
        examples, groups, channels, positions = self._shape
        # (N, positions, groups, channels) -> (N, groups, channels, positions)
        view = last(x).reshape(examples, positions, groups, channels)
        return view.transpose(0, 2, 3, 1)

    def _each(self, name: str, x: Any, *arguments: Any) -> Call:
        options = ("-DGROUPED",) if is_arranged(x, ROWS) else ("-DGROUPED", "-DLAST")
        rows = self._shape[0] * self._shape[1]
        return self._launched(name, (*self._options, *options), (rows,), (LINE,), arguments)
