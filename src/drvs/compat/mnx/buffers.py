"""From what a program passes as a pointer to the memory it means.

`m_ptr` and structure arguments are ctypes instances, or what ctypes makes of them with `byref` and `pointer`; a
message may also be a `drvs.Message` or any writable buffer of 64 bytes.
"""

from __future__ import annotations

import ctypes
from typing import Any, TypeVar

from drvs.compat.mnx.constants import MESSAGE_BYTES

T = TypeVar("T", bound=ctypes.Structure)


def pointed_to(pointer: Any) -> Any:
    """Return the object behind `byref(x)` or `pointer(x)`, or the argument itself."""
    if hasattr(pointer, "_obj"):
        return pointer._obj
    if hasattr(pointer, "contents"):
        try:
            return pointer.contents
        except ValueError:  # a NULL pointer
            return None
    return pointer


def is_int(number: int) -> bool:
    """Tell whether a number fits a C int."""
    return -(2**31) <= number < 2**31


def message_bytes(m_ptr: Any) -> memoryview | None:
    """Return the 64 bytes of a message for reading and writing; None if there is no message there (EMOLMSGSIZE)."""
    target = pointed_to(m_ptr)
    try:
        view = memoryview(target).cast("B")
    except (TypeError, ValueError):
        return None
    return view if view.nbytes == MESSAGE_BYTES and not view.readonly else None


def structure(pointer: Any, kind: type[T]) -> T | None:
    """Return the structure of this kind behind a pointer; None if there is none (EMOLINVAL)."""
    target = pointed_to(pointer)
    return target if isinstance(target, kind) else None


def name_text(name: str | bytes | Any) -> str:
    """Return a name given as str, bytes or a char array."""
    if isinstance(name, str):
        return name
    raw = bytes(getattr(name, "raw", name))
    return raw.split(b"\0", 1)[0].decode(errors="surrogateescape")


def address(pointer: int | ctypes.c_void_p | Any | None) -> int:
    """Return a raw address given as an int, a void pointer or a ctypes object."""
    if pointer is None:
        return 0
    if isinstance(pointer, int):
        return pointer & (2**64 - 1)
    if isinstance(pointer, ctypes.c_void_p):
        return pointer.value or 0
    target = pointed_to(pointer)
    return ctypes.addressof(target)
