"""The standard proxies of a node: one process, one thread, both roles, for all peers.

    process      what is connected to what, and the loop
    pump         commands from the VMs to the links, and back
    answers      what a peer is told when its command could not be put
    membership   which VMs and names the nodes have (pure: messages in, actions out)
    noded        the node's side: management calls, and the stream of its events
    spin         when it pays to look again instead of sleeping
"""
