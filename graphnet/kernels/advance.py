"""What a kernel is that makes the step of an optimizer for all parameters at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from graphnet.kernels.placed import Call

__all__ = ["Advance", "Part", "Update"]

#: ``(parameter, gradient, slots, rate, step, decay)`` advances flat float32 arrays in place, with
#: ``decay * parameter`` added to the gradient or, where decay is decoupled, as the optimizer does.
Advance = Callable[[Any, Any, Mapping[str, Any], float, int, float], None]

#: A stretch of flat arrays, and the weight decay in it.
Part = tuple[slice, float]


class Update(Protocol):
    """A step of an optimizer on a device, bound to flat arrays; all that varies lies there too.

    Attributes:
        numbers: what it remembers from step to step beside the optimizer's slots.
        scaled: whether the loss is multiplied by a scale that is among them.
    """

    numbers: Any
    scaled: bool

    def tell(self, step: int) -> None:
        """Say which step comes next; never captured."""
        ...

    def bind_seed(self, seed: Any) -> Call:
        """What writes the gradient at which the reverse pass begins."""
        ...

    def run(self) -> None:
        """Make the step."""
        ...
