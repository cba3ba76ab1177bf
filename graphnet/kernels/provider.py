"""What a kernel and a provider are, and the providers there are by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from graphnet.kernels import compiled, cuda, cudnn, onednn, reference
from graphnet.kernels.advance import Advance, Update
from graphnet.kernels.chain import is_elementwise
from graphnet.optim import Optimizer
from ops.fused import BatchNormInferenceReLU, BatchNormReLU, ConvMaxPoolReLU, ConvReLU
from ops.operator import Operator, Spec

__all__ = ["Kernel", "Provider", "get_providers"]


class Kernel(Protocol):
    """Computes one node; see :class:`ops.Operator` for the meaning of both methods."""

    def forward(self, *arrays: Any) -> Any:
        """Arrays in, ``(output, saved)`` out."""
        ...

    def backward(self, saved: Any, dy: Any, needs: tuple[bool, ...]) -> Any:
        """One gradient per input, None where ``needs`` is False."""
        ...


@dataclass(frozen=True)
class Provider:
    """Someone to ask for kernels.

    Attributes:
        summary: one line on what it computes.
        prepare: given an operator and the specs of its inputs, a kernel for them or None.  By
            name it is told ``exact``, to use no method whose rounding is larger than that of
            plain sums, ``tf32``, that factors of products may be rounded to TF32,
            ``forward_alone``, that there will be no reverse pass, and ``frugal``, to keep nothing
            for it that can be computed again.
        backends: the names of those it runs on; empty for all.
    """

    summary: str
    prepare: Callable[..., Kernel | None]
    backends: tuple[str, ...] = ()
    status: Callable[[], tuple[bool, str]] = lambda: (True, "")
    """Whether it works here, and the libraries it uses or what is missing."""
    fused: frozenset[type[Operator]] = frozenset()
    """The operators it serves of those that fusion makes of layers and what is behind them."""
    precisions: frozenset[str] = frozenset()
    """What it computes in beside the dtypes that are declared, as ``Executor`` is told."""
    chains: Callable[[Operator], bool] | None = None
    """Whether it serves an operator within chains of elementwise ones; None if it serves none."""
    find_advance: Callable[[Optimizer], Advance | None] = lambda optimizer: None
    """A kernel for the step of an optimizer, None where it has none."""
    find_update: Callable[[Optimizer], Callable[..., Update] | None] = lambda optimizer: None
    """What makes one that is bound to its arrays, on a device, None where it has none."""


def _textbook(operator: Operator, specs: tuple[Spec | None, ...], **options: bool) -> Any:
    """Nested loops, which nobody but learners and tests asks for."""
    from graphnet.kernels import naive

    return naive.prepare(operator, specs, **options)


_NORMALIZED = (BatchNormInferenceReLU, BatchNormReLU)

PROVIDERS = {
    "compiled": Provider(
        "Winograd's 3x3 convolution, BatchNorm, LayerNorm, MaxPool, Resize, Softmax, elementwise "
        "operators and chains of them in float32, by numba and oneDNN, on numpy",
        compiled.prepare,
        backends=("numpy",),
        status=compiled.status,
        fused=frozenset((*_NORMALIZED, ConvMaxPoolReLU, ConvReLU)),
        chains=is_elementwise,
        find_advance=compiled.find_advance,
    ),
    "onednn": Provider(
        "Conv, ConvTranspose, AvgPool, GlobalAvgPool, Linear and MatMul in float32, by oneDNN, "
        "on numpy",
        onednn.prepare,
        backends=("numpy",),
        status=onednn.status,
    ),
    "cudnn": Provider(
        "Conv and BatchNorm, with an addition and ReLU behind them, ConvTranspose, Linear and "
        "MatMul in TF32 and half precision, and ScaledDotProductAttention in half precision, by "
        "cuDNN where it is fastest, on cupy",
        cudnn.prepare,
        backends=("cupy",),
        status=cudnn.status,
        fused=frozenset((BatchNormReLU, ConvReLU)),
    ),
    "cuda": Provider(
        "BatchNorm, LayerNorm, pooling, Dropout, Softmax, losses, Linear, MatMul, attention, "
        "moves, reductions and chains of elementwise operators, by kernels compiled for the card "
        "and cuBLAS, on cupy",
        cuda.prepare,
        backends=("cupy",),
        status=cuda.status,
        fused=frozenset(_NORMALIZED),
        chains=cuda.serves_in_chains,
        precisions=frozenset(("tf32", "float16", "bfloat16")),
        find_update=cuda.find_update,
    ),
    "naive": Provider(
        "textbook loops for Conv, MaxPool, AvgPool, BatchNorm and Linear, on numpy",
        _textbook,
        backends=("numpy",),
    ),
    "reference": Provider(
        "every operator's own forward and backward, on any backend", reference.prepare
    ),
}


def get_providers(names: str | Iterable[str]) -> dict[str, Provider]:
    """The providers of these names in this order, with ``reference`` as the last resort.

    Raises:
        ValueError: there is no such provider.

    >>> list(get_providers("naive"))
    ['naive', 'reference']
    """
    wanted = [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in PROVIDERS:
            raise ValueError(f"expected kernels among {sorted(PROVIDERS)}, received {name!r}")
    return {name: PROVIDERS[name] for name in dict.fromkeys([*wanted, "reference"])}
