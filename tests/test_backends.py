"""Backends: transfers that copy, errors that help, and a strict array that is as strict as CuPy."""

from __future__ import annotations

import copy
import operator
import sys
import types

import numpy as np
import pytest

import graphnet as gn
from graphnet.backends import (
    BACKENDS,
    BackendError,
    cupy_backend,
    cupy_names,
    get_backend,
    status,
)
from graphnet.backends.strict import StrictArray, shares_memory
from graphnet.feeds import check_feeds
from ops import ReLU
from ops.arrays import namespace
from tests.cards import cupy_works


@pytest.fixture(params=["numpy", "strict", pytest.param("cupy", marks=pytest.mark.gpu)])
def backend(request):
    if request.param == "cupy" and not cupy_works():
        pytest.skip("no CUDA device")
    return get_backend(request.param)


@pytest.fixture
def strict():
    return get_backend("strict")


@pytest.fixture
def x(strict):
    return strict.from_host(np.arange(6, dtype=np.float32).reshape(2, 3))


# -- every backend


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'numpy', 'cupy', 'strict', received 'torch'"):
        get_backend("torch")


def test_a_backend_goes_by_the_name_it_is_asked_for(backend):
    assert type(backend) is BACKENDS[backend.name]
    assert backend.providers[-1] == "reference"


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1)])
def test_both_transfers_copy_and_keep_values_shape_and_dtype(backend, axes):
    host = np.arange(24, dtype=np.int16).reshape(2, 3, 4).transpose(axes)
    expected = host.copy()
    array = backend.from_host(host)
    host[...] = -1
    back = backend.to_host(array)
    np.testing.assert_array_equal(back, expected)
    assert back.dtype == expected.dtype
    assert array.shape == host.shape
    back[...] = -2
    np.testing.assert_array_equal(backend.to_host(array), expected)


def test_from_host_copies_what_numpy_already_owns():
    backend, host = get_backend("numpy"), np.ones(3)
    assert not np.shares_memory(backend.from_host(host), host)
    assert not np.shares_memory(backend.to_host(host), host)


def test_a_backend_owns_its_arrays_and_no_others(backend):
    array = backend.from_host(np.ones(2))
    assert backend.owns(array)
    assert backend.owns(backend.xp.zeros(3))
    for other in (1.0, [1.0], None, "x"):
        assert not backend.owns(other)
    assert get_backend("numpy").owns(array) == (backend.name == "numpy")


def test_to_host_refuses_foreign_arrays(backend):
    with pytest.raises(TypeError, match="received list"):
        backend.to_host([1.0])


def test_the_library_of_an_array_is_that_of_its_backend(backend):
    assert namespace(backend.from_host(np.ones(2))) is backend.xp


def test_synchronize_returns_when_the_work_is_done(backend):
    total = backend.from_host(np.ones(1000)).sum()
    assert backend.synchronize() is None
    assert backend.to_host(total) == 1000


def test_the_status_names_every_backend_and_what_it_runs_on():
    rows = {name: (works, text) for name, works, text in status()}
    assert list(rows) == list(BACKENDS)
    assert rows["numpy"][0]
    assert np.__version__ in rows["numpy"][1]
    assert rows["strict"][0]
    assert rows["cupy"][0] == cupy_works()
    assert rows["cupy"][1]


# -- CuPy where something is missing


def test_a_missing_cupy_is_answered_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(BackendError, match=r'pip install "cupy-cuda12x.*cuda13x'):
        get_backend("cupy")
    works, text = {name: row for name, *row in status()}["cupy"]
    assert not works
    assert "CuPy is not installed" in text


class Total:
    def sum(self):
        return self

    def get(self):
        return np.array(1)


def works(n):
    return Total()


