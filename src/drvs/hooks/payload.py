"""What a restorer tells a copy: msgpack of {"argv": [...], "environ": {...}, "pid_kept": bool}.

Read here without a library, because every copy does it before its first step; written by
`drvs.procspace.image.mailbox.payload`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Told = tuple[list[str] | None, dict[str, str] | None, bool]


def decode(data: bytes) -> Told:
    """Return arguments, environment (None: none given) and whether the pid was kept."""
    found, _ = _value(data, 0)
    if not isinstance(found, dict):
        raise ValueError("what the restorer tells is no map")
    return found.get("argv"), found.get("environ"), bool(found.get("pid_kept"))


def _value(data: bytes, at: int) -> tuple[Any, int]:
    kind = data[at]
    if kind in _CONSTANTS:
        return _CONSTANTS[kind], at + 1
    for first, last, build in _SHORT:
        if first <= kind <= last:
            return build(data, at + 1, kind - first)
    width, build = _LONG[kind]
    return build(data, at + 1 + width, int.from_bytes(data[at + 1 : at + 1 + width], "big"))


def _text(data: bytes, at: int, nbytes: int) -> tuple[str, int]:
    return data[at : at + nbytes].decode(errors="surrogateescape"), at + nbytes


def _list(data: bytes, at: int, count: int) -> tuple[list[Any], int]:
    items = []
    for _ in range(count):
        item, at = _value(data, at)
        items.append(item)
    return items, at


def _map(data: bytes, at: int, count: int) -> tuple[dict[Any, Any], int]:
    items, at = _list(data, at, 2 * count)
    return dict(zip(items[::2], items[1::2], strict=True)), at


_Build = Callable[[bytes, int, int], tuple[Any, int]]
_CONSTANTS: dict[int, bool | None] = {0xC0: None, 0xC2: False, 0xC3: True}
_SHORT: list[tuple[int, int, _Build]] = [(0x80, 0x8F, _map), (0x90, 0x9F, _list), (0xA0, 0xBF, _text)]
_LONG: dict[int, tuple[int, _Build]] = {
    0xC4: (1, _text), 0xC5: (2, _text), 0xC6: (4, _text),
    0xD9: (1, _text), 0xDA: (2, _text), 0xDB: (4, _text),
    0xDC: (2, _list), 0xDD: (4, _list), 0xDE: (2, _map), 0xDF: (4, _map),
}  # fmt: skip
