"""The executor: owns the parameters and states of a graph and runs its plans.

The forward pass walks the steps of a plan; the reverse pass walks them backwards, sums the
gradients of a value that fans out, and lets each go once it is consumed.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from graphnet.backends import Backend, get_backend
from graphnet.explain import explain_plan, timed
from graphnet.feeds import check_domains, check_feeds
from graphnet.graph import Graph
from graphnet.kernels import get_providers
from graphnet.optim import Optimizer
from graphnet.passes import for_inference
from graphnet.plan import Plan, Reverse, bind_spec, make_plan, make_reverse
from graphnet.run import run_forward, run_reverse
from graphnet.values import GraphError, Parameter, State
from graphnet.weights import read_weights, write_weights
from ops.arrays import Array
from ops.fields import is_integer
from ops.operator import Spec, show, show_shape

__all__ = ["Executor", "ExecutorError", "TrainingStep"]

#: How many plans an executor remembers; each batch size has its own.
PLANS = 8

#: The floating dtypes whose sums the kernels keep accurate.
PRECISIONS = ("float32", "float64")


class ExecutorError(RuntimeError):
    """A call that makes no sense now, such as backward before forward."""


@dataclass
class _Pass:
    """What a forward pass leaves behind for the reverse pass."""

    plan: Plan
    saved: list[Any]


class Executor:
    """Runs a graph forward and in reverse.

    Args:
        graph: the network.
        backend: ``"numpy"`` or ``"cupy"``; nothing else changes between them.
        seed: of the initial parameters; each is drawn from the seed and its own name.
        dtype: replaces every floating dtype of the graph, such as ``"float64"`` to check
            gradients; the declared ones when None.
        kernels: whom to ask for kernels, such as ``"naive"``; the backend's own list when None.
        debug: check each result against the inferred shape and dtype, and (on numpy, forward)
            fill what is dead with NaN. Slow.

    Raises:
        BackendError: the backend cannot work here; the message says what is missing.
        ValueError: the backend, dtype or kernels are unknown.

    >>> import graphnet as gn
    >>> from ops import Linear, SoftmaxCrossEntropy
    >>> x, label = gn.Input("x", ("N", 4)), gn.Input("label", ("N",), "int64")
    >>> logits = Linear(3)(x)
    >>> net = gn.Executor(gn.Graph(logits=logits, loss=SoftmaxCrossEntropy()(logits, label)))
    >>> feeds = {"x": np.ones((2, 4), dtype="float32"), "label": np.array([0, 2])}
    >>> net.forward(training=True, **feeds)["logits"].shape
    (2, 3)
    >>> sorted(net.backward("loss"))
    ['linear_1.bias', 'linear_1.weight']
    """

    def __init__(
        self,
        graph: Graph,
        backend: str | Backend = "numpy",
        *,
        seed: int = 0,
        dtype: str | None = None,
        kernels: str | Sequence[str] | None = None,
        debug: bool = False,
    ) -> None:
        if not isinstance(graph, Graph):
            raise TypeError(f"expected a Graph, received {type(graph).__name__}")
        if not is_integer(seed) or seed < 0:
            raise ValueError(f"expected a seed of at least 0, received {seed!r}")
        if dtype is not None and Spec((), dtype).dtype not in PRECISIONS:
            raise ValueError(f"expected a dtype of {PRECISIONS}, received {dtype!r}")
        for value in graph.values():
            if dtype is None and value.spec.is_floating and value.dtype not in PRECISIONS:
                raise ValueError(
                    f"expected floating dtypes of {PRECISIONS}, received {value!r}: "
                    f"the kernels there are would lose sums in it"
                )
        self.graph = graph
        self.backend = get_backend(backend) if isinstance(backend, str) else backend
        self.dtype = dtype
        self.debug = debug
        self._providers = get_providers(kernels or self.backend.providers)
        for name, provider in self._providers.items():
            if provider.backends and self.backend.name not in provider.backends:
                raise ValueError(
                    f"{name} kernels run on {', '.join(provider.backends)}, "
                    f"not on {self.backend.name!r}"
                )
        self._specs = {
            name: bind_spec(value.spec, 1, dtype)
            for name, value in (*graph.parameters.items(), *graph.states.items())
        }
        self._parameters = self._initial(graph.parameters, seed)
        self._states = self._initial(graph.states, seed)
        self._constants = {
            name: self.backend.from_host(value.array.astype(bind_spec(value.spec, 1, dtype).dtype))
            for name, value in graph.constants.items()
        }
        self._graphs: dict[tuple[bool, tuple[str, ...]], Graph] = {}
        self._plans: dict[tuple[Any, ...], Plan] = {}
        self._last: _Pass | None = None

    def _initial(self, leaves: Mapping[str, Parameter | State], seed: int) -> dict[str, Array]:
        arrays = {}
        for name, leaf in leaves.items():
            # a parameter's first value depends on no other parameter
            rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
            spec = self._specs[name]
            shape = tuple(int(size) for size in spec.shape)  # type: ignore[arg-type]
            arrays[name] = self.backend.from_host(leaf.initializer.sample(shape, spec.dtype, rng))
        return arrays

    @property
    def parameters(self) -> Mapping[str, Array]:
        """The learned arrays by name; they may be changed in place, or by :meth:`assign`."""
        return MappingProxyType(self._parameters)

    @property
    def states(self) -> Mapping[str, Array]:
        """Running statistics and random counters by name."""
        return MappingProxyType(self._states)

    @property
    def trainable(self) -> list[str]:
        """The names of the parameters that optimizers change."""
        parameters = self.graph.parameters.items()
        return [name for name, leaf in parameters if leaf.trainable and leaf.spec.is_floating]

    def forward(
        self,
        *,
        training: bool = False,
        differentiate: bool | None = None,
        outputs: Sequence[str] | None = None,
        **feeds: Any,
    ) -> dict[str, Array]:
        """Run the graph forward.

        Args:
            training: use batch statistics and dropout, and renew the states; else run the
                inference form.
            differentiate: keep what :meth:`backward` needs; as ``training`` when None.
            outputs: which outputs to compute; only their inputs must be fed. All when None.
            feeds: one array per input, of exactly the declared shape and dtype.

        Returns:
            The outputs by name, as arrays of the backend. Feeds, outputs and parameters stay
            unchanged until :meth:`backward` has run: it reads them again.

        Raises:
            FeedError: a feed is missing, unknown, or of the wrong shape, dtype or range.
            ShapeError: a node cannot work with this batch size.
        """
        differentiate = training if differentiate is None else differentiate
        if isinstance(outputs, str):
            raise GraphError(f"expected a list of outputs, received the string {outputs!r}")
        names = tuple(outputs) if outputs is not None else tuple(self.graph.outputs)
        graph = self._form(training, names)
        batch = check_feeds(graph, feeds, self.dtype, self.backend)
        plan = self._plan(graph, training, names, batch, differentiate)
        check_domains(plan, feeds)
        values = self._values(plan, feeds)
        self._last = None
        saved = run_forward(plan, values, debug=self.debug)
        for name, slot in plan.renewed.items():
            self._states[name] = values[slot]
        if differentiate:
            self._last = _Pass(plan, saved)
        results = {name: self._array(values[slot]) for name, slot in plan.outputs.items()}
        for name in results:
            if plan.graph.outputs[name].producer is None:  # a feed, parameter or constant
                results[name] = results[name].copy()
        return results

    def backward(
        self,
        output: str | None = None,
        gradient: Any = None,
        *,
        wrt: Sequence[str] | None = None,
    ) -> dict[str, Array]:
        """Run the last forward pass in reverse.

        First derivatives only: a gradient is an array, not a graph to differentiate again.

        Args:
            output: the output to differentiate; the only one when None.
            gradient: the gradient that arrives at it; 1 for a scalar when None.
            wrt: names of parameters and inputs; all trainable parameters when None.

        Returns:
            A gradient by name, zero where the output does not depend on it.

        Raises:
            ExecutorError: there is no forward pass to reverse, or no ``gradient`` for an
                output that is no scalar.
            GraphError: an output or name is unknown.
        """
        if self._last is None:
            raise ExecutorError(
                "backward before forward: call forward(..., training=True) or "
                "forward(..., differentiate=True) first, once for each backward"
            )
        plan, saved = self._last.plan, self._last.saved
        wanted = self.trainable if wrt is None else list(wrt)
        reverse = self._reverse(plan, output, wanted)
        seed = self._seed(plan, reverse, gradient)
        self._last = None
        gradients = run_reverse(plan, reverse, saved, seed, debug=self.debug)
        if reverse.source in reverse.gradients.values() and gradients[reverse.source] is seed:
            gradients[reverse.source] = seed.copy()
        found = {name: gradients[slot] for name, slot in reverse.gradients.items()}
        return {
            name: self._zeros(plan, name) if found.get(name) is None else self._array(found[name])
            for name in wanted
        }

    def training_step(self, optimizer: Optimizer, loss: str = "loss") -> TrainingStep:
        """Forward, reverse and update in one call: ``step(image=..., label=...)["loss"]``.

        Args:
            optimizer: one of :mod:`graphnet.optim`.
            loss: the scalar output to make small.

        Raises:
            GraphError: there is no such output, or it is no scalar.
        """
        return TrainingStep(self, optimizer, loss)

    def assign(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Replace parameters and states by copies of host arrays, all or none.

        Raises:
            GraphError: a name is unknown, or an array is none or has another shape or dtype.
        """
        for name, array in arrays.items():
            if name not in self._specs:
                raise GraphError(f"expected names among {list(self._specs)}, received {name!r}")
            if not isinstance(array, np.ndarray):
                raise GraphError(f"{name}: expected a NumPy array, received {type(array).__name__}")
            received = Spec(array.shape, array.dtype.name)
            if received != self._specs[name]:
                raise GraphError(
                    f"{name}: expected {show(self._specs[name])}, received {show(received)}"
                )
        for name, array in arrays.items():
            owner = self._parameters if name in self._parameters else self._states
            owner[name] = self.backend.from_host(array)

    def snapshot(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and states as host arrays, for :meth:`assign`."""
        both = {**self._parameters, **self._states}
        return {name: np.array(self.to_host(array)) for name, array in both.items()}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write parameters and states to a safetensors file."""
        write_weights(path, self.snapshot())

    def load(self, path: str | os.PathLike[str]) -> None:
        """Read parameters and states from a safetensors file.

        Raises:
            WeightsError: the file is damaged or does not fit; nothing has changed then.
        """
        self.assign(read_weights(path, self._specs))

    def to_host(self, array: Array) -> np.ndarray:
        """The one way from an array of the backend to NumPy."""
        return self.backend.to_host(array)

    def explain(self, batch: int | None = None, *, training: bool | None = None) -> str:
        """A table of the plan: node, kernel, shape, bytes, FLOPs and measured time.

        The times are medians of three runs on random inputs; states stay as they are.

        Args:
            batch: the number of examples; that of the last run, or 1, when None.
            training: show the training form, with the reverse pass from the first scalar; as
                in the last run when None.
        """
        last = next(reversed(self._plans.values()), None)
        batch = (last.batch if last else 1) if batch is None else batch
        training = (last.training if last else False) if training is None else training
        names = tuple(self.graph.outputs)
        graph = self._form(training, names)
        plan = self._plan(graph, training, names, batch, differentiate=training)
        return explain_plan(plan, self._time(plan))

    def _time(self, plan: Plan, runs: int = 3) -> list[tuple[float, float]]:
        """Median seconds of each step, forward and in reverse."""
        rng = np.random.default_rng(0)
        feeds = {}
        for name, (_, spec) in plan.inputs.items():
            shape = tuple(int(size) for size in spec.shape)  # type: ignore[arg-type]
            drawn = rng.normal(size=shape) if spec.is_floating else np.zeros(shape)
            feeds[name] = drawn.astype(spec.dtype)
        scalars = [
            name
            for name, value in plan.graph.outputs.items()
            if value.shape == () and value.spec.is_floating
        ]
        timed_plan, clocks = timed(plan, self.backend.synchronize)
        for _ in range(runs + 1):
            saved = run_forward(timed_plan, self._values(timed_plan, feeds))
            if plan.training and scalars:
                reverse = self._reverse(timed_plan, scalars[0], self.trainable)
                run_reverse(timed_plan, reverse, saved, self._seed(timed_plan, reverse, None))
        return [clock.medians(skip=1) for clock in clocks]

    def _form(self, training: bool, outputs: tuple[str, ...]) -> Graph:
        key = (training, outputs)
        if key not in self._graphs:
            graph = self.graph.select(*outputs)
            self._graphs[key] = graph if training else for_inference(graph)
        return self._graphs[key]

    def _plan(
        self,
        graph: Graph,
        training: bool,
        outputs: tuple[str, ...],
        batch: int,
        differentiate: bool,
    ) -> Plan:
        key = (training, outputs, batch, differentiate)
        plan = self._plans.pop(key, None) or make_plan(
            graph,
            batch,
            self._providers,
            training=training,
            differentiate=differentiate,
            dtype=self.dtype,
        )
        self._plans[key] = plan  # the most recently used comes last
        if len(self._plans) > PLANS:
            del self._plans[next(iter(self._plans))]
        return plan

    def _reverse(self, plan: Plan, output: str | None, wanted: list[str]) -> Reverse:
        if output is None:
            if len(plan.outputs) != 1:
                raise GraphError(f"expected one of the outputs {list(plan.outputs)}")
            (output,) = plan.outputs
        if output not in plan.outputs:
            raise GraphError(f"expected an output among {list(plan.outputs)}, received {output!r}")
        key = (output, tuple(wanted))
        if key not in plan.reverses:
            leaves = {**self.graph.parameters, **self.graph.inputs}
            for name in wanted:
                if name not in leaves:
                    raise GraphError(
                        f"expected parameters or inputs among {list(leaves)}, received {name!r}"
                    )
                if not leaves[name].spec.is_floating:
                    raise GraphError(f"{name!r} is {leaves[name].dtype} and has no gradient")
            # a form of the graph may lack some of them
            there = [name for name in wanted if leaves[name] in plan.slots]
            plan.reverses[key] = make_reverse(plan, output, there)
        return plan.reverses[key]

    def _seed(self, plan: Plan, reverse: Reverse, gradient: Any) -> Array:
        spec = plan.specs[plan.graph.outputs[reverse.output]]
        if not spec.is_floating:
            raise ExecutorError(f"{reverse.output!r} is {spec.dtype} and has no gradient")
        if gradient is None:
            if spec.shape != ():
                raise ExecutorError(
                    f"{reverse.output!r} is no scalar but {show_shape(spec.shape)}: "
                    f"give the gradient that arrives at it, "
                    f"backward({reverse.output!r}, gradient)"
                )
            return self.backend.xp.ones((), dtype=spec.dtype)
        if not (isinstance(gradient, np.ndarray) or self.backend.owns(gradient)):
            raise ExecutorError(
                f"expected an array as gradient of {reverse.output!r}, "
                f"received {type(gradient).__name__}"
            )
        if gradient.shape != spec.shape or gradient.dtype != spec.dtype:
            raise ExecutorError(
                f"gradient of {reverse.output!r}: expected {show(spec)}, "
                f"received {show(Spec(gradient.shape, gradient.dtype.name))}"
            )
        return gradient if self.backend.owns(gradient) else self.backend.from_host(gradient)

    def _values(self, plan: Plan, feeds: Mapping[str, Any]) -> list[Array | None]:
        """The list of slots, with everything in it that is there before the first step."""
        values: list[Array | None] = [None] * plan.size
        for slots, arrays in (
            (plan.parameters, self._parameters),
            (plan.states, self._states),
            (plan.constants, self._constants),
        ):
            for name, slot in slots.items():
                values[slot] = arrays[name]
        for name, (slot, _) in plan.inputs.items():
            array = feeds[name]
            values[slot] = array if self.backend.owns(array) else self.backend.from_host(array)
        return values

    def _array(self, result: Any) -> Array:
        """The result as an array: arithmetic on arrays of no axes gives a scalar in NumPy."""
        return self.backend.xp.asarray(result)

    def _zeros(self, plan: Plan, name: str) -> Array:
        leaf = self.graph.parameters.get(name) or self.graph.inputs[name]
        spec = bind_spec(leaf.spec, plan.batch, self.dtype)
        return self.backend.xp.zeros(spec.shape, dtype=spec.dtype)


class TrainingStep:
    """Forward, reverse and update of one executor under one optimizer.

    Attributes:
        count: how many updates have been made.
        slots: the optimizer's own arrays by name, such as ``conv_1.weight.velocity``.
    """

    def __init__(self, net: Executor, optimizer: Optimizer, loss: str = "loss") -> None:
        if loss not in net.graph.outputs:
            raise GraphError(f"expected a loss among {list(net.graph.outputs)}, received {loss!r}")
        spec = net.graph.outputs[loss].spec
        if spec.shape != () or not spec.is_floating:
            raise GraphError(f"expected a floating scalar as loss, but {loss!r} is {show(spec)}")
        self.net = net
        self.optimizer = optimizer
        self.loss = loss
        self.count = 0
        self.decay = frozenset(name for name, leaf in net.graph.parameters.items() if leaf.decay)
        self.slots = optimizer.slots({name: net.parameters[name] for name in net.trainable})

    def __call__(self, **feeds: Any) -> dict[str, Array]:
        """Make one update and return the outputs that led to it.

        Raises:
            FeedError, ShapeError: as :meth:`Executor.forward`.
        """
        outputs = self.net.forward(training=True, **feeds)
        gradients = self.net.backward(self.loss)
        parameters = {name: self.net.parameters[name] for name in gradients}
        self.optimizer.update(parameters, gradients, self.slots, self.count + 1, self.decay)
        self.count += 1
        return outputs
