"""Linear layers and matrix products by cuDNN, in TF32 and half precision."""

from __future__ import annotations

import functools
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphnet.backends.bfloat16 import register_bfloat16
from graphnet.kernels import cudnn
from ops import Linear, MatMul, Spec
from tests.frontend.on_numpy import TF32, UNITS, expect_rounded, same_library
from tests.test_cpu_kernels import compare_every_record

pytestmark = pytest.mark.usefixtures("frontend")


#: What is held to the reference on every record.
PRODUCTS = (Linear, MatMul)


@pytest.mark.parametrize("operator", PRODUCTS)
def test_products_in_tf32_agree_with_the_reference_on_every_record(executed, operator):
    rounded = types.SimpleNamespace(prepare=functools.partial(cudnn.prepare, tf32=True))
    compare_every_record(operator, rounded, tolerance=TF32, placed=executed)


@given(
    rows=st.integers(1, 9), features=st.integers(1, 9), units=st.integers(1, 9),
    bias=st.booleans(), dtype=st.sampled_from(sorted(UNITS)), seed=st.integers(0, 100),
)  # fmt: skip
@same_library
def test_linear_layers_in_half_precision_are_rounded_once(
    executed, rows, features, units, bias, dtype, seed
):
    register_bfloat16()
    rng = np.random.default_rng(seed)
    operator = Linear(units, bias=bias, axis=-1)
    shapes = [(rows, 3, 2 * features), (units, 2 * features), (units,)][: 2 + bias]
    arrays = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    kernel = cudnn.prepare(operator, tuple(Spec(a.shape, dtype) for a in arrays))
    assert kernel is not None
    assert "cublas" not in kernel.method or units % 2
    wanted, wide_saved = operator.forward(*(a.astype("float64") for a in arrays))
    y, saved = executed(kernel).forward(*arrays)
    expect_rounded(y, wanted, dtype)
    dy = rng.normal(size=y.shape).astype(dtype)
    expected = operator.backward(wide_saved, dy.astype("float64"), (True,) * 3)
    for needs in ((True, True, bias), (True, False, False), (False, True, False)):
        found = executed(kernel).backward(saved, dy, needs[: len(arrays)])
        for gradient, right, need in zip(found, expected, needs, strict=False):
            assert (gradient is not None) == need
            if need:
                expect_rounded(gradient, right, dtype)


@given(
    leading=st.sampled_from(((), (3,), (2, 3))), shared=st.booleans(), rows=st.integers(1, 5),
    inner=st.integers(1, 5), columns=st.integers(1, 5), dtype=st.sampled_from(sorted(UNITS)),
)  # fmt: skip
@same_library
def test_products_of_equally_many_matrices_in_half_precision(
    executed, leading, shared, rows, inner, columns, dtype
):
    register_bfloat16()
    rng = np.random.default_rng(rows)
    shapes = (*leading, rows, 2 * inner), (*(() if shared else leading), 2 * inner, 2 * columns)
    arrays = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    kernel = cudnn.prepare(MatMul(), tuple(Spec(a.shape, dtype) for a in arrays))
    assert kernel is not None and "cublas" not in kernel.method
    wanted, wide_saved = MatMul().forward(*(a.astype("float64") for a in arrays))
    y, saved = executed(kernel).forward(*arrays)
    expect_rounded(y, wanted, dtype)
    dy = rng.normal(size=y.shape).astype(dtype)
    expected = MatMul().backward(wide_saved, dy.astype("float64"), (True, True))
    for needs in ((True, True), (True, False), (False, True)):
        for gradient, right, need in zip(
            executed(kernel).backward(saved, dy, needs), expected, needs, strict=True
        ):
            assert (gradient is not None) == need
            if need:
                expect_rounded(gradient, right, dtype)
