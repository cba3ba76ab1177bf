"""Matrix products where their records do not reach: the symbolic batch, misuse."""

from __future__ import annotations

import pytest

from ops import Linear, MatMul, ShapeError, Spec

X = Spec(("N", 3, 4))


def test_the_symbolic_batch_is_carried_along():
    assert Linear(2).infer(X, Spec((2, 12)), Spec((2,))).shape == ("N", 2)
    assert Linear(2, axis=-1).infer(X, Spec((2, 4)), Spec((2,))).shape == ("N", 3, 2)
    assert MatMul().infer(X, Spec((4, 2))).shape == ("N", 3, 2)
    assert MatMul().infer(Spec((5, 1, 2, 3)), X).shape == (5, "N", 2, 4)


def test_linear_learns_a_weight_and_a_bias_only_if_it_has_one():
    assert [p.shape for p in Linear(2).parameters(X).values()] == [(2, 12), (2,)]
    assert list(Linear(2, bias=False).parameters(X)) == ["weight"]
    assert [p.decay for p in Linear(2).parameters(X).values()] == [True, False]


def test_a_product_and_an_addition_count_as_two_operations():
    x = Spec((6, 4))
    assert Linear(2).flops(x, Spec((2, 4)), Spec((2,))) == 6 * 2 * (2 * 4 + 1)
    assert MatMul().flops(x, Spec((4, 3))) == 6 * 3 * 2 * 4


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        (Linear(2), [Spec(("N",)), Spec((2, 4))], r"2 or more axes, received float32 \(N,\)"),
        (Linear(2), [Spec(("N", 4), "int64"), Spec((2, 4))], "floating dtype, received int64"),
        (Linear(2), [X, Spec((4, 2))], r"a weight float32 \(2, 12\), received float32 \(4, 2\)"),
        (Linear(2), [X, Spec((2, 12)), Spec((3,))], r"a bias float32 \(2,\), received"),
        (Linear(2, axis=3), [X, Spec((2, 12))], r"an axis in -3\.\.2, received 3"),
        (Linear(2, axis=0), [X, Spec((2, 12))], "features after the first axis"),
        (Linear(2, axis=-3), [X, Spec((2, 12))], "features after the first axis"),
        (Linear(2), [Spec((4, "N")), Spec((2, 4))], "known sizes"),
        (MatMul(), [X, Spec((3, 2))], r"equal inner sizes .* \(N, 3, 4\) and float32 \(3, 2\)"),
        (MatMul(), [X, Spec((4, 2), "float64")], "equal inner sizes and dtypes"),
        (MatMul(), [X, Spec((4,))], "b of 2 or more axes"),
        (MatMul(), [X, Spec((2, 4, 3))], r"shapes that broadcast, received \(N,\) and \(2,\)"),
        (MatMul(), [Spec(("N", 4), "bool"), X], "a of a floating or integer dtype"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(operator, inputs, message):
    with pytest.raises(ShapeError, match=message):
        operator.infer(*inputs)


@pytest.mark.parametrize(
    ("units", "error"), [(0, ValueError), (1.5, TypeError), (True, TypeError), ("2", TypeError)]
)
def test_units_that_make_no_sense_are_refused(units, error):
    with pytest.raises(error, match=r"Linear: expected .*units"):
        Linear(units)


def test_the_axis_is_an_integer():
    with pytest.raises(TypeError, match="Linear: expected an integer axis, received 'last'"):
        Linear(2, axis="last")
