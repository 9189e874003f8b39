"""The reader trusts nothing: whatever the bytes, it gives the image or BadImage."""

import io
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drvs.procspace.image import BadImage, verify
from drvs.procspace.image.format import Kind, Reader, Writer
from support import images


def verified(data: bytes) -> bool:
    """Verify bytes as a file; False if they are refused."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        try:
            verify(file.fileno())
        except BadImage:
            return False
        return True


class Sample(bytes):
    """The bytes of an image, which failures do not quote."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes of image>"


@pytest.fixture(scope="module")
def sample(programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    """The image of a small program."""
    with images.Program([programs["registers"]]) as program:
        program.line()
        yield Sample(images.dumped(program.pid, tmp_path_factory.mktemp("images") / "image").read_bytes())


def test_the_sample_is_sound(sample: Sample) -> None:
    assert verified(sample)


def test_every_truncation_of_the_beginning_and_some_others_are_refused(sample: Sample) -> None:
    chosen = random.Random(1)
    for length in [*range(64), *chosen.sample(range(64, len(sample)), 60), len(sample) - 1]:
        assert not verified(sample[:length])


def test_anything_behind_the_end_is_refused(sample: Sample) -> None:
    assert not verified(sample + b"\0")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_changed_bytes_are_refused(sample: Sample, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(sample) - 1))
    change = data.draw(st.integers(1, 255))
    assert not verified(sample[:at] + bytes([sample[at] ^ change]) + sample[at + 1 :])


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    assert not verified(data)
    assert not verified(b"DRVSIMG\n\x01\x00\x3e\x00\x00\x10\x00\x00" + data)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_descriptions_that_lie_with_a_right_checksum_are_refused_or_make_sense(
    sample: Sample, data: st.DataObject
) -> None:
    """Who can compute a CRC can write anything: the reader must still end in BadImage or a checked description."""
    with tempfile.TemporaryFile() as file:
        file.write(sample)
        file.flush()
        os.lseek(file.fileno(), 16, os.SEEK_SET)
        _, _, payload = Reader(file.fileno()).record()
    changed = bytearray(payload)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryFile() as file:
        writer = Writer(file.fileno())
        writer.header()
        writer.record(Kind.META, 0, bytes(changed))
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        reader = Reader(file.fileno())
        reader.header()
        try:
            meta = reader.meta()
        except BadImage:
            return
    assert meta.regions == sorted(meta.regions, key=lambda region: region.start)


def test_other_versions_and_machines_are_named(sample: Sample) -> None:
    for at, value, words in ((8, 9, "format 9"), (10, 183, "aarch64"), (0, 0, "no process image")):
        changed = bytearray(sample)
        changed[at] = value
        with tempfile.TemporaryFile() as file:
            file.write(changed)
            file.flush()
            os.lseek(file.fileno(), 0, os.SEEK_SET)
            with pytest.raises(BadImage, match=words):
                verify(file.fileno())


def test_a_claim_of_huge_length_allocates_nothing() -> None:
    head = b"DRVSIMG\n\x01\x00\x3e\x00\x00\x10\x00\x00"
    record = (1).to_bytes(4, "little") + bytes(12) + (2**63).to_bytes(8, "little")
    assert not verified(io.BytesIO(head + record).getvalue())
