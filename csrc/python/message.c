/* message.c: the type Message: one message of 64 bytes, and the envelope that travels beside it.
 *
 * The 64 bytes are what the buffer protocol and == see. The envelope (was it a notification, a request, which call, which
 * trace) is written by the calls that receive, and read by those that answer.
 */
#include "binding.h"

#include <stdio.h>
#include <string.h>

#include "message_views.h"

PyTypeObject *message_type;

static struct message *as_message(PyObject *self) {
    return (struct message *)self;
}

struct message *message_new(void) {
    return as_message(PyType_GenericAlloc(message_type, 0));
}

static void message_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

/* ---- construction ------------------------------------------------------------------------------------------------ */

static bool is_settable(PyObject *name) {
    return is_view_field(name) || PyUnicode_CompareWithASCIIString(name, "payload") == 0
        || PyUnicode_CompareWithASCIIString(name, "trace") == 0;
}

static bool set_keyword(PyObject *self, PyObject *name, PyObject *value, bool have_type) {
    bool is_type = PyUnicode_CompareWithASCIIString(name, "type") == 0;
    if ((is_type && !have_type) || is_settable(name)) return PyObject_SetAttr(self, name, value) == 0;
    PyErr_Format(PyExc_TypeError, is_type ? "Message() got two values for %R" : "Message() has no parameter %R", name);
    return false;
}

static int message_init(PyObject *self, PyObject *args, PyObject *kwargs) {
    PyObject *name, *value;
    Py_ssize_t given = PyTuple_Size(args), at = 0;
    if (given > 1) {
        PyErr_Format(PyExc_TypeError, "Message() takes the type and keywords, not %zd positional arguments", given);
        return -1;
    }
    if (given && !to_int32(PyTuple_GetItem(args, 0), "type", &as_message(self)->m.type)) return -1;
    while (kwargs && PyDict_Next(kwargs, &at, &name, &value)) {
        if (!set_keyword(self, name, value, given)) return -1;
    }
    return 0;
}

static PyObject *message_copy(PyObject *self, PyObject *unused) {
    (void)unused;
    struct message *from = as_message(self), *to = message_new();
    if (!to) return NULL;
    to->m = from->m;
    to->in_flags = from->in_flags;
    to->in_call = from->in_call;
    memcpy(to->trace, from->trace, sizeof to->trace);
    return (PyObject *)to;
}

static PyObject *message_clear(PyObject *self, PyObject *unused) {
    (void)unused;
    struct message *msg = as_message(self);
    memset(&msg->m, 0, sizeof msg->m);
    msg->in_flags = msg->in_call = 0;
    memset(msg->trace, 0, sizeof msg->trace);
    Py_RETURN_NONE;
}

/* ---- head and payload -------------------------------------------------------------------------------------------- */

static int cannot_delete(const char *name) {
    PyErr_Format(PyExc_AttributeError, "%s cannot be deleted", name);
    return -1;
}

static PyObject *get_source(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromLong(as_message(self)->m.source);
}

static PyObject *get_type(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromLong(as_message(self)->m.type);
}

static int set_type(PyObject *self, PyObject *value, void *closure) {
    (void)closure;
    int32_t type;
    if (!value) return cannot_delete("type");
    if (!to_int32(value, "type", &type)) return -1;
    as_message(self)->m.type = type;
    return 0;
}

static PyObject *get_payload(PyObject *self, void *closure) {
    (void)closure;
    return PyBytes_FromStringAndSize((const char *)as_message(self)->m.payload, sizeof as_message(self)->m.payload);
}

/* `size` bytes from a bytes-like object of at most (or, if `exact`, just) that many; shorter ones are padded with zeros. */
static bool take_bytes(PyObject *object, const char *name, uint8_t *to, Py_ssize_t size, bool exact) {
    Py_buffer view;
    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) < 0) {
        if (!PyErr_ExceptionMatches(PyExc_TypeError)) return false;
        PyErr_Format(PyExc_TypeError, "%s must be bytes, not %R", name, (PyObject *)Py_TYPE(object));
        return false;
    }
    bool fits = exact ? view.len == size : view.len <= size;
    if (fits) {
        memmove(to, view.buf, (size_t)view.len);
        memset(to + view.len, 0, (size_t)(size - view.len));
    } else {
        PyErr_Format(PyExc_ValueError, "%s takes %s%zd bytes, not %zd", name, exact ? "" : "at most ", size, view.len);
    }
    PyBuffer_Release(&view);
    return fits;
}

