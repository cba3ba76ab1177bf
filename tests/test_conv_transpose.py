"""Transposed convolution where its record does not reach: its partner, sizes, misuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphnet.testing.strategies import random_array, seeds, window_inputs
from ops import Conv, ShapeError, Spec
from ops.conv_transpose import ConvTranspose

CODE = Spec(("N", 4, 5, 6))


@given(window_inputs(), st.integers(1, 2), seeds)
def test_it_is_the_adjoint_of_the_convolution_with_the_same_weight(drawn, groups, seed):
    fields, size = drawn
    conv = Conv(2 * groups, groups=groups, bias=False, **fields)
    x = random_array((2, 3 * groups, *size), seed)
    windows = conv.windows(Spec(x.shape, "float64"))
    weight = random_array((2 * groups, 3, *windows.kernel), seed + 1)
    y, _ = conv.forward(x, weight)
    v = random_array(y.shape, seed + 2)
    # pairs say what "same" came to; the output padding is what the convolution's floor left over
    ends = [
        n + b + e - (o - 1) * s - d * (k - 1) - 1
        for n, (b, e), o, s, d, k in zip(
            size, windows.padding, windows.out, windows.stride, windows.dilation, windows.kernel,
            strict=True,
        )
    ]  # fmt: skip
    transposed = ConvTranspose(
        3 * groups,
        windows.kernel,
        stride=windows.stride,
        padding=windows.padding,
        output_padding=tuple(ends),
        dilation=windows.dilation,
        groups=groups,
        bias=False,
    )
    back, _ = transposed.forward(v, weight)
    assert back.shape == x.shape
    np.testing.assert_allclose((y * v).sum(), (x * back).sum(), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    ("fields", "out"),
    [
        ({"kernel_size": 3}, (7, 8)),
        ({"kernel_size": 4, "stride": 2, "padding": 1}, (10, 12)),
        ({"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1}, (10, 12)),
        ({"kernel_size": 3, "stride": (2, 1), "output_padding": (1, 0)}, (12, 8)),
        ({"kernel_size": 3, "stride": 3, "padding": "same"}, (15, 18)),
        ({"kernel_size": 2, "stride": 3, "padding": "same"}, (15, 18)),
        ({"kernel_size": (4, 1), "stride": (2, 1), "padding": "same"}, (10, 6)),
        ({"kernel_size": 3, "stride": 2, "padding": "valid"}, (11, 13)),
        ({"kernel_size": 2, "dilation": 4, "output_padding": 3}, (12, 13)),
        ({"kernel_size": 3, "padding": ((0, 1), (2, 2))}, (6, 4)),
    ],
)
def test_the_output_size_is_that_of_the_formula(fields, out):
    operator = ConvTranspose(6, **fields, bias=False)
    weight = Spec((4, 6, *operator.windows(CODE).kernel))
    assert operator.infer(CODE, weight).shape == ("N", 6, *out)
    bound = CODE.bind(2), weight
    y, _ = operator.forward(*(np.ones(spec.shape, np.float32) for spec in bound))
    assert y.shape == (2, 6, *out)


def test_positions_that_no_window_reaches_hold_the_bias_alone():
    operator = ConvTranspose(1, 1, stride=3, padding="same")
    y, _ = operator.forward(np.ones((1, 1, 2)), np.full((1, 1, 1), 5.0), np.array([0.5]))
    assert y.tolist() == [[[5.5, 0.5, 0.5, 5.5, 0.5, 0.5]]]


def test_output_padding_uncovers_what_the_padding_cut_off():
    x, weight = np.ones((1, 1, 2)), np.array([[[1.0, 2.0, 3.0]]])
    plain = ConvTranspose(1, 3, stride=2, bias=False)
    cut = ConvTranspose(1, 3, stride=2, padding=((0, 1),), output_padding=1, bias=False)
    assert plain.forward(x, weight)[0].tolist() == [[[1.0, 2.0, 4.0, 2.0, 3.0]]]
    np.testing.assert_array_equal(cut.forward(x, weight)[0], plain.forward(x, weight)[0])


@pytest.mark.parametrize(
    ("fields", "terms"),
    [
        ({"kernel_size": 3}, 64 * 9),
        ({"kernel_size": 4, "stride": 2}, 64 * 4),
        ({"kernel_size": 4, "stride": 2, "groups": 4}, 16 * 4),
        ({"kernel_size": (1, 2), "stride": 2}, 64),
    ],
)
def test_the_first_weight_keeps_the_variance_that_a_relu_halves(fields, terms):
    operator = ConvTranspose(32, **fields)
    declared = operator.parameters(Spec(("N", 64, 5, 5)))
    assert declared["weight"].initializer.std == pytest.approx(math.sqrt(2 / terms))
    assert declared["weight"].shape[:2] == (64, 32 // operator.groups)
    assert declared["weight"].decay and not declared["bias"].decay
    weight = declared["weight"].initializer.sample(
        declared["weight"].shape, "float64", np.random.default_rng(0)
    )
    x = np.random.default_rng(1).normal(size=(8, 64, 24, 24))
    y = operator.forward(x, weight, np.zeros(32))[0][:, :, 4:-4, 4:-4]
    filled = y[y != 0]
    assert filled.var() == pytest.approx(2.0, rel=0.15)


def test_the_operations_are_two_for_each_product_and_one_for_each_bias():
    operator = ConvTranspose(6, 3, stride=2, groups=2)
    specs = Spec((2, 4, 5, 6)), Spec((4, 3, 3, 3)), Spec((6,))
    products = 2 * 4 * 5 * 6 * 3 * 9
    assert operator.flops(*specs) == 2 * products + 2 * 6 * 11 * 13


def test_lists_become_tuples():
    lists = ConvTranspose(1, [3, 1], padding=[[1, 1], [0, 0]], output_padding=[np.int64(0), 0])
    tuples = ConvTranspose(1, (3, 1), padding=((1, 1), (0, 0)), output_padding=(0, 0))
    assert lists == tuples and hash(lists) == hash(tuples)


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        (ConvTranspose(4, 3), [Spec(("N", 4)), Spec((4, 4))], r"an input \(N, C, L\), .* \(N, 4\)"),
        (
            ConvTranspose(6, 3),
            [CODE, Spec((5, 6, 3, 3))],
            r"expected 5 input channels, received 4 in float32 \(N, 4, 5, 6\)",
        ),
        (
            ConvTranspose(6, 3),
            [CODE, Spec((4, 5, 3, 3))],
            r"a weight float32 \(4, 6, 3, 3\), received",
        ),
        (
            ConvTranspose(6, 3),
            [CODE, Spec((4, 6, 3, 3)), Spec((4,))],
            r"a bias float32 \(6,\), received float32 \(4,\)",
        ),
        (ConvTranspose(6, 3), [CODE, Spec((4, 6, 3, 3))], "a bias, as bias=True says"),
        (ConvTranspose(6, 3, groups=3), [CODE, Spec((4, 2, 3, 3))], "divisible by 3 groups"),
        (ConvTranspose(6, 3), [Spec(CODE.shape, "int64"), Spec((4, 6, 3, 3))], "floating dtype"),
        (
            ConvTranspose(6, 3, stride=2, output_padding=2),
            [CODE, Spec((4, 6, 3, 3))],
            "output_padding below the stride or the dilation, received 2 for stride 2 and dil",
        ),
        (
            ConvTranspose(6, 3, output_padding=(0,)),
            [CODE, Spec((4, 6, 3, 3))],
            r"output_padding for 2 spatial axes, received \(0,\)",
        ),
        (
            ConvTranspose(6, 3, padding=((0, 0), (4, 4))),
            [CODE, Spec((4, 6, 3, 3))],
            r"padding that leaves an output, received \(4, 4\) of 8 positions",
        ),
        (
            ConvTranspose(6, 3),
            [Spec(("N", 4, 0)), Spec((4, 6, 3))],
            r"sizes of at least 1, received float32 \(N, 4, 0\)",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, inputs, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(*inputs)


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (lambda: ConvTranspose(0, 3), ValueError, "ConvTranspose: expected filters of at least 1"),
        (lambda: ConvTranspose(3, 3, groups=2), ValueError, "divisible by groups, received 3"),
        (lambda: ConvTranspose(4, 2.5), TypeError, "an integer for kernel_size"),
        (lambda: ConvTranspose(4, 3, stride=0), ValueError, "stride of at least 1"),
        (lambda: ConvTranspose(4, 3, padding="full"), ValueError, '"same", "valid" or sizes'),
        (lambda: ConvTranspose(4, 3, bias=1), TypeError, "True or False for bias"),
        (
            lambda: ConvTranspose(4, 3, output_padding=1.0),
            TypeError,
            "ConvTranspose: expected integers for output_padding, received 1.0",
        ),
        (
            lambda: ConvTranspose(4, 3, output_padding=(0, -1)),
            ValueError,
            r"output_padding of at least 0, received \(0, -1\)",
        ),
        (
            lambda: ConvTranspose(4, 3, stride=2, padding="same", output_padding=1),
            ValueError,
            'no output_padding with padding "same", received 1',
        ),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()
