"""What happened, a line each; formatted only if somebody reads it."""

from collections import deque
from typing import Any

LEGEND = """\
    time  node   what
 1.00000     0   A calls B …   #7: the call, and the message in it     A == B …   how call #7 ended
             0   A << B   received #7
             0   up, down, proxies up, proxies down, born, died: nodes, their proxies, and processes
             0   -> 1 established, broken, ended: the session with another node, as this one sees it
             0   ~> 1 cut, healed, slow, broken: the way to another node, or a stream
             0   joined, left, name, gone, forgot: what the proxies told the node of others
 Processes are NODE.NUMBER, with a letter for the VM where there are several. LOOK: audits. REST: everything heals."""


class Trace:
    """The last lines."""

    def __init__(self, lines: int) -> None:
        self._kept: deque[tuple[float, int, str, tuple[Any, ...]]] = deque(maxlen=lines or None)

    def note(self, now: float, node: int, text: str, *args: Any) -> None:
        """Keep a line; `text` is formatted with `args` when it is read."""
        self._kept.append((now, node, text, args))

    def lines(self) -> list[str]:
        """Return them, as the legend explains them."""
        return [f"{now:8.5f}  {node if node >= 0 else '':>4}   {text % args}" for now, node, text, args in self._kept]
