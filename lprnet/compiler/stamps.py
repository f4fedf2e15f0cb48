"""When each step of an artifact's function begins and ends, written down by the function itself.

A stamp is the CPU's time-stamp counter, read by `rdtsc` in some 20 cycles. LLVM keeps it between
the loops of two kernels, since it has a side effect. It does not wait for the instructions before
it, so the last hundred instructions of a step may count for the next one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tvm import tirx
from tvm.ir import PointerType, PrimType

STAMPS_SYMBOL = "lprnet_stamps"
"""A function of the artifact that returns the address of the stamps (`dispatch.c`)."""
COUNTER = "llvm.readcyclecounter"


@dataclass(frozen=True)
class Step:
    """A kernel, or the zeros around a tensor."""

    name: str
    statements: list[tirx.Stmt]


class NoStamps:
    """What a function without stamps has between its steps."""

    def start(self) -> list[tirx.Stmt]:
        """Nothing."""
        return []

    def between(self, steps: Iterable[Step]) -> list[tirx.Stmt]:
        """The steps alone."""
        return [statement for step in steps for statement in step.statements]


class Stamps(NoStamps):
    """Writes stamp 0, and the next one after each of `steps` steps."""

    def __init__(self, steps: int) -> None:
        self._written = 0
        self._address = tirx.Var("stamps", PointerType(PrimType("int64")))
        self._buffer = tirx.decl_buffer((steps + 1,), "int64", "stamp", data=self._address)

    def start(self) -> list[tirx.Stmt]:
        """The address of the stamps, which all statements after these may use; stamp 0."""
        address = tirx.call_extern(PointerType(PrimType("int64")), STAMPS_SYMBOL)
        declared = tirx.DeclBuffer(self._buffer, data=self._address)
        return [tirx.Bind(self._address, address), declared, self._stamp()]

    def between(self, steps: Iterable[Step]) -> list[tirx.Stmt]:
        """Each step, and a stamp after it."""
        return [s for step in steps for s in (*step.statements, self._stamp())]

    def _stamp(self) -> tirx.Stmt:
        index, self._written = self._written, self._written + 1
        return tirx.BufferStore(self._buffer, tirx.call_llvm_intrin("int64", COUNTER), [index])
