"""Sums and means over axes, and their transposes: what repeats entries along axes."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

from graphnet.kernels.cuda.device import Device
from graphnet.kernels.cuda.strided import Strided
from graphnet.kernels.placed import ANY, ROWS, Call, Memory, PlacedKernel, Terms
from graphnet.kernels.wide import inner
from ops.operator import Operator, Spec, known
from ops.reduction import Mean, Reduction

__all__ = ["CudaExpand", "CudaMean", "CudaTile"]


class CudaMean(PlacedKernel):
    """One mean or sum over some axes, which is float32 where the operator is wide."""

    def __init__(self, device: Device, operator: Operator, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(operator, specs)
        operator = inner(operator)
        assert isinstance(operator, Reduction), "nothing else gets here"
        (x,) = specs
        assert x is not None, "infer saw to it"
        self.xp = device.xp
        self._strided = Strided(device, x.dtype)
        shape, axes = known(*x.shape), operator.axes_of(x.rank)
        #: The shape of the result with the axes that were summed over.
        self._kept = tuple(1 if axis in axes else n for axis, n in enumerate(shape))
        count = math.prod(shape[axis] for axis in axes)
        self._factor = 1 / count if isinstance(operator, Mean) else 1.0
        self.terms = Terms(
            inputs=(ANY,),
            outputs=(ROWS,),
            forward_space=self._strided.sum_bytes(shape, axes),
            adds=(0,),
        )

    def bind_forward(self, memory: Memory) -> Call:
        y = memory.outputs[0].reshape(self._kept)
        given = {"x": memory.inputs[0]}
        return self._strided.summed("x", y, given, memory.space, factor=self._factor)

    def bind_backward(self, memory: Memory) -> Call:
        dy = memory.doutputs[0].reshape(self._kept)
        return self._strided.mapped(
            "factor * g", memory.dinputs[0], {"g": dy}, factor=self._factor, adds=0 in memory.adds
        )


class _Repeated(PlacedKernel):
    """What is read again and again; the gradients of all readers are summed."""

    def __init__(self, device: Device, operator: Any, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(operator, specs)
        (x,) = specs
        assert x is not None, "infer saw to it"
        self.xp = device.xp
        self._operator = operator
        self._strided = Strided(device, x.dtype)
        #: x with all axes of y, of which some have size 1; and y with those of x and of repeats.
        self._narrow, self._wide = self._shapes(known(*x.shape), known(*self.results[0].shape))
        pairs = enumerate(zip(self._narrow, self._wide, strict=True))
        axes = [axis for axis, (n, wide) in pairs if n != wide]
        self.terms = Terms(
            inputs=(ROWS,),
            outputs=(ROWS,),
            backward_space=self._strided.sum_bytes(self._wide, axes),
        )

    @abstractmethod
    def _shapes(
        self, x: tuple[int, ...], y: tuple[int, ...]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Two shapes that broadcast, with as many entries as x and as y."""

    def bind_forward(self, memory: Memory) -> Call:
        x, y = memory.inputs[0].reshape(self._narrow), memory.outputs[0].reshape(self._wide)
        return self._strided.copied(self.xp.broadcast_to(x, self._wide), y)

    def bind_backward(self, memory: Memory) -> Call:
        dx, dy = memory.dinputs[0].reshape(self._narrow), memory.doutputs[0].reshape(self._wide)
        return self._strided.summed("g", dx, {"g": dy}, memory.space)


class CudaExpand(_Repeated):
    """Repeated along axes of size 1, and along new ones."""

    def _shapes(
        self, x: tuple[int, ...], y: tuple[int, ...]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return (*[1] * (len(y) - len(x)), *x), y


class CudaTile(_Repeated):
    """The whole again and again."""

    def _shapes(
        self, x: tuple[int, ...], y: tuple[int, ...]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        # (n_0 * k_0, n_1 * k_1, ...) -> (k_0, n_0, k_1, n_1, ...)
        repeats = self._operator.repeats
        narrow = (size for n in x for size in (1, n))
        return tuple(narrow), tuple(
            size for n, k in zip(x, repeats, strict=True) for size in (k, n)
        )
