"""drvs version: what runs here, in one line, or all that a bug report needs."""

from __future__ import annotations

import typer

from drvs.cli.options import Json


def versions() -> dict[str, str]:
    """Return the versions that matter, by name."""
    import platform

    import drvs
    from drvs.core import _core

    layout = getattr(_core, "LAYOUT", {})
    return {
        "drvs": drvs.__version__,
        "core": str(getattr(_core, "VERSION", "?")),
        "region layout": str(layout.get("version", getattr(_core, "LAYOUT_VERSION", "?"))),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "machine": platform.machine(),
    }


def version(as_json: Json = False) -> None:
    """Show all versions that matter."""
    from drvs.ui.table import show_json

    found = versions()
    if as_json:
        show_json(found)
        return
    typer.echo("drvs " + found["drvs"] + "  (" + ", ".join(f"{k} {v}" for k, v in found.items() if k != "drvs") + ")")
