"""How parameters are learned from their gradients.

- ``optimizers``: gradient descent, RMSProp, Adam and AdamW, on dictionaries of arrays.
- ``schedules``: learning rates that change with the step.
"""

from graphnet.optim.optimizers import SGD, Adam, AdamW, Optimizer, RMSProp
from graphnet.optim.schedules import Constant, Cosine, Schedule, StepDecay, WarmUp

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Constant",
    "Cosine",
    "Optimizer",
    "RMSProp",
    "Schedule",
    "StepDecay",
    "WarmUp",
]
