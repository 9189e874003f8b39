/* proxy.c: the type Proxy: one pair of proxies: takes what VMs have for other nodes, puts what came from there.
 *
 * It serves any number of VMs, each with a k_proxy of its own, and looks at them in turn. The GIL is kept: but for a lock that is
 * held up by a stopped process nothing here takes longer than the copying of the bytes.
 */
#include "binding.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../core/command.h"
#include "ledger.h"
#include "looking.h"
#include "runs.h"

enum { LOCK_MS = 1000 };

static PyTypeObject *proxy_type;

struct served {
    struct k_proxy proxy;
    struct region *region; /* keeps the mapping */
    struct proxy *owner;
};

struct proxy {
    PyObject_HEAD
    uint32_t px, node;
    uint64_t taken, roused; /* how many commands; of those put, how many a process goes on with */
    uint32_t cpu; /* + 1, where the process is that was served last */
    bool sends, receives;
    struct served **served;
    size_t n, next; /* `next`: who is looked at first */
    PyObject *fallback; /* who copies where Linux refuses */
    struct ledger ledger;
    uint8_t *skip;  /* a bit for each node */
    uint8_t *payload;
    size_t room;
    struct run_buffer buffer;
};

static struct proxy *as_proxy(PyObject *self) {
    return (struct proxy *)self;
}

/* ---- life ------------------------------------------------------------------------------------------------------------- */

enum { SKIP_BYTES = (UINT16_MAX + 1) / 8 };

static struct signature init_signature = {"Proxy", 2, {
    INT_PARAM("px", 0, 255, 0), INT_PARAM("node", 0, UINT16_MAX, 0), OBJECT_PARAM("sends"), OBJECT_PARAM("receives"),
}, {NULL}};

static int proxy_init(PyObject *object, PyObject *args, PyObject *kwargs) {
    struct proxy *self = as_proxy(object);
    union value v[PARAMS_MAX];
    if (!parse_init_args(&init_signature, args, kwargs, v)) return -1;
    int sends = v[2].object ? PyObject_IsTrue(v[2].object) : 1, receives = v[3].object ? PyObject_IsTrue(v[3].object) : 1;
    if (sends < 0 || receives < 0) return -1;
    if (self->n) {
        PyErr_SetString(PyExc_RuntimeError, "the proxy serves VMs already");
        return -1;
    }
    self->px = (uint32_t)v[0].integer, self->node = (uint32_t)v[1].integer;
    self->sends = sends, self->receives = receives;
    if (!self->skip) self->skip = calloc(1, SKIP_BYTES);
    if (self->skip) return 0;
    PyErr_NoMemory();
    return -1;
}

static void let_go(struct served *s) {
    k_proxy_close(&s->proxy);
    Py_DECREF((PyObject *)s->region);
    free(s);
}

static int proxy_traverse(PyObject *object, visitproc visit, void *arg) {
    Py_VISIT((PyObject *)Py_TYPE(object));
    Py_VISIT(as_proxy(object)->fallback);
    return 0;
}

static int proxy_clear(PyObject *object) {
    Py_CLEAR(as_proxy(object)->fallback);
    return 0;
}

