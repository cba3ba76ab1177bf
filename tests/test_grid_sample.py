"""Sampling at points where its record does not reach: edges, far points, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops import ShapeError, Spec
from ops.grid_sample import GridSample

LINE = np.array([[[1.0, 2.0, 4.0]]])


def sample(operator, numbers, x=LINE):
    grid = np.array(numbers, dtype=x.dtype).reshape(1, -1, 1)
    y, saved = operator.forward(x, grid)
    dx, dgrid = operator.backward(saved, np.ones_like(y), (True, True))
    return y.ravel().tolist(), dx.ravel().tolist(), dgrid.ravel().tolist()


@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align_corners", [False, True])
def test_the_identity_grid_gives_the_image_back(mode, padding, align_corners):
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    steps = [np.linspace(-1, 1, n) * (1 if align_corners else 1 - 1 / n) for n in x.shape[2:]]
    grid = np.stack(np.meshgrid(*steps, indexing="ij")[::-1], axis=-1)
    grid = np.broadcast_to(grid, (2, *grid.shape))
    y, _ = GridSample(mode, padding, align_corners).forward(x, grid)
    np.testing.assert_allclose(y, x, atol=1e-12)


@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize(("padding", "ends"), [("zeros", [0, 0]), ("border", [1, 4])])
def test_points_far_outside_see_what_the_padding_says(mode, padding, ends):
    for far in (1e4, 1e30):
        y, dx, dgrid = sample(GridSample(mode, padding), [-far, far])
        np.testing.assert_allclose(y, ends, atol=1e-12)
        assert dgrid == [0, 0] and np.isfinite(dx).all()


def test_a_mirror_repeats_the_image():
    numbers = np.array([-2 / 3, 0, 2 / 3])
    for turns in (-4, -2, 0, 2, 4):  # each is a whole image; an odd number runs back
        back = turns % 4 == 2
        y, _, _ = sample(GridSample(padding="reflection"), numbers + turns)
        np.testing.assert_allclose(y, [4, 2, 1] if back else [1, 2, 4], atol=1e-12)


def test_an_axis_of_one_entry_is_mirrored_to_it():
    x = np.full((1, 1, 1), 3.0)
    y, dx, dgrid = sample(GridSample("linear", "reflection", True), [-2.0, 0.3, 5.0], x)
    assert y == [3, 3, 3] and dx == [3] and dgrid == [0, 0, 0]


def test_halfway_points_go_to_the_even_entry():
    assert sample(GridSample("nearest", align_corners=True), [-0.5, 0.5])[0] == [1, 4]


def test_no_gradient_flows_to_the_points_of_a_nearest_entry():
    assert sample(GridSample("nearest"), [-0.5, 0.2])[2] == [0, 0]


def test_the_symbolic_batch_is_carried_along():
    x, grid = Spec(("N", 3, 8, 8)), Spec(("N", 5, 6, 2))
    assert GridSample().infer(x, grid) == Spec(("N", 3, 5, 6))
    assert GridSample().flops(x.bind(2), grid.bind(2)) == 2 * 3 * 5 * 6 * 8


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([Spec(("N", 3)), Spec(("N", 2))], "an input of 3 to 5 axes"),
        ([Spec(("N", 3, 4), "int64"), Spec(("N", 2, 1))], "floating dtype"),
        ([Spec((2, 3, 4)), Spec((2, 2, 2))], "a grid "),
        ([Spec((2, 3, 4)), Spec((3, 2, 1))], "a grid "),
        ([Spec((2, 3, 4)), Spec((2, 2, 2, 1))], "a grid "),
        ([Spec((2, 3, 4)), Spec((2, 2, 1), "float64")], "of its dtype"),
        ([Spec((2, 3, 0)), Spec((2, 2, 1))], "an image with entries"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs, message):
    with pytest.raises(ShapeError, match=message):
        GridSample().infer(*inputs)


def test_configuration_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match='expected "nearest", "linear" or "cubic" for mode'):
        GridSample("bilinear")
    with pytest.raises(ValueError, match='"zeros", "border" or "reflection" for padding'):
        GridSample(padding="wrap")
    with pytest.raises(TypeError, match="expected True or False for align_corners"):
        GridSample(align_corners=1)


def test_a_gradient_nobody_needs_is_none():
    y, saved = GridSample().forward(LINE, np.zeros((1, 2, 1)))
    assert GridSample().backward(saved, y, (False, False)) == (None, None)


def test_a_point_on_the_edge_of_the_image_is_inside():
    # half an entry from the outermost one, where a cubic kernel weighs the repeated border
    y, _, dgrid = sample(GridSample("cubic", "border"), [-1.0, 1.0])
    near = ((-0.75 + 2) * 0.5 - (-0.75 + 3)) * 0.25 + 1
    far = ((-0.75 * 1.5 + 5 * 0.75) * 1.5 - 8 * 0.75) * 1.5 + 4 * 0.75
    np.testing.assert_allclose(y, [1 + far * (2 - 1), 4 + far * (2 - 4)], atol=1e-12)
    assert near + far == 0.5 and 0 not in dgrid
