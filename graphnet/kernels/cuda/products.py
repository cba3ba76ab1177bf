"""Matrix products by cuBLAS, called past CuPy so that they can be captured.

CuPy refuses its own calls of cuBLAS while a stream is captured.  Here the handle and its
workspace are our own, and the stream is set ahead of each call, which is then like a kernel.

Source: NVIDIA, "cuBLAS library", ``cublasGemmStridedBatchedEx``, and "CUDA Graphs support".
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from graphnet.kernels.placed import Call

__all__ = ["SIGNATURES", "Matrices", "Products"]

#: Bytes of memory that products work in: what cuBLAS recommends for the largest cards.
WORKSPACE = 32 << 20

#: Numbers of ``cudaDataType_t``.
TYPES = {"float32": 0, "float16": 2, "bfloat16": 14}
#: Numbers of ``cublasComputeType_t``: sums in float32, of products of float32 or of TF32.
SUMS, SUMS_OF_TF32 = 68, 77
#: ``CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION``: parts of sums stay in float32 too.
WHOLE_SUMS = 16
#: ``CUBLAS_GEMM_DEFAULT``
CHOOSE = -1
#: ``CUBLAS_OP_N`` and ``CUBLAS_OP_T``
PLAIN, TRANSPOSED = 0, 1

_int, _wide, _at = ctypes.c_int, ctypes.c_longlong, ctypes.c_void_p
#: The functions of the library that are called, with their arguments.
SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cublasCreate_v2": (_at,),
    "cublasSetStream_v2": (_at, _at),
    "cublasSetWorkspace_v2": (_at, _at, ctypes.c_size_t),
    "cublasSetMathMode": (_at, _int),
    "cublasGemmStridedBatchedEx": (
        _at, _int, _int, _int, _int, _int,  # handle, transa, transb, m, n, k
        _at, _at, _int, _int, _wide,  # alpha, A, its type, leading dimension and stride
        _at, _int, _int, _wide,  # B
        _at, _at, _int, _int, _wide,  # beta, C
        _int, _int, _int,  # batch, compute type, algorithm
    ),
}  # fmt: skip


class Card(Protocol):
    """What products ask of a device; see :class:`graphnet.kernels.cuda.device.Device`."""

    xp: Any

    @property
    def stream(self) -> int:
        """The stream on which work is enqueued at the moment."""
        ...

    def address(self, array: Any) -> int:
        """Where an array begins."""
        ...

    def cublas(self) -> Any:
        """The library, its functions as ctypes gives them."""
        ...


@dataclass(frozen=True)
class Matrices:
    """Equally many matrices of one shape, in rows, one behind the other.

    Attributes:
        array: in which they lie.
        rows, columns: of each as it lies in memory.
        turned: whether its transpose is meant.
    """

    array: Any
    rows: int
    columns: int
    turned: bool = False

    @property
    def seen(self) -> tuple[int, int]:
        """Rows and columns as they are meant."""
        return (self.columns, self.rows) if self.turned else (self.rows, self.columns)

    @property
    def transpose(self) -> Matrices:
        """The other way round."""
        return Matrices(self.array, self.rows, self.columns, not self.turned)


class Products:
    """cuBLAS on one device, with a handle and memory of its own.

    Raises:
        RuntimeError: the library fails.
    """

    def __init__(self, card: Card) -> None:
        self._card = card
        self._library = card.cublas()
        for name, arguments in SIGNATURES.items():
            function = getattr(self._library, name)
            function.argtypes, function.restype = arguments, ctypes.c_int
        handle = ctypes.c_void_p()
        self._check("cublasCreate_v2", ctypes.addressof(handle))
        self._handle = handle.value
        self._check("cublasSetMathMode", self._handle, WHOLE_SUMS)
        self._space = card.xp.empty(WORKSPACE, dtype="uint8")

    def bound(
        self,
        a: Matrices,
        b: Matrices,
        c: Matrices,
        *,
        batch: int = 1,
        adds: bool = False,
        tf32: bool = False,
    ) -> Call:
        """``c = a b``, or ``c += a b``, for each of a batch of matrices.

        Args:
            a: as many as the batch, of ``(n, k)``.
            b: likewise, of ``(k, m)``.
            c: likewise, of ``(n, m)``, as it lies in memory; all of one floating dtype.
            batch: how many.
            adds: whether the products are added to what lies there.
            tf32: whether factors in float32 may be rounded to TF32.
        """
        (n, k), (inner, m) = a.seen, b.seen
        assert k == inner and c.seen == (n, m) and not c.turned, "the caller sees to it"
        dtype = c.array.dtype.name
        sums = SUMS_OF_TF32 if tf32 and dtype == "float32" else SUMS
        one, other = ctypes.c_float(1), ctypes.c_float(adds)
        at, kind = self._card.address, TYPES[dtype]
        # in the library's eyes, whose matrices lie in columns, each of ours is its transpose
        arguments = (
            self._handle, TRANSPOSED if b.turned else PLAIN, TRANSPOSED if a.turned else PLAIN,
            m, n, k,
            ctypes.addressof(one), at(b.array), kind, max(1, b.columns), b.rows * b.columns,
            at(a.array), kind, max(1, a.columns), a.rows * a.columns,
            ctypes.addressof(other), at(c.array), kind, max(1, m), n * m,
            batch, sums, CHOOSE,
        )  # fmt: skip
        return partial(self._multiply, arguments, (one, other, a.array, b.array, c.array))

    def _multiply(self, arguments: tuple[Any, ...], holds: object) -> None:
        self._check("cublasSetStream_v2", self._handle, self._card.stream)
        # setting the stream has taken the workspace back
        space = self._card.address(self._space)
        self._check("cublasSetWorkspace_v2", self._handle, space, WORKSPACE)
        self._check("cublasGemmStridedBatchedEx", *arguments)

    def _check(self, name: str, *arguments: Any) -> None:
        if status := getattr(self._library, name)(*arguments):
            raise RuntimeError(f"{name} of cuBLAS failed with status {status}")
