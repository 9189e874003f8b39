/* image.c: what process images need of C: ptrace and other raw system calls, page maps, page copies, the blob, and becoming a program. */
#define _GNU_SOURCE
#include "image.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "../image/blob.h"
#include "../image/pages.h"
#include "../image/smaps.h"

static PyObject *os_error(int number) {
    errno = number;
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* ---- raw system calls ------------------------------------------------------------------------------------------------ */

/* An argument is an int, or a buffer whose address is meant. The view stays open until the call is over. */
static bool take_argument(PyObject *object, long *value, Py_buffer *view) {
    if (PyLong_Check(object)) {
        *value = (long)PyLong_AsUnsignedLongLongMask(object);
        return !PyErr_Occurred();
    }
    if (PyObject_GetBuffer(object, view, PyBUF_SIMPLE) < 0) return false;
    *value = (long)(uintptr_t)view->buf;
    return true;
}

static PyObject *image_syscall(PyObject *module, PyObject *args) {
    (void)module;
    long value[7] = {0};
    Py_buffer view[7] = {{0}};
    Py_ssize_t n = PyTuple_Size(args);
    bool good = n >= 1 && n <= 7;
    if (!good) PyErr_SetString(PyExc_TypeError, "image_syscall(number, up to six arguments)");
    for (Py_ssize_t i = 0; good && i < n; i++) good = take_argument(PyTuple_GetItem(args, i), &value[i], &view[i]);
    long result = 0;
    int failed = 0;
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        result = syscall(value[0], value[1], value[2], value[3], value[4], value[5], value[6]);
        failed = result == -1 ? errno : 0;
        Py_END_ALLOW_THREADS
    }
    for (Py_ssize_t i = 0; i < 7; i++) if (view[i].obj) PyBuffer_Release(&view[i]);
    if (!good) return NULL;
    return failed ? os_error(failed) : PyLong_FromLong(result);
}

/* ---- registers ------------------------------------------------------------------------------------------------------- */

static PyObject *image_regset_get(PyObject *module, PyObject *args) {
    (void)module;
    int tid, set;
    static char buffer[65536];
    if (!PyArg_ParseTuple(args, "ii", &tid, &set)) return NULL;
    struct iovec space = {buffer, sizeof buffer};
    if (ptrace(PTRACE_GETREGSET, tid, (void *)(uintptr_t)set, &space) < 0) return os_error(errno);
    return PyBytes_FromStringAndSize(buffer, (Py_ssize_t)space.iov_len);
}

static PyObject *image_regset_set(PyObject *module, PyObject *args) {
    (void)module;
    int tid, set;
    const char *bytes;
    Py_ssize_t nbytes;
    if (!PyArg_ParseTuple(args, "iiy#", &tid, &set, &bytes, &nbytes)) return NULL;
    struct iovec space = {(void *)(uintptr_t)bytes, (size_t)nbytes};
    if (ptrace(PTRACE_SETREGSET, tid, (void *)(uintptr_t)set, &space) < 0) return os_error(errno);
    Py_RETURN_NONE;
}

/* Where the processor keeps those parts of its extended state. Each costs a trap in a virtual machine: ask for few. */
static PyObject *image_xsave_parts(PyObject *module, PyObject *args) {
    (void)module;
    unsigned long long features;
    if (!PyArg_ParseTuple(args, "K", &features)) return NULL;
    PyObject *parts = PyList_New(0);
#if defined(__x86_64__)
    for (unsigned part = 2; parts && part < 63; part++) {
        unsigned size, offset, c, d;
        if (!(features >> part & 1) || !__get_cpuid_count(0xd, part, &size, &offset, &c, &d) || !size) continue;
        PyObject *item = Py_BuildValue("(III)", part, offset, size);
        if (!item || PyList_Append(parts, item) < 0) Py_CLEAR(parts);
        Py_XDECREF(item);
    }
#endif
    return parts;
}

/* ---- waiting --------------------------------------------------------------------------------------------------------- */

enum { SPINS_PER_LOOK = 16 };

