"""`drvs demo`: a file server, eight clients, and a sudden death; then a program put aside, brought back, multiplied.

    show.py      the first act: what happens when, and whether all of it was right
    cast.py      the processes on stage and the events they report
    server.py    a file server, in sixty lines
    client.py    fetches every file and compares digests
    wire.py      the messages the two exchange
    tree.py      the files, and what their digests have to be
    verdict.py   the final table and picture
    workshop.py  the second act
    fit.py       the script that is put aside in mid-loop
    rivals.py    the same answers by processes of multiprocessing
    compare.py   the table of times
    teller.py    says what happens
    scratch.py   a node in a directory of its own, gone afterwards

server.py, client.py and fit.py use nothing but the public API: they are what a program of yours would look like.
"""