class FakeCupy(types.ModuleType):
    """A CuPy that finds what a test says."""

    class ndarray:  # noqa: N801 - CuPy's name
        def __init__(self, device):
            self.device = types.SimpleNamespace(id=device)

    def __init__(self, devices=1, compute=works, *, version="14.0.0", driver=12090, built=12090,
                 is_hip=False):  # fmt: skip
        super().__init__("cupy")
        self.__version__ = version
        self.arange = compute
        self.devices = devices
        self.cuda = types.SimpleNamespace(
            runtime=types.SimpleNamespace(
                getDeviceCount=self.count, getDevice=lambda: 0, is_hip=is_hip,
                driverGetVersion=lambda: driver, runtimeGetVersion=lambda: built,
                memGetInfo=lambda: (700, 1000),
            )
        )  # fmt: skip
        self.pool = types.SimpleNamespace(emptied=0, free_all_blocks=self.empty)
        self.get_default_memory_pool = lambda: self.pool

    def count(self):
        if isinstance(self.devices, Exception):
            raise self.devices
        return self.devices

    def empty(self):
        self.pool.emptied += 1


def install(monkeypatch, cupy, wheels=("cupy-cuda12x",)):
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(cupy_backend, "_wheels", lambda: wheels)


def no_library(n):
    raise OSError("libnvrtc.so.12: cannot open shared object file")


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ({"driver": 0}, "no NVIDIA driver: install one"),
        (
            {"driver": 12020, "built": 13000},
            r"for CUDA 13.0, but the NVIDIA driver is for CUDA 12.2 at most: update.*cuda12x",
        ),
        ({"version": "13.6.0"}, "14 or newer is needed: pip install"),
        ({"is_hip": True}, "AMD's ROCm"),
        ({"devices": RuntimeError("cudaErrorNoDevice")}, "finds no GPU .*NoDevice"),
        ({"devices": 0}, "there is no GPU"),
        ({"compute": no_library}, "libnvrtc.*pip install"),
    ],
)
def test_a_cupy_that_cannot_compute_says_why(monkeypatch, found, text):
    cupy = FakeCupy(**found)
    install(monkeypatch, cupy)
    with pytest.raises(BackendError, match=f"CuPy {cupy.__version__} is installed.*{text}"):
        get_backend("cupy")


def test_two_wheels_of_cupy_are_refused_before_they_are_imported(monkeypatch):
    install(monkeypatch, None, ("cupy-cuda12x", "cupy-cuda13x"))
    with pytest.raises(BackendError, match="pip uninstall cupy-cuda12x cupy-cuda13x, then pip"):
        get_backend("cupy")


def test_a_driver_of_the_same_cuda_serves_whatever_its_minor_version(monkeypatch):
    install(monkeypatch, FakeCupy(driver=12020, built=12090))
    assert get_backend("cupy").name == "cupy"


def test_an_array_on_another_gpu_is_refused_as_a_feed(monkeypatch):
    cupy = FakeCupy(devices=2)
    install(monkeypatch, cupy)
    backend = get_backend("cupy")
    there = cupy.ndarray(1)
    assert backend.owns(there) and not backend.misplaced(cupy.ndarray(0))
    graph = gn.Graph(y=ReLU()(gn.Input("x", ("N", 2))))
    with pytest.raises(gn.FeedError, match=r"'x': the array lies on GPU 1 .* GPU 0; .*asarray"):
        check_feeds(graph, {"x": there}, None, backend)


def test_an_array_of_cupy_is_no_feed_of_numpy(monkeypatch):
    array = type("ndarray", (), {"__module__": "cupy._core.core"})()
    net = gn.Executor(gn.Graph(y=ReLU()(gn.Input("x", ("N", 2)))))
    with pytest.raises(gn.FeedError, match=r"received cupy.ndarray; bring it over with array.get"):
        net.forward(x=array)


def test_memory_that_nobody_uses_is_given_back(monkeypatch):
    cupy = FakeCupy()
    install(monkeypatch, cupy)
    assert get_backend("cupy").release() == 700
    assert cupy.pool.emptied == 1
    assert get_backend("numpy").release() is None


def test_here_a_cupy_without_a_gpu_says_what_is_missing():
    if cupy_works():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(BackendError, match=r"not installed|driver|GPU"):
        get_backend("cupy")


# -- strict: nothing moves to the host unseen


