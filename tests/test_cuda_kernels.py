"""The kernels of the card: what they compute, run on the processor, and that they compile."""

from __future__ import annotations

import ctypes
import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import graphnet as gn
from graphnet.backends import get_backend
from graphnet.kernels import cuda
from graphnet.kernels.chain import Chain, Fixed
from graphnet.kernels.cuda import device
from graphnet.kernels.cuda import provider as cuda_provider
from graphnet.kernels.cuda.elementwise import CudaElementwise, written
from graphnet.kernels.cuda.formulas import FORMULAS, LARGEST, Formula, literal
from graphnet.kernels.cuda.kernel import INTEGERS, UNITS
from graphnet.kernels.cuda.losses import CURVES
from graphnet.kernels.cuda.optimizers import NUMBERS, UPDATES
from graphnet.kernels.cuda.products import SIGNATURES, Matrices
from graphnet.kernels.cuda.resize import Table, resize_source
from graphnet.kernels.cuda.strided import map_source, sum_source
from graphnet.testing import Case
from ops import (
    ELU,
    GELU,
    Abs,
    Add,
    AvgPool,
    BatchNorm,
    BatchNormInference,
    BatchNormInferenceReLU,
    BatchNormReLU,
    BinaryCrossEntropy,
    Cast,
    Clip,
    Concat,
    Divide,
    Dropout,
    Embedding,
    Erf,
    Exp,
    Expand,
    Flatten,
    Gather,
    GlobalAvgPool,
    GroupNorm,
    HardSigmoid,
    HardSwish,
    Huber,
    Identity,
    InstanceNorm,
    L1Loss,
    L2Penalty,
    LayerNorm,
    LeakyReLU,
    Linear,
    Log,
    LogSoftmax,
    MatMul,
    Maximum,
    MaxPool,
    Mean,
    MeanSquaredError,
    Minimum,
    Mish,
    Multiply,
    Neg,
    Pad,
    Power,
    PReLU,
    Reciprocal,
    ReLU,
    Reshape,
    Resize,
    RMSNorm,
    ScaledDotProductAttention,
    Sigmoid,
    SiLU,
    Slice,
    Softmax,
    SoftmaxCrossEntropy,
    Softplus,
    Softsign,
    Spec,
    Split,
    Sqrt,
    Squeeze,
    Stack,
    Subtract,
    Sum,
    Tanh,
    Tile,
    Transpose,
    Unsqueeze,
    Where,
)
from ops.operator import Operator
from tests.cards import cupy_works
from tests.emulator import EmulatedDevice, expect_launchable
from tests.test_cpu_kernels import compare, compare_every_record

SOURCES = sorted(path.name for path in Path(device.__file__).parent.glob("*.cu"))
#: The device of the kernels where there is a card, made when a test first asks for it.
CARD = device.get_device
#: Error beside the reference in float64, relative to the largest entry; see ``PLACED`` of the
#: kernels of the processor.
TOLERANCE = 1e-4

#: For tests whose fixture says no more than which device is meant.
same_device = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


class OnNumPy(EmulatedDevice):
    """Kernels that take NumPy arrays."""

    def __init__(self) -> None:
        super().__init__()
        self.xp = np


@pytest.fixture(autouse=True)
def on_numpy(monkeypatch):
    found = OnNumPy()
    monkeypatch.setattr(device, "get_device", lambda: found)
    return found


class OnCard:
    """A kernel of the card that takes and gives NumPy arrays."""

    def __init__(self, kernel):
        self._kernel, self._backend, self.terms = kernel, get_backend("cupy"), kernel.terms

    def forward(self, *arrays):
        results, saved = self._kernel.forward(*map(self._over, arrays))
        return self._back(results), saved

    def backward(self, saved, dy, needs):
        there = tuple(map(self._over, dy)) if isinstance(dy, tuple) else self._over(dy)
        return self._back(self._kernel.backward(saved, there, needs))

    def _over(self, array):
        return None if array is None else self._backend.from_host(array)

    def _back(self, found):
        if isinstance(found, tuple):
            return tuple(map(self._back, found))
        return None if found is None else self._backend.to_host(found)


