"""Certificates: made once, private, and refused with file and reason when they are not what they should be."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drvs.cluster.ca.authority import Authority
from drvs.cluster.ca.credentials import NodeCredentials
from drvs.cluster.ca.files import CredentialsError
from support.certificates import authority, issue
from support.nodes import drvs

NOWHERE = "/nonexistent/drvs-without-a-node"
DAY = 86400


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `drvs ca …`."""
    return drvs("ca", *map(str, arguments), runtime_dir=NOWHERE)


def test_an_authority_issues_and_shows(tmp_path: Path) -> None:
    home = tmp_path / "authority"
    assert run("init", home, "--cluster", "lab").returncode == 0
    assert run("issue", 3, "--ca", home, "--name", "left").returncode == 0
    assert run("issue", 12, "--ca", home).returncode == 0
    shown = run("show", home)
    assert shown.returncode == 0, shown.stderr
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert ["lab", "authority"] in [line[:2] for line in lines]
    assert ["lab", "3", "left"] in [line[:3] for line in lines]
    assert ["lab", "12", "node12"] in [line[:3] for line in lines]
    credentials = NodeCredentials(home / "node-3", time.time(), node=3)
    assert (credentials.own.cluster, credentials.own.node, credentials.own.name) == ("lab", 3, "left")


def test_show_as_json_names_what_is_wrong(tmp_path: Path) -> None:
    folder = issue(4, days=10, ago=20)
    done = run("show", folder, "--json")
    assert done.returncode == 1
    problems = {row["kind"]: row["problem"] for row in json.loads(done.stdout)}
    assert problems["authority"] is None
    assert "it expired on" in problems["node"]


def test_keys_are_private_and_so_is_their_folder(tmp_path: Path) -> None:
    made = Authority.create(tmp_path / "ca", "lab")
    folder = made.issue(1, "one")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "ca", folder, *folder.iterdir())}
    assert modes == {"ca": 0o700, "node-1": 0o700, "node.key": 0o600, "node.crt": 0o644, "ca.crt": 0o644}
    assert (tmp_path / "ca" / "ca.key").stat().st_mode & 0o777 == 0o600


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    home = tmp_path / "ca"
    assert run("init", home, "--cluster", "lab").returncode == 0
    key = (home / "ca.key").read_bytes()
    again = run("init", home, "--cluster", "lab")
    assert again.returncode == 1
    assert f"{home}/ca.crt: exists already" in again.stderr
    assert (home / "ca.key").read_bytes() == key
    assert run("issue", 1, "--ca", home).returncode == 0
    again = run("issue", 1, "--ca", home)
    assert again.returncode == 1
    assert f"{home}/node-1/node.crt: exists already" in again.stderr
    assert "next:" in again.stderr


def test_issuing_without_an_authority_says_how_to_make_one(tmp_path: Path) -> None:
    done = run("issue", 1, "--ca", tmp_path)
    assert done.returncode == 1
    assert f"{tmp_path}/ca.crt: No such file" in done.stderr
    assert "drvs ca init" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("init", "x", "--cluster", "no slash/es"), "no name for a cluster"),
        (("init", "x", "--cluster", ""), "no name for a cluster"),
        (("issue", "4096", "--ca", "x"), "4095"),
    ],
)
def test_names_and_numbers_that_nobody_can_have_are_refused(arguments: tuple[str, ...], reason: str) -> None:
    done = run(*arguments)
    assert done.returncode in (1, 2)
    assert reason in done.stderr


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 15"):
        issue(1, "a-name-of-sixteen")


def spoilt(what: str) -> Path:
    """Return a node's folder with one thing wrong."""
    folder = issue(5)
    match what:
        case "readable key":
            os.chmod(folder / "node.key", 0o640)
        case "another key":
            (folder / "node.key").write_bytes((issue(5) / "node.key").read_bytes())
        case "garbage":
            (folder / "node.crt").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        case "no key":
            (folder / "node.key").write_text("not a key")
        case "missing":
            (folder / "ca.crt").unlink()
        case "foreign":
            (folder / "ca.crt").write_bytes((issue(5, of=authority("lab", 7)) / "ca.crt").read_bytes())
        case "swapped":
            (folder / "ca.crt").write_bytes((folder / "node.crt").read_bytes())
    return folder


@pytest.mark.parametrize(
    ("what", "file", "reason"),
    [
        ("readable key", "node.key", "others can read"),
        ("another key", "node.key", "not the key of"),
        ("garbage", "node.crt", "no certificate"),
        ("no key", "node.key", "no private key"),
        ("missing", "ca.crt", "No such file"),
        ("foreign", "node.crt", "not issued by this cluster's authority"),
    ],
)
def test_files_that_do_not_fit_are_named(what: str, file: str, reason: str) -> None:
    folder = spoilt(what)
    with pytest.raises(CredentialsError, match=reason) as caught:
        NodeCredentials(folder, time.time())
    assert str(caught.value).startswith(f"{folder}/{file}: ")


def test_a_nodes_certificate_is_no_authority() -> None:
    with pytest.raises(CredentialsError):
        NodeCredentials(spoilt("swapped"), time.time())


def test_a_node_does_not_start_with_another_nodes_certificate() -> None:
    with pytest.raises(CredentialsError, match="it is for node 5, and this is node 6"):
        NodeCredentials(issue(5), time.time(), node=6)


def test_certificates_are_good_from_a_little_before_until_they_expire() -> None:
    folder = issue(6, days=10)
    NodeCredentials(folder, time.time() - 1800)  # clocks differ
    with pytest.raises(CredentialsError, match="not valid before"):
        NodeCredentials(folder, time.time() - 2 * DAY)
    with pytest.raises(CredentialsError, match="it expired on"):
        NodeCredentials(folder, time.time() + 11 * DAY)


def test_a_node_never_outlives_its_authority(tmp_path: Path) -> None:
    made = Authority.create(tmp_path / "ca", "lab", days=30)
    folder = made.issue(1, "one", days=365)
    assert NodeCredentials(folder, time.time()).own.not_after == made.certificate.not_valid_after_utc


def test_without_the_package_it_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['cryptography'] = None;"
        "sys.argv = ['drvs', 'ca', 'init', sys.argv[1], '--cluster', 'lab'];"
        "from drvs.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "x"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'drvs[cluster]'" in done.stderr
    assert not (tmp_path / "x").exists()


def test_what_needs_no_certificates_needs_no_package() -> None:
    program = (
        "import sys; sys.modules['cryptography'] = None; sys.modules['nats'] = None;"
        "import drvs.cluster.links, drvs.cluster.session, drvs.cluster.wire.commands;"
        "from drvs.cluster.transports import nats, tcp, tipc, udp"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
