"""Optimizers: how parameters follow their gradients.

An optimizer is a frozen dataclass of hyper-parameters.  It knows no graph and owns no
arrays: parameters, gradients and its own slots (velocities, moments) come as flat
dictionaries from whoever owns them, and are changed in place so that they keep their
identity.

A step of every optimizer is the same but for :meth:`Optimizer.advance`:

1. gradients are clipped, each value to ``±clip_value``, then all together to ``clip_norm``;
2. weight decay is added to the gradients of those parameters that decay;
3. each parameter and its slots advance.

An optimizer of one's own names its slots and defines ``advance``:

>>> from dataclasses import dataclass
>>> import numpy as np
>>> @dataclass(frozen=True)
... class SignDescent(Optimizer):
...     def advance(self, parameter, gradient, slots, rate, step):
...         parameter -= rate * np.sign(gradient)
>>> w = np.array([1.0, -1.0])
>>> SignDescent(0.25).update({"w": w}, {"w": w * 8}, {}, step=1, decay=frozenset())
>>> w
array([ 0.75, -0.75])
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from graphnet.optim.schedules import Schedule, as_schedule
from ops.arrays import Array, namespace
from ops.fields import (
    BELOW_ONE,
    NOT_NEGATIVE,
    POSITIVE,
    expect_count,
    expect_number,
    freeze_numbers,
)

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSProp"]


@dataclass(frozen=True)
class Optimizer:
    """Base of all optimizers; see the module's example.

    Args:
        lr: the learning rate, a number or a schedule of the step.
        weight_decay: ``weight_decay * parameter`` is added to the gradient of the parameters
            that decay (L2 regularization ``weight_decay / 2 * sum(parameter ** 2)``); default 0.
        clip_norm: the largest Euclidean norm of all gradients taken as one vector; they are
            scaled down to it together.  Default None, no limit.
        clip_value: the largest absolute value of a single gradient entry; default None.

    Raises:
        TypeError, ValueError: a field is no number or out of range.
    """

    lr: float | Schedule
    weight_decay: float = field(default=0.0, kw_only=True)
    clip_norm: float | None = field(default=None, kw_only=True)
    clip_value: float | None = field(default=None, kw_only=True)

    #: Whether weight decay acts on the parameter itself, past the gradient and its moments.
    decoupled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not isinstance(self.lr, Schedule):
            freeze_numbers(self, NOT_NEGATIVE, "lr")
        freeze_numbers(self, NOT_NEGATIVE, "weight_decay")
        for name in ("clip_norm", "clip_value"):
            if getattr(self, name) is not None:
                freeze_numbers(self, POSITIVE, name)

    @property
    def slot_names(self) -> tuple[str, ...]:
        """The arrays kept for each parameter, of its shape and dtype and zero at first."""
        return ()

    def advance(
        self,
        parameter: Array,
        gradient: Array,
        slots: Mapping[str, Array],
        rate: float,
        step: int,
    ) -> None:
        """Change one parameter and its slots in place; the gradient stays as it is."""
        raise NotImplementedError

    def rate(self, step: int) -> float:
        """The learning rate of step ``step``, the first of which is 1.

        Raises:
            ValueError: a schedule of the user's own gave NaN, infinity or a negative rate.
        """
        value = as_schedule(self.lr)(step)
        return expect_number(self, f"the learning rate of step {step}", value, NOT_NEGATIVE)

    def slots(self, parameters: Mapping[str, Array]) -> dict[str, Array]:
        """The arrays the optimizer keeps between steps, keyed ``"<parameter>.<slot>"``.

        >>> import numpy as np
        >>> SGD(0.1, momentum=0.9).slots({"conv_1.bias": np.ones(2)})
        {'conv_1.bias.velocity': array([0., 0.])}
        """
        return {
            f"{name}.{slot}": namespace(parameter).zeros_like(parameter)
            for name, parameter in parameters.items()
            for slot in self.slot_names
        }

    def update(
        self,
        parameters: Mapping[str, Array],
        gradients: Mapping[str, Array],
        slots: Mapping[str, Array],
        step: int,
        decay: frozenset[str],
    ) -> None:
        """One step: change ``parameters`` and ``slots`` in place.

        Nothing is changed when an error is raised.  Gradients of names that are no parameters
        are ignored, so a part of the parameters can be updated alone.

        Args:
            parameters: what is learned, by name.
            gradients: the gradient of the loss for each parameter; never changed.
            slots: what :meth:`slots` made for these parameters.
            step: the number of this step, counted from 1.
            decay: the names of the parameters to which weight decay applies.

        Raises:
            TypeError: the step is no integer.
            ValueError: a gradient or a slot is missing or has another shape than its
                parameter, or the step is below 1.

        >>> import numpy as np
        >>> w = np.array([1.0, 2.0])
        >>> SGD(0.5).update({"w": w}, {"w": np.array([1.0, -1.0])}, {}, 1, frozenset())
        >>> w
        array([0.5, 2.5])
        """
        step = expect_count(self, "step", step)
        rate = self.rate(step)
        kept = {
            name: {slot: _fetch("slot", slots, f"{name}.{slot}", p) for slot in self.slot_names}
            for name, p in parameters.items()
        }
        clipped = self.clip(
            {name: _fetch("gradient", gradients, name, p) for name, p in parameters.items()}
        )
        for name, parameter in parameters.items():
            gradient = clipped[name]
            if self.weight_decay and name in decay:
                if self.decoupled:
                    parameter *= 1 - rate * self.weight_decay
                else:
                    gradient = gradient + self.weight_decay * parameter
            self.advance(parameter, gradient, kept[name], rate, step)

    def clip(self, gradients: dict[str, Array]) -> dict[str, Array]:
        """The gradients within both limits; new arrays where there is a limit."""
        if self.clip_value is not None:
            limit = self.clip_value
            gradients = {name: namespace(g).clip(g, -limit, limit) for name, g in gradients.items()}
        if self.clip_norm is not None and gradients:
            norm = _norm(gradients.values())
            # exactly 1 up to the limit, and an array: the host never waits for the device
            scale = self.clip_norm / namespace(norm).maximum(norm, self.clip_norm)
            gradients = {name: g * scale.astype(g.dtype) for name, g in gradients.items()}
        return gradients


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum or Nesterov's momentum.

    ``v = momentum * v - lr * g``, then ``p += v``, or with Nesterov
    ``p += momentum * v - lr * g``

    Args:
        lr: the learning rate, a number or a schedule.
        momentum: the part of the velocity that remains at each step, from 0 to below 1;
            default 0, no velocity.
        nesterov: whether the gradient is meant for the point the velocity leads to.
        weight_decay, clip_norm, clip_value: see :class:`Optimizer`.

    Raises:
        TypeError, ValueError: a field is no number or out of range, or ``nesterov`` is set
            without momentum.

    Source: Polyak, "Some methods of speeding up the convergence of iteration methods", 1964;
    Sutskever et al., "On the importance of initialization and momentum in deep learning",
    ICML 2013; Bengio et al., "Advances in optimizing recurrent networks", 2013, equation 7.

    >>> SGD(0.1, momentum=0.9).slot_names
    ('velocity',)
    """

    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze_numbers(self, BELOW_ONE, "momentum")
        if not isinstance(self.nesterov, bool):
            raise TypeError(f"SGD: expected True or False for nesterov, received {self.nesterov!r}")
        if self.nesterov and not self.momentum:
            raise ValueError("SGD: expected momentum above 0 for nesterov, received 0.0")

    @property
    def slot_names(self) -> tuple[str, ...]:
        """The velocity, where there is momentum."""
        return ("velocity",) if self.momentum else ()

    def advance(
        self,
        parameter: Array,
        gradient: Array,
        slots: Mapping[str, Array],
        rate: float,
        step: int,
    ) -> None:
        """Change one parameter and its velocity in place."""
        change = rate * gradient
        if not self.momentum:
            parameter -= change
            return
        velocity = slots["velocity"]
        velocity *= self.momentum
        velocity -= change
        parameter += self.momentum * velocity - change if self.nesterov else velocity


