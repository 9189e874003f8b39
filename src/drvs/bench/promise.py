"""What a figure was to be, and what it is."""

from __future__ import annotations

from dataclasses import dataclass

from drvs.ui.units import significant

PUBLISHED_MESSAGES = {"different": 740_000, "same": 925_000}
"""Messages a second that M3-IPC's authors published for their kernel module (2018, their hardware)."""


@dataclass(frozen=True)
class Target:
    """One promise: what was compared, what came out, and what it had to be."""

    what: str
    value: float
    bound: float
    at_most: bool = True
    unit: str = ""

    @property
    def reached(self) -> bool:
        """Tell whether the promise is kept."""
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    @property
    def wanted(self) -> str:
        """The bound as text: "≤ 1.8"."""
        return f"{'≤' if self.at_most else '≥'} {self.bound:g}{self.unit}"

    @property
    def shown(self) -> str:
        """The value as text."""
        return f"{significant(self.value)}{self.unit}"
