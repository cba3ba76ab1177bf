"""Linear layers and matrix products by cuDNN, where it is faster than cuBLAS.

The product, and those of both gradients, are graphs of their own, each measured beside the call of
cuBLAS that computes the same.  A bias is part of the graph, where cuBLAS has it spread ahead of the
product.

Source: the cuDNN frontend's documentation, "Matmul".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from graphnet.kernels.cuda.kernel import CudaKernel
from graphnet.kernels.cuda.linear import CudaLinear, CudaMatMul, is_even
from graphnet.kernels.cuda.products import Matrices
from graphnet.kernels.cudnn.choice import Rival, choose_beside
from graphnet.kernels.cudnn.computation import Computation, Plan, row_strides
from graphnet.kernels.cudnn.library import CudnnError, Library
from graphnet.kernels.placed import Call, Memory, in_turn
from graphnet.kernels.rehearsal import rehearsal
from ops.linear import Linear, MatMul
from ops.operator import Spec

__all__ = ["CudnnLinear", "CudnnMatMul"]

#: ``result = first second``, and the gradients of both: what is multiplied, and what is found.
#: Matrices are named by what lies in them.
Formula = tuple[Matrices, Matrices, Matrices]


class _Products(CudaKernel):
    """Products by cuDNN over those of cuBLAS, which serve where they are faster.

    Raises:
        CudnnError: cuBLAS serves all of them.
    """

    #: What calls cuBLAS.
    _own: ClassVar[type[CudaKernel]]
    _forward: Plan | None = None
    _first: Plan | None = None
    _second: Plan | None = None

    def _choose(
        self,
        library: Library,
        formulas: tuple[Formula, Formula, Formula],
        *,
        batch: int = 1,
        tf32: bool,
        forward_alone: bool,
    ) -> None:
        """Find who computes the result and the gradients of both factors."""
        first = self.specs[0]
        assert first is not None, "infer saw to it"
        if first.dtype == "float32" and not tf32:
            raise CudnnError("every engine for products of float32 rounds them to TF32")
        self._library, self._batch, self._tf32 = library, batch, tf32
        self._dtype = first.dtype
        bias = len(self.specs) > 2 and self.specs[2] is not None
        self._forward = self._faster(formulas[0], bias, (), self._bind_product)
        if not forward_alone:
            self._first = self._faster(formulas[1], False, (0,), self._bind_first)
            self._second = self._faster(formulas[2], False, (1,), self._bind_second)
        plans = (self._forward, self._first, self._second)
        if not any(plans):
            raise CudnnError("cuBLAS is faster in every direction, or cuDNN has no engine")
        asked = plans[:1] if forward_alone else plans
        self.method = "/".join("cublas" if plan is None else plan.method for plan in asked)
        forward, *backward = (0 if plan is None else plan.nbytes for plan in plans)
        self.terms = replace(
            self.terms,
            forward_space=max(self.terms.forward_space, forward),
            backward_space=max(self.terms.backward_space, *backward),
            differentiable=not forward_alone,
        )

    def bind_forward(self, memory: Memory) -> Call:
        return self._bind_product(self._forward, memory)

    def bind_backward(self, memory: Memory) -> Call:
        rest = list(memory.dinputs)
        calls: list[Call] = []
        directions = ((self._first, self._bind_first), (self._second, self._bind_second))
        for position, (plan, bind) in enumerate(directions):
            if plan is not None and rest[position] is not None:
                calls.append(bind(plan, memory))
                rest[position] = None
        if any(gradient is not None for gradient in rest):
            calls.append(self._own.bind_backward(self, replace(memory, dinputs=rest)))
        return in_turn(*calls)

    def _bind_product(self, plan: Plan | None, memory: Memory) -> Call:
        if plan is None:
            return self._own.bind_forward(self, memory)
        first, second, bias = (*memory.inputs, None)[:3]
        arrays = {"first": first, "second": second, "result": memory.outputs[0]}
        if bias is not None:
            arrays["bias"] = bias
        return plan.bind(arrays, memory.space)

    def _bind_first(self, plan: Plan | None, memory: Memory) -> Call:
        if plan is None:
            return self._own.bind_backward(self, memory)
        arrays = {"result": memory.doutputs[0], "second": memory.inputs[1]}
        return plan.bind({**arrays, "first": memory.dinputs[0]}, memory.space)

    def _bind_second(self, plan: Plan | None, memory: Memory) -> Call:
        if plan is None:
            return self._own.bind_backward(self, memory)
        arrays = {"first": memory.inputs[0], "result": memory.doutputs[0]}
        return plan.bind({**arrays, "second": memory.dinputs[1]}, memory.space)

    def _faster(
        self,
        formula: Formula,
        bias: bool,
        wanted: tuple[int, ...],
        bind: Callable[[Plan | None, Memory], Call],
    ) -> Plan | None:
        """The plan of a product, None where cuBLAS is faster."""
        xp, (a, b, c) = self.xp, formula

        def bound(plan: Plan | None) -> Call:
            memory = rehearsal(self, wanted, apart=True)
            if plan is not None:
                memory.space = xp.empty(plan.nbytes, dtype="uint8")
            return bind(plan, memory)

        def make() -> Computation:
            made = Computation(self._library, self._dtype)
            found = made.graph.matmul(A=self._read(made, a), B=self._read(made, b))
            if bias:
                shape = (1, 1, c.columns)
                found = made.graph.bias(
                    input=found, bias=made.tensor("bias", shape, row_strides(shape))
                )
            shape = (self._batch, c.rows, c.columns)
            made.result(c.array, found, shape, row_strides(shape))
            return made

        shapes = " with ".join(f"{m.rows}x{m.columns}" + " turned" * m.turned for m in (a, b))
        what = f"{self._batch} products of {shapes}{', bias' * bias}"
        rival = Rival("cublas", bound)
        return choose_beside(self._library, make, what, rival, dtype=self._dtype, tf32=self._tf32)

    def _read(self, made: Computation, x: Matrices) -> Any:
        """The tensor of a factor, as it is meant."""
        steps = (1, x.columns) if x.turned else (x.columns, 1)
        shape = (self._batch, *x.seen)
        return made.tensor(x.array, shape, (x.rows * x.columns, *steps))


class CudnnLinear(_Products, CudaLinear):
    """One linear layer of known shape; the gradient of the bias is the sum of columns."""

    _own = CudaLinear

    def __init__(
        self,
        library: Library,
        operator: Linear,
        specs: tuple[Spec | None, ...],
        *,
        exact: bool,
        tf32: bool,
        forward_alone: bool,
    ) -> None:
        super().__init__(library.device, operator, specs, tf32=tf32)
        x = Matrices("first", self._rows, self._features)
        weight = Matrices("second", self._units, self._features)
        y = Matrices("result", self._rows, self._units)
        self._choose(
            library,
            ((x, weight.transpose, y), (y, weight, x), (y.transpose, x, weight)),
            tf32=tf32,
            forward_alone=forward_alone,
        )


class CudnnMatMul(_Products, CudaMatMul):
    """Equally many products, or one of the rows of all with one matrix.

    Raises:
        CudnnError: the leading axes differ otherwise.
    """

    _own = CudaMatMul

    def __init__(
        self,
        library: Library,
        operator: MatMul,
        specs: tuple[Spec | None, ...],
        *,
        exact: bool,
        tf32: bool,
        forward_alone: bool,
    ) -> None:
        if not is_even(specs):
            raise CudnnError("expected equally many matrices, or one for all")
        super().__init__(library.device, operator, specs, tf32=tf32)
        a = Matrices("first", self._rows, self._inner)
        b = Matrices("second", self._inner, self._columns)
        y = Matrices("result", self._rows, self._columns)
        self._choose(
            library,
            ((a, b, y), (y, b.transpose, a), (a.transpose, y, b)),
            batch=self._batch,
            tf32=tf32,
            forward_alone=forward_alone,
        )
