"""The standard proxies of a node: one process, one thread, both roles, for all peers.

process      what is connected to what, and the loop
pump         commands from the VMs to the links, and back
membership   which VMs and names the nodes have (pure: messages in, actions out)
gossip       what the proxies of two nodes tell each other beside commands
setup        from a cluster file, or the registry, to the links of a node
noded        the node's side: management calls, and the stream of its events
spin         when it pays to look again instead of sleeping
"""
