"""Certificates for the nodes of a lab whose links are secure: what a person would do with `drvs ca`."""

from __future__ import annotations

import os
import subprocess
import sys

from drvs.lab.errors import LabError
from drvs.lab.spec import AUTHORITY, Spec


def make(spec: Spec) -> None:
    """Make an authority in the lab's directory, and a certificate for each node.

    Raises:
        LabError: `drvs ca` refused.
    """
    place = os.path.join(spec.folder, AUTHORITY)
    _drvs_ca("init", place, "--cluster", spec.name)
    for node in range(spec.count):
        _drvs_ca("issue", str(node), "--ca", place)


def _drvs_ca(*arguments: str) -> None:
    command = [sys.executable, "-P", "-m", "drvs.cli", "ca", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise LabError(f"certificates could not be made: {said[-1].removeprefix('drvs: ')}", "Leave out --tls.")
