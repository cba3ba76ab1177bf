"""The dtype bfloat16, which NumPy and CuPy know once ``ml_dtypes`` is imported."""

from __future__ import annotations

from graphnet.backends.base import BackendError

__all__ = ["register_bfloat16"]


def register_bfloat16() -> None:
    """Let arrays be of bfloat16.

    Raises:
        BackendError: ``ml_dtypes`` is not installed.
    """
    try:
        import ml_dtypes  # noqa: F401 - which registers it
    except ModuleNotFoundError:
        raise BackendError("bfloat16 needs ml_dtypes: pip install ml_dtypes") from None
