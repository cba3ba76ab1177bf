"""Operators that move entries: strided copies between views of inputs and of outputs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from graphnet.kernels.cuda.device import Device
from graphnet.kernels.cuda.kernel import DTYPES
from graphnet.kernels.cuda.strided import Strided
from graphnet.kernels.placed import ANY, ROWS, SAME, Call, Memory, PlacedKernel, Terms, in_turn
from ops.operator import Spec, known, normalize_axis

__all__ = [
    "CudaConcat",
    "CudaPad",
    "CudaReshape",
    "CudaSlice",
    "CudaSplit",
    "CudaStack",
    "CudaTranspose",
    "is_moved",
]

#: A view of an array.
View = Callable[[Any], Any]
#: What is moved: a view of an input, by its position, to one of an output.
Move = tuple[int, View, int, View]


def is_moved(x: Spec) -> bool:
    """Whether entries of a dtype are moved: those of float64 are left to the operators."""
    return x.dtype in DTYPES or x.dtype == "bool" or x.dtype.startswith(("int", "uint"))


class _Moved(PlacedKernel):
    """What they share: copies forward, and copies back.

    Attributes:
        layouts: of the inputs and of the outputs.
        leaves: whether inputs have entries that no output takes.
    """

    layouts: ClassVar[tuple[str, str]] = (SAME, SAME)
    leaves: ClassVar[bool] = False

    def __init__(self, device: Device, operator: Any, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(operator, specs)
        x = specs[0]
        assert x is not None, "infer saw to it"
        self.xp = device.xp
        self._operator, self._shape = operator, known(*x.shape)
        self._strided = Strided(device, x.dtype)
        inputs, outputs = self.layouts
        self.terms = Terms(
            inputs=(inputs,) * len(specs),
            outputs=(outputs,) * len(self.results),
            differentiable=x.is_floating,
        )

    @abstractmethod
    def _moves(self) -> list[Move]:
        """What is moved where."""

    def bind_forward(self, memory: Memory) -> Call:
        calls = [
            self._strided.copied(part(memory.inputs[i]), place(memory.outputs[j]))
            for i, part, j, place in self._moves()
        ]
        return in_turn(*calls)

    def bind_backward(self, memory: Memory) -> Call:
        calls = []
        for dx in memory.dinputs:
            if dx is not None and self.leaves:
                calls.append(self._strided.mapped("0.0f", dx))
        for i, part, j, place in self._moves():
            dx, dy = memory.dinputs[i], memory.doutputs[j]
            if dx is None:
                continue
            if dy is None:
                calls.append(self._strided.mapped("0.0f", part(dx)))
            else:
                calls.append(self._strided.copied(place(dy), part(dx)))
        return in_turn(*calls)


class CudaConcat(_Moved):
    """Inputs along one axis; where they have channels last, so has the result."""

    def _moves(self) -> list[Move]:
        axis = normalize_axis(self._operator.axis, len(self._shape))
        moves: list[Move] = []
        start = 0
        for i, spec in enumerate(self.specs):
            assert spec is not None, "infer saw to it"
            end = start + known(spec.shape[axis])[0]
            moves.append((i, _whole, 0, _cut((*[slice(None)] * axis, slice(start, end)))))
            start = end
        return moves


class CudaStack(_Moved):
    """Inputs along a new axis."""

    layouts = (ANY, ROWS)

    def _moves(self) -> list[Move]:
        axis = normalize_axis(self._operator.axis, len(self._shape) + 1)
        before = [slice(None)] * axis
        return [(i, _whole, 0, _cut((*before, i, ...))) for i in range(len(self.specs))]


class CudaSplit(_Moved):
    """Parts along one axis."""

    def _moves(self) -> list[Move]:
        regions = self._operator.regions(self._shape)
        return [(0, _cut(region), j, _whole) for j, region in enumerate(regions)]


class CudaSlice(_Moved):
    """A region, with steps of either sign; the gradient of what is left out is 0."""

    leaves = True

    def _moves(self) -> list[Move]:
        return [(0, _cut(self._operator.region(self._shape)), 0, _whole)]


class CudaPad(_Moved):
    """A border of one constant."""

    def _moves(self) -> list[Move]:
        return [(0, _whole, 0, lambda y: y[(*self._operator.interior(y), ...)])]

    def bind_forward(self, memory: Memory) -> Call:
        border = self._strided.mapped("factor", memory.outputs[0], factor=self._operator.value)
        return in_turn(border, super().bind_forward(memory))


class CudaTranspose(_Moved):
    """The axes in another order."""

    layouts = (ANY, ROWS)

    def _moves(self) -> list[Move]:
        order = self._operator.order(len(self._shape))
        return [(0, lambda x: x.transpose(order), 0, _whole)]


class CudaReshape(_Moved):
    """The same entries in raster order."""

    layouts = (ANY, ROWS)

    def _moves(self) -> list[Move]:
        return [(0, _whole, 0, lambda y: y.reshape(self._shape))]


def _whole(x: Any) -> Any:
    return x


def _cut(region: tuple[Any, ...]) -> View:
    return lambda x: x[region]
