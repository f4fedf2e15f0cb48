"""LPRNet, compiled: `Recognizer` reads plates with an artifact, `Plate` is what it returns, and
`decode` makes plates of logits.

All are imported when first asked for, so that `import lprnet` costs nothing.
"""

TYPE_CHECKING = False
"""Type checkers take it as true; to import it from `typing` takes as long as all the rest."""
if TYPE_CHECKING:
    from lprnet.runtime import decode
    from lprnet.runtime.decode import Plate
    from lprnet.runtime.recognizer import Recognizer

__all__ = ["Plate", "Recognizer", "decode"]
__version__ = "0.2.0"


def __getattr__(name: str) -> object:
    if name == "Plate":
        from lprnet.runtime.decode import Plate

        return Plate
    if name == "Recognizer":
        from lprnet.runtime.recognizer import Recognizer

        return Recognizer
    if name == "decode":
        from lprnet.runtime import decode

        return decode
    raise AttributeError(f"module 'lprnet' has no attribute {name!r}")
