"""Neural networks as graphs of operators with proven gradients, on NumPy and CuPy arrays.

Declare values and nodes with :class:`Input` and the operators of :mod:`ops`, collect them in
a :class:`Graph`, run it with an :class:`Executor`.

Models, blocks, data, training, testing and onnx are imported when they are first asked for.
"""

from typing import TYPE_CHECKING

import lazy_loader

from graphnet import optim, passes
from graphnet.backends import BackendError
from graphnet.debug import ContractError
from graphnet.executor import Executor, ExecutorError, TrainingStep
from graphnet.feeds import FeedError
from graphnet.graph import Graph
from graphnet.out_of_memory import OutOfMemoryError
from graphnet.values import Constant, GraphError, Input, Node, Parameter, State, Value
from graphnet.weights import WeightsError, WeightsReport

if TYPE_CHECKING:
    from graphnet import blocks, data, models, training
    from graphnet import onnx as onnx
    from graphnet import testing as testing
    from graphnet.training import Trainer

__getattr__, _, _ = lazy_loader.attach(
    __name__,
    ("blocks", "data", "models", "onnx", "testing", "training"),
    {"training": ["Trainer"]},
)

__version__ = "0.1.0"

__all__ = [
    "BackendError",
    "Constant",
    "ContractError",
    "Executor",
    "ExecutorError",
    "FeedError",
    "Graph",
    "GraphError",
    "Input",
    "Node",
    "OutOfMemoryError",
    "Parameter",
    "State",
    "Trainer",
    "TrainingStep",
    "Value",
    "WeightsError",
    "WeightsReport",
    "__version__",
    "blocks",
    "data",
    "models",
    "optim",
    "passes",
    "training",
]


def __dir__() -> list[str]:
    return [*__all__, "onnx", "testing"]
