/* binding.h: the extension module drvs.core._core, its table of contents.
 *
 *   arguments   integers with their range, timeouts, keyword matching       arguments.c
 *   Message     64 bytes and the envelope, the views m1 … mA                message.c message_views.c
 *   Endpoint    one handle of the core, with the GIL let go while it sleeps endpoint.c endpoint_calls.c endpoint_copy.c
 *   Span        where the bytes of a block are                              span.c
 *   Region      a VM as noded and the tests use it                          region.c region_manage.c region_test.c
 *   Proxy       commands to and from other nodes                            proxy.c command.c ledger.c looking.c
 *   module      functions and constants                                    module.c constants.c
 *
 * Nothing is decided here: a method converts its arguments, calls the core, converts the result. Types live in static
 * variables, so the module exists once in a process (sub-interpreters share it). Everything runs with the GIL held but where
 * Py_BEGIN_ALLOW_THREADS says otherwise.
 */
#ifndef DRVS_BINDING_H
#define DRVS_BINDING_H

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030b0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "../core/core.h"

#define FASTCALL(function) ((PyCFunction)(void (*)(void))(function)), METH_FASTCALL | METH_KEYWORDS

/* ---- arguments ------------------------------------------------------------------------------------------------ */

enum { PARAMS_MAX = 14 };

enum param_kind { PARAM_OBJECT, PARAM_INT, PARAM_ADDRESS };

struct param {
    const char *name;
    enum param_kind kind;
    int64_t min, max;  /* of a PARAM_INT */
    int64_t missing;   /* its value when not given */
};

struct signature {
    const char *function;
    Py_ssize_t required;
    struct param params[PARAMS_MAX];  /* ends at the first without a name */
    PyObject *keys[PARAMS_MAX];       /* interned names, made at the first keyword call */
};

union value { PyObject *object; int64_t integer; uint64_t address; };

#define OBJECT_PARAM(name) {name, PARAM_OBJECT, 0, 0, 0}
#define INT_PARAM(name, min, max, missing) {name, PARAM_INT, min, max, missing}
#define ENDPOINT_PARAM(name) {name, PARAM_INT, INT32_MIN, INT32_MAX, 0}
#define ADDRESS_PARAM(name) {name, PARAM_ADDRESS, 0, 0, 0}

/* Sort fast-call arguments by parameter: borrowed references, NULL for those not given. */
bool match_args(struct signature *s, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, PyObject **objects);
/* The same, and convert integers; an object not given is NULL. */
bool parse_args(struct signature *s, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, union value *values);
/* The same for the tuple and dictionary that a constructor gets. */
bool parse_init_args(struct signature *s, PyObject *args, PyObject *kwargs, union value *values);

/* Integers with a name and a range in their errors (TypeError, OverflowError). */
bool to_integer(PyObject *object, const char *name, int64_t min, int64_t max, int64_t *out);
bool to_address(PyObject *object, const char *name, uint64_t *out);
bool integer_failed(PyObject *object, const char *name, int64_t min, int64_t max); /* sets the error, returns false */

static inline bool to_int32(PyObject *object, const char *name, int32_t *out) {
    int overflow;
    long value = PyLong_AsLongAndOverflow(object, &overflow);
    *out = (int32_t)value;
    if (value == *out && (value != -1 || (!overflow && !PyErr_Occurred()))) return true;
    return integer_failed(object, name, INT32_MIN, INT32_MAX);
}

struct timeout { bool nowait, forever; int64_t ns; };

bool to_timeout(PyObject *seconds, struct timeout *timeout); /* a number that is not NULL or None */

static inline bool parse_timeout(PyObject *seconds, struct timeout *timeout) {
    timeout->nowait = false;
    timeout->forever = true;
    return !seconds || seconds == Py_None || to_timeout(seconds, timeout);
}

/* A name of at most 15 bytes into a field of 16, zero padded. */
bool to_name(PyObject *text, const char *name, char out[K_NAME_BYTES]);

/* ---- message -------------------------------------------------------------------------------------------------- */

struct message {
    PyObject_HEAD
    struct k_message m;
    uint32_t in_flags;  /* enum k_in; K_IN_TRACE also says that `trace` is to be sent */
    uint32_t in_call;
    uint8_t trace[16];
};

extern PyTypeObject *message_type;
bool message_init_type(PyObject *module);
struct message *message_new(void); /* empty; a new reference */

static inline bool is_message(PyObject *object) {
    return PyObject_TypeCheck(object, message_type);
}

/* The views: rows for the type's tables, made once. Ends with an empty row. */
extern PyGetSetDef message_view_attributes[];
extern PyMethodDef message_view_methods[];
bool is_view_field(PyObject *name);

/* ---- endpoint ------------------------------------------------------------------------------------------------- */

struct region {
    PyObject_HEAD
    struct k_region r;
    void *map;
    size_t mapped;
    bool readonly;
    uint32_t kernel_slot; /* index of the slot that management acts through */
    PyObject *weakrefs;
};

struct endpoint {
    PyObject_HEAD
    struct k_handle handle;
    struct region *region; /* keeps the mapping that `handle` points into */
    bool open;
    uint32_t calls;        /* in flight: the handle must not go away under them */
    int reply_code;        /* of the last reply_receive */
    PyObject *weakrefs;
};

/* Where some bytes of this process are (span.c). */
struct span {
    PyObject_HEAD
    uint64_t address, length;
    char readonly, held;
    PyObject *length_object; /* `length` as Python knows it, made when first returned */
};
PyObject *span_length(struct span *span);

extern PyTypeObject *endpoint_type, *region_type, *span_type;
extern PyMethodDef endpoint_call_methods[], endpoint_copy_methods[];
bool span_init_type(PyObject *module);
bool endpoint_init_type(PyObject *module);
bool region_init_type(PyObject *module);
bool proxy_init_type(PyObject *module);

/* Raise what the error factory makes of a code; returns NULL. `peer` is NULL where there is none. */
PyObject *raise_code(struct endpoint *self, const char *operation, int code, const int32_t *peer);
/* False, with an error raised, if the endpoint is closed. */
bool endpoint_usable(struct endpoint *self, const char *operation);

/* Set a variable that is None when NULL; returns what it was. */
PyObject *exchange(PyObject **variable, PyObject *object);
PyObject *set_error_factory(PyObject *module, PyObject *factory);
PyObject *set_copy_fallback(PyObject *module, PyObject *fallback);
void endpoint_calls_init(void);
int wait_for_call(struct endpoint *self, const struct k_call *call); /* one that has blocked: its code */
bool only_thread(void); /* nobody else in this process can want the GIL */

/* ---- region: the methods are in three files by who uses them ---------------------------------------------------- */

extern PyMethodDef region_manage_methods[], region_test_methods[];
PyObject *encode_command(PyObject *module, PyObject *fields);
PyObject *decode_command(PyObject *module, PyObject *record);
PyObject *refuse_command(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
bool region_writable(struct region *self); /* false, with an error raised, if it is mapped read-only */
PyObject *wakes_list(const struct k_wakes *wakes);

/* ---- module --------------------------------------------------------------------------------------------------- */

bool add_constants(PyObject *module);

#endif
