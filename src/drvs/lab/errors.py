"""What can go wrong with a lab, each with the next step."""

from __future__ import annotations

from drvs.cli import exits


class LabError(RuntimeError):
    """Something about a lab did not work.

    Attributes:
        hint: what to do next; may be empty.
        exit_status: what a command ends with that this ended.
    """

    def __init__(self, problem: str, hint: str = "", exit_status: int = exits.FAILED) -> None:
        self.hint = hint
        self.exit_status = exit_status
        super().__init__(problem)


class NoSuchLab(LabError):
    """There is no lab of that name, or it has ended. Start one with `drvs lab up`."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem, hint, exits.NO_NODE)
