"""Which engine of cuDNN executes a graph: the fastest, measured once and kept.

cuDNN proposes engines for a graph, the most promising first.  Those that round in ways that are not
wanted are struck out; the first few that remain are timed, and beside them, where there is one, the
kernel of the layer below that computes the same.  The file ``cudnn.json`` lies beside
``convolutions.json`` (see :mod:`graphnet.kernels.kept`) and can be deleted at any time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from graphnet.kernels.cudnn.computation import ALIGNMENT, Computation, Plan
from graphnet.kernels.cudnn.library import CudnnError, Library
from graphnet.kernels.kept import Kept
from graphnet.kernels.placed import Call
from graphnet.kernels.rehearsal import shortest

__all__ = ["KEPT", "Rival", "choose", "choose_beside"]

#: What was measured before, by graph, card and version of cuDNN.
KEPT = Kept("cudnn.json", "which engine of cuDNN is fastest")
#: How many engines are timed, and how often, of which the fastest run counts.
CANDIDATES, RUNS = 8, 3
#: Bytes of temporary memory beyond which an engine does not count.
MOST = 1 << 30

#: Notes on engines that are never used: results that do not repeat, and sums in less than float32.
_NEVER = ("NONDETERMINISTIC", "REDUCED_PRECISION_REDUCTION")
#: Notes on engines that round the inputs of float32, to ten bits in TensorFloat-32.
_ROUNDED = ("TENSOR_CORE", "DOWN_CONVERT_INPUTS")
#: Notes on methods that magnify rounding.
_MAGNIFIED = (
    "FFT", "WINOGRAD", "WINOGRAD_TILE_4x4", "WINOGRAD_TILE_6x6", "WINOGRAD_TILE_13x13",
)  # fmt: skip


@dataclass(frozen=True)
class Rival:
    """What computes the same without cuDNN.

    Attributes:
        name: under which it is kept.
        bind: all that is done with a plan, or by the rival for None, on arrays for its time.
    """

    name: str
    bind: Callable[[Plan | None], Call]


def choose(
    library: Library,
    make: Callable[[], Computation],
    what: str,
    *,
    dtype: str = "float32",
    exact: bool = False,
    tf32: bool = False,
) -> Plan:
    """The fastest plan for a graph.

    Args:
        library: that executes it.
        make: writes the graph, anew each time.
        what: the graph in words, by which the choice is kept.
        dtype: of its tensors.
        exact: rule out methods that magnify rounding.
        tf32: whether engines may round the inputs of float32 to TF32.

    Raises:
        CudnnError: cuDNN refuses the graph, or none of its engines may be used.
    """
    plan = _fastest(library, make, what, dtype, exact, tf32, None)
    assert plan is not None, "there is no rival"
    return plan


def choose_beside(
    library: Library,
    make: Callable[[], Computation],
    what: str,
    rival: Rival,
    *,
    dtype: str = "float32",
    tf32: bool = False,
) -> Plan | None:
    """The fastest plan for a graph; None where a rival is faster, or cuDNN has no such plan.

    Args:
        library: this and all others as :func:`choose` has them.
        make: likewise.
        what: likewise.
        rival: what computes the same.
        dtype: likewise.
        tf32: likewise.
    """
    try:
        return _fastest(library, make, what, dtype, False, tf32, rival)
    except CudnnError:
        return None


def _fastest(
    library: Library,
    make: Callable[[], Computation],
    what: str,
    dtype: str,
    exact: bool,
    tf32: bool,
    rival: Rival | None,
) -> Plan | None:
    """The plan that is fastest, None where the rival is."""
    rounded = _ROUNDED if dtype == "float32" and not tf32 else ()
    rules = (*_NEVER, *rounded, *(_MAGNIFIED if exact else ()))
    precision = "exact " * exact + ("tf32" if dtype == "float32" and tf32 else dtype)
    key = f"{what}, {precision}, {library.name}, {library.summary}"
    bind: Callable[[Plan | None], Call] = _on_zeros
    if rival is not None:
        # which comes with CuPy
        version = getattr(library.device.xp, "__version__", "")
        key, bind = f"{key}, beside {rival.name} {version}", rival.bind
    known = KEPT.read().get(key)
    if known and isinstance(known, str):
        if rival is not None and known == rival.name:
            return None
        for plan in _plans(library, make, rules, known):
            return plan
    timed = [
        (_seconds(library, plan, bind), plan.method)
        for plan in itertools.islice(_plans(library, make, rules), CANDIDATES)
    ]
    if not timed:
        raise CudnnError(f"no engine of cuDNN for {what} in {dtype}")
    if rival is not None:
        timed.append((_seconds(library, None, bind), rival.name))
    _, best = min(timed)
    KEPT.write(key, best)
    if rival is not None and best == rival.name:
        return None
    # a graph of its own holds nothing of the engines that lost
    (plan,) = _plans(library, make, rules, best)
    return plan


def _plans(
    library: Library, make: Callable[[], Computation], rules: tuple[str, ...], only: str = ""
) -> Iterator[Plan]:
    """The plans of a graph that can be built, the most promising first; or the one of a name."""
    notes, modes = library.frontend.numerical_note, library.frontend.heur_mode
    try:
        computation = make()
        graph = computation.graph
        graph.validate()
        graph.build_operation_graph()
        graph.create_execution_plans([modes.A, modes.FALLBACK])
        # notes of a newer or an older cuDNN are none of this one's engines
        graph.deselect_numeric_notes(
            [getattr(notes, rule) for rule in rules if hasattr(notes, rule)]
        )
        count = graph.get_execution_plan_count()
    except library.refusals as error:
        raise CudnnError(str(error)) from error
    for index in range(count):
        method = graph.get_plan_name_at_index(index)
        if only and method != only:
            continue
        try:
            graph.build_plan_at_index(index)
        except library.refusals:  # struck out, or it does not do for these sizes
            continue
        nbytes = graph.get_workspace_size_plan_at_index(index)
        if nbytes <= MOST:
            yield Plan(library, computation, index, method, nbytes and nbytes + ALIGNMENT)
        if only:
            return


def _seconds(library: Library, plan: Plan | None, bind: Callable[[Plan | None], Call]) -> float:
    """How long it takes what is bound to a plan, or to none."""
    return shortest(bind(plan), RUNS, until=library.synchronize)


def _on_zeros(plan: Plan | None) -> Call:
    """A plan alone, bound to zeros."""
    assert plan is not None, "there is no rival"
    xp = plan.library.device.xp
    arrays: dict[str, Any] = {
        name: xp.zeros(operand.nbytes, dtype="uint8")
        for name, operand in plan.computation.operands.items()
    }
    return plan.bind(arrays, xp.zeros(plan.nbytes, dtype="uint8"))
