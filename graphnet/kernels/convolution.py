"""What all placed kernels of a convolution share: three directions that are bound one by one.

So a convolution may be computed by one method forward and by others in reverse
(:class:`MixedConv`): which is fastest depends on the shape.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar

from graphnet.kernels.placed import Call, Memory, PlacedKernel, in_turn
from ops.convolution import Conv
from ops.operator import Spec

__all__ = ["DIRECTIONS", "ConvKernel", "MixedConv"]


#: Forward, and the gradients of the input and of weight and bias.
DIRECTIONS = ("forward", "data", "weights")


class ConvKernel(PlacedKernel):
    """One convolution of known shape by some method.

    Attributes:
        directions: those that it computes in a way of its own.
        data_space: bytes of temporary memory for the gradient of the input.
        weights_space: bytes of temporary memory for the gradients of weight and bias.
    """

    directions: ClassVar[tuple[str, ...]] = DIRECTIONS
    data_space: int
    weights_space: int

    @abstractmethod
    def bind_data(self, memory: Memory) -> list[Call]:
        """What computes the gradient of the input, the first of ``memory.dinputs``."""

    @abstractmethod
    def bind_weights(self, memory: Memory) -> list[Call]:
        """What computes the gradients of weight and bias, of which one may be None."""

    def bind_finished(self, memory: Memory, added: Any) -> Call | None:
        """What computes ``max(Conv(x) + added, 0)`` in one; None where there is no such thing."""
        return None

    def bind_backward(self, memory: Memory) -> Call:
        dx, dweight, dbias = memory.dinputs
        calls = []
        if dx is not None:
            calls += self.bind_data(memory)
        if dweight is not None or dbias is not None:
            calls += self.bind_weights(memory)
        return in_turn(*calls)


class MixedConv(ConvKernel):
    """One convolution whose directions are computed by different kernels."""

    def __init__(
        self,
        operator: Conv,
        specs: tuple[Spec | None, ...],
        forward: ConvKernel,
        data: ConvKernel,
        weights: ConvKernel,
    ) -> None:
        super().__init__(operator, specs)
        self._forward, self._data, self._weights = forward, data, weights
        self.method = "/".join(kernel.method for kernel in (forward, data, weights))
        self.data_space, self.weights_space = data.data_space, weights.weights_space
        space = max(self.data_space, self.weights_space)
        self.terms = replace(forward.terms, backward_space=space, adds=data.terms.adds)

    def bind_packed(self, memory: Memory) -> Call:
        return self._forward.bind_packed(memory)

    def bind_forward(self, memory: Memory) -> Call:
        return self._forward.bind_forward(memory)

    def bind_finished(self, memory: Memory, added: Any) -> Call | None:
        return self._forward.bind_finished(memory, added)

    def bind_data(self, memory: Memory) -> list[Call]:
        return self._data.bind_data(memory)

    def bind_weights(self, memory: Memory) -> list[Call]:
        return self._weights.bind_weights(memory)
