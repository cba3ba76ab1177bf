"""oneDNN's C interface through ctypes: what is called, and nothing more.

The library is found at run time.  Any oneDNN 3.x that was built with OpenMP serves: the one of
the distribution ``onednn-cpu-gomp``, that of a conda environment or of the system, or the file
that the environment variable ``GRAPHNET_ONEDNN`` names.

A *descriptor* says how an array lies in memory.  A *primitive* is compiled for descriptors;
:class:`Primitive` holds one with the arguments it is executed on.  All failures of the library
are raised as :class:`OneDNNError`; where it cannot be used at all, :func:`find_library` warns
once and gives None.

Source: the oneDNN developer guide and reference, version 3.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from ctypes import byref, c_char_p, c_float, c_int, c_int64, c_size_t, c_uint, c_void_p
from functools import partial
from pathlib import Path
from typing import Any

from graphnet.kernels.placed import Call, in_turn

__all__ = ["Library", "OneDNNError", "Primitive", "find_library"]

#: The variable that names the file of the library.
VARIABLE = "GRAPHNET_ONEDNN"

#: The version whose interface this is.
MAJOR = 3
#: The largest size of an axis.
LARGEST = 2**31 - 1
F32, S32, U8 = 3, 4, 6
TYPES = {"float32": F32, "int32": S32, "uint8": U8}
TAG_ANY = 1
CPU, IN_ORDER, OPENMP = 1, 1, 2
SUCCESS = 0
STATUS = {1: "out of memory", 2: "invalid arguments", 3: "unimplemented", 5: "runtime error"}
SCRATCHPAD_USER = 1

#: What a primitive is executed on.
SRC, SRC_1, DST, WEIGHTS, BIAS = 1, 2, 17, 33, 41
MEAN, VARIANCE, SCALE, SHIFT, WORKSPACE, SCRATCHPAD = 49, 50, 51, 52, 64, 80
DIFF_SRC, DIFF_DST, DIFF_WEIGHTS, DIFF_BIAS = 129, 145, 161, 169
DIFF_SCALE, DIFF_SHIFT = 255, 256

FORWARD_TRAINING, FORWARD_INFERENCE = 64, 96
BACKWARD, BACKWARD_DATA, BACKWARD_WEIGHTS = 128, 160, 192

#: Of ``dnnl_primitive_desc_query_md``: the descriptor that an argument wants.
QUERY_MD = {
    SRC: 129, DIFF_SRC: 130, WEIGHTS: 131, DIFF_WEIGHTS: 132, DST: 133, DIFF_DST: 134,
    WORKSPACE: 135, SCRATCHPAD: 136,
}  # fmt: skip

ISA = {
    0x1: "SSE4.1", 0x3: "AVX", 0x7: "AVX2", 0xF: "AVX2 VNNI", 0x27: "AVX-512",
    0x67: "AVX-512 VNNI", 0xE7: "AVX-512 BF16", 0x1EF: "AVX-512 FP16", 0xFEF: "AMX",
}  # fmt: skip


#: The descriptor of an array, and the array.
Operand = tuple[c_void_p, Any]


class OneDNNError(RuntimeError):
    """The library refuses; the message names its function and the reason it gives."""


class _Version(ctypes.Structure):
    _fields_ = (
        ("major", c_int),
        ("minor", c_int),
        ("patch", c_int),
        ("hash", c_char_p),
        ("cpu_runtime", c_uint),
        ("gpu_runtime", c_uint),
    )


class _Argument(ctypes.Structure):
    _fields_ = (("kind", c_int), ("memory", c_void_p))


class Library:
    """One loaded library with its engine, the CPU, and a stream of work on it.

    Args:
        path: the file.

    Raises:
        OSError: it cannot be loaded.
        OneDNNError: it is no oneDNN 3, has no OpenMP, or does not support this machine.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._c = ctypes.CDLL(path)
        if not hasattr(self._c, "dnnl_version"):
            raise OneDNNError(f"{path} is no oneDNN")
        self._c.dnnl_version.restype = ctypes.POINTER(_Version)
        version = self._c.dnnl_version().contents
        self.version = f"{version.major}.{version.minor}.{version.patch}"
        if version.major != MAJOR:
            raise OneDNNError(f"expected oneDNN {MAJOR}, {path} is version {self.version}")
        if version.cpu_runtime != OPENMP:
            raise OneDNNError(f"expected oneDNN with OpenMP, {path} has another threading runtime")
        self._c.dnnl_primitive_desc_query_md.restype = c_void_p
        self._c.dnnl_memory_desc_get_size.restype = c_size_t
        self._c.dnnl_memory_desc_get_size.argtypes = (c_void_p,)
        self._c.dnnl_primitive_desc_query_md.argtypes = (c_void_p, c_int, c_int)
        self.execute = self._c.dnnl_primitive_execute
        self.execute.argtypes = (c_void_p, c_void_p, c_int, c_void_p)
        self.execute.restype = c_int
        self.set_handle = self._c.dnnl_memory_set_data_handle
        self.set_handle.argtypes = (c_void_p, c_void_p)
        self.engine, self.stream = c_void_p(), c_void_p()
        self.call("engine_create", byref(self.engine), CPU, c_size_t(0))
        self.call("stream_create", byref(self.stream), self.engine, c_uint(IN_ORDER))
        self._openmp = ctypes.CDLL("libgomp.so.1")

    @property
    def isa(self) -> str:
        """The instruction set that the library uses on this machine."""
        self._c.dnnl_get_effective_cpu_isa.restype = c_uint
        number = self._c.dnnl_get_effective_cpu_isa()
        return ISA.get(number, f"instruction set {number:#x}")

    @property
    def execute_address(self) -> int:
        """Where ``dnnl_primitive_execute`` lies, for compiled callers."""
        return ctypes.cast(self.execute, c_void_p).value or 0

    def set_threads(self, count: int) -> None:
        """How many threads the primitives that are created from now on use."""
        self._openmp.omp_set_num_threads(count)

    @property
    def threads(self) -> int:
        """How many threads a primitive would use that is created now."""
        count: int = self._openmp.omp_get_max_threads()
        return count

    def call(self, name: str, *arguments: object) -> None:
        """Call ``dnnl_<name>``.

        Raises:
            OneDNNError: it does not succeed.
        """
        status = getattr(self._c, f"dnnl_{name}")(*arguments)
        if status != SUCCESS:
            raise OneDNNError(f"dnnl_{name}: {STATUS.get(status, f'status {status}')}")

    @functools.cache  # noqa: B019 - a library lives as long as the process
    def descriptor(
        self, shape: tuple[int, ...], strides: tuple[int, ...] | None = None, dtype: str = "float32"
    ) -> c_void_p:
        """The descriptor of an array.

        Args:
            shape: its sizes.
            strides: its strides in entries; None leaves the layout to the primitive.
            dtype: a key of :data:`TYPES`.
        """
        if max(shape, default=0) > LARGEST:  # it computes blocks of them in 32 bits
            raise OneDNNError(f"sizes up to {LARGEST:,} are counted, received {shape}")
        found = c_void_p()
        sizes = (c_int64 * len(shape))(*shape)
        if strides is None:
            self.call("memory_desc_create_with_tag", byref(found), len(shape), sizes,
                      TYPES[dtype], TAG_ANY)  # fmt: skip
        else:
            steps = (c_int64 * len(shape))(*strides)
            self.call("memory_desc_create_with_strides", byref(found), len(shape), sizes,
                      TYPES[dtype], steps)  # fmt: skip
        return found

    def memory(self, descriptor: c_void_p, address: int = 0) -> c_void_p:
        """A memory object at an address, or at one that is set later."""
        found = c_void_p()
        self.call("memory_create", byref(found), descriptor, self.engine, c_void_p(address))
        return found

    def nbytes(self, descriptor: c_void_p | int | None) -> int:
        """How many bytes an array of this descriptor takes."""
        size: int = self._c.dnnl_memory_desc_get_size(descriptor)
        return size

    def wanted(self, plan: c_void_p, argument: int) -> c_void_p:
        """The descriptor that a primitive wants for one of its arguments."""
        return c_void_p(self._c.dnnl_primitive_desc_query_md(plan, QUERY_MD[argument], 0))

    def attributes(self, *, add: bool = False, user_scratchpad: bool = False) -> c_void_p:
        """Attributes of a primitive.

        Args:
            add: the result is added to what the destination holds.
            user_scratchpad: temporary memory is an argument, so that two threads can execute
                the primitive at once.
        """
        found, after = c_void_p(), c_void_p()
        self.call("primitive_attr_create", byref(found))
        self.call("post_ops_create", byref(after))
        if add:
            self.call("post_ops_append_sum", after, c_float(1.0), c_int(0), c_int(0))
        self.call("primitive_attr_set_post_ops", found, after)
        self.call("post_ops_destroy", after)
        if user_scratchpad:
            self.call("primitive_attr_set_scratchpad_mode", found, c_int(SCRATCHPAD_USER))
        return found

    def plan(self, kind: str, *arguments: object) -> c_void_p:
        """The primitive descriptor that ``dnnl_<kind>_primitive_desc_create`` makes.

        Raises:
            OneDNNError: the library has no implementation for these arguments.
        """
        found = c_void_p()
        self.call(f"{kind}_primitive_desc_create", byref(found), self.engine, *arguments)
        return found

    def skip(self, plan: c_void_p) -> None:
        """Let a primitive descriptor stand for the next best implementation.

        Raises:
            OneDNNError: there is no other.
        """
        self.call("primitive_desc_next_impl", plan)

    def reorder(self, source: Operand, target: Operand) -> Call:
        """What copies an array from one layout to another."""
        plan = c_void_p()
        self.call("reorder_primitive_desc_create", byref(plan), source[0], self.engine, target[0],
                  self.engine, None)  # fmt: skip
        return self.bind(plan, {SRC: source, DST: target})

    def bind(self, plan: c_void_p, operands: Mapping[int, Operand]) -> Call:
        """What executes the primitive of a plan on these arrays, which stay where they are."""
        primitive = Primitive(self, plan, {kind: layout for kind, (layout, _) in operands.items()})
        addresses = [array.ctypes.data for _, array in operands.values()]
        return in_turn(primitive.bind(addresses), holds=[array for _, array in operands.values()])

    def primitive(self, plan: c_void_p) -> c_void_p:
        """The compiled primitive of a primitive descriptor."""
        found = c_void_p()
        self.call("primitive_create", byref(found), plan)
        return found


