/* region_manage.c: what noded does to a VM, through the Region's kernel slot. Each method is one call of the core.
 *
 * They return the core's codes. `lock_ms` bounds the wait for the VM's lock (code TIMEDOUT), so that a stopped process cannot
 * stop noded; the GIL is let go meanwhile.
 */
#include "binding.h"

#include "../core/region.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOCK_MS_PARAM INT_PARAM("lock_ms", 0, INT32_MAX, 1000)
#define SLOT_PARAM INT_PARAM("slot", 0, UINT32_MAX, 0)
#define INCARNATION_PARAM INT_PARAM("incarnation", 0, UINT32_MAX, 0)

#define WITHOUT_GIL(statement) \
    Py_BEGIN_ALLOW_THREADS \
    statement; \
    Py_END_ALLOW_THREADS

static struct region *as_region(PyObject *self) {
    return (struct region *)self;
}

/* Parse for a method that writes. */
static bool parse_for(struct signature *s, PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, union value *v) {
    return parse_args(s, args, nargs, kwnames, v) && region_writable(as_region(self));
}

static bool check_slot(const struct region *self, int64_t slot) {
    if (slot < self->r.members) return true;
    PyErr_Format(PyExc_ValueError, "slot must be below %u, not %lld", self->r.members, (long long)slot);
    return false;
}

/* ---- bind, unbind ----------------------------------------------------------------------------------------------------- */

static struct signature bind_signature = {"bind", 7, {
    SLOT_PARAM, INT_PARAM("pid", INT32_MIN, INT32_MAX, 0), INT_PARAM("tid", INT32_MIN, INT32_MAX, 0), INT_PARAM("node", INT32_MIN, INT32_MAX, 0),
    INT_PARAM("kind", K_BIND_LOCAL, K_BIND_BACKUP, K_BIND_LOCAL), ENDPOINT_PARAM("want_endpoint"), OBJECT_PARAM("name"), LOCK_MS_PARAM,
}, {NULL}};

static PyObject *region_bind(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct region *self = as_region(object);
    union value v[PARAMS_MAX];
    int code;
    if (!parse_for(&bind_signature, object, args, nargs, kwnames, v) || !check_slot(self, v[0].integer)) return NULL;
    struct k_bind bind = {
        .slot = (uint32_t)v[0].integer, .pid = (int32_t)v[1].integer, .tid = (int32_t)v[2].integer, .node = (int32_t)v[3].integer,
        .kind = (uint32_t)v[4].integer, .want_endpoint = (int32_t)v[5].integer,
    };
    if (!to_name(v[6].object, "name", bind.name)) return NULL;
    WITHOUT_GIL(code = k_step_bind(&self->r, self->kernel_slot, &bind, (int)v[7].integer))
    return Py_BuildValue("(iiI)", code, (int)bind.endpoint, bind.incarnation);
}

static struct signature unbind_signature = {"unbind", 2, {
    SLOT_PARAM, INCARNATION_PARAM, INT_PARAM("verdict", -4095, 0, K_SHUTDOWN), OBJECT_PARAM("force"), LOCK_MS_PARAM,
}, {NULL}};

static PyObject *region_unbind(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct region *self = as_region(object);
    union value v[PARAMS_MAX];
    int code;
    if (!parse_for(&unbind_signature, object, args, nargs, kwnames, v) || !check_slot(self, v[0].integer)) return NULL;
    int force = v[3].object ? PyObject_IsTrue(v[3].object) : 0;
    if (force < 0) return NULL;
    WITHOUT_GIL(code = k_unbind(&self->r, self->kernel_slot, (uint32_t)v[0].integer, (uint32_t)v[1].integer, (int)v[2].integer, force != 0, (int)v[4].integer))
    return PyLong_FromLong(code);
}

/* ---- wakeup, notify, end, debts ------------------------------------------------------------------------------------------ */

static struct signature wakeup_signature = {"wakeup", 1, {ENDPOINT_PARAM("endpoint"), LOCK_MS_PARAM}, {NULL}};