@pytest.fixture(params=["emulated", pytest.param("cupy", marks=pytest.mark.gpu)])
def placed(request, monkeypatch):
    """What makes of a kernel one for NumPy arrays, emulated or on the card."""
    if request.param == "emulated":
        return lambda kernel: kernel
    if not cupy_works():
        pytest.skip("no CUDA device")
    card = CARD()
    monkeypatch.setattr(device, "get_device", lambda: card)
    return OnCard


@pytest.mark.parametrize(
    "operator",
    [Abs, Add, AvgPool, BatchNorm, BatchNormInference, BatchNormInferenceReLU, BatchNormReLU,
     BinaryCrossEntropy, Clip, Concat, Divide, ELU, Embedding, Erf, Exp, Expand, Flatten, Gather,
     GELU, GlobalAvgPool, GroupNorm, HardSigmoid, HardSwish, Huber, Identity, InstanceNorm, L1Loss,
     L2Penalty, LayerNorm, LeakyReLU, Linear, Log, LogSoftmax, MatMul, Maximum, MaxPool, Mean,
     MeanSquaredError, Minimum, Mish, Multiply, Neg, Pad, Power, PReLU, Reciprocal, ReLU, Reshape,
     RMSNorm, ScaledDotProductAttention, Sigmoid, SiLU, Slice, Softmax, SoftmaxCrossEntropy,
     Softplus, Softsign, Split, Sqrt, Squeeze, Stack, Subtract, Sum, Tanh, Tile, Transpose,
     Unsqueeze, Where],
)  # fmt: skip
def test_kernels_agree_with_the_reference_on_every_record(placed, operator):
    compare_every_record(operator, cuda, tolerance=TOLERANCE, placed=placed)


def test_every_operator_with_a_kernel_is_among_those_compared():
    named = test_kernels_agree_with_the_reference_on_every_record.pytestmark[0].args[1]
    served = {*FORMULAS, *cuda_provider.KINDS}
    # those have tests of their own; each resizing is a source, and takes a while to compile
    assert served - set(named) == {Cast, Dropout, Resize}


#: The fields that the kernels take account of, or refuse where they are not the default.
FIELDS = {
    PReLU: {"shared", "init"},
    Resize: {
        "size",
        "scale",
        "mode",
        "coordinates",
        "nearest",
        "cubic_coefficient",
        "exclude_outside",
        "antialias",
    },
    GroupNorm: {"groups", "eps"},
    InstanceNorm: {"eps"},
    RMSNorm: {"axis", "eps"},
    Clip: {"low", "high"},
    ELU: {"alpha"},
    HardSigmoid: {"alpha", "beta"},
    BinaryCrossEntropy: {"from_logits", "reduction"},
    Huber: {"delta", "reduction"},
    L1Loss: {"reduction"},
    L2Penalty: {"strength"},
    MeanSquaredError: {"reduction"},
    Concat: {"axis"},
    Embedding: {"vocabulary", "features", "padding_index"},
    Expand: {"shape"},
    Gather: {"axis"},
    LogSoftmax: {"axis"},
    Mean: {"axis", "keepdims"},
    Pad: {"padding", "value", "mode"},
    ScaledDotProductAttention: {
        "heads",
        "causal",
        "scale",
        "key_value_heads",
        "past",
        "window",
        "softcap",
    },
    Slice: {"starts", "ends", "axes", "steps"},
    Softmax: {"axis"},
    Split: {"parts", "axis"},
    Stack: {"axis"},
    Sum: {"axis", "keepdims"},
    Tile: {"repeats"},
    Transpose: {"axes"},
    AvgPool: {"kernel_size", "stride", "padding", "dilation", "count_include_pad"},
    BatchNorm: {"eps", "momentum"},
    BatchNormInference: {"eps"},
    BatchNormInferenceReLU: {"eps"},
    BatchNormReLU: {"eps", "momentum"},
    Cast: {"dtype"},
    Dropout: {"probability"},
    Flatten: {"start_axis"},
    GELU: {"approximate"},
    LayerNorm: {"axis", "eps"},
    LeakyReLU: {"negative_slope"},
    Linear: {"units", "bias", "axis"},
    MaxPool: {"kernel_size", "stride", "padding", "dilation"},
    Reshape: {"shape"},
    SoftmaxCrossEntropy: {"label_smoothing", "reduction", "ignore_index"},
    Softplus: {"beta"},
    Squeeze: {"axes"},
    Unsqueeze: {"axes"},
}


