"""noded, the one daemon of a node: it executes management calls and buries the dead.

No message passes through it. It owns what is privileged: the VMs' memory, who is bound where, and the watch over
every bound process and thread. Kill it, and IPC goes on; start it again, and it buries what died meanwhile.

    control     protocol  packets  client | server  calls/      requests over a Unix SOCK_SEQPACKET socket
    state       node  vm  bindings  table                       VMs and the private bind table
    survival    store  keeper  notify  recovery                 descriptors that outlive noded
    watching    watch  watchdog  alarms  waits                  deaths, stuck locks, alarms, callers that wait
    process     __main__  launch  gc  loop  log  credentials    starting, ending, the event loop
"""
