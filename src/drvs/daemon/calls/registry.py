"""The table of handlers."""

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from drvs.base.flags import Call
from drvs.daemon.request import Request

if TYPE_CHECKING:
    from drvs.daemon.node import Node
    from drvs.daemon.server import Connection

#: Fields and descriptors; None: the answer comes later.
Answer = tuple[dict[str, Any], tuple[int, ...]]

R = TypeVar("R", bound=Request)


class Rights(Enum):
    """Who may make a call."""

    ANYONE = "anyone"
    MEMBER = "bound processes, root and the node's owner"
    ROOT = "root and the node's owner"


class Handler(NamedTuple):
    """How one request is carried out, and what is judged before."""

    run: "Callable[[Node, Connection, Any], Answer | None]"
    rights: Rights
    initialised: bool
    call: Call | None


HANDLERS: dict[type[Request], Handler] = {}


def handles(
    request: type[R], rights: Rights, *, initialised: bool = True, call: Call | None = None
) -> "Callable[[Callable[[Node, Connection, R], Answer | None]], Callable[[Node, Connection, R], Answer | None]]":
    """Register the function below as what carries out `request`."""

    def register(
        function: "Callable[[Node, Connection, R], Answer | None]",
    ) -> "Callable[[Node, Connection, R], Answer | None]":
        HANDLERS[request] = Handler(function, rights, initialised, call)
        return function

    return register


def done(**fields: Any) -> Answer:
    """Return an answer without descriptors."""
    return fields, ()
