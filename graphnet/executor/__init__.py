"""The executor: owns the parameters and states of a graph and runs its plans.

``leaves`` are the arrays that a network owns, ``plans`` what it does for each batch size, the
``runner`` runs them forward and in reverse, ``training_step`` adds the update, ``measured`` the
times; ``executor`` is the face of it all.
"""

from __future__ import annotations

from graphnet.executor.errors import ExecutorError
from graphnet.executor.executor import Executor
from graphnet.executor.training_step import TrainingStep

__all__ = ["Executor", "ExecutorError", "TrainingStep"]
