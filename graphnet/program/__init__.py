"""Programs: a plan bound to memory, as a list of calls without arguments.

Every value that a placed kernel writes or reads has a place: a range of bytes in one block, for
as long as it is needed, after which another value may lie there.  Parameters lie in arrays of
their own.  Kernels that are not placed take part with the arrays they make; what a placed kernel
reads of theirs is copied to its place.

Times number the steps: forward ``0 .. F - 1``, then F, when outputs are read, then the reverse of
step i at ``2 F - i``.

``places`` say where values lie, ``forward`` and ``reverse`` are the two halves of a program,
``calls`` makes the calls, and ``blocks`` are the memory that programs share.
"""

from __future__ import annotations

from graphnet.program.blocks import Blocks
from graphnet.program.forward import Program
from graphnet.program.places import Place
from graphnet.program.reverse import ReverseProgram

__all__ = ["Blocks", "Place", "Program", "ReverseProgram"]
