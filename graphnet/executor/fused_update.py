"""The update of all parameters in one pass over memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphnet.executor.leaves import Leaves
from graphnet.kernels import Provider
from graphnet.kernels.advance import Update
from graphnet.optim import Optimizer
from ops.arrays import Array

__all__ = ["FusedUpdate"]


class FusedUpdate:
    """The update of all parameters in one pass over memory, where a kernel for it is known.

    Attributes:
        bound: on a device, the update that is bound to all arrays.
    """

    def __init__(
        self, leaves: Leaves, optimizer: Optimizer, advance: Any, make: Any, scaled: bool
    ) -> None:
        self._trainable, self._optimizer, self._advance = leaves.trainable, optimizer, advance
        self._gradients = leaves.gradients.flat["float32"]
        size = self._gradients.size
        self._parameters = leaves.parameters.flat["float32"][:size]
        self._slots = {slot: leaves.store(leaves.gradients.arrays) for slot in optimizer.slot_names}
        # those that decay come first
        parameters = leaves.graph.parameters
        others = [name for name in leaves.gradients.arrays if not parameters[name].decay]
        edge = leaves.gradients.begin(others[0]) if others else size
        self._parts = [(slice(0, edge), optimizer.weight_decay), (slice(edge, size), 0.0)]
        self.bound: Update | None = None
        self._seed: Array = leaves.scalar()
        if make is not None:
            slots = {slot: store.flat["float32"] for slot, store in self._slots.items()}
            self.bound = make(
                optimizer, self._parameters, self._gradients, slots, self._parts, scaled=scaled
            )

    @classmethod
    def of(
        cls,
        leaves: Leaves,
        providers: Iterable[Provider],
        optimizer: Optimizer,
        *,
        scaled: bool = False,
    ) -> FusedUpdate | None:
        """The fused update of these leaves, of a loss that is scaled or not; None for none."""
        dtypes = {leaves.specs[name].dtype for name in leaves.trainable}
        if dtypes != {"float32"}:
            return None
        for provider in providers:
            advance, make = provider.find_advance(optimizer), provider.find_update(optimizer)
            if advance is not None or make is not None:
                return cls(leaves, optimizer, advance, make, scaled)
        return None

    def slots(self) -> dict[str, Array]:
        """The arrays of the optimizer by name."""
        own = {
            f"{name}.{slot}": store.arrays[name]
            for name in self._trainable
            for slot, store in self._slots.items()
        }
        if self.bound is not None and self.bound.scaled:
            own["loss.scale"] = self.bound.numbers
        return own

    def begin(self, step: int) -> Array | None:
        """Say which step comes next; the gradient of the loss, None where it is 1."""
        if self.bound is None:
            return None
        self.bound.tell(step)
        if not self.bound.scaled:
            return None
        self.bound.bind_seed(self._seed)()
        return self._seed

    def update(self, step: int) -> None:
        """Step ``step``, on the gradients of the last reverse pass."""
        if self.bound is not None:
            self.bound.run()
            return
        optimizer = self._optimizer
        rate = optimizer.rate(step)
        gradients = optimizer.clip({"all": self._gradients})["all"]
        for part, decay in self._parts:
            if part.start == part.stop:
                continue
            slots = {slot: store.flat["float32"][part] for slot, store in self._slots.items()}
            self._advance(self._parameters[part], gradients[part], slots, rate, step, decay)
