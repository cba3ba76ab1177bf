"""Linear layers and matrix products, by cuBLAS."""

from __future__ import annotations

import math

from graphnet.kernels.cuda.columns import Columns
from graphnet.kernels.cuda.device import Device
from graphnet.kernels.cuda.kernel import CudaKernel
from graphnet.kernels.cuda.products import Matrices
from graphnet.kernels.placed import ROWS, Call, Memory, Terms, in_turn
from ops.linear import Linear, MatMul
from ops.operator import Spec, known

__all__ = ["CudaLinear", "CudaMatMul", "is_even"]


class CudaLinear(CudaKernel):
    """One linear layer of known shape."""

    file = "linear.cu"

    def __init__(
        self,
        device: Device,
        operator: Linear,
        specs: tuple[Spec | None, ...],
        *,
        tf32: bool = False,
    ) -> None:
        super().__init__(device, operator, specs)
        x, weight = specs[:2]
        assert x is not None and weight is not None, "infer saw to it"
        self._tf32 = tf32
        self._units, self._features = known(*weight.shape)
        self._rows = math.prod(known(*x.shape)) // self._features
        self._columns = Columns(device, Spec((self._rows, self._units), x.dtype))
        self.terms = Terms(
            inputs=(ROWS, ROWS, ROWS),
            outputs=(ROWS,),
            reads=(0, 1),
            backward_space=self._columns.nbytes,
        )

    def bind_forward(self, memory: Memory) -> Call:
        x, weight, bias = memory.inputs[0], memory.inputs[1], (*memory.inputs, None)[2]
        y, size = memory.outputs[0], self._rows * self._units
        product = self.device.products.bound(
            Matrices(x, self._rows, self._features),
            Matrices(weight, self._units, self._features, turned=True),
            Matrices(y, self._rows, self._units),
            adds=bias is not None,
            tf32=self._tf32,
        )
        if bias is None:
            return product
        return in_turn(self.walked("spread", size, bias, y, size, self._units), product)

    def bind_backward(self, memory: Memory) -> Call:
        dx, dweight, dbias = (*memory.dinputs, None)[:3]
        bound, units = self.device.products.bound, self._units
        x = Matrices(memory.inputs[0], self._rows, self._features)
        weight = Matrices(memory.inputs[1], units, self._features)
        dy = Matrices(memory.doutputs[0], self._rows, units)
        calls: list[Call] = []
        if dx is not None:
            target = Matrices(dx, self._rows, self._features)
            calls.append(bound(dy, weight, target, tf32=self._tf32))
        if dweight is not None:
            target = Matrices(dweight, units, self._features)
            calls.append(bound(dy.transpose, x, target, tf32=self._tf32))
        if dbias is not None:
            calls.append(self._columns.summed(dy.array, dbias, memory.space))
        return in_turn(*calls)


def is_even(specs: tuple[Spec | None, ...]) -> bool:
    """Whether a product is served here: of equally many matrices, or of all with one."""
    a, b = specs
    return a is not None and b is not None and (b.rank == 2 or a.shape[:-2] == b.shape[:-2])


class CudaMatMul(CudaKernel):
    """Equally many products, or one of the rows of all with one matrix."""

    file = "linear.cu"

    def __init__(
        self,
        device: Device,
        operator: MatMul,
        specs: tuple[Spec | None, ...],
        *,
        tf32: bool = False,
    ) -> None:
        super().__init__(device, operator, specs)
        a, b = specs
        assert a is not None and b is not None, "infer saw to it"
        self._tf32 = tf32
        *leading, rows, self._inner = known(*a.shape)
        self._columns = known(b.shape[-1])[0]
        self._batch, self._rows = math.prod(leading), rows
        if b.rank == 2:
            self._batch, self._rows = 1, math.prod(leading) * rows
        self.terms = Terms(inputs=(ROWS, ROWS), outputs=(ROWS,), reads=(0, 1))

    def bind_forward(self, memory: Memory) -> Call:
        a, b = self._factors(memory)
        return self._bound(a, b, Matrices(memory.outputs[0], self._rows, self._columns))

    def bind_backward(self, memory: Memory) -> Call:
        a, b = self._factors(memory)
        da, db = memory.dinputs
        dy = Matrices(memory.doutputs[0], self._rows, self._columns)
        calls = []
        if da is not None:
            calls.append(self._bound(dy, b.transpose, Matrices(da, self._rows, self._inner)))
        if db is not None:
            calls.append(self._bound(a.transpose, dy, Matrices(db, self._inner, self._columns)))
        return in_turn(*calls)

    def _factors(self, memory: Memory) -> tuple[Matrices, Matrices]:
        a, b = memory.inputs
        return Matrices(a, self._rows, self._inner), Matrices(b, self._inner, self._columns)

    def _bound(self, a: Matrices, b: Matrices, c: Matrices) -> Call:
        return self.device.products.bound(a, b, c, batch=self._batch, tf32=self._tf32)
