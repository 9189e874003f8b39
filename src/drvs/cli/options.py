"""Options that several commands share, each spelt and explained once."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of a table.")]
Vm = Annotated[str, typer.Option("--vm", "-v", metavar="VM", help="Name or number of the VM.")]
VmArgument = Annotated[str, typer.Argument(metavar="VM", help="Name or number of the VM.")]
AnyVm = Annotated[
    str | None, typer.Option("--vm", "-v", metavar="VM", help="One VM only, by name or number (default: all).")
]
