"""Steps of the optimizers over flat arrays: one kernel for all parameters that decay alike.

The learning rate, the number of the step and the scale of the loss lie in device memory: what
:meth:`CudaUpdate.run` enqueues is the same in every step, and so can be captured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from graphnet.kernels.advance import Part
from graphnet.kernels.cuda import device
from graphnet.kernels.cuda.device import LINE, grid_of, source
from graphnet.kernels.placed import Call
from graphnet.optim import SGD, Adam, AdamW, Optimizer, RMSProp

__all__ = ["NUMBERS", "UPDATES", "CudaUpdate", "find_update"]

#: What lies in device memory, in the order of ``optimizers.cu``.
NUMBERS = (
    "rate", "step", "scale", "good", "skipped", "skip", "unscale", "factor", "update",
)  # fmt: skip

#: The slots and the numbers that a kernel takes, of ``(optimizer, slots, decay)``.
_Told = Callable[[Any, Mapping[str, Any], float], tuple[tuple[Any, ...], tuple[float, ...]]]


def find_update(optimizer: Optimizer) -> type[CudaUpdate] | None:
    """The update of an optimizer on the card; None for one of a user's own."""
    return CudaUpdate if type(optimizer) in UPDATES else None


class CudaUpdate:
    """The update of an optimizer, bound to arrays that never move.

    Args:
        optimizer: one of :data:`UPDATES`.
        parameters: all of them, flat, in float32.
        gradients: likewise; they stay as they are.
        slots: the optimizer's own arrays, likewise.
        parts: stretches of the parameters, with the weight decay of each.
        scaled: whether the loss is scaled, so that small gradients are not lost in float16:
            the scale halves, and parameters stay as they are, in a step whose gradients are not
            all finite; it doubles after :attr:`PATIENCE` others.

    Attributes:
        numbers: float64, the values :data:`NUMBERS`.
    """

    #: The scale at first, the largest it becomes, and the steps after which it doubles.
    FIRST, LARGEST, PATIENCE = 2.0**16, 2.0**24, 2000
    #: The largest number of blocks that measure gradients.
    BLOCKS: ClassVar[int] = 512

    def __init__(
        self,
        optimizer: Any,
        parameters: Any,
        gradients: Any,
        slots: Mapping[str, Any],
        parts: Sequence[Part],
        *,
        scaled: bool = False,
    ) -> None:
        card = device.get_device()
        self._card, self._optimizer, self.scaled = card, optimizer, scaled
        self.numbers = card.xp.zeros(len(NUMBERS), dtype="float64")
        self.numbers[NUMBERS.index("scale")] = self.FIRST if scaled else 1.0
        limit = -1.0 if optimizer.clip_value is None else optimizer.clip_value
        self._calls: list[Call] = []
        if scaled or optimizer.clip_norm is not None:
            self._calls += self._measured(gradients, limit)
        name, told = UPDATES[type(optimizer)]
        for part, decay in parts:
            size = part.stop - part.start
            if size:
                own = {slot: array[part] for slot, array in slots.items()}
                arrays, factors = told(optimizer, own, decay)
                self._calls.append(
                    self._bound(
                        name, grid_of(card, size), parameters[part], gradients[part], *arrays,
                        self.numbers, size, limit, *factors,
                    )
                )  # fmt: skip

    def tell(self, step: int) -> None:
        """Say which step comes next, the first of which is 1; ahead of :meth:`run`."""
        rate = self._optimizer.rate(step)
        self._bound("tell", (1,), self.numbers, float(rate), float(step), block=(1,))()

    def bind_seed(self, seed: Any) -> Call:
        """What writes the scale of the loss to a float32 array of one entry."""
        return self._bound("seed", (1,), self.numbers, seed, block=(1,))

    def run(self) -> None:
        """Make the step that was told, on the gradients that are there."""
        for call in self._calls:
            call()

    def _measured(self, gradients: Any, limit: float) -> list[Call]:
        """What finds the norm of all gradients, and whether they are finite."""
        card, size, norm = self._card, gradients.size, self._optimizer.clip_norm
        (blocks,) = grid = (min(self.BLOCKS, *grid_of(card, size)),)
        squares, wild = (card.xp.empty(blocks, dtype="float64") for _ in range(2))
        return [
            self._bound(
                "measure", grid, gradients, self.numbers, squares, wild, size, limit, self.scaled
            ),
            self._bound(
                "settle", (1,), self.numbers, squares, wild, blocks,
                -1.0 if norm is None else norm, self.scaled, float(self.PATIENCE), self.LARGEST,
            ),
        ]  # fmt: skip

    def _bound(
        self, name: str, grid: tuple[int, ...], *arguments: Any, block: tuple[int, ...] = (LINE,)
    ) -> Call:
        launch = self._card.function(source("optimizers.cu"), name)
        return partial(launch, grid, block, arguments)


def _sgd(optimizer: SGD, slots: Any, decay: float) -> Any:
    return (slots.get("velocity"),), (decay, optimizer.momentum, optimizer.nesterov)


def _rmsprop(optimizer: RMSProp, slots: Any, decay: float) -> Any:
    return (slots["mean_square"],), (decay, optimizer.decay, optimizer.eps)


def _adam(optimizer: Adam | AdamW, slots: Any, decay: float) -> Any:
    added, apart = (0.0, decay) if optimizer.decoupled else (decay, 0.0)
    return (slots["mean"], slots["mean_square"]), (
        added, optimizer.beta1, optimizer.beta2, optimizer.eps, apart,
    )  # fmt: skip


#: The kernel of each optimizer, and what it takes.
UPDATES: dict[type[Optimizer], tuple[str, _Told]] = {
    SGD: ("sgd", _sgd),
    RMSProp: ("rmsprop", _rmsprop),
    Adam: ("adam", _adam),
    AdamW: ("adam", _adam),
}
