"""SHA-256 without OpenSSL, as the standard library's `random` has SHA-512: `hashlib` loads
libcrypto, which takes 3 ms of a start and 3.4 MB; an artifact is hashed in less than 1 ms.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import sha256
else:
    try:
        try:
            from _sha2 import sha256  # since Python 3.12
        except ImportError:
            from _sha256 import sha256
    except ImportError:  # a Python that was built without them
        from hashlib import sha256

__all__ = ["sha256"]
