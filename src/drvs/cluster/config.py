"""The cluster file: which nodes there are and where each is reached. TOML, one file for all of them.

    [cluster]
    name = "physics"              # at most 15 bytes; nodes of another cluster are refused
    insecure = false              # true: no authentication, no encryption
    credentials = "ca/node-{id}"  # what `drvs ca` made for a node; relative to this file; {id} or {name} stands for it
    nats = "nats://broker:4222"   # the servers for addresses nats://, separated by commas

    [[node]]
    id = 0                        # what `drvs up --node` says there
    name = "alpha"                # default: node0
    address = "tcp://alpha:7411"  # where the others reach it, or a list; default, if there is a NATS server: nats://
    listen = "tcp://0.0.0.0:7411" # where it waits for them; default: its address

Every error names the file, the line, and what to write there.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from drvs.base import limits
from drvs.cluster.transports.address import Address, parse

_NATS = re.compile(r"(nats|tls|ws|wss)://[^\s,]+")


class ClusterFileError(ValueError):
    """A cluster file that cannot be used: correct the line that it names.

    Attributes:
        file, line: where; line 0 if it is about the whole file.
        hint: the next step.
    """

    def __init__(self, file: str, line: int, problem: str) -> None:
        self.file = file
        self.line = line
        self.problem = problem
        where = f"{file}:{line}" if line else file
        self.hint = f"Correct {where}." if line else f"Write or name a cluster file that can be read instead of {file}."
        super().__init__(f"{where}: {problem}")


class NodeEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One `[[node]]` of the file."""

    id: int
    name: str = ""
    address: str | tuple[str, ...] = ()
    listen: str | tuple[str, ...] = ()

    @property
    def addresses(self) -> list[Address]:
        """Where the others reach it, the best one first."""
        return [parse(text) for text in texts(self.address)] or [Address("nats")]

    @property
    def listens(self) -> list[Address]:
        """Where it waits for the others itself."""
        return [parse(text) for text in texts(self.listen)] or self.addresses


