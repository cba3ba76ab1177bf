"""Resizing where its record does not reach: published values, any scale, long axes, misuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphnet.testing.strategies import random_array
from ops import ShapeError, Spec
from ops.resize import Resize

IMAGE = Spec(("N", 3, 8, 6))
FOUR = np.arange(1.0, 17.0).reshape(1, 1, 4, 4)
TWO = np.arange(1.0, 5.0).reshape(1, 1, 2, 2)
MODES = ("nearest", "linear", "cubic")
COORDINATES = (
    "half_pixel",
    "align_corners",
    "asymmetric",
    "pytorch_half_pixel",
    "half_pixel_symmetric",
)


@pytest.mark.parametrize(
    ("x", "operator", "row"),
    [
        (TWO, Resize(scale=(2, 3)), [1, 1, 1, 2, 2, 2]),
        (TWO, Resize(scale=2, mode="linear"), [1, 1.25, 1.75, 2]),
        (TWO, Resize(4, mode="linear", coordinates="align_corners"), [1, 4 / 3, 5 / 3, 2]),
        (
            TWO,
            Resize(scale=(2.3, 2.94), mode="linear", coordinates="half_pixel_symmetric"),
            [1, 1.15986395, 1.5, 1.84013605, 2],
        ),
        (FOUR[:, :, :2], Resize(scale=0.6, mode="linear"), [2.6666665, 4.3333331]),
        (
            FOUR[:, :, :1],
            Resize(scale=(1, 0.6), mode="linear", coordinates="half_pixel_symmetric"),
            [1.6666667, 3.3333333],
        ),
        (
            FOUR,
            Resize((3, 1), mode="linear", coordinates="pytorch_half_pixel"),
            [1.6666666],
        ),
        (FOUR, Resize(8, nearest="ceil"), [1, 2, 2, 3, 3, 4, 4, 4]),
        (
            FOUR,
            Resize(8, coordinates="align_corners", nearest="floor"),
            [1, 1, 1, 2, 2, 3, 3, 4],
        ),
        (
            FOUR,
            Resize(8, coordinates="asymmetric", nearest="round_prefer_ceil"),
            [1, 2, 2, 3, 3, 4, 4, 4],
        ),
        (
            FOUR,
            Resize(scale=2, mode="cubic"),
            [
                0.47265625, 0.76953125, 1.24609375, 1.875,
                2.28125, 2.91015625, 3.38671875, 3.68359375,
            ],
        ),
        (FOUR, Resize(scale=0.8, mode="cubic"), [1.47119141, 2.78125, 4.08251953]),
        (
            FOUR,
            Resize(scale=2, mode="cubic", cubic_coefficient=-0.5, exclude_outside=True),
            [
                0.55882353, 0.81494204, 1.35698249, 1.89705882,
                2.39705882, 2.93713516, 3.47917561, 3.73529412,
            ],
        ),
    ],
    ids=lambda value: repr(value)[:60] if isinstance(value, Resize) else "",
)  # fmt: skip
def test_the_first_row_is_the_one_published_with_the_standard(x, operator, row):
    y, _ = operator.forward(x)
    np.testing.assert_allclose(y[0, 0, 0], row, rtol=1e-6)


@given(
    st.floats(0.2, 6.0),
    st.integers(1, 30),
    st.sampled_from(MODES),
    st.sampled_from(COORDINATES),
    st.sampled_from(("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")),
    st.booleans(),
)
def test_backward_is_the_adjoint_for_any_scale(scale, size, mode, coordinates, nearest, exclude):
    size = max(size, math.ceil(1 / scale))
    operator = Resize(
        scale=scale, mode=mode, coordinates=coordinates, nearest=nearest, exclude_outside=exclude
    )
    x = random_array((1, 1, size), 0)
    y, saved = operator.forward(x)
    assert y.shape == (1, 1, math.floor(size * scale))
    v = random_array(y.shape, 1)
    (dx,) = operator.backward(saved, v, (True,))
    terms = abs(y * v).sum() + 1
    assert abs((y * v).sum() - (x * dx).sum()) <= 1e-12 * terms


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("coordinates", COORDINATES)
def test_a_constant_stays_a_constant(mode, coordinates):
    operator = Resize((5, 11), mode=mode, coordinates=coordinates)
    y, _ = operator.forward(np.full((1, 1, 4, 3), 2.5))
    np.testing.assert_allclose(y, np.full((1, 1, 5, 11), 2.5), rtol=1e-14)


def test_a_linear_ramp_stays_one_between_aligned_corners():
    for mode in ("linear", "cubic"):
        operator = Resize(13, mode=mode, coordinates="align_corners")
        y, _ = operator.forward(np.arange(7.0).reshape(1, 1, 7))
        np.testing.assert_allclose(y[0, 0, 2:-2], np.linspace(0, 6, 13)[2:-2], rtol=1e-12)
        assert (y[0, 0, 0], y[0, 0, -1]) == (0, 6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("given_size", [{"size": (4, 6)}, {"scale": (1, 2)}], ids=str)
def test_an_axis_that_keeps_its_size_keeps_its_entries(mode, given_size):
    x = random_array((1, 2, 4, 3), 0)
    wide, _ = Resize(mode=mode, **given_size).forward(x)
    for row in range(4):
        line, _ = Resize(6, mode=mode).forward(x[:, :, row])
        np.testing.assert_array_equal(wide[:, :, row], line)


@pytest.mark.parametrize("operator", [Resize(3), Resize(scale=1.0, mode="cubic")], ids=repr)
def test_the_gradient_of_an_unchanged_input_is_an_array_of_its_own(operator):
    y, saved = operator.forward(random_array((1, 1, 3), 0))
    (dx,) = operator.backward(saved, y, (True,))
    np.testing.assert_array_equal(dx, y)
    assert not np.may_share_memory(dx, y)


@pytest.mark.parametrize(("mode", "reach"), [("nearest", 1), ("linear", 2), ("cubic", 4)])
def test_nan_and_infinity_spoil_only_what_they_are_part_of(mode, reach):
    operator = Resize(40, mode=mode)
    for bad in (np.nan, np.inf):
        x = np.zeros((1, 1, 20))
        x[0, 0, 10] = bad
        y, saved = operator.forward(x)
        assert 0 < (~np.isfinite(y)).sum() <= 2 * reach
        dy = np.zeros_like(y)
        dy[0, 0, 20] = bad
        (dx,) = operator.backward(saved, dy, (True,))
        assert 0 < (~np.isfinite(dx)).sum() <= reach


@pytest.mark.parametrize("mode", MODES)
def test_a_long_axis_costs_no_more_than_its_length(mode):
    length = 100_000  # a matrix over it would have 2 * 10^10 entries
    operator = Resize(scale=2, mode=mode)
    x = np.ones((1, 1, length), np.float32)
    y, saved = operator.forward(x)
    (dx,) = operator.backward(saved, y, (True,))
    assert y.dtype == dx.dtype == np.float32
    np.testing.assert_allclose(y, np.ones((1, 1, 2 * length)), rtol=1e-6)
    np.testing.assert_allclose(dx.sum(), 2 * length, rtol=1e-6)


def test_one_entry_becomes_many_and_collects_all_their_gradients():
    operator = Resize((3, 50), mode="linear")
    y, saved = operator.forward(np.full((2, 1, 1, 1), 7.0))
    assert (y == 7).all()
    (dx,) = operator.backward(saved, np.ones_like(y), (True,))
    np.testing.assert_allclose(dx, np.full((2, 1, 1, 1), 150.0), rtol=1e-13)


def test_an_inner_entry_that_more_outputs_take_than_the_outer_ones_collects_them_all():
    operator = Resize(9, coordinates="align_corners")
    y, saved = operator.forward(np.arange(3.0).reshape(1, 1, 3))
    assert y.ravel().tolist() == [0, 0, 0, 1, 1, 1, 1, 2, 2]
    (dx,) = operator.backward(saved, np.ones_like(y), (True,))
    assert dx.ravel().tolist() == [3, 4, 2]


def test_extreme_entries_stay_finite():
    x = np.array([[[3e38, -3e38, 3e38]]], np.float32)
    for mode in ("nearest", "linear"):
        y, _ = Resize(7, mode=mode).forward(x)
        assert y.dtype == np.float32 and np.isfinite(y).all()


def test_the_shape_carries_the_symbolic_batch():
    assert Resize(4).infer(IMAGE).shape == ("N", 3, 4, 4)
    assert Resize((16, 3)).infer(IMAGE).shape == ("N", 3, 16, 3)
    assert Resize(scale=1.5).infer(IMAGE).shape == ("N", 3, 12, 9)
    assert Resize(scale=(0.4, 2)).infer(IMAGE).shape == ("N", 3, 3, 12)


def test_operations_count_a_product_for_each_tap_and_the_sums_between_them():
    x = IMAGE.bind(2)
    assert Resize(16).flops(x) == 0
    # first 8 rows become 16, then 6 columns 3; cubic takes 4 entries, linear 2
    assert Resize((16, 3), mode="linear").flops(x) == 3 * 6 * (16 * 6 + 16 * 3)
    assert Resize((16, 6), mode="cubic").flops(x) == 7 * 6 * (16 * 6)


def test_a_gradient_nobody_needs_is_none():
    y, saved = Resize(4).forward(np.ones((1, 1, 3)))
    assert Resize(4).backward(saved, y, (False,)) == (None,)


@pytest.mark.parametrize(
    ("operator", "x", "message"),
    [
        (Resize(4), Spec(("N", 3)), "3 to 5 axes"),
        (Resize(4), Spec((1, 1, 2, 2, 2, 2)), "3 to 5 axes"),
        (Resize(4), Spec(("N", 3, 8), "int64"), "floating dtype, received int64"),
        (Resize((4, 4)), Spec(("N", 3, 8)), r"size for 1 spatial axes, received \(4, 4\)"),
        (Resize(scale=(2, 2)), Spec(("N", 3, 8)), r"scale for 1 spatial axes, received \(2.0, 2"),
        (Resize(4), Spec(("N", 3, 0)), r"at least 1, received float32 \(N, 3, 0\)"),
        (Resize(scale=0.1), IMAGE, r"\(N, 3, 8, 6\) to be resized to \(0, 0\)"),
        (Resize(4), Spec((1, 3, "N")), "expected known sizes"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(operator, x, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(x)


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (lambda: Resize(), ValueError, "Resize: expected either size or scale, received size None"),
        (lambda: Resize(4, 2.0), ValueError, "either size or scale, received size 4 and scale 2.0"),
        (lambda: Resize(0), ValueError, "Resize: expected size of at least 1"),
        (lambda: Resize(4.5), TypeError, "Resize: expected an integer for size"),
        (lambda: Resize(scale=0), ValueError, "a finite number above 0 for scale, received 0"),
        (lambda: Resize(scale=(1, "2")), TypeError, "Resize: expected a finite number above 0"),
        (lambda: Resize(4, mode="bilinear"), ValueError, '"linear" or "cubic" for mode'),
        (lambda: Resize(4, coordinates="x"), ValueError, 'Resize: expected "half_pixel", .* for c'),
        (lambda: Resize(4, nearest="round"), ValueError, '"floor" or "ceil" for nearest'),
        (
            lambda: Resize(4, cubic_coefficient=math.nan),
            ValueError,
            "Resize: expected a finite number for cubic_coefficient, received nan",
        ),
        (lambda: Resize(4, exclude_outside=1), TypeError, "True or False for exclude_outside"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()


def test_fields_are_kept_as_plain_python_values():
    assert Resize([np.int64(3), 4]).size == (3, 4)
    scale = Resize(scale=[np.float32(2), 3]).scale
    assert scale == (2.0, 3.0) and all(type(entry) is float for entry in scale)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_antialiasing_changes_nothing_where_outputs_are_no_further_apart_than_entries(mode):
    x = np.random.default_rng(0).normal(size=(1, 1, 5))
    for out in (5, 8):
        plain, spread = (Resize(out, mode=mode, antialias=a).forward(x)[0] for a in (False, True))
        np.testing.assert_array_equal(plain, spread)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("exclude_outside", [False, True])
def test_antialiasing_keeps_a_constant_and_meets_every_entry(mode, exclude_outside):
    operator = Resize(3, mode=mode, antialias=True, exclude_outside=exclude_outside)
    y, saved = operator.forward(np.full((1, 1, 16), 2.0))
    np.testing.assert_allclose(y, 2.0, rtol=1e-12)
    (dx,) = operator.backward(saved, np.ones_like(y), (True,))
    assert (dx > 0).all()
    assert not (Resize(3, mode=mode).backward(saved, np.ones_like(y), (True,))[0] > 0).all()


def test_a_spread_kernel_has_the_weights_of_onnx():
    # the four entries about an output, 2 entries apart from the next, in quarters and eighths
    operator = Resize(scale=0.5, mode="linear", antialias=True)
    ((index, weight),) = operator.taps(Spec((1, 1, 8)))
    assert index[1].tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(weight[1], [0.125, 0.375, 0.375, 0.125])
