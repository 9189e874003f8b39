"""What tells an event as it happens, with the time since the act began."""

from __future__ import annotations

import time
from collections.abc import Callable

from drvs.ui.progress import Steps


def teller(bar: Steps) -> Callable[..., None]:
    """Return what prints an event with the time since now."""
    start = time.monotonic()

    def tell(who: str, what: str) -> None:
        from rich.markup import render

        pad = " " * max(0, 9 - len(render(who).plain))
        bar.say(f"[quiet]{time.monotonic() - start:6.2f} s[/]  [name]{who}[/]{pad} {what}")

    return tell
