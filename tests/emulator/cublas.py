"""The functions of cuBLAS that graphnet calls, on the processor, as its manual describes them.

Matrices lie in columns; alpha and beta are read from the host when a product is enqueued; setting
the stream takes the workspace back.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from graphnet.backends.recording import enqueue
from graphnet.kernels.cuda.products import SIGNATURES

#: ``CUDA_R_32F``, ``CUDA_R_16F`` and ``CUDA_R_16BF``
DTYPES = {0: "float32", 2: "float16", 14: "bfloat16"}
SUMS, SUMS_OF_TF32 = 68, 77
SUCCESS, INVALID, UNSUPPORTED = 0, 7, 15


class Function:
    """One function, which takes what its C signature takes and no other."""

    def __init__(self, name: str, call: Any) -> None:
        self._name, self._call = name, call
        self.argtypes: Any = None
        self.restype: Any = None

    def __call__(self, *arguments: Any) -> int:
        assert self.argtypes == SIGNATURES[self._name] and len(arguments) == len(self.argtypes)
        for kind, argument in zip(self.argtypes, arguments, strict=True):
            kind(argument)  # a number where one is expected
        return self._call(*arguments)


class EmulatedCublas:
    """One handle on an emulated device."""

    HANDLE = 77

    def __init__(self, device: Any) -> None:
        self._device = device
        self._stream = 0
        self._workspace = 0
        self.products: list[int] = []  # the kinds of sums that were asked for
        calls = {
            "cublasCreate_v2": self._create,
            "cublasSetStream_v2": self._set_stream,
            "cublasSetWorkspace_v2": self._set_workspace,
            "cublasSetMathMode": lambda handle, mode: SUCCESS,
            "cublasGemmStridedBatchedEx": self._multiply,
        }
        for name, call in calls.items():
            setattr(self, name, Function(name, call))

    def _create(self, handle: int) -> int:
        ctypes.c_void_p.from_address(handle).value = self.HANDLE
        return SUCCESS

    def _set_stream(self, handle: int, stream: int) -> int:
        self._stream, self._workspace = stream, 0
        return SUCCESS if handle == self.HANDLE else INVALID

    def _set_workspace(self, handle: int, space: int, nbytes: int) -> int:
        self._workspace = nbytes
        return SUCCESS if handle == self.HANDLE and space % 16 == 0 else INVALID

    def _multiply(
        self, handle: int, transa: int, transb: int, m: int, n: int, k: int,
        alpha: int, a: int, atype: int, lda: int, astride: int,
        b: int, btype: int, ldb: int, bstride: int,
        beta: int, c: int, ctype: int, ldc: int, cstride: int,
        batch: int, sums: int, algorithm: int,
    ) -> int:  # fmt: skip
        if handle != self.HANDLE or not self._workspace or algorithm != -1:
            return INVALID
        if atype != btype or atype != ctype or atype not in DTYPES:
            return UNSUPPORTED
        if sums not in (SUMS, SUMS_OF_TF32) or (sums == SUMS_OF_TF32 and atype != 0):
            return UNSUPPORTED
        self._device.expect_stream(self._stream, "a product by cuBLAS")
        self.products.append(sums)
        dtype = DTYPES[atype]
        one, other = (ctypes.c_float.from_address(at).value for at in (alpha, beta))

        @np.errstate(all="ignore")  # numbers that overflow are infinite on a card, and no warning
        def run() -> None:
            for number in range(batch):
                given = []
                for at, stride, turned, rows, columns, step in (
                    (a, astride, transa, m, k, lda), (b, bstride, transb, k, n, ldb),
                ):  # fmt: skip
                    shape = (columns, rows) if turned else (rows, columns)
                    matrix = in_columns(at, number * stride, *shape, step, dtype)
                    given.append(matrix.T if turned else matrix)
                result = in_columns(c, number * cstride, m, n, ldc, dtype)
                factors = [matrix.astype("float32") for matrix in given]
                if sums == SUMS_OF_TF32:
                    factors = [as_tf32(matrix) for matrix in factors]
                # what is there is not read where beta is 0: it may be NaN
                before = other * result.astype("float32") if other else 0
                result[...] = one * (factors[0] @ factors[1]) + before

        enqueue(run)
        return SUCCESS


def in_columns(at: int, offset: int, rows: int, columns: int, step: int, dtype: str) -> Any:
    """A matrix (rows, columns) whose columns begin ``step`` entries apart."""
    assert step >= max(1, rows), "the leading dimension is too small"
    if not rows or not columns:
        return np.zeros((rows, columns), dtype)
    size = np.dtype(dtype).itemsize
    count = step * (columns - 1) + rows
    memory = (ctypes.c_char * (count * size)).from_address(at + offset * size)
    entries = np.frombuffer(memory, "uint8").view(dtype)
    return np.lib.stride_tricks.as_strided(entries, (rows, columns), (size, step * size))


def as_tf32(matrix: np.ndarray) -> np.ndarray:
    """Float32 rounded to the 10 bits after the point that TF32 has, to nearest even."""
    bits = np.ascontiguousarray(matrix).view("uint32")
    rounded = bits + (0xFFF + (bits >> 13 & 1)).astype("uint32") & np.uint32(0xFFFFE000)
    finite = np.isfinite(matrix)
    return np.where(finite, rounded.view("float32"), matrix)
