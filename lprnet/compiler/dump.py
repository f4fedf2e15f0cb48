"""What a build is after each phase, as numbered files to read in order.

The network as torch exports it, then after each pass of `relay_passes/pipeline.py`, each target's
kernels with their schedules and the one function of all of them, as TVMScript; at the end LLVM's
assembly. Weights are left out: they stand as `metadata[...]`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import tvm

from lprnet.support.errors import UserError

SEQUENCES = frozenset({"reduce_graph", "bind_graph", "quantize_graph", "lower_graph"})
"""The sequences of `relay_passes/pipeline.py`; TVM's own passes are not shown."""


class _Dump:
    """The folder, and how many files it has."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.files = folder, 0

    def write(self, name: str, text: str) -> None:
        self.files += 1
        path = self.folder / f"{self.files:02}-{name}"
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"{path}: cannot be written ({error.strerror}); give another --dump"
            ) from error


@tvm.instrument.pass_instrument
class _AfterEachPass:
    """Writes what the first sequence starts from, and what each pass of a sequence returns."""

    def __init__(self, dump: _Dump) -> None:
        self.dump, self.depth = dump, 0

    def run_before_pass(self, module: tvm.IRModule, info: tvm.ir.transform.PassInfo) -> None:
        """Of a pass or of a sequence."""
        if info.name in SEQUENCES:
            self.depth += 1
            if info.name == "reduce_graph":
                self.dump.write("torch.py", script(module))

    def run_after_pass(self, module: tvm.IRModule, info: tvm.ir.transform.PassInfo) -> None:
        """Of a pass or of a sequence."""
        if info.name in SEQUENCES:
            self.depth -= 1
        elif self.depth:
            self.dump.write(f"{info.name}.py", script(module))


_active: ContextVar[_Dump | None] = ContextVar("_active", default=None)


@contextmanager
def dump_phases(folder: Path) -> Iterator[None]:
    """Write the phases of the builds inside into `folder`, which is made and must be empty.

    Raises `UserError` if it is not, or if it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UserError(f"{folder}: is not empty; give a new folder for --dump")
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}; give another folder for --dump") from error
    dump = _Dump(folder)
    token = _active.set(dump)
    try:
        with tvm.transform.PassContext(instruments=[_AfterEachPass(dump)]):
            yield
    finally:
        _active.reset(token)


def dump_phase(name: str, text: Callable[[], str]) -> None:
    """A phase that is no pass: keep `text()` as the file `name`, where a dump is asked for."""
    dump = _active.get()
    if dump is not None:
        dump.write(name, text())


def script(module: tvm.IRModule) -> str:
    """`module` as TVMScript, without the values of its constants."""
    text: str = module.script(show_meta=False)
    return text
