"""drvs lab: a cluster on this machine, to try things on."""

from __future__ import annotations

from collections.abc import Callable

import typer

from drvs.cli.lab.inside import log, run, sh
from drvs.cli.lab.life import down, kill, restart, up
from drvs.cli.lab.links import cut, heal, slow
from drvs.cli.lab.shows import ps, status

_HELP = """\
Run a cluster of several nodes on this machine.

\b
  drvs lab up 3            three nodes, each a machine of its own as far as Linux can tell
  drvs lab sh 1            a shell on node 1
  drvs lab cut 0 1         nothing passes between nodes 0 and 1 until `heal`
  drvs lab slow 0 1 --delay 20 --loss 5
  drvs lab kill 2          everything on node 2 dies; `restart` brings it back
  drvs lab down            nothing is left

As root each node has its own network, processes, mounts and host name. Otherwise the nodes are daemons on loopback
addresses."""

group = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode=None)

_PLAIN: list[Callable[..., None]] = [up, status, ps, sh, run, cut, heal, slow, kill, restart, log, down]

for _command in _PLAIN:
    _reads_all = _command not in (sh, run)  # what follows the node there is a command, with options of its own
    group.command(context_settings={"allow_interspersed_args": _reads_all})(_command)
