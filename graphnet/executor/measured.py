"""How long each call of a plan takes, on random inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnet.executor.plans import Planned, scalar_outputs
from graphnet.executor.runner import Runner
from graphnet.explain import Event, timed
from graphnet.run import run_forward, run_reverse
from ops.operator import known

__all__ = ["measured"]

#: How many runs are timed; one untimed comes first.
RUNS = 3


def measured(
    runner: Runner, batch: int | None, training: bool | None
) -> tuple[Planned, list[list[Event]]]:
    """A plan, and what each call of some runs took.

    Args:
        runner: of the network.
        batch: the number of examples; that of the last run, or 1, when None.
        training: whether the reverse pass from the first scalar follows; as in the last run
            when None.
    """
    plans = runner.plans
    last = next(reversed(plans.kept.values()), None)
    batch = (last.plan.batch if last else 1) if batch is None else batch
    training = (last.plan.training if last else False) if training is None else training
    planned = plans.find(training, tuple(runner.graph.outputs), batch, training)
    plan, feeds = planned.plan, _random_feeds(planned)
    scalars = scalar_outputs(plan) if training else []
    runner.forget_pass()
    found: list[list[Event]] = []
    for _ in range(RUNS + 1):
        found.append([])
        if planned.program is None:
            watched = timed(plan, found[-1], runner.backend.synchronize)
            saved = run_forward(watched, runner.values(watched, feeds))
            if scalars:
                reverse = plans.reverse(watched, scalars[0], runner.leaves.trainable)
                run_reverse(watched, reverse, saved, runner.seed(watched, reverse, None))
            continue
        runner.run(planned, feeds, found[-1])
        if scalars:
            reverse = plans.reverse(plan, scalars[0], runner.leaves.trainable)
            runner.run_reverse(planned, reverse, runner.seed(plan, reverse, None), found[-1])
    return planned, found[1:]


def _random_feeds(planned: Planned) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    feeds = {}
    for name, (_, spec) in planned.plan.inputs.items():
        shape = known(*spec.shape)
        drawn = rng.normal(size=shape) if spec.is_floating else np.zeros(shape)
        feeds[name] = drawn.astype(spec.dtype)
    return feeds
