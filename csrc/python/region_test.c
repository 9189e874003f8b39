/* region_test.c: the kernel stepped by hand, for model-based tests: any slot acts, nobody sleeps.
 *
 * A step that blocks returns the code BLOCKED; the slots that a step made runnable are reported. The test decides who goes on
 * when: finish() reads how a blocked call ended, cancel() gives it up.
 */
#include "binding.h"

#include <string.h>

#define ME_PARAM INT_PARAM("me", 0, UINT32_MAX, 0)

#define WITHOUT_GIL(statement) \
    Py_BEGIN_ALLOW_THREADS \
    statement; \
    Py_END_ALLOW_THREADS

static struct region *as_region(PyObject *self) {
    return (struct region *)self;
}

PyObject *wakes_list(const struct k_wakes *wakes) {
    PyObject *list = PyList_New((Py_ssize_t)wakes->n);
    for (uint32_t i = 0; list && i < wakes->n; i++) {
        PyObject *slot = PyLong_FromUnsignedLong(wakes->slot[i]);
        if (!slot || PyList_SetItem(list, (Py_ssize_t)i, slot) < 0) Py_CLEAR(list);
    }
    return list;
}

static PyObject *code_and_wakes(int code, const struct k_wakes *wakes) {
    return Py_BuildValue("(iN)", code, wakes_list(wakes));
}

/* Parse; the first argument is the slot that acts: a member's or a kernel slot. */
static bool parse_step(struct signature *s, PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, union value *v) {
    if (!parse_args(s, args, nargs, kwnames, v) || !region_writable(as_region(self))) return false;
    uint32_t actors = as_region(self)->r.members + K_KERNEL_SLOTS;
    if (v[0].integer < actors) return true;
    PyErr_Format(PyExc_ValueError, "me must be below %u, not %lld", actors, (long long)v[0].integer);
    return false;
}

/* ---- step ----------------------------------------------------------------------------------------------------------- */

static struct signature step_signature = {"step", 3, {
    ME_PARAM, INT_PARAM("op", 0, 63, 0), ENDPOINT_PARAM("peer"), OBJECT_PARAM("message"), INT_PARAM("flags", 0, UINT32_MAX, 0),
    INT_PARAM("answers", 0, UINT32_MAX, 0), INT_PARAM("value", 0, UINT32_MAX, 0), INT_PARAM("as_p_nr", INT32_MIN, INT32_MAX, INT32_MIN),
    ADDRESS_PARAM("now_ns"), OBJECT_PARAM("trace"),
}, {NULL}};

static bool copy_bytes_in(PyObject *object, const char *name, void *to, Py_ssize_t size) {
    Py_buffer view;
    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) < 0) return false;
    bool fits = view.len <= size;
    if (fits) memcpy(to, view.buf, (size_t)view.len);
    else PyErr_Format(PyExc_ValueError, "%s takes at most %zd bytes, not %zd", name, size, view.len);
    PyBuffer_Release(&view);
    return fits;
}

static bool prepare_step(struct k_call *call, struct k_message *message, const union value *v) {
    *call = (struct k_call){
        .op = (uint32_t)v[1].integer, .peer = (int32_t)v[2].integer, .flags = (uint32_t)v[4].integer, .answers = (uint32_t)v[5].integer,
        .value = (uint32_t)v[6].integer, .as_p_nr = (int32_t)v[7].integer, .now_ns = v[8].address, .message = message,
    };
    if (v[3].object && v[3].object != Py_None && !copy_bytes_in(v[3].object, "message", message, sizeof *message)) return false;
    if (!v[9].object || v[9].object == Py_None) return true;
    call->flags |= K_CALL_TRACE;
    return copy_bytes_in(v[9].object, "trace", call->trace, sizeof call->trace);
}

