"""The executor: owns the parameters and states of a graph and runs its plans.

The forward pass walks the steps of a plan; the reverse pass walks them backwards, sums the
gradients of a value that fans out, and lets each go once it is consumed.
"""

from __future__ import annotations

import gc
import os
import traceback
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from graphnet.backends import Backend, get_backend
from graphnet.explain import Event, explain_plan, medians, timed, write_trace
from graphnet.feeds import check_domains, check_feeds
from graphnet.graph import Graph
from graphnet.kernels import PlacedKernel, get_providers
from graphnet.kernels.tools import HOST, DeviceTools, Tools
from graphnet.optim import Optimizer
from graphnet.out_of_memory import OutOfMemoryError, bytes_of, largest_batch, say
from graphnet.passes import chain, fold, for_inference, fuse, sink
from graphnet.plan import Plan, Reverse, bind_spec, make_plan, make_reverse
from graphnet.program import Blocks, Program, ReverseProgram
from graphnet.recompute import schemes
from graphnet.run import run_forward, run_reverse
from graphnet.store import Store
from graphnet.values import GraphError, Parameter, State
from graphnet.weights import (
    WeightsError,
    WeightsReport,
    match_weights,
    read_weights,
    write_weights,
)
from ops.arrays import Array
from ops.fields import is_integer
from ops.operator import Operator, Spec, show, show_shape

__all__ = ["Executor", "ExecutorError", "TrainingStep"]

#: How many plans an executor remembers; each batch size has its own.
PLANS = 8

#: The floating dtypes whose sums the kernels keep accurate.
PRECISIONS = ("float32", "float64")


class ExecutorError(RuntimeError):
    """A call that makes no sense now, such as backward before forward."""


@dataclass(eq=False, repr=False)
class _Planned:
    """A plan, with the program it is bound to where some of its kernels are placed."""

    plan: Plan
    program: Program | None
    reverses: dict[tuple[Any, ...], ReverseProgram] = field(default_factory=dict)
    version: tuple[int, int] | None = None
    """Of the leaves that the program has seen last, and the block it was bound to."""


