/* endpoint_copy.c: copies between the memory of two endpoints (vcopy), by address or by block.
 *
 * A copy of 64 KiB takes a few microseconds, so what stands before it counts: the usual forms, (endpoint, address) on one side
 * and a block of the caller on the other, are taken apart here. Everything else, wrong arguments too, goes to `_copy` of the
 * Python class, which can explain.
 */
#include "binding.h"

static struct endpoint *as_endpoint(PyObject *self) {
    return (struct endpoint *)self;
}

/* ---- where Linux refuses ----------------------------------------------------------------------------------------------- */

static PyObject *copy_fallback;

PyObject *set_copy_fallback(PyObject *module, PyObject *fallback) {
    (void)module;
    return exchange(&copy_fallback, fallback);
}

struct copier { struct endpoint *self; PyThreadState *thread; }; /* NULL: the only thread kept the GIL */

static int call_fallback(struct endpoint *self, const struct k_copy *c) {
    int64_t code = K_PERM;
    if (!copy_fallback) return K_PERM;
    PyObject *fallback = Py_NewRef(copy_fallback);
    PyObject *result = PyObject_CallFunction(fallback, "OIiKIiKK", (PyObject *)self, c->src_slot, c->src_pid, c->src_address,
                                             c->dst_slot, c->dst_pid, c->dst_address, c->bytes);
    if (result) to_integer(result, "the code of the copy fallback", -1000, 0, &code);
    Py_XDECREF(result);
    Py_DECREF(fallback);
    return (int)code;
}

/* The core copies without the GIL; asking Python needs it. An exception stays set, and is found when the copy is over. */
static int fallback_with_gil(void *context, const struct k_copy *copy) {
    struct copier *copier = context;
    if (copier->thread) PyEval_RestoreThread(copier->thread);
    int code = call_fallback(copier->self, copy);
    if (copier->thread) copier->thread = PyEval_SaveThread();
    return code;
}

/* ---- by address -------------------------------------------------------------------------------------------------------- */

static struct signature copy_raw_signature = {"copy_raw", 5, {
    ENDPOINT_PARAM("src"), ADDRESS_PARAM("src_address"), ENDPOINT_PARAM("dst"), ADDRESS_PARAM("dst_address"), ADDRESS_PARAM("nbytes"),
}, {NULL}};

/* True, or an exception is set. Between nodes it waits as any call does. */
static bool run_copy(struct endpoint *self, int32_t src, uint64_t src_address, int32_t dst, uint64_t dst_address, uint64_t nbytes) {
    struct copier copier = {self, NULL};
    struct k_copy copy = {.src_address = src_address, .dst_address = dst_address, .bytes = nbytes};
    struct k_call call;
    self->calls++;
    if (!only_thread()) copier.thread = PyEval_SaveThread();
    int code = k_copy_start(&self->handle, &call, &copy, src, dst, fallback_with_gil, &copier);
    if (copier.thread) PyEval_RestoreThread(copier.thread);
    if (code == K_BLOCKED) code = wait_for_call(self, &call);
    self->calls--;
    if (code == K_OK && !(copy_fallback && PyErr_Occurred())) return true; /* a handler that raised has set its exception, too */
    if (!PyErr_Occurred()) raise_code(self, "copy", code, code == K_SRCDIED ? &src : &dst);
    return false;
}

static PyObject *endpoint_copy_raw(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct endpoint *self = as_endpoint(object);
    union value v[PARAMS_MAX];
    if (!parse_args(&copy_raw_signature, args, nargs, kwnames, v) || !endpoint_usable(self, "copy")) return NULL;
    if (!run_copy(self, (int32_t)v[0].integer, v[1].address, (int32_t)v[2].integer, v[3].address, v[4].address)) return NULL;
    Py_RETURN_NONE;
}

/* ---- by block ------------------------------------------------------------------------------------------------------------ */

struct place { int32_t endpoint; uint64_t address, room; struct span *span; };

/* (endpoint, address), or a block that is held and, for a destination, writable. False, with no error set: something else. */
static bool plain_place(PyObject *object, bool written, struct place *place) {
    if (PyObject_TypeCheck(object, span_type)) {
        struct span *span = (struct span *)object;
        *place = (struct place){K_SELF, span->address, span->length, span};
        return span->held && !(written && span->readonly);
    }
    if (!PyTuple_CheckExact(object) || PyTuple_Size(object) != 2) return false;
    place->room = UINT64_MAX;
    place->span = NULL;
    if (to_int32(PyTuple_GetItem(object, 0), "endpoint", &place->endpoint)
        && to_address(PyTuple_GetItem(object, 1), "address", &place->address)) return true;
    PyErr_Clear();
    return false;
}

static bool plain_length(PyObject *nbytes, uint64_t room, uint64_t *length) {
    int64_t n;
    *length = room;
    if (!nbytes || nbytes == Py_None) return room != UINT64_MAX;
    if (!to_integer(nbytes, "nbytes", 0, INT64_MAX, &n)) {
        PyErr_Clear();
        return false;
    }
    *length = (uint64_t)n;
    return *length <= room;
}

static struct signature copy_signature = {"copy", 2, {OBJECT_PARAM("source"), OBJECT_PARAM("destination"), OBJECT_PARAM("nbytes")}, {NULL}};

static PyObject *endpoint_copy(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct endpoint *self = as_endpoint(object);
    struct place from, to;
    uint64_t length;
    PyObject *arg[PARAMS_MAX];
    if (!match_args(&copy_signature, args, nargs, kwnames, arg)) return NULL;
    if (!plain_place(arg[0], false, &from) || !plain_place(arg[1], true, &to)
        || !plain_length(arg[2], from.room < to.room ? from.room : to.room, &length)) {
        return PyObject_CallMethod(object, "_copy", "OOO", arg[0], arg[1], arg[2] ? arg[2] : Py_None);
    }
    if (!endpoint_usable(self, "copy")) return NULL;
    if (!run_copy(self, from.endpoint, from.address, to.endpoint, to.address, length)) return NULL;
    if (to.span && length == to.room) return span_length(to.span);
    return from.span && length == from.room ? span_length(from.span) : PyLong_FromUnsignedLongLong(length);
}

PyMethodDef endpoint_copy_methods[] = {
    {"copy", FASTCALL(endpoint_copy), "copy(source, destination, nbytes=None) -> int: copy bytes between the memory of two endpoints; a side is (endpoint, address) or a block."},
    {"copy_raw", FASTCALL(endpoint_copy_raw), "copy_raw(src, src_address, dst, dst_address, nbytes): copy between two address spaces."},
    {NULL, NULL, 0, NULL},
};
