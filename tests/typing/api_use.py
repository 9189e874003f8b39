"""Programs as users write them, checked by mypy --strict: what the public API promises about types."""

from typing import assert_type

import drvs


def connecting() -> None:
    """Management objects and ids."""
    with drvs.connect() as node:
        assert_type(node, drvs.Node)
        vm = node.create_vm("lab", nr_procs=40)
        assert_type(vm, drvs.VM)
        assert_type(node.vms(), list[drvs.VmInfo])
        assert_type(vm.processes(), list[drvs.ProcessInfo])
        assert_type(vm.lookup("fs", timeout=1.5), drvs.EndpointId)
        assert_type(vm.lclbind(1234, slot=40), drvs.EndpointId)
        assert_type(vm.audit(), list[str])


def calling(vm: drvs.VM) -> None:
    """Calls give messages; timeouts are float, None or 0."""
    with vm.bind(name="me") as me:
        assert_type(me, drvs.Endpoint)
        assert_type(me.id, drvs.EndpointId)
        assert_type(me.receive(), drvs.Message)
        assert_type(me.receive(drvs.ANY, timeout=0), drvs.Message)
        assert_type(me.receive_request(drvs.Message(), timeout=None), drvs.Message)
        request = me.sendrec(5, drvs.Message(7, m1_i1=1), timeout=0.5)
        assert_type(request, drvs.Message)
        assert_type(request.m1_i1, int)
        assert_type(request.m3_ca1, bytes)
        me.reply(request, request)
        me.reply(5, request, timeout=1)
        assert_type(me.reply_receive(request, request), drvs.Message)
        me.notify(5, 1)


def copying(me: drvs.Endpoint, data: bytearray) -> None:
    """A side of a copy is a block, a buffer, or (endpoint, address)."""
    with me.block(4096) as block:
        assert_type(block, drvs.Block)
        assert_type(me.copy(block, (5, 0x1000)), int)
        assert_type(me.copy((5, 0x1000), data, 10), int)
        me.copy(b"bytes", (5, 0x1000))
        me.copy(memoryview(data), block[0:10])


def failing(me: drvs.Endpoint) -> None:
    """Errors carry what they are about, and are the builtins they resemble."""
    try:
        me.send(5, drvs.Message())
    except drvs.PeerDied as error:
        assert_type(error.code, drvs.Code)
        assert_type(error.peer, int | None)
        broken: ConnectionError = error
        del broken


def misuse(me: drvs.Endpoint, vm: drvs.VM) -> None:
    """What must not pass: mypy reports an ignore that is not needed."""
    me.send("fs", drvs.Message())  # type: ignore[arg-type]
    me.send(5, b"bytes")  # type: ignore[arg-type]
    me.receive(timeout="1")  # type: ignore[arg-type]
    me.copy("text", (5, 0))  # type: ignore[arg-type]
    vm.bind(slot="10")  # type: ignore[arg-type]


def joining(node: drvs.Node, vm: drvs.VM) -> None:
    """Other nodes, and the proxies that lead there."""
    with node.bind_proxies("wire", 0, sender_pid=1234) as pair:
        assert_type(pair, drvs.ProxyPair)
        node.node_up("far", 1, pair.px)
        vm.add_node(1)
        pair.connect(node=1)
        command = pair.get_remote(timeout=1.5)
        assert_type(command, drvs.Command)
        assert_type(command.message, drvs.Message)
        pair.put_local(drvs.Command.from_record(command.answer(drvs.Code.DSTDIED).to_record()))
        assert_type(pair.sender.take(64), list[tuple[int, bytes]])
        assert_type(pair.receiver.put(b"", snode=1), list[tuple[int, int]])
        assert_type(pair.info(), drvs.PairInfo)
    assert_type(node.proxies(), list[drvs.PairInfo])
    assert_type(node.node_info(1), drvs.PeerInfo)
    assert_type(node.nodes(), list[drvs.PeerInfo])
