/* endpoint.c: the type Endpoint: its life, its attributes, its errors. What it calls is in endpoint_calls.c.
 *
 * An endpoint holds its region, so that the mapping outlives every call, and counts its calls in flight, so that close() from
 * another thread or from a signal handler is refused instead of pulling the handle away. Closing is local: the slot stays
 * bound until noded unbinds it, and a forked child that drops its copy frees memory and touches nothing that is shared.
 */
#include "binding.h"

#include <structmember.h>
#include <unistd.h>

PyTypeObject *endpoint_type;

enum { SPIN_US_MAX = 1000000 };

static struct endpoint *as_endpoint(PyObject *self) {
    return (struct endpoint *)self;
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

static PyObject *error_factory;

PyObject *exchange(PyObject **variable, PyObject *object) {
    PyObject *old = *variable;
    *variable = object == Py_None ? NULL : Py_NewRef(object);
    return old ? old : Py_NewRef(Py_None);
}

PyObject *set_error_factory(PyObject *module, PyObject *factory) {
    (void)module;
    return exchange(&error_factory, factory);
}

static PyObject *make_error(struct endpoint *self, const char *operation, int code, const int32_t *peer) {
    if (!error_factory) {
        return PyObject_CallFunction(PyExc_RuntimeError, "N", PyUnicode_FromFormat("%s: code %d", operation, code));
    }
    PyObject *factory = Py_NewRef(error_factory);
    PyObject *who = peer ? PyLong_FromLong(*peer) : Py_NewRef(Py_None);
    PyObject *error = who ? PyObject_CallFunction(factory, "isiOO", code, operation, (int)self->handle.endpoint, who, (PyObject *)self) : NULL;
    Py_XDECREF(who);
    Py_DECREF(factory);
    return error;
}

PyObject *raise_code(struct endpoint *self, const char *operation, int code, const int32_t *peer) {
    PyObject *error = make_error(self, operation, code, peer);
    if (!error) return NULL;
    if (PyExceptionInstance_Check(error)) PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    else PyErr_Format(PyExc_TypeError, "the error factory returned %R, which is not an exception", error);
    Py_DECREF(error);
    return NULL;
}

bool endpoint_usable(struct endpoint *self, const char *operation) {
    if (self->open) return true;
    raise_code(self, operation, K_NOTBIND, NULL);
    return false;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static struct signature init_signature = {"Endpoint", 4, {
    OBJECT_PARAM("region"), INT_PARAM("slot", 0, UINT32_MAX, 0), INT_PARAM("incarnation", 0, UINT32_MAX, 0),
    ENDPOINT_PARAM("endpoint"), INT_PARAM("spin_us", 0, SPIN_US_MAX, 20),
}, {NULL}};

static int check_init(struct endpoint *self, const union value *v) {
    if (self->open) {
        PyErr_SetString(PyExc_RuntimeError, "the endpoint is open already");
        return -1;
    }
    if (!PyObject_TypeCheck(v[0].object, region_type)) {
        PyErr_Format(PyExc_TypeError, "region must be a Region, not %R", (PyObject *)Py_TYPE(v[0].object));
        return -1;
    }
    struct region *region = (struct region *)v[0].object;
    if (!region_writable(region)) return -1;
    if ((uint64_t)v[1].integer < region->r.members) return 0;
    PyErr_Format(PyExc_ValueError, "slot must be below %u, not %lld", region->r.members, (long long)v[1].integer);
    return -1;
}

static int endpoint_init(PyObject *object, PyObject *args, PyObject *kwargs) {
    struct endpoint *self = as_endpoint(object);
    union value v[PARAMS_MAX];
    if (!parse_init_args(&init_signature, args, kwargs, v) || check_init(self, v) < 0) return -1;
    struct region *region = (struct region *)Py_NewRef(v[0].object);
    int code = k_handle_open(&self->handle, &region->r, (uint32_t)v[1].integer, (uint32_t)v[2].integer, (int32_t)v[3].integer,
                             (uint32_t)v[4].integer * 1000u);
    Py_XDECREF((PyObject *)self->region); /* of an earlier life, closed */
    self->region = region;
    self->open = code == K_OK;
    if (self->open) return 0;
    self->handle.endpoint = (int32_t)v[3].integer;
    raise_code(self, "open", code, NULL);
    return -1;
}

static void release_handle(struct endpoint *self) {
    if (!self->open) return;
    self->open = false;
    k_handle_close(&self->handle);
}

static PyObject *endpoint_close(PyObject *object, PyObject *unused) {
    (void)unused;
    struct endpoint *self = as_endpoint(object);
    /* The threads of a forked child's parent do not exist in the child, so their calls do not count there. */
    if (self->open && self->calls && getpid() == self->handle.pid) return raise_code(self, "close", K_BUSY, NULL);
    release_handle(self);
    Py_RETURN_NONE;
}

static int endpoint_traverse(PyObject *object, visitproc visit, void *arg) {
    Py_VISIT((PyObject *)Py_TYPE(object));
    Py_VISIT((PyObject *)as_endpoint(object)->region);
    return 0;
}

/* No tp_clear: the handle needs the region to the end, and a cycle through it can be broken at the region's own references. */
static void endpoint_dealloc(PyObject *object) {
    struct endpoint *self = as_endpoint(object);
    PyTypeObject *type = Py_TYPE(object);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    PyObject_GC_UnTrack(object);
    if (self->weakrefs) PyObject_ClearWeakRefs(object);
    release_handle(self);
    Py_XDECREF((PyObject *)self->region);
    release(object);
    Py_DECREF(type);
}

/* ---- attributes -------------------------------------------------------------------------------------------------- */

static PyObject *get_endpoint(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromLong(as_endpoint(self)->handle.endpoint);
}

static PyObject *get_slot(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromUnsignedLong(as_endpoint(self)->handle.slot);
}

static PyObject *get_p_nr(PyObject *self, void *closure) {
    (void)closure;
    const struct k_handle *handle = &as_endpoint(self)->handle;
    return PyLong_FromLong((long)handle->slot - (long)handle->region.limits.nr_tasks);
}

static PyObject *get_incarnation(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromUnsignedLong(as_endpoint(self)->handle.incarnation);
}

static PyObject *get_region(PyObject *self, void *closure) {
    (void)closure;
    struct region *region = as_endpoint(self)->region;
    return Py_NewRef(region ? (PyObject *)region : Py_None);
}

static PyObject *get_vmid(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromUnsignedLong(as_endpoint(self)->handle.region.limits.vmid);
}

static PyObject *get_node(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromUnsignedLong(as_endpoint(self)->handle.region.limits.node);
}

static PyObject *get_pid(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromLong(as_endpoint(self)->handle.pid);
}

static PyObject *get_spin_us(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromUnsignedLong(as_endpoint(self)->handle.spin_ns / 1000u);
}

static int set_spin_us(PyObject *self, PyObject *value, void *closure) {
    (void)closure;
    int64_t spin_us;
    if (!value) {
        PyErr_SetString(PyExc_AttributeError, "spin_us cannot be deleted");
        return -1;
    }
    if (!to_integer(value, "spin_us", 0, SPIN_US_MAX, &spin_us)) return -1;
    as_endpoint(self)->handle.spin_ns = (uint32_t)spin_us * 1000u;
    return 0;
}

static PyObject *get_closed(PyObject *self, void *closure) {
    (void)closure;
    return PyBool_FromLong(!as_endpoint(self)->open);
}

static PyObject *get_reply_code(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromLong(as_endpoint(self)->reply_code);
}

static PyObject *get_statistics(PyObject *self, void *closure) {
    (void)closure;
    const struct k_handle *handle = &as_endpoint(self)->handle;
    return Py_BuildValue("(II)", handle->spins, handle->sleeps);
}

static PyObject *endpoint_repr(PyObject *object) {
    struct endpoint *self = as_endpoint(object);
    PyObject *type = PyType_GetName(Py_TYPE(object)), *text = NULL;
    if (type) {
        text = PyUnicode_FromFormat("<%U %d in VM %u%s>", type, (int)self->handle.endpoint, self->handle.region.limits.vmid, self->open ? "" : ", closed");
    }
    Py_XDECREF(type);
    return text;
}

/* ---- type -------------------------------------------------------------------------------------------------------- */

static PyGetSetDef endpoint_attributes[] = {
    {"endpoint", get_endpoint, NULL, "The endpoint number.", NULL},
    {"slot", get_slot, NULL, "Index of the slot: p_nr + nr_tasks.", NULL},
    {"p_nr", get_p_nr, NULL, "Process number of the slot.", NULL},
    {"incarnation", get_incarnation, NULL, "Which bind of the slot this is.", NULL},
    {"region", get_region, NULL, "The Region that the endpoint lives in.", NULL},
    {"vmid", get_vmid, NULL, "Id of the VM.", NULL},
    {"node", get_node, NULL, "Id of the node.", NULL},
    {"pid", get_pid, NULL, "Host process that opened the endpoint.", NULL},
    {"spin_us", get_spin_us, set_spin_us, "Microseconds that a call spins before it sleeps; 0 sleeps at once.", NULL},
    {"closed", get_closed, NULL, "Whether close() was called.", NULL},
    {"reply_code", get_reply_code, NULL, "Code of the answer of the last reply_receive: 0 if it was delivered.", NULL},
    {"statistics", get_statistics, NULL, "How many waits ended while spinning, and how many slept.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef close_row = {"close", endpoint_close, METH_NOARGS, "Let go of the slot, here only: it stays bound. Refused (BUSY) while a call is in flight."};

static PyMethodDef endpoint_methods[32];

static PyMemberDef endpoint_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct endpoint, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot endpoint_slots[] = {
    {Py_tp_doc, "Endpoint(region, slot, incarnation, endpoint, spin_us=20): one bound slot, as its owner uses it."},
    {Py_tp_init, (void *)endpoint_init},
    {Py_tp_dealloc, (void *)endpoint_dealloc},
    {Py_tp_traverse, (void *)endpoint_traverse},
    {Py_tp_repr, (void *)endpoint_repr},
    {Py_tp_members, endpoint_members},
    {Py_tp_getset, endpoint_attributes},
    {Py_tp_methods, endpoint_methods},
    {0, NULL},
};

static PyType_Spec endpoint_spec = {
    "drvs.core._core.Endpoint", sizeof(struct endpoint), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, endpoint_slots,
};

bool endpoint_init_type(PyObject *module) {
    size_t n = 0;
    for (PyMethodDef *row = endpoint_call_methods; row->ml_name; row++) endpoint_methods[n++] = *row;
    for (PyMethodDef *row = endpoint_copy_methods; row->ml_name; row++) endpoint_methods[n++] = *row;
    endpoint_methods[n] = close_row;
    endpoint_type = (PyTypeObject *)PyType_FromSpec(&endpoint_spec);
    return endpoint_type && PyModule_AddObjectRef(module, "Endpoint", (PyObject *)endpoint_type) == 0;
}