def test_no_operator_has_a_field_that_its_kernel_does_not_know():
    for kind in {*FORMULAS, *cuda_provider.KINDS}:
        fields = {field.name for field in dataclasses.fields(kind)}
        assert fields == FIELDS.get(kind, set()), kind.__name__


@given(
    rows=st.integers(1, 40),
    channels=st.integers(1, 70),
    center=st.sampled_from((0.0, 1.0, 1e4)),
    seed=st.integers(0, 1000),
)
def test_statistics_of_any_number_of_rows_keep_their_digits_beside_a_large_mean(
    rows, channels, center, seed
):
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(rows + 1, channels, 7)) + center).astype("float32")
    case = Case(BatchNorm(), (x, *rng.uniform(1, 2, (4, channels)).astype("float32")), seed)
    kernel = cuda.prepare(case.operator, case.specs)
    (_, mean, var), _ = kernel.forward(*case.inputs)
    (_, wide_mean, wide_var), _ = case.cast("float64").forward()
    np.testing.assert_allclose(mean, wide_mean, rtol=1e-6)
    np.testing.assert_allclose(var, wide_var, rtol=1e-4)


@given(st.integers(1, 9), st.integers(1, 600), st.integers(0, 1000))
@same_device
def test_the_loss_over_rows_agrees_with_the_reference(placed, rows, classes, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, classes)).astype("float32") * 10
    case = Case(SoftmaxCrossEntropy(), (x, rng.integers(0, classes, rows)), seed)
    compare(placed(cuda.prepare(case.operator, case.specs)), case, TOLERANCE)


@given(
    shape=st.sampled_from(((5,), (3, 7), (2, 3, 4, 5), (1,))),
    probability=st.sampled_from((0.0, 0.2, 0.5)),
    key=st.integers(0, 2**64 - 1),
    counter=st.sampled_from((0, 5, 2**32 - 1, 2**40)),
)
@same_device
def test_dropout_drops_what_the_reference_drops_bit_for_bit(
    placed, shape, probability, key, counter
):
    rng = np.random.default_rng(0)
    operator = Dropout(probability)
    given_ = (rng.normal(size=shape).astype("float32"), np.array([key], "uint64"),
              np.array([counter], "uint64"))  # fmt: skip
    kernel = placed(cuda.prepare(operator, tuple(Spec(a.shape, a.dtype.name) for a in given_)))
    (y, new_key, new_counter), saved = kernel.forward(*given_)
    (wanted, wanted_key, wanted_counter), wanted_saved = operator.forward(*given_)
    np.testing.assert_allclose(y, wanted, rtol=1e-6)
    np.testing.assert_array_equal(y == 0, wanted == 0)
    assert new_key == wanted_key and new_counter == wanted_counter
    dy = rng.normal(size=shape).astype("float32")
    needs = (True, False, False)
    dx = kernel.backward(saved, (dy, None, None), needs)[0]
    np.testing.assert_allclose(dx, operator.backward(wanted_saved, (dy, None, None), needs)[0])


CHAINS = [
    (Add(), ReLU()),
    (Multiply(), Add(), Tanh()),
    (Sigmoid(), Multiply()),
    (GELU(), Subtract(), SiLU(), Multiply(), LeakyReLU(0.2)),
]


