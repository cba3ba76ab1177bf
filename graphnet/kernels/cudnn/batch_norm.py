"""Batch normalization in training by cuDNN, where it is faster than the card's own kernel.

cuDNN's statistics are what it keeps for the reverse pass, mean and ``1 / sqrt(var + eps)``; a small
kernel renews the running ones from them, by the operator's biased variance.

A ReLU behind it is part of the graph.  cuDNN's makes 0 of NaN; but without an addition a NaN comes
from a channel's statistics, scale or shift, and takes the whole channel, so a look at these tells
where it has to be put back.  With an addition, both are a kernel behind the graph.  In reverse
cuDNN computes again what the ReLU saw; with an addition, a kernel ahead of the graph lets through
what passed.

Source: the cuDNN frontend's documentation, "Batch Normalization".
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from graphnet.kernels.chain import Chain
from graphnet.kernels.cuda.batch_norm import CudaBatchNorm
from graphnet.kernels.cuda.elementwise import CudaElementwise
from graphnet.kernels.cuda.rectified import Rectifier
from graphnet.kernels.cudnn.choice import Rival, choose_beside
from graphnet.kernels.cudnn.computation import Computation, Plan, whole
from graphnet.kernels.cudnn.library import CudnnError, Library
from graphnet.kernels.placed import Call, Memory, in_turn
from graphnet.kernels.rehearsal import rehearsal
from graphnet.kernels.wide import Wide
from ops.elementwise import Add
from ops.operator import Operator, Spec, known
from ops.rectifier import ReLU

__all__ = ["CudnnBatchNorm"]

#: The inputs whose gradients a graph gives: x, gamma, beta and what is added.
_WANTED = (0, 1, 2, 5)


class CudnnBatchNorm(CudaBatchNorm):
    """One batch normalization, or one with the addition and the ReLU behind it.

    Forward and backward are each by cuDNN or the card's own kernel, which keep the same.

    Raises:
        CudnnError: the own kernel serves both, or has to: cuDNN does not say how its sums round,
            which rules it out in exact precision.
    """

    def __init__(
        self,
        library: Library,
        operator: Operator,
        specs: tuple[Spec | None, ...],
        *,
        exact: bool,
        tf32: bool,
        forward_alone: bool,
    ) -> None:
        x = specs[0]
        assert x is not None, "infer saw to it"
        if exact or (x.dtype != "float32" and not isinstance(operator, Wide)):
            raise CudnnError("expected statistics in float32 whose rounding may be cuDNN's")
        super().__init__(library.device, operator, specs)
        self._library, self._dtype = library, x.dtype
        batch, channels, *spatial = known(*x.shape)
        #: The shapes of images, and of what there is for each channel, with two spatial axes.
        self._shape = (batch, channels, math.prod(spatial[:-1]), (spatial or [1])[-1])
        self._per_channel = (1, channels, 1, 1)
        self._nbytes = known(x.nbytes)[0]
        self._fused = self._relu and not self._added
        self._rectifier = Rectifier(library.device, x)
        self._finish = CudaElementwise(library.device, Chain((Add(), ReLU())), (x, x))
        self._forward = self._faster("forward")
        self._backward = None if forward_alone else self._faster("backward")
        if self._forward is None and self._backward is None:
            raise CudnnError("the card's own kernel is faster, or cuDNN has no engine")
        asked = (self._forward,) if forward_alone else (self._forward, self._backward)
        self.method = "/".join("cuda" if plan is None else plan.method for plan in asked)
        terms = replace(self.terms, differentiable=not forward_alone)
        if self._forward is not None:
            space = self._forward.nbytes
            terms = replace(terms, forward_space=space, again_space=space)
        if self._backward is not None:
            # cuDNN does not say that dx may lie where dy does
            over = terms.over_gradient if self._added else ()
            space = max(terms.backward_space, self._unasked + self._backward.nbytes)
            terms = replace(terms, backward_space=space, over_gradient=over)
        self.terms = terms

    def bind_forward(self, memory: Memory) -> Call:
        return self._bind("forward", self._forward, memory)

    def bind_again(self, memory: Memory) -> Call:
        if self._forward is None:
            return super().bind_again(memory)
        # the same statistics once more
        return in_turn(self._normalized(self._forward, memory), *self._finished(memory))

    def bind_backward(self, memory: Memory) -> Call:
        return self._bind("backward", self._backward, memory)

    def _bind(self, direction: str, plan: Plan | None, memory: Memory) -> Call:
        """A direction by a plan, or by the own kernel for None."""
        if direction == "forward":
            return super().bind_forward(memory) if plan is None else self._ahead(plan, memory)
        # where x needs no gradient, the own kernel has less to do
        if plan is None or memory.dinputs[0] is None:
            return super().bind_backward(memory)
        return self._back(plan, memory)

    def _faster(self, direction: str) -> Plan | None:
        """The plan of a direction, None where the own kernel is faster."""

        def bound(plan: Plan | None) -> Call:
            memory = rehearsal(self, _WANTED if direction == "backward" else (), apart=True)
            if plan is not None:
                memory.space = self.xp.empty(self._unasked + plan.nbytes, dtype="uint8")
            return self._bind(direction, plan, memory)

        behind = " add" * self._added + " relu" * self._relu
        what = f"batch norm{behind} {direction} {'x'.join(map(str, self._shape))}"
        rival = Rival("cuda", bound)
        make = self._write_forward if direction == "forward" else self._write_backward
        return choose_beside(self._library, make, what, rival, dtype=self._dtype)

    # -- forward

    def _write_forward(self) -> Computation:
        made = Computation(self._library, self._dtype)
        y, mean, rstd, _, _ = made.graph.batchnorm(
            input=made.tensor("x", self._shape),
            scale=self._read(made, "gamma"),
            bias=self._read(made, "beta"),
            in_running_mean=None,
            in_running_var=None,
            epsilon=made.number("eps", self._operator.eps),
            momentum=None,
        )
        self._result(made, "mean", mean)
        self._result(made, "rstd", rstd)
        if self._fused:
            y = made.graph.relu(input=y)
        made.result("y", y, self._shape)
        return made

    def _ahead(self, plan: Plan, memory: Memory) -> Call:
        gamma, running_mean, running_var = (memory.inputs[i] for i in (1, 3, 4))
        _, new_mean, new_var = memory.outputs
        channels, operator = self._tiles.channels, self._operator
        renewed = self.walked(
            "renew", channels, gamma, running_mean, running_var, *memory.extras[:2], new_mean,
            new_var, memory.extras[2], channels, operator.eps, operator.momentum,
        )  # fmt: skip
        return in_turn(self._normalized(plan, memory), renewed, *self._finished(memory))

    def _normalized(self, plan: Plan, memory: Memory) -> Call:
        x, gamma, beta = memory.inputs[:3]
        mean, rstd, _ = memory.extras
        y = memory.outputs[0]
        given = {"x": x, "gamma": gamma, "beta": beta, "mean": mean, "rstd": rstd, "y": y}
        return plan.bind(given, memory.space)

    def _finished(self, memory: Memory) -> list[Call]:
        """What is left to do behind the graph."""
        y = memory.outputs[0]
        if self._added:
            return [self._finish.bind_forward(Memory([y, memory.inputs[5]], [y]))]
        if not self._relu:
            return []
        mean, _, scale = memory.extras
        x, _, beta = memory.inputs[:3]
        tiles = self._tiles
        return [
            self.bound("reveal", tiles.grid, tiles.block, x, mean, scale, beta, y, *tiles.sizes)
        ]

    # -- backward

    def _write_backward(self) -> Computation:
        made = Computation(self._library, self._dtype)
        x, dy = made.tensor("x", self._shape), made.tensor("dy", self._shape)
        names = ("gamma", "mean", "rstd")
        gamma, mean, rstd = (self._read(made, name) for name in names)
        if self._fused:
            seen = made.graph.batchnorm_inference(
                input=x, mean=mean, inv_variance=rstd, scale=gamma, bias=self._read(made, "beta")
            )
            dy = made.graph.relu_backward(loss=dy, input=seen)
            # in half precision no engine takes a gradient in float32
            dy.set_data_type(made.kind)
        dx, dgamma, dbeta = made.graph.batchnorm_backward(
            grad=dy, input=x, scale=gamma, mean=mean, inv_variance=rstd
        )
        made.result("dx", dx, self._shape)
        self._result(made, "dgamma", dgamma)
        self._result(made, "dbeta", dbeta)
        return made

    @property
    def _unasked(self) -> int:
        """Bytes for what a graph takes or gives though nobody asked for it."""
        return self._added * whole(self._nbytes) + 2 * whole(4 * self._tiles.channels)

    def _back(self, plan: Plan, memory: Memory) -> Call:
        x, gamma, beta = memory.inputs[:3]
        mean, rstd, _ = memory.extras
        dx, dgamma, dbeta, *_, dadded = (*memory.dinputs, None)[:6]
        dy, space, calls = memory.doutputs[0], memory.space, []
        if self._added:
            through, space = self._taken(space, self._nbytes, self._dtype)
            if dadded is not None:
                through = dadded
            calls.append(self._rectifier.backward(memory.outputs[0], dy, through))
            dy = through
        nbytes = 4 * self._tiles.channels
        own_gamma, space = self._taken(space, nbytes, "float32")
        own_beta, space = self._taken(space, nbytes, "float32")
        arrays: dict[str, Any] = {
            "x": x, "dy": dy, "gamma": gamma, "mean": mean, "rstd": rstd, "dx": dx,
            "dgamma": own_gamma if dgamma is None else dgamma,
            "dbeta": own_beta if dbeta is None else dbeta,
        }  # fmt: skip
        if self._fused:
            arrays["beta"] = beta
        return in_turn(*calls, plan.bind(arrays, space))

    @staticmethod
    def _taken(space: Any, nbytes: int, dtype: str) -> tuple[Any, Any]:
        """An array at the beginning of temporary memory, and what is left of that."""
        return space[:nbytes].view(dtype), space[whole(nbytes) :]

    # -- what there is for each channel, in float32

    def _read(self, made: Computation, name: str) -> Any:
        return made.tensor(name, self._per_channel, dtype="float32")

    def _result(self, made: Computation, name: str, tensor: Any) -> None:
        made.result(name, tensor, self._per_channel, dtype="float32")
