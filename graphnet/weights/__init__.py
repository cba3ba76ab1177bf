"""Weights in files: a network's own, whole or refused, and those of others, by name.

- ``files``: safetensors files of one network.
- ``stored``: arrays of other files and of mappings, looked at before they are read.
- ``matching``: which of them fit a network, and a report of what does not.
"""

from graphnet.weights.files import WeightsError, read_weights, write_weights, write_whole
from graphnet.weights.matching import WeightsReport, match_weights, pytorch_names

__all__ = [
    "WeightsError",
    "WeightsReport",
    "match_weights",
    "pytorch_names",
    "read_weights",
    "write_weights",
    "write_whole",
]
