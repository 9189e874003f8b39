/* bench.c: the yardsticks of csrc/bench for Python: shared buffers in, nanoseconds out, the GIL let go. */
#include "binding.h"

#if __has_include("../bench/pingpong.h")
#include "../bench/pingpong.h"
#include "bench.h"

#include <errno.h>

/* ---- buffers ---------------------------------------------------------------------------------------------------------- */

static bool take_buffer(PyObject *object, const char *name, Py_ssize_t at_least, Py_buffer *view) {
    if (PyObject_GetBuffer(object, view, PyBUF_WRITABLE) < 0) return false;
    if (view->len >= at_least) return true;
    PyErr_Format(PyExc_ValueError, "%s must have at least %zd bytes, not %zd", name, at_least, view->len);
    PyBuffer_Release(view);
    return false;
}

static bool take_shared(PyObject *object, Py_buffer *view) {
    if (!take_buffer(object, "shared", PINGPONG_BYTES, view)) return false;
    if ((uintptr_t)view->buf % PINGPONG_BYTES == 0) return true;
    PyErr_SetString(PyExc_ValueError, "shared must begin at a page");
    PyBuffer_Release(view);
    return false;
}

/* Room for `rounds` times, or no view at all (`obj` NULL) if none are wanted. */
static bool take_times(PyObject *object, int64_t rounds, Py_buffer *view) {
    *view = (Py_buffer){0};
    if (!object || object == Py_None) return true;
    if (!take_buffer(object, "times", (Py_ssize_t)rounds * 8, view)) return false;
    if ((uintptr_t)view->buf % 8 == 0) return true;
    PyErr_SetString(PyExc_ValueError, "times must be aligned to 8 bytes");
    PyBuffer_Release(view);
    return false;
}

static PyObject *nanoseconds(int64_t result) {
    if (result >= 0) return PyLong_FromLongLong(result);
    errno = (int)-result;
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* ---- ping-pong --------------------------------------------------------------------------------------------------------- */

#define SPIN_PARAM INT_PARAM("spin_us", 0, 1000000, 20)

static struct signature call_signature = {"pingpong_call", 2, {
    OBJECT_PARAM("shared"), INT_PARAM("rounds", 1, UINT32_MAX, 1), SPIN_PARAM, INT_PARAM("idle_us", 0, 1000000, 0), OBJECT_PARAM("times"),
}, {NULL}};

static PyObject *call(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    (void)module;
    union value v[PARAMS_MAX];
    Py_buffer shared, times;
    int64_t result;
    if (!parse_args(&call_signature, args, nargs, kwnames, v) || !take_shared(v[0].object, &shared)) return NULL;
    if (!take_times(v[4].object, v[1].integer, &times)) {
        PyBuffer_Release(&shared);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    result = pingpong_call(shared.buf, (uint32_t)v[1].integer, (uint32_t)v[2].integer, (uint32_t)v[3].integer, times.buf);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&shared);
    PyBuffer_Release(&times);
    return nanoseconds(result);
}

static struct signature serve_signature = {"pingpong_serve", 1, {OBJECT_PARAM("shared"), SPIN_PARAM}, {NULL}};

static PyObject *serve(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    (void)module;
    union value v[PARAMS_MAX];
    Py_buffer shared;
    int64_t result;
    if (!parse_args(&serve_signature, args, nargs, kwnames, v) || !take_shared(v[0].object, &shared)) return NULL;
    Py_BEGIN_ALLOW_THREADS
    result = pingpong_serve(shared.buf, (uint32_t)v[1].integer);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&shared);
    if (result < 0) return nanoseconds(result);
    Py_RETURN_NONE;
}

static PyObject *stop(PyObject *module, PyObject *object) {
    (void)module;
    Py_buffer shared;
    if (!take_shared(object, &shared)) return NULL;
    pingpong_stop(shared.buf);
    PyBuffer_Release(&shared);
    Py_RETURN_NONE;
}

/* ---- copy -------------------------------------------------------------------------------------------------------------- */

static struct signature raw_copy_signature = {"raw_copy", 4, {
    INT_PARAM("pid", 1, INT32_MAX, 0), ADDRESS_PARAM("address"), OBJECT_PARAM("buffer"), INT_PARAM("rounds", 1, UINT32_MAX, 1), OBJECT_PARAM("times"),
}, {NULL}};

static PyObject *copy(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    (void)module;
    union value v[PARAMS_MAX];
    Py_buffer local, times;
    int64_t result;
    if (!parse_args(&raw_copy_signature, args, nargs, kwnames, v) || !take_buffer(v[2].object, "buffer", 1, &local)) return NULL;
    if (!take_times(v[4].object, v[3].integer, &times)) {
        PyBuffer_Release(&local);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    result = raw_copy((int)v[0].integer, v[1].address, local.buf, (size_t)local.len, (uint32_t)v[3].integer, times.buf);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&local);
    PyBuffer_Release(&times);
    return nanoseconds(result);
}

PyMethodDef bench_functions[] = {
    {"pingpong_call", FASTCALL(call), "pingpong_call(shared, rounds, spin_us=20, idle_us=0, times=None) -> int: total ns of the bare C ping-pong."},
    {"pingpong_serve", FASTCALL(serve), "pingpong_serve(shared, spin_us=20): answer until pingpong_stop."},
    {"pingpong_stop", stop, METH_O, "pingpong_stop(shared): let pingpong_serve return."},
    {"raw_copy", FASTCALL(copy), "raw_copy(pid, address, buffer, rounds, times=None) -> int: total ns of process_vm_readv."},
    {NULL, NULL, 0, NULL},
};

#endif
