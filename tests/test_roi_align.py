"""Regions where the record does not reach: borders, small boxes, symbolic sizes, misuse."""

from __future__ import annotations

import numpy as np
import pytest

from ops import Interval, ShapeError, Spec
from ops.roi_align import RoIAlign

X, BOXES, EXAMPLES = Spec((2, 3, 8, 8)), Spec(("N", 4)), Spec(("N",), "int64")
FIRST = np.zeros(1, "int64")


def test_an_entry_at_most_beside_the_image_is_its_border_and_one_further_out_is_0():
    x = np.full((1, 1, 3, 3), 2.0)
    for left, expected in ((-0.9, 2.0), (-1.1, 0.0), (2.9, 2.0), (3.1, 0.0)):
        box = np.array([[left, 1.0, left, 1.0]])
        y, _ = RoIAlign(1, 1, aligned=False).forward(x, box - [[0.5, 0.5, 0.5, 0.5]], FIRST)
        assert y.item() == expected


def test_a_box_that_is_not_aligned_has_at_least_the_size_1():
    x = np.arange(9.0).reshape(1, 1, 3, 3)
    box = np.array([[0.5, 0.5, 0.6, 0.6]])
    y, saved = RoIAlign(1, aligned=False).forward(x, box, FIRST)
    _, dbox, _ = RoIAlign(1, aligned=False).backward(saved, np.ones_like(y), (True, True, False))
    assert y.item() == pytest.approx(4.0)  # the centre of the box is at (1, 1)
    assert dbox[0, 2] == dbox[0, 3] == 0 and dbox[0, 0] != 0


def test_a_point_on_the_border_has_no_slope_outwards():
    x = np.arange(4.0).reshape(1, 1, 2, 2)
    box = np.array([[-0.2, 0.3, -0.1, 0.4]])
    operator = RoIAlign(1, 1)
    y, saved = operator.forward(x, box, FIRST)
    _, dbox, _ = operator.backward(saved, np.ones_like(y), (True, True, False))
    assert dbox[0, 0] == dbox[0, 2] == 0


def test_sizes_and_examples_are_declared():
    assert RoIAlign((2, 3)).infer(X, BOXES, EXAMPLES) == Spec(("N", 3, 2, 3))
    assert RoIAlign(2).domains(X, BOXES, EXAMPLES) == {"examples": Interval(0, 2)}
    assert RoIAlign(2).flops(X, Spec((5, 4)), Spec((5,), "int64")) == 5 * 3 * 4 * 4 * 8


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([Spec((2, 3, 8)), BOXES, EXAMPLES], "an input of 4 axes"),
        ([Spec((2, 3, 8, 8), "int8"), BOXES, EXAMPLES], "floating dtype"),
        ([X, Spec(("N", 5)), EXAMPLES], "boxes float32"),
        ([X, Spec(("N",)), EXAMPLES], "boxes of 2 axes"),
        ([X, BOXES, Spec(("N",), "int32")], "examples int64"),
        ([Spec((2, 3, 0, 8)), BOXES, EXAMPLES], "an image with entries"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs, message):
    with pytest.raises(ShapeError, match=message):
        RoIAlign(2).infer(*inputs)


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        (lambda: RoIAlign(0), ValueError, "expected size of at least 1"),
        (lambda: RoIAlign(2, 0), ValueError, "expected samples of at least 1"),
        (lambda: RoIAlign(2, scale=0.0), ValueError, "a finite number above 0 for scale"),
        (lambda: RoIAlign(2, aligned=1), TypeError, "expected True or False for aligned"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(construct, error, message):
    with pytest.raises(error, match=message):
        construct()


def test_a_gradient_nobody_needs_is_none():
    y, saved = RoIAlign(1).forward(np.ones((1, 1, 2, 2)), np.array([[0.0, 0.0, 1.0, 1.0]]), FIRST)
    assert RoIAlign(1).backward(saved, y, (False, False, False)) == (None, None, None)