/* What a call delivered into a Message given to step or finish. */
static void fill_message(PyObject *object, const struct k_call *call) {
    if (!object || !is_message(object)) return;
    struct message *message = (struct message *)object;
    message->m = *call->message;
    message->in_flags = call->in_flags;
    message->in_call = call->in_call;
    if (call->in_flags & K_IN_TRACE) memcpy(message->trace, call->trace, sizeof call->trace);
}

static PyObject *region_step(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    union value v[PARAMS_MAX];
    struct k_call call;
    struct k_message message = {0};
    struct k_wakes wakes = {0};
    int code;
    if (!parse_step(&step_signature, object, args, nargs, kwnames, v) || !prepare_step(&call, &message, v)) return NULL;
    WITHOUT_GIL(code = k_step(&as_region(object)->r, (uint32_t)v[0].integer, &call, &wakes))
    if (code == K_OK && (call.op == K_RECEIVE || call.op == K_RCVRQST)) fill_message(v[3].object, &call);
    return code_and_wakes(code, &wakes);
}

/* ---- how it ends ----------------------------------------------------------------------------------------------------- */

static struct signature finish_signature = {"finish", 1, {ME_PARAM, INT_PARAM("op", 0, 63, K_RECEIVE), OBJECT_PARAM("message")}, {NULL}};

static PyObject *region_finish(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    union value v[PARAMS_MAX];
    struct k_message message = {0};
    if (!parse_step(&finish_signature, object, args, nargs, kwnames, v)) return NULL;
    struct k_call call = {.op = (uint32_t)v[1].integer, .message = &message};
    int code = k_step_finish(&as_region(object)->r, (uint32_t)v[0].integer, &call);
    if (code == K_OK) fill_message(v[2].object, &call);
    return Py_BuildValue("(iy#II)", code, (const char *)&message, (Py_ssize_t)sizeof message, call.in_flags, call.in_call);
}

static struct signature cancel_signature = {"cancel", 2, {ME_PARAM, INT_PARAM("verdict", -4095, 0, 0)}, {NULL}};

static PyObject *region_cancel(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    union value v[PARAMS_MAX];
    struct k_wakes wakes = {0};
    int code;
    if (!parse_step(&cancel_signature, object, args, nargs, kwnames, v)) return NULL;
    WITHOUT_GIL(code = k_step_cancel(&as_region(object)->r, (uint32_t)v[0].integer, (int)v[1].integer, &wakes))
    return code_and_wakes(code, &wakes);
}

/* ---- unbind, wakeup ---------------------------------------------------------------------------------------------------- */

static struct signature step_unbind_signature = {"step_unbind", 3, {
    ME_PARAM, INT_PARAM("slot", 0, UINT32_MAX, 0), INT_PARAM("incarnation", 0, UINT32_MAX, 0),
    INT_PARAM("verdict", -4095, 0, K_SHUTDOWN), OBJECT_PARAM("force"), INT_PARAM("lock_ms", 0, INT32_MAX, 1000),
}, {NULL}};

static PyObject *region_step_unbind(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    union value v[PARAMS_MAX];
    struct k_wakes wakes = {0};
    struct k_region *r = &as_region(object)->r;
    int code;
    if (!parse_step(&step_unbind_signature, object, args, nargs, kwnames, v)) return NULL;
    int force = v[4].object ? PyObject_IsTrue(v[4].object) : 0;
    if (force < 0) return NULL;
    if (v[1].integer >= r->members) return PyErr_Format(PyExc_ValueError, "slot must be below %u, not %lld", r->members, (long long)v[1].integer);
    WITHOUT_GIL(code = k_step_unbind(r, (uint32_t)v[0].integer, (uint32_t)v[1].integer, (uint32_t)v[2].integer, (int)v[3].integer, force != 0, (int)v[5].integer, &wakes))
    return code_and_wakes(code, &wakes);
}

static struct signature step_wakeup_signature = {"step_wakeup", 2, {ME_PARAM, ENDPOINT_PARAM("endpoint"), INT_PARAM("lock_ms", 0, INT32_MAX, 1000)}, {NULL}};

