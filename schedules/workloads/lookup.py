"""`LookUp`: any function of a byte, as the table of its values."""

from dataclasses import dataclass
from typing import ClassVar

from tvm import s_tir, te, tirx

UNROLLED = 8
"""Values at a time: loads one by one, so what bounds them is the load ports."""


@dataclass(frozen=True)
class LookUp:
    """`data (height, width, channels)` uint8 and `table (256,)` uint8 to `out`, shaped as `data`:

        out = table[data]

    It requantizes: pixels or activations from their own grid to one that a network was given.
    """

    family: ClassVar[str] = "look_up"
    height: int
    width: int
    channels: int

    macs: ClassVar[int] = 0

    @property
    def name(self) -> str:
        return f"look_up_{self.height}x{self.width}x{self.channels}"

    def prim_func(self) -> tirx.PrimFunc:
        shape = (self.height, self.width, self.channels)
        data = te.placeholder(shape, dtype="uint8", name="data")
        table = te.placeholder((256,), dtype="uint8", name="table")
        out = te.compute(shape, lambda h, w, c: table[data[h, w, c].astype("int32")], name="out")
        return te.create_prim_func([data, table, out])


def schedule_look_up(sch: s_tir.Schedule) -> None:
    """Schedule a `LookUp`: some values at a time, those left over where they do not divide."""
    value = sch.fuse(*sch.get_loops(sch.get_sblock("out")))
    _, several = sch.split(value, [None, UNROLLED])
    sch.unroll(several)
