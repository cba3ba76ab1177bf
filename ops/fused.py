"""Operators that stand for a chain of others, so that one kernel can compute the whole chain.

Most are another operator, then the addition of a residual block where there is one, then ReLU:
``y = max(f(x) + added, 0)``.  :class:`ConvMaxPoolReLU` pools in between, and
:class:`FoldBatchNorm` makes the weights of a convolution that does the normalization behind it as
well.  :func:`graphnet.passes.fuse` and
:func:`graphnet.passes.fold` put them in the place of such chains.

Source: He et al., "Deep Residual Learning for Image Recognition", 2016.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from ops.arrays import Array, namespace
from ops.batch_norm import BatchNorm, BatchNormInference
from ops.convolution import Conv
from ops.fields import POSITIVE, freeze_numbers
from ops.operator import Operator, ShapeError, Spec, expect_floating, expect_spec, show
from ops.pooling import MaxPool
from ops.windows import PerAxis, freeze_windows

__all__ = [
    "BatchNormInferenceReLU",
    "BatchNormReLU",
    "ConvMaxPoolReLU",
    "ConvReLU",
    "FoldBatchNorm",
]

_Arrays = tuple[Any, ...]


@dataclass(frozen=True)
class ConvReLU(Conv):
    """Convolution, an addition where there is one, and ReLU: ``max(Conv(x) + added, 0)``.

    Shapes:
        - x, weight, bias: as :class:`ops.Conv`
        - y, added (optional): ``(N, filters, *out)``

    Args:
        filters: this and all others as :class:`ops.Conv`.

    Raises:
        TypeError, ValueError: as for :class:`ops.Conv`.
        ShapeError: as for :class:`ops.Conv`, or what is added has another shape.

    Source: He et al., "Deep Residual Learning for Image Recognition", 2016.

    >>> import graphnet as gn
    >>> ConvReLU(8, 3, padding="same")(gn.Input("x", ("N", 3, 4, 4))).shape
    (N, 8, 4, 4)
    """

    def infer(
        self, x: Spec, weight: Spec, bias: Spec | None = None, added: Spec | None = None
    ) -> Spec:
        y = super().infer(x, weight, bias)
        _expect_added(added, y)
        return y

    def forward(
        self, x: Array, weight: Array, bias: Array | None = None, added: Array | None = None
    ) -> tuple[Array, tuple[Array, ...]]:
        y, saved = super().forward(x, weight, bias)
        y = _rectified(y, added)
        return y, (*saved, y)

    def backward(
        self, saved: tuple[Array, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        *inner, y = saved
        through = dy * (y > 0)
        found = super().backward(tuple(inner), through, needs)
        return (*found, through if needs[3] else None)

    def flops(
        self, x: Spec, weight: Spec, bias: Spec | None = None, added: Spec | None = None
    ) -> int:
        outputs = super().infer(x, weight, bias).elements
        return super().flops(x, weight, bias) + outputs * (1 + (added is not None))


@dataclass(frozen=True)
class ConvMaxPoolReLU(Conv):
    """Convolution, max pooling and ReLU: ``max(MaxPool(Conv(x)), 0)``.

    Shapes:
        - x, weight, bias: as :class:`ops.Conv`
        - y: ``(N, filters, *out)``, ``out`` as :class:`ops.MaxPool` has it for the result of
          the convolution

    Args:
        filters: this and all but the last two as :class:`ops.Conv`.
        pool_size: the size of the windows that are pooled; default 2.
        pool_stride: the distance between them; the size when None.

    Raises:
        TypeError, ValueError: as for :class:`ops.Conv` and :class:`ops.MaxPool`.
        ShapeError: as for :class:`ops.Conv` and :class:`ops.MaxPool`.

    Source: LeCun et al., "Gradient-Based Learning Applied to Document Recognition", 1998.

    >>> import graphnet as gn
    >>> ConvMaxPoolReLU(8, 3, padding="same")(gn.Input("x", ("N", 3, 4, 4))).shape
    (N, 8, 2, 2)
    """

    _: KW_ONLY
    pool_size: PerAxis = 2
    pool_stride: PerAxis | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pool_stride is None:
            object.__setattr__(self, "pool_stride", self.pool_size)
        freeze_windows(self, "pool_size", "pool_stride")

    @property
    def pool(self) -> MaxPool:
        """The max pooling alone."""
        return MaxPool(self.pool_size, self.pool_stride)

    def infer(self, x: Spec, weight: Spec, bias: Spec | None = None) -> Spec:
        return self.pool.infer(super().infer(x, weight, bias))

    def forward(
        self, x: Array, weight: Array, bias: Array | None = None
    ) -> tuple[Array, tuple[Any, ...]]:
        y, saved = super().forward(x, weight, bias)
        pooled, winners = self.pool.forward(y)
        y = _rectified(pooled, None)
        return y, (*saved, *winners, y)

    def backward(
        self, saved: tuple[Any, ...], dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        x, weight, *winners, y = saved
        (through,) = self.pool.backward(tuple(winners), dy * (y > 0), (True,))
        assert through is not None, "it was asked for"
        return super().backward((x, weight), through, needs)

    def flops(self, x: Spec, weight: Spec, bias: Spec | None = None) -> int:
        y = super().infer(x, weight, bias)
        products = super().flops(x, weight, bias)
        return products + self.pool.flops(y) + self.pool.infer(y).elements


@dataclass(frozen=True, kw_only=True)
class BatchNormReLU(BatchNorm):
    """Batch normalization, an addition where there is one, and ReLU.

    ``y = max(BatchNorm(x) + added, 0)``

    Shapes:
        - x, y, added (optional): ``(N, C, *spatial)``
        - gamma, beta, running_mean, running_var: ``(C,)``

    Args:
        eps: as in :class:`ops.BatchNorm`; default 1e-5.
        momentum: likewise; default 0.9.

    Raises:
        ValueError: ``eps`` is not positive, or ``momentum`` outside 0..1.
        ShapeError: as for :class:`ops.BatchNorm`, or what is added has another shape.

    Source: He et al., "Deep Residual Learning for Image Recognition", 2016.

    >>> import graphnet as gn
    >>> BatchNormReLU()(gn.Input("x", ("N", 8, 4, 4))).shape
    (N, 8, 4, 4)
    """

    def infer(
        self,
        x: Spec,
        gamma: Spec,
        beta: Spec,
        running_mean: Spec,
        running_var: Spec,
        added: Spec | None = None,
    ) -> tuple[Spec, Spec, Spec]:
        _expect_added(added, x)
        return super().infer(x, gamma, beta, running_mean, running_var)

    def forward(
        self,
        x: Array,
        gamma: Array,
        beta: Array,
        running_mean: Array,
        running_var: Array,
        added: Array | None = None,
    ) -> tuple[_Arrays, _Arrays]:
        (y, *running), saved = super().forward(x, gamma, beta, running_mean, running_var)
        y = _rectified(y, added)
        return (y, *running), (*saved, y)

    def backward(
        self, saved: _Arrays, dy: _Arrays, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        *inner, y = saved
        through = dy[0] * (y > 0)
        found = super().backward(tuple(inner), (through, None, None), needs)
        return (*found, through if needs[5] else None)

    def for_inference(self) -> Operator:
        return BatchNormInferenceReLU(eps=self.eps)

    def flops(self, x: Spec, *others: Spec) -> int:
        return super().flops(x) + _epilogue_flops(x, others)


@dataclass(frozen=True, kw_only=True)
class BatchNormInferenceReLU(BatchNormInference):
    """Batch normalization with given statistics, an addition where there is one, and ReLU.

    ``y = max(BatchNormInference(x) + added, 0)``

    Shapes:
        - x, y, added (optional): ``(N, C, *spatial)``
        - gamma, beta, running_mean, running_var: ``(C,)``

    Args:
        eps: added to the variance; default 1e-5.

    Raises:
        ValueError: ``eps`` is not positive.
        ShapeError: as for :class:`ops.BatchNormInference`, or what is added has another shape.

    Source: He et al., "Deep Residual Learning for Image Recognition", 2016.

    >>> import graphnet as gn
    >>> x, c = gn.Input("x", ("N", 8)), gn.Input("c", (8,))
    >>> BatchNormInferenceReLU()(x, c, c, c, c).shape
    (N, 8)
    """

    def infer(
        self,
        x: Spec,
        gamma: Spec,
        beta: Spec,
        running_mean: Spec,
        running_var: Spec,
        added: Spec | None = None,
    ) -> Spec:
        _expect_added(added, x)
        return super().infer(x, gamma, beta, running_mean, running_var)

    def forward(
        self,
        x: Array,
        gamma: Array,
        beta: Array,
        running_mean: Array,
        running_var: Array,
        added: Array | None = None,
    ) -> tuple[Array, _Arrays]:
        y, saved = super().forward(x, gamma, beta, running_mean, running_var)
        y = _rectified(y, added)
        return y, (*saved, y)

    def backward(
        self, saved: _Arrays, dy: Array, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        *inner, y = saved
        through = dy * (y > 0)
        found = super().backward(tuple(inner), through, needs[:5])
        return (*found, through if needs[5] else None)

    def flops(self, x: Spec, *others: Spec) -> int:
        return super().flops(x) + _epilogue_flops(x, others)


@dataclass(frozen=True, kw_only=True)
class FoldBatchNorm(Operator):
    """The weight and bias of a layer that does the batch normalization behind it as well.

    With ``scale = gamma / sqrt(running_var + eps)`` for each filter or unit:
    ``folded_weight = weight * scale``, ``folded_bias = beta + (bias - running_mean) * scale``

    Shapes:
        - weight, folded_weight: ``(F, *others)``, as of :class:`ops.Conv` or :class:`ops.Linear`
        - gamma, beta, running_mean, running_var, bias (optional), folded_bias: ``(F,)``

    Args:
        eps: added to the variance; default 1e-5.

    Raises:
        ValueError: ``eps`` is not positive.
        ShapeError: there is one axis only, or an input has another shape.

    Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", 2018, section 3.2.

    >>> import graphnet as gn
    >>> weight, c = gn.Input("weight", (8, 3, 3, 3)), gn.Input("c", (8,))
    >>> [value.shape for value in FoldBatchNorm()(weight, c, c, c, c)]
    [(8, 3, 3, 3), (8,)]
    """

    eps: float = 1e-5

    def __post_init__(self) -> None:
        freeze_numbers(self, POSITIVE, "eps")

    def infer(
        self,
        weight: Spec,
        gamma: Spec,
        beta: Spec,
        running_mean: Spec,
        running_var: Spec,
        bias: Spec | None = None,
    ) -> tuple[Spec, Spec]:
        expect_floating("a weight", weight)
        if weight.rank < 2:
            raise ShapeError(f"expected a weight of two axes or more, received {show(weight)}")
        given = {"gamma": gamma, "beta": beta, "running_mean": running_mean}
        for name, spec in {**given, "running_var": running_var, "bias": bias}.items():
            if spec is not None:
                expect_spec(name, spec, weight.shape[:1], weight.dtype)
        return weight, beta

    def forward(
        self,
        weight: Array,
        gamma: Array,
        beta: Array,
        running_mean: Array,
        running_var: Array,
        bias: Array | None = None,
    ) -> tuple[_Arrays, _Arrays]:
        rstd = 1 / namespace(weight).sqrt(running_var + self.eps)
        scale = gamma * rstd
        centered = -running_mean if bias is None else bias - running_mean
        folded = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
        return (folded, beta + centered * scale), (weight, gamma, rstd, centered)

    def backward(
        self, saved: _Arrays, dy: _Arrays, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        weight, gamma, rstd, centered = saved
        dfolded, dbeta = dy
        scale = gamma * rstd
        dweight = dscale = dcentered = None
        if dfolded is not None:
            dweight = dfolded * scale.reshape(-1, *[1] * (weight.ndim - 1))
            dscale = (dfolded * weight).sum(axis=tuple(range(1, weight.ndim)))
        if dbeta is not None:
            dcentered = dbeta * scale
            through = dbeta * centered
            dscale = through if dscale is None else dscale + through
        dgamma = dscale * rstd
        dvar = dgamma * gamma * rstd * rstd / -2
        zeros = namespace(weight).zeros_like
        dweight = zeros(weight) if dweight is None else dweight
        dbias = zeros(gamma) if dcentered is None else dcentered
        every = (dweight, dgamma, zeros(gamma) if dbeta is None else dbeta.copy(), -dbias, dvar)
        return tuple(g if n else None for g, n in zip((*every, dbias), needs, strict=True))

    def flops(self, weight: Spec, *others: Spec) -> int:
        return weight.elements + 6 * others[0].elements


def _expect_added(added: Spec | None, y: Spec) -> None:
    if added is not None:
        expect_spec("the addend", added, y.shape, y.dtype)


def _rectified(y: Array, added: Array | None) -> Array:
    """``max(y + added, 0)``."""
    if added is not None:
        y += added
    rectified: Array = namespace(y).maximum(y, 0)
    return rectified


def _epilogue_flops(x: Spec, others: tuple[Spec, ...]) -> int:
    return x.elements * (2 if len(others) > 4 and others[4] is not None else 1)
