"""The guide's own calls: a parent binds its child, they meet by rendezvous. Needs a node: `drvs up`."""

import os

from drvs.compat import mnx

SERVER, CLIENT = 10, 40


def check(code: int) -> int:
    """Return a result, or end the program with the code that the last call left."""
    if mnx.mnx_errno():
        raise SystemExit(f"failed with {mnx.mnx_errno()}")
    return code


def client() -> None:
    """Wait to be bound, then call the server."""
    m = mnx.message()
    check(mnx.mnx_wait4bind())
    m.m1_i1 = 6
    check(mnx.mnx_sendrec(SERVER, m))
    print("6 * 7 =", m.m1_i1, flush=True)


def main() -> None:
    """Make a VM, bind both, answer one request."""
    vm = mnx.VM_usr(vm_vmid=5, vm_name=b"guide", vm_nr_procs=60, vm_nr_tasks=10, vm_nr_sysprocs=30)
    check(mnx.mnx_vm_init(vm))
    check(mnx.mnx_bind(5, SERVER))
    child = os.fork()
    if child == 0:
        client()
        os._exit(0)
    check(mnx.mnx_lclbind(5, child, CLIENT))
    m = mnx.message()
    check(mnx.mnx_rcvrqst(m))
    m.m1_i1 *= 7
    check(mnx.mnx_reply(m.m_source, m))
    os.waitpid(child, 0)
    check(mnx.mnx_unbind(5, SERVER))
    check(mnx.mnx_vm_end(5))


if __name__ == "__main__":
    main()
