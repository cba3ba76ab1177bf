"""Batch normalization with what follows it, an addition and ReLU, channels last."""

from __future__ import annotations

from graphnet.kernels.cuda.device import Device
from graphnet.kernels.cuda.kernel import CudaKernel, Tiles
from graphnet.kernels.placed import LAST, ROWS, Call, Memory, Terms, in_turn
from graphnet.kernels.wide import inner
from ops.batch_norm import BatchNorm, BatchNormInference
from ops.fused import BatchNormInferenceReLU, BatchNormReLU
from ops.operator import Operator, Spec, known

__all__ = ["CudaBatchNorm", "CudaBatchNormInference"]


class CudaBatchNorm(CudaKernel):
    """One batch normalization, or one with the addition and the ReLU behind it."""

    file = "batch_norm.cu"

    def __init__(self, device: Device, operator: Operator, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(device, operator, specs)
        operator = inner(operator)
        assert isinstance(operator, BatchNorm), "the provider sees to it"
        x, gamma = specs[:2]
        assert x is not None and gamma is not None, "infer saw to it"
        self._operator = operator
        self._relu = isinstance(operator, BatchNormReLU)
        self._added = len(specs) > 5 and specs[5] is not None
        self._tiles = Tiles(device, x)
        self._factors = 3 * 4 * self._tiles.channels
        self.terms = Terms(
            inputs=(LAST, ROWS, ROWS, ROWS, ROWS, LAST)[: len(specs)],
            outputs=(LAST, ROWS, ROWS),
            reads=(0, 1, 2),
            keeps=(0,) if self._added else (),
            # mean, 1 / sqrt(var + eps), and that times gamma
            extras=(gamma,) * 3,
            forward_space=self._tiles.nbytes,
            backward_space=self._tiles.nbytes + self._factors,
            over_gradient=((5, 0),) if self._added else ((0, 0),),
            again=(0,),
            rereads=(5,) if self._added else (),
        )

    def bind_forward(self, memory: Memory) -> Call:
        x, gamma, beta, running_mean, running_var, added = (*memory.inputs, None)[:6]
        y, new_mean, new_var = memory.outputs
        mean, rstd, scale = memory.extras
        tiles, operator = self._tiles, self._operator
        means, squares = tiles.sums(memory.space)
        return in_turn(
            self.bound("statistics", tiles.grid, tiles.block, x, means, squares, *tiles.sizes),
            self.bound(
                "finalize", tiles.finish, tiles.block, means, squares, gamma, running_mean,
                running_var, new_mean, new_var, mean, rstd, scale, *tiles.sizes, operator.eps,
                operator.momentum,
            ),
            self._apply(x, mean, scale, beta, added, y),
        )  # fmt: skip

    def bind_again(self, memory: Memory) -> Call:
        mean, _, scale = memory.extras
        x, _, beta, *_, added = (*memory.inputs, None)[:6]
        return self._apply(x, mean, scale, beta, added, memory.outputs[0])

    def bind_backward(self, memory: Memory) -> Call:
        x, gamma, beta = memory.inputs[:3]
        mean, rstd, scale = memory.extras
        dx, dgamma, dbeta, *_, dadded = (*memory.dinputs, None)[:6]
        dy = memory.doutputs[0]
        y = memory.outputs[0] if self._added else None
        tiles = self._tiles
        plain, along = tiles.sums(memory.space)
        factors = memory.space[tiles.nbytes : tiles.nbytes + self._factors].view("float32")
        calls = [
            self.bound(
                "gradient_sums", tiles.grid, tiles.block, x, y, dy, mean, scale, beta, dadded,
                plain, along, *tiles.sizes, self._relu,
            ),
            self.bound(
                "gradient_factors", tiles.finish, tiles.block, plain, along, gamma, rstd, dgamma,
                dbeta, factors, *tiles.sizes,
            ),
        ]  # fmt: skip
        if dx is not None:
            # what passed the ReLU may lie where dy did; it passes once more
            arriving = dy if dadded is None else dadded
            calls.append(
                self.bound(
                    "gradient", tiles.grid, tiles.block, x, y, arriving, mean, scale, beta,
                    factors, dx, *tiles.sizes, self._relu,
                )
            )  # fmt: skip
        return in_turn(*calls)

    def _apply(self, x: object, mean: object, scale: object, *others: object) -> Call:
        tiles = self._tiles
        return self.bound(
            "apply", tiles.grid, tiles.block, x, mean, scale, *others, *tiles.sizes, self._relu
        )


class CudaBatchNormInference(CudaKernel):
    """One affine map per channel, or one with the addition and the ReLU behind it."""

    file = "batch_norm.cu"

    def __init__(self, device: Device, operator: Operator, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(device, operator, specs)
        operator = inner(operator)
        assert isinstance(operator, BatchNormInference), "the provider sees to it"
        x, gamma = specs[:2]
        assert x is not None and gamma is not None, "infer saw to it"
        self._eps = operator.eps
        self._relu = isinstance(operator, BatchNormInferenceReLU)
        self._tiles = Tiles(device, x)
        self.terms = Terms(
            inputs=(LAST, ROWS, ROWS, ROWS, ROWS, LAST)[: len(specs)],
            outputs=(LAST,),
            forward_space=known(gamma.nbytes)[0],
            over=((0, 0),),
            differentiable=False,
        )

    def bind_forward(self, memory: Memory) -> Call:
        x, gamma, beta, mean, var, added = (*memory.inputs, None)[:6]
        tiles = self._tiles
        scale = memory.space.view("float32")[: tiles.channels]
        return in_turn(
            self.walked("scale_of", tiles.channels, gamma, var, scale, tiles.channels, self._eps),
            self.bound(
                "apply", tiles.grid, tiles.block, x, mean, scale, beta, added, memory.outputs[0],
                *tiles.sizes, self._relu,
            ),
        )  # fmt: skip

    def bind_backward(self, memory: Memory) -> Call:
        raise NotImplementedError("inference alone")
