"""Einstein sums where their record does not reach: accuracy, the symbolic batch, misuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops import ShapeError, Spec
from ops.dimension import Dim
from ops.einsum import Einsum


def ones(*shapes):
    return [np.ones(shape) for shape in shapes]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("ij,jk", "ij,jk->ik"),
        ("ba", "ba->ab"),
        ("aB", "aB->Ba"),
        ("ii", "ii->"),
        ("i...,j...", "i...,j...->...ij"),
        (" b i j , j k -> b i k ", "bij,jk->bik"),
        (",ij", ",ij->ij"),
        ("", "->"),
        ("ij->", "ij->"),
    ],
)
def test_the_equation_is_kept_without_blanks_and_with_its_output(written, kept):
    assert Einsum(written).equation == kept
    assert Einsum(written) == Einsum(kept)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("...ij,...jk->...ik", [(2, 1, 3, 4), (5, 4, 2)]),
        ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)]),
        ("iij,jk,kl->il", [(3, 3, 2), (2, 4), (4, 5)]),
        ("i,i,i,i->i", [(4,)] * 4),
        ("iijj->j", [(3, 3, 2, 2)]),
        ("a...a->...a", [(3, 2, 4, 3)]),
    ],
)
def test_the_result_is_that_of_numpy(equation, shapes):
    rng = np.random.default_rng(0)
    xs = [rng.normal(size=shape) for shape in shapes]
    y, _ = Einsum(equation).forward(*xs)
    np.testing.assert_allclose(y, np.einsum(equation, *xs), rtol=1e-12)


@given(
    st.sampled_from((1, 31, 3000)),
    st.sampled_from(("ij,jk->ik", "ij,ij->i", "ij->i", "ij,j,j->i")),
    st.integers(0, 2**32 - 1),
)
def test_a_sum_in_float32_is_as_accurate_as_its_number_of_roundings_allows(n, equation, seed):
    sizes = {"i": 2, "j": n, "k": 3}
    rng = np.random.default_rng(seed)
    terms = equation.partition("->")[0].split(",")
    xs = [rng.normal(size=[sizes[letter] for letter in term]) for term in terms]
    xs = [x.astype(np.float32) for x in xs]
    wide = [x.astype(np.float64) for x in xs]
    operator = Einsum(equation)
    error = np.abs(operator.forward(*xs)[0] - operator.forward(*wide)[0])
    scale = operator.forward(*map(np.abs, wide))[0]
    roundings = n + len(xs) - 1
    assert (error <= roundings * float(np.finfo(np.float32).eps) * scale).all()


@pytest.mark.parametrize(
    ("equation", "shapes", "shape"),
    [
        ("nij,jk->nik", [("N", 3, 4), (4, 5)], ("N", 3, 5)),
        ("ni,ni->n", [("N", 3), ("N", 3)], ("N",)),
        ("ni,nj->ij", [("N", 3), ("N", 4)], (3, 4)),
        ("...i,...i->...", [("N", 2, 3), (1, 2, 3)], ("N", 2)),
        ("...i->i...", [("N", 2, 3)], (3, "N", 2)),
        ("...,...->...", [(Dim(2), 3), (1, 1)], (Dim(2), 3)),
    ],
)
def test_the_symbolic_batch_is_an_index_like_any_other(equation, shapes, shape):
    assert Einsum(equation).infer(*map(Spec, shapes)).shape == shape


def test_an_ellipsis_the_output_leaves_out_is_summed_over():
    x = np.arange(24.0).reshape(2, 3, 4)
    y, saved = Einsum("...i->i").forward(x)
    np.testing.assert_array_equal(y, x.sum(axis=(0, 1)))
    (dx,) = Einsum("...i->i").backward(saved, np.arange(4.0), (True,))
    np.testing.assert_array_equal(dx, np.broadcast_to(np.arange(4.0), x.shape))


def test_as_many_axes_fit_under_the_ellipsis_as_letters_are_left():
    most = Spec((1,) * 51, "float32")
    assert Einsum("...a->...a").infer(most.with_shape((1,) * 52)).shape == (1,) * 52
    with pytest.raises(ShapeError, match="at most 51 axes under the ellipsis, received 52"):
        Einsum("...a->...a").infer(most.with_shape((1,) * 53))


def test_the_gradient_of_a_trace_is_the_unit_matrix():
    y, saved = Einsum("ii").forward(np.arange(9.0).reshape(3, 3))
    assert isinstance(y, np.ndarray) and y.shape == () and y == 12
    (dx,) = Einsum("ii").backward(saved, np.array(1.0), (True,))
    np.testing.assert_array_equal(dx, np.eye(3))


def test_one_operand_is_not_kept_for_its_gradient():
    _, saved = Einsum("ij->i").forward(np.ones((2, 3)))
    assert saved == (((2, 3),),)


def test_a_sum_over_no_entry_is_zero():
    y, saved = Einsum("ij,jk,kl->il").forward(*ones((2, 0), (0, 3), (3, 4)))
    assert y.tolist() == [[0] * 4] * 2
    gradients = Einsum("ij,jk,kl->il").backward(saved, np.ones((2, 4)), (True,) * 3)
    assert [dx.shape for dx in gradients] == [(2, 0), (0, 3), (3, 4)]


@pytest.mark.parametrize(
    ("equation", "shapes", "flops"),
    [
        ("ij,jk->ik", [(2, 3), (3, 5)], 2 * 2 * 3 * 5),
        ("i,j->ij", [(2,), (3,)], 2 * 3),
        ("ij->i", [(2, 3)], 2 * 3),
        ("ij->ji", [(2, 3)], 0),
        ("...i,...i->...", [(4, 3), (1, 3)], 2 * 4 * 3),
    ],
)
def test_products_and_sums_are_counted(equation, shapes, flops):
    assert Einsum(equation).flops(*map(Spec, shapes)) == flops


def test_any_number_of_operands_is_taken():
    assert Einsum.signature().names == () and Einsum.signature().variadic == "xs"


@pytest.mark.parametrize(
    ("equation", "inputs", "message"),
    [
        ("ij,jk->ik", [Spec((2, 3))], "expected 2 operands for 'ij,jk->ik', received 1"),
        ("i", [], "expected 1 operands"),
        (
            "ij,jk->ik",
            [Spec((2, 3)), Spec((4, 5))],
            "expected size 3 for 'j' as in operand 0, received 4 in operand 1",
        ),
        ("ii", [Spec((2, 3))], "size 2 for 'i' as in operand 0, received 3 in operand 0"),
        ("i,i", [Spec((2,)), Spec((1,))], "size 2 for 'i' as in operand 0, received 1"),
        ("ni,n", [Spec(("N", 3)), Spec((3,))], "size N for 'n' as in operand 0, received 3"),
        ("i,jk", [Spec((2,)), Spec((2,))], r"2 axes for operand 1, 'jk', received \(2,\)"),
        ("ij", [Spec((2, 3, 4))], r"2 axes for operand 0, 'ij', received \(2, 3, 4\)"),
        ("i...j", [Spec((2,))], r"2 or more axes for operand 0, 'i...j', received \(2,\)"),
        (
            "...i,...i",
            [Spec((2, 3)), Spec((4, 3))],
            r"under the ellipsis: expected shapes that broadcast, received \(2,\) and \(4,\)",
        ),
        ("i...", [Spec((1,) * 60)], "at most 51 axes under the ellipsis, received 59"),
        ("i", [Spec((2,), "int64")], "an operand of a floating dtype, received int64"),
        (
            "i,i",
            [Spec((2,)), Spec((2,), "float64")],
            "operands of one dtype, received float32 and float64",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(equation, inputs, message):
    with pytest.raises(ShapeError, match=message):
        Einsum(equation).infer(*inputs)


@pytest.mark.parametrize(
    ("equation", "error", "message"),
    [
        (None, TypeError, "Einsum: expected an equation as text, received None"),
        ("i1", ValueError, "letters a-z and A-Z .* received 'i1' in 'i1'"),
        ("ij,jß", ValueError, "received 'jß'"),
        ("i.j", ValueError, "received 'i.j'"),
        ("....i", ValueError, "at most one ellipsis"),
        ("...i...", ValueError, "at most one ellipsis"),
        ("i->j->k", ValueError, "received 'j->k'"),
        ("ij->i,j", ValueError, "received 'i,j'"),
        ("ij>i", ValueError, "received 'ij>i'"),
        ("ij->ik", ValueError, "output of letters of the operands, .* received 'k' in 'ij->ik'"),
        ("ij->ii", ValueError, "each at most once, received 'i' in 'ij->ii'"),
        ("i->...i", ValueError, "expected an ellipsis in an operand"),
    ],
)
def test_an_equation_that_makes_no_sense_is_refused(equation, error, message):
    with pytest.raises(error, match=message):
        Einsum(equation)
