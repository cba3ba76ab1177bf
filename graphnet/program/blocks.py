"""The memory that the programs of one executor share."""

from __future__ import annotations

from graphnet.kernels.tools import HOST, Tools
from graphnet.program.forward import Program
from graphnet.program.reverse import ReverseProgram

__all__ = ["Blocks"]


class Blocks:
    """The memory that the programs of one executor share.

    A block that is too small is replaced; programs are then bound anew when they run next.
    """

    def __init__(self, tools: Tools = HOST) -> None:
        self._new_block = tools.new_block
        self._main = self._annex = self._new_block(0)
        self._bound: list[Program | ReverseProgram] = []

    def attach(self, program: Program) -> None:
        """See that a program is bound to the block."""
        if len(self._main) < program.nbytes:
            self._unbind()
            self._main = self._new_block(0)  # the old one goes before the new one comes
            self._main = self._new_block(program.nbytes)
        if program.block is not self._main:
            program.bind(self._main)
            self._bound.append(program)

    def attach_reverse(self, reverse: ReverseProgram) -> None:
        """See that a reverse program is bound to the blocks; its program is so already."""
        if len(self._annex) < reverse.nbytes:
            for other in self._bound:
                if isinstance(other, ReverseProgram):
                    other.unbind()
            self._annex = self._new_block(0)
            self._annex = self._new_block(reverse.nbytes)
        if reverse.block is not self._main or reverse.annex is not self._annex:
            reverse.bind(self._annex)
            self._bound.append(reverse)

    def release(self) -> None:
        """Let both blocks go."""
        self._unbind()
        self._main = self._annex = self._new_block(0)

    def _unbind(self) -> None:
        for program in self._bound:
            program.unbind()
        self._bound = []