@pytest.mark.parametrize("parts", CHAINS)
@given(seed=st.integers(0, 1000), size=st.integers(1, 600))
@same_device
def test_a_chain_is_what_its_operators_make_one_after_the_other(placed, parts, seed, size):
    rng = np.random.default_rng(seed)
    chain = Chain(parts)
    given_ = tuple(rng.normal(size=(2, size)).astype("float32") for _ in range(chain.count))
    kernel = cuda.prepare(chain, tuple(Spec(x.shape) for x in given_))
    assert isinstance(kernel, CudaElementwise)
    compare(placed(kernel), Case(chain, given_, seed), TOLERANCE)


@pytest.mark.parametrize("operator", [Add, Divide, Maximum, Minimum, Multiply, Power, Subtract])
@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("value", [2.0, -3.0, 1e-05])
def test_a_number_that_is_always_the_same_stands_in_the_source(operator, position, value):
    x = np.random.default_rng(0).uniform(0.5, 2, (3, 5)).astype("float32")
    fixed = Fixed(operator(), value, position)
    if operator is Power and position == 0 and value < 0:
        return  # has no power
    assert cuda.serves_in_chains(fixed)
    kernel = cuda.prepare(Chain((fixed,)), (Spec(x.shape),))
    compare(kernel, Case(Chain((fixed,)), (x,), 0), TOLERANCE)


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e300])
def test_a_number_that_float32_does_not_hold_stands_in_no_source(value):
    assert not cuda.serves_in_chains(Fixed(Add(), value))


@pytest.mark.parametrize("operator", [MaxPool(3, stride=2, padding=1), ReLU(), LayerNorm()])
def test_in_float16_results_are_rounded_once(operator):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 5, 6, 7)).astype("float16")
    learned = tuple(np.full(p.shape, 1.25, p.dtype) for p in
                    operator.parameters(Spec(x.shape, "float16")).values())  # fmt: skip
    specs = tuple(Spec(a.shape, "float16") for a in (x, *learned))
    kernel = cuda.prepare(operator, specs)
    y, saved = kernel.forward(x, *learned)
    wide = [a.astype("float64") for a in (x, *learned)]
    wanted, wide_saved = operator.forward(*wide)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y, wanted, rtol=2**-10, atol=1e-3)
    dy = rng.normal(size=y.shape).astype("float16")
    needs = (True,) * len(wide)
    expected = operator.backward(wide_saved, dy.astype("float64"), needs)
    for found, right in zip(kernel.backward(saved, dy, needs), expected, strict=True):
        np.testing.assert_allclose(found, right, rtol=2**-9, atol=4e-3)


OPTIMIZERS = [
    gn.optim.SGD(0.1), gn.optim.SGD(0.1, momentum=0.9),
    gn.optim.SGD(0.1, momentum=0.9, nesterov=True), gn.optim.RMSProp(), gn.optim.Adam(),
    gn.optim.AdamW(0.01, weight_decay=0.3),
]  # fmt: skip