@dataclass(frozen=True)
class RMSProp(Optimizer):
    """Gradients divided by the root of their running mean square.

    ``s = decay * s + (1 - decay) * g ** 2``, ``p -= lr * g / (sqrt(s) + eps)``

    Args:
        lr: the learning rate, a number or a schedule; default 1e-2.
        decay: the part of the mean square that remains at each step; default 0.99.
        eps: added to the root, outside it; default 1e-8.
        weight_decay, clip_norm, clip_value: see :class:`Optimizer`.

    Raises:
        TypeError, ValueError: a field is no number or out of range.

    Source: Tieleman, Hinton, "Neural Networks for Machine Learning", lecture 6.5, 2012.

    >>> RMSProp().slot_names
    ('mean_square',)
    """

    lr: float | Schedule = 1e-2
    decay: float = 0.99
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze_numbers(self, BELOW_ONE, "decay")
        freeze_numbers(self, POSITIVE, "eps")

    @property
    def slot_names(self) -> tuple[str, ...]:
        """The running mean of the squared gradient."""
        return ("mean_square",)

    def advance(
        self,
        parameter: Array,
        gradient: Array,
        slots: Mapping[str, Array],
        rate: float,
        step: int,
    ) -> None:
        """Change one parameter and its mean square in place."""
        mean_square = slots["mean_square"]
        _follow(mean_square, gradient * gradient, self.decay)
        parameter -= rate * gradient / (namespace(mean_square).sqrt(mean_square) + self.eps)


