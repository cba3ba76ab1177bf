"""One step of training: forward, reverse, and the update of all parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphnet.executor.captured import CapturedStep
from graphnet.executor.errors import ExecutorError
from graphnet.executor.fused_update import FusedUpdate
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
        uncaptured: on a GPU, why the last step was not captured; empty where it is or will be.
    """

    def __init__(
        self,
        runner: Runner,
        providers: Iterable[Provider],
        optimizer: Optimizer,
        loss: str,
        *,
        capture: bool = True,
        scaled: bool = False,
    ) -> None:
        graph, leaves = runner.graph, runner.leaves
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"expected an optimizer such as SGD(0.1), received {optimizer!r}")
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
        self._scaled = scaled
        self._fused = FusedUpdate.of(leaves, providers, optimizer, scaled=scaled)
        if scaled and (self._fused is None or self._fused.bound is None):
            raise ExecutorError(
                f"in this precision the loss is scaled, and steps whose gradients overflow are "
                f"skipped: expected SGD, RMSProp, Adam or AdamW, whose updates do so on the "
                f"device, received {type(optimizer).__name__}"
            )
        self._captured, self.uncaptured = None, ""
        if not runner.backend.captures:
            pass
        elif not capture:
            self.uncaptured = "captures are turned off"
        elif self._fused is None or self._fused.bound is None:
            self.uncaptured = f"{type(optimizer).__name__} has no kernel of the card"
        else:
            self._captured = CapturedStep(runner, self._fused.bound, loss)
        trained = {name: leaves.parameters.arrays[name] for name in leaves.trainable}
        self.slots = optimizer.slots(trained) if self._fused is None else self._fused.slots()

    def __call__(self, **feeds: Any) -> dict[str, Array]:
        """Make one update and return the outputs that led to it.

        Raises:
            FeedError, ShapeError, OutOfMemoryError: as :meth:`Executor.forward`.
        """
        runner, leaves = self._runner, self._runner.leaves
        if self._captured is not None:
            results, self.uncaptured = self._captured(self.count + 1, feeds)
            if results is not None:
                self.count += 1
                return results
        seed = None if self._fused is None else self._fused.begin(self.count + 1)
        outputs = runner.forward(True, True, tuple(runner.graph.outputs), feeds)
        placed = runner.is_placed
        gradients = runner.backward(self.loss, seed, None, own=False)
        leaves.version += 1
        if self._scaled and not placed:
            for name, gradient in gradients.items():
                leaves.gradients.arrays[name][...] = gradient
        if self._fused is not None and (placed or self._scaled):
            self._fused.update(self.count + 1)
        else:
            parameters = {name: leaves.parameters.arrays[name] for name in gradients}
            self.optimizer.update(parameters, gradients, self.slots, self.count + 1, self.decay)
        self.count += 1
        return outputs
