"""Optimizers against their formulas in plain Python floats, schedules against closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphnet.optim import (
    SGD,
    Adam,
    AdamW,
    Constant,
    Cosine,
    Optimizer,
    RMSProp,
    Schedule,
    StepDecay,
    WarmUp,
)

gradients = st.lists(st.floats(-3, 3), min_size=1, max_size=6)
starts = st.floats(-2, 2)
rates = st.floats(1e-3, 0.5)
fractions = st.floats(0, 0.99)

EVERY = [SGD(0.1), SGD(0.1, 0.9), SGD(0.1, 0.9, True), RMSProp(), Adam(), AdamW()]
each_optimizer = pytest.mark.parametrize("optimizer", EVERY, ids=repr)


def run(
    optimizer: Optimizer,
    start: float,
    steps: list[float],
    dtype: str = "float64",
    decay: frozenset[str] = frozenset(),
) -> float:
    """The parameter after one step per gradient, from arrays of one entry."""
    parameters = {"w": np.array([start], dtype)}
    slots = optimizer.slots(parameters)
    for step, g in enumerate(steps, 1):
        optimizer.update(parameters, {"w": np.array([g], dtype)}, slots, step, decay)
    return float(parameters["w"][0])


def close(value: float, expected: float) -> bool:
    return math.isclose(value, expected, rel_tol=1e-9, abs_tol=1e-12)


# ---- the update rules -------------------------------------------------------------------


@given(starts, gradients, rates)
def test_sgd_subtracts_the_sum_of_the_scaled_gradients(
    p: float, gs: list[float], lr: float
) -> None:
    assert close(run(SGD(lr), p, gs), p - lr * math.fsum(gs))


@given(starts, gradients, rates, fractions)
def test_momentum_is_a_geometric_sum_of_gradients(
    p: float, gs: list[float], lr: float, mu: float
) -> None:
    # closed form of Polyak's recurrence: v_t = -lr * sum_i mu^(t-i) g_i
    velocities = [
        -lr * math.fsum(mu ** (t - i) * g for i, g in enumerate(gs[: t + 1]))
        for t in range(len(gs))
    ]
    assert close(run(SGD(lr, momentum=mu), p, gs), p + math.fsum(velocities))


@given(starts, st.integers(1, 8), st.floats(1e-3, 0.3), st.floats(0.1, 0.95), st.floats(0.1, 2))
def test_nesterov_takes_the_gradient_at_the_point_ahead(
    theta: float, steps: int, lr: float, mu: float, curvature: float
) -> None:
    # Sutskever et al., 2013, equations 3 and 4, on f(x) = curvature / 2 * x^2:
    #   v = mu v - lr f'(theta + mu v), theta = theta + v;  ours holds theta + mu v
    optimizer = SGD(lr, momentum=mu, nesterov=True)
    parameters = {"w": np.array([theta])}
    slots = optimizer.slots(parameters)
    v = 0.0
    for step in range(1, steps + 1):
        v = mu * v - lr * curvature * (theta + mu * v)
        theta += v
        optimizer.update(parameters, {"w": curvature * parameters["w"]}, slots, step, frozenset())
        assert close(float(parameters["w"][0]), theta + mu * v)


@given(starts, gradients, rates, fractions)
def test_rmsprop_has_eps_outside_the_root(
    p: float, gs: list[float], lr: float, decay: float
) -> None:
    # Tieleman, Hinton, lecture 6.5, 2012, the mean square written out as a sum
    expected = p
    for t, g in enumerate(gs):
        square = (1 - decay) * math.fsum(
            decay ** (t - i) * h * h for i, h in enumerate(gs[: t + 1])
        )
        expected -= lr * g / (math.sqrt(square) + 1e-8)
    assert close(run(RMSProp(lr, decay=decay), p, gs), expected)


def adam_by_sums(
    p: float, gs: list[float], lr: float, b1: float, b2: float, shrink: float
) -> float:
    # Kingma, Ba, 2015, section 3: the moments as exponentially weighted sums, and the bias
    # correction as the sum of the weights
    for t in range(1, len(gs) + 1):
        w1 = [(1 - b1) * b1 ** (t - i) for i in range(1, t + 1)]
        w2 = [(1 - b2) * b2 ** (t - i) for i in range(1, t + 1)]
        m = math.fsum(w * g for w, g in zip(w1, gs, strict=False)) / math.fsum(w1)
        v = math.fsum(w * g * g for w, g in zip(w2, gs, strict=False)) / math.fsum(w2)
        p = shrink * p - lr * m / (math.sqrt(v) + 1e-8)
    return p


# gradients are 0 or not tiny: near eps, rounding of the mean square is amplified by the root
clear = st.lists(
    st.one_of(st.just(0.0), st.floats(0.01, 3), st.floats(-3, -0.01)), min_size=1, max_size=6
)


@given(starts, clear, rates, fractions, st.floats(0.5, 0.999))
def test_adam_divides_unbiased_moments(
    p: float, gs: list[float], lr: float, b1: float, b2: float
) -> None:
    expected = adam_by_sums(p, gs, lr, b1, b2, shrink=1.0)
    assert math.isclose(run(Adam(lr, b1, b2), p, gs), expected, rel_tol=1e-7, abs_tol=1e-8)


@given(starts, clear, rates, st.floats(0, 1))
def test_adamw_shrinks_the_parameter_past_the_moments(
    p: float, gs: list[float], lr: float, wd: float
) -> None:
    # Loshchilov, Hutter, 2019, algorithm 2, line 12
    expected = adam_by_sums(p, gs, lr, 0.9, 0.999, shrink=1 - lr * wd)
    got = run(AdamW(lr, weight_decay=wd), p, gs, decay=frozenset({"w"}))
    assert math.isclose(got, expected, rel_tol=1e-7, abs_tol=1e-8)


@given(st.floats(0.01, 3), st.sampled_from([-1, 1]), rates)
def test_the_first_step_of_adam_is_the_learning_rate(size: float, sign: int, lr: float) -> None:
    # Kingma, Ba, 2015, section 2.1: m / sqrt(v) of one gradient is its sign
    assert math.isclose(run(Adam(lr), 0.0, [sign * size]), -sign * lr, rel_tol=1e-5)


def test_defaults_are_those_of_the_papers() -> None:
    assert RMSProp() == RMSProp(lr=1e-2, decay=0.99, eps=1e-8)
    assert Adam() == Adam(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0)
    assert AdamW() == AdamW(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=1e-2)


@each_optimizer
def test_a_quadratic_is_minimised(optimizer: Optimizer) -> None:
    optimizer = replace(optimizer, lr=Cosine(0.1, steps=300))
    parameters = {"w": np.array([1.0, -2.0])}
    slots = optimizer.slots(parameters)
    for step in range(1, 301):
        optimizer.update(parameters, {"w": parameters["w"] - 0.5}, slots, step, frozenset())
    np.testing.assert_allclose(parameters["w"], 0.5, atol=1e-2)


# ---- weight decay and clipping ----------------------------------------------------------


@given(starts, st.floats(-3, 3), rates, st.floats(0, 1))
def test_coupled_weight_decay_is_the_gradient_of_half_the_square(
    p: float, g: float, lr: float, wd: float
) -> None:
    optimizer = SGD(lr, weight_decay=wd)
    assert close(run(optimizer, p, [g], decay=frozenset({"w"})), p - lr * (g + wd * p))


@each_optimizer
def test_weight_decay_spares_the_names_that_do_not_decay(optimizer: Optimizer) -> None:
    decaying = replace(optimizer, weight_decay=0.5)
    spared, plain = (
        run(decaying, 2.0, [1.0, -0.3]),
        run(replace(optimizer, weight_decay=0.0), 2.0, [1.0, -0.3]),
    )
    assert spared == plain
    assert run(decaying, 2.0, [1.0, -0.3], decay=frozenset({"w"})) != plain


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=5), st.floats(0.1, 4))
def test_clip_norm_scales_all_gradients_together(values: list[float], limit: float) -> None:
    parameters = {f"w{i}": np.zeros(2) for i in range(len(values))}
    given_ = {f"w{i}": np.array([v, -v]) for i, v in enumerate(values)}
    SGD(1.0, clip_norm=limit).update(parameters, given_, {}, 1, frozenset())
    norm = math.sqrt(2 * math.fsum(v * v for v in values))
    factor = limit / norm if norm > limit else 1.0
    for i, v in enumerate(values):
        np.testing.assert_allclose(parameters[f"w{i}"], [-factor * v, factor * v], rtol=1e-12)


def test_clip_norm_leaves_small_and_zero_gradients_bit_for_bit() -> None:
    small = np.array([0.1, 0.7], "float32")
    for gradient in (small, np.zeros(2, "float32")):
        parameters = {"w": np.zeros(2, "float32")}
        SGD(1.0, clip_norm=1.0).update(parameters, {"w": gradient}, {}, 1, frozenset())
        np.testing.assert_array_equal(parameters["w"], -gradient)


def test_clip_norm_holds_where_squares_leave_float32() -> None:
    parameters = {"w": np.zeros(2, "float32")}
    huge = np.array([3e30, 4e30], "float32")
    SGD(1.0, clip_norm=1.0).update(parameters, {"w": huge}, {}, 1, frozenset())
    np.testing.assert_allclose(parameters["w"], [-0.6, -0.8], rtol=1e-6)
    assert parameters["w"].dtype == np.float32


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=5), st.floats(0.1, 4))
def test_clip_value_limits_each_entry(values: list[float], limit: float) -> None:
    parameters = {"w": np.zeros(len(values))}
    SGD(1.0, clip_value=limit).update(parameters, {"w": np.array(values)}, {}, 1, frozenset())
    expected = [-max(-limit, min(limit, v)) for v in values]
    np.testing.assert_array_equal(parameters["w"], expected)


def test_values_are_clipped_before_the_norm_and_decay_comes_after_both() -> None:
    parameters = {"w": np.array([10.0, 10.0])}
    optimizer = SGD(1.0, weight_decay=0.1, clip_value=3.0, clip_norm=1.0)
    optimizer.update(parameters, {"w": np.array([300.0, 4.0])}, {}, 1, frozenset({"w"}))
    root = math.sqrt(0.5)  # (3, 3) scaled to norm 1
    np.testing.assert_allclose(parameters["w"], [10 - root - 1, 10 - root - 1])


# ---- arrays -----------------------------------------------------------------------------


@each_optimizer
@pytest.mark.parametrize("limits", [{}, {"clip_norm": 1.0, "clip_value": 2.0}], ids=str)
def test_arrays_keep_identity_dtype_and_gradients(
    optimizer: Optimizer, limits: dict[str, float]
) -> None:
    optimizer = replace(optimizer, weight_decay=0.1, **limits)
    rng = np.random.default_rng(0)
    parameters = {
        "w": rng.normal(size=(3, 4)).astype("float32"),
        "wide": rng.normal(size=(2, 2)),
        "scalar": np.array(1.0, "float32"),
        "empty": np.zeros((0, 3), "float32"),
    }
    own = {name: rng.normal(size=p.shape).astype(p.dtype) for name, p in parameters.items()}
    slots = optimizer.slots(parameters)
    assert set(slots) == {f"{p}.{slot}" for p in parameters for slot in optimizer.slot_names}
    before = {**parameters, **slots}
    copies = {name: g.copy() for name, g in own.items()}
    dtypes = {name: array.dtype for name, array in before.items()}
    old = parameters["w"].copy()
    for step in (1, 2):
        optimizer.update(parameters, own, slots, step, frozenset({"w"}))
    after = {**parameters, **slots}
    assert all(after[name] is array for name, array in before.items())
    assert {name: array.dtype for name, array in after.items()} == dtypes
    for name, g in own.items():
        np.testing.assert_array_equal(g, copies[name])
    assert (parameters["w"] != old).all()


@each_optimizer
def test_views_are_changed_where_they_lie(optimizer: Optimizer) -> None:
    memory = np.ones((4, 4), "float32")
    parameters = {"w": memory[::2, 1:3]}
    optimizer.update(
        parameters, {"w": np.ones((2, 2), "float32")}, optimizer.slots(parameters), 1, frozenset()
    )
    assert (memory[::2, 1:3] < 1).all()
    assert (memory[1::2] == 1).all()


@each_optimizer
@given(p=starts, gs=clear)
def test_float32_follows_float64(optimizer: Optimizer, p: float, gs: list[float]) -> None:
    narrow, wide = run(optimizer, p, gs, "float32"), run(optimizer, p, gs)
    assert math.isclose(narrow, wide, rel_tol=1e-4, abs_tol=1e-5)


def test_clipped_and_decayed_gradients_keep_their_dtype() -> None:
    received: list[str] = []

    @dataclass(frozen=True)
    class Recording(Optimizer):
        def advance(self, parameter: Any, gradient: Any, *others: Any) -> None:
            received.append(gradient.dtype.name)

    parameters = {name: np.ones(2, name) for name in ("float32", "float64")}
    optimizer = Recording(0.1, weight_decay=0.1, clip_norm=1.0, clip_value=0.5)
    optimizer.update(parameters, parameters, {}, 1, frozenset(parameters))
    assert received == ["float32", "float64"]


def test_numpy_scalars_as_hyper_parameters_become_python_floats() -> None:
    optimizer = SGD(np.float64(0.1), momentum=np.float32(0.5))  # type: ignore[arg-type]
    assert optimizer == SGD(0.1, momentum=0.5)
    assert type(optimizer.lr) is float
    assert type(optimizer.momentum) is float


def test_gradients_of_other_names_are_ignored() -> None:
    parameters = {"w": np.ones(1)}
    SGD(0.5).update(parameters, {"w": np.ones(1), "frozen": np.ones(3)}, {}, 1, frozenset())
    assert parameters["w"][0] == 0.5
    SGD(0.5, clip_norm=1.0).update({}, {"frozen": np.ones(3)}, {}, 1, frozenset())


@pytest.mark.parametrize(
    ("own", "slots", "message"),
    [
        ({"a": np.ones(2)}, {}, r"gradient 'b' of shape \(3,\), received none"),
        ({"a": np.ones(2), "b": None}, {}, r"gradient 'b' of shape \(3,\), received none"),
        ({"a": np.ones(2), "b": np.ones(1)}, {}, r"'b' of shape \(3,\), received \(1,\)"),
        (None, {"b.velocity": None}, r"slot 'b.velocity' of shape \(3,\), received none"),
        (None, {"b.velocity": np.ones(4)}, r"'b.velocity' of shape \(3,\), received \(4,\)"),
    ],
)
def test_a_missing_or_wrong_array_is_named_and_nothing_changes(
    own: dict[str, Any] | None, slots: dict[str, Any], message: str
) -> None:
    optimizer = SGD(0.1, momentum=0.9)
    parameters = {"a": np.ones(2), "b": np.ones(3)}
    kept = {**optimizer.slots(parameters), **slots}
    with pytest.raises(ValueError, match=message):
        optimizer.update(
            parameters, own or {"a": np.ones(2), "b": np.ones(3)}, kept, 1, frozenset()
        )
    assert (parameters["a"] == 1).all()
    assert (kept["a.velocity"] == 0).all()


@pytest.mark.parametrize(
    ("step", "error"), [(0, ValueError), (-1, ValueError), (1.0, TypeError), (True, TypeError)]
)
def test_steps_are_counted_from_one(step: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"(an integer for step|step of at least 1), received"):
        SGD(0.1).update({"w": np.ones(1)}, {"w": np.ones(1)}, {}, step, frozenset())
    for schedule in (Constant(1.0), StepDecay(1.0, 2), Cosine(1.0, 2), WarmUp(2, 1.0)):
        with pytest.raises(error, match=r"(an integer for step|step of at least 1), received"):
            schedule(step)


# ---- hyper-parameters -------------------------------------------------------------------

NAN = math.nan


@pytest.mark.parametrize(
    "make",
    [
        *(lambda v=v: SGD(v) for v in (-0.1, NAN, math.inf)),
        *(lambda v=v: SGD(0.1, momentum=v) for v in (-0.1, 1.0, NAN)),
        lambda: SGD(0.1, nesterov=True),
        *(lambda v=v: SGD(0.1, weight_decay=v) for v in (-1.0, NAN, math.inf)),
        *(lambda v=v: SGD(0.1, clip_norm=v) for v in (0.0, -1.0, NAN)),
        *(lambda v=v: SGD(0.1, clip_value=v) for v in (0.0, -1.0, NAN)),
        *(lambda v=v: RMSProp(decay=v) for v in (-0.1, 1.0, NAN)),
        *(lambda v=v: RMSProp(eps=v) for v in (0.0, -1.0, NAN)),
        *(lambda v=v: Adam(beta1=v) for v in (-0.1, 1.0, NAN)),
        *(lambda v=v: Adam(beta2=v) for v in (-0.1, 1.0, NAN)),
        *(lambda v=v: AdamW(eps=v) for v in (0.0, NAN)),
        *(lambda v=v: Constant(v) for v in (-0.1, NAN, math.inf)),
        *(lambda v=v: StepDecay(v, 2, 0.5) for v in (-0.1, NAN)),
        *(lambda v=v: StepDecay(0.1, 2, v) for v in (0.0, 1.1, NAN)),
        lambda: StepDecay(0.1, 0, 0.5),
        *(lambda v=v: Cosine(0.1, 2, v) for v in (-0.1, NAN)),
        lambda: Cosine(0.1, 0),
        lambda: WarmUp(0, 0.1),
        lambda: WarmUp(2, NAN),
    ],
)
def test_hyper_parameters_out_of_range_are_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=r"^\w+: expected .*, received"):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: SGD("fast"),  # type: ignore[arg-type]
        lambda: SGD(True),
        lambda: SGD(0.1, momentum=None),  # type: ignore[arg-type]
        lambda: SGD(0.1, 0.9, nesterov=1),  # type: ignore[arg-type]
        lambda: Adam(beta1=np.ones(1)),  # type: ignore[arg-type]
        lambda: StepDecay(0.1, 2.0),  # type: ignore[arg-type]
        lambda: WarmUp(2, "cosine"),  # type: ignore[arg-type]
    ],
)
def test_hyper_parameters_that_are_no_numbers_are_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(TypeError, match=r"^\w+: expected .*, received"):
        make()


def test_an_optimizer_is_a_value() -> None:
    optimizer = Adam(1e-3, weight_decay=0.1)
    assert optimizer == Adam(0.001, weight_decay=0.1)
    assert hash(optimizer) == hash(Adam(0.001, weight_decay=0.1))
    assert repr(optimizer) == (
        "Adam(lr=0.001, weight_decay=0.1, clip_norm=None, clip_value=None, "
        "beta1=0.9, beta2=0.999, eps=1e-08)"
    )
    with pytest.raises(FrozenInstanceError):
        optimizer.lr = 1.0  # type: ignore[misc]


# ---- schedules --------------------------------------------------------------------------


@given(st.floats(0, 10), st.integers(1, 50), st.floats(0.01, 1), st.integers(1, 300))
def test_step_decay_multiplies_once_per_epoch(
    initial: float, every: int, factor: float, step: int
) -> None:
    rate = initial
    for earlier in range(2, step + 1):
        if (earlier - 1) % every == 0:  # a new epoch begins
            rate *= factor
    assert math.isclose(StepDecay(initial, every, factor)(step), rate, rel_tol=1e-9, abs_tol=1e-300)


@given(st.floats(0, 10), st.integers(1, 100), st.floats(0, 10))
def test_cosine_starts_passes_the_middle_and_ends(initial: float, half: int, final: float) -> None:
    # Loshchilov, Hutter, 2017, equation 5 at T_cur = 0, T / 2 and T
    schedule = Cosine(initial, 2 * half, final)
    assert close(schedule(1), initial)
    assert close(schedule(1 + half), (initial + final) / 2)
    assert close(schedule(1 + 2 * half), final)
    assert schedule(1 + 3 * half) == schedule(1 + 2 * half)
    rates = [schedule(step) for step in range(1, 2 * half + 2)]
    assert rates == sorted(rates, reverse=initial > final)


@given(st.integers(1, 50), st.floats(0, 10), st.integers(1, 30))
def test_warm_up_rises_in_equal_parts_and_then_starts_the_other_clock(
    steps: int, peak: float, later: int
) -> None:
    then = StepDecay(peak, every=7, factor=0.5)
    schedule = WarmUp(steps, then)
    for step in range(1, steps + 1):
        assert close(schedule(step), peak * step / steps)
    assert schedule(steps + later) == then(later)
    assert WarmUp(steps, peak)(steps + later) == peak


@given(starts, gradients)
def test_an_optimizer_follows_its_schedule(p: float, gs: list[float]) -> None:
    schedule = WarmUp(2, StepDecay(0.5, every=2, factor=0.1))
    rates = [0.25, 0.5, 0.5, 0.5, 0.05, 0.05]
    expected = p - math.fsum(lr * g for lr, g in zip(rates, gs, strict=False))
    assert close(run(SGD(schedule), p, gs), expected)


def test_a_rate_of_the_users_own_schedule_is_checked() -> None:
    @dataclass(frozen=True)
    class Broken(Schedule):
        def __call__(self, step: int) -> float:
            return -1.0

    parameters = {"w": np.ones(1)}
    with pytest.raises(ValueError, match=r"learning rate of step 3, received -1\.0"):
        SGD(Broken()).update(parameters, {"w": np.ones(1)}, {}, 3, frozenset())
    assert parameters["w"][0] == 1
