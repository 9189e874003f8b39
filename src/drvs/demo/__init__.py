"""`drvs demo`: a file server, eight clients, and what can happen to them; then a program put aside and multiplied.

    show.py      both acts
    play.py      the first act: what happens when
    stage.py     the nodes that it is played on
    cast.py      the processes on stage and the events they report
    server.py    a file server, in sixty lines
    client.py    fetches every file
    report.py    how they tell what happens to them
    wire.py      the messages the two exchange
    tree.py      the files, and what their digests have to be
    verdict.py   whether all was right, the final table and picture
    workshop.py  the second act
    fit.py       the script that is put aside in mid-loop
    rivals.py    the same answers by processes of multiprocessing
    compare.py   the table of times
    teller.py    says what happens
    scratch.py   a node in a directory of its own, gone afterwards

server.py, client.py and fit.py use nothing but the public API: they are what a program of yours would look like.
"""
