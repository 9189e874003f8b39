"""drvs image: put a running program aside, bring it back, look at what was kept. One module per command."""

from __future__ import annotations

import typer

from drvs.cli.image.dump import dump
from drvs.cli.image.exec import exec_
from drvs.cli.image.fork import fork
from drvs.cli.image.register import register
from drvs.cli.image.restore import restore
from drvs.cli.image.show import show
from drvs.cli.image.start import start
from drvs.cli.image.verify import verify

group = typer.Typer(help="Put a running program aside, and bring it back.", no_args_is_help=True, rich_markup_mode=None)

for _command in (dump, restore, start, fork, show, verify, register):
    group.command()(_command)
group.command("exec")(exec_)