static PyObject *region_wakeup(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct region *self = as_region(object);
    union value v[PARAMS_MAX];
    int code;
    if (!parse_for(&wakeup_signature, object, args, nargs, kwnames, v)) return NULL;
    WITHOUT_GIL(code = k_step_wakeup(&self->r, self->kernel_slot, (int32_t)v[0].integer, (int)v[1].integer, NULL))
    return PyLong_FromLong(code);
}

static struct signature notify_signature = {"notify", 2, {
    INT_PARAM("as_p_nr", INT32_MIN + 1, INT32_MAX, 0), ENDPOINT_PARAM("dst"), INT_PARAM("value", 0, UINT32_MAX, 0), LOCK_MS_PARAM,
}, {NULL}};

static PyObject *region_notify(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct region *self = as_region(object);
    union value v[PARAMS_MAX];
    struct timespec now;
    int code;
    if (!parse_for(&notify_signature, object, args, nargs, kwnames, v)) return NULL;
    clock_gettime(CLOCK_REALTIME, &now);
    struct k_call call = {
        .op = K_NOTIFY, .as_p_nr = (int32_t)v[0].integer, .peer = (int32_t)v[1].integer, .value = (uint32_t)v[2].integer,
        .now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
    };
    WITHOUT_GIL(code = k_step_within(&self->r, self->kernel_slot, &call, (int)v[3].integer, NULL))
    return PyLong_FromLong(code);
}

static struct signature end_signature = {"end", 1, {INT_PARAM("state", K_VM_RUNNING, K_VM_CORRUPT, 0)}, {NULL}};

static PyObject *region_end(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    union value v[PARAMS_MAX];
    if (!parse_for(&end_signature, object, args, nargs, kwnames, v)) return NULL;
    if (v[0].integer != K_VM_ENDED && v[0].integer != K_VM_CORRUPT) {
        return PyErr_Format(PyExc_ValueError, "state must be VM_ENDED or VM_CORRUPT, not %lld", (long long)v[0].integer);
    }
    WITHOUT_GIL(k_vm_end(&as_region(object)->r, (uint32_t)v[0].integer))
    Py_RETURN_NONE;
}

static struct signature pay_debts_signature = {"pay_debts", 0, {INT_PARAM("slot", -1, UINT32_MAX, -1)}, {NULL}};

static PyObject *region_pay_debts(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct region *self = as_region(object);
    union value v[PARAMS_MAX];
    if (!parse_for(&pay_debts_signature, object, args, nargs, kwnames, v)) return NULL;
    uint32_t slot = v[0].integer < 0 ? self->kernel_slot : (uint32_t)v[0].integer;
    if (slot >= self->r.slots && !check_slot(self, slot)) return NULL;
    WITHOUT_GIL(k_pay_debts(&self->r, slot))
    Py_RETURN_NONE;
}

/* ---- routes -------------------------------------------------------------------------------------------------------------- */

static struct signature set_route_signature = {"set_route", 2, {INT_PARAM("node", 0, INT32_MAX, 0), INT_PARAM("word", 0, UINT32_MAX, 0), LOCK_MS_PARAM}, {NULL}};

static PyObject *region_set_route(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct region *self = as_region(object);
    union value v[PARAMS_MAX];
    int code;
    if (!parse_for(&set_route_signature, object, args, nargs, kwnames, v)) return NULL;
    WITHOUT_GIL(code = k_step_route(&self->r, self->kernel_slot, (uint32_t)v[0].integer, (uint32_t)v[1].integer, (int)v[2].integer))
    return PyLong_FromLong(code);
}

static struct signature route_of_signature = {"route_of", 1, {INT_PARAM("node", INT32_MIN, INT32_MAX, 0)}, {NULL}};

static PyObject *region_route_of(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    const struct k_region *r = &as_region(object)->r;
    union value v[PARAMS_MAX];
    if (!parse_args(&route_of_signature, args, nargs, kwnames, v)) return NULL;
    bool there = as_region(object)->map && v[0].integer >= 0 && v[0].integer < r->limits.nr_nodes;
    uint32_t word = there ? __atomic_load_n(k_route_at(r, (uint32_t)v[0].integer), __ATOMIC_RELAXED) : 0;
    return Py_BuildValue("(Ii)", word, there ? k_route_code(r, v[0].integer) : K_BADNODEID);
}

