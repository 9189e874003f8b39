"""Ways to call, one class each: ours, the C ping-pong, the standard library's, the kernel's queues, and packages.

base.py       what a mechanism is
ours.py       sendrec, send/receive, notify
cface.py      the same calls from C programs (libm3ipc)
yardstick.py  the bare C ping-pong
stdlib.py     os.pipe, multiprocessing, Unix sockets
queues.py     POSIX and System V message queues
extras.py     pyzmq, iceoryx2, gRPC where installed
"""
