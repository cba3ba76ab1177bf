"""One step of training: forward, reverse, and the update of all parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphnet.executor.leaves import Leaves
from graphnet.executor.runner import Runner
from graphnet.kernels import Provider
from graphnet.optim import Optimizer
from graphnet.values import GraphError
from ops.arrays import Array
from ops.operator import show

__all__ = ["TrainingStep"]


class TrainingStep:
    """Forward, reverse and update of one network under one optimizer.

    :meth:`Executor.training_step` makes it.

    Attributes:
        count: how many updates have been made.
        slots: the optimizer's own arrays by name, such as ``conv_1.weight.velocity``.
    """

    def __init__(
        self, runner: Runner, providers: Iterable[Provider], optimizer: Optimizer, loss: str
    ) -> None:
        graph, leaves = runner.graph, runner.leaves
        if loss not in graph.outputs:
            raise GraphError(f"expected a loss among {list(graph.outputs)}, received {loss!r}")
        spec = graph.outputs[loss].spec
        if spec.shape != () or not spec.is_floating:
            raise GraphError(f"expected a floating scalar as loss, but {loss!r} is {show(spec)}")
        self.optimizer = optimizer
        self.loss = loss
        self.count = 0
        self.decay = frozenset(name for name, leaf in graph.parameters.items() if leaf.decay)
        self._runner = runner
        self._fused = _FusedUpdate.of(leaves, providers, optimizer)
        trained = {name: leaves.parameters.arrays[name] for name in leaves.trainable}
        self.slots = optimizer.slots(trained) if self._fused is None else self._fused.slots()

    def __call__(self, **feeds: Any) -> dict[str, Array]:
        """Make one update and return the outputs that led to it.

        Raises:
            FeedError, ShapeError, OutOfMemoryError: as :meth:`Executor.forward`.
        """
        runner, leaves = self._runner, self._runner.leaves
        outputs = runner.forward(True, True, tuple(runner.graph.outputs), feeds)
        placed = runner.is_placed
        gradients = runner.backward(self.loss, None, None, own=False)
        leaves.version += 1
        if self._fused is not None and placed:
            self._fused.update(self.count + 1)
        else:
            parameters = {name: leaves.parameters.arrays[name] for name in gradients}
            self.optimizer.update(parameters, gradients, self.slots, self.count + 1, self.decay)
        self.count += 1
        return outputs


class _FusedUpdate:
    """The update of all parameters in one pass over memory, where a compiled one is known."""

    def __init__(self, leaves: Leaves, optimizer: Optimizer, advance: Any) -> None:
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

    @classmethod
    def of(
        cls, leaves: Leaves, providers: Iterable[Provider], optimizer: Optimizer
    ) -> _FusedUpdate | None:
        """The fused update of these leaves; None where there is none."""
        dtypes = {leaves.specs[name].dtype for name in leaves.trainable}
        if dtypes != {"float32"}:
            return None
        advances = (provider.find_advance(optimizer) for provider in providers)
        advance = next((found for found in advances if found is not None), None)
        return None if advance is None else cls(leaves, optimizer, advance)

    def slots(self) -> dict[str, Array]:
        """The arrays of the optimizer by name."""
        return {
            f"{name}.{slot}": store.arrays[name]
            for name in self._trainable
            for slot, store in self._slots.items()
        }

    def update(self, step: int) -> None:
        """Step ``step``, on the gradients of the last reverse pass."""
        optimizer = self._optimizer
        rate = optimizer.rate(step)
        gradients = optimizer.clip({"all": self._gradients})["all"]
        for part, decay in self._parts:
            if part.start == part.stop:
                continue
            slots = {slot: store.flat["float32"][part] for slot, store in self._slots.items()}
            self._advance(self._parameters[part], gradients[part], slots, rate, step, decay)
