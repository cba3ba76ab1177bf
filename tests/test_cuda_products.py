"""Products of matrices by cuBLAS, and what a bias needs beside them."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphnet.kernels.cuda import device
from graphnet.kernels.cuda.products import SIGNATURES, Matrices
from ops import Spec
from tests.emulator.on_numpy import same_device

pytestmark = pytest.mark.usefixtures("on_numpy")


@given(
    n=st.integers(1, 5),
    k=st.integers(1, 6),
    m=st.integers(1, 5),
    batch=st.integers(1, 3),
    turned=st.tuples(st.booleans(), st.booleans()),
    adds=st.booleans(),
    dtype=st.sampled_from(("float32", "float16")),
    seed=st.integers(0, 1000),
)
@same_device
def test_products_of_all_transposes_are_those_of_numpy(
    on_numpy, n, k, m, batch, turned, adds, dtype, seed
):
    rng = np.random.default_rng(seed)
    a, b, c = (
        rng.normal(size=(batch, *shape)).astype(dtype)
        for shape in ((k, n) if turned[0] else (n, k), (m, k) if turned[1] else (k, m), (n, m))
    )
    before = c.astype("float64") if adds else 0
    wide = [x.astype("float64").swapaxes(1, 2) if t else x.astype("float64")
            for x, t in zip((a, b), turned, strict=True)]  # fmt: skip
    given_ = (Matrices(x, *x.shape[1:], t) for x, t in zip((a, b), turned, strict=True))
    on_numpy.products.bound(*given_, Matrices(c, n, m), batch=batch, adds=adds)()
    bound = 2**-9 if dtype == "float16" else 1e-6
    np.testing.assert_allclose(c, wide[0] @ wide[1] + before, rtol=bound, atol=4 * bound)


def test_what_cublas_refuses_is_an_error_with_its_status(on_numpy):
    x = np.ones((2, 2), "float32")
    product = on_numpy.products.bound(*(Matrices(x, 2, 2) for _ in range(3)))
    on_numpy.library.HANDLE = 78
    with pytest.raises(RuntimeError, match="cublasSetStream_v2 of cuBLAS failed with status 7"):
        product()


def test_the_library_has_all_functions_that_are_called():
    pathfinder = pytest.importorskip("cuda.pathfinder")
    try:
        path = pathfinder.load_nvidia_dynamic_lib("cublas").abs_path
    except RuntimeError:
        pytest.skip("cuBLAS is not installed")
    library = ctypes.CDLL(Path(path).name)  # by its name, as it is loaded already
    for name in SIGNATURES:
        assert getattr(library, name)


@given(rows=st.integers(1, 60), channels=st.integers(1, 70), half=st.booleans())
@same_device
def test_sums_of_columns_end_in_double(rows, channels, half):
    from graphnet.kernels.cuda.columns import Columns

    rng = np.random.default_rng(rows)
    dtype = "float16" if half else "float32"
    x = rng.normal(size=(rows, channels)).astype(dtype)
    columns = Columns(device.get_device(), Spec(x.shape, dtype))
    sums, space = np.zeros(channels, dtype), np.zeros(columns.nbytes, "uint8")
    columns.summed(x, sums, space)()
    wanted = x.astype("float64").sum(axis=0).astype(dtype)
    np.testing.assert_allclose(sums, wanted, rtol=1e-3 if half else 1e-5, atol=1e-5)
    bias = rng.normal(size=channels).astype(dtype)
    y = x.copy()
    columns.shifted(y, bias)()
    np.testing.assert_array_equal(y, (x.astype("float32") + bias.astype("float32")).astype(dtype))
