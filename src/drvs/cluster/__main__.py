"""`python -m drvs.cluster`: the standard proxies of a node in the foreground. noded starts it for `drvs up --cluster`
and `drvs up --nats`.
"""

import argparse
import ctypes
import os
import select
import signal
import sys
from pathlib import Path

from drvs.base import limits
from drvs.base.errors import DrvsError
from drvs.cluster.proxies.noded import Noded
from drvs.cluster.proxies.plan import Plan, from_file, from_registry
from drvs.cluster.proxies.process import Proxies
from drvs.cluster.proxies.setup import Joined

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def main(argv: list[str] | None = None) -> int:
    """Run the proxies until SIGTERM, or until the node is gone. Exit status: 0 ended, 1 could not start."""
    options = _parse(argv)
    _keep_memory()
    epoll = select.epoll()
    try:
        noded = Noded(options.runtime_dir)
    except DrvsError as error:
        _say(options.ready_fd, str(error))
        return 1
    try:
        joined = Joined(_plan(options, noded.number), noded, epoll)
        proxies = Proxies(noded, joined.links, joined.registry, epoll, options.spin_us)
    except (OSError, ValueError, RuntimeError, DrvsError) as error:
        noded.close()
        _say(options.ready_fd, str(error))
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: proxies.stop())
    _say(options.ready_fd, "ready")
    try:
        proxies.run()
    except DrvsError:
        pass  # the node has ended, and the proxies with it
    joined.close()
    noded.close()
    return 0


def _keep_memory() -> None:
    """Have glibc keep what is freed: half-megabyte blocks come and go, and fresh pages cost more than their copies."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return  # another C library
    mallopt(_M_MMAP_THRESHOLD, limits.LINK_KEEP_BYTES)
    mallopt(_M_TRIM_THRESHOLD, limits.LINK_KEEP_BYTES)


def _plan(options: argparse.Namespace, node: int) -> Plan:
    if options.cluster is not None:
        return from_file(options.cluster, node, insecure=options.insecure)
    credentials = None if options.insecure else Path(options.credentials)
    return from_registry(options.nats, options.cluster_name, node, options.name, credentials, options.listen)


def _say(fd: int | None, word: str) -> None:
    if fd is None:
        if word != "ready":
            print(f"drvs: {word}", file=sys.stderr)
        return
    try:
        os.write(fd, word.encode())
        os.close(fd)
    except OSError:
        pass  # whoever wanted to know has gone


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m drvs.cluster", description="the standard proxies of a drvs node")
    parser.add_argument("--runtime-dir", required=True, help="where the node lives")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--cluster", help="the cluster file")
    how.add_argument("--nats", help="NATS servers, whose registry has the cluster")
    parser.add_argument("--cluster-name", default="drvs", help="with --nats: the name of the cluster")
    parser.add_argument("--name", default="", help="with --nats: the name of the node")
    parser.add_argument("--listen", action="append", default=[], help="with --nats: an address to be reached at")
    parser.add_argument("--credentials", help="with --nats: the folder that the node proves itself with")
    parser.add_argument("--insecure", action="store_true", help="no authentication, no encryption")
    parser.add_argument("--spin-us", type=int, default=limits.LINK_SPIN_US, help="spin after traffic, in microseconds")
    parser.add_argument("--ready-fd", type=int, help="descriptor on which to say `ready`, or why not")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
