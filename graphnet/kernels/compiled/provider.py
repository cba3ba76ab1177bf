"""Which operators compiled kernels serve; numba is imported when the first one is."""

from __future__ import annotations

import functools
import math
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from graphnet.kernels.chain import Chain, is_elementwise
from graphnet.kernels.onednn.library import OneDNNError, find_library
from graphnet.kernels.onednn.provider import status as onednn_status
from graphnet.kernels.placed import Call
from graphnet.optim import Optimizer
from ops.batch_norm import BatchNorm, BatchNormInference
from ops.convolution import Conv
from ops.cross_entropy import SoftmaxCrossEntropy
from ops.fused import BatchNormInferenceReLU, BatchNormReLU, ConvMaxPoolReLU, ConvReLU
from ops.linear import Linear
from ops.normalization import LayerNorm
from ops.operator import Operator, Spec, known
from ops.pooling import MaxPool
from ops.resize import Resize
from ops.softmax import LogSoftmax, Softmax

__all__ = ["added", "find_advance", "prepare", "rearranged", "status"]

#: The operators of which some are computed here, beside elementwise ones; not what is derived.
_SERVED = (
    BatchNorm, BatchNormInference, BatchNormInferenceReLU, BatchNormReLU, Conv,
    ConvMaxPoolReLU, ConvReLU, LayerNorm, Linear, LogSoftmax, MaxPool, Resize, Softmax,
    SoftmaxCrossEntropy,
)  # fmt: skip
#: How many positions of a window a byte tells apart.
BYTE = 256
#: Channels and filters come in whole vectors of 16.
VECTOR = 16


def prepare(
    operator: Operator,
    specs: tuple[Spec | None, ...],
    *,
    exact: bool = False,
    forward_alone: bool = False,
    frugal: bool = False,
    **options: bool,
) -> Any:
    """A compiled kernel for float32 inputs of these specs; None where there is none.

    Args:
        operator: what is computed.
        specs: of its inputs.
        exact: use no method whose rounding is larger than that of plain sums.
        forward_alone: there will be no reverse pass.
        frugal: keep nothing for it that can be computed again.
    """
    elementwise = _is_chain(operator)
    if not (elementwise or type(operator) in _SERVED) or not numba_works():
        return None
    if isinstance(operator, SoftmaxCrossEntropy):
        from graphnet.kernels.compiled.cross_entropy import CompiledCrossEntropy, is_plain

        return CompiledCrossEntropy(operator, specs) if is_plain(operator, specs) else None
    if any(s is not None and (s.dtype != "float32" or not s.elements) for s in specs):
        return None
    if isinstance(operator, Conv):
        return _convolution(operator, specs, exact=exact, forward_alone=forward_alone)
    if isinstance(operator, Linear):
        return _linear(operator, specs) if forward_alone else None
    if elementwise:
        return _chained(operator, specs, forward_alone=forward_alone, frugal=frugal)
    return _simple(operator, specs, thread_count())


def _simple(operator: Operator, specs: tuple[Spec | None, ...], threads: int) -> Any:
    """The only kernel there is for an operator; None where it does not serve these specs."""
    from graphnet.kernels.compiled.batch_norm import CompiledBatchNorm, CompiledBatchNormInference
    from graphnet.kernels.compiled.layer_norm import CompiledLayerNorm
    from graphnet.kernels.compiled.pooling import CompiledMaxPool
    from graphnet.kernels.compiled.resize import CompiledResize
    from graphnet.kernels.compiled.softmax import CompiledSoftmax

    kinds: dict[type[Operator], Callable[..., Any]] = {
        BatchNorm: CompiledBatchNorm,
        BatchNormInference: CompiledBatchNormInference,
        BatchNormInferenceReLU: CompiledBatchNormInference,
        BatchNormReLU: CompiledBatchNorm,
        LayerNorm: CompiledLayerNorm,
        LogSoftmax: CompiledSoftmax,
        MaxPool: CompiledMaxPool,
        Resize: CompiledResize,
        Softmax: CompiledSoftmax,
    }
    x = specs[0]
    assert x is not None, "no operator here works without its first input"
    if isinstance(operator, Resize) and x.rank > 4:
        return None
    if isinstance(operator, MaxPool) and (
        x.rank != 4 or math.prod(operator.windows(x).kernel) > BYTE
    ):
        return None
    kernel = kinds[type(operator)](operator, specs, threads)
    return kernel if getattr(kernel, "serves", True) else None


def _linear(operator: Linear, specs: tuple[Spec | None, ...]) -> Any:
    """The kernel of a layer of few rows; None for more, which are oneDNN's."""
    from graphnet.kernels.compiled.few_rows import FewRowsLinear, has_few_rows

    return FewRowsLinear(operator, specs, thread_count()) if has_few_rows(operator, specs) else None


def _is_chain(operator: Operator) -> bool:
    """Whether an operator is elementwise, or a chain of such operators."""
    if type(operator) is Chain:
        return all(map(is_elementwise, operator.parts))
    return is_elementwise(operator)


def _chained(operator: Operator, specs: tuple[Spec | None, ...], **options: bool) -> Any:
    """The kernel of elementwise operators; None where their inputs would broadcast."""
    if len({spec for spec in specs if spec is not None}) > 1:
        return None
    from graphnet.kernels.compiled.chained import CompiledChain

    return CompiledChain(operator, specs, thread_count(), **options)


