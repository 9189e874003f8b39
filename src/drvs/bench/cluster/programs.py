"""What the benchmark runs on a node: `python -m drvs.bench.cluster.programs ROLE PEER HOST PORT FOLDER`.

serve   be the server until killed
drive   be the client: a line of JSON on stdin names a method and its arguments, a line on stdout has the answer
"""

from __future__ import annotations

import json
import sys

from drvs.bench.cluster.crowd import CROWDS
from drvs.bench.cluster.peers import PEERS, Peer
from drvs.bench.cluster.stores import STORES
from drvs.bench.cluster.watcher import Watcher

ALL: dict[str, type[Peer]] = PEERS | CROWDS | STORES | {"watcher": Watcher}


def drive(peer: Peer) -> None:
    """Do what is asked for, until nobody asks any more."""
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            answer = {"value": getattr(peer, name)(*arguments)}
        except Exception as error:
            answer = {"error": f"{name}: {type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def main() -> None:
    """Play a role."""
    role, name, host, port, folder = sys.argv[1:]
    peer = ALL[name](host, int(port), folder)
    drive(peer) if role == "drive" else peer.serve()


if __name__ == "__main__":
    main()
