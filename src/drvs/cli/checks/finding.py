"""What a check says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How bad it is: `fail` keeps drvs from working, `warn` takes something away."""

    ok = "ok"
    warn = "warn"
    fail = "fail"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor: what was looked at, how it is, and what to do about it (empty if all is well)."""

    what: str
    level: Level
    text: str
    next_step: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as `--json` shows it."""
        return asdict(self) | {"level": self.level.value}


def ok(what: str, text: str) -> Finding:
    """All is well."""
    return Finding(what, Level.ok, text)


def warn(what: str, text: str, next_step: str) -> Finding:
    """Something is missing that drvs can do without."""
    return Finding(what, Level.warn, text, next_step)


def fail(what: str, text: str, next_step: str) -> Finding:
    """Something keeps drvs, or part of it, from working."""
    return Finding(what, Level.fail, text, next_step)
