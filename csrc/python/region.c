/* region.c: the type Region: a VM's shared memory, mapped: what it is. What one can do to it is in region_manage.c.
 *
 * A Region acts through one of the VM's kernel slots, so two of them (noded, a command, a test) take different ones. Use one
 * Region from one thread at a time: its methods let the GIL go, since they may have to wait for the VM's lock.
 */
#include "binding.h"

#include <errno.h>
#include <fcntl.h>
#include <structmember.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

PyTypeObject *region_type;

static struct region *as_region(PyObject *self) {
    return (struct region *)self;
}

bool region_writable(struct region *self) {
    if (self->map && !self->readonly) return true;
    PyErr_SetString(PyExc_ValueError, self->map ? "the region is mapped read-only" : "the region is not open");
    return false;
}

/* ---- open and close ------------------------------------------------------------------------------------------------- */

static bool file_size(int fd, size_t *size) {
    struct stat status;
    if (fstat(fd, &status) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return false;
    }
    *size = (size_t)status.st_size;
    return true;
}

static void *map_file(int fd, size_t size, bool readonly) {
    void *map = mmap(NULL, size, readonly ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) return map;
    PyErr_SetFromErrno(PyExc_OSError);
    return NULL;
}

static bool refuse(const char *reason) {
    PyErr_Format(PyExc_ValueError, "not a usable region: %s", reason);
    return false;
}

static bool open_region(struct region *self, int fd) {
    size_t size;
    if (!file_size(fd, &size)) return false;
    if (size < K_HEADER_BYTES) return refuse("it is shorter than a region's header");
    void *map = map_file(fd, size, self->readonly);
    if (!map) return false;
    const char *reason = k_region_attach(&self->r, map, size);
    if (!reason) {
        self->map = map;
        self->mapped = size;
        return true;
    }
    munmap(map, size);
    return refuse(reason);
}

static struct signature init_signature = {"Region", 1, {
    INT_PARAM("fd", 0, INT32_MAX, 0), OBJECT_PARAM("readonly"), INT_PARAM("kernel_slot", 0, K_KERNEL_SLOTS - 1, 0),
    INT_PARAM("doorbell", -1, INT32_MAX, -1),
}, {NULL}};

static int region_init(PyObject *object, PyObject *args, PyObject *kwargs) {
    struct region *self = as_region(object);
    union value v[PARAMS_MAX];
    if (!parse_init_args(&init_signature, args, kwargs, v)) return -1;
    if (self->map) {
        PyErr_SetString(PyExc_RuntimeError, "the region is open already");
        return -1;
    }
    int readonly = v[1].object ? PyObject_IsTrue(v[1].object) : 0;
    if (readonly < 0) return -1;
    self->readonly = readonly;
    if (!open_region(self, (int)v[0].integer)) return -1;
    self->r.doorbell = (int)v[3].integer;
    self->kernel_slot = self->r.members + (uint32_t)v[2].integer;
    return 0;
}

static void region_dealloc(PyObject *object) {
    struct region *self = as_region(object);
    PyTypeObject *type = Py_TYPE(object);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    if (self->weakrefs) PyObject_ClearWeakRefs(object);
    if (self->map) munmap(self->map, self->mapped);
    release(object);
    Py_DECREF(type);
}

/* ---- making one ----------------------------------------------------------------------------------------------------- */

/* Defaults are the guide's limits (4.1.1). */
#define LIMIT_PARAMS \
    INT_PARAM("vmid", 0, INT32_MAX, 0), INT_PARAM("node", 0, INT32_MAX, 0), INT_PARAM("nr_procs", 0, INT32_MAX, 189), \
    INT_PARAM("nr_tasks", 0, INT32_MAX, 67), INT_PARAM("nr_sysprocs", 0, INT32_MAX, 96), INT_PARAM("notes", 0, INT32_MAX, 1024), \
    INT_PARAM("copy_len_max", 0, INT32_MAX, 524288), INT_PARAM("copy_buf", 0, INT32_MAX, 32768), \
    INT_PARAM("owner_uid", 0, UINT32_MAX, 0), OBJECT_PARAM("name"), INT_PARAM("nr_nodes", 0, INT32_MAX, 32), \
    INT_PARAM("nr_proxies", 0, INT32_MAX, 32)

static struct signature bytes_for_signature = {"bytes_for", 0, {LIMIT_PARAMS}, {NULL}};
static struct signature format_signature = {"format", 1, {INT_PARAM("fd", 0, INT32_MAX, 0), LIMIT_PARAMS, INT_PARAM("generation", 0, UINT32_MAX, 0)}, {NULL}};

