"""The operator contract: what an operator says about itself, and nothing about devices.

An operator is a frozen dataclass whose fields are configuration.  It says which parameters
it learns and which states it updates (:meth:`Operator.parameters`, :meth:`Operator.states`),
which shapes it produces (:meth:`Operator.infer`), what it computes
(:meth:`Operator.forward`) and how gradients flow back (:meth:`Operator.backward`).

A complete operator:

>>> from dataclasses import dataclass
>>> import numpy as np
>>> @dataclass(frozen=True)
... class Scale(Operator):
...     factor: float
...
...     def infer(self, x):
...         return x
...
...     def forward(self, x):
...         return x * self.factor, ()
...
...     def backward(self, saved, dy, needs):
...         return (dy * self.factor,)
>>> Scale(3.0).forward(np.ones(2))
(array([3., 3.]), ())
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ops.dimension import Dim, Size, bind
from ops.fields import is_integer
from ops.initializers import Initializer, Kaiming

__all__ = [
    "Interval",
    "Operator",
    "OperatorError",
    "Parameter",
    "ShapeError",
    "Signature",
    "Spec",
    "State",
]

#: A floating dtype that array libraries know once ``ml_dtypes`` is imported, and then as no kind
#: of their own.
BFLOAT16 = "bfloat16"


class ShapeError(ValueError):
    """The inputs of an operator do not fit it, or each other."""


class OperatorError(TypeError):
    """An operator breaks the contract, whatever its inputs; the text says what to change."""


@dataclass(frozen=True)
class Spec:
    """Shape and dtype of one value, before any data exists.

    ``shape`` holds integers and at most one symbol, the batch: ``("N", 3, 32, 32)``.

    Raises:
        ValueError: a size is negative or an unknown symbol, or the dtype does not exist.
        TypeError: a size is no integer.

    >>> Spec(("N", 3, 32, 32))
    Spec(shape=(N, 3, 32, 32), dtype='float32')
    """

    shape: tuple[Size, ...]
    dtype: str = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(_size(size) for size in self.shape))
        try:
            dtype = np.dtype(self.dtype) if self.dtype is not None else None
        except TypeError:
            dtype = None
        if dtype is None or (dtype.kind not in "biuf" and dtype.name != BFLOAT16):
            raise ValueError(
                f"expected a boolean, integer or floating dtype, received {self.dtype!r}"
            )
        object.__setattr__(self, "dtype", dtype.name)

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> Size:
        """The number of elements; symbolic where the shape is."""
        total: Size = 1
        for size in self.shape:
            total = total * size
        return total

    @property
    def elements(self) -> int:
        """The number of elements of a shape whose sizes are all known.

        Raises:
            ShapeError: the shape is symbolic.
        """
        return math.prod(known(*self.shape))

    @property
    def nbytes(self) -> Size:
        """The number of bytes the elements take; symbolic where the shape is."""
        return self.size * np.dtype(self.dtype).itemsize

    @property
    def is_floating(self) -> bool:
        """Whether a gradient can flow through the value."""
        return self.dtype == BFLOAT16 or np.dtype(self.dtype).kind == "f"

    def bind(self, batch: int) -> Spec:
        """The same spec for a batch of ``batch`` examples."""
        return Spec(tuple(bind(size, batch) for size in self.shape), self.dtype)

    def with_shape(self, shape: tuple[Size, ...]) -> Spec:
        """The same dtype with another shape."""
        return Spec(shape, self.dtype)


@dataclass(frozen=True)
class Parameter:
    """A learned input: its shape, its first value, and whether weight decay applies to it.

    ``decay`` is True for weights, False for biases and for the gain of a normalization.
    """

    shape: tuple[int, ...]
    initializer: Initializer = field(default_factory=Kaiming)
    dtype: str = "float32"
    decay: bool = True


@dataclass(frozen=True)
class State:
    """An input that the operator itself renews at every training step.

    The operator returns the new value as an extra output, in the order of :meth:`Operator.states`.
    """

    shape: tuple[int, ...]
    initializer: Initializer
    dtype: str = "float32"


@dataclass(frozen=True)
class Interval:
    """The values ``low <= v < high`` an input may hold; NaN and infinity are never among them."""

    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True)
class Signature:
    """The inputs of an operator, read from the arguments of its methods.

    Attributes:
        names: the inputs that ``infer`` names, in order.
        optional: those that may be left out.
        variadic: the name of ``*xs``, None where there is no such argument.
        data: the inputs from whose specs ``parameters`` and ``states`` derive the others.
    """

    names: tuple[str, ...]
    optional: frozenset[str]
    variadic: str | None
    data: tuple[str, ...]

    def inputs(self, count: int) -> tuple[str, ...]:
        """The names of ``count`` inputs, variadic ones numbered: ``xs0, xs1``."""
        extra = range(count - len(self.names)) if self.variadic else ()
        return (*self.names, *(f"{self.variadic}{i}" for i in extra))


class Operator:
    """Base of all operators; see the module's example and ``docs/operators.md``.

    A subclass is a frozen dataclass.  Its input names are the argument names of ``infer``;
    an argument with a default (``bias=None``) is optional, ``*xs`` takes any number.
    """

    # Each operator has its own arguments here: they are the names of its inputs.

    def infer(self, *specs: Any, **named: Any) -> Any:
        """Specs in, spec out (a tuple of specs for several outputs).

        Raises:
            ShapeError: the inputs do not fit; the only shape arithmetic there is.
        """
        raise NotImplementedError

    def forward(self, *arrays: Any, **named: Any) -> Any:
        """Arrays in, ``(output, saved)`` out.

        ``output`` is a tuple for several outputs.  ``saved`` is a tuple of the arrays (and
        shapes) that ``backward`` needs, and all that it will see.
        """
        raise NotImplementedError

    def backward(self, saved: Any, dy: Any, needs: tuple[bool, ...]) -> Any:
        """One gradient per input, as a tuple; None where ``needs`` is False (never for all).

        ``dy`` is a tuple for several outputs, with None for those that carry no gradient.
        """
        raise NotImplementedError

    def parameters(self, *specs: Any, **named: Any) -> dict[str, Parameter]:
        """The learned inputs, created for every one that the caller does not give."""
        return {}

    def states(self, *specs: Any, **named: Any) -> dict[str, State]:
        """The inputs that are renewed by extra outputs: running statistics, counters."""
        return {}

    def for_inference(self) -> Operator:
        """The operator that stands in for this one at inference.

        It takes those of this operator's inputs that its own ``infer`` names.
        """
        return self

    def flops(self, *specs: Any, **named: Any) -> int:
        """Floating point operations of one forward pass; one per output element by default."""
        outputs = self.infer(*specs, **named)
        first: Spec = outputs[0] if isinstance(outputs, tuple) else outputs
        return first.elements

    def domains(self, *specs: Any, **named: Any) -> dict[str, Interval]:
        """The values that index-like and label inputs may hold; checked when data is fed."""
        return {}

    @classmethod
    @functools.cache
    def signature(cls) -> Signature:
        """The names of the inputs, which of them may be left out, and the variadic one.

        Raises:
            OperatorError: the class breaks the contract.

        >>> from ops import Linear
        >>> Linear.signature().names, Linear.signature().data
        (('x', 'weight', 'bias'), ('x',))
        """
        for method in ("infer", "forward", "backward"):
            if getattr(cls, method) is getattr(Operator, method):
                raise OperatorError(f"{cls.__name__} must define the method {method!r}")
        for method, fewest in (("forward", None), ("backward", 3)):
            _expect_arguments(cls, method, fewest)
        made = cls.__dict__.get("__dataclass_params__")
        if made is None or not made.frozen:
            raise OperatorError(f"{cls.__name__} must be decorated with @dataclass(frozen=True)")
        if not made.eq:
            raise OperatorError(
                f"{cls.__name__}: operators are equal where their fields are: leave out eq=False"
            )
        arguments = list(inspect.signature(cls.infer).parameters.values())[1:]
        if not arguments or any(a.kind in (a.KEYWORD_ONLY, a.VAR_KEYWORD) for a in arguments):
            raise OperatorError(
                f"{cls.__name__}.infer must take one positional argument or more, for each input "
                f"one, received {inspect.signature(cls.infer)}"
            )
        variadic = [a.name for a in arguments if a.kind is a.VAR_POSITIONAL]
        return Signature(
            names=tuple(a.name for a in arguments if a.kind is not a.VAR_POSITIONAL),
            optional=frozenset(a.name for a in arguments if a.default is not a.empty),
            variadic=variadic[0] if variadic else None,
            data=_learned_from(cls),
        )

    def __call__(self, *inputs: Any, name: str | None = None, **named: Any) -> Any:
        """Declare a node that applies this operator to graph values.

        Args:
            inputs: values, in the order of ``infer``'s arguments.
            name: the node's name; numbered by operator (``conv_1``) when None.
            named: values by input name; an :class:`Initializer` in place of a learned input
                sets its first value.

        Returns:
            The output value; a tuple of values for an operator with several outputs.

        Raises:
            ShapeError: the inputs do not fit.
            TypeError: an input is missing, unknown or no graph value.
        """
        for value in (*inputs, *named.values()):
            if hasattr(value, "__declare__"):
                return value.__declare__(self, inputs, named, name)
        received = ", ".join(type(value).__name__ for value in inputs) or "nothing"
        raise TypeError(
            f"{type(self).__name__} is applied to graph values such as graphnet.Input(...), "
            f"received {received}"
        )


def expect_configuration(operator: Operator) -> None:
    """Refuse an operator whose fields hold more than configuration.

    Raises:
        OperatorError: a field holds an array or something that cannot be hashed, such as a list.
    """
    for f in dataclasses.fields(operator):  # type: ignore[arg-type]
        value = getattr(operator, f.name)
        name = type(operator).__name__
        if _holds_array(value):
            raise OperatorError(
                f"{name}: field {f.name!r} holds an array, and fields are configuration: take the "
                f"array as an input of infer and forward, or declare it in parameters()"
            )
        try:
            hash(value)
        except TypeError:
            raise OperatorError(
                f"{name}: field {f.name!r} holds {_unhashable(value)}, which cannot be hashed: "
                f"make it a tuple, in __post_init__ if callers may give a list"
            ) from None


def infer_outputs(operator: Operator, specs: Iterable[Spec | None]) -> tuple[Spec, ...]:
    """What ``infer`` says, as a tuple.

    Raises:
        ShapeError: the inputs do not fit.
        OperatorError: ``infer`` returns something other than specs.
    """
    return expect_outputs(operator.infer(*specs))


def expect_outputs(inferred: Any) -> tuple[Spec, ...]:
    """What an ``infer`` returned, as a tuple.

    Raises:
        OperatorError: it is something other than a spec or a tuple of them.
    """
    outputs = inferred if isinstance(inferred, tuple) else (inferred,)
    if not outputs or not all(isinstance(spec, Spec) for spec in outputs):
        raise OperatorError(f"infer must return a Spec or a tuple of them, received {inferred!r}")
    return outputs


def learned_inputs(
    operator: Operator, specs: Sequence[Spec]
) -> tuple[dict[str, Parameter], dict[str, State]]:
    """What ``parameters`` and ``states`` declare for these data inputs.

    Raises:
        ShapeError: the inputs do not fit.
        OperatorError: one returns something else, or names an input that ``infer`` has not.
    """
    cls = type(operator).__name__
    names = type(operator).signature().names
    found = []
    for method, kind in (("parameters", Parameter), ("states", State)):
        declared = getattr(operator, method)(*specs)
        if not isinstance(declared, dict):
            raise OperatorError(
                f"{cls}.{method} must return a dict of name to {kind.__name__}, "
                f"received {declared!r}"
            )
        for name, leaf in declared.items():
            if name not in names:
                raise OperatorError(
                    f"{cls}.{method} declares {name!r}, which is no argument of infer: {names}"
                )
            if not isinstance(leaf, kind):
                raise OperatorError(
                    f"{cls}.{method} must give a {kind.__name__} for {name!r}, "
                    f"received {type(leaf).__name__}"
                )
        found.append(declared)
    return found[0], found[1]


def expect_domains(operator: Operator, specs: Sequence[Spec | None]) -> dict[str, Interval]:
    """What ``domains`` declares for these inputs.

    Raises:
        OperatorError: it returns something else, or names an input that the operator has not.
    """
    cls = type(operator)
    declared: Any = operator.domains(*specs)
    if not isinstance(declared, dict) or not all(
        isinstance(interval, Interval) for interval in declared.values()
    ):
        raise OperatorError(
            f"{cls.__name__}.domains must return a dict of name to Interval, received {declared!r}"
        )
    names = cls.signature().inputs(len(specs))
    for name in declared:
        if name not in names:
            raise OperatorError(
                f"{cls.__name__}.domains declares {name!r}, which is no input: {names}"
            )
    return declared


def _holds_array(value: Any) -> bool:
    """Whether a field holds an array, or a tuple with one in it."""
    if isinstance(value, tuple):
        return any(map(_holds_array, value))
    return hasattr(value, "__array__") or hasattr(value, "__array_namespace__")


def _unhashable(value: Any) -> str:
    """The part of a value that cannot be hashed, in words."""
    inside = value if isinstance(value, tuple) else ()
    inner = "".join(f" with a {type(x).__name__} in it" for x in inside if not x.__hash__)
    return f"a {type(value).__name__}{inner}"


def describe(operator: Operator) -> str:
    """The operator with those of its fields that differ from their defaults.

    >>> from ops import Conv
    >>> describe(Conv(8, kernel_size=3, padding=1))
    'Conv(filters=8, kernel_size=3, padding=1)'
    """
    shown = []
    for f in dataclasses.fields(operator):  # type: ignore[arg-type]
        value = getattr(operator, f.name)
        if f.default is dataclasses.MISSING or value != f.default:
            shown.append(f"{f.name}={value!r}")
    return f"{type(operator).__name__}({', '.join(shown)})"


def expect_rank(
    name: str, spec: Spec, rank: int | None = None, *, least: int = 0, most: int | None = None
) -> None:
    """Refuse a spec that has not ``rank`` axes or, where ``rank`` is None, ``least`` to ``most``.

    Raises:
        ShapeError: it has another number of axes.

    >>> expect_rank("an image", Spec(("N", 3, 32, 32)), 4)
    """
    if rank is not None:
        least = most = rank
    if spec.rank < least or (most is not None and spec.rank > most):
        wanted = (
            f"{least}"
            if most == least
            else f"{least} or more"
            if most is None
            else f"{least} to {most}"
        )
        raise ShapeError(f"expected {name} of {wanted} axes, received {show(spec)}")


def expect_floating(name: str, spec: Spec) -> None:
    """Refuse a spec through which no gradient can flow.

    Raises:
        ShapeError: the dtype is not a floating one.
    """
    if not spec.is_floating:
        raise ShapeError(f"expected {name} of a floating dtype, received {spec.dtype}")


def expect_numeric(name: str, spec: Spec) -> None:
    """Refuse a spec whose entries are truth values, with which nothing is computed.

    Raises:
        ShapeError: the dtype is bool.
    """
    if spec.dtype == "bool":
        raise ShapeError(f"expected {name} of a floating or integer dtype, received bool")


def expect_integers(name: str, spec: Spec) -> None:
    """Refuse a spec whose entries are no integers.

    Raises:
        ShapeError: the dtype is bool or a floating one.
    """
    if spec.is_floating or spec.dtype == "bool":
        raise ShapeError(f"expected {name} of an integer dtype, received {spec.dtype}")


def expect_spec(name: str, spec: Spec, shape: tuple[Size, ...], dtype: str) -> None:
    """Refuse a learned or second input whose shape or dtype is not the one that follows.

    Raises:
        ShapeError: shape or dtype differ.
    """
    if spec.shape != shape or spec.dtype != dtype:
        raise ShapeError(f"expected {name} {show(Spec(shape, dtype))}, received {show(spec)}")


def expect_bias(wanted: bool, bias: Spec | None, units: int, dtype: str) -> None:
    """Refuse a bias that the configuration rules out, is missing, or has another shape.

    Raises:
        ShapeError: one of these.
    """
    if wanted != (bias is not None):
        raise ShapeError(
            f"expected {'a' if wanted else 'no'} bias, as bias={wanted} says, "
            f"received {'none' if bias is None else show(bias)}"
        )
    if bias is not None:
        expect_spec("a bias", bias, (units,), dtype)


def normalize_axis(axis: int, rank: int) -> int:
    """The axis counted from the front.

    Raises:
        ShapeError: there is no such axis.
    """
    if not -rank <= axis < rank:
        raise ShapeError(f"expected an axis in {-rank}..{rank - 1}, received {axis}")
    return axis % rank


def known(*sizes: Size) -> tuple[int, ...]:
    """Sizes as integers.

    Raises:
        ShapeError: one of them is symbolic.
    """
    for size in sizes:
        if isinstance(size, Dim):
            raise ShapeError(f"expected known sizes, received {show_shape(sizes)}")
    return sizes  # type: ignore[return-value]


def show(spec: Spec) -> str:
    """A spec as errors and tables print it: ``float32 (N, 3, 32, 32)``."""
    return f"{spec.dtype} {show_shape(spec.shape)}"


def show_shape(shape: tuple[Size, ...]) -> str:
    """A shape as errors and tables print it: ``(N, 3, 32, 32)``."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _expect_arguments(cls: type[Operator], method: str, count: int | None) -> None:
    """Refuse a ``forward`` or ``backward`` that cannot take what it will be called with."""
    infer, found = (
        list(inspect.signature(getattr(cls, name)).parameters.values())[1:]
        for name in ("infer", method)
    )
    if any(argument.kind is argument.VAR_POSITIONAL for argument in found):
        return
    if len(found) != (count or len(infer)):
        names = [argument.name for argument in infer]
        wanted = "(saved, dy, needs)" if count else f"of infer, ({', '.join(names)})"
        raise OperatorError(
            f"{cls.__name__}.{method} must take the arguments {wanted}, "
            f"received ({', '.join(argument.name for argument in found)})"
        )
    wanted_names, names = ([argument.name for argument in a] for a in (infer, found))
    if not count and sorted(names) == sorted(wanted_names) and names != wanted_names:
        raise OperatorError(
            f"{cls.__name__}.{method} must take its arguments in the order of infer, "
            f"({', '.join(wanted_names)}), received ({', '.join(names)})"
        )


def _learned_from(cls: type[Operator]) -> tuple[str, ...]:
    """The argument names of ``parameters``, or else of ``states``, where the class has them."""
    if cls.parameters is not Operator.parameters:
        return tuple(inspect.signature(cls.parameters).parameters)[1:]
    if cls.states is not Operator.states:
        return tuple(inspect.signature(cls.states).parameters)[1:]
    return ()


def _size(size: Any) -> Size:
    if isinstance(size, Dim):
        return size
    if isinstance(size, str):
        return Dim.parse(size)
    if not is_integer(size):
        raise TypeError(f"expected an integer size, received {size!r}")
    if size < 0:
        raise ValueError(f"expected a size of at least 0, received {size}")
    return int(size)
