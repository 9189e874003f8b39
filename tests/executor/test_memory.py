"""Memory for what arrives in a worker: used again, but never while somebody still has it."""

from __future__ import annotations

from drvs.executor.memory import HUGE_BYTES, SHELF_BYTES, Shelf


def address_of(view: memoryview) -> int:
    from drvs.core import span_of

    return span_of(view)[0]


def test_memory_that_nobody_uses_any_more_is_used_again() -> None:
    shelf = Shelf()
    first = address_of(shelf.fresh(HUGE_BYTES))
    assert address_of(shelf.fresh(HUGE_BYTES)) == first


def test_memory_that_somebody_uses_is_left_alone() -> None:
    shelf = Shelf()
    held = shelf.fresh(HUGE_BYTES)[5:6]
    held[:] = b"x"
    other = shelf.fresh(HUGE_BYTES)
    other[:] = bytes(HUGE_BYTES)
    assert bytes(held) == b"x"
    address = address_of(held) - 5
    del held
    third = shelf.fresh(HUGE_BYTES)
    assert address_of(third) == address != address_of(other)


def test_less_fits_into_more_and_has_its_own_length() -> None:
    shelf = Shelf()
    address = address_of(shelf.fresh(3 * HUGE_BYTES))
    less = shelf.fresh(HUGE_BYTES + 1)
    assert (address_of(less), less.nbytes) == (address, HUGE_BYTES + 1)


def test_a_worker_keeps_only_so_much() -> None:
    shelf = Shelf()
    held = [shelf.fresh(SHELF_BYTES // 2) for _ in range(5)]
    assert len({address_of(one) for one in held}) == 5
    assert sum(map(len, shelf._mappings)) <= SHELF_BYTES
    assert shelf.fresh(SHELF_BYTES + 1).nbytes == SHELF_BYTES + 1
    assert shelf.fresh(10).nbytes == 10