class Primitive:
    """A compiled primitive with the arguments it is executed on.

    Args:
        library: to which it belongs.
        plan: its primitive descriptor.
        descriptors: of each argument, by its number.
        handle: the primitive, if it is compiled already.
        addresses: of all arguments, in the order of the descriptors; set by :meth:`bind` when
            None.
    """

    def __init__(
        self,
        library: Library,
        plan: c_void_p,
        descriptors: Mapping[int, c_void_p],
        handle: c_void_p | None = None,
        addresses: Sequence[int] | None = None,
    ) -> None:
        self.handle = handle or library.primitive(plan)
        self._memories = {kind: library.memory(d) for kind, d in descriptors.items()}
        self.arguments = (_Argument * len(descriptors))(
            *(_Argument(kind, memory) for kind, memory in self._memories.items())
        )
        self._set = library.set_handle
        self._call = partial(
            library.execute, self.handle, library.stream, len(descriptors), self.arguments
        )
        if addresses is not None:
            self.bind(addresses)

    def __len__(self) -> int:
        return len(self._memories)

    @property
    def address(self) -> int:
        """Where the arguments lie, for compiled callers."""
        return ctypes.addressof(self.arguments)

    def bind(self, addresses: Sequence[int]) -> Call:
        """Set the addresses of all arguments, in the order of the descriptors.

        Returns:
            What executes the primitive on them; its status is 0 on success.
        """
        for memory, address in zip(self._memories.values(), addresses, strict=True):
            self._set(memory, address)
        return in_turn(self._call, holds=self)


