"""Blocks hold their memory, and are what copies take."""

import array
import gc
import os

import numpy as np
import pytest

import drvs
from drvs.api.block import shared_memory


@pytest.mark.parametrize(
    "buffer",
    [
        bytearray(b"12345678"),
        memoryview(bytearray(8)),
        array.array("d", [1.0]),
        np.zeros(8, "uint8"),
        np.zeros((2, 2), "int16"),
    ],
    ids=["bytearray", "memoryview", "array", "numpy", "matrix"],
)
def test_anything_with_the_buffer_protocol_is_a_block(buffer):
    with drvs.Block(buffer) as block:
        assert block.length == len(block) == 8
        assert block.address
        assert not block.readonly
        assert bytes(block.view) == bytes(memoryview(buffer))


def test_the_address_is_where_the_bytes_are():
    matrix = np.arange(6, dtype="float64")
    assert drvs.Block(matrix).address == matrix.ctypes.data


def test_a_structured_array_is_a_block():
    records = np.zeros(3, dtype=[("id", "i4"), ("at", "f8")])
    assert drvs.Block(records).length == records.nbytes


def test_a_read_only_buffer_is_a_read_only_block():
    assert drvs.Block(b"constant").readonly


def test_an_empty_buffer_is_a_block():
    assert drvs.Block(b"").length == 0


def test_bytes_that_do_not_lie_in_one_piece_are_refused_with_a_way_out():
    with pytest.raises(ValueError, match="ascontiguousarray"):
        drvs.Block(np.zeros((4, 4))[:, 1])


def test_what_has_no_buffer_is_refused():
    with pytest.raises(TypeError):
        drvs.Block("text")


def test_a_block_keeps_its_buffer_from_being_resized_until_it_is_released():
    buffer = bytearray(8)
    block = drvs.Block(buffer)
    with pytest.raises(BufferError):
        buffer.append(1)
    block.release()
    buffer.append(1)
    assert block.released
    with pytest.raises(ValueError, match="released"):
        _ = block.view


def test_releasing_twice_is_harmless():
    block = drvs.Block(bytearray(8))
    block.release()
    block.release()


def test_a_part_of_a_block_is_a_block_over_the_same_memory():
    buffer = bytearray(range(16))
    block = drvs.Block(buffer)
    part = block[4:8]
    assert (part.address, part.length) == (block.address + 4, 4)
    assert bytes(part.view) == bytes(buffer[4:8])
    block.release()
    with pytest.raises(BufferError):
        buffer.append(1)  # the part holds it still
    part.release()
    buffer.append(1)


def test_a_part_with_a_step_is_refused():
    with pytest.raises(ValueError, match="step of 1"):
        drvs.Block(bytearray(8))[::2]


def test_an_array_over_a_block_outlives_its_release():
    block = drvs.Block(bytearray(16))
    numbers = block.array("float64")
    numbers[:] = [1.5, 2.5]
    block.release()
    assert list(numbers) == [1.5, 2.5]


def test_shared_memory_is_allocated_in_full_and_cannot_shrink():
    with drvs.Block(shared_memory(10_000)) as block:
        assert block.length == 10_000
        assert not block.readonly
        block.view[9_999] = 7


def test_shared_memory_of_no_bytes_is_refused():
    with pytest.raises(ValueError, match="at least 1 byte"):
        shared_memory(0)


def test_an_endpoints_blocks_are_held_until_it_is_unbound(bind):
    endpoint = bind()
    address = endpoint.block(4096).address
    gc.collect()
    assert [block.address for block in endpoint._blocks] == [address]
    endpoint.unbind()
    assert not endpoint._blocks


def test_a_released_block_is_no_longer_held_by_its_endpoint(bind):
    with bind() as endpoint:
        with endpoint.block(bytearray(10)):
            assert len(endpoint._blocks) == 1
        assert not endpoint._blocks


def test_blocks_leave_no_descriptor_behind(bind):
    before = len(os.listdir("/proc/self/fd"))
    with bind() as endpoint:
        for _ in range(20):
            endpoint.block(4096).release()
    assert len(os.listdir("/proc/self/fd")) == before
