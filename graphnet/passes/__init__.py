"""Passes: functions from a graph to a graph that computes the same, or its inference form.

``graphnet.passes.narrow``, which few networks need, is imported where it is used.
"""

from graphnet.passes.chain import chain
from graphnet.passes.fuse import fold, fuse, sink
from graphnet.passes.specialize import for_inference

__all__ = ["chain", "fold", "for_inference", "fuse", "sink"]
