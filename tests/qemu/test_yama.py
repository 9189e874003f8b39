"""Yama's restriction of ptrace, on a kernel that has it: what CAVEATS.md says of copies and of process images."""

import json
import sys
from pathlib import Path

from qemu import guest

pytestmark = guest.marks()

PROBE = Path(__file__).parent / "yama_probe.py"
OK = "ok"
COPIES = ("copy, user's node", "copy, root's node, without the capability", "copy, all root")
IMAGES = ("image, user", "image, root")


def test_copies_and_images_pass_or_name_the_setting() -> None:
    """At 1 noded copies for others; at 2 root's noded; at 3 nobody. Images of strangers: root's alone, up to 2."""
    done = guest.run([sys.executable, str(PROBE)])
    found = {row["scope"]: row for row in map(json.loads, done.checked().splitlines())}
    assert {scope: [row[what] == OK for what in COPIES] for scope, row in found.items()} == {
        0: [True, True, True],
        1: [True, True, True],
        2: [False, True, True],
        3: [False, False, False],
    }, done.output
    assert {scope: [row[what] == OK for what in IMAGES] for scope, row in found.items()} == {
        0: [True, True],
        1: [False, True],
        2: [False, True],
        3: [False, False],
    }, done.output
    for scope, row in found.items():
        for what in (*COPIES, *IMAGES):
            assert row[what] == OK or f"kernel.yama.ptrace_scope is {scope}" in row[what], row[what]
            assert row[what] == OK or scope < 3 or "start the machine anew" in row[what], row[what]
            assert "be root" not in row[what] or scope < 3, row[what]
        assert row["copy, user's node"] == OK or "-EPERM" in row["copy, user's node"]
