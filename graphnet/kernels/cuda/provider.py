"""Which operators the kernels of the card serve."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from graphnet.kernels.cuda import device
from graphnet.kernels.cuda.batch_norm import CudaBatchNorm, CudaBatchNormInference
from graphnet.kernels.cuda.cross_entropy import CudaCrossEntropy, is_plain
from graphnet.kernels.cuda.dropout import CudaDropout
from graphnet.kernels.cuda.elementwise import CudaElementwise, formulas_of
from graphnet.kernels.cuda.kernel import DTYPES
from graphnet.kernels.cuda.layer_norm import CudaLayerNorm
from graphnet.kernels.cuda.linear import CudaLinear, CudaMatMul, is_even
from graphnet.kernels.cuda.pooling import CudaAvgPool, CudaGlobalAvgPool, CudaMaxPool, is_flat
from graphnet.kernels.cuda.rearrange import CudaCast, CudaReshape, is_narrowing
from graphnet.kernels.wide import Wide, inner
from ops.batch_norm import BatchNorm, BatchNormInference
from ops.cast import Cast
from ops.cross_entropy import SoftmaxCrossEntropy
from ops.dropout import Dropout
from ops.fused import BatchNormInferenceReLU, BatchNormReLU
from ops.linear import Linear, MatMul
from ops.normalization import LayerNorm
from ops.operator import Operator, Spec
from ops.pooling import AvgPool, GlobalAvgPool, MaxPool
from ops.shape import Flatten, Reshape, Squeeze, Unsqueeze

__all__ = ["KINDS", "prepare"]

#: The kernel of each operator; none for what is derived from it.
KINDS: dict[type[Operator], Callable[..., Any]] = {
    AvgPool: CudaAvgPool,
    BatchNorm: CudaBatchNorm,
    BatchNormInference: CudaBatchNormInference,
    BatchNormInferenceReLU: CudaBatchNormInference,
    BatchNormReLU: CudaBatchNorm,
    Cast: CudaCast,
    Dropout: CudaDropout,
    Flatten: CudaReshape,
    GlobalAvgPool: CudaGlobalAvgPool,
    LayerNorm: CudaLayerNorm,
    Linear: CudaLinear,
    MatMul: CudaMatMul,
    MaxPool: CudaMaxPool,
    Reshape: CudaReshape,
    SoftmaxCrossEntropy: CudaCrossEntropy,
    Squeeze: CudaReshape,
    Unsqueeze: CudaReshape,
}


#: Those that take narrow values beside what is learned or summed in float32.
LEARNED = frozenset(
    (BatchNorm, BatchNormInference, BatchNormInferenceReLU, BatchNormReLU, LayerNorm,
     SoftmaxCrossEntropy)
)  # fmt: skip


def prepare(
    operator: Operator, specs: tuple[Spec | None, ...], *, tf32: bool = False, **options: bool
) -> Any:
    """A kernel for inputs of these specs, None where there is none.

    Args:
        operator: what is computed.
        specs: of its inputs.
        tf32: whether factors of products may be rounded to TF32.
        options: none of them changes how anything here is computed.
    """
    x = specs[0] if specs else None
    if x is None or x.dtype not in DTYPES or any(s is not None and not s.elements for s in specs):
        return None
    computed = inner(operator)
    kind: Any = KINDS.get(type(computed))
    if kind is None:
        kind = CudaElementwise if formulas_of(operator, specs) else None
    elif isinstance(operator, Wide):
        plain = not isinstance(computed, SoftmaxCrossEntropy) or is_plain(computed, specs)
        kind = kind if type(computed) in LEARNED and plain else None
    elif isinstance(operator, SoftmaxCrossEntropy):
        kind = kind if x.dtype == "float32" and is_plain(operator, specs) else None
    elif isinstance(operator, AvgPool | MaxPool):
        kind = kind if is_flat(operator, x) else None
    elif isinstance(operator, Cast):
        kind = kind if is_narrowing(operator, x) else None
    elif isinstance(operator, Linear | MatMul):
        even = isinstance(operator, Linear) or is_even(specs)
        kind = partial(kind, tf32=tf32) if even else None
    elif isinstance(operator, BatchNorm | BatchNormInference):
        # sums and what is learned are float
        kind = kind if x.dtype == "float32" else None
    return None if kind is None else kind(device.get_device(), operator, specs)
