"""`python -m drvs.daemon`: noded in the foreground. `drvs up` starts it this way, and so does systemd.

The order matters: the lock first, then the keeper, forked while this process is still small, then everything else.
"""

import argparse
import os
import sys
from typing import TYPE_CHECKING

from drvs.base import paths
from drvs.base.errors import DrvsError
from drvs.daemon import notify, runtime
from drvs.daemon.log import complain
from drvs.daemon.refusal import Refused
from drvs.daemon.store import AnyStore, open_store

if TYPE_CHECKING:
    from drvs.daemon.node import NodeLimits
    from drvs.daemon.noded import Noded


def main(argv: list[str] | None = None) -> int:
    """Run noded until it is told to end; returns the exit status (0 ended, 1 could not start)."""
    options = _parse(argv)
    os.umask(0o022)
    try:
        runtime_dir = os.path.abspath(options.runtime_dir or paths.own_runtime_dir(options.node))
        node = paths.node_id() if options.node is None else options.node
        runtime.prepare(runtime_dir)
        lock = runtime.lock(runtime_dir)
        os.chdir("/")
        _check_proc()
        store = open_store(runtime_dir, complain)
        held = store.load()
        _serve(options, runtime_dir, node, store, held)
        os.close(lock)
    except (DrvsError, Refused, OSError, ValueError) as error:
        reason = getattr(error, "detail", None) or str(error)
        _report(options.ready_fd, f"{getattr(error, 'code', -99):d} {reason}")
        complain(reason)
        return 1
    return 0


def _serve(options: argparse.Namespace, runtime_dir: str, node: int, store: AnyStore, held: dict[str, int]) -> None:
    fresh = not held
    try:
        from drvs.daemon.noded import Noded

        noded = Noded(runtime_dir, store, held)
        if not options.no_init:
            noded.init(node, _limits(options.limits))
    except BaseException:
        if fresh:  # there is nothing to keep
            store.quit()
            runtime.tidy(runtime_dir)
        raise
    try:
        noded.serve(lambda: _join(noded, options, f"node {node} in {runtime_dir}"))
    except BaseException as error:
        noded.log.failure(error)  # and leave everything to the next one, as after a crash
        raise
    noded.end()


def _join(noded: "Noded", options: argparse.Namespace, status: str) -> None:
    """Say that the node serves: with `--links` once its proxies are ready, and if they cannot be, the node ends."""

    def told(word: str) -> None:
        if word == "ready":
            _say_ready(options.ready_fd, status)
            return
        _report(options.ready_fd, f"-99 {word}")
        complain(word)
        noded.loop.stop()

    if options.links is None or noded.node.links.runs:
        _say_ready(options.ready_fd, status)
    else:
        noded.node.links.start(options.links.split("\x01"), told)
        noded.node.save()


def _limits(text: str) -> "NodeLimits":
    import msgspec

    from drvs.daemon.node import NodeLimits

    given = msgspec.json.decode(text, type=dict[str, int])
    unknown = set(given) - set(NodeLimits._fields)
    if unknown:
        raise ValueError(f"no such limits: {', '.join(sorted(unknown))}; there are {', '.join(NodeLimits._fields)}")
    return NodeLimits(**given)


def _check_proc() -> None:
    """Everything about processes is read in /proc: it has to show the pid namespace that noded lives in."""
    try:
        shown = os.readlink("/proc/self")
    except OSError:
        raise ValueError("/proc is not mounted: mount it") from None
    if shown != str(os.getpid()):
        raise ValueError("/proc shows another pid namespace than this one: mount a proc of its own")


def _say_ready(fd: int | None, status: str) -> None:
    notify.ready(status)
    _report(fd, "ready")


def _report(fd: int | None, text: str) -> None:
    if fd is not None:
        try:
            os.write(fd, text.encode())
            os.close(fd)
        except OSError:
            pass


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m drvs.daemon", description="noded, the daemon of a drvs node")
    parser.add_argument(
        "--runtime-dir", help="where the node lives (default: DRVS_RUNTIME_DIR, or as the user has one)"
    )
    parser.add_argument("--node", type=int, help="node id (default: DRVS_NODE, or 0)")
    parser.add_argument("--no-init", action="store_true", help="leave initialising to drvs_init")
    parser.add_argument("--limits", default="{}", help="limits of drvs_init, as a JSON object")
    parser.add_argument("--links", help="options of the proxies' process, joined by the character 1")
    parser.add_argument("--ready-fd", type=int, help="descriptor on which to say `ready`, or why not")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
