"""`drvs demo`: a file server, eight clients, and a sudden death in the middle.

    show.py      the play: what happens when, and whether all of it was right
    cast.py      the processes on stage and the events they report
    server.py    a file server, in sixty lines
    client.py    fetches every file and compares digests
    wire.py      the messages the two exchange
    tree.py      the files, and what their digests have to be
    verdict.py   the final table and picture
    scratch.py   a node in a directory of its own, gone afterwards

server.py and client.py use nothing but the public API: they are what a program of yours would look like.
"""
