"""Elementwise operators and chains of them on the processor against the operators' own."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnet as gn
from graphnet.kernels import PROVIDERS, compiled
from graphnet.kernels.chain import ELEMENTWISE, Chain, Fixed, is_elementwise
from graphnet.kernels.placed import LAST, ROWS, allocate
from graphnet.passes import chain
from graphnet.testing.strategies import seeds, spaced_array
from ops import (
    CELU,
    ELU,
    GELU,
    SELU,
    Abs,
    Add,
    Clip,
    Conv,
    Divide,
    Erf,
    Exp,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    Linear,
    Log,
    Maximum,
    Minimum,
    Mish,
    Multiply,
    Neg,
    Power,
    Reciprocal,
    ReLU,
    Shrink,
    Sigmoid,
    SiLU,
    Softplus,
    Softsign,
    Spec,
    Sqrt,
    Subtract,
    Sum,
    Tanh,
    ThresholdedReLU,
)
from tests.test_cpu_kernels import needs_compiled

#: Of one operator beside float64, relative to each entry: some roundings of float32.
SINGLE = 2e-6
#: Of a chain, relative to the largest entry or to 1: what the rounding of each of up to eighteen
#: operators becomes in those behind it, whose slopes are below 3.
CHAINED = 1e-4

TWO_INPUTS = (Add(), Divide(), Maximum(), Minimum(), Multiply(), Subtract())
ALONE = (
    Abs(), CELU(0.5), Clip(-0.75, 1.5), Clip(high=1.25), ELU(1.5), Erf(), GELU(),
    GELU(approximate="tanh"), HardSigmoid(), HardSwish(), LeakyReLU(0.2), Mish(), Neg(), ReLU(),
    SELU(), Shrink(0.25, 0.125), SiLU(), Sigmoid(), Softplus(), Softplus(2.0), Softsign(), Tanh(),
    ThresholdedReLU(0.25),
)  # fmt: skip
#: Positive numbers in, of which few are near 0.
POSITIVE = (Log(), Reciprocal(), Sqrt())
#: What is steep gets small numbers.
STEEP = (Exp(), Fixed(Power(), 2.0), Fixed(Power(), 3.0))
FIXED = tuple(
    Fixed(operator, value, position)
    for operator, value, position in (
        (Add(), 0.5, 1), (Divide(), 2.5, 1), (Maximum(), -0.3, 1), (Minimum(), 0.7, 0),
        (Multiply(), -1.5, 1), (Multiply(), 0.75, 0), (Subtract(), 1.0, 0), (Subtract(), 0.25, 1),
    )
)  # fmt: skip

links = st.one_of(
    st.sampled_from(TWO_INPUTS + ALONE + FIXED).map(lambda part: (part,)),
    st.sampled_from(POSITIVE).map(lambda part: (Sigmoid(), Fixed(Add(), 0.5), part)),
    st.sampled_from(STEEP).map(lambda part: (Tanh(), part)),
)
chains = st.lists(links, min_size=1, max_size=6).map(
    lambda found: Chain(tuple(part for link in found for part in link))
)


def inputs_of(operator, size, seed):
    """Arrays of one axis: the first one spaced evenly, the others away from 0."""
    count = operator.count if isinstance(operator, Chain) else len(type(operator).signature().names)
    rng = np.random.default_rng(seed)
    first = spaced_array((size,), seed)
    others = [rng.choice((-1, 1), size) * rng.uniform(0.6, 1.6, size) for _ in range(count - 1)]
    return tuple(x.astype("float32") for x in (first, *others))


def compare(kernel, operator, inputs, seed):
    """Result and gradients are those of the operator in float64, whichever are asked for."""
    before = [x.copy() for x in inputs]
    wanted, wide_saved = operator.forward(*(x.astype("float64") for x in inputs))
    y, saved = kernel.forward(*inputs)
    dy = np.random.default_rng(seed).uniform(-1, 1, y.shape).astype("float32")
    every = (True,) * len(inputs)
    expected = operator.backward(wide_saved, dy.astype("float64"), every)
    expect_close(y, wanted)
    for needs in (every, *(tuple(i == j for j in range(len(inputs))) for i in range(len(inputs)))):
        found = kernel.backward(saved, dy, needs)
        for need, gradient, right in zip(needs, found, expected, strict=True):
            assert (gradient is not None) == need
            if need:
                expect_close(gradient, right)
    for x, was in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(x, was)


def expect_close(found, wanted):
    assert found.shape == wanted.shape and found.dtype == np.float32
    assert np.abs(found - wanted).max() <= CHAINED * max(1, np.abs(wanted).max())


@needs_compiled
def test_the_table_and_the_formulas_name_the_same_operators():
    from graphnet.kernels.compiled.formulas import FORMULAS

    assert set(FORMULAS) == ELEMENTWISE


@needs_compiled
@given(operator=chains, size=st.integers(1, 40), frugal=st.booleans(), seed=seeds)
def test_random_chains_agree_with_their_operators_in_all_directions(operator, size, frugal, seed):
    given_ = inputs_of(operator, size, seed)
    kernel = compiled.prepare(operator, tuple(Spec(x.shape) for x in given_), frugal=frugal)
    compare(kernel, operator, given_, seed)


#: About a block, about what several threads share, and neither a multiple of a vector.
SIZES = (1, 15, 17, 1023, 1024, 1025, 2049, 16383, 16384, 16385, 40007)


@needs_compiled
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_chains_of_any_size_agree_on_any_number_of_threads(size, threads):
    from graphnet.kernels.compiled.chained import CompiledChain

    operator = Chain((Multiply(), GELU(), Fixed(Multiply(), 0.5), Add(), Tanh(), Multiply()))
    given_ = inputs_of(operator, size, size)
    kernel = CompiledChain(operator, tuple(Spec(x.shape) for x in given_), threads)
    compare(kernel, operator, given_, size)


single = [
    *ALONE, *POSITIVE, *STEEP, *FIXED, *TWO_INPUTS,
    *(op() for op in sorted(ELEMENTWISE, key=lambda op: op.__name__)),
]  # fmt: skip


def wide_range(operator):
    """Numbers near 0 and far from it, where no result is outside of float32."""
    near = np.linspace(-9, 9, 2001)
    tiny = np.array([1e-30, 1e-12, 1e-6, 1e-3, -1e-30, -1e-12, -1e-6, -1e-3])
    x = np.concatenate([near[near != 0], tiny, [20.0, -20.0, 50.0]]).astype("float32")
    if isinstance(operator, Log | Sqrt):
        x = np.abs(x)
    if isinstance(operator, Reciprocal):
        x = x[np.abs(x) > 1e-15]  # else the slope is infinite
    b = np.resize(np.array([0.3, -2.5, 7.0], "float32"), x.shape)
    return (x, b)[: len(type(operator).signature().names)]


@needs_compiled
@pytest.mark.parametrize("operator", single, ids=repr)
def test_every_entry_of_an_operator_is_exact_but_for_some_roundings(operator):
    given_ = wide_range(operator)
    kernel = compiled.prepare(Chain((operator,)), tuple(Spec(x.shape) for x in given_))
    wide = [x.astype("float64") for x in given_]
    y, saved = kernel.forward(*given_)
    wanted, wide_saved = operator.forward(*wide)
    # far below 0 GELU's exponent magnifies its rounding; a hard sigmoid's line cancels at its end
    rtol = 1e-5 if isinstance(operator, GELU) else SINGLE
    atol = 1e-7 if isinstance(operator, HardSigmoid) else 1e-37  # below that digits are lost
    np.testing.assert_allclose(y, wanted, rtol=rtol, atol=atol)
    dy = np.resize(np.array([1.5, -0.75, 2.0], "float32"), y.shape)
    needs = (True,) * len(given_)
    found = kernel.backward(saved, dy, needs)
    expected = operator.backward(wide_saved, dy.astype("float64"), needs)
    for gradient, right in zip(found, expected, strict=True):
        # a slope may be the sum of terms of either sign, of the size of 1
        scale = 1.0 if isinstance(operator, CANCELLING) else 0.0
        np.testing.assert_allclose(gradient, right, rtol=2 * SINGLE, atol=scale * SINGLE + 1e-37)


#: Whose slope passes through 0, or is what 1 lacks to a number near it.
CANCELLING = (GELU, HardSigmoid, HardSwish, Mish, Sigmoid, SiLU, Softplus, Tanh)
NOT_FINITE = np.array(
    [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e-40, 3e38, -3e38, 90.0, -110.0], "float32"
)


@needs_compiled
@pytest.mark.parametrize("operator", single, ids=repr)
def test_nan_and_infinity_come_through_as_through_the_operator(operator):
    x = np.repeat(NOT_FINITE, len(NOT_FINITE))
    given_ = (x, np.tile(NOT_FINITE, len(NOT_FINITE)))[: len(type(operator).signature().names)]
    kernel = compiled.prepare(Chain((operator,)), tuple(Spec(a.shape) for a in given_))
    arriving = np.tile(np.array([1.0, np.nan, np.inf, 0.0], "float32"), len(x) // 4)
    needs = (True,) * len(given_)
    with np.errstate(all="ignore"):
        wanted, wanted_saved = operator.forward(*given_)
        expected = operator.backward(wanted_saved, arriving, needs)
    y, saved = kernel.forward(*given_)
    for found, right in zip(
        (y, *kernel.backward(saved, arriving, needs)), (wanted, *expected), strict=True
    ):
        # beside what is not finite: a denormal number has few digits
        np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-37)


@needs_compiled
@pytest.mark.parametrize("layout", [ROWS, LAST])
def test_results_replace_inputs_and_gradients_are_added_in_any_layout(layout):
    from graphnet.kernels.compiled.chained import CompiledChain
    from graphnet.kernels.placed import Memory

    operator = Chain((Multiply(), Tanh(), Subtract()))
    rng = np.random.default_rng(0)
    spec = Spec((3, 5, 7, 11))
    kernel = CompiledChain(operator, (spec, spec, spec), 2)

    def fresh():
        array = allocate(spec, layout)
        array[...] = rng.normal(size=array.shape)
        return array

    inputs, dy, before = [fresh() for _ in range(3)], fresh(), fresh()
    wanted, saved = operator.forward(*inputs)
    expected = operator.backward(saved, dy, (True, True, True))
    extras = [allocate(extra) for extra in kernel.terms.extras]
    for position in range(3):
        given_ = [x.copy(order="K") for x in inputs]
        kernel.bind_forward(Memory(given_, [given_[position]], extras))()
        np.testing.assert_allclose(given_[position], wanted, atol=1e-5)
    arriving, added, plain = dy.copy(order="K"), before.copy(order="K"), fresh()
    memory = Memory(
        inputs, [None], extras, doutputs=[arriving], dinputs=[arriving, added, plain],
        adds=frozenset((1,)),
    )  # fmt: skip
    kernel.bind_backward(memory)()
    np.testing.assert_allclose(arriving, expected[0], atol=1e-5)
    np.testing.assert_allclose(added, before + expected[1], atol=1e-5)
    np.testing.assert_allclose(plain, expected[2], atol=1e-5)


@needs_compiled
@pytest.mark.parametrize(
    ("parts", "reads", "keeps", "written"),
    [
        ((Add(), ReLU()), (), (0,), 0),
        ((Sigmoid(),), (), (0,), 0),
        ((GELU(),), (0,), (), 0),
        ((Multiply(), Add()), (0, 1), (), 0),
        ((Add(), Neg(), Subtract()), (), (), 0),
        # what is cheap is computed again, what is costly is written
        ((Add(), GELU()), (0, 1), (), 0),
        ((Add(), Tanh(), Multiply()), (2,), (), 1),
        ((Tanh(), Add(), ReLU(), Exp()), (1,), (0,), 1),
    ],
)
def test_the_reverse_pass_reads_no_more_than_its_slopes_need(parts, reads, keeps, written):
    operator = Chain(parts)
    specs = (Spec((4, 4)),) * operator.count
    terms = compiled.prepare(operator, specs).terms
    assert (terms.reads, terms.keeps, len(terms.extras)) == (reads, keeps, written)
    assert not compiled.prepare(operator, specs, frugal=True).terms.extras
    assert not compiled.prepare(operator, specs, forward_alone=True).terms.extras


@needs_compiled
@pytest.mark.parametrize(
    ("operator", "specs"),
    [
        (Add(), (Spec((4, 4)), Spec((4,)))),
        (Multiply(), (Spec((4, 4)), Spec((4, 1)))),
        (Sigmoid(), (Spec((4, 4), "float64"),)),
        (Abs(), (Spec((4,), "int64"),)),
        (Chain((Tanh(), Exp())), (Spec((0, 4)),)),
        (Power(), (Spec((4,)), Spec((4,)))),
        (Softplus(1e-300), (Spec((4,)),)),
    ],
)
def test_other_inputs_are_left_to_the_reference(operator, specs):
    assert compiled.prepare(operator, specs) is None


# the pass


def kinds(value):
    return [node.kind for node in chain(gn.Graph(y=value)).nodes.values()]


def parts_of(value):
    nodes = chain(gn.Graph(y=value)).nodes.values()
    return [node.operator.parts for node in nodes if isinstance(node.operator, Chain)]


def rows(name="x"):
    return gn.Input(name, ("N", 8))


def test_a_chain_goes_on_through_either_input_of_what_commutes():
    x, y = rows(), rows("y")
    assert parts_of(Add()(x, Tanh()(y))) == [(Tanh(), Add())]
    assert parts_of(Multiply()(Exp()(x), Tanh()(y))) == [(Exp(), Multiply())]
    assert parts_of(Subtract()(x, Tanh()(y))) == []
    assert parts_of(Maximum()(x, Tanh()(y))) == []


def test_a_constant_of_one_entry_is_part_of_the_chain():
    x = rows()
    one, half = (gn.Constant(np.array(v, "float32")) for v in (1.0, [0.5]))
    y = Multiply()(Multiply()(half, x), Add()(Erf()(Divide()(x, one)), one))
    # the product goes on with its first input, and the other one is a chain of its own
    behind = (Fixed(Divide(), 1.0), Erf(), Fixed(Add(), 1.0))
    assert parts_of(y) == [behind, (Fixed(Multiply(), 0.5, 0), Multiply())]
    three = gn.Constant(np.array(3.0, "float32"))
    assert parts_of(Tanh()(Power()(x, three))) == [(Fixed(Power(), 3.0), Tanh())]
    assert parts_of(Subtract()(one, x)) == [(Fixed(Subtract(), 1.0, 0),)]
    assert parts_of(Tanh()(Power()(x, half))) == []
    several = gn.Constant(np.ones(8, "float32"))
    assert parts_of(Tanh()(Add()(x, several))) == []


def test_what_somebody_else_reads_ends_a_chain():
    shared = Tanh()(rows())
    assert kinds(Add()(Exp()(shared), shared)) == ["Tanh", "Chain"]
    graph = gn.Graph(y=Exp()(shared), also=shared)
    assert [node.kind for node in chain(graph).nodes.values()] == ["Tanh", "Exp"]


def test_other_dtypes_and_shapes_that_broadcast_end_a_chain():
    assert kinds(Exp()(Tanh()(gn.Input("x", ("N", 8), "float64")))) == ["Tanh", "Exp"]
    column = gn.Input("c", ("N", 1))
    assert kinds(Exp()(Add()(Tanh()(rows()), column))) == ["Tanh", "Add", "Exp"]


def test_sixteen_operators_are_the_most():
    value = rows()
    for _ in range(40):
        value = Tanh()(value)
    nodes = chain(gn.Graph(y=value)).nodes.values()
    assert [len(getattr(node.operator, "parts", (0,))) for node in nodes] == [8, 16, 16]


# whole networks


def gated():
    """Chains, one of whose values fans out, beside what other kernels fuse."""
    image = gn.Input("image", ("N", 3, 6, 5))
    x = ReLU()(Conv(16, 3, padding=1)(image))
    gate = Sigmoid()(Conv(16, 3, padding=1)(x))
    half = gn.Constant(np.array(0.5, "float32"))
    y = Tanh()(Add()(GELU()(Multiply()(x, gate)), Multiply()(gate, half)))
    y = SiLU()(Linear(12)(y))
    return gn.Graph(loss=Sum()(Multiply()(y, Softplus()(Neg()(y)))), y=y)


def feeds_of(batch):
    rng = np.random.default_rng(batch)
    # every other column of a larger array, in reverse
    return {"image": rng.normal(size=(batch, 3, 6, 10)).astype("float32")[..., ::-2]}


@needs_compiled
@pytest.mark.parametrize("options", [{}, {"memory_limit": 1_000_000}, {"dtype": "float64"}])
def test_networks_agree_with_the_reference_at_every_batch_size(options):
    graph, dtype = gated(), options.get("dtype", "float32")
    nets = (gn.Executor(graph, **options), gn.Executor(graph, dtype=dtype, kernels="reference"))
    every = [*nets[0].parameters, "image"]
    for batch in (4, 1, 9, 4):
        feeds = {name: x.astype(dtype, order="K") for name, x in feeds_of(batch).items()}
        found = [results(net, feeds, every) for net in nets]
        for name, wanted in found[1].items():
            scale = max(1.0, np.abs(wanted).max())
            np.testing.assert_allclose(found[0][name], wanted, rtol=0, atol=CHAINED * scale)


@needs_compiled
def test_a_batch_of_none_gives_none():
    found = results(gn.Executor(gated()), feeds_of(0), ["image"])
    assert found["y"].shape == (0, 12) and found["gradient image"].shape == (0, 3, 6, 5)


def results(net, feeds, every):
    """What inference, a forward pass of training and a reverse pass give."""
    inferred = {f"inferred {name}": y for name, y in net.forward(**feeds).items()}
    trained = net.forward(training=True, **feeds)
    gradients = net.backward("loss", wrt=every)
    return {**inferred, **trained, **{f"gradient {name}": g for name, g in gradients.items()}}


@needs_compiled
def test_the_table_of_a_plan_shows_chains_and_who_computes_them():
    rows_ = gn.Executor(gated()).explain(4, training=True).splitlines()
    chained = [line for line in rows_ if "Chain" in line]
    assert len(chained) >= 2 and all("compiled" in line for line in chained)
    assert sum("ConvReLU" in line for line in rows_) == 1
    assert "Chain" not in gn.Executor(gated(), kernels="reference").explain(4)


def test_without_numba_nothing_is_chained_and_all_is_computed():
    code = (
        "import sys, warnings; sys.modules['numba'] = None\n"
        "warnings.simplefilter('ignore')\n"
        "import numpy as np, graphnet as gn\n"
        "from ops import Exp, Tanh\n"
        "net = gn.Executor(gn.Graph(y=Exp()(Tanh()(gn.Input('x', ('N', 4))))))\n"
        "y = net.forward(x=np.zeros((2, 4), 'float32'), training=True)['y']\n"
        "dx = net.backward('y', y, wrt=['x'])['x']\n"
        "assert (y == 1).all() and (dx == 1).all() and 'Chain' not in net.explain(2)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_parts_of_chains_are_told_from_others():
    assert is_elementwise(Clip(0, 6)) and is_elementwise(Clip())
    assert not is_elementwise(Fixed(Power(), math.pi))
    assert not is_elementwise(Fixed(Power(), 2.0, position=0))
    assert not is_elementwise(Softplus(1e-300)) and not is_elementwise(Conv(4, 3))
    assert PROVIDERS["compiled"].chains is is_elementwise
