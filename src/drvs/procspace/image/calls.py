"""Named system calls that Python lacks, over one raw function. Numbers are those of x86-64."""

from __future__ import annotations

import struct

from drvs.core._core import image_syscall, span_of

MREMAP, MMAP, MPROTECT, MUNMAP, BRK = 25, 9, 10, 11, 12
RT_SIGACTION, SIGALTSTACK, TGKILL, GETITIMER, SETITIMER = 13, 131, 234, 36, 38
PRCTL, ARCH_PRCTL, SET_TID_ADDRESS, SET_ROBUST_LIST, RSEQ = 157, 158, 218, 273, 334
MADVISE, MLOCK, CLOSE_RANGE, PRLIMIT, WRITE, RT_SIGQUEUEINFO, PERSONALITY = 28, 149, 436, 302, 1, 129, 135
SETGROUPS, SETRESGID, SETRESUID, CAPSET, SETSID, CHDIR, UMASK = 116, 119, 117, 126, 112, 80, 95
DUP3, EPOLL_CTL, RT_SIGPROCMASK = 292, 233, 14
WAIT4, EXIT, EXIT_GROUP = 61, 60, 231
TIMER_CREATE, TIMER_SETTIME, TIMER_GETTIME, TIMER_DELETE = 222, 223, 224, 226
_PTRACE, _PIDFD_GETFD, _KCMP, _GET_ROBUST_LIST, _TEE = 101, 438, 312, 274, 276
_TIMERFD_CREATE, _TIMERFD_SETTIME, _SIGNALFD4 = 283, 286, 289

NAMES = {
    0x10000: "reading pages", 0x10001: "making a thread", 0x10007: "queueing a signal", MREMAP: "mremap", MMAP: "mmap",
    MPROTECT: "mprotect", MUNMAP: "munmap", RT_SIGACTION: "rt_sigaction", SETITIMER: "setitimer", PRCTL: "prctl",
    ARCH_PRCTL: "arch_prctl", SET_ROBUST_LIST: "set_robust_list", RSEQ: "rseq", MADVISE: "madvise", MLOCK: "mlock",
    PRLIMIT: "prlimit64", RT_SIGQUEUEINFO: "rt_sigqueueinfo", 0x1000C: "making a copy", 0x1000D: "taking descriptors",
    0x1000F: "moving the vDSO", 0x10011: "taking the pid", SETGROUPS: "setgroups",
    SETRESGID: "setresgid", SETRESUID: "setresuid", CAPSET: "capset", SETSID: "setsid", CHDIR: "chdir", DUP3: "dup3",
    EPOLL_CTL: "epoll_ctl", TIMER_CREATE: "timer_create", TIMER_SETTIME: "timer_settime",
}  # fmt: skip

PTRACE_CONT, PTRACE_DETACH, PTRACE_SYSCALL = 7, 17, 24
PTRACE_GETSIGINFO, PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_PEEKSIGINFO = 0x4202, 0x4206, 0x4207, 0x4209
PTRACE_SETOPTIONS, PTRACE_GETEVENTMSG = 0x4200, 0x4201
PTRACE_GETSIGMASK, PTRACE_SETSIGMASK, PTRACE_GET_RSEQ_CONFIGURATION = 0x420A, 0x420B, 0x420F


def ptrace(request: int, tid: int, address: int = 0, data: int | bytearray | bytes = 0) -> int:
    """Make a ptrace request that needs no word in return."""
    return image_syscall(_PTRACE, request, tid, address, data)


def signal_mask(tid: int) -> int:
    """Return the signals that a stopped thread blocks, as a bit mask."""
    mask = bytearray(8)
    ptrace(PTRACE_GETSIGMASK, tid, 8, mask)
    return int.from_bytes(mask, "little")


def set_signal_mask(tid: int, mask: int) -> None:
    """Set it."""
    ptrace(PTRACE_SETSIGMASK, tid, 8, mask.to_bytes(8, "little"))


def signal_info(tid: int) -> tuple[int, int, int]:
    """Return signal, code and sender of the signal that a thread stopped for."""
    info = bytearray(128)
    ptrace(PTRACE_GETSIGINFO, tid, 0, info)
    number, _errno, code, _pad, pid = struct.unpack_from("<5i", info)
    return number, code, pid


def event_message(tid: int) -> int:
    """Return what the event is about that a thread stopped for: of a clone, the new pid."""
    word = bytearray(8)
    ptrace(PTRACE_GETEVENTMSG, tid, 0, word)
    return int.from_bytes(word, "little")


def queued_signals(tid: int, shared: bool) -> list[bytes]:
    """Return the siginfo of each pending signal of a stopped thread, or of its process."""
    found: list[bytes] = []
    while True:
        arguments, space = struct.pack("<QIi", len(found), int(shared), 32), bytearray(128 * 32)
        where, _ = span_of(arguments)
        count = ptrace(PTRACE_PEEKSIGINFO, tid, where, space)
        found += [bytes(space[i * 128 : i * 128 + 128]) for i in range(count)]
        if count < 32:
            return found


def rseq_area(tid: int) -> tuple[int, int, int, int]:
    """Return address, length, signature and flags of a thread's rseq registration (zeros: none, or an old kernel)."""
    space = bytearray(24)
    try:
        ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, 24, space)
    except OSError:
        return 0, 0, 0, 0
    address, length, signature, flags, _ = struct.unpack("<QIIII", space)
    return address, length, signature, flags


def robust_list(tid: int) -> tuple[int, int]:
    """Return address and length of a thread's list of robust mutexes."""
    head, length = bytearray(8), bytearray(8)
    image_syscall(_GET_ROBUST_LIST, tid, head, length)
    return int.from_bytes(head, "little"), int.from_bytes(length, "little")


def borrow_fd(pidfd: int, fd: int) -> int:
    """Return a descriptor of ours for what another process has open."""
    return image_syscall(_PIDFD_GETFD, pidfd, fd, 0)


def compare_open_files(pid: int, one: int, other: int) -> int:
    """Compare two descriptors of a process: 0 if they share one open file description, else their order, 1 or -1."""
    return (0, -1, 1)[image_syscall(_KCMP, pid, pid, 0, one, other)]


def same_memory(pid: int, other: int) -> bool:
    """Say whether two processes have one address space; False if that cannot be told."""
    try:
        return image_syscall(_KCMP, pid, other, 1, 0, 0) == 0
    except OSError:
        return False


def tee(source: int, target: int, nbytes: int) -> int:
    """Copy from pipe to pipe what is there, without taking it."""
    return image_syscall(_TEE, source, target, nbytes, 2)


def timerfd(clock: int, flags: int) -> int:
    """Make a timer descriptor."""
    return image_syscall(_TIMERFD_CREATE, clock, flags)


def timerfd_set(fd: int, value: tuple[int, int], interval: tuple[int, int]) -> None:
    """Start it, with times from now as (seconds, nanoseconds)."""
    image_syscall(_TIMERFD_SETTIME, fd, 0, struct.pack("<4q", *interval, *value), 0)


def signalfd(mask: int, flags: int) -> int:
    """Make a descriptor that reads signals."""
    return image_syscall(_SIGNALFD4, -1, mask.to_bytes(8, "little"), 8, flags)


def prctl(option: int, *arguments: int | bytes) -> int:
    """Set or get an attribute of this process; unused arguments are 0."""
    return image_syscall(PRCTL, option, *arguments, *[0] * (4 - len(arguments)))
