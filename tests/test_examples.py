"""Every example runs and prints what it should; every Python block of the documents is at least Python."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.nodes import RunningNode

ROOT = Path(__file__).parent.parent
EXAMPLES = {path.name: path for path in (ROOT / "examples").glob("*.py")}

OUTPUT = {
    "hello.py": ["40 + 2 = 42"],
    "copy_file.py": [f"{(ROOT / 'examples/copy_file.py').stat().st_size} bytes of copy_file.py, the same"],
    "survive_a_death.py": ["attempt 1: SourceDied", "attempt 2: answered"],
    "async_server.py": ["HELLO", "WORLD"],
    "notifications.py": ["notification from 1: 7", "no other"],
    "guide.py": ["6 * 7 = 42"],
    "warm_workers.py": ["7284718"],
    "two_nodes.py": ["node 1 got: HELLO"],
}


def test_every_example_is_tested() -> None:
    assert set(EXAMPLES) == set(OUTPUT)


@pytest.mark.parametrize("name", sorted(OUTPUT))
def test_example(name: str, node: RunningNode) -> None:
    env = {**os.environ, "DRVS_RUNTIME_DIR": str(node.runtime_dir)}
    command = [sys.executable, str(EXAMPLES[name])]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == OUTPUT[name], done.stderr


def test_python_blocks_of_the_documents_compile() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        if page.name == "python.md":
            continue  # its blocks are signatures
        for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.S), 1):
            compile(block, f"{page.name}, block {number}", "exec")
