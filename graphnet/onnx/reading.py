"""Reading a model: a path or bytes become a checked ``ModelProto``."""

from __future__ import annotations

import os
from pathlib import Path

import onnx

from graphnet.onnx.errors import OnnxError

__all__ = ["read_model"]


def read_model(source: str | os.PathLike[str] | bytes) -> onnx.ModelProto:
    """The model of a file, or of the bytes of one.

    Raises:
        OnnxError: it is no ONNX model.
    """
    content = source if isinstance(source, bytes) else Path(source).read_bytes()
    try:
        return onnx.load_model_from_string(content)
    except Exception as error:
        raise OnnxError(f"expected an ONNX model: {error}") from None
