"""drvs image show: what an image holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drvs.cli.image.files import File, read
from drvs.cli.options import Json

if TYPE_CHECKING:
    from drvs.procspace.image.model import Meta


def show(file: File, json: Json = False) -> None:
    """Show what an image holds."""
    from drvs.procspace import image
    from drvs.ui.table import show_json, show_pairs

    with read(file) as fd:
        facts = describe(image.read_meta(fd))
    if json:
        show_json(facts)
    else:
        show_pairs((name.replace("_", " "), _text(value)) for name, value in facts.items())


def describe(meta: Meta) -> dict[str, Any]:
    """Return the facts of an image that people ask for."""
    from datetime import UTC, datetime

    return {
        "pid": meta.pid,
        "command": meta.command,
        "taken": datetime.fromtimestamp(meta.taken_at, UTC).isoformat(timespec="seconds"),
        "kernel": meta.machine.kernel,
        "user": meta.credentials.uids[1],
        "directory": meta.cwd,
        "threads": [thread.name.decode(errors="replace") for thread in meta.threads],
        "mappings": len(meta.regions),
        "files": [file.path for file in meta.files],
        "descriptors": {number: _opened(opened) for opened in meta.open_files for number, _ in sorted(opened.numbers)},
    }


def _opened(opened: Any) -> str:
    kind = type(opened).__name__.lower()
    detail = getattr(opened, "path", "") or getattr(opened, "name", "") or getattr(opened, "what", "")
    return f"{kind} {detail}".strip()


def _text(value: object) -> str:
    from drvs.ui.table import plain

    if isinstance(value, dict):
        return "\n".join(plain(f"{name}: {what}") for name, what in value.items())
    return plain(", ".join(map(str, value)) if isinstance(value, list) else str(value))