static struct signature cut_signature = {"cut", 2, {
    INT_PARAM("node", 0, INT32_MAX, 0), INT_PARAM("code", -4095, -1, 0), OBJECT_PARAM("unbind"), LOCK_MS_PARAM,
}, {NULL}};

static PyObject *region_cut(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct region *self = as_region(object);
    union value v[PARAMS_MAX];
    int code;
    if (!parse_for(&cut_signature, object, args, nargs, kwnames, v)) return NULL;
    int unbind = v[2].object ? PyObject_IsTrue(v[2].object) : 0;
    if (unbind < 0) return NULL;
    WITHOUT_GIL(code = k_cut(&self->r, self->kernel_slot, (uint32_t)v[0].integer, (int)v[1].integer, unbind != 0, (int)v[3].integer))
    return PyLong_FromLong(code);
}

static struct signature bury_proxies_signature = {"bury_proxies", 1, {INT_PARAM("px", 0, INT32_MAX, 0), LOCK_MS_PARAM}, {NULL}};

static PyObject *region_bury_proxies(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct region *self = as_region(object);
    union value v[PARAMS_MAX];
    int code;
    if (!parse_for(&bury_proxies_signature, object, args, nargs, kwnames, v)) return NULL;
    WITHOUT_GIL(code = k_bury_proxies(&self->r, self->kernel_slot, (uint32_t)v[0].integer, (int)v[1].integer))
    return PyLong_FromLong(code);
}

/* ---- snapshot ----------------------------------------------------------------------------------------------------------- */

static struct signature snapshot_signature = {"snapshot", 1, {SLOT_PARAM, LOCK_MS_PARAM}, {NULL}};

static bool put(PyObject *dict, const char *key, PyObject *value) {
    bool ok = value && PyDict_SetItemString(dict, key, value) == 0;
    Py_XDECREF(value);
    return ok;
}

static bool put_signed(PyObject *dict, const char *key, int32_t value) {
    return put(dict, key, PyLong_FromLong(value));
}

static bool put_word(PyObject *dict, const char *key, uint32_t value) {
    return put(dict, key, PyLong_FromUnsignedLong(value));
}

static bool put_identity(PyObject *dict, const struct k_slot *s, int32_t p_nr) {
    return put_signed(dict, "p_nr", p_nr) && put_signed(dict, "endpoint", s->endpoint) && put_signed(dict, "pid", s->pid)
        && put_signed(dict, "tid", s->tid) && put_signed(dict, "node", s->node) && put_word(dict, "incarnation", s->incarnation) && put_word(dict, "remote_incarnation", s->remote_incarnation)
        && put_word(dict, "generation", s->generation) && put_word(dict, "bkup_of", s->bkup_of)
        && put(dict, "name", PyUnicode_DecodeUTF8(s->name, (Py_ssize_t)strnlen(s->name, K_NAME_BYTES), "replace"));
}

static bool put_state(PyObject *dict, const struct k_slot *s) {
    return put_word(dict, "rts", s->rts & K_RTS_VISIBLE) && put_word(dict, "rts_all", s->rts) && put_word(dict, "misc", s->misc)
        && put_signed(dict, "getfrom", s->getfrom) && put_signed(dict, "sendto", s->sendto) && put_word(dict, "call", s->call)
        && put_word(dict, "seq", s->seq) && put_word(dict, "waiting", s->waiting) && put_word(dict, "cpu", s->cpu & ~K_CPU_FAR)
        && put_word(dict, "last_peer", s->last_peer) && put_word(dict, "restricted", s->restricted) && put_word(dict, "notes_out", s->notes_out);
}

static bool put_counters(PyObject *dict, const struct k_slot *s) {
    return put_word(dict, "sent_local", s->sent_local) && put_word(dict, "sent_remote", s->sent_remote)
        && put_word(dict, "copied_local", s->copied_local) && put_word(dict, "copied_remote", s->copied_remote);
}

