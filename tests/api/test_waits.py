"""Who waits on whom: edges, their reasons in words, and circles."""

import pytest

from drvs.api.info import ProcessInfo
from drvs.base.flags import Misc, Rts
from drvs.base.ids import ANY, NONE
from drvs.procview import analyse, describe_cycle, look
from support.children import spawn
from support.guide import wait_blocked


def process(endpoint, rts=0, *, getfrom=NONE, sendto=NONE, name="", calling=False, requests_only=False):
    return ProcessInfo(
        vmid=0,
        p_nr=endpoint,
        endpoint=endpoint,
        name=name,
        pid=1000 + endpoint,
        tid=1000 + endpoint,
        node=0,
        rts=Rts(rts),
        misc=Misc(0),
        getfrom=getfrom,
        sendto=sendto,
        calling=calling,
        requests_only=requests_only,
        sent_local=0,
        sent_remote=0,
        copied_local=0,
        copied_remote=0,
    )


def sending(endpoint, to, **more):
    return process(endpoint, Rts.SENDING, sendto=to, **more)


def receiving(endpoint, of, **more):
    return process(endpoint, Rts.RECEIVING, getfrom=of, **more)


@pytest.mark.parametrize(
    ("waiter", "says"),
    [
        (sending(70, 5), "70 waits for 5 (fs) to receive its message"),
        (process(70, Rts.SENDING | Rts.RECEIVING, sendto=5, getfrom=5), "70 waits for 5 (fs) to take its request"),
        (receiving(70, 5, calling=True), "70 waits for 5 (fs) to answer"),
        (receiving(70, 5, name="me"), "70 (me) waits for 5 (fs) to send to it"),
        (receiving(70, 9), "70 waits for 9 (not bound) to send to it"),
        (receiving(70, ANY), "70 waits for a message of anyone"),
        (receiving(70, ANY, requests_only=True), "70 waits for a request of anyone"),
        (
            process(70, Rts.RECEIVING | Rts.ONCOPY, getfrom=5, calling=True),
            "70 waits for 5 (fs) to answer, its memory in a copy",
        ),
        (process(70, Rts.ONCOPY), "70 has its memory in a copy"),
        (process(70, Rts.MIGRATING), "70 waits until it has moved"),
    ],
)
def test_every_wait_is_told_in_words(waiter, says):
    view = analyse([process(5, name="fs"), waiter])
    assert [str(edge) for edge in view.edges] == [says]
    assert not view.deadlocked


def test_the_holder_is_the_process_waited_on():
    server = process(5)
    assert analyse([server, receiving(70, 5)]).edges[0].holder == server
    assert analyse([receiving(70, ANY)]).edges[0].holder is None


def test_runnable_processes_wait_on_nobody():
    assert analyse([process(1), process(2, Rts.REMOTE)]).edges == ()


def test_a_circle_of_waits_is_found_once_and_told_from_its_lowest_endpoint():
    view = analyse([receiving(9, 3, name="c"), receiving(3, 7, name="a"), sending(7, 9), sending(50, 9)])
    assert len(view.edges) == 4
    assert [describe_cycle(cycle) for cycle in view.cycles] == ["3 (a) -> 7 -> 9 (c) -> 3 (a)"]
    assert view.deadlocked


def test_two_circles_are_two():
    view = analyse([receiving(1, 2), receiving(2, 1), receiving(3, 4), receiving(4, 3)])
    assert [describe_cycle(cycle) for cycle in view.cycles] == ["1 -> 2 -> 1", "3 -> 4 -> 3"]


def test_a_long_chain_is_no_circle():
    chain = [sending(number, number + 1) for number in range(5000)]
    assert analyse(chain).cycles == ()


def test_a_node_is_looked_at_as_a_whole(vm, node):
    with node.create_vm("empty"), vm.bind(slot=5, name="fs"):
        child = spawn(lambda me: vm.bind(slot=6).receive(5))
        wait_blocked(vm, 6)
        lab, empty = look(node)
        assert (lab.info.name, [p.name for p in lab.processes]) == ("lab", ["fs", ""])
        assert [str(wait) for wait in lab.waits.edges] == ["6 waits for 5 (fs) to send to it"]
        assert (empty.info.name, empty.processes, empty.waits.edges) == ("empty", (), ())
        child.kill()