static bool to_limits(const union value *v, struct k_limits *limits) {
    *limits = (struct k_limits){
        .vmid = (uint32_t)v[0].integer, .node = (uint32_t)v[1].integer, .nr_procs = (uint32_t)v[2].integer,
        .nr_tasks = (uint32_t)v[3].integer, .nr_sysprocs = (uint32_t)v[4].integer, .notes = (uint32_t)v[5].integer,
        .copy_len_max = (uint32_t)v[6].integer, .copy_buf = (uint32_t)v[7].integer, .owner_uid = (uint32_t)v[8].integer,
        .nr_nodes = (uint32_t)v[10].integer, .nr_proxies = (uint32_t)v[11].integer,
    };
    return !v[9].object || to_name(v[9].object, "name", limits->name);
}

static size_t bytes_needed(const struct k_limits *limits) {
    size_t bytes = k_region_bytes(limits);
    if (!bytes) {
        PyErr_SetString(PyExc_ValueError,
                        "limits out of range: 3 <= nr_tasks <= 299, 1 <= nr_procs <= 32000, "
                        "nr_tasks <= nr_sysprocs <= min(2048, nr_tasks + nr_procs), 1 <= notes <= 1048576, copy_len_max and copy_buf at least 1, "
                        "1 <= nr_nodes <= 4096, 1 <= nr_proxies <= 256");
    }
    return bytes;
}

static PyObject *region_bytes_for(PyObject *type, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    (void)type;
    union value v[PARAMS_MAX];
    struct k_limits limits;
    if (!parse_args(&bytes_for_signature, args, nargs, kwnames, v) || !to_limits(v, &limits)) return NULL;
    size_t bytes = bytes_needed(&limits);
    return bytes ? PyLong_FromSize_t(bytes) : NULL;
}

/* The file gets all its pages now: one that does not fit is an error here, not a SIGBUS in some member later. */
static bool allocate(int fd, size_t bytes) {
    size_t size;
    if (!file_size(fd, &size)) return false;
    if (size > bytes) {
        PyErr_Format(PyExc_ValueError, "the file has %zu bytes, the region only %zu", size, bytes);
        return false;
    }
    int error;
    while ((error = posix_fallocate(fd, 0, (off_t)bytes)) == EINTR) {
        if (PyErr_CheckSignals() < 0) return false;
    }
    if (!error) return true;
    errno = error;
    PyErr_SetFromErrno(PyExc_OSError);
    return false;
}

static PyObject *region_format(PyObject *type, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    (void)type;
    union value v[PARAMS_MAX];
    struct k_limits limits;
    if (!parse_args(&format_signature, args, nargs, kwnames, v) || !to_limits(v + 1, &limits)) return NULL;
    int fd = (int)v[0].integer;
    size_t bytes = bytes_needed(&limits);
    limits.generation = (uint32_t)v[13].integer;
    if (!bytes || !allocate(fd, bytes)) return NULL;
    void *map = map_file(fd, bytes, false);
    if (!map) return NULL;
    int code = k_region_format(map, bytes, &limits);
    munmap(map, bytes);
    if (code == K_OK) Py_RETURN_NONE;
    return PyErr_Format(PyExc_ValueError, "the region could not be formatted: code %d", code);
}

/* ---- attributes ------------------------------------------------------------------------------------------------------- */

/* An attribute that is a 32-bit word of the geometry kept at attach: the closure is its offset. */
static PyObject *get_word(PyObject *self, void *closure) {
    uint32_t word;
    memcpy(&word, (const uint8_t *)&as_region(self)->r + (uintptr_t)closure, sizeof word);
    return PyLong_FromUnsignedLong(word);
}

static PyObject *get_name(PyObject *self, void *closure) {
    (void)closure;
    const char *name = as_region(self)->r.limits.name;
    return PyUnicode_DecodeUTF8(name, (Py_ssize_t)strnlen(name, K_NAME_BYTES), "replace");
}

static PyObject *get_state(PyObject *self, void *closure) {
    (void)closure;
    const struct region *region = as_region(self);
    if (!region->map) Py_RETURN_NONE;
    return PyLong_FromUnsignedLong(atomic_load(&((struct k_header *)region->map)->state));
}

static PyObject *get_bound(PyObject *self, void *closure) {
    (void)closure;
    const struct region *region = as_region(self);
    if (!region->map) Py_RETURN_NONE;
    return PyLong_FromUnsignedLong(((volatile struct k_header *)region->map)->bound);
}

static PyObject *get_doorbell(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromLong(as_region(self)->r.doorbell);
}

static int set_doorbell(PyObject *self, PyObject *value, void *closure) {
    (void)closure;
    int64_t fd;
    if (!value) {
        PyErr_SetString(PyExc_AttributeError, "doorbell cannot be deleted");
        return -1;
    }
    if (!to_integer(value, "doorbell", -1, INT32_MAX, &fd)) return -1;
    as_region(self)->r.doorbell = (int)fd;
    return 0;
}

static PyObject *get_readonly(PyObject *self, void *closure) {
    (void)closure;
    return PyBool_FromLong(as_region(self)->readonly);
}

