"""Copies of a program with hooks: each is told rank, size and arguments, and is put right before it goes on."""

import json
import os
from pathlib import Path

from drvs.procspace import image
from drvs.procspace.image import mailbox
from support import images

READY = """
import json, os, random, sys
from drvs.procspace import image
random.seed(1)
found = image.ready()
sys.stdout.write(json.dumps([found.rank, found.size, list(found.argv), found.environ.get("COLOUR")]) + chr(10))
sys.stdout.flush()
for line in sys.stdin:
    print(random.random(), flush=True)
"""


def test_copies_from_ready_know_rank_and_arguments_and_differ(tmp_path: Path, nothing_left: None) -> None:
    with images.python(READY, env=os.environ | {"DRVS_IMAGE_READY": "wait"}) as program:
        while not mailbox.waits_to_be_dumped(program.pid):
            assert program.process.poll() is None
        file = images.dumped(program.pid, tmp_path / "image")
    with file.open("rb") as stream:
        made = image.Template(stream.fileno(), argv=["a", "b"], environ={"COLOUR": "green"})
    with made, images.Copy(made, 0, 2) as one, images.Copy(made, 1, 2) as other:
        told = [json.loads(copy.line()) for copy in (one, other)]
        assert [[rank, size, words[-2:], colour] for rank, size, words, colour in told] == [
            [0, 2, ["a", "b"], "green"],
            [1, 2, ["a", "b"], "green"],
        ]
        assert one.ask() != other.ask()


ASYNCIO = """
import asyncio, sys
import drvs.hooks
async def main():
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("ready", flush=True)
    while await reader.readline():
        got = await asyncio.gather(asyncio.to_thread(lambda: 42), asyncio.sleep(0, 1))
        print(*got, flush=True)
asyncio.run(main())
"""


def test_a_running_asyncio_loop_goes_on_in_copies(tmp_path: Path, nothing_left: None) -> None:
    with images.python(ASYNCIO) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image")
        assert program.ask() == "42 1"
    with file.open("rb") as stream:
        made = image.Template(stream.fileno())
    with made, images.Copy(made, 0, 2) as one, images.Copy(made, 1, 2) as other:
        assert [one.ask(), other.ask(), one.ask()] == ["42 1"] * 3
        assert one.finish() == 0
