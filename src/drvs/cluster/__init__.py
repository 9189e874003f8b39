"""Several nodes: what travels between them, in what form, and how it is kept safe.

    wire         the bytes: frames and command records
    session      sans-I/O: who the peer is, exactly once and in order across broken connections
    transports   tcp, udp, tipc, nats: how the bytes get there
    links        one session per peer over any of them, in one loop
    ca           the certificates by which nodes know each other

Importing a module of this package needs no dependency beyond msgspec; certificates need `cryptography`, NATS needs
`nats-py` (`pip install 'drvs[cluster]'`, `'drvs[nats]'`).
"""