def bound_update(optimizer, flat, gradients, decay=0.0, **options):
    """The update of one stretch of parameters on the card, and the optimizer's arrays."""
    slots = {name: np.zeros_like(flat) for name in optimizer.slot_names}
    parts = [(slice(0, flat.size), decay)]
    make = cuda.find_update(optimizer)
    return make(optimizer, flat, gradients, slots, parts, **options), slots


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize(
    "clipping", [{}, {"clip_value": 0.7}, {"clip_norm": 2.0}, {"clip_value": 0.7, "clip_norm": 2.0}]
)
def test_a_step_over_flat_arrays_is_that_of_the_optimizer(optimizer, decay, clipping):
    rate = gn.optim.StepDecay(0.1, every=1, factor=0.5)
    optimizer = dataclasses.replace(optimizer, lr=rate, weight_decay=decay, **clipping)
    rng = np.random.default_rng(0)
    own = {"w": rng.normal(size=700).astype("float32")}
    flat, gradient = own["w"].copy(), np.zeros(700, "float32")
    update, slots = bound_update(optimizer, flat, gradient, decay)
    kept = optimizer.slots(own)
    for step, drawn in enumerate(rng.normal(size=(3, 700)).astype("float32"), 1):
        gradient[:] = drawn
        update.tell(step)
        update.run()
        optimizer.update(own, {"w": drawn}, kept, step, frozenset(own))
        np.testing.assert_array_equal(gradient, drawn)
        np.testing.assert_allclose(flat, own["w"], rtol=1e-5, atol=1e-6)
        for slot, array in slots.items():
            np.testing.assert_allclose(array, kept[f"w.{slot}"], rtol=1e-5, atol=1e-6)


def test_an_infinite_parameter_that_does_not_decay_stays_infinite():
    flat = np.full(3, np.inf, "float32")
    update, _ = bound_update(gn.optim.SGD(0.1), flat, np.ones(3, "float32"))
    update.tell(1)
    update.run()
    assert np.isposinf(flat).all()


@pytest.mark.parametrize("clipping", [{}, {"clip_value": 1.0}, {"clip_norm": 1.0}])
def test_a_gradient_that_is_no_number_spoils_the_parameters_as_in_the_reference(clipping):
    optimizer = gn.optim.SGD(0.1, **clipping)
    own, gradient = {"w": np.ones(5, "float32")}, np.array([1, np.nan, 2, 3, 4], "float32")
    flat = own["w"].copy()
    update, _ = bound_update(optimizer, flat, gradient)
    update.tell(1)
    update.run()
    optimizer.update(own, {"w": gradient}, {}, 1, frozenset())
    np.testing.assert_allclose(flat, own["w"], rtol=1e-6)


