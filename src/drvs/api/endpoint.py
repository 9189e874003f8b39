"""Endpoint: what a process (or a thread) sends, receives, calls and copies with.

The calls themselves are the core's and live in C (`drvs.core.Endpoint`); this class adds what belongs to the binding:
the VM it is bound in, its name, blocks and copies by them, and unbinding. An endpoint is used from one thread at a
time; a second thread that calls it meanwhile gets NotReady. Bind one for each thread instead
(``vm.bind(thread=True)``).
"""

from __future__ import annotations

import os
from numbers import Integral
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar

from drvs import core
from drvs.api.block import Block, shared_memory
from drvs.base import yama
from drvs.base.codes import Code
from drvs.base.errors import Busy, DrvsError, make_error
from drvs.base.ids import SELF, EndpointId

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from drvs.api.vm import VM

#: One side of a copy: a Block of the caller, or (endpoint, address) in another process.
Place = Block | tuple[int, int]


class Endpoint(core.Endpoint):
    """A bound endpoint of this process; made by `VM.bind` and `drvs.wait_for_bind`, never directly.

    As a context manager it unbinds at the end of the ``with`` statement. A forked child is not bound: there every call
    raises NotBound, and leaving the ``with`` statement does nothing to the parent's binding.

    Attributes:
        vm: the VM it is bound in.
        name: the name others can look it up by, empty if it has none.
    """

    vm: VM
    name: str
    _blocks: set[Block]
    _refusal: str | None = None
    _unbound: bool = False
    life: ClassVar[object] = object()  # another one after a fork or a restore
    _life: object = life

    @property
    def id(self) -> EndpointId:
        """The endpoint's number, for others to send to."""
        return EndpointId(self.endpoint)

    @property
    def bound(self) -> bool:
        """Tell whether this handle still belongs to this process: not unbound by it, not inherited by a fork, and not
        from before it was restored from an image."""
        return not (self._unbound or self.closed) and self._life is Endpoint.life and self.pid == os.getpid()

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        state = "" if self.bound else ", not bound here"
        return f"<Endpoint {self.endpoint}{name} in VM {self.vmid}{state}>"

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unbind()

    def unbind(self) -> None:
        """End the binding: the slot is free again, and everyone who waits on this endpoint is woken with PeerDied.

        A call that another thread is in ends with NotRunning. Blocks of this endpoint are released. A handle that is
        not bound any more (unbound before, inherited by a fork, its VM ended, its node gone) is only closed.

        Canonical: mnx_unbind (guide 4.1.9)
        """
        if self.bound:
            self.vm._unbind_own(self)
        self._unbound = True
        try:
            self.close()
        except Busy:
            pass  # a thread is just leaving its call: the handle goes with its last reference
        for block in list(self._blocks):
            block.release()

    def block(self, memory: int | Buffer) -> Block:
        """Offer memory for copies and hold it until the block is released or the endpoint unbound.

        Args:
            memory: a number of bytes, to allocate that much zeroed shared memory; or a buffer that exists already
                (bytearray, memoryview, numpy array, …). A read-only one can only be copied from.

        Raises:
            TypeError: neither a number nor a buffer.
            ValueError: no bytes, or bytes that do not lie in one piece.
        """
        block = Block(shared_memory(int(memory)) if isinstance(memory, int | Integral) else memory)
        block._on_release = self._blocks.discard
        self._blocks.add(block)
        return block

    def _copy(self, source: Place | Buffer, destination: Place | Buffer, nbytes: int | None) -> int:
        """Copy as `copy` does, whatever the arguments are: plain buffers are held meanwhile, mistakes are explained."""
        if type(source) is tuple:
            (src, src_address), room, src_held = source, _UNKNOWN, None
        else:
            src, src_held = SELF, _held(source, "source")
            src_address, room = src_held.address, src_held.length
        if type(destination) is tuple:
            (dst, dst_address), dst_held = destination, None
        else:
            dst, dst_held = SELF, _held(destination, "destination")
            dst_address = dst_held.address
            room = dst_held.length if dst_held.length < room else room
        if nbytes is None:
            if room == _UNKNOWN:
                raise TypeError("how many bytes? Give nbytes, since neither side is a block with a length")
            nbytes = room
        if not 0 <= nbytes <= room:
            raise make_error(
                Code.RANGE,
                "copy",
                endpoint=self.endpoint,
                vm=self.vmid,
                detail=f"{nbytes} bytes do not fit a block of {room}",
            )
        self.copy_raw(src, src_address, dst, dst_address, nbytes)
        del src_held, dst_held  # until here plain buffers were held in place
        return nbytes


_UNKNOWN = 2**63


def _held(place: Place | Buffer, role: str) -> Block:
    """Return the caller's side of a copy as a block that is held; a plain buffer becomes one for that long."""
    block = place if type(place) is Block else _borrowed(place, role)
    if not block.held:
        raise ValueError(f"the {role} of the copy is a Block that was released")
    if block.readonly and role == "destination":
        raise TypeError("the destination of a copy is read-only memory: use a writable buffer (bytearray, not bytes)")
    return block


def _borrowed(place: Place | Buffer, role: str) -> Block:
    if isinstance(place, Block):
        return place
    try:
        return Block(place)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(
            f"the {role} of a copy is a Block, a buffer or (endpoint, address), not {type(place).__name__}"
        ) from None


def call_error(code: int, operation: str, handle: core.Endpoint, peer: int | None = None) -> DrvsError:
    """Return the exception for a code that a call on `handle` ended with."""
    vm: VM | None = getattr(handle, "vm", None)
    return make_error(
        code,
        operation,
        endpoint=handle.endpoint,
        peer=peer,
        vm=handle.vmid,
        vm_name=vm.name if vm else None,
        node=vm.node.id if vm else None,
    )


def _error(code: int, operation: str, endpoint: int, peer: int | None, handle: core.Endpoint) -> DrvsError:
    """The core's way to an exception."""
    error = call_error(code, operation, handle, peer)
    refusal = getattr(handle, "_refusal", None)
    if refusal is not None and operation == "copy" and code == Code.PERM:
        error.detail, handle._refusal = refusal, None  # type: ignore[attr-defined]
        error.hint = yama.remedy(least=1) or error.hint
    return error


def _copy_by_noded(
    handle: core.Endpoint, src_slot: int, src_pid: int, src: int, dst_slot: int, dst_pid: int, dst: int, nbytes: int
) -> int:
    """Let noded make a copy that Linux refused to this process; if it cannot either, its reason goes into the error."""
    vm: VM | None = getattr(handle, "vm", None)
    if vm is None:
        return Code.PERM
    reply = vm.node.client.call(
        "copy",
        check=False,
        vmid=int(vm.id),
        src_slot=src_slot,
        src_address=src,
        dst_slot=dst_slot,
        dst_address=dst,
        bytes=nbytes,
    )
    handle._refusal = reply.error  # type: ignore[attr-defined]
    return reply.code


core.set_error_factory(_error)
core.set_copy_fallback(_copy_by_noded)
