"""ONNX models as graphs, and graphs as ONNX models; needs the extra ``onnx``."""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("onnx") is None:
    raise ImportError("graphnet.onnx needs the package onnx: pip install onnx protobuf ml_dtypes")

from graphnet.onnx.errors import OnnxError, OpsetError, UndecidedError
from graphnet.onnx.loading import load
from graphnet.onnx.saving import save, to_model

__all__ = ["OnnxError", "OpsetError", "UndecidedError", "load", "save", "to_model"]