def test_a_step_whose_scaled_gradients_are_not_finite_changes_nothing_but_the_scale(monkeypatch):
    monkeypatch.setattr(cuda.optimizers.CudaUpdate, "PATIENCE", 3)
    optimizer = gn.optim.Adam(0.1)
    rng = np.random.default_rng(0)
    own = {"w": rng.normal(size=700).astype("float32")}
    flat, gradient = own["w"].copy(), np.zeros(700, "float32")
    update, slots = bound_update(optimizer, flat, gradient, scaled=True)
    kept, made, scale = optimizer.slots(own), 0, 2.0**16
    told = np.zeros((), "float32")
    seed = update.bind_seed(told)
    for step, drawn in enumerate(rng.normal(size=(12, 700)).astype("float32"), 1):
        spoiled = {2: np.inf, 4: -np.inf, 9: np.nan}.get(step)
        update.tell(step)
        seed()
        assert told == scale, f"before step {step}"
        gradient[:] = drawn * told
        if spoiled is not None:
            gradient[step] = spoiled
        before = flat.copy(), {name: array.copy() for name, array in slots.items()}
        update.run()
        if spoiled is None:
            made += 1
            optimizer.update(own, {"w": drawn}, kept, made, frozenset())
            np.testing.assert_allclose(flat, own["w"], rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(flat, before[0])
            for name, array in slots.items():
                np.testing.assert_array_equal(array, before[1][name])
        # two are spoiled before three in a row are not; 5, 6 and 7 double it, 9 halves it
        scale = {2: 2.0**15, 4: 2.0**14, 7: 2.0**15, 9: 2.0**14, 12: 2.0**15}.get(step, scale)
    assert update.numbers[NUMBERS.index("skipped")] == 3


def test_every_optimizer_of_the_library_has_a_kernel_and_no_other():
    assert {type(optimizer) for optimizer in OPTIMIZERS} == set(UPDATES)
    assert cuda.find_update(type("Mine", (gn.optim.SGD,), {})(0.1)) is None


def test_what_is_not_served_is_left_to_others():
    x = Spec((4, 3, 5, 5))
    assert cuda.prepare(ReLU(), (Spec(x.shape, "float64"),)) is None
    assert cuda.prepare(type("Derived", (ReLU,), {})(), (x,)) is None
    assert cuda.prepare(MaxPool(17), (Spec((1, 1, 20, 20)),)) is None  # no byte tells them apart
    assert cuda.prepare(MaxPool(2), (Spec((1, 1, 20)),)) is None
    assert cuda.prepare(Pad(((0, 0), (1, 1)), mode="edge"), (Spec((2, 3)),)) is None
    assert cuda.prepare(ReLU(), (Spec((0, 3)),)) is None
    assert cuda.prepare(Transpose(), (Spec((2, 3), "float64"),)) is None
    assert cuda.prepare(Operator(), (x,)) is None


def test_threads_that_meet_different_barriers_are_reported(on_numpy):
    text = "typedef float T;\n#define KERNEL static void\nKERNEL torn(float* x) {\n" \
        "    if (threadIdx.x < 3) __syncthreads();\n    x[0] = 1;\n}\n"  # fmt: skip
    with pytest.raises(RuntimeError, match="torn met different barriers"):
        on_numpy.function(text, "torn")((1,), (8,), (np.zeros(1, "float32"),))


@pytest.mark.parametrize(
    ("grid", "block"),
    [((0,), (256,)), ((1, 65536), (32, 8)), ((1, 1, 65536), (1,)), ((1 << 31,), (1,)),
     ((1,), (1025,)), ((1,), (64, 32)), ((1,), (0,))],
)  # fmt: skip
def test_launches_that_a_card_refuses_are_refused(grid, block):
    with pytest.raises(RuntimeError, match="no card launches"):
        expect_launchable("kernel", grid, block)
    expect_launchable("kernel", ((1 << 31) - 1, 65535, 65535), (32, 32))


def test_an_array_whose_entries_are_not_aligned_is_refused(on_numpy):
    x = np.zeros(9, "uint8")[1:].view("float32")
    launch = on_numpy.function(device.source("cast.cu"), "widen")
    with pytest.raises(AssertionError, match="not aligned"):
        launch((1,), (256,), (x, np.zeros(2, "float32"), 2))


#: More examples than a grid has blocks along y, and what of them makes a grid.
MANY = 70000


@pytest.mark.parametrize(
    ("operator", "shapes"),
    [
        (GlobalAvgPool(), [(MANY, 33, 2)]),
        (BatchNorm(), [(MANY, 3), *[(3,)] * 4]),
        (LayerNorm(), [(MANY, 3), (3,), (3,)]),
        (GroupNorm(3), [(MANY, 3, 2), (3,), (3,)]),
        (Softmax(), [(MANY, 40)]),
        (Mean(axis=1), [(MANY, 40)]),
        (Linear(3), [(MANY, 2), (3, 2), (3,)]),
        (ScaledDotProductAttention(1), [(MANY, 1, 2)] * 3),
    ],
)
def test_grids_are_those_that_a_card_launches_however_many_examples_there_are(
    monkeypatch, on_numpy, operator, shapes
):
    launched = []

    def function(source, name, options=()):
        def launch(grid, block, arguments):
            expect_launchable(name, grid, block)
            launched.append(name)

        return launch

    monkeypatch.setattr(on_numpy, "function", function)
    kernel = cuda.prepare(operator, tuple(map(Spec, shapes)))
    y, saved = kernel.forward(*(np.ones(shape, "float32") for shape in shapes))
    dy = y if isinstance(y, np.ndarray) else (y[0], None, None)
    before = len(launched)
    kernel.backward(saved, dy, (True,) * len(shapes))
    assert 0 < before < len(launched)


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(1e300)
@example(3.4028235677973366e38)  # beyond the middle between the largest float and the next
@example(-1e-46)
@example(1e-45)
def test_numbers_in_sources_are_floats_that_the_compiler_takes(value):
    text = literal(value)
    with np.errstate(over="ignore", under="ignore"):
        wanted = np.float32(value)
    if np.isinf(wanted):
        assert text == ("(INFINITE)" if value > 0 else "(-INFINITE)")
        return
    assert re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d+)?f", text) and ("." in text or "e" in text)
    assert np.float32(float(text[:-1])) == wanted
    assert abs(float(text[:-1])) <= LARGEST and bool(float(text[:-1])) == bool(wanted)


