"""Which operators oneDNN computes, and with which kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphnet.kernels.onednn.convolution import DirectConv, DirectConvTranspose
from graphnet.kernels.onednn.library import Library, OneDNNError, find_library
from graphnet.kernels.onednn.linear import MatrixLinear
from graphnet.kernels.onednn.pooling import AveragePool
from graphnet.kernels.onednn.product import StackedMatMul
from ops.conv_transpose import ConvTranspose
from ops.convolution import Conv
from ops.linear import Linear, MatMul
from ops.operator import Operator, Spec
from ops.pooling import AvgPool, GlobalAvgPool

__all__ = ["prepare", "status"]

_KERNELS: dict[type[Operator], Callable[[Library, Any, Any], Any]] = {
    AvgPool: AveragePool,
    Conv: DirectConv,
    ConvTranspose: DirectConvTranspose,
    GlobalAvgPool: AveragePool,
    Linear: MatrixLinear,
    MatMul: StackedMatMul,
}


def prepare(
    operator: Operator,
    specs: tuple[Spec | None, ...],
    *,
    forward_alone: bool = False,
    **options: bool,
) -> Any:
    """A kernel of oneDNN for float32 inputs of these specs; None where it has none."""
    kernel = _KERNELS.get(type(operator))
    if kernel is None or any(spec is not None and spec.dtype != "float32" for spec in specs):
        return None
    if any(spec is not None and spec.elements == 0 for spec in specs):
        return None
    library = find_library()
    if library is None:
        return None
    try:
        if isinstance(operator, Linear):
            return MatrixLinear(library, operator, specs, packs=forward_alone)
        made = kernel(library, operator, specs)
    except OneDNNError:  # it has no implementation for these sizes
        return None
    return made if getattr(made, "serves", True) else None


def status() -> tuple[bool, str]:
    """Whether a library was found, and its version, instruction set and threads."""
    library = find_library()
    if library is None:
        return False, "no oneDNN 3 was found: pip install onednn-cpu-gomp"
    return True, f"oneDNN {library.version}, {library.isa}, {library.threads} threads"
