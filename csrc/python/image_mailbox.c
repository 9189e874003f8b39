/* image_mailbox.c: the mailbox of csrc/image/mailbox.h for drvs.hooks: its rounds are led from Python. */
#include "image.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../image/mailbox.h"

enum { PAYLOAD_MAX = 1 << 26 };

static PyObject *callback;

static int call_back(void *unused) {
    (void)unused;
    PyObject *result = callback ? PyObject_CallNoArgs(callback) : NULL;
    Py_XDECREF(result);
    return result || !callback ? 0 : -1;
}

/* In the mailbox's thread, without the GIL. A main thread that runs Python code makes the pending call; one that sleeps gets the
 * signal, whose handler in Python does the same. */
static void nudge(bool first) {
    if (first) Py_AddPendingCall(call_back, NULL);
    syscall(SYS_tgkill, getpid(), getpid(), mailbox.signal);
}

static PyObject *start(PyObject *module, PyObject *args) {
    (void)module;
    int number;
    PyObject *function;
    if (!PyArg_ParseTuple(args, "iO", &number, &function)) return NULL;
    Py_XDECREF(exchange(&callback, function));
    int failed = mailbox_start(number, nudge);
    if (!failed) Py_RETURN_NONE;
    errno = failed;
    return PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *stop(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    mailbox_stop();
    Py_RETURN_NONE;
}

static PyObject *reset(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    mailbox_reset();
    Py_RETURN_NONE;
}

static PyObject *pend(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyBool_FromLong(Py_AddPendingCall(call_back, NULL) == 0);
}

static PyObject *take(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyBool_FromLong(mailbox_take());
}

static PyObject *claim(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyBool_FromLong(mailbox_claim());
}

static PyObject *fail(PyObject *module, PyObject *args) {
    (void)module;
    const char *text;
    Py_ssize_t nbytes;
    if (!PyArg_ParseTuple(args, "y#", &text, &nbytes)) return NULL;
    mailbox_fail(text, (uint32_t)(nbytes < MAILBOX_PROBLEM ? nbytes : MAILBOX_PROBLEM));
    Py_RETURN_NONE;
}

/* The GIL is kept on purpose: no Python code may run between the hooks and the dump, nor between the restore and the hooks. */
static PyObject *wait_for_verdict(PyObject *module, PyObject *args) {
    (void)module;
    int dumper = mailbox.dumper;
    if (!PyArg_ParseTuple(args, "|i", &dumper)) return NULL;
    mailbox.dumper = dumper;
    enum mailbox_verdict verdict = mailbox_wait();
    const char *payload = verdict == MAILBOX_RESTORED && mailbox.payload_bytes <= PAYLOAD_MAX ? (const char *)(uintptr_t)mailbox.payload : NULL;
    return Py_BuildValue("(iKKKy#)", (int)verdict, (unsigned long long)mailbox.bytes_written, (unsigned long long)mailbox.rank,
                         (unsigned long long)mailbox.size, payload ? payload : "", payload ? (Py_ssize_t)mailbox.payload_bytes : (Py_ssize_t)0);
}

static PyObject *problem(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyBytes_FromStringAndSize(mailbox.problem, (Py_ssize_t)strnlen(mailbox.problem, MAILBOX_PROBLEM));
}

static PyObject *end(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    mailbox_end();
    Py_RETURN_NONE;
}

static PyObject *at_ready(PyObject *module, PyObject *arg) {
    (void)module;
    int waits = PyObject_IsTrue(arg);
    if (waits < 0) return NULL;
    mailbox.flags = waits ? mailbox.flags | MAILBOX_AT_READY : mailbox.flags & ~(uint32_t)MAILBOX_AT_READY;
    return PyLong_FromUnsignedLong(mailbox.rounds);
}

static PyObject *rounds_after(PyObject *module, PyObject *arg) {
    (void)module;
    unsigned long before = PyLong_AsUnsignedLong(arg);
    if (PyErr_Occurred()) return NULL;
    Py_BEGIN_ALLOW_THREADS
    mailbox_sleep((uint32_t)before);
    Py_END_ALLOW_THREADS
    if (PyErr_CheckSignals() < 0) return NULL;
    return PyLong_FromUnsignedLong(__atomic_load_n(&mailbox.rounds, __ATOMIC_ACQUIRE));
}

static PyObject *place(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return Py_BuildValue("(Kn)", (unsigned long long)(uintptr_t)&mailbox, (Py_ssize_t)offsetof(struct mailbox, info));
}

PyMethodDef mailbox_functions[] = {
    {"mailbox_start", start, METH_VARARGS, "mailbox_start(signal, function): start the thread; function() is called in the main thread."},
    {"mailbox_stop", stop, METH_NOARGS, "mailbox_stop(): end the thread."},
    {"mailbox_reset", reset, METH_NOARGS, "mailbox_reset(): forget what was under way (in a forked child)."},
    {"mailbox_pend", pend, METH_NOARGS, "mailbox_pend() -> bool: have the function called soon."},
    {"mailbox_take", take, METH_NOARGS, "mailbox_take() -> bool: take the request that waits, if one does."},
    {"mailbox_claim", claim, METH_NOARGS, "mailbox_claim() -> bool: begin a round without a request."},
    {"mailbox_fail", fail, METH_VARARGS, "mailbox_fail(text): end the round, with the reason."},
    {"mailbox_wait", wait_for_verdict, METH_VARARGS,
     "mailbox_wait(dumper=that of the request) -> (verdict, bytes_written, rank, size, payload): wait with the GIL kept."},
    {"mailbox_problem", problem, METH_NOARGS, "mailbox_problem() -> bytes: what the dumper says went wrong."},
    {"mailbox_end", end, METH_NOARGS, "mailbox_end(): the round is over."},
    {"mailbox_at_ready", at_ready, METH_O, "mailbox_at_ready(waits) -> rounds: say whether the program waits to be dumped."},
    {"mailbox_rounds_after", rounds_after, METH_O, "mailbox_rounds_after(rounds) -> rounds: sleep until it changes, or a signal comes."},
    {"mailbox_place", place, METH_NOARGS, "mailbox_place() -> (address, offset of info)."},
    {NULL, NULL, 0, NULL},
};
