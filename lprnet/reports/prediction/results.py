"""Predictions as data; `render.py` writes them as JSON and Markdown."""

from dataclasses import dataclass

FMAS_A_CYCLE = 2
"""Throughput of every Xeon core modelled here; this machine's clock is derived from it."""
MAIN_MACS = 2_000_000
"""Least multiply-accumulates of a main convolution."""


@dataclass(frozen=True)
class Loop:
    """The innermost loop in which a kernel spends most of its cycles."""

    cycles: float
    """Of one iteration, as LLVM unrolled it."""
    products: int
    """Vector instructions of one iteration that multiply and add."""
    share: float
    """Of the core's peak in these."""
    limit: str
    """`llvm_mca.Timing.limit`."""


@dataclass(frozen=True)
class KernelEstimate:
    """One kernel on one core."""

    kernel: str
    calls: int
    """For one plate."""
    macs: int
    cycles: float
    """Of one call."""
    share: float
    """Of the core's peak, over the whole kernel."""
    loop: Loop | None
    """None if no instruction multiplies."""
    measured: float
    """Cycles of the fastest of many calls of the same code on this machine."""

    @property
    def is_main(self) -> bool:
        """Whether it is one of the main convolutions."""
        return self.macs >= MAIN_MACS


@dataclass(frozen=True)
class Estimate:
    """One variant on one CPU."""

    variant: str
    cpu: str
    target: str
    """Whose code it runs."""
    model: str
    """LLVM's name of the core that it is modelled by."""
    peak: float
    """Vector instructions a cycle that multiply and add."""
    kernels: tuple[KernelEstimate, ...]
    cycles: float
    """Cycles of all kernels of one plate."""
    measured: float
    """Cycles of the same kernels on this machine."""
    host_ghz: float
    """This machine's clock while measuring."""


@dataclass(frozen=True)
class Prediction:
    """All estimates, with llvm-mca's version and this machine's CPU."""

    mca: str
    host: str
    estimates: tuple[Estimate, ...]