@dataclass(frozen=True)
class _Moments(Optimizer):
    """What Adam and AdamW share: all but where weight decay acts."""

    lr: float | Schedule = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze_numbers(self, BELOW_ONE, "beta1", "beta2")
        freeze_numbers(self, POSITIVE, "eps")

    @property
    def slot_names(self) -> tuple[str, ...]:
        """The running means of the gradient and of its square."""
        return ("mean", "mean_square")

    def advance(
        self,
        parameter: Array,
        gradient: Array,
        slots: Mapping[str, Array],
        rate: float,
        step: int,
    ) -> None:
        """Change one parameter and its moments in place."""
        mean, mean_square = slots["mean"], slots["mean_square"]
        _follow(mean, gradient, self.beta1)
        _follow(mean_square, gradient * gradient, self.beta2)
        # the moments start at 0: dividing by 1 - beta^step makes them unbiased
        root = namespace(mean_square).sqrt(mean_square / (1 - self.beta2**step))
        parameter -= (rate / (1 - self.beta1**step)) * mean / (root + self.eps)


@dataclass(frozen=True)
class Adam(_Moments):
    """Momentum divided by the root of the mean square, both corrected for their start at 0.

    ``m = beta1 * m + (1 - beta1) * g``, ``v = beta2 * v + (1 - beta2) * g ** 2``,
    ``p -= lr * (m / (1 - beta1 ** step)) / (sqrt(v / (1 - beta2 ** step)) + eps)``

    Args:
        lr: the learning rate, a number or a schedule; default 1e-3.
        beta1: the part of the mean that remains at each step; default 0.9.
        beta2: the part of the mean square that remains at each step; default 0.999.
        eps: added to the root, outside it; default 1e-8.
        weight_decay, clip_norm, clip_value: see :class:`Optimizer`.

    Raises:
        TypeError, ValueError: a field is no number or out of range.

    Source: Kingma, Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1.

    >>> Adam().slot_names
    ('mean', 'mean_square')
    """


@dataclass(frozen=True)
class AdamW(_Moments):
    """Adam with weight decay that acts on the parameters and not on the moments.

    ``p *= 1 - lr * weight_decay`` for the parameters that decay, then a step of :class:`Adam`

    Args:
        lr, beta1, beta2, eps: see :class:`Adam`.
        weight_decay: the part of a parameter, times ``lr``, that a step takes away;
            default 1e-2.
        clip_norm, clip_value: see :class:`Optimizer`.

    Raises:
        TypeError, ValueError: a field is no number or out of range.

    Source: Loshchilov, Hutter, "Decoupled Weight Decay Regularization", ICLR 2019,
    algorithm 2, with the decay multiplied by the learning rate.

    >>> AdamW().weight_decay
    0.01
    """

    weight_decay: float = field(default=1e-2, kw_only=True)

    decoupled: ClassVar[bool] = True


def _follow(mean: Array, value: Array, kept: float) -> None:
    """Move a running mean towards a value, in place."""
    mean *= kept
    mean += (1 - kept) * value


def _norm(gradients: Iterable[Array]) -> Array:
    """The Euclidean norm of all entries together."""
    total = sum(_sum_of_squares(gradient) for gradient in gradients)
    return namespace(total).sqrt(total)


def _sum_of_squares(gradient: Array) -> Array:
    # float64: the square of a large float32 is infinite, and that of a small one 0
    wide = gradient.astype("float64", copy=False)
    return (wide * wide).sum()


def _fetch(kind: str, arrays: Mapping[str, Array], name: str, parameter: Array) -> Array:
    """The array ``name``, which belongs to ``parameter`` and has its shape."""
    array = arrays.get(name)
    if array is None:
        raise ValueError(f"expected a {kind} {name!r} of shape {parameter.shape}, received none")
    if array.shape != parameter.shape:
        raise ValueError(
            f"expected a {kind} {name!r} of shape {parameter.shape}, received {array.shape}"
        )
    return array
