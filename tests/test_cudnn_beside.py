"""What is computed by cuDNN or the layer below, whichever is faster in each direction."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from graphnet.kernels import cudnn
from graphnet.kernels.cudnn import choice
from graphnet.kernels.wide import Wide
from graphnet.testing import Case
from ops import BatchNorm, BatchNormReLU, Linear, MatMul, Spec
from tests.frontend.on_numpy import TF32, TOLERANCE
from tests.test_cpu_kernels import compare

pytestmark = pytest.mark.usefixtures("frontend")

#: The names of those whose every direction is measured beside the layer below, and specs of each.
BESIDE = {
    "linear": (Linear(6), (Spec((5, 8)), Spec((6, 8)), Spec((6,))), {"tf32": True}),
    "matmul": (MatMul(), (Spec((2, 3, 4)), Spec((2, 4, 6))), {"tf32": True}),
    "normalization": (BatchNormReLU(), (Spec((5, 8, 2, 3)), *[Spec((8,))] * 4, None), {}),
    "residual": (
        BatchNormReLU(), (Spec((5, 8, 2, 3)), *[Spec((8,))] * 4, Spec((5, 8, 2, 3))), {},
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (name, wanted)
        for name, (_, _, options) in BESIDE.items()
        for wanted in itertools.product(("cudnn", "below"), repeat=3 if options else 2)
    ],
)
def test_each_direction_is_by_whoever_is_faster(monkeypatch, tmp_path, name, wanted):
    operator, specs, options = BESIDE[name]
    wanted = list(wanted)
    left = []
    monkeypatch.setattr(
        choice, "_seconds",
        lambda found, plan, bind: 1 if plan else 0 if left.pop(0) == "below" else 2,
    )  # fmt: skip

    def prepared():
        left[:] = wanted
        return cudnn.prepare(operator, specs, **options)

    kernel = prepared()
    kept = json.loads((tmp_path / "cudnn.json").read_text())
    assert not left and len(kept) == len(wanted)
    below = "cublas" if options else "cuda"
    assert [value == below for value in kept.values()] == [who == "below" for who in wanted]
    choice.KEPT.forget()
    if "cudnn" not in wanted:
        assert kernel is None and prepared() is None and left == wanted
        return
    methods = kernel.method.split("/")
    assert [method == below for method in methods] == [who == "below" for who in wanted]
    # what was kept is not measured again
    assert prepared().method == kernel.method and left == wanted
    rng = np.random.default_rng(0)
    arrays = [s and rng.normal(size=s.shape).astype("float32") for s in specs]
    if not options:
        arrays[4] = np.abs(arrays[4])
    compare(kernel, Case(operator, tuple(arrays), 0), TF32 if options else TOLERANCE)


@pytest.mark.parametrize("name", BESIDE)
def test_at_inference_forward_alone_is_measured(monkeypatch, tmp_path, name):
    operator, specs, options = BESIDE[name]
    kernel = cudnn.prepare(operator, specs, forward_alone=True, **options)
    assert not kernel.terms.differentiable
    assert len(json.loads((tmp_path / "cudnn.json").read_text())) == 1


@pytest.mark.parametrize("operation", ["matmul", "batchnorm", "batchnorm_backward"])
def test_a_direction_that_cudnn_refuses_is_left_to_the_layer_below(frontend, operation):
    frontend.refuses = lambda kinds: operation in kinds
    product = cudnn.prepare(Linear(6), BESIDE["linear"][1], tf32=True)
    assert (product is None) == (operation == "matmul")
    normalization = cudnn.prepare(BatchNormReLU(), BESIDE["normalization"][1])
    if operation == "matmul":
        assert "cuda" not in normalization.method
    else:
        own = normalization.method.split("/").index("cuda")
        assert own == (operation == "batchnorm_backward")


def test_products_and_normalizations_that_are_not_served_are_left_to_others():
    linear, wide = BESIDE["linear"][1], BESIDE["normalization"][1]
    # float32 is not rounded unless that is asked for
    assert cudnn.prepare(Linear(6), linear) is None
    assert cudnn.prepare(MatMul(), BESIDE["matmul"][1]) is None
    half = tuple(Spec(spec.shape, "float16") for spec in linear)
    assert cudnn.prepare(Wide(Linear(6), "float16"), half) is None
    # matrices that are repeated
    assert cudnn.prepare(MatMul(), (Spec((2, 3, 4)), Spec((1, 4, 6))), tf32=True) is None
    # parts of sums may be rounded in ways that are not told
    assert cudnn.prepare(BatchNormReLU(), wide, exact=True) is None
    # statistics in half precision
    assert cudnn.prepare(BatchNorm(), tuple(Spec(s.shape, "float16") for s in wide[:5])) is None
    # channels that are read four at once, or eight
    narrow = (Spec((5, 6, 2, 3)), *[Spec((6,))] * 4)
    assert cudnn.prepare(BatchNorm(), narrow) is None
    narrow = (Spec((5, 12, 2, 3), "float16"), *[Spec((12,))] * 4)
    assert cudnn.prepare(Wide(BatchNorm(), "float16"), narrow) is None
