"""Calls about the node itself."""

import os
from typing import TYPE_CHECKING, Any

from drvs.base import clock, features, limits
from drvs.base.codes import Code
from drvs.base.flags import Call
from drvs.daemon import protocol
from drvs.daemon.calls.registry import Answer, Rights, done, handles
from drvs.daemon.refusal import Refused

if TYPE_CHECKING:
    from drvs.daemon.node import Node
    from drvs.daemon.server import Connection


@handles(protocol.Hello, Rights.ANYONE, initialised=False)
def hello(node: "Node", conn: "Connection", _request: protocol.Hello) -> Answer:
    """Who is there."""
    return done(
        pid=os.getpid(), node=node.number, initialised=node.limits is not None, owner=node.owner,
        runtime_dir=node.runtime_dir, root=conn.is_root,
    )  # fmt: skip


@handles(protocol.Status, Rights.ANYONE, initialised=False)
def status(node: "Node", conn: "Connection", _request: protocol.Status) -> Answer:
    """All that `drvs status` shows."""
    return done(
        pid=os.getpid(), node=node.number, initialised=node.limits is not None, owner=node.owner,
        runtime_dir=node.runtime_dir, version=f"{limits.VERSION}.{limits.SUBVERSION}",
        seconds=round((clock.wall_ns() - node.started_ns) / clock.NS_PER_S, 1), log=node.log.path, debug=node.log.mask,
        store=node.store.kind, vms=[node.vm_info(vm) for _, vm in sorted(node.vms.items())],
        endpoints=node.book.count, processes=len(node.book.processes), waiting=node.waits.count,
        watched=node.watch.counts(), holders=stopped_holders(node),
        limits=limits_in_force(node), links=node.links.report, strangers=node.links.strangers,
        features={name: features.has(name) for name in features.FEATURES}, root=conn.is_root,
    )  # fmt: skip


def limits_in_force(node: "Node") -> dict[str, int]:
    """Return base.limits as noded runs with them, and what drvs_init set over them."""
    table = {name: value for name, (value, _, _) in limits.TABLE.items()}
    return table | (node.limits._asdict() if node.limits else {})


@handles(protocol.Holders, Rights.ANYONE, initialised=False)
def holders(node: "Node", _conn: "Connection", _request: protocol.Holders) -> Answer:
    """Stopped processes that hold a VM's lock."""
    return done(holders=stopped_holders(node))


def stopped_holders(node: "Node") -> list[dict[str, Any]]:
    """Return them as fields of an answer."""
    return [holder.describe() for holder in node.watchdog.stopped.values()]


@handles(protocol.DrvsInit, Rights.ROOT, initialised=False, call=Call.DRVSINIT)
def drvs_init(node: "Node", _conn: "Connection", request: protocol.DrvsInit) -> Answer:
    """Initialise the node. Codes: PERM, DRVSBUSY, RANGE, NOTDIR, BADF."""
    from drvs.daemon.node import NodeLimits

    given = {name: getattr(request, name) for name in NodeLimits._fields}
    size = NodeLimits()._replace(**{name: value for name, value in given.items() if value is not None})
    check_mask(request.debug)
    node.init(request.node, size, request.debug)
    return done()


@handles(protocol.DrvsEnd, Rights.ROOT, call=Call.DRVSEND)
def drvs_end(node: "Node", conn: "Connection", _request: protocol.DrvsEnd) -> Answer:
    """End all VMs and un-initialise the node. Codes: PERM, DRVSINIT."""
    node.end(spare=conn.peer.pid)
    return done()


@handles(protocol.GetDrvsInfo, Rights.MEMBER, initialised=False, call=Call.GETDRVSINFO)
def getdrvsinfo(node: "Node", _conn: "Connection", _request: protocol.GetDrvsInfo) -> Answer:
    """The node's parameters; the defaults, with node -1, while it is not initialised. Codes: PERM."""
    from drvs.daemon.node import NodeLimits

    size = node.limits or NodeLimits()
    return done(
        node=node.number, initialised=node.limits is not None, debug=node.log.mask, version=limits.VERSION,
        subversion=limits.SUBVERSION, **size._asdict(),
    )  # fmt: skip


@handles(protocol.SetDebug, Rights.ROOT)
def setdebug(node: "Node", _conn: "Connection", request: protocol.SetDebug) -> Answer:
    """Choose the categories of the log."""
    check_mask(request.mask)
    node.log.mask = request.mask
    node.save()
    return done()


def check_mask(mask: int) -> None:
    """Refuse a debug mask that is not 32 bits (all ones mean all)."""
    if not 0 <= mask <= 0xFFFFFFFF:
        raise Refused(Code.RANGE, f"the debug mask {mask} is not 0 to 0xFFFFFFFF")


@handles(protocol.Shutdown, Rights.ROOT, initialised=False)
def shutdown(node: "Node", _conn: "Connection", request: protocol.Shutdown) -> Answer:
    """End noded; with keep, leave VMs and keeper to its successor."""
    node.keeps = request.keep
    node.loop.after_ms(0, node.loop.stop)
    return done()


@handles(protocol.LinksReport, Rights.ROOT, initialised=False)
def links_report(node: "Node", _conn: "Connection", request: protocol.LinksReport) -> Answer:
    """Take note of what the proxies say of their links."""
    for line in request.notes[: limits.NOTES_AT_ONCE]:
        node.log.note("links: " + line[: limits.NOTE_CHARACTERS])
    if request.links is not None:
        node.links.report = request.links[: limits.MAX_NODES]
    if request.strangers is not None:
        node.links.strangers = request.strangers[: limits.LINK_REASONS]
    return done()


@handles(protocol.Log, Rights.ROOT, initialised=False)
def log(node: "Node", _conn: "Connection", request: protocol.Log) -> Answer:
    """The last lines of noded's log."""
    return done(lines=node.log.tail(request.lines), path=node.log.path)