static PyObject *get_layout(PyObject *self, void *closure) {
    (void)closure;
    const struct k_region *r = &as_region(self)->r;
    return Py_BuildValue("{s:n,s:n,s:n,s:n,s:n,s:n,s:n,s:n}", "bytes", (Py_ssize_t)r->bytes, "slots", (Py_ssize_t)r->slots_at,
                         "pending", (Py_ssize_t)r->pending_at, "privs", (Py_ssize_t)r->privs_at, "priv_bytes", (Py_ssize_t)r->priv_bytes,
                         "notes", (Py_ssize_t)r->notes_at, "buckets", (Py_ssize_t)r->buckets_at,
                         "routes", (Py_ssize_t)r->routes_at);
}

static PyObject *region_repr(PyObject *object) {
    struct region *self = as_region(object);
    PyObject *name = get_name(object, NULL), *text = NULL;
    if (name) text = PyUnicode_FromFormat("<Region of VM %u %R, %u slots%s>", self->r.limits.vmid, name, self->r.members, self->readonly ? ", read-only" : "");
    Py_XDECREF(name);
    return text;
}

#define WORD(name, member, text) {name, get_word, NULL, text, (void *)offsetof(struct k_region, member)}

static PyGetSetDef region_attributes[] = {
    WORD("vmid", limits.vmid, "Id of the VM."),
    WORD("node", limits.node, "Id of the node that made it."),
    WORD("nr_procs", limits.nr_procs, "Most processes it takes."),
    WORD("nr_tasks", limits.nr_tasks, "Most tasks (negative process numbers) it takes."),
    WORD("nr_sysprocs", limits.nr_sysprocs, "How many of its slots are system slots."),
    WORD("notes", limits.notes, "Size of its pool of notification records."),
    WORD("copy_len_max", limits.copy_len_max, "Most bytes of one copy."),
    WORD("copy_buf", limits.copy_buf, "Bytes copied at a time."),
    WORD("owner_uid", limits.owner_uid, "User that owns the node."),
    WORD("nr_nodes", limits.nr_nodes, "How many nodes it has routes for."),
    WORD("nr_proxies", limits.nr_proxies, "How many proxy pairs can serve it."),
    WORD("members", members, "Slots that can be bound: nr_tasks + nr_procs."),
    WORD("nslots", members, "The same as members."),
    WORD("map_words", map_words, "64-bit words in a map of system slots."),
    {"name", get_name, NULL, "Name of the VM.", NULL},
    {"doorbell", get_doorbell, set_doorbell, "The descriptor that is written when an armed proxy has work; -1: none. It is not closed with the region.", NULL},
    {"state", get_state, NULL, "VM_RUNNING, VM_ENDED or VM_CORRUPT, as of now.", NULL},
    {"bound", get_bound, NULL, "How many slots are bound, as of now (read without the lock).", NULL},
    {"readonly", get_readonly, NULL, "Whether it is mapped read-only.", NULL},
    {"layout", get_layout, NULL, "Where its tables start, in bytes (for tests that damage it).", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* ---- type ------------------------------------------------------------------------------------------------------------- */

static PyMethodDef making_rows[] = {
    {"bytes_for", FASTCALL(region_bytes_for) | METH_STATIC, "bytes_for(**limits) -> int: size of a region with these limits."},
    {"format", FASTCALL(region_format) | METH_STATIC, "format(fd, **limits): write an empty VM into a file, all its pages allocated."},
};

enum { MAKING_ROWS = sizeof making_rows / sizeof *making_rows };

static PyMethodDef region_methods[48];

static PyMemberDef region_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct region, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot region_slots[] = {
    {Py_tp_doc, "Region(fd, readonly=False, kernel_slot=0, doorbell=-1): a VM's shared memory, mapped and checked."},
    {Py_tp_init, (void *)region_init},
    {Py_tp_dealloc, (void *)region_dealloc},
    {Py_tp_repr, (void *)region_repr},
    {Py_tp_members, region_members},
    {Py_tp_getset, region_attributes},
    {Py_tp_methods, region_methods},
    {0, NULL},
};

static PyType_Spec region_spec = {"drvs.core._core.Region", sizeof(struct region), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, region_slots};

static void join_tables(void) {
    size_t n = MAKING_ROWS;
    memcpy(region_methods, making_rows, sizeof making_rows);
    for (PyMethodDef *row = region_manage_methods; row->ml_name; row++) region_methods[n++] = *row;
    for (PyMethodDef *row = region_test_methods; row->ml_name; row++) region_methods[n++] = *row;
}

bool region_init_type(PyObject *module) {
    join_tables();
    region_type = (PyTypeObject *)PyType_FromSpec(&region_spec);
    return region_type && PyModule_AddObjectRef(module, "Region", (PyObject *)region_type) == 0;
}
