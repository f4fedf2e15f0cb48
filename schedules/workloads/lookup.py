"""`LookUp`: any function of uint8, as a table of its values."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from tvm import s_tir, te, tirx

from schedules.workloads.signature import Signature

UNROLLED = 8
"""Values in an unrolled loop; each is loaded separately, so the load ports are the limit."""


@dataclass(frozen=True)
class LookUp:
    """`data (height, width, channels)` uint8 and `table (256,)` uint8 to `out`, shaped as `data`:

        out = table[data]

    It requantizes pixels or activations to another scale and zero point.
    """

    family: ClassVar[str] = "look_up"
    height: int
    width: int
    channels: int

    macs: ClassVar[int] = 0

    @property
    def name(self) -> str:
        return f"look_up_{self.height}x{self.width}x{self.channels}"

    @classmethod
    def candidates(cls, function: Signature) -> Iterator["LookUp"]:
        """Every workload of this class that a function of this signature may compute."""
        if function.fits([3, 1, 3]):
            height, width, channels = function.shapes[0]
            yield cls(height, width, channels)

    def prim_func(self) -> tirx.PrimFunc:
        shape = (self.height, self.width, self.channels)
        data = te.placeholder(shape, dtype="uint8", name="data")
        table = te.placeholder((256,), dtype="uint8", name="table")
        out = te.compute(shape, lambda h, w, c: table[data[h, w, c].astype("int32")], name="out")
        return te.create_prim_func([data, table, out])


def schedule_look_up(sch: s_tir.Schedule) -> None:
    """Schedule a `LookUp`: `UNROLLED` values at a time, then the rest."""
    value = sch.fuse(*sch.get_loops(sch.get_sblock("out")))
    _, several = sch.split(value, [None, UNROLLED])
    sch.unroll(several)
