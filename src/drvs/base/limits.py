"""Every limit, timeout and retry bound of the system, in one place.

Nothing in drvs retries, queues or waits without one of these. `DRVS_LIMITS="lock_ms=500,clients_per_uid=64"` in the
environment changes them for a process (noded: for its node); `drvs status` shows the values in force.
"""

import os

#: name -> (value in force, default, what it bounds)
TABLE: dict[str, tuple[int, int, str]] = {}


def _overrides() -> dict[str, int]:
    found = {}
    for word in filter(None, (part.strip() for part in os.environ.get("DRVS_LIMITS", "").split(","))):
        name, _, value = word.partition("=")
        if not value.strip().isdigit():
            raise ValueError(f"DRVS_LIMITS has {word!r}: write name=number, separated by commas")
        found[name.strip()] = int(value)
    return found


_changed = _overrides()


def _limit(name: str, default: int, meaning: str) -> int:
    value = _changed.get(name, default)
    TABLE[name] = (value, default, meaning)
    return value


# The guide's, as its own listing shows them; parameters of drvs_init.
NR_VMS = _limit("nr_vms", 32, "VMs of a node")
NR_NODES = _limit("nr_nodes", 32, "nodes of a cluster")
NR_PROCS = _limit("nr_procs", 189, "processes of a VM")
NR_TASKS = _limit("nr_tasks", 67, "tasks of a VM")
NR_SYSPROCS = _limit("nr_sysprocs", 96, "system slots of a VM, tasks included")
COPY_BUF = _limit("copy_buf", 32768, "bytes of one piece of a copy")
COPY_LEN_MAX = _limit("copy_len_max", 524288, "bytes of one copy")
NOTES = _limit("notes", 0, "notifications from user slots that may wait in a VM; 0: one per slot, at least 1024")

# What those may be at most.
MAX_VMS = 256
MAX_NODES = 4096
MAX_PAIRS = 256
MAX_PROCS = 32000
MIN_TASKS = 3
MAX_TASKS = 299
MAX_SYSPROCS = 1024
MAX_COPY_LEN = 1 << 30
MAX_NOTES = 1 << 20
MAX_PID = 1 << 22
MIN_NOTES = 1024
NAME_BYTES = 15

VERSION, SUBVERSION = 2, 1

# noded
NODED_LOCK_MS = _limit("noded_lock_ms", 1000, "ms that noded waits for a VM's lock before it calls the VM suspect")
SUSPECT_LOCK_MS = _limit("suspect_lock_ms", 5, "ms that noded waits for the lock of a VM that it calls suspect")
TICK_MS = _limit("tick_ms", 1000, "ms between two looks of the watchdog, and of the scan where there are no pidfds")
CLIENTS = _limit("clients", 8192, "connections to noded")
CLIENTS_PER_UID = _limit("clients_per_uid", 2048, "connections to noded of one user who is not the node's owner")
PACKET_BYTES = _limit("packet_bytes", 65536, "bytes of a request or a reply on the control socket")
LISTEN_BACKLOG = _limit("listen_backlog", 1024, "connections that wait to be accepted")
WAITS_PER_UID = _limit("waits_per_uid", 4096, "calls of one user that noded holds (wait4bind, lookup…)")
UNBIND_WAIT_MS = _limit("unbind_wait_ms", 30000, "ms that unbind waits for a process to let go")
LOCK_CPU_MS = _limit("lock_cpu_ms", 200, "ms of CPU time a lock holder may burn before its VM is audited")
LOG_BYTES = _limit("log_bytes", 1 << 20, "bytes of noded's log before it is turned over (one old file is kept)")
BINDINGS = _limit("bindings", 131072, "endpoints of a node, over all VMs")
FD_RESERVE = _limit("fd_reserve", 512, "descriptors kept free for clients when pidfds are opened")
FD_OWN = _limit("fd_own", 64, "descriptors, and connections of root and the owner, that strangers cannot use up")
KEEPER_RESTARTS = _limit("keeper_restarts", 16, "times that noded starts another keeper because the last one died")
KEEPER_MS = _limit("keeper_ms", 2000, "ms that noded waits for the keeper's answer")
LOOK_AGAIN_MS = _limit("look_again_ms", 100, "ms until the watchdog looks again at a lock it has found held")
REAP_SLICE = _limit("reap_slice", 256, "unbindings of dead processes between two looks at clients")
EVENTS = _limit("events", 4096, "events that noded keeps for those who tell other nodes of them")
EVENT_READERS = _limit("event_readers", 64, "callers that wait for events")
DIRECTORY = _limit("directory", 65536, "names of other nodes that noded knows")
START_MS = _limit("start_ms", 15000, "ms that `drvs up` waits for noded to be ready")
STOP_MS = _limit("stop_ms", 15000, "ms that `drvs down` waits for noded to end")

