"""Loads a shared object from its bytes and calls its functions by the C ABI of apache-tvm-ffi.

An artifact needs functions of libtvm_ffi, and nothing of the Python package around it: `import
tvm_ffi` imports torch too, if that is installed, and takes 50 times as long as the library.
"""

import ctypes
import functools
import importlib.util
import os
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from lprnet.runtime.arrays import NDArray
from lprnet.support.errors import UserError

SYS_MEMFD_CREATE = 319
"""On x86-64. Python's `os.memfd_create` is missing where it was built for a libc before 2.27."""
MFD_CLOEXEC = 1
INT, TENSOR = 1, 7
"""`kTVMFFIInt` and `kTVMFFIDLTensorPtr` of tvm/ffi/c_api.h."""
DLPACK_CODES = {"i": 0, "u": 1, "f": 2}
"""NumPy's kinds of dtypes in dlpack.h."""

_LIBC: Any = ctypes.CDLL(None, use_errno=True)
_LIBC.dlclose.argtypes = (ctypes.c_void_p,)


class _Value(ctypes.Structure):
    """`TVMFFIAny`, an argument or a result."""

    _fields_ = (
        ("type_index", ctypes.c_int32),
        ("zero_padding", ctypes.c_uint32),
        ("bits", ctypes.c_int64),
    )


class _Tensor(ctypes.Structure):
    """`DLTensor` on the CPU; no strides: its elements lie one after another."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
    )


class _Error(ctypes.Structure):
    """The beginning of a `TVMFFIObject` that is a `TVMFFIErrorCell`."""

    _fields_ = (
        ("header", ctypes.c_uint8 * 24),
        ("kind", ctypes.c_char_p),
        ("kind_size", ctypes.c_size_t),
        ("message", ctypes.c_void_p),
        ("message_size", ctypes.c_size_t),
    )


class Arguments:
    """Arrays as the arguments of a function, made once for many calls.

    `values` is what the function takes; it stays valid as long as this object.
    """

    def __init__(self, *arrays: NDArray[Any]) -> None:
        """Raises `ValueError` for an array whose elements do not lie one after another."""
        tensors = [_tensor(array) for array in arrays]
        cells = (_Value * len(arrays))(
            *(_Value(TENSOR, 0, ctypes.addressof(tensor)) for tensor, _ in tensors)
        )
        result = _Value()
        self._owners = arrays, tensors, cells, result
        self.values = (None, ctypes.addressof(cells), len(arrays), ctypes.addressof(result))


class SharedObject:
    """A shared object in memory. It is unloaded when neither this nor a function of it is left."""

    def __init__(self, content: bytes) -> None:
        """Load the bytes of a shared object. Raises `OSError` if the system refuses them, and
        `UserError` if apache-tvm-ffi is not installed.
        """
        _libtvm_ffi()
        descriptor = _in_memory(content)
        try:
            self._library = ctypes.CDLL(_unique_path(descriptor))
        finally:
            os.close(descriptor)
        weakref.finalize(self._library, _LIBC.dlclose, self._library._handle).atexit = False

    def function(self, name: str) -> Callable[..., int]:
        """The exported function `name`, called with `Arguments.values`; other than 0: it failed.

        Raises `OSError` if there is none.
        """
        try:
            function = self._library[f"__tvm_ffi_{name}"]
        except AttributeError as error:
            raise OSError(f"it exports no function {name}") from error
        function.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p)
        return function

    def integer(self, name: str) -> int:
        """What the function `name` returns, which takes no argument.

        Raises `OSError` if there is none, and `RuntimeError` with its message if it fails.
        """
        result = _Value()
        if self.function(name)(None, None, 0, ctypes.addressof(result)):
            raise RuntimeError(raised_message())
        return int(result.bits)


def raised_message() -> str:
    """The message of the function of an artifact that just failed in this thread."""
    library, error = _libtvm_ffi(), ctypes.c_void_p()
    library.TVMFFIErrorMoveFromRaised(ctypes.byref(error))
    if error.value is None:
        return "no message"
    found = _Error.from_address(error.value)
    message = ctypes.string_at(found.message, found.message_size).decode(errors="replace")
    library.TVMFFIObjectDecRef(error)
    return message


@functools.cache
def _libtvm_ffi() -> Any:
    """The library of apache-tvm-ffi, visible to the artifacts loaded after it."""
    package = importlib.util.find_spec("tvm_ffi")
    if package is None or package.origin is None:
        raise UserError("apache-tvm-ffi is not installed; pip install apache-tvm-ffi.")
    path = os.path.join(os.path.dirname(package.origin), "lib", "libtvm_ffi.so")
    try:
        return ctypes.CDLL(path, ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be loaded ({error}); install apache-tvm-ffi again."
        ) from error


def _in_memory(content: bytes) -> int:
    """A file descriptor of an anonymous file in memory with this content."""
    descriptor: int = _LIBC.syscall(SYS_MEMFD_CREATE, b"lprnet", MFD_CLOEXEC)
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _unique_path(descriptor: int) -> str:
    """A path of an open file that no other file loaded in this process has.

    `dlopen` returns the library that is loaded already under the same path, and numbers of
    descriptors are used again; inode numbers are not while a library is mapped. So the inode number
    is written into the path, a 1 as `./` and a 0 as `/`, neither of which changes where it leads.
    """
    mark = f"{os.fstat(descriptor).st_ino:b}".replace("0", "/").replace("1", "./")
    return f"/proc/self/{mark}fd/{descriptor}"


def _tensor(array: NDArray[Any]) -> tuple[_Tensor, Any]:
    """`array` as a tensor, and the memory that the tensor refers to."""
    if not array.flags.c_contiguous:
        raise ValueError(f"the elements of an array of shape {array.shape} have gaps")
    shape = np.array(array.shape, np.int64)
    kind, bits = DLPACK_CODES[array.dtype.kind], 8 * array.itemsize
    return _Tensor(
        array.ctypes.data, 1, 0, array.ndim, kind, bits, 1, shape.ctypes.data, None, 0
    ), shape
