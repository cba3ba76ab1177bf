"""Losses of values and their labels, entry by entry, and the penalty on weights."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from graphnet.kernels.cuda.device import Device
from graphnet.kernels.cuda.formulas import literal
from graphnet.kernels.cuda.strided import Strided
from graphnet.kernels.placed import ROWS, SAME, Call, Memory, PlacedKernel, Terms, in_turn
from ops.binary_cross_entropy import BinaryCrossEntropy
from ops.loss import Huber, L1Loss, L2Penalty, MeanSquaredError
from ops.operator import Operator, Spec, known

__all__ = ["CURVES", "CudaL2Penalty", "CudaLoss", "is_curve"]


def _huber(loss: Huber) -> tuple[str, str, str]:
    delta = literal(loss.delta)
    slope = f"(d < -{delta} ? -{delta} : d > {delta} ? {delta} : d)"
    return f"{slope} * (d - 0.5f * {slope})", slope, f"-{slope}"


_AGAINST = "(x < 0 ? t : 1.0f - t)"
_ODDS = "(expf(-fabsf(x)) / (1.0f + expf(-fabsf(x))))"
_EXCESS = f"({_ODDS} - {_AGAINST})"

#: The loss of an entry ``x`` with the label ``t``, of which ``d`` is the difference, and its slopes
#: by both, over the ``steepness`` of the operator where it has one.
CURVES: dict[type[Operator], Callable[[Any], tuple[str, str, str]]] = {
    BinaryCrossEntropy: lambda loss: (
        f"fabsf(x) * {_AGAINST} + log1pf(expf(-fabsf(x)))",
        f"(x < 0 ? {_EXCESS} : -{_EXCESS})",
        "-x",
    ),
    Huber: _huber,
    L1Loss: lambda loss: (
        "fabsf(d)",
        "(d > 0 ? 1.0f : d < 0 ? -1.0f : d)",
        "(d > 0 ? -1.0f : d < 0 ? 1.0f : d)",
    ),
    MeanSquaredError: lambda loss: ("d * d", "d", "-d"),
}


def is_curve(operator: Operator, specs: tuple[Spec | None, ...]) -> bool:
    """Whether a loss has an expression here: in float32, and of logits."""
    x = specs[0]
    assert x is not None, "infer saw to it"
    of_logits = not isinstance(operator, BinaryCrossEntropy) or operator.from_logits
    return x.dtype == "float32" and of_logits


class CudaLoss(PlacedKernel):
    """One loss of entries, of known shape."""

    def __init__(self, device: Device, operator: Any, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(operator, specs)
        x, _ = specs
        assert x is not None, "infer saw to it"
        self.xp = device.xp
        self._strided = Strided(device, x.dtype)
        curve, *slopes = CURVES[type(operator)](operator)
        self._curve, self._slopes = _of_difference(curve), list(map(_of_difference, slopes))
        self._shape = known(*x.shape)
        self._each = operator.reduction == "none"
        self._factor = 1 / math.prod(self._shape) if operator.reduction == "mean" else 1.0
        #: Of the gradients; it meets them first, as twice a difference could overflow.
        self._share = self._factor * getattr(operator, "steepness", 1.0)
        axes = range(len(self._shape))
        self.terms = Terms(
            inputs=(SAME, SAME),
            outputs=(SAME if self._each else ROWS,),
            reads=(0, 1),
            forward_space=0 if self._each else self._strided.sum_bytes(self._shape, axes),
        )

    def bind_forward(self, memory: Memory) -> Call:
        given = dict(zip("xt", memory.inputs, strict=True))
        y = memory.outputs[0]
        if self._each:
            return self._strided.mapped(self._curve, y, given)
        one = y.reshape((1,) * len(self._shape))
        return self._strided.summed(
            self._curve, one, given, memory.space, factor=self._factor, bounded=True
        )

    def bind_backward(self, memory: Memory) -> Call:
        given = {**dict(zip("xt", memory.inputs, strict=True)), "g": memory.doutputs[0]}
        return in_turn(
            *(
                self._strided.mapped(f"{slope} * (g * factor)", dx, given, factor=self._share)
                for slope, dx in zip(self._slopes, memory.dinputs, strict=True)
                if dx is not None
            )
        )


def _of_difference(expression: str) -> str:
    """An expression in x and t alone."""
    return re.sub(r"\bd\b", "(x - t)", f"({expression})")


class CudaL2Penalty(PlacedKernel):
    """A loss and the squares of weights, one after the other."""

    def __init__(self, device: Device, operator: L2Penalty, specs: tuple[Spec | None, ...]) -> None:
        super().__init__(operator, specs)
        self.xp = device.xp
        self._strided = Strided(device, "float32")
        self._strength = operator.strength
        weights = [known(*spec.shape) for spec in specs[1:] if spec is not None]
        self.terms = Terms(
            inputs=(ROWS,) * len(specs),
            outputs=(ROWS,),
            reads=tuple(range(1, len(specs))),
            forward_space=max(
                self._strided.sum_bytes(shape, range(len(shape))) for shape in weights
            ),
            adds=tuple(range(len(specs))),
        )

    def bind_forward(self, memory: Memory) -> Call:
        loss, *weights = memory.inputs
        y = memory.outputs[0]
        return in_turn(
            self._strided.copied(loss, y),
            *(
                self._strided.summed(
                    "w * w", y.reshape((1,) * w.ndim), {"w": w}, memory.space,
                    factor=self._strength, adds=True,
                )
                for w in weights
            ),
        )  # fmt: skip

    def bind_backward(self, memory: Memory) -> Call:
        dloss, *gradients = memory.dinputs
        dy, adds = memory.doutputs[0], memory.adds
        calls = [
            self._strided.mapped(
                "w * (g * factor)", dw, {"w": w, "g": dy}, factor=2 * self._strength,
                adds=i in adds,
            )
            for i, (w, dw) in enumerate(zip(memory.inputs[1:], gradients, strict=True), 1)
            if dw is not None
        ]  # fmt: skip
        if dloss is not None:
            calls.append(self._strided.mapped("g", dloss, {"g": dy}, adds=0 in adds))
        return in_turn(*calls)
