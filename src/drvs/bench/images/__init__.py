"""`drvs bench images`: how long it takes to put a program aside, to bring it back, and to multiply it.

    table     file         question
    cycle     cycle.py     how long do a dump and a restore take, beside CRIU?
    heap      heap.py      how fast do 200 MB of data go out and come in?
    copies    copies.py    how many copies a second are made of one image?
    pause     pause.py     how long does a live fork hold up the program it copies?
    memory    copies.py    how much memory does a copy have for itself?

Images lie on tmpfs and have their checksums. `programs.py` has what is put aside.
"""
