"""The authority of a cluster and the certificates of its nodes: made by `drvs ca`, shown in every HELLO.

A node's certificate says cluster, number and name (the URI drvs://CLUSTER/NUMBER/NAME) and is signed by the cluster's
own authority; nobody else's is believed. Keys are Ed25519. What a node needs stands in one folder:

    ca.crt      the authority's certificate
    node.crt    the node's
    node.key    its key (0600)

The authority's folder has ca.crt and ca.key, and the folders node-NUMBER that it made. All of it needs `cryptography`.
"""

from drvs.cluster.ca.files import CredentialsError

__all__ = ["CredentialsError"]
