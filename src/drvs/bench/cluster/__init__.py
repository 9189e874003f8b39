"""`drvs bench cluster`: calls and copies between nodes, beside what else carries 64 bytes or 64 MiB between machines.

sites       the labs that figures are taken in: spin or none, TLS or plain, a core for each node or one for all
peers       what is compared: a class for each way to call
programs    what runs on the nodes, driven over its stdin and stdout
pairs       a server on node 1 and a client on node 0, taking turns with other pairs
links, callers, stream, cost, histories
            the tables: cost is `memory`, histories `simulation`
"""
