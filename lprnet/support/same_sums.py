"""PyTorch adds floats in the same order on every CPU.

Calibration, pruning and rounding to int8 start from sums of floats. How many are added at once
depends on the vectors of the CPU, so the last bits of a sum differ between AVX2 and AVX-512; a
weight near the middle of two integers then goes to the other one, and those after it follow. Of the
public checkpoint, 983 of the 1,000 photographs were read as float32 reads them where AVX-512 had
rounded it, and 990 where AVX2 had. With AVX2's order everywhere, the same checkpoint and images
give the same integers whatever machine builds them.
"""

import os


def same_sums_on_every_cpu() -> None:
    """Take AVX2's order of sums in this process, on CPUs with longer vectors too.

    To be called before PyTorch is imported, which reads these variables once; values that the user
    has set stay. Commands that measure or train do without, for they want all of the CPU.
    """
    os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")
    os.environ.setdefault("ATEN_CPU_CAPABILITY", "avx2")