@dataclass(eq=False, repr=False)
class _Pass:
    """What a forward pass leaves behind for the reverse pass."""

    planned: _Planned
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
        precision: ``"fast"`` or ``"exact"``, which rules out kernels whose rounding is larger than
            that of plain sums, such as Winograd's convolution.
        memory_limit: bytes that a training step may take beside parameters and their gradients;
            results are then computed again in the reverse pass rather than kept, as many as
            it takes. No limit when None.
        debug: check each result against the inferred shape and dtype, and (on numpy, forward)
            fill what is dead with NaN. Slow.

    Raises:
        BackendError: the backend cannot work here; the message says what is missing.
        ValueError: the backend, dtype, kernels or precision are unknown, or the limit is not
            positive.

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
        precision: str = "fast",
        memory_limit: int | None = None,
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
        if precision not in ("fast", "exact"):
            raise ValueError(f"expected a precision of 'fast' or 'exact', received {precision!r}")
        self.dtype = dtype
        self.precision = precision
        if memory_limit is not None and (not is_integer(memory_limit) or memory_limit < 1):
            raise ValueError(f"expected a memory_limit in bytes, received {memory_limit!r}")
        self.memory_limit = memory_limit
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
        self._parameters = self._store(self._laid_out())
        self._states = self._store(graph.states)
        self._initialize(seed)
        self._constants = {
            name: self.backend.from_host(value.array.astype(bind_spec(value.spec, 1, dtype).dtype))
            for name, value in graph.constants.items()
        }
        self._graphs: dict[tuple[Any, ...], Graph] = {}
        self._plans: dict[tuple[Any, ...], _Planned] = {}
        self._last: _Pass | None = None
        self._recent: tuple[tuple[Any, ...], _Planned] | None = None
        self._tools: Tools = HOST
        if self.backend.name != "numpy":
            self._tools = DeviceTools(self.backend)
        self._blocks = Blocks(self._tools)
        self._version = 0  # of parameters and states, as far as the executor changes them

    def _laid_out(self) -> list[str]:
        """The parameters in the order in which they lie in memory.

        Those that optimizers change come first, and of these the ones that decay.
        """
        leaves = self.graph.parameters
        trained = set(self.trainable)
        return sorted(leaves, key=lambda name: (name not in trained, not leaves[name].decay))

    def _store(self, names: Iterable[str]) -> Store:
        return Store({name: self._specs[name] for name in names}, self.backend.xp)

    def _initialize(self, seed: int) -> None:
        graph = self.graph
        leaves: dict[str, Parameter | State] = {**graph.parameters, **graph.states}
        for name, leaf in leaves.items():
            # a parameter's first value depends on no other parameter
            rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
            spec = self._specs[name]
            shape = tuple(int(size) for size in spec.shape)  # type: ignore[arg-type]
            first = leaf.initializer.sample(shape, spec.dtype, rng)
            self._owner(name)[name][...] = self.backend.from_host(first)

    def _gradient_leaves(self, plan: Plan, reverse: Reverse) -> dict[int, Array]:
        """The arrays that take the gradients of parameters, by slot."""
        arrays = self._gradients.arrays
        return {
            plan.parameters[name]: arrays[name]
            for name in reverse.gradients
            if name in plan.parameters and name in arrays
        }

    @cached_property
    def _gradients(self) -> Store:
        """Of the parameters that optimizers change; they lie as these do."""
        trained = set(self.trainable)
        return self._store(name for name in self._parameters if name in trained)

    def _owner(self, name: str) -> dict[str, Array]:
        store = self._parameters if name in self._parameters else self._states
        return store.arrays

    @property
    def parameters(self) -> Mapping[str, Array]:
        """The learned arrays by name; changed in place, or by :meth:`assign`.

        While an array from here is held, weights are prepared anew for every run: it may have
        been changed.  :meth:`snapshot` gives copies.
        """
        return self._parameters

    @property
    def states(self) -> Mapping[str, Array]:
        """Running statistics and random counters by name; see :attr:`parameters`."""
        return self._states

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
            OutOfMemoryError: the device has no room; the message says what would fit.
        """
        differentiate = training if differentiate is None else differentiate
        if isinstance(outputs, str):
            raise GraphError(f"expected a list of outputs, received the string {outputs!r}")
        names = tuple(outputs) if outputs is not None else tuple(self.graph.outputs)
        planned = self._planned(training, names, differentiate, feeds)
        plan = planned.plan
        check_domains(plan, feeds)
        self._last = None
        try:
            return self._forward(planned, feeds, differentiate)
        except MemoryError as error:
            del planned
            raise self._out_of_memory(error, plan, names, differentiate) from error

    def _forward(
        self, planned: _Planned, feeds: Mapping[str, Any], differentiate: bool
    ) -> dict[str, Array]:
        """As :meth:`forward`, with a plan and what was found to fit it."""
        plan = planned.plan
        if planned.program is None:
            values = self._values(plan, feeds)
            saved = run_forward(plan, values, debug=self.debug)
        else:
            values, saved = self._run(planned, feeds), planned.program.saved
        if plan.renewed:
            self._version += 1
        for name, slot in plan.renewed.items():
            self._states.arrays[name][...] = values[slot]
        if differentiate:
            self._last = _Pass(planned, saved)
        results = {name: self._array(values[slot]) for name, slot in plan.outputs.items()}
        for name, slot in plan.outputs.items():
            # a feed, parameter or constant, or in memory that the next run uses again
            placed = planned.program is not None and slot in planned.program.places
            if placed or plan.graph.outputs[name].producer is None:
                results[name] = results[name].copy()
        return results

    def _planned(
        self,
        training: bool,
        outputs: tuple[str, ...],
        differentiate: bool,
        feeds: Mapping[str, Any],
    ) -> _Planned:
        """The plan for what is fed, once that is checked."""
        # feeds like the last ones were checked then
        signature = (training, outputs, differentiate, *map(_likeness, feeds.items()))
        if self._recent is None or self._recent[0] != signature:
            graph = self._form(training, outputs, differentiate)
            batch = check_feeds(graph, feeds, self.dtype, self.backend)
            planned = self._plan(graph, training, outputs, batch, differentiate)
            self._recent = (signature, planned)
        return self._recent[1]

    def _run(
        self, planned: _Planned, feeds: Mapping[str, Any], events: list[Event] | None = None
    ) -> list[Any]:
        """Run the program of a plan; returns an array per slot."""
        program = planned.program
        assert program is not None
        self._blocks.attach(program)
        if self._parameters.is_held() or self._states.is_held():
            self._version += 1
        current = (self._version, id(program.block))
        if planned.version != current:
            program.refresh()
            planned.version = current
        program.feed(feeds)
        program.run(events)
        return program.values

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
            OutOfMemoryError: as for :meth:`forward`.
        """
        return self._backward(output, gradient, wrt, own=True)

    def _backward(
        self, output: str | None, gradient: Any, wrt: Sequence[str] | None, *, own: bool
    ) -> dict[str, Array]:
        """As :meth:`backward`; unless ``own``, the next one overwrites the gradients."""
        if self._last is None:
            raise ExecutorError(
                "backward before forward: call forward(..., training=True) or "
                "forward(..., differentiate=True) first, once for each backward"
            )
        last, plan = self._last, self._last.planned.plan
        wanted = self.trainable if wrt is None else list(wrt)
        reverse = self._reverse(plan, output, wanted)
        seed = self._seed(plan, reverse, gradient)
        self._last = None
        try:
            return self._backward_of(last, reverse, seed, wanted, own=own)
        except MemoryError as error:
            del last
            raise self._out_of_memory(error, plan, tuple(plan.outputs), True) from error

    def _backward_of(
        self, last: _Pass, reverse: Reverse, seed: Any, wanted: list[str], *, own: bool
    ) -> dict[str, Array]:
        """The gradients that a forward pass leads to."""
        planned, saved = last.planned, last.saved
        plan = planned.plan
        if planned.program is None:
            gradients = run_reverse(plan, reverse, saved, seed, debug=self.debug)
        else:
            gradients = self._run_reverse(planned, reverse, seed)
        if reverse.source in reverse.gradients.values() and gradients[reverse.source] is seed:
            gradients[reverse.source] = seed.copy()
        found = {name: gradients[slot] for name, slot in reverse.gradients.items()}
        if planned.program is not None and own:
            placed = planned.reverses[reverse.key].places
            for name, slot in reverse.gradients.items():
                if slot in placed:
                    found[name] = found[name].copy()
        return {
            name: self._zeros(plan, name) if found.get(name) is None else self._array(found[name])
            for name in wanted
        }

    def _run_reverse(
        self, planned: _Planned, reverse: Reverse, seed: Any, events: list[Event] | None = None
    ) -> list[Any]:
        """Run the reverse of a program; returns a gradient per slot."""
        program = planned.program
        assert program is not None
        backward = planned.reverses.get(reverse.key)
        if backward is None:
            leaves = self._gradient_leaves(planned.plan, reverse)
            backward = planned.reverses[reverse.key] = ReverseProgram(program, reverse, leaves)
        arrays = self._gradients.arrays
        for name, array in arrays.items():
            if planned.plan.parameters.get(name) not in backward.places:
                array[...] = 0
        self._blocks.attach_reverse(backward)
        backward.run(seed, events)
        return backward.gradients

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
        self._version += 1
        for name, array in arrays.items():
            self._owner(name)[name][...] = self.backend.from_host(array)

    def snapshot(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and states as host arrays, for :meth:`assign`."""
        return {name: np.array(self.to_host(self._owner(name)[name])) for name in self._specs}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write parameters and states to a safetensors file."""
        write_weights(path, self.snapshot())

    def load(self, path: str | os.PathLike[str]) -> None:
        """Read parameters and states from a safetensors file.

        Raises:
            WeightsError: the file is damaged or does not fit; nothing has changed then.
        """
        self.assign(read_weights(path, self._specs))

    def import_weights(
        self,
        source: str | os.PathLike[str] | Mapping[str, Any],
        *,
        rename: Mapping[str, str | None] | None = None,
        strict: bool = True,
    ) -> WeightsReport:
        """Take weights from elsewhere, by name: a file, or a state dict.

        Floating arrays are converted to the dtype that is expected.  Random counters, which no
        other library has, are not missed.

        Args:
            source: a safetensors or ``.npz`` file, or a mapping from names to arrays, such as
                PyTorch's state dicts.
            rename: from the source's names to those here; None for one to leave out.
                :func:`graphnet.weights.pytorch_names` makes one.
            strict: refuse a source in which anything is missing, extra or misshapen; else take
                what fits.

        Raises:
            FileNotFoundError: there is no such file.
            WeightsError: the source is damaged, or does not fit; nothing has changed then.

        >>> import graphnet as gn
        >>> from ops import Linear
        >>> net = gn.Executor(gn.Graph(y=Linear(2)(gn.Input("x", ("N", 3)), name="fc")))
        >>> state = {"fc.weight": np.ones((2, 3)), "fc.bias": np.zeros(2), "other": np.ones(1)}
        >>> print(net.import_weights(state, strict=False))
        loaded 2 arrays
          extra other float64 (1,)
        """
        counters = [name for name in self._states if not self._specs[name].is_floating]
        found, report = match_weights(source, self._specs, optional=counters, rename=rename)
        if strict and not report.fits:
            where = "these weights" if isinstance(source, Mapping) else os.fspath(source)
            raise WeightsError(f"{where} do not fit this network:\n  {report}")
        self.assign(found)
        return report

    def to_host(self, array: Array) -> np.ndarray:
        """The one way from an array of the backend to NumPy."""
        return self.backend.to_host(array)

    def explain(self, batch: int | None = None, *, training: bool | None = None) -> str:
        """A table of the plan: node, kernel, shape, memory, FLOPs and measured time.

        A node that stands for several is called by all their names, ``conv_1+relu_1``.  The
        times are medians of three runs on random inputs; states stay as they are.

        Args:
            batch: the number of examples; that of the last run, or 1, when None.
            training: show the training form, with the reverse pass from the first scalar; as
                in the last run when None.
        """
        planned, runs = self._timed(batch, training)
        plan, program = planned.plan, planned.program
        seconds = medians(runs, len(plan.steps))
        if program is None:
            return explain_plan(plan, seconds)
        return explain_plan(plan, seconds, program.locations(), program.nbytes)

    def planned_bytes(self, batch: int = 1, *, training: bool = False) -> int:
        """Bytes that a run takes beside parameters and their gradients, known ahead of any data.

        Args:
            batch: the number of examples.
            training: of a training step, else of an inference.

        >>> import graphnet as gn
        >>> from ops import Linear
        >>> net = gn.Executor(gn.Graph(y=Linear(256)(gn.Input("x", ("N", 512)))))
        >>> net.planned_bytes(8) >= 8 * 256 * 4
        True
        """
        names = tuple(self.graph.outputs)
        form = self._form(training, names, training)
        planned = self._plan(form, training, names, batch, differentiate=training)
        return bytes_of(planned.plan, planned.program)

    def trace(
        self,
        path: str | os.PathLike[str],
        batch: int | None = None,
        *,
        training: bool | None = None,
    ) -> None:
        """Write a run on random inputs to a file that ``chrome://tracing`` and Perfetto show.

        Args:
            path: of the file, JSON in Chrome's trace format.
            batch: as for :meth:`explain`.
            training: likewise.

        Raises:
            OSError: the file cannot be written.
        """
        planned, runs = self._timed(batch, training)
        write_trace(path, planned.plan, runs[-1])

    def _timed(
        self, batch: int | None, training: bool | None, runs: int = 3
    ) -> tuple[_Planned, list[list[Event]]]:
        """A plan, and what each call of some runs on random inputs took."""
        last = next(reversed(self._plans.values()), None)
        batch = (last.plan.batch if last else 1) if batch is None else batch
        training = (last.plan.training if last else False) if training is None else training
        names = tuple(self.graph.outputs)
        graph = self._form(training, names, training)
        planned = self._plan(graph, training, names, batch, differentiate=training)
        plan = planned.plan
        rng = np.random.default_rng(0)
        feeds = {}
        for name, (_, spec) in plan.inputs.items():
            shape = tuple(int(size) for size in spec.shape)  # type: ignore[arg-type]
            drawn = rng.normal(size=shape) if spec.is_floating else np.zeros(shape)
            feeds[name] = drawn.astype(spec.dtype)
        scalars = self._scalars(plan) if training else []
        self._last = None
        found: list[list[Event]] = []
        for _ in range(runs + 1):
            found.append([])
            if planned.program is None:
                watched = timed(plan, found[-1], self.backend.synchronize)
                saved = run_forward(watched, self._values(watched, feeds))
                if scalars:
                    reverse = self._reverse(watched, scalars[0], self.trainable)
                    run_reverse(watched, reverse, saved, self._seed(watched, reverse, None))
                continue
            self._run(planned, feeds, found[-1])
            if scalars:
                reverse = self._reverse(plan, scalars[0], self.trainable)
                self._run_reverse(planned, reverse, self._seed(plan, reverse, None), found[-1])
        return planned, found[1:]  # the first one warms up

    def _form(self, training: bool, outputs: tuple[str, ...], differentiate: bool) -> Graph:
        key = (training, outputs, differentiate)
        if key not in self._graphs:
            graph = self.graph.select(*outputs)
            if not training:
                graph = for_inference(graph)
            if self._fuses:
                if not training and not differentiate:
                    graph = fold(graph)
                graph = fuse(sink(graph), self._fuses)
            if self._chains is not None:
                graph = chain(graph, self._chains)
            self._graphs[key] = graph
        return self._graphs[key]

    @cached_property
    def _fuses(self) -> frozenset[type[Operator]]:
        """The operators that there are kernels for, of those that fusion makes of a graph."""
        working = [] if self.debug else [p for p in self._providers.values() if p.status()[0]]
        return frozenset().union(*(provider.fused for provider in working))

    @cached_property
    def _chains(self) -> Callable[[Operator], bool] | None:
        """Which operators there are kernels for within chains; None where there are none."""
        if self.debug or self.dtype not in (None, "float32"):
            return None
        serves = [p.chains for p in self._providers.values() if p.chains and p.status()[0]]
        if not serves:
            return None
        return lambda operator: any(each(operator) for each in serves)

    def _plan(
        self,
        graph: Graph,
        training: bool,
        outputs: tuple[str, ...],
        batch: int,
        differentiate: bool,
    ) -> _Planned:
        key = (training, outputs, batch, differentiate)
        planned = self._plans.pop(key, None)
        if planned is None:
            plan = make_plan(
                graph,
                batch,
                self._providers,
                training=training,
                differentiate=differentiate,
                dtype=self.dtype,
                exact=self.precision == "exact",
                frugal=self.memory_limit is not None,
            )
            planned = self._lay_out(plan)
        self._plans[key] = planned  # the most recently used comes last
        if len(self._plans) > PLANS:
            del self._plans[next(iter(self._plans))]
        return planned

    def _lay_out(self, plan: Plan) -> _Planned:
        """A plan with its program, within the limit of memory."""
        planned = self._programmed(plan)
        limit, program = self.memory_limit, planned.program
        if limit is None or not plan.training:
            return planned
        if program is None:
            raise ExecutorError(
                "memory_limit: no kernel of this plan works in memory that is laid out ahead; "
                "expected fast kernels and no debug"
            )
        least = program.nbytes
        for scheme in schemes(plan, program.droppable()) if least > limit else ():
            planned = self._programmed(plan, scheme.slots)
            assert planned.program is not None
            if planned.program.nbytes <= limit:
                return planned
            least = min(least, planned.program.nbytes)
        if least > limit:
            raise ExecutorError(
                f"memory_limit: expected a training step of batch {plan.batch} in {limit:,} bytes, "
                f"the least it takes is {least:,}; a smaller batch takes less"
            )
        return planned

    def _out_of_memory(
        self, error: MemoryError, plan: Plan, outputs: tuple[str, ...], differentiate: bool
    ) -> OutOfMemoryError:
        """Let all memory of runs go, and say what would fit."""
        traceback.clear_frames(error.__traceback__)
        self._blocks.release()
        self._forget()
        free = self.backend.release()

        def needed(batch: int) -> int:
            form = self._form(plan.training, outputs, differentiate)
            planned = self._plan(form, plan.training, outputs, batch, differentiate)
            return bytes_of(planned.plan, planned.program)

        takes = needed(plan.batch)
        fit = None
        if free is not None and free < takes:
            fit = largest_batch(needed, plan.batch, free)
        self._forget()
        return OutOfMemoryError(say(plan, takes, free, fit))

    def _forget(self) -> None:
        """Let plans go, and arrays that lie in cycles of closures."""
        self._last = self._recent = None
        self._plans.clear()
        gc.collect()

    def _programmed(self, plan: Plan, dropped: frozenset[int] = frozenset()) -> _Planned:
        """A plan with its program, and the reverse pass that training makes in the same block."""
        program = self._program(plan, dropped)
        planned = _Planned(plan, program)
        scalars = self._scalars(plan)
        if program is not None and plan.training and scalars and self.trainable:
            reverse = self._reverse(plan, scalars[0], self.trainable)
            leaves = self._gradient_leaves(plan, reverse)
            planned.reverses[reverse.key] = ReverseProgram(program, reverse, leaves, apart=False)
        return planned

    def _scalars(self, plan: Plan) -> list[str]:
        """The outputs that can be differentiated without a gradient that arrives at them."""
        outputs = plan.graph.outputs
        return [n for n, v in outputs.items() if v.shape == () and v.spec.is_floating]

    def _program(self, plan: Plan, dropped: frozenset[int]) -> Program | None:
        """The program of a plan some of whose kernels are placed; debug looks at each array."""
        if self.debug or not any(isinstance(step.kernel, PlacedKernel) for step in plan.steps):
            return None
        leaves = {
            slot: arrays[name]
            for slots, arrays in (
                (plan.parameters, self._parameters.arrays),
                (plan.states, self._states.arrays),
                (plan.constants, self._constants),
            )
            for name, slot in slots.items()
        }
        return Program(plan, leaves, dropped, self._tools)

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
            (plan.parameters, self._parameters.arrays),
            (plan.states, self._states.arrays),
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


def _likeness(feed: tuple[str, Any]) -> tuple[Any, ...]:
    """What of a feed decides whether it fits, and which plan it needs."""
    name, array = feed
    shape, dtype = getattr(array, "shape", None), getattr(array, "dtype", None)
    return name, type(array), shape, dtype, getattr(array, "device", None)


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
        self._fused = _FusedUpdate.of(net, optimizer)
        trained = {name: net._parameters.arrays[name] for name in net.trainable}
        self.slots = optimizer.slots(trained) if self._fused is None else self._fused.slots()

    def __call__(self, **feeds: Any) -> dict[str, Array]:
        """Make one update and return the outputs that led to it.

        Raises:
            FeedError, ShapeError: as :meth:`Executor.forward`.
        """
        net = self.net
        outputs = net.forward(training=True, **feeds)
        assert net._last is not None
        placed = net._last.planned.program is not None
        gradients = net._backward(self.loss, None, None, own=False)
        net._version += 1
        if self._fused is not None and placed:
            self._fused.update(self.count + 1)
        else:
            parameters = {name: net._parameters.arrays[name] for name in gradients}
            self.optimizer.update(parameters, gradients, self.slots, self.count + 1, self.decay)
        self.count += 1
        return outputs


class _FusedUpdate:
    """The update of all parameters in one pass over memory, where a compiled one is known."""

    def __init__(self, net: Executor, optimizer: Optimizer, advance: Any) -> None:
        self._net, self._optimizer, self._advance = net, optimizer, advance
        self._gradients = net._gradients.flat["float32"]
        size = self._gradients.size
        self._parameters = net._parameters.flat["float32"][:size]
        self._slots = {slot: net._store(net._gradients.arrays) for slot in optimizer.slot_names}
        # those that decay come first
        leaves = net.graph.parameters
        others = [name for name in net._gradients.arrays if not leaves[name].decay]
        edge = net._gradients.begin(others[0]) if others else size
        self._parts = [(slice(0, edge), optimizer.weight_decay), (slice(edge, size), 0.0)]

    @classmethod
    def of(cls, net: Executor, optimizer: Optimizer) -> _FusedUpdate | None:
        """The fused update of an executor; None where there is none."""
        dtypes = {net._specs[name].dtype for name in net.trainable}
        if dtypes != {"float32"}:
            return None
        advances = (provider.find_advance(optimizer) for provider in net._providers.values())
        advance = next((found for found in advances if found is not None), None)
        return None if advance is None else cls(net, optimizer, advance)

    def slots(self) -> dict[str, Array]:
        """The arrays of the optimizer by name."""
        return {
            f"{name}.{slot}": store.arrays[name]
            for name in self._net.trainable
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
