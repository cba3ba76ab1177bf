"""Everything that is wrong with a model file, in one error."""

from __future__ import annotations

from collections.abc import Sequence

from graphnet.onnx.errors import OnnxError
from graphnet.onnx.limits import NAME_CHARACTERS, PROBLEMS

__all__ = ["ModelFileError", "shown"]


class ModelFileError(OnnxError):
    """A file that is no ONNX model, or a damaged or malicious one.

    Args:
        what: the model, as the error calls it: its path, or ``"model"``.
        problems: everything that is wrong with it, a sentence each.

    Attributes:
        problems: the same, at most 100 of them.

    >>> print(ModelFileError("net.onnx", ["no graph", "opset 99 is unknown"]))
    net.onnx:
      no graph
      opset 99 is unknown
    """

    def __init__(self, what: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems[:PROBLEMS])
        more = ["and more"] if len(problems) > PROBLEMS else []
        if len(self.problems) == 1 and not more:
            super().__init__(f"{what}: {self.problems[0]}")
        else:
            super().__init__("\n  ".join((f"{what}:", *self.problems, *more)))


def shown(name: str) -> str:
    """A name from a file as an error shows it: quoted, escaped and of bounded length.

    >>> shown("conv_1"), shown("\\x1b[2J"), len(shown("x" * 10**6))
    ("'conv_1'", "'\\\\x1b[2J'", 83)
    """
    return repr(name if len(name) <= NAME_CHARACTERS else name[:NAME_CHARACTERS] + "…")
