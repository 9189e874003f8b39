"""How a call's exception travels from the worker to the caller.

The exception is pickled by itself inside the message about it, so that one that cannot be pickled, or not be rebuilt,
still arrives as a clear error that names its type and carries the traceback.
"""

from __future__ import annotations

import pickle

from drvs.executor import pickling

#: (type name, traceback text, pickled exception or None, why there is none)
Report = tuple[str, str, bytes | None, str]


class RemoteTraceback(Exception):
    """The traceback in the worker: the cause of an exception that a call raised."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


def report(error: BaseException) -> Report:
    """Return what the caller is told of an exception."""
    import traceback

    text = "".join(traceback.format_exception(error))
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    error.__traceback__ = None
    try:
        stream, _ = pickling.dumps(error, beside=False)
        pickling.loads(stream)
    except Exception as problem:
        return name, text, None, f"{type(problem).__name__}: {problem}"
    return name, text, stream, ""


def rebuild(told: Report) -> BaseException:
    """Return the exception, with the worker's traceback as its cause."""
    name, text, stream, why = told
    error: BaseException | None = None
    if stream is not None:
        try:
            error = pickling.loads(stream)
        except Exception as problem:
            why = f"{type(problem).__name__}: {problem}"
    if not isinstance(error, BaseException):
        error = pickle.UnpicklingError(f"the call raised {name}, which cannot be rebuilt here ({why})")
    error.__cause__ = RemoteTraceback(text)
    return error


def unpicklable_result(value: object, problem: BaseException) -> BaseException:
    """Return the error of a call whose result cannot travel."""
    kind = type(_culprit(value))
    return pickle.PicklingError(
        f"the call returned a {kind.__module__}.{kind.__qualname__}, which cannot be pickled: "
        f"{type(problem).__name__}: {problem}"
    )


def _culprit(value: object) -> object:
    """Return what cannot be pickled in a list, a tuple, or the results of a chunk."""
    for part in value if isinstance(value, list | tuple) else ():
        try:
            pickling.dumps(part)
        except Exception:
            return _culprit(part)
    return value