@pytest.mark.parametrize(
    "convert",
    [
        np.asarray,
        np.array,
        float,
        int,
        complex,
        bool,
        list,
        iter,
        operator.index,
        operator.methodcaller("item"),
        operator.methodcaller("tolist"),
        operator.methodcaller("tobytes"),
        operator.methodcaller("get"),
        lambda x: 1.0 in x,
        lambda x: range(3)[x],
        lambda x: [1, 2, 3][:x],
        lambda x: np.zeros(3)[x],
        lambda x: f"{x:.1f}",
    ],
)
def test_a_strict_array_refuses_to_leave_the_device(strict, convert):
    with pytest.raises(TypeError):
        convert(strict.from_host(np.array(1)))


@pytest.mark.parametrize(
    "call",
    [np.sum, np.exp, np.concatenate, np.atleast_1d, lambda x: np.add(x, 1), lambda x: np.dot(x, x)],
)
def test_numpy_functions_refuse_a_strict_array(x, call):
    with pytest.raises(TypeError):
        call(x)


def test_the_refusal_names_the_way_over(x):
    with pytest.raises(TypeError, match="to_host"):
        np.asarray(x)
    with pytest.raises(TypeError, match="from_host"):
        x + np.ones(3)


@pytest.mark.parametrize("name", ["data", "flat", "device", "__array_interface__", "__dlpack__"])
def test_a_strict_array_shows_no_memory(x, name):
    assert not hasattr(x, name)


ARITHMETIC = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
    operator.pow, divmod, operator.eq, operator.ne, operator.lt, operator.le, operator.gt,
    operator.ge,
]  # fmt: skip
BITWISE = [operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift]
IN_PLACE = [
    operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv,
    operator.imod, operator.ipow,
]  # fmt: skip
IN_PLACE_BITWISE = [
    operator.iand, operator.ior, operator.ixor, operator.ilshift, operator.irshift
]  # fmt: skip


@pytest.mark.parametrize(
    "apply", [*ARITHMETIC, *BITWISE, *IN_PLACE, *IN_PLACE_BITWISE, operator.matmul]
)
@pytest.mark.parametrize("host", [np.ones((2, 3), int), np.array(2), [1, 2, 3], None, "1"])
def test_operators_refuse_all_but_strict_arrays_and_scalars(strict, apply, host):
    array = strict.from_host(np.ones((2, 3), int))
    with pytest.raises(TypeError):
        apply(array, host)
    if isinstance(host, np.ndarray) and apply not in (*IN_PLACE, *IN_PLACE_BITWISE):
        with pytest.raises(TypeError):
            apply(host, array)


@pytest.mark.parametrize("apply", [*ARITHMETIC, *BITWISE])
def test_operators_compute_what_numpy_computes(strict, apply):
    a, b = np.array([[5, 2, 7], [1, 4, 3]]), np.array([1, 2, 3])
    cases = [(a, b, apply(strict.from_host(a), strict.from_host(b)))]
    cases += [(a, 2, apply(strict.from_host(a), 2)), (2, a, apply(2, strict.from_host(a)))]
    cases += [(a, np.int64(2), apply(strict.from_host(a), np.int64(2)))]
    for left, right, result in cases:
        expected = apply(left, right)
        if not isinstance(expected, tuple):
            expected, result = (expected,), (result,)
        for want, got in zip(expected, result, strict=True):
            np.testing.assert_array_equal(strict.to_host(got), want)
            assert got.dtype == want.dtype


@pytest.mark.parametrize("apply", [operator.neg, operator.pos, abs, operator.invert])
def test_unary_operators_compute_what_numpy_computes(strict, apply):
    host = np.array([-1, 2, -3])
    np.testing.assert_array_equal(strict.to_host(apply(strict.from_host(host))), apply(host))


@pytest.mark.parametrize("apply", [*IN_PLACE, *IN_PLACE_BITWISE])
def test_in_place_operators_write_where_the_array_lies(strict, apply):
    host = np.array([4, 5, 6]) if apply in IN_PLACE_BITWISE else np.array([4.0, 5.0, 6.0])
    array = strict.from_host(host)
    view, same = array[:], array
    assert apply(array, 2) is same
    np.testing.assert_array_equal(strict.to_host(view), apply(host, 2))


def test_in_place_matrix_product_makes_a_new_array_as_in_cupy(strict):
    array = strict.from_host(np.eye(2))
    before = array
    array @= array
    assert array is not before
    assert not shares_memory(array, before)