def row_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides in entries of a contiguous array.

    >>> row_strides((2, 3, 4))
    (12, 4, 1)
    """
    steps = [1]
    for size in reversed(shape[1:]):
        steps.insert(0, steps[0] * size)
    return tuple(steps)


def last_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides in entries of an array ``(N, C, *spatial)`` that lies channels-last.

    >>> last_strides((2, 3, 4, 5))
    (60, 1, 15, 3)
    """
    n, channels, *spatial = shape
    batch, *steps, channel = row_strides((n, *spatial, channels))
    return (batch, channel, *steps)


def sizes(values: Sequence[int]) -> ctypes.Array[c_int64]:
    """Sizes as the library takes them."""
    return (c_int64 * len(values))(*values)


@functools.cache
def find_library() -> Library | None:
    """The library, loaded once; None, with a warning that says why, where none can be used."""
    explicit = os.environ.get(VARIABLE)
    candidates = [explicit] if explicit else list(_candidates())
    problems = []
    for path in candidates:
        try:
            return Library(path)
        except (OSError, OneDNNError, AttributeError) as error:
            problems.append(f"{path}: {error}")
    if problems:
        warnings.warn(
            f"oneDNN cannot be used, the reference kernels serve instead: {'; '.join(problems)}",
            RuntimeWarning,
            stacklevel=2,
        )
    return None


def _candidates() -> Iterator[str]:
    """The files that may be the library, the most specific first."""
    names = {"linux": "libdnnl.so.3", "darwin": "libdnnl.3.dylib"}
    name = names.get(sys.platform)
    if name is None:
        return
    import ctypes.util  # both take longer than all else here
    import importlib.metadata

    folders = [Path(sys.prefix) / "lib"]
    for distribution in ("onednn-cpu-gomp",):
        try:
            files = importlib.metadata.files(distribution) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        folders += [Path(str(f.locate())).parent for f in files if f.name == name]
    if "CONDA_PREFIX" in os.environ:
        folders.append(Path(os.environ["CONDA_PREFIX"]) / "lib")
    yield from dict.fromkeys(str(f / name) for f in folders if (f / name).is_file())
    if (found := ctypes.util.find_library("dnnl")) is not None:
        yield found
