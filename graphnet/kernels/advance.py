"""What a kernel is that makes the step of an optimizer for all parameters at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["Advance"]

#: ``(parameter, gradient, slots, rate, step, decay)`` advances flat float32 arrays in place, with
#: ``decay * parameter`` added to the gradient or, where decay is decoupled, as the optimizer does.
Advance = Callable[[Any, Any, Mapping[str, Any], float, int, float], None]
