"""What client and server say to each other: one request, one answer, in view m7 of the message.

    FETCH   m7_i1 bytes of the name at m7_p1, m7_i2 bytes of room at m7_p2, m7_i3 offset in the file
    GIVEN   m7_i1 bytes written to the client's room, m7_i2 bytes the file has
    ABSENT  there is no such file

In both answers m7_i4 is how many calls of this client the server has taken: whether one was lost, or came twice,
shows in the next answer.

Name and content never travel in a message: the server copies them from and to the client's memory while the client
waits.
"""

FETCH, GIVEN, ABSENT = 1, 2, 3

SERVER_NAME = "files"
SERVER_SLOT = 1
"""FS of the guide: a system slot, whose endpoint is its number."""

ROOM_BYTES = 32768
NAME_BYTES = 4096