static PyObject *region_snapshot(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct region *self = as_region(object);
    union value v[PARAMS_MAX];
    struct k_slot copy;
    int code;
    if (!parse_for(&snapshot_signature, object, args, nargs, kwnames, v) || !check_slot(self, v[0].integer)) return NULL;
    WITHOUT_GIL(code = k_step_snapshot(&self->r, self->kernel_slot, (uint32_t)v[0].integer, &copy, (int)v[1].integer))
    if (code != K_OK) return PyLong_FromLong(code);
    PyObject *dict = PyDict_New();
    int32_t p_nr = (int32_t)v[0].integer - (int32_t)self->r.limits.nr_tasks;
    if (dict && !(put_identity(dict, &copy, p_nr) && put_state(dict, &copy) && put_counters(dict, &copy))) Py_CLEAR(dict);
    return dict;
}

/* ---- privileges ------------------------------------------------------------------------------------------------------------ */

enum { MAP_WORDS_MAX = 32 };

/* Maps are bit i = system slot with id i: Python sees one integer of any size. */
static PyObject *map_to_int(const uint64_t *map, uint32_t words) {
    return PyObject_CallMethod((PyObject *)&PyLong_Type, "from_bytes", "y#s", (const char *)map, (Py_ssize_t)words * 8, "little");
}

static bool map_from_int(PyObject *number, const char *name, uint64_t *map, uint32_t words) {
    PyObject *bytes = PyLong_Check(number) ? PyObject_CallMethod(number, "to_bytes", "Is", words * 8, "little") : NULL;
    if (bytes) {
        memcpy(map, PyBytes_AsString(bytes), (size_t)words * 8);
        Py_DECREF(bytes);
        return true;
    }
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_OverflowError)) return false;
    bool overflow = PyErr_Occurred() != NULL;
    PyErr_Clear();
    PyErr_Format(overflow ? PyExc_OverflowError : PyExc_TypeError, "%s must be an integer of at most %u bits, 0 or more", name, words * 64);
    return false;
}

static struct signature getpriv_signature = {"getpriv", 1, {SLOT_PARAM, LOCK_MS_PARAM}, {NULL}};

static PyObject *region_getpriv(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct region *self = as_region(object);
    union value v[PARAMS_MAX];
    uint64_t from[MAP_WORDS_MAX], to[MAP_WORDS_MAX];
    struct k_priv_view view = {.ipc_from = from, .ipc_to = to};
    int code;
    if (!parse_for(&getpriv_signature, object, args, nargs, kwnames, v) || !check_slot(self, v[0].integer)) return NULL;
    WITHOUT_GIL(code = k_step_getpriv(&self->r, self->kernel_slot, (uint32_t)v[0].integer, &view, (int)v[1].integer))
    if (code != K_OK) return PyLong_FromLong(code);
    return Py_BuildValue("(IiiIKKNN)", view.id, (int)view.warn, (int)view.level, view.traps, (unsigned long long)view.calls,
                         (unsigned long long)view.alarm, map_to_int(from, self->r.map_words), map_to_int(to, self->r.map_words));
}

static bool item_integer(PyObject *tuple, Py_ssize_t i, const char *name, int64_t min, int64_t max, int64_t *out) {
    return to_integer(PyTuple_GetItem(tuple, i), name, min, max, out);
}

static bool to_priv(PyObject *tuple, struct k_priv_view *view, uint32_t words) {
    int64_t id, warn, level, traps;
    if (!item_integer(tuple, 0, "id", 0, UINT32_MAX, &id) || !item_integer(tuple, 1, "warn", INT32_MIN, INT32_MAX, &warn)
        || !item_integer(tuple, 2, "level", INT32_MIN, INT32_MAX, &level) || !item_integer(tuple, 3, "traps", 0, UINT32_MAX, &traps)) return false;
    view->id = (uint32_t)id;
    view->warn = (int32_t)warn;
    view->level = (int32_t)level;
    view->traps = (uint32_t)traps;
    return to_address(PyTuple_GetItem(tuple, 4), "calls", &view->calls) && to_address(PyTuple_GetItem(tuple, 5), "alarm_ns", &view->alarm)
        && map_from_int(PyTuple_GetItem(tuple, 6), "ipc_from", view->ipc_from, words)
        && map_from_int(PyTuple_GetItem(tuple, 7), "ipc_to", view->ipc_to, words);
}