static uint64_t microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* A dead child that somebody waits for is only looked at; what a tracer may see includes stops, asked for or not. */
static pid_t look(int tid, int *status, int keep_dead) {
    siginfo_t info = {0};
    if (!keep_dead) return waitpid(tid, status, WNOHANG | __WALL);
    if (waitid(P_PID, (id_t)tid, &info, WSTOPPED | WNOHANG | __WALL) < 0) return -1;
    *status = info.si_status << 8 | 0x7f;
    if (info.si_pid) return tid;
    if (waitid(P_PID, (id_t)tid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0) return -1;
    *status = 0;
    return info.si_pid && (info.si_code == CLD_EXITED || info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED) ? tid : 0;
}

/* A thread that was led somewhere stops again within microseconds: sleeping for it would take longer than it does. */
static PyObject *image_wait(PyObject *module, PyObject *args) {
    (void)module;
    int tid, keep_dead, status = 0, failed = 0;
    unsigned long long spin_us;
    pid_t got = 0;
    if (!PyArg_ParseTuple(args, "iKp", &tid, &spin_us, &keep_dead)) return NULL;
    Py_BEGIN_ALLOW_THREADS
    for (uint64_t start = microseconds(); !(got = look(tid, &status, keep_dead)) && microseconds() - start < spin_us;)
        for (int i = 0; i < SPINS_PER_LOOK; i++) sched_yield();
    failed = errno;
    Py_END_ALLOW_THREADS
    return got < 0 ? os_error(failed) : Py_BuildValue("(ii)", (int)got, status);
}

/* An exception in the middle of what a thread of Python does: at its next step, if it waits for something now. */
static PyObject *image_interrupt(PyObject *module, PyObject *args) {
    (void)module;
    unsigned long thread;
    PyObject *exception;
    if (!PyArg_ParseTuple(args, "kO", &thread, &exception)) return NULL;
    return PyBool_FromLong(PyThreadState_SetAsyncExc(thread, exception));
}

/* ---- pages ----------------------------------------------------------------------------------------------------------- */

static PyObject *image_crc32c(PyObject *module, PyObject *args) {
    (void)module;
    Py_buffer view;
    unsigned int crc = 0;
    if (!PyArg_ParseTuple(args, "y*|I", &view, &crc)) return NULL;
    uint32_t result = crc32c(crc, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return PyLong_FromUnsignedLong(result);
}

static bool add_run(PyObject *runs, const struct page_run *run) {
    PyObject *item = Py_BuildValue("(KKi)", (unsigned long long)run->address, (unsigned long long)run->nbytes, run->kind == PAGE_GUARD);
    bool added = item && PyList_Append(runs, item) == 0;
    Py_XDECREF(item);
    return added;
}

/* Returns false with an exception, or without one if the kernel cannot scan. */
static bool add_scanned(PyObject *runs, int fd, uint64_t from, uint64_t end) {
    struct page_run run[SCAN_ROOM];
    while (from < end) {
        int n = scan_runs(fd, &from, end, run, SCAN_ROOM);
        if (n < 0) return false;
        for (int i = 0; i < n; i++)
            if (!add_run(runs, &run[i])) return false;
    }
    return true;
}

static PyObject *image_runs(PyObject *module, PyObject *args) {
    (void)module;
    int fd, guards, found = 0;
    unsigned long long from, end;
    if (!PyArg_ParseTuple(args, "iKKp", &fd, &from, &end, &guards)) return NULL;
    PyObject *runs = PyList_New(0);
    if (!runs || (!guards && add_scanned(runs, fd, from, end))) return runs;
    if (!PyErr_Occurred()) PyList_SetSlice(runs, 0, PyList_Size(runs), NULL);
    uint64_t at = from;
    struct page_run run;
    while (!PyErr_Occurred() && (found = next_run(fd, &at, end, &run)) > 0) add_run(runs, &run);
    if (!PyErr_Occurred() && found < 0) os_error(-found);
    if (PyErr_Occurred()) Py_CLEAR(runs);
    return runs;
}

static PyObject *image_copy(PyObject *module, PyObject *args) {
    (void)module;
    struct copy copy = {0};
    Py_buffer runs;
    int failed = 0;
    if (!PyArg_ParseTuple(args, "iiiy*", &copy.pid, &copy.mem_fd, &copy.out_fd, &runs)) return NULL;
    Py_BEGIN_ALLOW_THREADS
    failed = copy_runs(&copy, runs.buf, (size_t)runs.len / sizeof(struct copy_run));
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&runs);
    return failed ? os_error(-failed) : Py_BuildValue("(KK)", (unsigned long long)copy.payload, (unsigned long long)copy.records);
}

static PyObject *mapping(const struct smaps_entry *e) {
    PyObject *name = PyUnicode_DecodeFSDefaultAndSize(e->name, (Py_ssize_t)e->name_bytes);
    if (!name) return NULL;
    return Py_BuildValue("(KKiOKKNKs#)", (unsigned long long)e->start, (unsigned long long)e->end, e->protection, e->shared ? Py_True : Py_False,
                         (unsigned long long)e->offset, (unsigned long long)e->inode, name, (unsigned long long)e->own_kb,
                         e->flags, (Py_ssize_t)e->flags_bytes);
}

static PyObject *image_smaps(PyObject *module, PyObject *args) {
    (void)module;
    const char *text;
    Py_ssize_t nbytes;
    if (!PyArg_ParseTuple(args, "y#", &text, &nbytes)) return NULL;
    PyObject *mappings = PyList_New(0);
    struct smaps_entry entry;
    for (const char *end = text + nbytes; mappings && next_smaps(&text, end, &entry);) {
        PyObject *item = mapping(&entry);
        if (!item || PyList_Append(mappings, item) < 0) Py_CLEAR(mappings);
        Py_XDECREF(item);
    }
    return mappings;
}

/* ---- the blob -------------------------------------------------------------------------------------------------------- */

static PyObject *image_blob(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    struct blob_places blob;
    if (!blob_code(&blob)) Py_RETURN_NONE;
    return Py_BuildValue("(y#nn)", (const char *)blob.code, (Py_ssize_t)blob.nbytes, (Py_ssize_t)blob.entry, (Py_ssize_t)blob.begin);
}

PyMethodDef image_functions[] = {
    {"image_syscall", image_syscall, METH_VARARGS, "image_syscall(number, *args) -> int: a raw system call; a buffer stands for its address."},
    {"image_regset_get", image_regset_get, METH_VARARGS, "image_regset_get(tid, set) -> bytes: registers of a stopped thread."},
    {"image_regset_set", image_regset_set, METH_VARARGS, "image_regset_set(tid, set, bytes): set them."},
    {"image_xsave_parts", image_xsave_parts, METH_VARARGS, "image_xsave_parts(features) -> [(part, offset, nbytes)]: the layout of extended state."},
    {"image_wait", image_wait, METH_VARARGS, "image_wait(tid, spin_us, keep_dead) -> (tid, status): wait actively for a stop; the tid is 0 if none came."},
    {"image_interrupt", image_interrupt, METH_VARARGS, "image_interrupt(ident, exception) -> bool: raise an exception in another thread."},
    {"image_smaps", image_smaps, METH_VARARGS, "image_smaps(text) -> [(start, end, protection, shared, offset, inode, name, own_kb, flags)]: mappings."},
    {"image_crc32c", image_crc32c, METH_VARARGS, "image_crc32c(buffer, crc=0) -> int: CRC-32C, continued from `crc`."},
    {"image_runs", image_runs, METH_VARARGS, "image_runs(pagemap_fd, start, end, guards) -> [(address, nbytes, guard)]: pages of a process's own."},
    {"image_copy", image_copy, METH_VARARGS, "image_copy(pid, mem_fd, out_fd, runs) -> (bytes, records): write page records."},
    {"image_blob", image_blob, METH_NOARGS, "image_blob() -> (code, entry, begin) | None: the code that works through a table of system calls."},
    {NULL, NULL, 0, NULL},
};
