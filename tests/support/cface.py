"""The C library as if it were drvs.compat.mnx, and the tests of that run over it: one suite, two faces.

    globals().update(cface.suite("compat/test_ipc.py"))

The functions of the stand-in call libm3ipc through ctypes; structures and constants are those of the Python module,
whose layout and values test_header.py compares with the header's.
"""

from __future__ import annotations

import contextlib
import ctypes
import re
import sys
import types
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import drvs.compat
from drvs.base import native
from drvs.compat import mnx
from drvs.compat.mnx.buffers import address, message_bytes, pointed_to
from drvs.core import Message

TESTS = Path(__file__).parent.parent
HEADER = TESTS.parent / "csrc" / "include" / "m3ipc.h"


def prototypes() -> dict[str, tuple[str, list[str]]]:
    """Call -> its result type and its parameters, as the header declares them."""
    found = re.findall(r"^M3IPC_API (int|long) (mnx_\w+)\((.*?)\);", HEADER.read_text(), re.M)
    return {name: (result, [p.strip() for p in given.split(",") if p != "void"]) for result, name, given in found}


@cache
def library() -> ctypes.CDLL:
    """The shared library of this installation."""
    return ctypes.CDLL(str(native.LIB / "libm3ipc.so.0"))


def last_code() -> int:
    """mnx_errno of the calling thread."""
    location = library().mnx_errno_location
    location.restype = ctypes.POINTER(ctypes.c_int)
    return int(location().contents.value)


def _pointer(argument: Any) -> tuple[int, object]:
    """The address that a Python argument stands for, and what must live until the call is over."""
    target = pointed_to(argument)
    if isinstance(target, str | bytes):
        text = ctypes.create_string_buffer(target.encode() if isinstance(target, str) else target)
        return ctypes.addressof(text), text
    if isinstance(target, ctypes.Structure):
        return ctypes.addressof(target), target
    if isinstance(target, Message | bytearray | memoryview):
        view = message_bytes(target)
        if view is None:
            return 0, None
        return ctypes.addressof(ctypes.c_char.from_buffer(view)), view
    with contextlib.suppress(TypeError):
        return address(target), target
    return 0, None  # nothing that C could be given


def _call(name: str, result: str, parameters: list[str]) -> Callable[..., int]:
    function = getattr(library(), name)
    function.restype = ctypes.c_int if result == "int" else ctypes.c_long
    pointers = ["*" in parameter or "[]" in parameter for parameter in parameters]
    kinds = [ctypes.c_long if parameter.startswith("long") else ctypes.c_int for parameter in parameters]
    function.argtypes = [ctypes.c_void_p if pointer else kind for pointer, kind in zip(pointers, kinds, strict=True)]

    def call(*arguments: Any) -> int:
        held = [_pointer(a) if p else (a, None) for a, p in zip(arguments, pointers, strict=True)]
        return int(function(*(value for value, _ in held)))

    call.__name__ = name
    return call


@cache
def module() -> types.ModuleType:
    """A module with every name of drvs.compat.mnx, whose calls are the C library's."""
    face = types.ModuleType("drvs.compat.mnx")
    vars(face).update({name: getattr(mnx, name) for name in mnx.__all__}, __all__=mnx.__all__)
    for name, (result, parameters) in prototypes().items():
        setattr(face, name, _call(name, result, parameters))
    face.mnx_errno = last_code  # type: ignore[attr-defined]
    return face


@contextlib.contextmanager
def _in_place_of_mnx(**others: types.ModuleType) -> Iterator[None]:
    replaced = {"drvs.compat.mnx": module(), **{f"support.{name}": m for name, m in others.items()}}
    before = {name: sys.modules.get(name) for name in replaced}
    sys.modules.update(replaced)
    drvs.compat.mnx = module()  # type: ignore[assignment]
    try:
        yield
    finally:
        drvs.compat.mnx = mnx
        for name, old in before.items():
            if old is None:
                del sys.modules[name]
            else:
                sys.modules[name] = old


def _run(path: Path, name: str, **others: types.ModuleType) -> types.ModuleType:
    loaded = types.ModuleType(name)
    loaded.__file__ = str(path)
    with _in_place_of_mnx(**others):
        sys.modules[name] = loaded
        exec(compile(path.read_text(), str(path), "exec"), vars(loaded))
    return loaded


@cache
def guide() -> Any:
    """support.guide over the C library."""
    return _run(TESTS / "support" / "guide.py", "support.guide_c")


def suite(path: str) -> dict[str, Any]:
    """The tests of a file, and what they need, over the C library."""
    loaded = _run(TESTS / path, f"cface_{Path(path).stem}", guide=guide())
    return {name: thing for name, thing in vars(loaded).items() if not name.startswith("__")}