static struct signature setpriv_signature = {"setpriv", 3, {SLOT_PARAM, INCARNATION_PARAM, OBJECT_PARAM("privileges"), LOCK_MS_PARAM}, {NULL}};

static PyObject *region_setpriv(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct region *self = as_region(object);
    union value v[PARAMS_MAX];
    uint64_t from[MAP_WORDS_MAX], to[MAP_WORDS_MAX];
    struct k_priv_view view = {.ipc_from = from, .ipc_to = to};
    int code;
    if (!parse_for(&setpriv_signature, object, args, nargs, kwnames, v) || !check_slot(self, v[0].integer)) return NULL;
    PyObject *tuple = v[2].object;
    if (!PyTuple_Check(tuple) || PyTuple_Size(tuple) != 8) {
        return PyErr_Format(PyExc_TypeError, "privileges must be a tuple (id, warn, level, traps, calls, alarm_ns, ipc_from, ipc_to), not %R", tuple);
    }
    if (!to_priv(tuple, &view, self->r.map_words)) return NULL;
    WITHOUT_GIL(code = k_step_setpriv(&self->r, self->kernel_slot, (uint32_t)v[0].integer, (uint32_t)v[1].integer, &view, (int)v[3].integer))
    return PyLong_FromLong(code);
}

/* ---- audit and the lock ------------------------------------------------------------------------------------------------------ */

enum { FINDINGS_MAX = 256, FINDING_BYTES = 160 };

/* The core reports under the VM's lock, where nothing of Python may run: text is kept here until the lock is free. */
struct findings { uint32_t n; char text[FINDINGS_MAX][FINDING_BYTES]; };

static void add_finding(void *context, const char *text) {
    struct findings *findings = context;
    if (findings->n == FINDINGS_MAX) return;
    char *to = findings->text[findings->n++];
    strncpy(to, text, FINDING_BYTES - 1);
    to[FINDING_BYTES - 1] = 0;
}

static PyObject *findings_list(const struct findings *findings, int count) {
    PyObject *list = PyList_New(0);
    for (uint32_t i = 0; list && i < findings->n; i++) {
        PyObject *text = PyUnicode_DecodeUTF8(findings->text[i], (Py_ssize_t)strlen(findings->text[i]), "replace");
        if (!text || PyList_Append(list, text) < 0) Py_CLEAR(list);
        Py_XDECREF(text);
    }
    if (!list || count >= 0) return list;
    PyObject *text = PyUnicode_FromFormat("the audit could not be made: code %d", count);
    if (!text || PyList_Append(list, text) < 0) Py_CLEAR(list);
    Py_XDECREF(text);
    return list;
}

static struct signature audit_signature = {"audit", 0, {LOCK_MS_PARAM}, {NULL}};

static PyObject *region_audit(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct region *self = as_region(object);
    union value v[PARAMS_MAX];
    int count;
    if (!parse_for(&audit_signature, object, args, nargs, kwnames, v)) return NULL;
    struct findings *findings = malloc(sizeof *findings);
    if (!findings) return PyErr_NoMemory();
    findings->n = 0;
    WITHOUT_GIL(count = k_audit(&self->r, self->kernel_slot, add_finding, findings, (int)v[0].integer))
    PyObject *list = findings_list(findings, count);
    free(findings);
    return list;
}

static PyObject *region_holder(PyObject *object, PyObject *unused) {
    (void)unused;
    if (!as_region(object)->map) return region_writable(as_region(object)) ? NULL : NULL;
    struct k_holder holder = k_lock_holder(&as_region(object)->r);
    return Py_BuildValue("(IIN)", holder.tid, holder.epoch, PyBool_FromLong(holder.died));
}

static struct signature lock_break_signature = {"lock_break", 1, {INT_PARAM("seen_tid", 0, UINT32_MAX, 0)}, {NULL}};

static PyObject *region_lock_break(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct region *self = as_region(object);
    union value v[PARAMS_MAX];
    int code;
    if (!parse_for(&lock_break_signature, object, args, nargs, kwnames, v)) return NULL;
    WITHOUT_GIL(code = k_lock_break(&self->r, self->kernel_slot, (uint32_t)v[0].integer))
    return PyLong_FromLong(code);
}

