"""A test backend: NumPy underneath, CuPy's limits on top, so that no GPU is needed to meet them.

Code that runs on strict arrays converts nothing to the host behind anyone's back, mixes no
libraries, and uses no name or keyword that CuPy lacks.  What it cannot show is what only a
device does: CuPy wraps an index out of bounds where NumPy raises.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

import numpy as np

from graphnet.backends import cupy_names
from graphnet.backends.base import Backend
from graphnet.backends.recording import call, enqueue, record, refuse, refuse_result
from ops.arrays import Array

__all__ = ["Flags", "StrictArray", "StrictBackend", "Transfers", "shares_memory"]

_SCALARS = (bool, int, float, complex, np.generic)

#: Attributes of ``cupy.ndarray`` that would show the memory underneath, or write it to a file.
_HIDDEN = frozenset(("data", "device", "dump", "dumps", "flat", "set", "tofile"))

#: Functions that answer on the device in CuPy, and with a Python bool in NumPy.
_DEVICE_ANSWERS = frozenset(("allclose", "array_equal", "array_equiv"))


@dataclass
class Transfers:
    """How many arrays were moved in each direction."""

    to_device: int = 0
    to_host: int = 0


class StrictBackend(Backend):
    """NumPy arrays that behave like CuPy's; ``transfers`` counts what crosses over.

    >>> import numpy as np
    >>> backend = StrictBackend()
    >>> x = backend.from_host(np.ones(3, dtype=np.float32))
    >>> backend.to_host((x * 2.0).sum())
    array(6., dtype=float32)
    >>> float(x.sum())
    Traceback (most recent call last):
        ...
    TypeError: a strict array does not turn into a float; move it with backend.to_host(array)
    >>> backend.transfers
    Transfers(to_device=1, to_host=1)
    """

    name: ClassVar[str] = "strict"
    captures: ClassVar[bool] = True

    def __init__(self) -> None:
        self.xp = _NAMESPACE
        self.transfers = Transfers()

    def from_host(self, host: np.ndarray) -> Array:
        """A strict array with a copy of ``host``; counted."""
        refuse("a transfer from the host")
        array = StrictArray(np.array(host))
        self.transfers.to_device += 1
        return array

    def to_host(self, array: Array) -> np.ndarray:
        """A NumPy array with a copy of ``array``; counted."""
        if not isinstance(array, StrictArray):
            raise TypeError(f"expected a strict array, received {type(array).__name__}")
        refuse("a transfer to the host")
        self.transfers.to_host += 1
        return array._data.copy(order="K")

    def owns(self, obj: object) -> bool:
        """Whether ``obj`` is a strict array."""
        return isinstance(obj, StrictArray)

    def capture(self, run: Callable[[], object]) -> Callable[[], object]:
        """A recording of what ``run`` does, as a call that replays it."""
        with record() as recorded:
            run()
        return recorded.replay

    def synchronize(self) -> None:
        """Nothing: NumPy has finished when it returns."""
        refuse("waiting for the device")

    def describe(self) -> str:
        """What the backend is for."""
        return f"test backend: NumPy {np.__version__} arrays with CuPy's limits"


def shares_memory(a: StrictArray, b: StrictArray) -> bool:
    """Whether two strict arrays have an element in common; for tests.

    >>> import numpy as np
    >>> x = StrictBackend().from_host(np.arange(6))
    >>> shares_memory(x, x[2:4]), shares_memory(x[:3], x[3:])
    (True, False)
    """
    return np.shares_memory(a._data, b._data)


@dataclass(frozen=True)
class Flags:
    """What ``cupy.ndarray.flags`` says of the memory of an array."""

    c_contiguous: bool
    f_contiguous: bool
    owndata: bool


def _refuse(form: str) -> Callable[..., NoReturn]:
    def method(self: StrictArray, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(
            f"a strict array does not turn into {form}; move it with backend.to_host(array)"
        )

    return method


def _binary(ufunc: np.ufunc) -> Callable[[StrictArray, Any], Any]:
    def method(self: StrictArray, other: Any) -> Any:
        refuse_result(ufunc.__name__)
        return _wrap(ufunc(self._data, _operand(other)))

    return method


def _reflected(ufunc: np.ufunc) -> Callable[[StrictArray, Any], Any]:
    def method(self: StrictArray, other: Any) -> Any:
        refuse_result(ufunc.__name__)
        return _wrap(ufunc(_operand(other), self._data))

    return method


def _in_place(ufunc: np.ufunc) -> Callable[[StrictArray, Any], StrictArray]:
    def method(self: StrictArray, other: Any) -> StrictArray:
        data, operand = self._data, _operand(other)
        enqueue(lambda: ufunc(data, operand, out=data))
        return self

    return method


def _unary(ufunc: np.ufunc) -> Callable[[StrictArray], Any]:
    def method(self: StrictArray) -> Any:
        refuse_result(ufunc.__name__)
        return _wrap(ufunc(self._data))

    return method


class StrictArray:
    """A NumPy array behind CuPy's interface; made by :class:`StrictBackend` and ``xp``."""

    __slots__ = ("_data",)
    __hash__ = None  # type: ignore[assignment]
    __array_ufunc__ = None  # NumPy's own arrays then leave their operators to ours, which refuse

    def __init__(self, data: np.ndarray) -> None:
        self._data = data

    def __array_namespace__(self, api_version: str | None = None) -> StrictNamespace:
        return _NAMESPACE

    def __repr__(self) -> str:
        return f"strict({self._data!r})"

    # -- memory and shape

    shape = property(lambda self: self._data.shape)
    dtype = property(lambda self: self._data.dtype)
    ndim = property(lambda self: self._data.ndim)
    size = property(lambda self: self._data.size)
    strides = property(lambda self: self._data.strides)
    nbytes = property(lambda self: self._data.nbytes)
    itemsize = property(lambda self: self._data.itemsize)
    T = property(lambda self: _wrap(self._data.T))
    mT = property(lambda self: _wrap(self._data.mT))  # noqa: N815 - NumPy's and CuPy's name
    real = property(lambda self: _wrap(self._data.real))
    imag = property(lambda self: _wrap(self._data.imag))

    @property
    def base(self) -> StrictArray | None:
        """The array whose memory this one views, if any."""
        base = self._data.base
        return StrictArray(base) if isinstance(base, np.ndarray) else None

    @property
    def flags(self) -> Flags:
        """Of which kind the memory is."""
        flags = self._data.flags
        return Flags(flags.c_contiguous, flags.f_contiguous, flags.owndata)

    def __len__(self) -> int:
        return len(self._data)

    def __copy__(self) -> StrictArray:
        refuse_result("copy")
        return StrictArray(self._data.copy())

    def __deepcopy__(self, memo: dict[int, Any]) -> StrictArray:
        refuse_result("copy")
        return StrictArray(self._data.copy())

    # -- what would move values to the host

    __array__ = _refuse("a NumPy array")
    __array_function__ = _refuse("a NumPy array for a function of NumPy")
    __iter__ = _refuse("an iterator")
    __contains__ = _refuse("a container")
    __bool__ = _refuse("a bool")
    __int__ = _refuse("an int")
    __index__ = _refuse("an index")
    __float__ = _refuse("a float")
    __complex__ = _refuse("a complex number")
    item = _refuse("a Python number")
    tolist = _refuse("a list")
    tobytes = _refuse("bytes")
    get = _refuse("a NumPy array")

    # -- indexing

    def __getitem__(self, key: Any) -> StrictArray:
        if _gathers(key):
            refuse_result("indexing by an array")
        return StrictArray(self._data[_index(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        if _gathers(key):
            refuse("indexing by an array")
        data, index, operand = self._data, _index(key), _operand(value)
        enqueue(lambda: data.__setitem__(index, operand))

    # -- methods: those of cupy.ndarray, and no others

    def __getattr__(self, name: str) -> Any:
        if name in _HIDDEN or name.startswith("__"):
            raise AttributeError(
                f"a strict array hides {name!r}; move it with backend.to_host(array)"
            )
        if not cupy_names.has(f"ndarray.{name}"):
            raise AttributeError(f"cupy.ndarray has no {name!r}")
        return StrictFunction(f"ndarray.{name}", _numpy_attribute(self._data, name))

    # -- operators; CuPy has no in-place matrix product

    __add__, __radd__, __iadd__ = _binary(np.add), _reflected(np.add), _in_place(np.add)
    __sub__, __rsub__ = _binary(np.subtract), _reflected(np.subtract)
    __isub__ = _in_place(np.subtract)
    __mul__, __rmul__ = _binary(np.multiply), _reflected(np.multiply)
    __imul__ = _in_place(np.multiply)
    __truediv__, __rtruediv__ = _binary(np.true_divide), _reflected(np.true_divide)
    __itruediv__ = _in_place(np.true_divide)
    __floordiv__, __rfloordiv__ = _binary(np.floor_divide), _reflected(np.floor_divide)
    __ifloordiv__ = _in_place(np.floor_divide)
    __mod__, __rmod__ = _binary(np.remainder), _reflected(np.remainder)
    __imod__ = _in_place(np.remainder)
    __pow__, __rpow__, __ipow__ = _binary(np.power), _reflected(np.power), _in_place(np.power)
    __divmod__, __rdivmod__ = _binary(np.divmod), _reflected(np.divmod)
    __matmul__, __rmatmul__ = _binary(np.matmul), _reflected(np.matmul)
    __and__, __rand__ = _binary(np.bitwise_and), _reflected(np.bitwise_and)
    __iand__ = _in_place(np.bitwise_and)
    __or__, __ror__ = _binary(np.bitwise_or), _reflected(np.bitwise_or)
    __ior__ = _in_place(np.bitwise_or)
    __xor__, __rxor__ = _binary(np.bitwise_xor), _reflected(np.bitwise_xor)
    __ixor__ = _in_place(np.bitwise_xor)
    __lshift__, __rlshift__ = _binary(np.left_shift), _reflected(np.left_shift)
    __ilshift__ = _in_place(np.left_shift)
    __rshift__, __rrshift__ = _binary(np.right_shift), _reflected(np.right_shift)
    __irshift__ = _in_place(np.right_shift)
    __eq__, __ne__ = _binary(np.equal), _binary(np.not_equal)
    __lt__, __le__ = _binary(np.less), _binary(np.less_equal)
    __gt__, __ge__ = _binary(np.greater), _binary(np.greater_equal)
    __neg__, __pos__ = _unary(np.negative), _unary(np.positive)
    __abs__, __invert__ = _unary(np.absolute), _unary(np.invert)


class StrictNamespace:
    """The array library of strict arrays: CuPy's names, NumPy's arithmetic."""

    def __init__(self, path: str, library: Any) -> None:
        self._path = path
        self._library = library

    def __repr__(self) -> str:
        return f"<strict array library{' ' if self._path else ''}{self._path}>"

    def __getattr__(self, name: str) -> Any:
        path = f"{self._path}.{name}" if self._path else name
        if path == "random":
            raise AttributeError(
                "the strict backend leaves out cupy.random: random numbers come from counters"
            )
        if not cupy_names.has(path):
            if cupy_names.is_module(path):
                return StrictNamespace(path, getattr(self._library, name))
            raise AttributeError(f"cupy has no {path!r}")
        value = _numpy_attribute(self._library, name)
        if value is np.ndarray:
            return StrictArray
        if value is None or isinstance(value, (type, int, float)):
            return value  # dtypes and constants, which CuPy takes from NumPy
        if callable(value):
            return StrictFunction(path, value)
        raise AttributeError(f"the strict backend leaves out {path!r}")


class StrictFunction:
    """A function of NumPy that takes and gives strict arrays, within CuPy's keywords."""

    def __init__(self, path: str, function: Callable[..., Any]) -> None:
        self._path = path
        self._function = function

    def __repr__(self) -> str:
        return f"<strict function {self._path}>"

    def __getattr__(self, name: str) -> StrictFunction:
        path = f"{self._path}.{name}"
        if not cupy_names.has(path):
            raise AttributeError(f"cupy has no {path!r}")
        return StrictFunction(path, _numpy_attribute(self._function, name))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        for keyword in kwargs:
            if not cupy_names.accepts(self._path, keyword):
                raise TypeError(f"cupy.{self._path} takes no argument {keyword!r}")
        if isinstance(self._function, np.ufunc):
            for arg in args:
                _operand(arg)
        given = tuple(map(_unwrap, args))
        named = {keyword: _unwrap(value) for keyword, value in kwargs.items()}
        result = call(self._path, self._function, given, named)
        if kwargs.get("out") is not None:
            return kwargs["out"]
        return _wrap(np.bool(result) if self._path in _DEVICE_ANSWERS else result)


def _numpy_attribute(owner: Any, name: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError:
        raise AttributeError(
            f"cupy has {name!r} but NumPy has not, so the strict backend cannot serve it"
        ) from None


def _operand(value: Any) -> Any:
    """What CuPy's operators take beside an array: an array or a scalar."""
    if isinstance(value, StrictArray):
        return value._data
    if isinstance(value, _SCALARS):
        return value
    raise TypeError(
        f"expected a strict array or a scalar, received {type(value).__module__}."
        f"{type(value).__name__}; bring arrays over with backend.from_host(array)"
    )


def _gathers(key: Any) -> bool:
    return any(isinstance(k, StrictArray) for k in (key if isinstance(key, tuple) else (key,)))


def _index(key: Any) -> tuple[Any, ...]:
    keys = key if isinstance(key, tuple) else (key,)
    for entry in keys:
        if not (
            entry is None
            or entry is Ellipsis
            or isinstance(entry, (StrictArray, slice, int, np.integer))
        ):
            raise TypeError(
                f"expected integers, slices, None, ... or strict arrays as an index, "
                f"received {type(entry).__name__}"
            )
    plain = tuple(entry._data if isinstance(entry, StrictArray) else entry for entry in keys)
    # with an ellipsis NumPy gives a view of one element, as CuPy does, and not a scalar
    return plain if any(entry is Ellipsis for entry in plain) else (*plain, ...)


def _unwrap(value: Any) -> Any:
    if isinstance(value, StrictArray):
        return value._data
    if isinstance(value, np.ndarray):
        raise TypeError(
            "expected strict arrays, received numpy.ndarray; "
            "bring it over with backend.from_host(array)"
        )
    if isinstance(value, tuple):
        return tuple(map(_unwrap, value))
    if isinstance(value, list):
        return list(map(_unwrap, value))
    return value


def _wrap(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return StrictArray(value)
    if isinstance(value, np.generic):
        return StrictArray(np.asarray(value))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_wrap, value))
    if isinstance(value, (list, tuple)):
        return type(value)(map(_wrap, value))
    return value


_NAMESPACE = StrictNamespace("", np)
