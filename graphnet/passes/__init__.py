"""Passes: functions from a graph to a graph that computes the same, or its inference form."""

from graphnet.passes.specialize import for_inference

__all__ = ["for_inference"]
