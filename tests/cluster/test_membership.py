"""Which VMs and names the nodes have: the nodes agree once everything that was said has been heard."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drvs.cluster.proxies import gossip
from drvs.cluster.proxies.gossip import Kind, NameEntry, VmEntry
from drvs.cluster.proxies.membership import (
    Action,
    AddNode,
    Connect,
    CreateVm,
    DropNode,
    ForgetNode,
    LearnGone,
    LearnName,
    Membership,
    Note,
    Tell,
)

NODES = 3


class World:
    """Nodes whose noded is a set of VMs and a directory, joined by queues that keep order."""

    def __init__(self) -> None:
        self.nodes = [Membership(n) for n in range(NODES)]
        self.running: list[dict[int, VmEntry]] = [{} for _ in range(NODES)]
        self.names: list[dict[tuple[int, int], str]] = [{} for _ in range(NODES)]
        self.members: list[set[tuple[int, int]]] = [set() for _ in range(NODES)]
        self.directory: list[dict[tuple[int, int, int], str]] = [{} for _ in range(NODES)]
        self.queues: dict[tuple[int, int], deque[tuple[Kind, bytes]]] = {}
        self.notes: list[str] = []
        for a in range(NODES):
            for b in range(a):
                self.connect(a, b)

    def connect(self, a: int, b: int) -> None:
        self.queues[a, b], self.queues[b, a] = deque(), deque()
        for one, other in ((a, b), (b, a)):
            self.do(one, self.nodes[one].established(other))

    def disconnect(self, a: int, b: int) -> None:
        self.queues.pop((a, b), None)
        self.queues.pop((b, a), None)
        self.do(a, self.nodes[a].ended(b))
        self.do(b, self.nodes[b].ended(a))

    def do(self, me: int, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Tell(node, kind, body):
                    if (me, node) in self.queues:
                        self.queues[me, node].append((kind, body))
                case AddNode(vmid, node):
                    assert vmid in self.running[me]
                    assert (vmid, node) not in self.members[me]
                    self.members[me].add((vmid, node))
                case DropNode(vmid, node):
                    self.members[me].discard((vmid, node))
                    self.directory[me] = {k: v for k, v in self.directory[me].items() if k[:2] != (node, vmid)}
                case CreateVm(_, vm):
                    self.start(me, vm)
                case LearnName(node, name):
                    assert (name.vmid, node) in self.members[me]
                    self.directory[me][node, name.vmid, name.endpoint] = name.name
                case LearnGone(node, vmid, endpoint):
                    self.directory[me].pop((node, vmid, endpoint), None)
                case ForgetNode(node):
                    self.directory[me] = {k: v for k, v in self.directory[me].items() if k[0] != node}
                case Connect(node):
                    assert (me, node) in self.queues
                case Note(_, text):
                    self.notes.append(text)

    def start(self, me: int, vm: VmEntry) -> None:
        if vm.vmid in self.running[me]:
            return
        self.running[me][vm.vmid] = vm
        self.do(me, self.nodes[me].vm_started(vm))

    def end(self, me: int, vmid: int) -> None:
        if self.running[me].pop(vmid, None) is None:
            return
        self.members[me] = {pair for pair in self.members[me] if pair[0] != vmid}
        self.names[me] = {key: name for key, name in self.names[me].items() if key[0] != vmid}
        self.directory[me] = {k: v for k, v in self.directory[me].items() if k[1] != vmid}
        self.do(me, self.nodes[me].vm_ended(vmid))

    def bind(self, me: int, name: NameEntry) -> None:
        if name.vmid in self.running[me]:
            self.names[me][name.vmid, name.endpoint] = name.name
            self.do(me, self.nodes[me].bound(name))

    def unbind(self, me: int, vmid: int, endpoint: int) -> None:
        if self.names[me].pop((vmid, endpoint), None) is not None:
            self.do(me, self.nodes[me].unbound(vmid, endpoint))

    def hear_one(self, link: tuple[int, int]) -> None:
        if self.queues.get(link):
            kind, body = self.queues[link].popleft()
            self.do(link[1], self.nodes[link[1]].heard(link[0], kind, body))

    def settle(self) -> None:
        for _ in range(10_000):
            busy = [link for link, queue in self.queues.items() if queue]
            if not busy:
                return
            self.hear_one(busy[0])
        pytest.fail("the nodes never stop talking")

    def check(self) -> None:
        for a, b in self.queues:
            spanning = {v for v, n in self.members[a] if n == b}
            assert spanning == {v for v, n in self.members[b] if n == a}, "one of two nodes thinks that they share a VM"
            for vmid in spanning:
                assert b in self.running[a][vmid].nodes
                assert a in self.running[b][vmid].nodes
                there = {(b, *key): name for key, name in self.names[b].items() if key[0] == vmid}
                assert there == {k: v for k, v in self.directory[a].items() if k[:2] == (b, vmid)}
            for vmid, vm in self.running[a].items():
                other = self.running[b].get(vmid)
                if other == vm and {a, b} <= set(vm.nodes):
                    assert vmid in spanning, "a VM that both run and mean to share is not shared"


def a_vm(vmid: int = 0, nodes: tuple[int, ...] = (0, 1, 2), name: str = "work") -> VmEntry:
    return VmEntry(vmid, name, 189, 67, 96, nodes)


def test_a_vm_meant_for_all_nodes_is_made_on_all_of_them() -> None:
    world = World()
    world.start(1, a_vm())
    world.settle()
    assert [set(running) for running in world.running] == [{0}] * NODES
    assert world.members[2] == {(0, 0), (0, 1)}
    world.check()


def test_a_vm_of_one_node_concerns_nobody() -> None:
    world = World()
    world.start(1, a_vm(nodes=(1,)))
    world.settle()
    assert not world.running[0]
    assert not world.members[1]


def test_a_node_that_was_restarted_gets_its_vms_back() -> None:
    world = World()
    world.start(0, a_vm())
    world.settle()
    world.disconnect(0, 2)
    world.disconnect(1, 2)
    world.nodes[2], world.running[2], world.members[2] = Membership(2), {}, set()
    world.directory[2], world.names[2] = {}, {}
    world.connect(0, 2)
    world.connect(1, 2)
    world.settle()
    assert set(world.running[2]) == {0}
    world.check()


def test_a_vm_that_somebody_ended_is_not_brought_back_by_the_others() -> None:
    world = World()
    world.start(0, a_vm())
    world.settle()
    world.end(2, 0)
    world.settle()
    assert not world.running[2]
    assert world.members[0] == {(0, 1)}
    world.check()


def test_a_number_that_two_nodes_gave_to_different_vms_is_told() -> None:
    world = World()
    world.disconnect(0, 1)
    world.start(0, a_vm(name="one", nodes=(0, 1)))
    world.start(1, a_vm(name="two", nodes=(0, 1)))
    world.connect(0, 1)
    world.settle()
    assert not world.members[0]
    assert any("'one'" in note and "'two'" in note for note in world.notes)


def test_names_are_known_where_the_vm_is_shared_and_gone_with_their_endpoint() -> None:
    world = World()
    world.start(0, a_vm(nodes=(0, 1)))
    world.settle()
    world.bind(0, NameEntry(0, 40, "files"))
    world.settle()
    assert world.directory[1] == {(0, 0, 40): "files"}
    assert world.directory[2] == {}
    world.unbind(0, 0, 40)
    world.settle()
    assert world.directory[1] == {}


def test_a_vm_that_is_started_anew_brings_no_old_names_back() -> None:
    world = World()
    world.start(0, a_vm(nodes=(0, 1)))
    world.settle()
    world.bind(1, NameEntry(0, 40, "files"))
    world.settle()
    world.end(1, 0)
    world.start(1, a_vm(nodes=(0, 1)))
    world.settle()
    assert world.directory[0] == {}
    world.check()


def test_what_makes_no_sense_is_noted_and_skipped() -> None:
    member = Membership(0)
    member.established(1)
    assert isinstance(member.heard(1, 99, b"")[0], Note)
    assert isinstance(member.heard(1, Kind.NAME, b"\xc1")[0], Note)
    assert member.heard(2, Kind.GONE, gossip.encode(gossip.Gone(0, 1))) == []  # no session with node 2


nodes_of_a_vm = st.sets(st.integers(0, NODES - 1), min_size=1).map(lambda found: tuple(sorted(found)))
links = st.sampled_from([(a, b) for a in range(NODES) for b in range(NODES) if a != b])
steps = st.one_of(
    st.tuples(st.just("start"), st.integers(0, NODES - 1), st.integers(0, 1), nodes_of_a_vm, st.sampled_from("xy")),
    st.tuples(st.just("end"), st.integers(0, NODES - 1), st.integers(0, 1)),
    st.tuples(st.just("bind"), st.integers(0, NODES - 1), st.integers(0, 1), st.integers(40, 43)),
    st.tuples(st.just("unbind"), st.integers(0, NODES - 1), st.integers(0, 1), st.integers(40, 43)),
    st.tuples(st.just("hear"), links),
    st.tuples(st.just("reconnect"), links),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=40))
def test_nodes_agree_whatever_happens_in_whatever_order(history: list[tuple]) -> None:  # type: ignore[type-arg]
    world = World()
    for step, *values in history:
        if step == "start":
            me, vmid, nodes, name = values
            world.start(me, a_vm(vmid, nodes, name))
        elif step == "end":
            world.end(*values)
        elif step == "bind":
            me, vmid, number = values
            world.bind(me, NameEntry(vmid, number + 10 * me, f"n{number}"))
        elif step == "unbind":
            me, vmid, number = values
            world.unbind(me, vmid, number + 10 * me)
        elif step == "hear":
            world.hear_one(values[0])
        else:
            world.disconnect(*values[0])
            world.connect(*values[0])
    world.settle()
    world.check()