static int set_payload(PyObject *self, PyObject *value, void *closure) {
    (void)closure;
    struct message *msg = as_message(self);
    if (!value) return cannot_delete("payload");
    return take_bytes(value, "payload", msg->m.payload, sizeof msg->m.payload, false) ? 0 : -1;
}

static PyObject *get_data(PyObject *self, void *closure) {
    (void)closure;
    return PyMemoryView_FromObject(self);
}

static int message_getbuffer(PyObject *self, Py_buffer *view, int flags) {
    return PyBuffer_FillInfo(view, self, &as_message(self)->m, sizeof(struct k_message), 0, flags);
}

/* ---- envelope ---------------------------------------------------------------------------------------------------- */

static PyObject *get_flag(PyObject *self, void *closure) {
    return PyBool_FromLong((long)(as_message(self)->in_flags & (uint32_t)(uintptr_t)closure));
}

static PyObject *get_call(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromUnsignedLong(as_message(self)->in_call);
}

static PyObject *get_trace(PyObject *self, void *closure) {
    (void)closure;
    struct message *msg = as_message(self);
    if (!(msg->in_flags & K_IN_TRACE)) Py_RETURN_NONE;
    return PyBytes_FromStringAndSize((const char *)msg->trace, sizeof msg->trace);
}

static int set_trace(PyObject *self, PyObject *value, void *closure) {
    (void)closure;
    struct message *msg = as_message(self);
    bool none = !value || value == Py_None;
    if (!none && !take_bytes(value, "trace", msg->trace, sizeof msg->trace, true)) return -1;
    if (none) msg->in_flags &= ~(uint32_t)K_IN_TRACE;
    else msg->in_flags |= K_IN_TRACE;
    return 0;
}

/* The type of a notification is 0x1000 | p_nr for 0 <= p_nr < 4096. A bare 0x1000 is process 0, or one whose number did not
 * fit: then a source of 0 or less is a system slot's and is the number itself, and any other tells nothing. */
static PyObject *get_p_nr(PyObject *self, void *closure) {
    (void)closure;
    struct message *msg = as_message(self);
    if (!(msg->in_flags & K_IN_NOTIFY)) Py_RETURN_NONE;
    int32_t number = msg->m.type & (K_NOTIFY_P_NR_END - 1);
    if (number) return PyLong_FromLong(number);
    if (msg->m.source <= 0) return PyLong_FromLong(msg->m.source);
    Py_RETURN_NONE;
}

static PyObject *get_timestamp(PyObject *self, void *closure) {
    (void)closure;
    struct m9 view;
    struct message *msg = as_message(self);
    if (!(msg->in_flags & K_IN_NOTIFY)) Py_RETURN_NONE;
    memcpy(&view, msg->m.payload, sizeof view);
    return PyFloat_FromDouble((double)view.t1.seconds + (double)view.t1.nanoseconds * 1e-9);
}

/* ---- comparison and text ----------------------------------------------------------------------------------------- */

static PyObject *message_compare(PyObject *self, PyObject *other, int op) {
    if ((op != Py_EQ && op != Py_NE) || !is_message(other)) Py_RETURN_NOTIMPLEMENTED;
    bool equal = memcmp(&as_message(self)->m, &as_message(other)->m, sizeof(struct k_message)) == 0;
    return PyBool_FromLong(equal == (op == Py_EQ));
}

/* The payload in hexadecimal, by fours, without the zeros at its end. */
static void dump_payload(const uint8_t *payload, size_t size, char *text) {
    *text = 0;
    while (size && !payload[size - 1]) size--;
    for (size_t i = 0; i < size; i++) text += sprintf(text, i % 4 ? "%02x" : " %02x", payload[i]);
}

