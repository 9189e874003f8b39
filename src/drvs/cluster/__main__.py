"""`python -m drvs.cluster`: the standard proxies of a node in the foreground. noded starts it for `drvs up --cluster`."""

import argparse
import os
import select
import signal
import sys

from drvs.base import limits
from drvs.base.errors import DrvsError
from drvs.cluster.config import ClusterFileError, load
from drvs.cluster.proxies.noded import Noded
from drvs.cluster.proxies.process import Proxies
from drvs.cluster.proxies.setup import build_links


def main(argv: list[str] | None = None) -> int:
    """Run the proxies until SIGTERM, or until the node is gone; returns the exit status (0 ended, 1 could not start)."""
    options = _parse(argv)
    try:
        cluster = load(options.cluster)
        noded = Noded(options.runtime_dir)
    except (ClusterFileError, DrvsError) as error:
        _say(options.ready_fd, str(error))
        return 1
    epoll = select.epoll()
    try:
        links = build_links(cluster, noded, epoll, insecure=options.insecure)
    except (OSError, ValueError, DrvsError) as error:
        _say(options.ready_fd, str(error))
        noded.close()
        return 1
    proxies = Proxies(noded, links, epoll, options.spin_us)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: proxies.stop())
    _say(options.ready_fd, "ready")
    try:
        proxies.run()
    except DrvsError:
        pass  # the node has ended, and the proxies with it
    links.close()
    noded.close()
    return 0


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
    parser.add_argument("--cluster", required=True, help="the cluster file")
    parser.add_argument("--insecure", action="store_true", help="no authentication, no encryption")
    parser.add_argument("--spin-us", type=int, default=limits.LINK_SPIN_US, help="microseconds of looking after traffic")
    parser.add_argument("--ready-fd", type=int, help="descriptor on which to say `ready`, or why not")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
