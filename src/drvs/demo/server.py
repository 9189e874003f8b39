"""The demo's file server: `python -m drvs.demo.server VM FOLDER`.

It copies the file's name out of the client that asks, and the file's content into it; the client, blocked in its call,
does nothing for either.
"""

from __future__ import annotations

import os
import sys

import drvs
from drvs.demo.report import report
from drvs.demo.wire import ABSENT, FETCH, GIVEN, NAME_BYTES, ROOM_BYTES, SERVER_NAME, SERVER_SLOT


class FileServer:
    """Serves the files below one folder, read only."""

    def __init__(self, endpoint: drvs.Endpoint, folder: str) -> None:
        self.endpoint = endpoint
        self.folder = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        self.name = endpoint.block(NAME_BYTES)
        self.room = endpoint.block(ROOM_BYTES)
        self.calls: dict[int, int] = {}

    def open(self, request: drvs.Message) -> int:
        """Open the file the client names.

        Raises:
            OSError: there is none below the folder.
        """
        length = self.endpoint.copy((request.source, request.m7_p1), self.name, min(request.m7_i1, NAME_BYTES))
        name = bytes(self.name.view[:length])
        if name.startswith(b"/") or b".." in name.split(b"/"):
            raise FileNotFoundError(name)
        return os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.folder)

    def fetch(self, request: drvs.Message) -> None:
        """Copy a piece of a file into the client's memory and turn the request into the answer."""
        file = self.open(request)
        try:
            room = self.room.view[: min(request.m7_i2, ROOM_BYTES)]
            read = os.preadv(file, [room], request.m7_i3)
            if read:
                self.endpoint.copy(self.room, (request.source, request.m7_p2), read)
            request.type, request.m7_i1, request.m7_i2 = GIVEN, read, os.fstat(file).st_size
        finally:
            os.close(file)

    def answer(self, request: drvs.Message) -> None:
        """Turn a request into its answer; whatever is wrong with a client is no trouble of the server's."""
        count = self.calls[request.source] = self.calls.get(request.source, 0) + 1
        try:
            if request.type == FETCH:
                self.fetch(request)
            else:
                request.type = ABSENT
        except (drvs.DrvsError, OSError, ValueError):
            request.type = ABSENT
        request.m7_i4 = count

    def serve(self) -> None:
        """Answer for ever."""
        request = self.endpoint.receive_request(drvs.Message())
        while True:
            self.answer(request)
            try:
                self.endpoint.reply_receive(request, request)
            except drvs.DrvsError:  # the client is gone: take the next one
                self.endpoint.receive_request(request)


def main(vm_name: str, folder: str) -> None:
    """Bind as the file server and serve."""
    with drvs.connect().vm(vm_name).bind(SERVER_SLOT, SERVER_NAME) as endpoint:
        server = FileServer(endpoint, folder)
        report("bound", endpoint=endpoint.endpoint, pid=os.getpid())
        server.serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
