"""`drvs.Executor`: a `concurrent.futures.Executor` over warm worker processes.

    executor    what programs use              settings   what they asked for
    pool        the parts of one executor      crew       workers: started, killed, replaced
    exchange    calls find workers             pump, collector, future   results find those who wait
    chunks      `map`                          place      the VM, by itself where no node runs
    call, wire, pickling, failures, memory     what travels, and how

In other processes:

    spawner, methods, offspring   the parent of the workers
    burial                        unbinds those that died
    setup, fresh, forks           prepared interpreters
    rehearsal                     what their copies will do is done there before
    worker, seat                  workers
    kinship                       who ends with whom

The names below are loaded when they are first used: workers import this package, and need none of them.
"""

TYPE_CHECKING = False

if TYPE_CHECKING:
    from drvs.executor.errors import WorkerDiedError
    from drvs.executor.executor import Executor, WithOptions

__all__ = ["Executor", "WithOptions", "WorkerDiedError"]


def __getattr__(name: str) -> object:
    import importlib

    if name not in __all__:
        raise AttributeError(f"module 'drvs.executor' has no attribute {name!r}")
    module = "drvs.executor.errors" if name == "WorkerDiedError" else "drvs.executor.executor"
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value
