"""The face of the executor: what users call."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphnet.backends import Backend, get_backend
from graphnet.capture import say_captured
from graphnet.executor.leaves import Leaves
from graphnet.executor.measured import measured
from graphnet.executor.plans import Plans
from graphnet.executor.precision import NARROW, expect_dtypes, expect_precision
from graphnet.executor.runner import Runner
from graphnet.executor.training_step import TrainingStep
from graphnet.explain import explain_plan, medians, write_trace
from graphnet.graph import Graph
from graphnet.kernels import get_providers
from graphnet.optim import Optimizer
from graphnet.out_of_memory import bytes_of
from graphnet.values import GraphError
from graphnet.weights import (
    WeightsError,
    WeightsReport,
    match_weights,
    read_weights,
    write_weights,
)
from ops.arrays import Array
from ops.fields import is_integer

__all__ = ["Executor"]


class Executor:
    """Runs a graph forward and in reverse.

    Args:
        graph: the network.
        backend: ``"numpy"`` or ``"cupy"``; nothing else changes between them.
        seed: of the initial parameters; each is drawn from the seed and its own name.
        dtype: replaces every floating dtype of the graph, such as ``"float64"`` to check
            gradients; the declared ones when None.
        kernels: whom to ask for kernels, such as ``"naive"``; the backend's own list when None.
        precision: ``"fast"``, the declared dtypes; ``"exact"``, which rules out kernels whose
            rounding is larger than that of plain sums, such as Winograd's convolution; on a GPU
            also ``"tf32"``, which lets products round their factors to TF32, and ``"float16"``
            or ``"bfloat16"`` between layers, with parameters, sums and losses in float32.
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
        expect_dtypes(graph, dtype)
        self.graph = graph
        self.backend = get_backend(backend) if isinstance(backend, str) else backend
        if not isinstance(self.backend, Backend):
            raise TypeError(f"expected a backend or the name of one, received {backend!r}")
        self.dtype = dtype
        self.precision = precision
        if memory_limit is not None and (not is_integer(memory_limit) or memory_limit < 1):
            raise ValueError(f"expected a memory_limit in bytes, received {memory_limit!r}")
        self.memory_limit = memory_limit
        self.debug = debug
        self._providers = get_providers(self.backend.providers if kernels is None else kernels)
        for name, provider in self._providers.items():
            if provider.backends and self.backend.name not in provider.backends:
                raise ValueError(
                    f"{name} kernels run on {', '.join(provider.backends)}, "
                    f"not on {self.backend.name!r}"
                )
        expect_precision(precision, graph, dtype, self.backend, self._providers)
        self._leaves = Leaves(graph, self.backend, dtype, seed)
        self._plans = Plans(
            graph,
            self.backend,
            self._providers,
            self._leaves,
            dtype=dtype,
            precision=precision,
            memory_limit=memory_limit,
            debug=debug,
        )
        self._runner = Runner(
            graph, self.backend, self._leaves, self._plans, dtype=dtype, debug=debug
        )

    @property
    def parameters(self) -> Mapping[str, Array]:
        """The learned arrays by name; changed in place, or by :meth:`assign`.

        While an array from here is held, weights are prepared anew for every run: it may have
        been changed.  :meth:`snapshot` gives copies.
        """
        return self._leaves.parameters

    @property
    def states(self) -> Mapping[str, Array]:
        """Running statistics and random counters by name; see :attr:`parameters`."""
        return self._leaves.states

    @property
    def trainable(self) -> list[str]:
        """The names of the parameters that optimizers change."""
        return list(self._leaves.trainable)

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
        return self._runner.forward(training, differentiate, names, feeds)

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
        return self._runner.backward(output, gradient, wrt, own=True)

    def training_step(
        self, optimizer: Optimizer, loss: str = "loss", *, capture: bool = True
    ) -> TrainingStep:
        """Forward, reverse and update in one call: ``step(image=..., label=...)["loss"]``.

        Args:
            optimizer: one of :mod:`graphnet.optim`.
            loss: the scalar output to make small.
            capture: on a GPU, whether a step whose kernels all allow it is captured into one
                CUDA graph for each batch size and replayed; the results are the same.

        Raises:
            GraphError: there is no such output, or it is no scalar.
            ExecutorError: the precision needs a loss that is scaled, which the update of this
                optimizer does not do.
        """
        providers = self._providers.values()
        return TrainingStep(
            self._runner,
            providers,
            optimizer,
            loss,
            capture=capture,
            scaled=self.precision in NARROW,
        )

    def assign(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Replace parameters and states by copies of host arrays, all or none.

        Raises:
            GraphError: a name is unknown, or an array is none or has another shape or dtype.
        """
        self._leaves.assign(arrays)

    def snapshot(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and states as host arrays, for :meth:`assign`."""
        return self._leaves.snapshot()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write parameters and states to a safetensors file."""
        write_weights(path, self.snapshot())

    def load(self, path: str | os.PathLike[str]) -> None:
        """Read parameters and states from a safetensors file.

        Raises:
            WeightsError: the file is damaged or does not fit; nothing has changed then.
        """
        self.assign(read_weights(path, self._leaves.specs))

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
        counters = [
            name for name in self._leaves.states if not self._leaves.specs[name].is_floating
        ]
        found, report = match_weights(source, self._leaves.specs, optional=counters, rename=rename)
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
        planned, runs = measured(self._runner, batch, training)
        plan, program = planned.plan, planned.program
        seconds = medians(runs, len(plan.steps))
        if program is None:
            table = explain_plan(plan, seconds)
        else:
            table = explain_plan(plan, seconds, program.locations(), program.nbytes)
        if plan.training and self.backend.captures:
            table += f"\n{say_captured(planned.unfit)}"
        return table

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
        planned = self._plans.find(training, names, batch, differentiate=training)
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
        planned, runs = measured(self._runner, batch, training)
        write_trace(path, planned.plan, runs[-1])
