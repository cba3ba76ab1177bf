"""Sixteen float32 at a time: the vector instructions that compiled kernels are written with.

numba turns loops into vector instructions where it can prove that arrays do not overlap, which
it cannot for the many arrays of a transform.  So the innermost steps are written here in LLVM's
own vectors: what :func:`transform` makes reads some vectors, computes others from them, and
writes these.  On a machine with narrower registers LLVM splits a vector into several.

Addresses are integers, in bytes; so are the distances between vectors.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import binding, ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = [
    "BYTES",
    "CHOOSES",
    "ENTRIES",
    "OPTIONS",
    "REGISTERS",
    "WIDTH",
    "Vectors",
    "call_execute",
    "copy",
    "finish",
    "in_groups",
    "transform",
    "transform_and_finish",
    "zero",
]

#: Entries of a vector.
WIDTH = 16
#: Bytes of a vector.
BYTES = 4 * WIDTH
_FEATURES = binding.get_host_cpu_features()
#: The vector registers of the machine, how many entries one holds, and whether entries can be
#: chosen by numbers that lie in another one.
REGISTERS, ENTRIES = (32, 16) if _FEATURES.get("avx512f") else (16, 8)
CHOOSES = bool(_FEATURES.get("avx2"))

#: A product and a sum may become one instruction, and sums may be reordered.
_FLAGS = ("contract", "reassoc", "nsz")


def _can_cache() -> bool:
    """Whether numba finds a folder for what it compiles; a warning says if not, once."""
    try:
        njit(cache=True)(_nothing)
    except RuntimeError as error:
        warnings.warn(
            f"compiled kernels are compiled anew in every process, as numba finds no folder to "
            f"keep them in ({error}); NUMBA_CACHE_DIR names one",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    return True


def _nothing() -> None:
    return None


#: How all kernels are compiled: without Python's lock, and kept on disk.
OPTIONS = {"nogil": True, "cache": _can_cache()}


def in_groups(count: int, most: int) -> tuple[int, int, int]:
    """So many in as few groups of at most ``most`` as can be, as equal as can be.

    Returns:
        How many the first groups have, how many such groups there are, and how many groups
        with one fewer follow.

    >>> in_groups(7, 3)
    (3, 1, 2)
    """
    groups = -(-count // most)
    size = -(-count // groups)
    fewer = groups * size - count
    return size, groups - fewer, fewer


class Vectors:
    """Arithmetic on vectors, as it is written into the compiled function.

    Attributes:
        type: that of a vector.
    """

    def __init__(self, builder: Any, width: int = WIDTH) -> None:
        self._builder = builder
        self._width = width
        self.type = ir.VectorType(ir.FloatType(), width)

    def load(self, address: Any) -> Any:
        """The vector at an address."""
        pointer = self._builder.inttoptr(address, self.type.as_pointer())
        return self._builder.load(pointer, align=4)

    def store(self, vector: Any, address: Any) -> None:
        """Write a vector to an address."""
        pointer = self._builder.inttoptr(address, self.type.as_pointer())
        self._builder.store(vector, pointer, align=4)

    def prefetch(self, address: Any) -> None:
        """Ask for the line of the cache at an address, which may lie outside of all arrays."""
        builder, byte, word = self._builder, ir.IntType(8), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte.as_pointer(), word, word, word])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        # to read, into all caches, of data
        how = [ir.Constant(word, number) for number in (0, 3, 1)]
        builder.call(function, [builder.inttoptr(address, byte.as_pointer()), *how])

    def combine(self, *terms: tuple[float, Any]) -> Any:
        """The sum of vectors, each times its factor; factors of 0 cost nothing, of 1 a sum."""
        builder = self._builder
        # terms of one factor come first: a product that is added to a sum is one instruction
        ordered = sorted(((f, v) for f, v in terms if f), key=lambda term: term[0] != 1)
        if not ordered:
            return self.constant(0.0)
        total = None
        for factor, vector in ordered:
            if total is None:
                total = vector if factor == 1 else self._scaled(factor, vector)
            elif factor == 1:
                total = builder.fadd(total, vector, flags=_FLAGS)
            elif factor == -1:
                total = builder.fsub(total, vector, flags=_FLAGS)
            else:
                total = builder.fadd(total, self._scaled(factor, vector), flags=_FLAGS)
        return total

    def finished(self, vector: Any, bias: Any, low: Any, added: Any) -> Any:
        """``max(vector + bias + added, low)``; a NaN stays one, no ``added`` is address 0."""
        builder = self._builder
        total = builder.fadd(vector, bias, flags=_FLAGS)
        with_added = builder.append_basic_block("added")
        after = builder.append_basic_block("after")
        before = builder.block
        there = builder.icmp_signed("!=", added, ir.Constant(added.type, 0))
        builder.cbranch(there, with_added, after)
        builder.position_at_end(with_added)
        more = builder.fadd(total, self.load(added), flags=_FLAGS)
        builder.branch(after)
        builder.position_at_end(after)
        merged = builder.phi(self.type)
        merged.add_incoming(total, before)
        merged.add_incoming(more, with_added)
        below = builder.fcmp_ordered("<", merged, low)
        return builder.select(below, low, merged)

    def scalar(self, address: Any) -> Any:
        """The number at an address."""
        pointer = self._builder.inttoptr(address, ir.FloatType().as_pointer())
        return self._builder.load(pointer, align=4)

    def multiply_add(self, a: Any, b: Any, total: Any) -> Any:
        """``a * b + total``."""
        product = self._builder.fmul(a, b, flags=_FLAGS)
        return self._builder.fadd(product, total, flags=_FLAGS)

    def transposed(self, rows: Sequence[Any]) -> list[Any]:
        """As many vectors as they have entries, read as a matrix, turned about its diagonal."""
        found, width = list(rows), self._width
        step = 1
        while step < width:  # blocks of this size change places across the diagonal
            for i in range(width):
                if not i & step:
                    a, b = found[i], found[i + step]
                    # entries of b are numbered after those of a
                    upper = [k if not k & step else width + k - step for k in range(width)]
                    lower = [k + step if not k & step else width + k for k in range(width)]
                    found[i], found[i + step] = (
                        self.shuffled(a, b, order) for order in (upper, lower)
                    )
            step *= 2
        return found

    def spread(self, scalar: Any) -> Any:
        """The vector that holds a number known at run time everywhere."""
        word = ir.IntType(32)
        one = self._builder.insert_element(
            ir.Constant(self.type, ir.Undefined), scalar, ir.Constant(word, 0)
        )
        order = ir.Constant(ir.VectorType(word, self._width), [0] * self._width)
        return self._builder.shuffle_vector(one, ir.Constant(self.type, ir.Undefined), order)

    def chosen(self, four: Any, numbers: Any) -> Any:
        """Of four numbers at an address, those that ``numbers`` name, each of 0 to 3.

        The width is that of a register, and :data:`CHOOSES` holds.
        """
        builder = self._builder
        part, word = ir.VectorType(ir.FloatType(), 4), ir.IntType(32)
        entries = builder.load(builder.inttoptr(four, part.as_pointer()), align=4)
        order = ir.Constant(ir.VectorType(word, self._width), [0, 1, 2, 3] * (self._width // 4))
        repeated = builder.shuffle_vector(entries, ir.Constant(part, ir.Undefined), order)
        name = "llvm.x86.avx512.vpermilvar.ps.512"
        if self._width == 8:
            name = "llvm.x86.avx.vpermilvar.ps.256"
        kind = ir.FunctionType(self.type, [self.type, numbers.type])
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(function, [repeated, numbers])

    def largest_of_four(self, four: Sequence[Any], bias: Any, y: Any, winner: Any) -> None:
        """Write the largest of four vectors plus a bias, rectified, and which of them it was.

        Args:
            four: the vectors.
            bias: address of another one.
            y: address of the result.
            winner: address of as many bytes, from 0 to 3.
        """
        builder = self._builder
        best, place = self.largest(four)
        total = builder.fadd(best, self.load(bias))
        negative = builder.fcmp_ordered("<", total, self.constant(0.0))
        self.store(builder.select(negative, self.constant(0.0), total), y)
        builder.store(place, builder.inttoptr(winner, place.type.as_pointer()), align=1)

    def largest(self, vectors: Sequence[Any]) -> tuple[Any, Any]:
        """The largest of some vectors, entry by entry, and the bytes that tell which it was.

        A NaN is larger than all others, and the first one stays.
        """
        builder = self._builder
        bytes_ = ir.VectorType(ir.IntType(8), self._width)
        best, place = vectors[0], ir.Constant(bytes_, [0] * self._width)
        for number, other in enumerate(vectors[1:], start=1):
            larger = builder.and_(
                builder.fcmp_unordered(">", other, best), builder.fcmp_ordered("==", best, best)
            )
            best = builder.select(larger, other, best)
            place = builder.select(larger, ir.Constant(bytes_, [number] * self._width), place)
        return best, place

    def bytes_at(self, address: Any) -> Any:
        """As many bytes as a vector has entries."""
        kind = ir.VectorType(ir.IntType(8), self._width)
        return self._builder.load(self._builder.inttoptr(address, kind.as_pointer()), align=1)

    def shuffled(self, a: Any, b: Any, order: Sequence[int]) -> Any:
        """The entries of two vectors that ``order`` names; those of ``b`` come after ``a``'s."""
        numbers = ir.Constant(ir.VectorType(ir.IntType(32), self._width), list(order))
        return self._builder.shuffle_vector(a, b, numbers)

    def numbers(self, address: Any) -> Any:
        """As many integers of 32 bits as a vector has entries."""
        kind = ir.VectorType(ir.IntType(32), self._width)
        return self._builder.load(self._builder.inttoptr(address, kind.as_pointer()), align=4)

    def constant(self, value: float) -> Any:
        """The vector that holds one number everywhere."""
        return ir.Constant(self.type, [value] * self._width)

    def _scaled(self, factor: float, vector: Any) -> Any:
        return self._builder.fmul(vector, self.constant(factor), flags=_FLAGS)