/* ---- endpoint arithmetic -------------------------------------------------------------------------------------------------------- */

static struct signature encode_signature = {"encode", 2, {SLOT_PARAM, INT_PARAM("generation", 0, INT32_MAX, 0)}, {NULL}};

static PyObject *region_encode(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct region *self = as_region(object);
    union value v[PARAMS_MAX];
    if (!parse_args(&encode_signature, args, nargs, kwnames, v) || !check_slot(self, v[0].integer)) return NULL;
    int64_t last = INT32_MAX / (int64_t)self->r.gen_size - 1;
    if (v[1].integer > last) return PyErr_Format(PyExc_ValueError, "generation must be at most %lld, not %lld", (long long)last, (long long)v[1].integer);
    return PyLong_FromLong(k_endpoint_encode(&self->r, (uint32_t)v[0].integer, (uint32_t)v[1].integer));
}

static struct signature decode_signature = {"decode", 1, {ENDPOINT_PARAM("endpoint")}, {NULL}};

static PyObject *region_decode(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct region *self = as_region(object);
    union value v[PARAMS_MAX];
    uint32_t slot;
    if (!parse_args(&decode_signature, args, nargs, kwnames, v)) return NULL;
    if (!self->map || !k_endpoint_decode(&self->r, (int32_t)v[0].integer, &slot)) Py_RETURN_NONE;
    return PyLong_FromUnsignedLong(slot);
}

/* ---- table ---------------------------------------------------------------------------------------------------------------------- */

PyMethodDef region_manage_methods[] = {
    {"bind", FASTCALL(region_bind), "bind(slot, pid, tid, node, kind, want_endpoint, name, lock_ms=1000) -> (code, endpoint, incarnation)"},
    {"unbind", FASTCALL(region_unbind), "unbind(slot, incarnation, verdict=SHUTDOWN, force=False, lock_ms=1000) -> code"},
    {"wakeup", FASTCALL(region_wakeup), "wakeup(endpoint, lock_ms=1000) -> code"},
    {"notify", FASTCALL(region_notify), "notify(as_p_nr, dst, value=0, lock_ms=1000) -> code"},
    {"end", FASTCALL(region_end), "end(state): the VM is over; everyone in it wakes."},
    {"pay_debts", FASTCALL(region_pay_debts), "pay_debts(slot=own): wake those whom that slot was about to wake."},
    {"set_route", FASTCALL(region_set_route), "set_route(node, word, lock_ms=1000) -> code: ROUTE_VM, ROUTE_CONNECTED, proxy pair + 1 from bit 16 on."},
    {"route_of", FASTCALL(region_route_of), "route_of(node) -> (word, code): the route, and whether calls to the node can be made."},
    {"cut", FASTCALL(region_cut), "cut(node, code, unbind=False, lock_ms=1000) -> code: end all that is under way with a node."},
    {"bury_proxies", FASTCALL(region_bury_proxies), "bury_proxies(px, lock_ms=1000) -> code: finish what a dead pair of proxies had begun."},
    {"snapshot", FASTCALL(region_snapshot), "snapshot(slot, lock_ms=1000) -> dict | code: one consistent copy of a slot."},
    {"getpriv", FASTCALL(region_getpriv), "getpriv(slot, lock_ms=1000) -> (id, warn, level, traps, calls, alarm_ns, ipc_from, ipc_to) | code"},
    {"setpriv", FASTCALL(region_setpriv), "setpriv(slot, incarnation, privileges, lock_ms=1000) -> code"},
    {"audit", FASTCALL(region_audit), "audit(lock_ms=1000) -> list of every invariant that does not hold."},
    {"holder", region_holder, METH_NOARGS, "holder() -> (tid, epoch, died): who holds the lock."},
    {"lock_break", FASTCALL(region_lock_break), "lock_break(seen_tid) -> code: take the lock from a word that names no holder."},
    {"encode", FASTCALL(region_encode), "encode(slot, generation) -> endpoint"},
    {"decode", FASTCALL(region_decode), "decode(endpoint) -> slot | None"},
    {NULL, NULL, 0, NULL},
};
