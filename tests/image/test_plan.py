"""The area of a restore: where it is put, and that what is put in it stands where its address says."""

import resource
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drvs.procspace import image
from drvs.procspace.image import plan_process
from drvs.procspace.image.area import Area, find_base, pack
from drvs.procspace.image.machine import HIGHEST, PAGE, PROGRAM_AT
from support import images

starts = st.lists(st.integers(16, HIGHEST // PAGE - 1), min_size=0, max_size=40, unique=True)


@settings(max_examples=200, deadline=None)
@given(starts, st.integers(1, 1 << 20))
def test_the_area_is_put_far_from_everything_else(pages: list[int], size: int) -> None:
    pages.sort()
    taken = [
        (page * PAGE, min(page + size, following) * PAGE)
        for page, following in zip(pages, [*pages[1:], HIGHEST // PAGE], strict=False)
    ]
    base = find_base(taken)
    room = 1 << 36
    assert base % PAGE == 0
    assert PROGRAM_AT + room // 64 < base < HIGHEST - room
    assert not [1 for start, end in taken if start < base + room and base - room < end]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=300), st.sampled_from([1, 8, 64]))), st.integers(1, 9))
def test_what_is_put_stands_at_its_address(parts: list[tuple[bytes, int]], stacks: int) -> None:
    base = 1 << 44
    area = Area(base, stacks)
    low, high = zip(*((start, start + nbytes) for start, nbytes in (area.stack() for _ in range(stacks))), strict=True)
    placed = [(area.put(data, align), data, align) for data, align in parts]
    expected_end = area.end_with(2)
    ops = area.ops([(1, 2), (3, -1)])
    content = area.content(ops, max(high))
    nbytes, first, data_at = (struct.unpack_from("<Q", content, at)[0] for at in (16, 80, 88))
    code_end = PAGE + first
    assert base + nbytes == expected_end
    assert min(low) == base + code_end
    assert max(high) == base + data_at
    for address, data, align in placed:
        at = address - base - data_at + code_end
        assert address % align == 0
        assert content[at : at + len(data)] == data


def test_negative_numbers_and_missing_arguments_are_packed() -> None:
    assert pack([(1, -1)]) == struct.pack("<8Q", 1, 2**64 - 1, 0, 0, 0, 0, 0, 0)


def test_too_low_a_limit_on_descriptors_is_named(counter: images.Program, tmp_path: Path) -> None:
    with images.dumped(counter.pid, tmp_path / "image").open("rb") as stream:
        meta = image.read_meta(stream.fileno())
    with pytest.raises(image.ImageError, match="needs 1073741825 descriptors"):
        plan_process.raised_limits(Area(1 << 44, 1), meta, 1 << 30)


@pytest.mark.root
def test_the_limits_of_the_image_come_back(counter: images.Program, tmp_path: Path) -> None:
    resource.prlimit(counter.pid, resource.RLIMIT_NOFILE, (77, 99))
    with images.Restored(images.dumped(counter.pid, tmp_path / "image")) as restored:
        assert resource.prlimit(restored.real_pid, resource.RLIMIT_NOFILE) == (77, 99)
        assert restored.ask() == "1"