/* Reads like a line of a trace: <Message request from 70, type 3, call 12: 01000000 ff> */
static PyObject *message_repr(PyObject *self) {
    struct message *msg = as_message(self);
    char dump[3 * sizeof msg->m.payload + 1];
    dump_payload(msg->m.payload, sizeof msg->m.payload, dump);
    if (!*dump) strcpy(dump, " zeros");
    const char *what = msg->in_flags & K_IN_NOTIFY ? "notification " : msg->in_flags & K_IN_REQUEST ? "request " : "";
    if (msg->in_flags & K_IN_REQUEST) {
        return PyUnicode_FromFormat("<Message %sfrom %d, type %d, call %u:%s>", what, msg->m.source, msg->m.type, msg->in_call, dump);
    }
    return PyUnicode_FromFormat("<Message %sfrom %d, type %d:%s>", what, msg->m.source, msg->m.type, dump);
}

/* ---- type -------------------------------------------------------------------------------------------------------- */

static PyGetSetDef head_attributes[] = {
    {"source", get_source, NULL, "Endpoint that sent the message: written by the kernel when it is delivered.", NULL},
    {"type", get_type, set_type, "What kind of message it is: the application's number, 32 bits.", NULL},
    {"payload", get_payload, set_payload, "The 56 bytes behind the head. Shorter values are padded with zeros.", NULL},
    {"data", get_data, NULL, "All 64 bytes as a writable memoryview.", NULL},
    {"is_notify", get_flag, NULL, "Whether it was received as a notification.", (void *)K_IN_NOTIFY},
    {"is_request", get_flag, NULL, "Whether its sender waits for an answer (it used sendrec).", (void *)K_IN_REQUEST},
    {"call", get_call, NULL, "Number of the call that it asks to be answered; 0 if it is no request.", NULL},
    {"trace", get_trace, set_trace, "W3C trace id that travels with the message: 16 bytes, or None.", NULL},
    {"p_nr", get_p_nr, NULL, "Process number of a notification's sender; None if it is not one, or not known.", NULL},
    {"timestamp", get_timestamp, NULL, "When a notification was sent: seconds since 1970; None if it is not one.", NULL},
};

static PyMethodDef head_methods[] = {
    {"copy", message_copy, METH_NOARGS, "Return a new message with the same bytes and envelope."},
    {"__copy__", message_copy, METH_NOARGS, "Return a new message with the same bytes and envelope."},
    {"clear", message_clear, METH_NOARGS, "Set all bytes to zero and forget the envelope."},
};

enum { HEADS = sizeof head_attributes / sizeof *head_attributes, HEAD_METHODS = sizeof head_methods / sizeof *head_methods };

/* A type takes one table of each kind: head and views are joined here. They live as long as the type. */
static PyGetSetDef all_attributes[HEADS + 64];
static PyMethodDef all_methods[HEAD_METHODS + 24];

static void join_tables(void) {
    size_t n = HEADS, m = HEAD_METHODS;
    memcpy(all_attributes, head_attributes, sizeof head_attributes);
    memcpy(all_methods, head_methods, sizeof head_methods);
    for (PyGetSetDef *row = message_view_attributes; row->name; row++) all_attributes[n++] = *row;
    for (PyMethodDef *row = message_view_methods; row->ml_name; row++) all_methods[m++] = *row;
}

static PyType_Slot message_slots[] = {
    {Py_tp_doc, "Message(type=0, /, **fields): 64 bytes as they travel between endpoints, and what the kernel says of them."},
    {Py_tp_init, (void *)message_init},
    {Py_tp_dealloc, (void *)message_dealloc},
    {Py_tp_repr, (void *)message_repr},
    {Py_tp_richcompare, (void *)message_compare},
    {Py_tp_hash, (void *)PyObject_HashNotImplemented},
    {Py_tp_getset, all_attributes},
    {Py_tp_methods, all_methods},
    {Py_bf_getbuffer, (void *)message_getbuffer},
    {0, NULL},
};

static PyType_Spec message_spec = {"drvs.core._core.Message", sizeof(struct message), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, message_slots};

bool message_init_type(PyObject *module) {
    join_tables();
    message_type = (PyTypeObject *)PyType_FromSpec(&message_spec);
    return message_type && PyModule_AddObjectRef(module, "Message", (PyObject *)message_type) == 0;
}
