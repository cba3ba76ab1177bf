"""One record for each operator: what drives all of its tests (see test_operators.py).

A family's records stand in the module named like the family's module in ``ops``.
"""

from graphnet.testing.records import (
    activation,
    convolution,
    dropout,
    elementwise,
    linear,
    loss,
    normalization,
    pooling,
    reduction,
    shape,
)

RECORDS = [
    *activation.RECORDS,
    *convolution.RECORDS,
    *dropout.RECORDS,
    *elementwise.RECORDS,
    *linear.RECORDS,
    *loss.RECORDS,
    *normalization.RECORDS,
    *pooling.RECORDS,
    *reduction.RECORDS,
    *shape.RECORDS,
]