static void proxy_dealloc(PyObject *object) {
    struct proxy *self = as_proxy(object);
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    proxy_clear(object);
    ledger_drop(&self->ledger);
    while (self->n) let_go(self->served[--self->n]);
    free(self->served);
    free(self->skip);
    free(self->payload);
    run_drop(&self->buffer);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

/* ---- where Linux refuses ------------------------------------------------------------------------------------------------ */

/* An exception stays set, and take or put raises it. The proxy's own side has no slot. */
static int ask_fallback(void *context, const struct k_copy *c) {
    const struct served *s = context;
    int64_t code = K_PERM;
    if (!s->owner->fallback || s->owner->fallback == Py_None || PyErr_Occurred()) return K_PERM;
    PyObject *result = PyObject_CallFunction(s->owner->fallback, "OiiKiiKK", (PyObject *)s->region, (int)c->src_slot, c->src_pid, c->src_address,
                                             (int)c->dst_slot, c->dst_pid, c->dst_address, c->bytes);
    if (result) to_integer(result, "the code of the copy fallback", -1000, 0, &code);
    Py_XDECREF(result);
    return (int)code;
}

/* ---- which VMs ---------------------------------------------------------------------------------------------------------- */

static struct served *find(const struct proxy *self, int64_t vmid, size_t *at) {
    for (size_t i = 0; i < self->n; i++)
        if (self->served[i]->proxy.region.limits.vmid == vmid) return self->served[at ? *at = i : i];
    return NULL;
}

static void drop(struct proxy *self, size_t at) {
    let_go(self->served[at]);
    self->served[at] = self->served[--self->n];
}

/* Room for the largest piece of data that any VM here cuts. */
static bool make_room(struct proxy *self, size_t room) {
    if (room < sizeof(struct k_message)) room = sizeof(struct k_message);
    if (room <= self->room) return true;
    uint8_t *payload = realloc(self->payload, room);
    if (!payload) return PyErr_NoMemory() != NULL;
    self->payload = payload;
    self->room = room;
    return true;
}

static bool serve(struct proxy *self, struct region *region) {
    struct served *s = calloc(1, sizeof *s), **grown = s ? realloc(self->served, (self->n + 1) * sizeof *grown) : NULL;
    if (grown) self->served = grown;
    if (!grown || k_proxy_open(&s->proxy, &region->r, self->px, self->node) != K_OK || !make_room(self, k_proxy_room(&s->proxy))) {
        free(s);
        if (!PyErr_Occurred()) PyErr_NoMemory();
        return false;
    }
    s->region = (struct region *)Py_NewRef((PyObject *)region);
    s->owner = self;
    s->proxy.fallback = ask_fallback;
    s->proxy.context = s;
    self->served[self->n++] = s;
    return true;
}

static PyObject *proxy_add(PyObject *object, PyObject *argument) {
    struct proxy *self = as_proxy(object);
    size_t at;
    if (!PyObject_TypeCheck(argument, region_type)) return PyErr_Format(PyExc_TypeError, "region must be a Region, not %R", (PyObject *)Py_TYPE(argument));
    struct region *region = (struct region *)argument;
    if (!region_writable(region)) return NULL;
    if (self->px >= region->r.limits.nr_proxies) {
        return PyErr_Format(PyExc_ValueError, "the region takes %u proxy pairs, and this is number %u", region->r.limits.nr_proxies, self->px);
    }
    if (find(self, region->r.limits.vmid, &at)) drop(self, at);
    if (!serve(self, region)) return NULL;
    Py_RETURN_NONE;
}

static PyObject *proxy_remove(PyObject *object, PyObject *argument) {
    int64_t vmid;
    size_t at;
    if (!to_integer(argument, "vmid", 0, INT32_MAX, &vmid)) return NULL;
    if (!find(as_proxy(object), vmid, &at)) {
        PyErr_SetObject(PyExc_KeyError, argument);
        return NULL;
    }
    drop(as_proxy(object), at);
    Py_RETURN_NONE;
}

static PyObject *get_vmids(PyObject *object, void *closure) {
    (void)closure;
    const struct proxy *self = as_proxy(object);
    PyObject *list = PyList_New((Py_ssize_t)self->n);
    for (size_t i = 0; list && i < self->n; i++) {
        PyObject *vmid = PyLong_FromUnsignedLong(self->served[i]->proxy.region.limits.vmid);
        if (!vmid || PyList_SetItem(list, (Py_ssize_t)i, vmid) < 0) Py_CLEAR(list);
    }
    return list;
}

/* ---- take --------------------------------------------------------------------------------------------------------------- */

/* The next command that one VM has, its payload to `payload`. False: there is none. */
static bool take_one(struct proxy *self, struct served *s, const uint8_t *skip, uint64_t now_ns, struct k_command *c, void *payload) {
    if (!k_proxy_ready(&s->proxy) || k_proxy_take(&s->proxy, skip, c, payload, LOCK_MS) != K_OK) return false;
    struct timespec now = {.tv_sec = (time_t)(now_ns / 1000000000), .tv_nsec = (long)(now_ns % 1000000000)};
    if (!now_ns) clock_gettime(CLOCK_REALTIME, &now);
    c->seconds = now.tv_sec, c->nanoseconds = now.tv_nsec;
    ledger_note(&self->ledger, LEDGER_SENT, (uint32_t)c->dnode, (uint64_t)c->seconds * 1000000000 + (uint64_t)c->nanoseconds);
    self->taken++;
    self->cpu = k_cpu_of(&s->proxy.region, c->src);
    return true;
}

static PyObject *to_pair(const struct k_command *c, const uint8_t *payload) {
    PyObject *record = PyBytes_FromStringAndSize(NULL, K_WIRE_HEADER + (Py_ssize_t)c->len);
    if (!record) return NULL;
    uint8_t *at = (uint8_t *)PyBytes_AsString(record);
    k_wire_encode(c, at);
    memcpy(at + K_WIRE_HEADER, payload, (size_t)c->len);
    return Py_BuildValue("(iN)", (int)c->dnode, record);
}

/* A set of node numbers as bits. */
static bool fill_skip(struct proxy *self, PyObject *nodes) {
    PyObject *iterator = PyObject_GetIter(nodes), *item;
    memset(self->skip, 0, SKIP_BYTES);
    while (iterator && (item = PyIter_Next(iterator))) {
        int64_t node;
        bool ok = to_integer(item, "a node to skip", 0, UINT16_MAX, &node);
        Py_DECREF(item);
        if (!ok) break;
        self->skip[node / 8] |= (uint8_t)(1u << node % 8);
    }
    Py_XDECREF(iterator);
    return !PyErr_Occurred();
}

/* Take what one VM has, as far as the limit in `context` goes. False: an exception. */
typedef bool take_from(struct proxy *self, struct served *s, const uint8_t *skip, uint64_t now_ns, void *context);

/* From all VMs, beginning with another one each time. */
static bool take_from_each(struct proxy *self, PyObject *nodes, uint64_t now_ns, take_from *from, void *context) {
    bool skipping = nodes && nodes != Py_None, ok = !skipping || fill_skip(self, nodes);
    for (size_t i = 0, n = self->sends ? self->n : 0; ok && i < n; i++)
        ok = from(self, self->served[(self->next + i) % n], skipping ? self->skip : NULL, now_ns, context);
    if (self->n) self->next = (self->next + 1) % self->n;
    return ok;
}

struct pairs { PyObject *list; Py_ssize_t limit; };

static bool pairs_from(struct proxy *self, struct served *s, const uint8_t *skip, uint64_t now_ns, void *context) {
    const struct pairs *pairs = context;
    struct k_command c;
    while (PyList_Size(pairs->list) < pairs->limit && take_one(self, s, skip, now_ns, &c, self->payload)) {
        PyObject *pair = to_pair(&c, self->payload);
        int failed = !pair || PyList_Append(pairs->list, pair) < 0;
        Py_XDECREF(pair);
        if (failed) return false;
    }
    return !PyErr_Occurred();
}

static struct signature take_signature = {"take", 0, {INT_PARAM("limit", 1, INT32_MAX, 64), OBJECT_PARAM("skip"), ADDRESS_PARAM("now_ns")}, {NULL}};

static PyObject *proxy_take(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct proxy *self = as_proxy(object);
    union value v[PARAMS_MAX];
    if (!parse_args(&take_signature, args, nargs, kwnames, v)) return NULL;
    struct pairs pairs = {.list = PyList_New(0), .limit = (Py_ssize_t)v[0].integer};
    if (pairs.list && !take_from_each(self, v[1].object, v[2].address, pairs_from, &pairs)) Py_CLEAR(pairs.list);
    return pairs.list;
}

/* ---- take_runs --------------------------------------------------------------------------------------------------------- */

static bool run_from(struct proxy *self, struct served *s, const uint8_t *skip, uint64_t now_ns, void *context) {
    struct run *r = context;
    struct k_command c;
    while (r->taken < r->limit && r->total < r->most && k_proxy_ready(&s->proxy)) {
        uint8_t *at = run_end(r, self->room);
        if (!at) return false;
        if (!take_one(self, s, skip, now_ns, &c, at + K_WIRE_HEADER)) break;
        if (!run_add(r, &c, at)) return false;
    }
    return !PyErr_Occurred();
}

static struct signature take_runs_signature = {"take_runs", 2, {
    INT_PARAM("limit", 1, INT32_MAX, 64), INT_PARAM("nbytes", 1, INT32_MAX, 1 << 17), OBJECT_PARAM("skip"), ADDRESS_PARAM("now_ns"),
}, {NULL}};

static PyObject *proxy_take_runs(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct proxy *self = as_proxy(object);
    union value v[PARAMS_MAX];
    if (!parse_args(&take_runs_signature, args, nargs, kwnames, v)) return NULL;
    struct run r = {.buffer = &self->buffer, .list = PyList_New(0), .limit = (Py_ssize_t)v[0].integer, .most = (size_t)v[1].integer};
    bool ok = r.list && take_from_each(self, v[2].object, v[3].address, run_from, &r);
    if (!ok || !run_finish(&r)) Py_CLEAR(r.list);
    return r.list;
}

/* ---- put ---------------------------------------------------------------------------------------------------------------- */

static int deliver(struct proxy *self, const struct k_command *c, const uint8_t *payload, int64_t snode) {
    if (snode >= 0 && c->snode != snode) return K_BADNODEID;
    struct served *s = self->receives ? find(self, c->vmid, NULL) : NULL;
    if (!s) return K_BADVMID;
    self->roused += k_cmd_has_message(c->cmd) || c->cmd == K_CMD_SEND_ACK;
    self->cpu = k_cpu_of(&s->proxy.region, c->dst);
    return k_proxy_put(&s->proxy, c, payload, LOCK_MS);
}

static bool note_failure(PyObject *failures, size_t offset, int code) {
    if (code == K_OK) return true;
    PyObject *pair = Py_BuildValue("(ni)", (Py_ssize_t)offset, code);
    int failed = !pair || PyList_Append(failures, pair) < 0;
    Py_XDECREF(pair);
    return !failed;
}

static bool put_all(struct proxy *self, const uint8_t *records, size_t n, int64_t snode, PyObject *failures) {
    struct k_command c;
    struct timespec now;
    size_t length;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    for (size_t at = 0; at < n; at += length) {
        const char *wrong = k_wire_decode(records + at, n - at, &c, &length);
        if (wrong) {
            PyErr_Format(PyExc_ValueError, "not a command, at offset %zu: %s", at, wrong);
            return false;
        }
        int code = deliver(self, &c, records + at + K_WIRE_HEADER, snode);
        if (code == K_OK) ledger_note(&self->ledger, LEDGER_RECEIVED, (uint32_t)c.snode, now_ns);
        if (!note_failure(failures, at, code) || PyErr_Occurred()) return false;
    }
    return true;
}

static struct signature put_signature = {"put", 1, {OBJECT_PARAM("records"), INT_PARAM("snode", -1, UINT16_MAX, -1)}, {NULL}};

static PyObject *proxy_put(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    union value v[PARAMS_MAX];
    Py_buffer view;
    if (!parse_args(&put_signature, args, nargs, kwnames, v) || PyObject_GetBuffer(v[0].object, &view, PyBUF_SIMPLE) < 0) return NULL;
    PyObject *failures = PyList_New(0);
    if (failures && !put_all(as_proxy(object), view.buf, (size_t)view.len, v[1].integer, failures)) Py_CLEAR(failures);
    PyBuffer_Release(&view);
    return failures;
}

/* ---- arm, ready --------------------------------------------------------------------------------------------------------- */

static bool is_ready(const void *context) {
    const struct proxy *self = context;
    for (size_t i = 0; i < self->n; i++)
        if (k_proxy_ready(&self->served[i]->proxy)) return true;
    return false;
}

static PyObject *proxy_ready(PyObject *object, PyObject *unused) {
    (void)unused;
    return PyBool_FromLong(is_ready(as_proxy(object)));
}

static struct signature look_signature = {"look", 2, {INT_PARAM("fd", 0, INT32_MAX, 0), ADDRESS_PARAM("until_ns")}, {NULL}};

static PyObject *proxy_look(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    union value v[PARAMS_MAX];
    if (!parse_args(&look_signature, args, nargs, kwnames, v)) return NULL;
    return PyLong_FromLong(look_on((int)v[0].integer, v[1].address, is_ready, as_proxy(object)));
}

static struct signature arm_signature = {"arm", 0, {OBJECT_PARAM("skip"), INT_PARAM("commands", 1, UINT16_MAX, 1)}, {NULL}};

static PyObject *proxy_rest(PyObject *object, PyObject *unused) {
    const struct proxy *self = as_proxy(object);
    (void)unused;
    for (size_t i = 0; i < self->n; i++) k_proxy_rest(&self->served[i]->proxy);
    Py_RETURN_NONE;
}

static PyObject *proxy_arm(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct proxy *self = as_proxy(object);
    union value v[PARAMS_MAX];
    if (!parse_args(&arm_signature, args, nargs, kwnames, v)) return NULL;
    bool skipping = v[0].object && v[0].object != Py_None;
    if (skipping && !fill_skip(self, v[0].object)) return NULL;
    uint32_t share = self->n ? ((uint32_t)v[1].integer + (uint32_t)self->n - 1) / (uint32_t)self->n : 0;
    for (size_t i = 0; i < self->n; i++)
        if (k_proxy_arm(&self->served[i]->proxy, skipping ? self->skip : NULL, share, LOCK_MS) == K_AGAIN) Py_RETURN_FALSE;
    Py_RETURN_TRUE;
}

/* ---- type ---------------------------------------------------------------------------------------------------------------- */

static PyObject *get_px(PyObject *object, void *closure) {
    (void)closure;
    return PyLong_FromUnsignedLong(as_proxy(object)->px);
}

static PyObject *get_node(PyObject *object, void *closure) {
    (void)closure;
    return PyLong_FromUnsignedLong(as_proxy(object)->node);
}

static PyObject *get_taken(PyObject *object, void *closure) {
    (void)closure;
    return PyLong_FromUnsignedLongLong(as_proxy(object)->taken);
}

static PyObject *get_roused(PyObject *object, void *closure) {
    (void)closure;
    return PyLong_FromUnsignedLongLong(as_proxy(object)->roused);
}

static PyObject *get_peer_cpu(PyObject *object, void *closure) {
    (void)closure;
    return PyLong_FromLong((long)as_proxy(object)->cpu - 1);
}

static PyObject *get_fallback(PyObject *object, void *closure) {
    (void)closure;
    PyObject *fallback = as_proxy(object)->fallback;
    return Py_NewRef(fallback ? fallback : Py_None);
}

static int set_fallback(PyObject *object, PyObject *value, void *closure) {
    (void)closure;
    PyObject *before = as_proxy(object)->fallback;
    as_proxy(object)->fallback = Py_XNewRef(value);
    Py_XDECREF(before);
    return 0;
}

static int set_ledger(PyObject *object, PyObject *value, void *closure) {
    (void)closure;
    return ledger_use(&as_proxy(object)->ledger, value) ? 0 : -1;
}

static PyObject *get_ledger(PyObject *object, void *closure) {
    (void)closure;
    const struct ledger *ledger = &as_proxy(object)->ledger;
    return Py_NewRef(ledger->open ? ledger->view.obj : Py_None);
}

static PyGetSetDef attributes[] = {
    {"ledger", get_ledger, set_ledger, "Where to count, for each node, what was carried; None: nowhere.", NULL},
    {"taken", get_taken, NULL, "Commands taken so far.", NULL},
    {"roused", get_roused, NULL, "Commands put so far that a process goes on with: messages, and acknowledgements of them.", NULL},
    {"peer_cpu", get_peer_cpu, NULL, "Where the process is that was served last; -1: unknown.", NULL},
    {"fallback", get_fallback, set_fallback,
     "Who copies where Linux refuses: f(region, src_slot, src_pid, src_address, dst_slot, dst_pid, dst_address, nbytes) -> code; slot -1: the proxy itself.", NULL},
    {"px", get_px, NULL, "Number of the pair.", NULL},
    {"node", get_node, NULL, "The node that it runs on.", NULL},
    {"vmids", get_vmids, NULL, "The VMs that it serves.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
    {"add", proxy_add, METH_O, "add(region): serve a VM, in place of an earlier one with the same vmid."},
    {"remove", proxy_remove, METH_O, "remove(vmid): serve it no longer."},
    {"take", FASTCALL(proxy_take), "take(limit=64, skip=None, now_ns=0) -> [(node, record)]: what waits to be sent, oldest first."},
    {"take_runs", FASTCALL(proxy_take_runs), "take_runs(limit, nbytes, skip=None, now_ns=0) -> [(node, records, count)]: what waits to be sent, oldest first, as buffers of records for one node each."},
    {"put", FASTCALL(proxy_put), "put(records, snode=-1) -> [(offset, code)]: deliver records; those that came to nothing."},
    {"rest", proxy_rest, METH_NOARGS, "rest(): let go of memory of processes that is mapped and not used any more."},
    {"arm", FASTCALL(proxy_arm), "arm(skip=None, commands=1) -> bool: have the doorbell rung when so many have come; False: there is something to take already."},
    {"ready", proxy_ready, METH_NOARGS, "ready() -> bool: whether there seems to be something to take, without a lock."},
    {"look", FASTCALL(proxy_look), "look(fd, until_ns) -> int: look on: 1 ready(), 2 fd is readable, 0 neither until then, or it should not be tried."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Proxy(px, node, sends=True, receives=True): one pair of proxies, for any number of VMs."},
    {Py_tp_init, (void *)proxy_init},
    {Py_tp_dealloc, (void *)proxy_dealloc},
    {Py_tp_traverse, (void *)proxy_traverse},
    {Py_tp_clear, (void *)proxy_clear},
    {Py_tp_getset, attributes},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {"drvs.core._core.Proxy", sizeof(struct proxy), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};

bool proxy_init_type(PyObject *module) {
    proxy_type = (PyTypeObject *)PyType_FromSpec(&spec);
    return proxy_type && PyModule_AddObjectRef(module, "Proxy", (PyObject *)proxy_type) == 0;
}
