"""What can be wrong with an ONNX model, told to its user."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["OnnxError", "UndecidedError"]


class OnnxError(ValueError):
    """A model that cannot be read or written; the message names the node and what to do."""


class UndecidedError(OnnxError):
    """A value that decides a shape, but is only known when the model runs.

    Attributes:
        inputs: the inputs of the model on which it depends.
    """

    def __init__(self, message: str, inputs: Iterable[str]) -> None:
        super().__init__(message)
        self.inputs = tuple(inputs)
