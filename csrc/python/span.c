/* span.c: the type Span: where some bytes of this process are. What a copy needs to know of a block, as a C struct.
 *
 * It holds nothing: whoever fills it in (drvs.api.Block) keeps the memory in place while `held` is true.
 */
#include "binding.h"

#include <structmember.h>

PyTypeObject *span_type;

static void span_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(((struct span *)self)->length_object);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

PyObject *span_length(struct span *span) {
    if (!span->length_object) span->length_object = PyLong_FromUnsignedLongLong(span->length);
    return Py_XNewRef(span->length_object);
}

static PyObject *get_length(PyObject *self, void *closure) {
    (void)closure;
    return span_length((struct span *)self);
}

static int set_length(PyObject *self, PyObject *value, void *closure) {
    struct span *span = (struct span *)self;
    (void)closure;
    if (!value || !to_address(value, "length", &span->length)) return -1;
    Py_CLEAR(span->length_object);
    return 0;
}

static PyGetSetDef attributes[] = {
    {"length", get_length, set_length, "Bytes.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef members[] = {
    {"address", T_ULONGLONG, offsetof(struct span, address), 0, "Where the first byte is, in this process."},
    {"readonly", T_BOOL, offsetof(struct span, readonly), 0, "True if it can only be copied from."},
    {"held", T_BOOL, offsetof(struct span, held), 0, "True while the memory is kept in place."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Where some bytes of this process are: what a copy needs to know of a block."},
    {Py_tp_members, members},
    {Py_tp_getset, attributes},
    {Py_tp_dealloc, span_dealloc},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "drvs.core.Span", .basicsize = sizeof(struct span), .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, .slots = slots,
};

bool span_init_type(PyObject *module) {
    span_type = (PyTypeObject *)PyType_FromSpec(&spec);
    return span_type && PyModule_AddObjectRef(module, "Span", (PyObject *)span_type) == 0;
}
