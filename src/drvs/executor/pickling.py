"""Calls and results as bytes, with big buffers beside them.

The C pickler does the work. Its reducer looks at what it cannot take apart by itself, and gives up at the first object
of `__main__` (a function, a class, an instance): workers never import `__main__`, so such objects travel by value, and
cloudpickle is asked to do the whole again. What the C pickler cannot do at all (lambdas, nested functions) goes the
same way.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

from drvs.executor.wire import BUFFERS_MAX, OUT_OF_BAND_BYTES

Buffers = list[memoryview]


class _ByValue(Exception):
    """There is an object of __main__ in it."""


class _Pickler(pickle.Pickler):
    def reducer_override(self, thing: Any) -> Any:
        kind = type(thing)
        if kind is FunctionType or kind is type:
            if thing.__module__ == "__main__":
                raise _ByValue
        elif kind.__module__ == "__main__" or (isinstance(thing, type) and thing.__module__ == "__main__"):
            raise _ByValue
        return NotImplemented


def dumps(thing: object, *, beside: bool = True) -> tuple[bytes, Buffers]:
    """Return the pickle of an object, and the big buffers in it, which stay where they are.

    Args:
        thing: what to pickle.
        beside: False pickles the big buffers too.

    Raises:
        Whatever the object's own code, or cloudpickle, raises if it cannot be pickled.
    """
    buffers: list[pickle.PickleBuffer] = []
    callback = (lambda buffer: _keep(buffer, buffers)) if beside else None
    stream = io.BytesIO()
    try:
        _Pickler(stream, 5, buffer_callback=callback).dump(thing)
        return stream.getvalue(), [buffer.raw() for buffer in buffers]
    except Exception:
        buffers.clear()  # of __main__, or nothing for the C pickler: by value, then
    return _by_value(thing, callback), [buffer.raw() for buffer in buffers]


# ---- objects of __main__ -------------------------------------------------------------------------------------------

#: The worker's own __main__, where the functions of the caller's meet each other and what `warmup` left there.
#: In the caller there is none: a function that comes back must not change the caller's.
namespace: dict[str, Any] | None = None


class _Main(dict[str, Any]):
    """Stands in a pickle for the globals of __main__."""

    def __reduce__(self) -> Any:
        return _main_namespace, ()


def _main_namespace() -> dict[str, Any]:
    return {"__name__": "__main__"} if namespace is None else namespace


def _by_value(thing: object, callback: Callable[[Any], Any] | None) -> bytes:
    """Pickle with cloudpickle; functions of __main__ share their globals again at the other end."""
    import cloudpickle

    stream = io.BytesIO()
    pickler = cloudpickle.Pickler(stream, 5, buffer_callback=callback)
    pickler.globals_ref[id(sys.modules["__main__"].__dict__)] = _Main(__name__="__main__")
    pickler.dump(thing)
    return stream.getvalue()


def _keep(buffer: pickle.PickleBuffer, kept: list[pickle.PickleBuffer]) -> bool:
    """Take a big buffer that lies in one piece; True leaves it to the pickler."""
    try:
        if buffer.raw().nbytes < OUT_OF_BAND_BYTES or len(kept) >= BUFFERS_MAX:
            return True
    except BufferError:
        return True
    kept.append(buffer)
    return False


def loads(stream: bytes | memoryview, buffers: Sequence[memoryview] = ()) -> Any:
    """Return the object again; arrays in it use `buffers` as they are."""
    return pickle.loads(stream, buffers=buffers) if buffers else pickle.loads(stream)
