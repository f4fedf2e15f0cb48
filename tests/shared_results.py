"""Results that many tests need and that take long to compute: computed once a session, by whichever
of its processes asks first, and read from a file by all others.

They lie in the session's own folder of temporary files, so none outlives the code it came from.
"""

import fcntl
import hashlib
import inspect
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import cloudpickle

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class SharedResults:
    """One file a result; processes that want the same one wait for the first to write it."""

    folder: Path

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A copy of `function(*args, **kwargs)`, of its own for each caller.

        Precondition: the result hangs on the arguments alone, which differ in their `repr`.
        """
        bound = inspect.signature(function).bind(*args, **kwargs)
        bound.apply_defaults()
        key = f"{function.__module__}.{function.__qualname__} {bound.arguments}"
        file = self.folder / hashlib.sha256(key.encode()).hexdigest()
        with file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not file.exists():
                unfinished = file.with_suffix(".unfinished")
                unfinished.write_bytes(cloudpickle.dumps(function(*args, **kwargs)))
                unfinished.rename(file)
        found: T = pickle.loads(file.read_bytes())
        return found