# Labs
LAB_UP_MS = _limit("lab_up_ms", 60000, "ms that `drvs lab up` waits for all nodes to be up")
LAB_DOWN_MS = _limit("lab_down_ms", 30000, "ms that `drvs lab down` waits before it kills the supervisor")

# Clients
CONNECT_TRIES = _limit("connect_tries", 120, "tries to reach noded while it restarts")
CONNECT_WAIT_MS = _limit("connect_wait_ms", 25, "ms between two of them")
IDLE_CONNECTIONS = _limit("idle_connections", 4, "connections to noded that a client keeps for its next calls")
CALL_MS = _limit("call_ms", 30000, "ms that a management call waits for noded's answer beyond its own timeout")

# The view
VIEW_LOOK_MS = _limit("view_look_ms", 100, "ms between two looks of a mounted view for a noded that went away")

# Endpoints
SPIN_US = _limit("spin_us", 20, "microseconds of CPU-aware spinning before a wait sleeps; 0: none")

# asyncio
INLINE_CALLS = _limit("inline_calls", 16, "calls that need not wait which a task makes before other tasks get a turn")
INTERRUPT_RETRY_MS = _limit(
    "interrupt_retry_ms", 1, "ms between two interruptions of a cancelled call that has not ended"
)

# Links between nodes
LINK_KEEPALIVE_MS = _limit("link_keepalive_ms", 1000, "ms without traffic after which a node says that it is there")
LINK_SILENCE_MS = _limit("link_silence_ms", 5000, "ms of a peer's silence after which the connection counts as broken")
LINK_RESUME_MS = _limit("link_resume_ms", 30000, "ms that a session without a connection waits to be resumed")
LINK_HELLO_MS = _limit("link_hello_ms", 5000, "ms until both ends of a new connection must have proved who they are")
LINK_HELLO_BYTES = _limit("link_hello_bytes", 4096, "bytes kept of a peer that has not proved who it is")
LINK_STRANGERS = _limit("link_strangers", 256, "connections whose peer has not proved who it is; more end the oldest")
LINK_FRAME_BYTES = _limit("link_frame_bytes", 1 << 20, "bytes of one frame on a link, and so of one record")
LINK_BATCH_BYTES = _limit("link_batch_bytes", 1 << 17, "bytes of small records that leave in one frame")
LINK_BACKLOG_BYTES = _limit("link_backlog_bytes", 8 << 20, "bytes not acknowledged by a peer; twice that is refused")
LINK_BACKLOG_UNITS = _limit("link_backlog_units", 65536, "batches and control messages not yet acknowledged by a peer")
LINK_ACK_BYTES = _limit("link_ack_bytes", 1 << 20, "bytes received after which they are acknowledged at once")
LINK_ACK_MS = _limit("link_ack_ms", 100, "ms after which what was received is acknowledged at the latest")
LINK_DIAL_MS = _limit("link_dial_ms", 100, "ms until an unreachable peer is tried again; doubled each time")
LINK_DIAL_MAX_MS = _limit("link_dial_max_ms", 5000, "ms between two tries to reach a peer at most")
LEASE_MS = _limit("lease_ms", 15000, "ms after which a node that is silent in the registry counts as gone")
NATS_CALL_MS = _limit("nats_call_ms", 5000, "ms that one request to the registry may take")
LINK_SPIN_US = _limit("link_spin_us", 50, "microseconds that the proxies look on after traffic, CPU-aware; 0: none")
LINK_GATHER = _limit("link_gather", 16, "commands that the proxies let come together if many are expected; 1: none")
LINK_GATHER_US = _limit("link_gather_us", 100, "microseconds that the first of those waits for the others at most")
LINK_GATHER_OFF_MS = _limit("link_gather_off_ms", 100, "ms after a vain wait for more until the next at most")
LINK_REPORT_MS = _limit("link_report_ms", 2000, "ms between two reports on links that are not connected")
LINK_LOOKS = _limit("link_looks", 64, "looks of the proxies while they spin after which all else is looked at, too")
LINK_KEEP_BYTES = _limit("link_keep_bytes", 32 << 20, "bytes of freed memory that the proxies keep for the next blocks")
LINK_SLEEP_MS = _limit("link_sleep_ms", 1000, "ms that the proxies sleep at most before they look again")
LINKS_RESTARTS = _limit("links_restarts", 16, "times that noded starts the proxies again because they ended")
LINKS_STEADY_MS = _limit("links_steady_ms", 60000, "ms after which proxies that ended count as having worked")
TAKE_COMMANDS = _limit("take_commands", 64, "commands taken from the VMs between two looks at the links")
TAKE_BYTES = _limit("take_bytes", 1 << 16, "bytes taken between two looks at the links, but for one record")
TAKE_SEALED_BYTES = _limit("take_sealed_bytes", 5 << 16, "the same where links are encrypted, which takes longer")
ENDS_KEPT = _limit("ends_kept", 10000, "ends of endpoints that are kept for peers that may not have heard of them")
PUT_TRIES = _limit("put_tries", 3, "times that a command is put again because the lock of its VM did not come")
NOTES_AT_ONCE = 16
NOTE_CHARACTERS = _limit("note_characters", 500, "characters of a line that the proxies write into noded's log")
LINK_REASONS = _limit("link_reasons", 16, "ends of connections whose reasons are kept, for each peer and for strangers")
DATAGRAM_WINDOW = _limit("datagram_window", 64, "datagrams under way to a peer at most")
DATAGRAM_WINDOW_BYTES = _limit("datagram_window_bytes", 1 << 18, "bytes under way to a peer in datagrams at most")
DATAGRAM_BYTES = _limit("datagram_bytes", 1400, "bytes of a UDP datagram, for paths whose limit is not known")
DATAGRAM_ACK_MS = _limit("datagram_ack_ms", 5, "ms after which a datagram is acknowledged at the latest")
DATAGRAM_RETRY_MS = _limit("datagram_retry_ms", 200, "ms until a datagram is sent again while the path is not known")
DATAGRAM_RETRY_MIN_MS = _limit("datagram_retry_min_ms", 20, "ms until a datagram is sent again at least")
DATAGRAM_RETRY_MAX_MS = _limit("datagram_retry_max_ms", 1000, "ms until a datagram is sent again at most")
NATS_DATAGRAM_BYTES = _limit(
    "nats_datagram_bytes", 1 << 16, "bytes of a NATS message; the server's max_payload is more"
)
NATS_QUEUE = _limit("nats_queue", 1024, "messages that wait on their way to or from NATS; more are dropped")
NATS_CONNECT_MS = _limit("nats_connect_ms", 5000, "ms that a node waits for a NATS server at its start")
NATS_RETRY_MS = _limit("nats_retry_ms", 500, "ms between two tries to reach NATS again")


def unknown_names() -> list[str]:
    """Return names in DRVS_LIMITS that are no limit (a typing error would otherwise pass unseen)."""
    return sorted(set(_changed) - set(TABLE))