#: Vectors in, vectors out.
Step = Callable[[Vectors, Sequence[Any]], Sequence[Any]]


def transform(count: int, step: Step) -> Any:
    """A compiled function that reads ``count`` vectors, applies ``step`` and writes the results.

    Returns:
        A function ``(source, source_step, target, target_step)`` for use in compiled code.  All
        vectors are read before any is written.
    """

    @intrinsic
    def apply(typing: Any, source: Any, source_step: Any, target: Any, target_step: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            at, distance, to, stride = arguments
            vectors = Vectors(builder)
            read = []
            for _ in range(count):
                read.append(vectors.load(at))
                at = builder.add(at, distance)
            for result in step(vectors, read):
                vectors.store(result, to)
                to = builder.add(to, stride)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp, types.intp), generate

    return apply


def transform_and_finish(count: int, step: Step) -> Any:
    """As :func:`transform`, with a bias, an addition and a lower bound ahead of writing.

    Returns:
        A function ``(source, source_step, target, target_step, bias, low, added)``.  The vector
        at ``bias`` is added to each result, and the vectors from ``added`` on, ``target_step``
        apart, one to each, unless that address is 0; what is below ``low`` becomes ``low``.
    """

    @intrinsic
    def apply(
        typing: Any, source: Any, source_step: Any, target: Any, target_step: Any, bias: Any,
        low: Any, added: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            at, distance, to, stride, bias_at, bound, more = arguments
            vectors = Vectors(builder)
            read = []
            for _ in range(count):
                read.append(vectors.load(at))
                at = builder.add(at, distance)
            constant, lowest = vectors.load(bias_at), vectors.spread(bound)
            # 0 stays 0
            there = builder.icmp_signed("!=", more, ir.Constant(more.type, 0))
            forward = builder.select(there, stride, ir.Constant(stride.type, 0))
            for result in step(vectors, read):
                vectors.store(vectors.finished(result, constant, lowest, more), to)
                to = builder.add(to, stride)
                more = builder.add(more, forward)
            return context.get_dummy_value()

        words = (types.intp,) * 5
        return types.void(*words, types.float32, types.intp), generate

    return apply


#: :func:`transform_and_finish` of a single vector, which stays what it is till then.
finish = transform_and_finish(1, lambda _, read: read)


@intrinsic
def zero(typing: Any, target: Any) -> Any:
    """Write one vector of zeros."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vectors = Vectors(builder)
        vectors.store(vectors.constant(0.0), arguments[0])
        return context.get_dummy_value()

    return types.void(types.intp), generate


@intrinsic
def copy(typing: Any, source: Any, target: Any) -> Any:
    """Copy one vector."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vectors = Vectors(builder)
        vectors.store(vectors.load(arguments[0]), arguments[1])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), generate


@intrinsic
def call_execute(
    typing: Any, function: Any, primitive: Any, stream: Any, count: Any, arguments: Any
) -> Any:
    """Call ``dnnl_primitive_execute`` at its address; returns its status."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        word, number = ir.IntType(64), ir.IntType(32)
        kind = ir.FunctionType(number, [word, word, number, word])
        target = builder.inttoptr(values[0], kind.as_pointer())
        count32 = builder.trunc(values[3], number)
        return builder.call(target, [values[1], values[2], count32, values[4]])

    words = (types.intp,) * 5
    return types.int32(*words), generate
