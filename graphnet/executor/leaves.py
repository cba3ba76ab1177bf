"""What a network owns: the arrays of parameters, their gradients, states and constants."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from functools import cached_property

import numpy as np

from graphnet.backends import Backend
from graphnet.graph import Graph
from graphnet.plan import Plan, Reverse, bind_spec
from graphnet.store import Store
from graphnet.values import GraphError, Parameter, State
from ops.arrays import Array
from ops.operator import Spec, known, show

__all__ = ["Leaves"]


class Leaves:
    """The arrays of one graph on one backend.

    Args:
        graph: the network.
        backend: where the arrays lie.
        dtype: replaces every floating dtype of the graph; the declared ones when None.
        seed: of the initial parameters; each is drawn from the seed and its own name.

    Attributes:
        specs: of parameters and states, by name.
        parameters: the learned arrays; those that optimizers change come first, and of these
            the ones that decay.
        states: running statistics and random counters.
        constants: arrays that never change, by name.
        trainable: the names of the parameters that optimizers change.
        version: counts the changes of parameters and states, as far as they are made here.
    """

    def __init__(self, graph: Graph, backend: Backend, dtype: str | None, seed: int) -> None:
        self.graph = graph
        self._backend = backend
        leaves: dict[str, Parameter | State] = {**graph.parameters, **graph.states}
        self.specs = {name: bind_spec(leaf.spec, 1, dtype) for name, leaf in leaves.items()}
        self.trainable = [
            name
            for name, leaf in graph.parameters.items()
            if leaf.trainable and leaf.spec.is_floating
        ]
        trained = set(self.trainable)
        decays = {name: leaf.decay for name, leaf in graph.parameters.items()}
        self.parameters = self.store(
            sorted(graph.parameters, key=lambda name: (name not in trained, not decays[name]))
        )
        self.states = self.store(graph.states)
        for name, leaf in leaves.items():
            # a parameter's first value depends on no other parameter
            rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
            spec = self.specs[name]
            first = leaf.initializer.sample(known(*spec.shape), spec.dtype, rng)
            self._array(name)[...] = backend.from_host(first)
        self.constants = {
            name: backend.from_host(value.array.astype(bind_spec(value.spec, 1, dtype).dtype))
            for name, value in graph.constants.items()
        }
        self.version = 0

    @cached_property
    def gradients(self) -> Store:
        """Of the parameters that optimizers change; they lie as these do."""
        trained = set(self.trainable)
        return self.store(name for name in self.parameters if name in trained)

    def store(self, names: Iterable[str]) -> Store:
        """New arrays like those of these names."""
        return Store({name: self.specs[name] for name in names}, self._backend.xp)

    def scalar(self) -> Array:
        """A new array of one entry and no axis, in float32."""
        return self._backend.xp.zeros((), dtype="float32")

    def by_slot(self, plan: Plan) -> dict[int, Array]:
        """The arrays of parameters, states and constants by their slots in a plan."""
        return {
            slot: arrays[name]
            for slots, arrays in (
                (plan.parameters, self.parameters.arrays),
                (plan.states, self.states.arrays),
                (plan.constants, self.constants),
            )
            for name, slot in slots.items()
        }

    def gradients_by_slot(self, plan: Plan, reverse: Reverse) -> dict[int, Array]:
        """The arrays that take the gradients of parameters."""
        arrays = self.gradients.arrays
        return {
            plan.parameters[name]: arrays[name]
            for name in reverse.gradients
            if name in plan.parameters and name in arrays
        }

    def current(self) -> int:
        """The version of the arrays, a new one as long as somebody may hold one of them."""
        if self.parameters.is_held() or self.states.is_held():
            self.version += 1
        return self.version

    def assign(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Replace parameters and states by copies of host arrays, all or none.

        Raises:
            GraphError: a name is unknown, or an array is none or has another shape or dtype.
        """
        for name, array in arrays.items():
            if name not in self.specs:
                raise GraphError(f"expected names among {list(self.specs)}, received {name!r}")
            if not isinstance(array, np.ndarray):
                raise GraphError(f"{name}: expected a NumPy array, received {type(array).__name__}")
            received = Spec(array.shape, array.dtype.name)
            if received != self.specs[name]:
                raise GraphError(
                    f"{name}: expected {show(self.specs[name])}, received {show(received)}"
                )
        self.version += 1
        for name, array in arrays.items():
            self._array(name)[...] = self._backend.from_host(array)

    def snapshot(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and states as host arrays."""
        return {name: np.array(self._backend.to_host(self._array(name))) for name in self.specs}

    def _array(self, name: str) -> Array:
        store = self.parameters if name in self.parameters else self.states
        return store.arrays[name]
