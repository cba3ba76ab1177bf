"""What a network is computed in, and whether these kernels can."""

from __future__ import annotations

from collections.abc import Mapping

from graphnet.backends import Backend
from graphnet.backends.bfloat16 import register_bfloat16
from graphnet.graph import Graph
from graphnet.kernels import Provider
from ops.operator import Spec

__all__ = ["NARROW", "PRECISIONS", "expect_dtypes", "expect_precision"]

#: The floating dtypes that networks are declared in.
DTYPES = ("float32", "float64")
#: Those that are given for a network of float32.
NARROW = ("float16", "bfloat16")
#: All that ``Executor(..., precision=...)`` takes.
PRECISIONS = ("fast", "exact", "tf32", *NARROW)


def expect_dtypes(graph: Graph, dtype: str | None) -> None:
    """Refuse floating dtypes in which sums would be lost.

    Raises:
        ValueError: a value of the graph, or the dtype that replaces all, is of such a one.
    """
    if dtype is not None and Spec((), dtype).dtype not in DTYPES:
        raise ValueError(f"expected a dtype of {DTYPES}, received {dtype!r}")
    for value in graph.values():
        if dtype is None and value.spec.is_floating and value.dtype not in DTYPES:
            raise ValueError(
                f"expected floating dtypes of {DTYPES}, received {value!r}: "
                f"the kernels there are would lose sums in it"
            )


def expect_precision(
    precision: str,
    graph: Graph,
    dtype: str | None,
    backend: Backend,
    providers: Mapping[str, Provider],
) -> None:
    """Refuse a precision that there is not, or that does not go with the rest.

    Raises:
        ValueError: that is so; the message says what would.
        BackendError: bfloat16 is asked for, and NumPy does not know it.
    """
    if precision not in PRECISIONS:
        *most, last = map(repr, PRECISIONS)
        raise ValueError(
            f"expected a precision of {', '.join(most)} or {last}, received {precision!r}"
        )
    if precision in ("fast", "exact"):
        return
    if not any(precision in provider.precisions for provider in providers.values()):
        raise ValueError(
            f"precision {precision!r} needs kernels of a GPU: expected backend 'cupy' with its own "
            f"kernels, received {backend.name!r} with {list(providers)}"
        )
    if precision == "bfloat16":
        register_bfloat16()
    if dtype is not None:
        raise ValueError(
            f"precision {precision!r} is for networks in float32: expected no dtype, "
            f"received {dtype!r}"
        )
    for value in graph.values():
        if value.spec.is_floating and value.dtype != "float32":
            raise ValueError(
                f"precision {precision!r} is for networks in float32, received {value!r}"
            )