def _convolution(
    operator: Conv, specs: tuple[Spec | None, ...], *, exact: bool, forward_alone: bool
) -> Any:
    """The fastest kernels of a convolution; None where it is best left to oneDNN alone."""
    library = find_library()
    if library is None:
        return None
    from graphnet.kernels.compiled.choice import choose
    from graphnet.kernels.compiled.convolution import WinogradConv
    from graphnet.kernels.compiled.few_channels import FewChannelsConv, has_few_channels
    from graphnet.kernels.compiled.few_positions import FewPositionsConv, has_few_positions
    from graphnet.kernels.compiled.narrow import NarrowConv, is_narrow
    from graphnet.kernels.compiled.pooled import CompiledConvMaxPoolReLU, is_pooled
    from graphnet.kernels.compiled.rectified import CompiledConvReLU
    from graphnet.kernels.compiled.scattered import ScatteredConv, is_scattered
    from graphnet.kernels.compiled.winograd_deep import DeepWinogradConv, is_deep
    from graphnet.kernels.onednn.convolution import DirectConv

    own = (*specs, None)[:3]
    if isinstance(operator, ConvMaxPoolReLU):
        if not is_pooled(operator, own):
            return None
        return CompiledConvMaxPoolReLU(library, operator, own, exact=exact)
    kinds: dict[str, Any] = {"direct": DirectConv}
    if has_few_channels(operator, specs):
        kinds["few channels"] = FewChannelsConv
    if forward_alone and has_few_positions(operator, specs):
        kinds["few positions"] = FewPositionsConv
    if not forward_alone and is_narrow(operator, specs):
        kinds["narrow"] = NarrowConv
    if not forward_alone and is_scattered(operator, specs):
        kinds["scattered"] = ScatteredConv
    if not exact and _winograd_applies(operator, specs):
        kinds["winograd"] = WinogradConv
        if not forward_alone and is_deep(operator, specs):
            kinds["deep winograd"] = DeepWinogradConv
    if len(kinds) == 1 and not isinstance(operator, ConvReLU):
        return None
    try:
        candidates = {name: kind(library, operator, own) for name, kind in kinds.items()}
    except OneDNNError:  # it has no implementation for these sizes
        return None
    inner = choose(library, operator, own, candidates, forward_alone=forward_alone)
    if isinstance(operator, ConvReLU):
        return CompiledConvReLU(inner, operator, specs, library.threads)
    return inner


def _winograd_applies(operator: Conv, specs: tuple[Spec | None, ...]) -> bool:
    x = specs[0]
    if x is None or x.rank != 4:
        return False
    windows = operator.windows(x)
    plain = (
        windows.kernel == (3, 3)
        and windows.stride == windows.dilation == (1, 1)
        and windows.padding == ((1, 1), (1, 1))
        and operator.groups == 1
    )
    return plain and known(x.shape[1])[0] % VECTOR == operator.filters % VECTOR == 0


def find_advance(optimizer: Optimizer) -> Any:
    """The compiled update of an optimizer, or None; see :mod:`compiled.optimizers`."""
    if not numba_works():
        return None
    from graphnet.kernels.compiled import optimizers

    return optimizers.find_advance(optimizer)


def rearranged(source: Any, target: Any) -> Call:
    """``target[...] = source``, where one may be in rows and the other channels-last."""
    if source.ndim < 3 or not numba_works():
        return functools.partial(np.copyto, target, source)
    from graphnet.kernels.compiled import rearrange

    return rearrange.rearranged(source, target, thread_count())


def added(source: Any, target: Any) -> Call:
    """``target += source``, both laid out alike."""
    if source.dtype != np.float32 or not numba_works():
        return functools.partial(_add, source, target)
    from graphnet.kernels.compiled import elementwise

    return elementwise.add_to(target, source, thread_count())


def _add(source: Any, target: Any) -> None:
    np.add(target, source, out=target)


@functools.cache
def numba_works() -> bool:
    """Whether numba can be imported; a warning says why not, once."""
    # the threads of numba and of oneDNN are then the same ones, and never wait for each other
    os.environ.setdefault("NUMBA_THREADING_LAYER", "omp")
    try:
        import numba

        if numba.config.DISABLE_JIT:
            raise RuntimeError("NUMBA_DISABLE_JIT is set")
    except Exception as error:  # a broken installation raises anything
        warnings.warn(
            f"numba cannot be used, slower kernels serve instead: {type(error).__name__}: {error}",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    from graphnet.kernels.compiled.notice import watch

    watch()
    thread_count()  # ahead of all else that starts the threads of numba
    return True


@functools.cache
def thread_count() -> int:
    """How many threads the kernels use: as many as oneDNN's, ``OMP_NUM_THREADS`` or one a core."""
    import numba

    library = find_library()
    most: int = numba.config.NUMBA_NUM_THREADS
    count = most if library is None else min(most, library.threads)
    numba.set_num_threads(count)
    if library is not None:
        library.set_threads(count)  # to start its threads, numba set the number of OpenMP's
    return count


def status() -> tuple[bool, str]:
    """Whether the kernels work here, and the versions of what they use."""
    if not numba_works():
        return False, "numba cannot be imported"
    import numba

    works, text = onednn_status()
    return works, f"numba {numba.__version__}, {text}"
