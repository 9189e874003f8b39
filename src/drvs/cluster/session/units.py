"""Units: what was given to a session in one call, with its number. They are kept whole until the peer has them."""

from collections import deque
from collections.abc import Iterator

from drvs.cluster.wire.frames import FrameError, Kind

Buffer = bytes | bytearray | memoryview

#: (number of its first record, how many records, kind of frame, tag, the bytes)
Unit = tuple[int, int, int, int, Buffer]


def gather(first: Unit, queue: deque[Unit], sent: deque[Unit], limit: int) -> tuple[Buffer, int]:
    """Move the units of records that fit into one frame with `first` from `queue` to `sent`.

    Returns:
        The frame's body, and how many records it has.
    """
    blobs, size, count = [first[4]], len(first[4]), first[1]
    while queue and queue[0][2] == Kind.RECORDS and size + len(queue[0][4]) <= limit:
        unit = queue.popleft()
        sent.append(unit)
        blobs.append(unit[4])
        size += len(unit[4])
        count += unit[1]
    return (b"".join(blobs) if len(blobs) > 1 else first[4]), count


def split_records(blob: Buffer, limit: int) -> Iterator[tuple[memoryview, int]]:
    """Cut a blob between records into parts of at most `limit` bytes, each with the number of its records.

    Raises:
        FrameError: Before the first part: a record is longer than that, or is none.
    """
    parts, view, size = [], memoryview(blob), len(blob)
    start = offset = count = 0
    while offset < size:
        length = int.from_bytes(view[offset : offset + 4], "little")
        if not 4 <= length <= min(limit, size - offset):
            raise FrameError(f"a record of {length} bytes at {offset} of {size}; the limit is {limit}")
        if offset + length - start > limit:
            parts.append((view[start:offset], count))
            start, count = offset, 0
        offset += length
        count += 1
    parts.append((view[start:], count))
    yield from parts