def nvrtc():
    """The compiler, and where CUDA's headers are; the test is skipped where one is missing."""
    pytest.importorskip(
        "cupy", reason="CuPy is not installed: kernels cannot be compiled for a card"
    )
    libraries = pytest.importorskip("cupy_backends.cuda.libs.nvrtc", exc_type=ImportError)
    pathfinder = pytest.importorskip("cuda.pathfinder")
    folder = pathfinder.find_nvidia_header_directory("cudart")
    if folder is None:
        pytest.skip("CUDA's headers are not installed: kernels cannot be compiled for a card")
    return libraries, folder


def texts():
    """Every source there is: files, and a chain of all formulas."""
    yield from ((name, device.source(name)) for name in SOURCES)
    every = [f if isinstance(f, Formula) else f(kind()) for kind, f in FORMULAS.items()]
    every.append(FORMULAS[GELU](GELU("tanh")))
    # beyond what a float holds
    every += [FORMULAS[Clip](Clip(-1e300, 1e-300)), FORMULAS[ELU](ELU(1e300))]
    yield "chain", written(tuple(every), frozenset((0, 1)))
    yield "single", written((FORMULAS[ReLU],))
    for size in (8, 1 << 40):
        for unit in UNITS.values():
            yield f"copy {unit}", map_source({"x": unit}, unit, 4, size, "*target = x;")
        kinds = {"v": "T", "b": "float"}
        for kind in ("T", "float"):
            then = "store(target, widened(*target) + v * b + factor);"
            yield f"map {kind}", map_source(kinds, kind, 2, size, then)
            then = "store(target, (float)(total * factor));"
            yield f"sum {kind}", sum_source(kinds, kind, (4, 2), size, "v * b", then)
    table = Table((0, 2, 3), (0, 1, 1), (0.5, 0.25, 1.0))
    yield "resize", resize_source((table, table, table), last=True, size=8)
    yield "resize", resize_source((table,), last=False, size=1 << 40)
    broadcasting = [f for f in FORMULAS.values() if isinstance(f, Formula) and f.other]
    curves = [expression for kind, curve in CURVES.items() for expression in curve(kind())]
    for formula in broadcasting:
        curves += [formula.result, formula.slope, formula.other]
    for expression in curves:
        kinds = dict.fromkeys("vbxtd", "float")
        yield "formula", map_source(kinds, "float", 1, 8, f"store(target, {expression});")


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-DHALF",),
        ("-DBFLOAT16",),
        ("-DHALF", "-DWIDE", "-DGROUPED"),
        ("-DBFLOAT16", "-DWIDE", "-DGROUPED", "-DLAST"),
        ("-DLANES=1", "-DRMS", INTEGERS["uint8"], "-DUNIT=Word"),
    ],
)
def test_every_kernel_compiles_for_the_card(architecture, options):
    compiler, folder = nvrtc()
    for name, text in texts():
        program = compiler.createProgram(text, name, [], [])
        target = f"--gpu-architecture={architecture}"
        try:
            compiler.compileProgram(program, [*device.OPTIONS, *options, target, f"-I{folder}"])
        except Exception:
            pytest.fail(compiler.getProgramLog(program))
        kernels = re.findall(r"^KERNEL (\w+)", text, flags=re.M)
        binary = compiler.getCUBIN(program)
        assert kernels and all(b".text." + kernel.encode() in binary for kernel in kernels)


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
