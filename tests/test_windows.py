"""Convolution and pooling where their records do not reach: known sizes, ties, misuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops import AvgPool, Conv, GlobalAvgPool, GlobalMaxPool, MaxPool, ShapeError, Spec

IMAGE = Spec(("N", 3, 8, 8))


@pytest.mark.parametrize(
    ("fields", "out"),
    [
        ({"kernel_size": 3}, (6, 6)),
        ({"kernel_size": 3, "padding": "same"}, (8, 8)),
        ({"kernel_size": 3, "padding": "same", "stride": 3}, (3, 3)),
        ({"kernel_size": (3, 1), "padding": (1, 0)}, (8, 8)),
        ({"kernel_size": 2, "padding": ((0, 1), (1, 1))}, (8, 9)),
        ({"kernel_size": 3, "dilation": 3}, (2, 2)),
        ({"kernel_size": 3, "stride": (2, 5)}, (3, 2)),
    ],
)
def test_the_output_size_is_that_of_the_formula(fields, out):
    conv = Conv(4, **fields, bias=False)
    assert conv.windows(IMAGE).out == out
    weight = Spec((4, 3, *conv.windows(IMAGE).kernel))
    assert conv.infer(IMAGE, weight).shape == ("N", 4, *out)
    assert AvgPool(**{"stride": 1, **fields}).infer(IMAGE).shape == ("N", 3, *out)


@given(st.integers(1, 20), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3))
def test_same_padding_divides_the_size_by_the_stride_and_rounds_up(size, kernel, stride, dilation):
    conv = Conv(1, kernel, stride=stride, padding="same", dilation=dilation, bias=False)
    windows = conv.windows(Spec((1, 1, size)))
    assert windows.out == (-(-size // stride),)
    begin, end = windows.padding[0]
    assert end - begin in (0, 1)


@pytest.mark.parametrize("operator", [MaxPool(2), MaxPool(2, padding=1), GlobalMaxPool()], ids=repr)
def test_the_first_of_equal_maxima_takes_the_gradient(operator):
    y, saved = operator.forward(np.ones((1, 1, 2, 2)))
    (dx,) = operator.backward(saved, np.ones_like(y), (True,))
    assert dx[0, 0, 0, 0] == 1
    assert dx.sum() == y.size


def test_padding_never_wins_a_maximum():
    y, _ = MaxPool(3, 1, "same").forward(np.full((1, 1, 3), -5.0))
    assert y.tolist() == [[[-5.0, -5.0, -5.0]]]


@pytest.mark.parametrize(("include", "corner"), [(True, 0.25), (False, 1.0)])
def test_padding_counts_in_an_average_only_if_asked(include, corner):
    pool = AvgPool(2, 2, 1, count_include_pad=include)
    assert pool.forward(np.ones((1, 1, 2, 2)))[0][0, 0, 0, 0] == corner


def test_a_pool_steps_by_its_kernel_unless_told():
    assert MaxPool(3) == MaxPool(3, stride=3)
    assert AvgPool((2, 3)).stride == (2, 3)


@pytest.mark.parametrize("operator", [GlobalAvgPool(), GlobalMaxPool()], ids=repr)
def test_global_pooling_keeps_the_axes(operator):
    assert operator.infer(IMAGE).shape == ("N", 3, 1, 1)


@pytest.mark.parametrize(
    ("operator", "x", "message"),
    [
        (
            MaxPool(2),
            Spec(("N", 3)),
            r"an input \(N, C, L\), .* received float32 \(N, 3\)",
        ),
        (MaxPool(2), Spec(("N", 3, 8), "int64"), "floating dtype, received int64"),
        (MaxPool(9), IMAGE, r"kernel size 9 for size 8 padded to 8 in float32 \(N, 3, 8, 8\)"),
        (AvgPool(3, dilation=4), IMAGE, r"kernel size 3 \(dilation 4 spreads it to 9\)"),
        (MaxPool((2, 2, 2)), IMAGE, r"kernel_size for 2 spatial axes, received \(2, 2, 2\)"),
        (MaxPool(2, padding=(1,)), IMAGE, r"padding for 2 spatial axes, received \(1,\)"),
        (MaxPool(2, padding=2), IMAGE, "every window to meet the input"),
        (AvgPool(2, padding=2), IMAGE, "every window to meet the input"),
        (GlobalAvgPool(), Spec(("N", 3)), "3 or more axes"),
        (GlobalMaxPool(), Spec(("N", 3, 0)), "spatial sizes of at least 1"),
    ],
)
def test_an_input_that_a_pool_does_not_fit_is_refused(operator, x, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(x)


@pytest.mark.parametrize(
    ("conv", "inputs", "message"),
    [
        (Conv(4, 3), [IMAGE, Spec((4, 2, 3, 3))], "expected 2 input channels, received 3"),
        (Conv(4, 3), [IMAGE, Spec((5, 3, 3, 3))], r"a weight float32 \(4, 3, 3, 3\), received"),
        (Conv(4, 3), [IMAGE, Spec((4, 3, 3, 3)), Spec((3,))], r"a bias float32 \(4,\), received"),
        (Conv(4, 3, groups=2), [IMAGE, Spec((4, 3, 3))], "channels divisible by 2 groups"),
        (Conv(4, 3), [Spec(IMAGE.shape, "int64"), Spec((4, 3, 3, 3))], "floating dtype"),
    ],
)
def test_inputs_that_a_convolution_does_not_fit_are_refused(conv, inputs, message):
    with pytest.raises(ShapeError, match=message):
        conv.infer(*inputs)


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (lambda: Conv(0, 3), ValueError, "Conv: expected filters of at least 1, received 0"),
        (lambda: Conv(3, 3, groups=2), ValueError, "filters divisible by groups, received 3"),
        (lambda: Conv(4, 2.5), TypeError, "Conv: expected an integer for kernel_size"),
        (lambda: MaxPool(0), ValueError, "MaxPool: expected .* of at least 1"),
        (lambda: MaxPool(2, True), TypeError, "MaxPool: expected an integer for stride"),
        (lambda: MaxPool(2, padding=-1), ValueError, "MaxPool: expected padding of at least 0"),
        (lambda: AvgPool(2, padding="full"), ValueError, 'AvgPool: expected "same", "valid"'),
        (lambda: AvgPool(2, padding=((1, 2, 3),)), ValueError, r"AvgPool: expected \(begin, end\)"),
        (lambda: AvgPool(2, padding=0.5), TypeError, "AvgPool: expected integers for padding"),
        (lambda: AvgPool(2, dilation=0), ValueError, "AvgPool: expected dilation of at least 1"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()


def test_lists_become_tuples():
    assert Conv(1, [3, 1], padding=[[1, 1], [0, 0]]) == Conv(1, (3, 1), padding=((1, 1), (0, 0)))
