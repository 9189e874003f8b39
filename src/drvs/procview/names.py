"""Names of directories: each VM and node under its own, whatever that is, and never outside the tree.

noded refuses names that could not stand in a path, but names of other nodes come over the network, and a VM and a node
may be called alike.
"""

from __future__ import annotations


def unique_name(name: str, number: str, taken: set[str]) -> str:
    """Return the name of a directory, and add it to `taken`.

    Args:
        name: what it shows is called so; used as it is where that can be.
        number: its kind and number ("VM3"): stands in for a name that cannot be, and tells two of one name apart.
        taken: names in this directory.
    """
    chosen = name if is_safe(name) else number
    while chosen in taken:
        chosen += f"~{number}"
    taken.add(chosen)
    return chosen


def is_safe(name: str) -> bool:
    """Say whether a name can be a directory's: one printable part of a path, and neither . nor .. ."""
    return bool(name) and name.isprintable() and "/" not in name and name not in (".", "..")
