"""Processes stopped anywhere, the VM's lock included: the others keep their deadlines, and the stopped one is named."""

import json
import os
import signal
import time

import pytest

from drvs.core import Region, _core
from drvs.daemon.client import Client
from multiproc.people import BUSYBODY
from multiproc.test_stress import seed
from multiproc.town import Inhabitant, Town, town
from support import nodes
from support.children import Child, Me, spawn

STOPS_MAX = 20_000
PATIENCE_S = 30.0


def stop(pid: int) -> None:
    """SIGSTOP, and wait until it has stopped."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED)


def stop_in_the_lock(place: Town) -> Inhabitant:
    """Stop the busybody until it was inside the lock, and others now and then wherever they are."""
    for attempt in range(STOPS_MAX):
        who = place.dice.choice(place.people) if attempt % 8 == 0 else place.people[BUSYBODY]
        stop(who.pid)
        if place.region.holder()[0] == who.pid:
            return who
        os.kill(who.pid, signal.SIGCONT)
    raise AssertionError(f"nobody was inside the lock in {STOPS_MAX} stops (seed {place.seed})")


def keep_deadlines(size: int, holders: int) -> None:
    with town(size, seed(), timed=True) as place:
        for _ in range(holders):
            place.wait_for_calls(size)
            who = stop_in_the_lock(place)
            place.wait_for_calls(3 * size)
            os.kill(who.pid, signal.SIGCONT)
            place.wait_for_calls(size)
            place.check()
        place.find_lost_wakeups()
        place.check_lateness()
        place.end()


def test_timed_calls_keep_their_deadlines_while_the_holder_of_the_lock_is_stopped() -> None:
    keep_deadlines(6, 3)


@pytest.mark.slow
def test_many_stops() -> None:
    keep_deadlines(64, 60)


def test_a_stopped_holder_that_is_killed_is_buried_like_any_other() -> None:
    with town(6, seed(), timed=True) as place:
        for _ in range(3):
            who = stop_in_the_lock(place)
            os.kill(who.pid, signal.SIGKILL)
            place.bury(who)
            place.people[who.place] = place.born(who.place)
            place.wait_for_calls(place.size)
            place.check()
        place.end()


# ---- with a daemon: its status names the holder ----------------------------------------------------------------------


def _busy(me: Me, runtime_dir: str, vmid: int) -> None:
    """A member that is in and out of the lock all the time."""
    from daemon.helpers import open_endpoint

    with Client(runtime_dir) as client:
        endpoint = open_endpoint(client.call("bind", vmid=vmid))
    me.say("bound")
    message = _core.Message()
    while True:
        endpoint.raw(_core.RECEIVE, _core.ANY, message, 0)


def _member_region(client: Client, vmid: int) -> Region:
    fd = client.call("bind", vmid=vmid).take_fd()
    try:
        return Region(fd, readonly=True)
    finally:
        os.close(fd)


def _stop_holding(child: Child, region: Region) -> None:
    for _ in range(STOPS_MAX):
        child.stop()
        if region.holder()[0] == child.pid:
            return
        child.resume()
    raise AssertionError(f"it was never inside the lock in {STOPS_MAX} stops")


def test_status_names_a_stopped_holder_until_it_goes_on(node: nodes.RunningNode) -> None:
    with Client(node.runtime_dir) as client:
        vmid = client.call("vm_init", name="lab")["vmid"]
        child = spawn(_busy, str(node.runtime_dir), vmid)
        child.wait_line("bound")
        region = _member_region(client, vmid)
        _stop_holding(child, region)
        deadline = time.monotonic() + PATIENCE_S
        while not (found := client.call("status")["holders"]):
            assert time.monotonic() < deadline, "noded has not noticed the stopped holder"
        assert (found[0]["pid"], found[0]["vmid"]) == (child.pid, vmid)
        told = nodes.drvs("status", "--json", runtime_dir=node.runtime_dir)
        assert child.pid in [row["pid"] for row in json.loads(told.stdout)["holders"]], told.stdout
        child.resume()
        while client.call("status")["holders"]:
            assert time.monotonic() < deadline, "noded still names a holder that goes on"
        child.kill()