static PyObject *region_step_wakeup(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    union value v[PARAMS_MAX];
    struct k_wakes wakes = {0};
    int code;
    if (!parse_step(&step_wakeup_signature, object, args, nargs, kwnames, v)) return NULL;
    WITHOUT_GIL(code = k_step_wakeup(&as_region(object)->r, (uint32_t)v[0].integer, (int32_t)v[1].integer, (int)v[2].integer, &wakes))
    return code_and_wakes(code, &wakes);
}

/* ---- copy -------------------------------------------------------------------------------------------------------------- */

static struct signature copy_begin_signature = {"copy_begin", 4, {ME_PARAM, ENDPOINT_PARAM("src"), ENDPOINT_PARAM("dst"), ADDRESS_PARAM("nbytes")}, {NULL}};

static PyObject *region_copy_begin(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    union value v[PARAMS_MAX];
    uint32_t src = 0, dst = 0;
    int code;
    if (!parse_step(&copy_begin_signature, object, args, nargs, kwnames, v)) return NULL;
    WITHOUT_GIL(code = k_step_copy_begin(&as_region(object)->r, (uint32_t)v[0].integer, (int32_t)v[1].integer, (int32_t)v[2].integer, v[3].address, &src, &dst))
    return Py_BuildValue("(iII)", code, src, dst);
}

static struct signature copy_end_signature = {"copy_end", 1, {ME_PARAM}, {NULL}};

static PyObject *region_copy_end(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    union value v[PARAMS_MAX];
    struct k_wakes wakes = {0};
    int code;
    if (!parse_step(&copy_end_signature, object, args, nargs, kwnames, v)) return NULL;
    WITHOUT_GIL(code = k_step_copy_end(&as_region(object)->r, (uint32_t)v[0].integer, &wakes))
    return code_and_wakes(code, &wakes);
}

static struct signature copy_far_signature = {"copy_far", 6, {
    ME_PARAM, ENDPOINT_PARAM("src"), ADDRESS_PARAM("src_address"), ENDPOINT_PARAM("dst"), ADDRESS_PARAM("dst_address"), ADDRESS_PARAM("nbytes"),
}, {NULL}};

static PyObject *region_copy_far(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    union value v[PARAMS_MAX];
    struct k_wakes wakes = {0};
    int code;
    if (!parse_step(&copy_far_signature, object, args, nargs, kwnames, v)) return NULL;
    WITHOUT_GIL(code = k_step_copy_far(&as_region(object)->r, (uint32_t)v[0].integer, (int32_t)v[1].integer, v[2].address, (int32_t)v[3].integer, v[4].address, v[5].address, &wakes))
    return code_and_wakes(code, &wakes);
}

/* ---- table --------------------------------------------------------------------------------------------------------------- */

PyMethodDef region_test_methods[] = {
    {"step", FASTCALL(region_step), "step(me, op, peer, message=b'', **fields) -> (code, wakes): one IPC operation, without sleeping."},
    {"finish", FASTCALL(region_finish), "finish(me, op=RECEIVE, message=None) -> (code, message, in_flags, in_call): how a blocked call ended."},
    {"cancel", FASTCALL(region_cancel), "cancel(me, verdict) -> (code, wakes): give up a blocked call."},
    {"step_unbind", FASTCALL(region_step_unbind), "step_unbind(me, slot, incarnation, verdict=SHUTDOWN, force=False) -> (code, wakes): one step."},
    {"step_wakeup", FASTCALL(region_step_wakeup), "step_wakeup(me, endpoint) -> (code, wakes)"},
    {"copy_begin", FASTCALL(region_copy_begin), "copy_begin(me, src, dst, nbytes) -> (code, src_slot, dst_slot)"},
    {"copy_far", FASTCALL(region_copy_far), "copy_far(me, src, src_address, dst, dst_address, nbytes) -> (code, wakes): ask for a copy between nodes."},
    {"copy_end", FASTCALL(region_copy_end), "copy_end(me) -> (code, wakes)"},
    {NULL, NULL, 0, NULL},
};
