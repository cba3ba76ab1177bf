"""Which operators cuDNN computes, and with which kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphnet.backends import BackendError
from graphnet.backends.cupy_backend import import_cupy
from graphnet.kernels.cudnn import library
from graphnet.kernels.cudnn.attention import CudnnAttention
from graphnet.kernels.cudnn.computation import TYPES
from graphnet.kernels.cudnn.convolution import CudnnConv, CudnnConvTranspose
from graphnet.kernels.cudnn.library import CudnnError
from graphnet.kernels.wide import Wide, inner
from ops.attention import ScaledDotProductAttention
from ops.conv_transpose import ConvTranspose
from ops.convolution import Conv
from ops.fused import ConvReLU
from ops.operator import Operator, Spec

__all__ = ["KINDS", "prepare", "status"]

#: The kernel of each operator; none for what is derived from it.
KINDS: dict[type[Operator], Callable[..., Any]] = {
    Conv: CudnnConv,
    ConvReLU: CudnnConv,
    ConvTranspose: CudnnConvTranspose,
    ScaledDotProductAttention: CudnnAttention,
}

#: Those that sum in float32 whatever the dtype of their inputs.
SUMMED = frozenset((ScaledDotProductAttention,))


def prepare(
    operator: Operator,
    specs: tuple[Spec | None, ...],
    *,
    exact: bool = False,
    tf32: bool = False,
    forward_alone: bool = False,
) -> Any:
    """A kernel of cuDNN for inputs of these specs; None where there is none.

    Args:
        operator: what is computed.
        specs: of its inputs.
        exact: use no method whose rounding is larger than that of plain sums.
        tf32: whether factors of products may be rounded to TF32.
        forward_alone: there will be no reverse pass.
    """
    computed = inner(operator)
    kind = KINDS.get(type(computed))
    if isinstance(operator, Wide) and type(computed) not in SUMMED:
        return None
    if kind is None or any(s is not None and not s.elements for s in specs):
        return None
    dtypes = {spec.dtype for spec in specs if spec is not None}
    if len(dtypes) != 1 or not dtypes <= set(TYPES):
        return None
    found = library.find_library()
    if found is None:
        return None
    try:
        return kind(found, operator, specs, exact=exact, tf32=tf32, forward_alone=forward_alone)
    except CudnnError:  # cuDNN refuses these sizes
        return None


def status() -> tuple[bool, str]:
    """Whether cuDNN works here, and its version."""
    try:
        import_cupy()
    except BackendError as error:
        return False, str(error)
    found = library.find_library()
    if found is None:
        return False, "cuDNN does not load, or there is no card"
    return True, found.summary