@pytest.mark.parametrize("right", [(3,), (3, 4), (2, 3, 1)])
def test_matrix_products_compute_what_numpy_computes(strict, right):
    a, b = np.arange(6.0).reshape(2, 3), np.arange(np.prod(right, dtype=int)).reshape(right) * 1.0
    np.testing.assert_array_equal(strict.to_host(strict.from_host(a) @ strict.from_host(b)), a @ b)


def test_python_scalars_promote_weakly_and_numpy_scalars_do_not(x):
    assert (x * 2.0).dtype == np.float32
    assert (3.0 - x).dtype == np.float32
    assert (x * np.float64(2.0)).dtype == np.float64
    assert (x.sum() * 2.0).dtype == np.float32


# -- strict: indexing, shapes and memory


@pytest.mark.parametrize(
    "key",
    [
        0,
        -1,
        np.int64(1),
        slice(None, None, -1),
        (0, 1),
        (..., 0),
        (None, 1),
        (slice(None), 1, None),
    ],
)
def test_basic_indexing_is_a_view_of_strict_memory(strict, x, key):
    part = x[key]
    assert isinstance(part, StrictArray)
    assert shares_memory(part, x)
    np.testing.assert_array_equal(strict.to_host(part), strict.to_host(x)[key])
    part[...] = 9.0
    expected = np.arange(6, dtype=np.float32).reshape(2, 3)
    expected[key] = 9.0
    np.testing.assert_array_equal(strict.to_host(x), expected)


def test_strict_arrays_index_by_number_and_by_mask(strict, x):
    rows = strict.from_host(np.array([1, 0]))
    host = strict.to_host(x)
    np.testing.assert_array_equal(strict.to_host(x[rows]), host[[1, 0]])
    np.testing.assert_array_equal(strict.to_host(x[rows, rows]), host[[1, 0], [1, 0]])
    np.testing.assert_array_equal(strict.to_host(x[x > 2]), host[host > 2])
    assert not shares_memory(x[rows], x)
    x[x > 2] = 0.0
    x[rows, 0] = strict.from_host(np.array([7.0, 8.0]))
    np.testing.assert_array_equal(strict.to_host(x), [[8, 1, 2], [7, 0, 0]])


@pytest.mark.parametrize("key", [np.array([0, 1]), [0, 1], (slice(None), np.array(0)), "a", 1.0])
def test_an_index_from_the_host_is_refused(x, key):
    with pytest.raises(TypeError, match="as an index"):
        x[key]
    with pytest.raises(TypeError, match="as an index"):
        x[key] = 1.0


@pytest.mark.parametrize("value", [np.zeros(3), np.array(0.0), [0.0, 1.0, 2.0]])
def test_a_value_from_the_host_is_not_assigned(x, value):
    with pytest.raises(TypeError, match="from_host"):
        x[0] = value


def test_single_elements_and_reductions_stay_arrays(x):
    for single in (x[0, 0], x.sum(), x.max(), x.mean(), x.argmax(), x[0] @ x[1]):
        assert isinstance(single, StrictArray)
        assert single.shape == ()


def test_shape_attributes_are_those_of_the_memory(x):
    assert (x.shape, x.ndim, x.size, len(x)) == ((2, 3), 2, 6, 2)
    assert (x.dtype, x.itemsize, x.nbytes, x.strides) == (np.float32, 4, 24, (12, 4))
    assert x.T.shape == x.mT.shape == (3, 2)
    assert (x.flags.c_contiguous, x.T.flags.c_contiguous, x.T.flags.f_contiguous) == (
        True,
        False,
        True,
    )
    assert x.flags.owndata or x.base is not None
    assert shares_memory(x[0].base, x)


