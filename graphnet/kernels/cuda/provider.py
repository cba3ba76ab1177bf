"""Which operators the kernels of the card serve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphnet.kernels.cuda import device
from graphnet.kernels.cuda.attention import CudaAttention, is_attended
from graphnet.kernels.cuda.batch_norm import CudaBatchNorm, CudaBatchNormInference
from graphnet.kernels.cuda.broadcast import CudaBroadcast, is_broadcast
from graphnet.kernels.cuda.cast import CudaCast, is_narrowing
from graphnet.kernels.cuda.cross_entropy import CudaCrossEntropy, is_served
from graphnet.kernels.cuda.dropout import CudaDropout
from graphnet.kernels.cuda.elementwise import CudaElementwise
from graphnet.kernels.cuda.formulas import formulas_of
from graphnet.kernels.cuda.gather import CudaGather, is_gathered
from graphnet.kernels.cuda.kernel import DTYPES
from graphnet.kernels.cuda.layer_norm import CudaGroupNorm, CudaLayerNorm
from graphnet.kernels.cuda.linear import CudaLinear, CudaMatMul, is_even
from graphnet.kernels.cuda.losses import CURVES, CudaL2Penalty, CudaLoss, is_curve
from graphnet.kernels.cuda.moves import (
    CudaConcat,
    CudaPad,
    CudaReshape,
    CudaSlice,
    CudaSplit,
    CudaStack,
    CudaTranspose,
    is_moved,
)
from graphnet.kernels.cuda.pooling import CudaAvgPool, CudaGlobalAvgPool, CudaMaxPool, is_flat
from graphnet.kernels.cuda.reduction import CudaExpand, CudaMean, CudaTile
from graphnet.kernels.cuda.resize import CudaResize, is_small
from graphnet.kernels.cuda.softmax import CudaSoftmax
from graphnet.kernels.wide import Wide, inner
from ops.attention import ScaledDotProductAttention
from ops.batch_norm import BatchNorm, BatchNormInference
from ops.cast import Cast
from ops.cross_entropy import SoftmaxCrossEntropy
from ops.dropout import Dropout
from ops.elementwise import Where
from ops.embedding import Embedding
from ops.fused import BatchNormInferenceReLU, BatchNormReLU
from ops.indexing import Gather
from ops.joining import Concat, Split, Stack, Tile
from ops.linear import Linear, MatMul
from ops.loss import L2Penalty
from ops.normalization import GroupNorm, InstanceNorm, LayerNorm, RMSNorm
from ops.operator import Operator, Spec
from ops.pooling import AvgPool, GlobalAvgPool, MaxPool
from ops.rectifier import PReLU
from ops.reduction import Mean, Sum
from ops.resize import Resize
from ops.shape import Expand, Flatten, Reshape, Squeeze, Transpose, Unsqueeze
from ops.slicing import Pad, Slice
from ops.softmax import LogSoftmax, Softmax

__all__ = ["KINDS", "prepare"]

#: What may be asked of an operator and the specs of its inputs.
Question = Callable[[Any, tuple[Any, ...]], bool]


def _has_kernel(operator: Operator, specs: tuple[Any, ...]) -> bool:
    return specs[0].dtype in DTYPES


def _is_single(operator: Operator, specs: tuple[Any, ...]) -> bool:
    """Whether sums and what is learned are float."""
    return specs[0].dtype == "float32" or isinstance(operator, Wide)


def _is_moved(operator: Operator, specs: tuple[Any, ...]) -> bool:
    return is_moved(specs[0])


def _is_cut(operator: Operator, specs: tuple[Any, ...]) -> bool:
    """Whether a region is moved that has any entry."""
    return is_moved(specs[0]) and bool(operator.infer(specs[0]).elements)


def _when(question: Question) -> Question:
    """A question that is asked of the dtypes that there are kernels for."""
    return lambda operator, specs: _has_kernel(operator, specs) and question(operator, specs)


#: The kernel of each operator, none for what is derived from it, and when it serves.
KINDS: dict[type[Operator], tuple[Callable[..., Any], Question]] = {
    AvgPool: (CudaAvgPool, _when(lambda operator, specs: is_flat(operator, specs[0]))),
    BatchNorm: (CudaBatchNorm, _when(_is_single)),
    BatchNormInference: (CudaBatchNormInference, _when(_is_single)),
    BatchNormInferenceReLU: (CudaBatchNormInference, _when(_is_single)),
    BatchNormReLU: (CudaBatchNorm, _when(_is_single)),
    Cast: (CudaCast, _when(lambda operator, specs: is_narrowing(operator, specs[0]))),
    Concat: (CudaConcat, _is_moved),
    Dropout: (CudaDropout, _has_kernel),
    Embedding: (CudaGather, is_gathered),
    Expand: (CudaExpand, _has_kernel),
    Flatten: (CudaReshape, _is_moved),
    Gather: (CudaGather, is_gathered),
    GlobalAvgPool: (CudaGlobalAvgPool, _has_kernel),
    GroupNorm: (CudaGroupNorm, _has_kernel),
    InstanceNorm: (CudaGroupNorm, _has_kernel),
    L2Penalty: (CudaL2Penalty, _when(_is_single)),
    LayerNorm: (CudaLayerNorm, _has_kernel),
    Linear: (CudaLinear, _has_kernel),
    LogSoftmax: (CudaSoftmax, _has_kernel),
    MatMul: (CudaMatMul, _when(lambda operator, specs: is_even(specs))),
    MaxPool: (CudaMaxPool, _when(lambda operator, specs: is_flat(operator, specs[0]))),
    Mean: (CudaMean, _has_kernel),
    Pad: (CudaPad, _when(lambda operator, specs: operator.mode == "constant")),
    PReLU: (CudaBroadcast, _has_kernel),
    Reshape: (CudaReshape, _is_moved),
    Resize: (CudaResize, is_small),
    RMSNorm: (CudaLayerNorm, _has_kernel),
    ScaledDotProductAttention: (CudaAttention, _when(is_attended)),
    Slice: (CudaSlice, _is_cut),
    Softmax: (CudaSoftmax, _has_kernel),
    SoftmaxCrossEntropy: (CudaCrossEntropy, _when(is_served)),
    Split: (CudaSplit, _is_moved),
    Squeeze: (CudaReshape, _is_moved),
    Stack: (CudaStack, _is_moved),
    Sum: (CudaMean, _has_kernel),
    Tile: (CudaTile, _has_kernel),
    Transpose: (CudaTranspose, _is_moved),
    Unsqueeze: (CudaReshape, _is_moved),
    Where: (CudaBroadcast, lambda operator, specs: specs[1].dtype in DTYPES),
    **dict.fromkeys(CURVES, (CudaLoss, is_curve)),
}  # fmt: skip
#: Those that compute in float32 of narrow values.
WIDENED = frozenset(
    (BatchNorm, BatchNormInference, BatchNormInferenceReLU, BatchNormReLU, GroupNorm, InstanceNorm,
     LayerNorm, Mean, Resize, RMSNorm, ScaledDotProductAttention, Softmax, SoftmaxCrossEntropy, Sum)
)  # fmt: skip
#: Those that are told whether they may round to TF32.
ROUNDED = frozenset((Linear, MatMul, ScaledDotProductAttention))


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
    if x is None or any(s is not None and not s.elements for s in specs):
        return None
    computed = type(inner(operator))
    if isinstance(operator, Wide) and computed not in WIDENED:
        return None
    if computed in KINDS:
        kind, serves = KINDS[computed]
        if not serves(operator, specs):
            return None
        options = {"tf32": tf32} if computed in ROUNDED else {}
        return kind(device.get_device(), operator, specs, **options)
    if x.dtype not in DTYPES:
        return None
    if formulas_of(operator, specs):
        return CudaElementwise(device.get_device(), operator, specs)
    if is_broadcast(operator, specs):
        return CudaBroadcast(device.get_device(), operator, specs)
    return None
