"""Which operators cuDNN computes, and with which kernels."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from graphnet.backends import BackendError
from graphnet.backends.cupy_backend import import_cupy
from graphnet.kernels.cudnn import library
from graphnet.kernels.cudnn.computation import TYPES
from graphnet.kernels.cudnn.library import CudnnError
from graphnet.kernels.wide import Wide, inner
from ops.attention import ScaledDotProductAttention
from ops.batch_norm import BatchNorm
from ops.conv_transpose import ConvTranspose
from ops.convolution import Conv
from ops.fused import BatchNormReLU, ConvReLU
from ops.linear import Linear, MatMul
from ops.operator import Operator, Spec

__all__ = ["kinds", "prepare", "status"]


@functools.cache
def kinds() -> dict[type[Operator], Callable[..., Any]]:
    """The kernel of each operator; none for what is derived from it."""
    from graphnet.kernels.cudnn.attention import CudnnAttention
    from graphnet.kernels.cudnn.batch_norm import CudnnBatchNorm
    from graphnet.kernels.cudnn.convolution import CudnnConv, CudnnConvTranspose
    from graphnet.kernels.cudnn.product import CudnnLinear, CudnnMatMul

    return {
        BatchNorm: CudnnBatchNorm,
        BatchNormReLU: CudnnBatchNorm,
        Conv: CudnnConv,
        ConvReLU: CudnnConv,
        ConvTranspose: CudnnConvTranspose,
        Linear: CudnnLinear,
        MatMul: CudnnMatMul,
        ScaledDotProductAttention: CudnnAttention,
    }


#: Those whose sums are in float32 whatever the dtype of the images.
WIDE = (BatchNorm, ScaledDotProductAttention)


def prepare(
    operator: Operator,
    specs: tuple[Spec | None, ...],
    *,
    exact: bool = False,
    tf32: bool = False,
    forward_alone: bool = False,
    **options: bool,
) -> Any:
    """A kernel of cuDNN for inputs of these specs; None where there is none.

    Args:
        operator: what is computed.
        specs: of its inputs.
        exact: use no method whose rounding is larger than that of plain sums.
        tf32: whether factors of products may be rounded to TF32.
        forward_alone: there will be no reverse pass.
        options: none of them changes how anything here is computed.
    """
    dtypes = {spec.dtype for spec in specs if spec is not None}
    if not dtypes or not dtypes <= TYPES.keys():
        return None
    found = library.find_library()
    if found is None or any(spec is not None and not spec.elements for spec in specs):
        return None
    computed = inner(operator)
    kind = kinds().get(type(computed))
    if kind is None or (isinstance(operator, Wide) and not isinstance(computed, WIDE)):
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