@pytest.mark.parametrize(
    ("call", "shared"),
    [
        (lambda x: x.reshape(3, 2), True),
        (lambda x: x.reshape((6,)), True),
        (lambda x: x.T.reshape(6), False),
        (lambda x: x.transpose(1, 0), True),
        (lambda x: x.swapaxes(0, 1), True),
        (lambda x: x.ravel(), True),
        (lambda x: x.squeeze(), True),
        (lambda x: x.view("int32"), True),
        (lambda x: x.real, True),
        (lambda x: x.copy(), False),
        (copy.copy, False),
        (copy.deepcopy, False),
        (lambda x: x.astype("float64"), False),
        (lambda x: x.repeat(2, axis=0), False),
        (lambda x: x.__array_namespace__().ascontiguousarray(x), True),
        (lambda x: x.__array_namespace__().broadcast_to(x, (4, 2, 3)), True),
    ],
)
def test_views_share_memory_and_copies_do_not(x, call, shared):
    assert shares_memory(call(x), x) == shared


@pytest.mark.parametrize(
    "name",
    ["sum", "mean", "max", "min", "argmax", "argmin", "any", "all", "var", "std", "prod", "cumsum"],
)
def test_methods_compute_what_numpy_computes(strict, x, name):
    host = strict.to_host(x)
    for arguments in ({}, {"axis": 0}, {"axis": 1}):
        result = getattr(x, name)(**arguments)
        expected = getattr(host, name)(**arguments)
        np.testing.assert_array_equal(strict.to_host(result), expected)
        assert result.dtype == expected.dtype


def test_methods_that_change_the_array_do_so(strict, x):
    x.fill(2.0)
    np.testing.assert_array_equal(strict.to_host(x.clip(0.0, 1.5)), np.full((2, 3), 1.5))
    np.testing.assert_array_equal(
        strict.to_host(x.take(strict.from_host(np.array([1])), axis=1)), [[2], [2]]
    )
    assert [part.shape for part in x.nonzero()] == [(6,), (6,)]


# -- strict: CuPy's names and keywords, and no others


@pytest.mark.parametrize(
    "name", ["asmatrix", "vecdot", "nancorrcoef", "lib.scimath", "matrix", "random"]
)
def test_a_name_that_cupy_lacks_is_refused(strict, name):
    with pytest.raises(AttributeError, match="cupy"):
        operator.attrgetter(name)(strict.xp)


@pytest.mark.parametrize("name", ["sum_", "newbyteorder", "setflags", "to_device", "itemset"])
def test_a_method_that_cupy_lacks_is_refused(x, name):
    with pytest.raises(AttributeError, match=r"cupy\.ndarray has no"):
        getattr(x, name)


@pytest.mark.parametrize(
    "call",
    [
        lambda xp, x: xp.sum(x, where=x > 0),
        lambda xp, x: xp.max(x, initial=0.0),
        lambda xp, x: xp.add(x, x, where=True),
        lambda xp, x: xp.argsort(x, stable=True),
        lambda xp, x: xp.reshape(x, shape=(6,)),
        lambda xp, x: x.sum(initial=1.0),
        lambda xp, x: x.mean(where=x > 0),
    ],
)
def test_a_keyword_that_cupy_lacks_is_refused(strict, x, call):
    with pytest.raises(TypeError, match="takes no argument"):
        call(strict.xp, x)


@pytest.mark.parametrize(
    "call",
    [
        lambda xp, host: xp.sum(host),
        lambda xp, host: xp.asarray(host),
        lambda xp, host: xp.concatenate([xp.ones((2, 3)), host]),
        lambda xp, host: xp.where(xp.ones((2, 3)) > 0, host, 0.0),
        lambda xp, host: xp.zeros_like(host),
        lambda xp, host: xp.add(xp.ones((2, 3)), host),
        lambda xp, host: xp.add(xp.ones(3), [1.0, 2.0, 3.0]),
        lambda xp, host: xp.exp(xp.ones((2, 3)), out=host),
        lambda xp, host: xp.ones((2, 3)).dot(host.T),
    ],
)
def test_functions_refuse_arrays_of_the_host(strict, call):
    with pytest.raises(TypeError, match="from_host"):
        call(strict.xp, np.ones((2, 3)))


