"""Hooks around process images: what a program does before it is dumped, and in each process that is restored.

    import drvs.hooks

    @drvs.hooks.before_dump
    def close_connections(): ...

    @drvs.hooks.after_restore
    def connect_again(info): ...          # info.rank of info.size, info.argv, info.environ

A process that has imported this module is asked before its image is made: a native thread takes the dumper's request
and has the main thread run the hooks between two steps of the program, as a signal handler would run. Functions of
`before_dump` run in reverse order of registration, those of `after_restore` in order of registration. Around them run
the defaults: streams are flushed before; afterwards random, numpy.random, ssl and uuid start anew, thread ids and
asyncio's running loop are put right, and what is bound to drvs is unbound in the copy.
"""

from drvs.hooks import cycle, defaults
from drvs.hooks.ready import ready
from drvs.hooks.registry import RestoreInfo, after_restore, before_dump

__all__ = ["RestoreInfo", "after_restore", "before_dump", "ready"]

defaults.register()
cycle.start()
