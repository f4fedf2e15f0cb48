"""What Linux says of the CPU that this process runs on."""

import os
import platform

from lprnet.support.errors import UserError


def cpu_flags(cpuinfo: str | os.PathLike[str] = "/proc/cpuinfo") -> frozenset[str]:
    """The feature flags of this machine's first CPU, as Linux names them.

    Raises `UserError` where they cannot be read.
    """
    try:
        # Linux writes what is read of the file, about 1,500 bytes a CPU.
        with open(cpuinfo, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith("flags"):
                    return frozenset(line.partition(":")[2].split())
    except OSError as error:
        raise UserError(
            f"{cpuinfo}: cannot read the CPU's features ({error.strerror}); artifacts are built "
            "and run on x86-64 Linux."
        ) from error
    raise UserError(
        f"{cpuinfo}: lists no x86 feature flags (this machine is {platform.machine()}); artifacts "
        "are built and run on x86-64 Linux."
    )


def cpu_name(cpuinfo: str | os.PathLike[str] = "/proc/cpuinfo") -> str:
    """The CPU's model name for records, or the architecture where Linux does not give one."""
    try:
        with open(cpuinfo) as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()