@pytest.mark.parametrize(
    "call",
    [
        lambda xp, x: xp.exp(x),
        lambda xp, x: xp.sum(x, axis=(0, 1), keepdims=True),
        lambda xp, x: xp.maximum(x, 3),
        lambda xp, x: xp.where(x > 2, x, 0.0),
        lambda xp, x: xp.concatenate([x, x], axis=1),
        lambda xp, x: xp.stack((x, x)),
        lambda xp, x: xp.split(x, 3, axis=1)[1],
        lambda xp, x: xp.einsum("ij,kj->ik", x, x),
        lambda xp, x: xp.tensordot(x, x, axes=([1], [1])),
        lambda xp, x: xp.linalg.norm(x),
        lambda xp, x: xp.linalg.svd(x)[1],
        lambda xp, x: xp.take_along_axis(x, xp.argsort(x, axis=1), axis=1),
        lambda xp, x: xp.pad(x, ((1, 0), (0, 2))),
        lambda xp, x: xp.lib.stride_tricks.as_strided(x, shape=(2, 2, 2), strides=(12, 4, 4)),
        lambda xp, x: xp.add.reduce(x, axis=0),
        lambda xp, x: xp.full((2,), 1.5, dtype=xp.float32) * xp.pi,
        lambda xp, x: xp.arange(3, dtype="float32") + x,
        lambda xp, x: x[xp.newaxis, ...],
        lambda xp, x: xp.array([1.0, xp.inf]),
        lambda xp, x: xp.modf(x)[1],
    ],
)
def test_functions_compute_what_numpy_computes(strict, x, call):
    expected = call(np, strict.to_host(x))
    result = call(strict.xp, x)
    assert isinstance(result, StrictArray)
    assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(strict.to_host(result), expected)


def test_scatter_additions_change_the_array(strict):
    array = strict.from_host(np.zeros(3))
    index = strict.from_host(np.array([0, 2, 2]))
    assert strict.xp.add.at(array, index, strict.from_host(np.ones(3))) is None
    np.testing.assert_array_equal(strict.to_host(array), [1, 0, 2])


def test_ufunc_methods_are_those_that_cupy_serves(strict):
    assert hasattr(strict.xp.maximum, "at")
    assert not hasattr(strict.xp.maximum, "reduce")
    assert not hasattr(strict.xp.multiply, "at")


def test_out_is_written_and_returned(strict, x):
    out = strict.xp.empty_like(x)
    assert strict.xp.exp(x, out=out) is out
    np.testing.assert_array_equal(strict.to_host(out), np.exp(strict.to_host(x)))


def test_answers_that_cupy_gives_on_the_device_stay_there(strict, x):
    for answer in (strict.xp.allclose(x, x), strict.xp.array_equal(x, x), strict.xp.all(x >= 0)):
        assert isinstance(answer, StrictArray)
        with pytest.raises(TypeError):
            bool(answer)


def test_dtypes_constants_and_the_array_type_are_there(strict, x):
    xp = strict.xp
    assert xp.float32 is np.float32
    assert xp.dtype("int8") == np.int8
    assert xp.finfo(xp.float32).eps == np.finfo(np.float32).eps
    assert (xp.pi, xp.newaxis) == (np.pi, None)
    assert isinstance(x, xp.ndarray)
    assert xp.result_type(x, 1.0) == np.float32


def test_a_strict_array_has_no_operator_that_cupy_lacks():
    own = {"__array_namespace__", "__contains__", "__getattr__", "__index__", "_data"}
    offered = {name for name in vars(StrictArray) if not hasattr(object, name)} - own
    assert {name for name in offered if not cupy_names.has(f"ndarray.{name}")} == set()


# -- strict: what is counted


def test_explicit_transfers_are_counted_and_nothing_else(strict):
    assert (strict.transfers.to_device, strict.transfers.to_host) == (0, 0)
    x = strict.from_host(np.ones(4))
    y = strict.xp.exp(x * 2.0).sum()
    assert (strict.transfers.to_device, strict.transfers.to_host) == (1, 0)
    strict.to_host(y)
    strict.to_host(x)
    assert (strict.transfers.to_device, strict.transfers.to_host) == (1, 2)
    assert get_backend("strict").transfers.to_host == 0


def test_the_list_tells_values_methods_and_keywords():
    assert cupy_names.has("pi")
    assert cupy_names.has("ndarray.T")
    assert not cupy_names.has("erf")
    assert cupy_names.accepts("concatenate", "axis")
    assert cupy_names.accepts("einsum", "optimize")
