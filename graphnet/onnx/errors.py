"""What can be wrong with an ONNX model, told to its user."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["OnnxError", "OpsetError", "UndecidedError"]


class OnnxError(ValueError):
    """A model that cannot be read or written; the message names the node and what to do."""


class OpsetError(OnnxError):
    """An operator that the opset to be written lacks.

    Attributes:
        since: the first opset that has it.
    """

    def __init__(self, message: str, since: int) -> None:
        super().__init__(message)
        self.since = since


class UndecidedError(OnnxError):
    """A value that decides a shape, but is only known when the model runs.

    Attributes:
        inputs: the inputs of the model on which it depends.
    """

    def __init__(self, message: str, inputs: Iterable[str]) -> None:
        super().__init__(message)
        self.inputs = tuple(inputs)
