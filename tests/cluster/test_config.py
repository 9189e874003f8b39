"""The cluster file: what it may say, and that each mistake is told with its line and what to write there."""

from pathlib import Path

import pytest

from drvs.cluster import config
from drvs.cluster.transports.address import Address, parse

GOOD = """\
[cluster]
name = "physics"
credentials = "ca/node-{id}"
nats = "nats://one:4222, nats://two:4222"

[[node]]
id = 0
name = "alpha"
address = "tcp://alpha:7411"
listen = "tcp://0.0.0.0:7411"

[[node]]
id = 1
address = ["udp://[fd00::2]:7411", "nats://"]

[[node]]
id = 7
"""


def test_a_file_says_who_is_where(tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text(GOOD)
    found = config.load(file)
    assert (found.name, sorted(found.nodes), found.cluster.insecure) == ("physics", [0, 1, 7], False)
    assert found.cluster.nats_servers == ["nats://one:4222", "nats://two:4222"]
    assert found.entry(0).addresses == [Address("tcp", "alpha", 7411)]
    assert found.entry(0).listens == [Address("tcp", "0.0.0.0", 7411)]
    assert found.entry(1).name == "node1"
    assert [str(one) for one in found.entry(1).listens] == ["udp://[fd00::2]:7411", "nats://"]
    assert found.entry(7).addresses == [Address("nats")]
    assert found.credentials(7) == tmp_path / "ca/node-7"


def test_what_is_written_is_read_again() -> None:
    found = config.loads(GOOD)
    assert config.loads(config.dumps(found)) == found


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("[cluster]", "[cluster", 1, "TOML"),
        ('"physics"', "", 2, "TOML"),
        ('name = "physics"\n', "", 1, "[cluster] has no name"),
        ('"physics"', "3", 2, "name must be a string, not a number"),
        ('"physics"', '"a-name-of-16-byte"', 2, "1 to 15 bytes"),
        ("credentials", "insecure = true\ncredentials", 3, "contradict"),
        ("credentials", "crednetials", 3, "no 'crednetials' (it may have name"),
        ("nats://two", "http://two", 4, "no NATS server"),
        ("id = 1", "di = 1", 13, "it may have id, name"),
        ("id = 1", "", 12, "[[node]] has no id"),
        ("id = 1", 'id = "1"', 13, "id must be a number, not a string"),
        ("id = 1", "id = 0", 13, "taken by the node in line 7"),
        ("id = 1", "id = 4096", 13, "0 to 4095"),
        ("id = 7", 'id = 7\nname = "alpha"', 18, "taken by the node in line 8"),
        ("udp://[fd00::2]:7411", "tcp://alpha:7411", 14, "taken by the node in line 9"),
        ("udp://[fd00::2]:7411", "udp://fd00::2:7411", 14, "udp://alpha:7411"),
        ("udp://[fd00::2]:7411", "pigeon://roof", 14, "tcp://alpha:7411"),
        ("tcp://0.0.0.0:7411", "tcp://0.0.0.0:74110", 10, "tcp://alpha:7411"),
        ("[[node]]\nid = 7", "[[noed]]\nid = 7", 16, "the file has no 'noed'"),
    ],
)
def test_a_mistake_is_told_with_its_line(old: str, new: str, line: int, words: str) -> None:
    assert old in GOOD
    with pytest.raises(config.ClusterFileError) as told:
        config.loads(GOOD.replace(old, new, 1), "c.toml")
    assert (told.value.line, words in told.value.problem) == (line, True), str(told.value)
    assert str(told.value).startswith(f"c.toml:{line}: ")
    assert told.value.hint == f"Correct c.toml:{line}."


def test_nodes_without_an_address_need_a_server() -> None:
    without = GOOD.replace('nats = "nats://one:4222, nats://two:4222"\n', "")
    with pytest.raises(config.ClusterFileError, match=r':13: .* needs nats = "nats://HOST:4222"'):
        config.loads(without)
    with pytest.raises(config.ClusterFileError, match=r"node 7 has no address"):
        config.loads(without.replace(', "nats://"', ""))


@pytest.mark.parametrize("text", ["", "[cluster]\nname = 'x'", "node = 3", "[cluster]\nname = 'x'\nnode = [1]"])
def test_files_of_another_shape_are_refused(text: str) -> None:
    with pytest.raises(config.ClusterFileError):
        config.loads(text)


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(config.ClusterFileError, match=r"nowhere.*No such file"):
        config.load(tmp_path / "nowhere")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(config.ClusterFileError, match="UTF-8"):
        config.load(tmp_path / "bytes")


def test_a_node_that_is_not_in_the_file_is_named_with_those_that_are() -> None:
    with pytest.raises(config.ClusterFileError, match=r"id = 3 .*0, 1, 7"):
        config.loads(GOOD).entry(3)


@pytest.mark.parametrize("text", ["tcp://a:1", "udp://127.0.0.1:65535", "tcp://[::1]:7411", "tipc://7411:0", "nats://"])
def test_addresses_are_written_as_they_are_read(text: str) -> None:
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "tcp", "tcp://", "tcp://a", "tcp://a:65536", "tcp://:1", "tipc://63:1", "nats://a:1", "x://a:1"],
)
def test_other_texts_are_no_addresses(text: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        parse(text)