def texts(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return what is one string or several as several."""
    return (value,) if isinstance(value, str) else value


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The `[cluster]` of the file."""

    name: str
    insecure: bool = False
    credentials: str = ""
    nats: str = ""

    @property
    def nats_servers(self) -> list[str]:
        """The NATS servers, one URL each."""
        return [word.strip() for word in self.nats.split(",") if word.strip()]


class Cluster(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A cluster file that was read and found sound."""

    cluster: Settings
    node: tuple[NodeEntry, ...]
    file: str = ""

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.cluster.name

    @property
    def nodes(self) -> dict[int, NodeEntry]:
        """Its nodes by id."""
        return {entry.id: entry for entry in self.node}

    def entry(self, node: int) -> NodeEntry:
        """Return a node's entry.

        Raises:
            ClusterFileError: the file has none for it.
        """
        if node not in self.nodes:
            known = ", ".join(str(number) for number in sorted(self.nodes))
            raise ClusterFileError(self.file, 0, f"there is no [[node]] with id = {node} (there are {known})")
        return self.nodes[node]

    def credentials(self, node: int) -> Path | None:
        """Return the folder with a node's certificates, an absolute path; None if the file names none."""
        text = self.cluster.credentials
        if not text:
            return None
        name = text.replace("{id}", str(node)).replace("{name}", self.entry(node).name)
        return Path(self.file).absolute().parent / name


def load(file: str | os.PathLike[str]) -> Cluster:
    """Read a cluster file.

    Raises:
        ClusterFileError: it cannot be read, or something in it is wrong; the text names the line.
    """
    name = os.fspath(file)
    try:
        text = Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ClusterFileError(name, 0, f"the cluster file cannot be read: {reason}") from None
    return loads(text, name)


def loads(text: str, file: str = "cluster.toml") -> Cluster:
    """Read a cluster file's text; `file` is what errors call it.

    Raises:
        ClusterFileError: something in it is wrong.
    """
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(file, text, str(error)) from None
    for entry in found.get("node", ()) if isinstance(found.get("node"), list) else ():
        if isinstance(entry, dict) and "id" in entry:
            entry.setdefault("name", f"node{entry['id']}")
    try:
        cluster = msgspec.convert({**found, "file": file}, Cluster)
    except msgspec.ValidationError as error:
        raise _shape_error(file, text, str(error)) from None
    _Check(cluster, text).all()
    return cluster


def dumps(cluster: Cluster) -> str:
    """Return the text of a cluster file: `loads` gives back the same."""
    lines = ["[cluster]", *_assignments(cluster.cluster)]
    for entry in cluster.node:
        lines += ["", "[[node]]", *_assignments(entry)]
    return "\n".join(lines) + "\n"


def _assignments(what: msgspec.Struct) -> list[str]:
    values = msgspec.structs.asdict(what)
    return [
        f"{key} = {_literal(value)}" for key, value in values.items() if value not in ("", ()) and value is not False
    ]


def _literal(value: object) -> str:
    """A number, a truth value or a string, as JSON writes them, is TOML."""
    return msgspec.json.encode(value).decode()


# ---- what TOML and the types do not see --------------------------------------------------------------------------


class _Check:
    """Looks at what was read, and names the line of what is wrong."""

    def __init__(self, cluster: Cluster, text: str) -> None:
        self.cluster = cluster
        self.text = text

    def all(self) -> None:
        """Raise ClusterFileError at the first thing that is wrong."""
        self._settings(self.cluster.cluster)
        if not self.cluster.node:
            raise ClusterFileError(self.cluster.file, 0, "it has no [[node]]: write one for each machine")
        for index, entry in enumerate(self.cluster.node):
            self._entry(index, entry)
        for key in ("id", "name", "address"):
            self._unique(key)

    def _settings(self, settings: Settings) -> None:
        self._name("cluster", None, settings.name)
        if settings.insecure and settings.credentials:
            self._fail("cluster", None, "insecure", "insecure = true and credentials contradict each other: drop one")
        for server in settings.nats_servers:
            if not _NATS.fullmatch(server):
                self._fail("cluster", None, "nats", f"{server!r} is no NATS server: write nats://HOST:4222")

    def _entry(self, index: int, entry: NodeEntry) -> None:
        if not 0 <= entry.id < limits.MAX_NODES:
            self._fail("node", index, "id", f"id is {entry.id}: a node id is from 0 to {limits.MAX_NODES - 1}")
        self._name("node", index, entry.name)
        for key in ("address", "listen"):
            for text in texts(getattr(entry, key)):
                self._address(index, key, text)
        if not entry.address and not self.cluster.cluster.nats:
            self._fail("node", index, "id", f'node {entry.id} has no address: write address = "tcp://HOST:7411"')

    def _name(self, table: str, index: int | None, name: str) -> None:
        if not name or len(name.encode()) > limits.NAME_BYTES:
            self._fail(table, index, "name", f"name is {name!r}: a name has 1 to {limits.NAME_BYTES} bytes")

    def _address(self, index: int, key: str, text: str) -> None:
        try:
            found = parse(text)
        except ValueError as error:
            self._fail("node", index, key, f"{key} = {error}")
        if found.port == 0 and found.scheme in ("tcp", "udp"):
            self._fail("node", index, key, f"{key} is {text!r}: the others have to know its port")
        if found.scheme == "nats" and not self.cluster.cluster.nats:
            self._fail("node", index, key, f'{key} = "nats://" needs nats = "nats://HOST:4222" in [cluster]')

    def _unique(self, key: str) -> None:
        seen: dict[Any, int] = {}
        for index, entry in enumerate(self.cluster.node):
            found = getattr(entry, key)
            for value in texts(found) if key == "address" else (found,):
                if seen.setdefault(value, index) != index and value != "nats://":
                    first = _line(self.text, "node", seen[value], key) or _line(self.text, "node", seen[value], None)
                    self._fail("node", index, key, f"{key} {value!r} is taken by the node in line {first}")

    def _fail(self, table: str, index: int | None, key: str, problem: str) -> NoReturn:
        line = _line(self.text, table, index, key) or _line(self.text, table, index, None)
        raise ClusterFileError(self.cluster.file, line, problem)


# ---- lines -------------------------------------------------------------------------------------------------------


def _line(text: str, table: str, index: int | None, key: str | None) -> int:
    """The line of a key in `[table]`, or in the `index`th `[[table]]`; without key, of the table itself; 0: none."""
    headers = 0
    inside = not table  # "": before the first one
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[+\s*([\w.-]+)\s*\]+", line):
            wanted = header[1] == table
            inside = wanted and (index is None or headers == index)
            headers += wanted
            if inside and key is None:
                return number
        elif inside and key is not None and re.match(rf"""\s*["']?{re.escape(key)}["']?\s*=""", line):
            return number
    return 0


def _syntax_error(file: str, text: str, message: str) -> ClusterFileError:
    where = re.search(r"\(at line (\d+), column \d+\)", message)
    line = int(where[1]) if where else max(1, len(text.splitlines()))
    return ClusterFileError(file, line, f"this is not TOML: {re.sub(r' *[(]at .*', '', message)}")


_PATH = re.compile(r" - at `\$(?:\.(?P<table>\w+))?(?:\[(?P<index>\d+|\.\.\.)\])?(?:\.(?P<key>\w+))?.*`$")


def _shape_error(file: str, text: str, message: str) -> ClusterFileError:
    where = _PATH.search(message)
    problem = message[: where.start()] if where else message
    named = re.search(r"(?:unknown|required) field `(\w+)`", message)
    table, index, key = (where["table"], where["index"], where["key"]) if where else (None, None, None)
    number = int(index) if index and index.isdigit() else None
    key = key or (named[1] if named and "unknown" in problem else None)
    line = (_line(text, table, number, key) or _line(text, table, number, None)) if table else 0
    if not line and (table or named):
        line = _line(text, table or (named[1] if named else ""), None, None) or _line(text, "", None, table)
    return ClusterFileError(file, line, _readable(problem, table, key))


def _readable(problem: str, table: str | None, key: str | None) -> str:
    """What msgspec says of objects and fields, in the words of a TOML file."""
    place = f"[[{table}]]" if table == "node" else f"[{table}]" if table else "the file"
    if missing := re.search(r"missing required field `(\w+)`", problem):
        what = f"[[{missing[1]}]]" if missing[1] == "node" else f"[{missing[1]}]" if not table else missing[1]
        return f"{place} has no {what}"
    if unknown := re.search(r"unknown field `(\w+)`", problem):
        fields = {"node": NodeEntry, "cluster": Settings}.get(table or "")
        known = ", ".join(fields.__struct_fields__ if fields else ("[cluster]", "[[node]]"))
        return f"{place} has no {unknown[1]!r} (it may have {known})"
    if wrong := re.search(r"Expected `(\w+)`, got `(\w+)`", problem):
        words = {"int": "a number", "str": "a string", "bool": "true or false", "object": "a table", "array": "a list"}
        return f"{key or place} must be {words.get(wrong[1], wrong[1])}, not {words.get(wrong[2], wrong[2])}"
    return problem
