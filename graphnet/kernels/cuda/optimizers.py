"""Steps of the optimizers over flat arrays: one kernel for all parameters that decay alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphnet.kernels.advance import Advance
from graphnet.kernels.cuda import device
from graphnet.kernels.cuda.device import LINE, grid_of, source
from graphnet.optim import SGD, Adam, AdamW, Optimizer, RMSProp

__all__ = ["UPDATES", "find_advance"]

#: The slots and the numbers that a kernel takes, of ``(optimizer, slots, rate, step, decay)``.
_Told = Callable[
    [Any, Mapping[str, Any], float, int, float], tuple[tuple[Any, ...], tuple[float, ...]]
]


def find_advance(optimizer: Optimizer) -> Advance | None:
    """The update of an optimizer on the card; None for one of a user's own."""
    if type(optimizer) not in UPDATES:
        return None
    name, told = UPDATES[type(optimizer)]

    def advance(
        parameter: Any,
        gradient: Any,
        slots: Mapping[str, Any],
        rate: float,
        step: int,
        decay: float,
    ) -> None:
        card, size = device.get_device(), parameter.size
        arrays, numbers = told(optimizer, slots, rate, step, decay)
        launch = card.function(source("optimizers.cu"), name)
        launch(grid_of(card, size), (LINE,), (parameter, gradient, *arrays, size, *numbers))

    return advance


def _sgd(optimizer: SGD, slots: Any, rate: float, step: int, decay: float) -> Any:
    return (slots.get("velocity"),), (rate, decay, optimizer.momentum, optimizer.nesterov)


def _rmsprop(optimizer: RMSProp, slots: Any, rate: float, step: int, decay: float) -> Any:
    return (slots["mean_square"],), (rate, decay, optimizer.decay, optimizer.eps)


def _adam(optimizer: Adam | AdamW, slots: Any, rate: float, step: int, decay: float) -> Any:
    beta1, beta2 = optimizer.beta1, optimizer.beta2
    shrink = 1.0
    if optimizer.decoupled:
        shrink, decay = 1 - rate * decay, 0.0
    return (slots["mean"], slots["mean_square"]), (
        rate / (1 - beta1**step), decay, beta1, beta2, optimizer.eps, 1 - beta2**step, shrink,
    )  # fmt: skip


#: The kernel of each optimizer, and what it takes.
UPDATES: dict[type[Optimizer], tuple[str, _Told]] = {
    SGD: ("sgd", _sgd),
    RMSProp: ("rmsprop", _rmsprop),
    Adam: ("adam", _adam),
    AdamW: ("adam", _adam),
}
