"""Training a classifier: epochs, history, the best parameters, checkpoints.

- ``trainer``: the loop over epochs and batches.
- ``history``: what each epoch came to, as rows and as CSV.
- ``transfer``: a trained network with another head.
- ``progress``: a live bar on a terminal, plain lines elsewhere.
"""

from graphnet.training.history import EpochRecord, History, Metrics
from graphnet.training.trainer import Trainer
from graphnet.training.transfer import image_shape, replace_head

__all__ = ["EpochRecord", "History", "Metrics", "Trainer", "image_shape", "replace_head"]
