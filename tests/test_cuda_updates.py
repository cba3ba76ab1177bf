"""Steps of optimizers on the card: those of the library, over flat arrays."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import graphnet as gn
from graphnet.kernels import cuda
from graphnet.kernels.cuda.optimizers import NUMBERS, UPDATES

pytestmark = pytest.mark.usefixtures("on_numpy")

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
