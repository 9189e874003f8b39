/* message_views.c: attributes m1_i1 … mA_ia and methods set_m1/get_m1 … set_mA/get_mA, all made from one table.
 *
 * Every kind of field has a `load` (C memory to Python) and a `store` (checked, the other way). An attribute is a getset
 * whose closure is the field's row; a bulk method walks the rows of its view. Loads and stores copy, so no field needs to be
 * aligned or of a type that C would see as such.
 */
#include "binding.h"
#include "message_views.h"

#include <string.h>

struct field {
    const char *name;   /* "m1_i1" */
    const char *letter; /* "i1" */
    size_t offset, size;
    PyObject *(*load)(const struct field *, const uint8_t *);
    bool (*store)(const struct field *, uint8_t *, PyObject *);
};

/* ---- kinds ---------------------------------------------------------------------------------------------------- */

static PyObject *load_int(const struct field *f, const uint8_t *at) {
    (void)f;
    int32_t value;
    memcpy(&value, at, sizeof value);
    return PyLong_FromLong(value);
}

static bool store_int(const struct field *f, uint8_t *at, PyObject *object) {
    int32_t value;
    if (!to_int32(object, f->name, &value)) return false;
    memcpy(at, &value, sizeof value);
    return true;
}

static PyObject *load_short(const struct field *f, const uint8_t *at) {
    (void)f;
    int16_t value;
    memcpy(&value, at, sizeof value);
    return PyLong_FromLong(value);
}

static bool store_short(const struct field *f, uint8_t *at, PyObject *object) {
    int64_t value;
    if (!to_integer(object, f->name, INT16_MIN, INT16_MAX, &value)) return false;
    memcpy(at, &(int16_t){(int16_t)value}, sizeof(int16_t));
    return true;
}

static PyObject *load_long(const struct field *f, const uint8_t *at) {
    (void)f;
    int64_t value;
    memcpy(&value, at, sizeof value);
    return PyLong_FromLongLong(value);
}

static bool store_long(const struct field *f, uint8_t *at, PyObject *object) {
    int64_t value;
    if (!to_integer(object, f->name, INT64_MIN, INT64_MAX, &value)) return false;
    memcpy(at, &value, sizeof value);
    return true;
}

static PyObject *load_pointer(const struct field *f, const uint8_t *at) {
    (void)f;
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return PyLong_FromUnsignedLongLong(value);
}

static bool store_pointer(const struct field *f, uint8_t *at, PyObject *object) {
    uint64_t value;
    if (!to_address(object, f->name, &value)) return false;
    memcpy(at, &value, sizeof value);
    return true;
}

/* Characters are bytes padded with zeros: reading gives them back without the padding. */
static PyObject *load_chars(const struct field *f, const uint8_t *at) {
    size_t n = f->size;
    while (n && !at[n - 1]) n--;
    return PyBytes_FromStringAndSize((const char *)at, (Py_ssize_t)n);
}

static bool store_chars(const struct field *f, uint8_t *at, PyObject *object) {
    Py_buffer view;
    if (PyUnicode_Check(object) || !PyObject_CheckBuffer(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be bytes, not %R", f->name, (PyObject *)Py_TYPE(object));
        return false;
    }
    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) < 0) return false;
    bool fits = view.len <= (Py_ssize_t)f->size;
    if (fits) {
        memmove(at, view.buf, (size_t)view.len);
        memset(at + view.len, 0, f->size - (size_t)view.len);
    } else {
        PyErr_Format(PyExc_ValueError, "%s takes at most %zu bytes, not %zd", f->name, f->size, view.len);
    }
    PyBuffer_Release(&view);
    return fits;
}

static PyObject *load_ints(const struct field *f, const uint8_t *at) {
    Py_ssize_t n = (Py_ssize_t)(f->size / sizeof(int32_t));
    PyObject *tuple = PyTuple_New(n);
    for (Py_ssize_t i = 0; tuple && i < n; i++) {
        PyObject *value = load_int(f, at + (size_t)i * sizeof(int32_t));
        if (!value || PyTuple_SetItem(tuple, i, value) < 0) Py_CLEAR(tuple);
    }
    return tuple;
}

/* The items of a sequence of exactly `n`, as a new tuple. */
static PyObject *exactly(PyObject *object, const char *name, Py_ssize_t n) {
    PyObject *tuple = PyUnicode_Check(object) ? NULL : PySequence_Tuple(object);
    if (tuple && PyTuple_Size(tuple) == n) return tuple;
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_TypeError)) return NULL;
    PyErr_Clear();
    PyErr_Format(tuple ? PyExc_ValueError : PyExc_TypeError, "%s must be a sequence of %zd integers, not %R", name, n, object);
    Py_XDECREF(tuple);
    return NULL;
}

static bool store_ints(const struct field *f, uint8_t *at, PyObject *object) {
    int32_t values[sizeof(struct mA) / sizeof(int32_t)] = {0};
    Py_ssize_t n = (Py_ssize_t)(f->size / sizeof(int32_t)), done = 0;
    PyObject *tuple = exactly(object, f->name, n);
    if (!tuple) return false;
    while (done < n && to_int32(PyTuple_GetItem(tuple, done), f->name, &values[done])) done++;
    Py_DECREF(tuple);
    if (done == n) memcpy(at, values, f->size);
    return done == n;
}

static PyObject *load_time(const struct field *f, const uint8_t *at) {
    (void)f;
    struct m9_time time;
    memcpy(&time, at, sizeof time);
    return Py_BuildValue("(LL)", (long long)time.seconds, (long long)time.nanoseconds);
}

static bool store_time(const struct field *f, uint8_t *at, PyObject *object) {
    struct m9_time time;
    PyObject *pair = exactly(object, f->name, 2);
    if (!pair) return false;
    bool ok = to_integer(PyTuple_GetItem(pair, 0), f->name, INT64_MIN, INT64_MAX, &time.seconds)
        && to_integer(PyTuple_GetItem(pair, 1), f->name, INT64_MIN, INT64_MAX, &time.nanoseconds);
    Py_DECREF(pair);
    if (ok) memcpy(at, &time, sizeof time);
    return ok;
}

/* ---- the table ------------------------------------------------------------------------------------------------- */

#define ENUM_ROW(view, letter, kind) FIELD_##view##_##letter,
enum { MESSAGE_FIELDS(ENUM_ROW) FIELDS };

#define FIELD_ROW(view, letter, kind) \
    {#view "_" #letter, #letter, offsetof(struct view, letter), sizeof(((struct view *)0)->letter), load_##kind, store_##kind},
static const struct field fields[] = {MESSAGE_FIELDS(FIELD_ROW)};

#define FITS(view, first, last) static_assert(sizeof(struct view) <= 56, #view " fits the payload");
MESSAGE_VIEWS(FITS)
static_assert(sizeof(struct m1) == 40 && sizeof(struct m3) == 32 && sizeof(struct m5) == 40 && sizeof(struct m9) == 24, "LP64");

static uint8_t *payload(PyObject *self) {
    return ((struct message *)self)->m.payload;
}

/* ---- attributes ------------------------------------------------------------------------------------------------ */

/* A getter and a setter of their own for each kind: the compiler then joins them with its load and store. */
#define ACCESSORS(kind) \
    static PyObject *get_##kind(PyObject *self, void *closure) { \
        const struct field *f = closure; \
        return load_##kind(f, payload(self) + f->offset); \
    } \
    static int set_##kind(PyObject *self, PyObject *value, void *closure) { \
        const struct field *f = closure; \
        if (value) return store_##kind(f, payload(self) + f->offset, value) ? 0 : -1; \
        PyErr_Format(PyExc_AttributeError, "%s cannot be deleted", f->name); \
        return -1; \
    }
ACCESSORS(short)
ACCESSORS(int)
ACCESSORS(long)
ACCESSORS(pointer)
ACCESSORS(chars)
ACCESSORS(ints)
ACCESSORS(time)

#define ATTRIBUTE_ROW(view, letter, kind) \
    {#view "_" #letter, get_##kind, set_##kind, "Field " #letter " of view " #view ": " #kind ".", (void *)(uintptr_t)&fields[FIELD_##view##_##letter]},
PyGetSetDef message_view_attributes[] = {MESSAGE_FIELDS(ATTRIBUTE_ROW){0}};

bool is_view_field(PyObject *name) {
    for (size_t i = 0; i < FIELDS; i++) {
        if (PyUnicode_CompareWithASCIIString(name, fields[i].name) == 0) return true;
    }
    return false;
}

/* ---- bulk methods ----------------------------------------------------------------------------------------------- */

static PyObject *get_view(PyObject *self, const struct field *first, size_t n) {
    PyObject *tuple = PyTuple_New((Py_ssize_t)n);
    for (size_t i = 0; tuple && i < n; i++) {
        PyObject *value = first[i].load(&first[i], payload(self) + first[i].offset);
        if (!value || PyTuple_SetItem(tuple, (Py_ssize_t)i, value) < 0) Py_CLEAR(tuple);
    }
    return tuple;
}

/* All or nothing: the fields go into a copy that replaces the payload when every one was right. */
static PyObject *set_view(PyObject *self, const struct field *first, size_t n, PyObject *const *objects) {
    uint8_t copy[sizeof(struct k_message) - offsetof(struct k_message, payload)];
    memcpy(copy, payload(self), sizeof copy);
    for (size_t i = 0; i < n; i++) {
        if (!objects[i]) memset(copy + first[i].offset, 0, first[i].size);
        else if (!first[i].store(&first[i], copy + first[i].offset, objects[i])) return NULL;
    }
    memcpy(payload(self), copy, sizeof copy);
    Py_RETURN_NONE;
}

static void describe_view(struct signature *s, const struct field *first, size_t n) {
    for (size_t i = 0; i < n; i++) s->params[i].name = first[i].letter;
}

#define BULK_METHODS(view, first, last) \
    enum { COUNT_##view = FIELD_##view##_##last - FIELD_##view##_##first + 1 }; \
    static PyObject *get_##view(PyObject *self, PyObject *unused) { \
        (void)unused; \
        return get_view(self, &fields[FIELD_##view##_##first], COUNT_##view); \
    } \
    static PyObject *set_##view(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) { \
        static struct signature s = {.function = "set_" #view}; \
        PyObject *objects[PARAMS_MAX]; \
        if (!s.params[0].name) describe_view(&s, &fields[FIELD_##view##_##first], COUNT_##view); \
        if (!match_args(&s, args, nargs, kwnames, objects)) return NULL; \
        return set_view(self, &fields[FIELD_##view##_##first], COUNT_##view, objects); \
    }
MESSAGE_VIEWS(BULK_METHODS)

#define METHOD_ROWS(view, first, last) \
    {"get_" #view, get_##view, METH_NOARGS, "Return the fields of view " #view " as a tuple."}, \
    {"set_" #view, FASTCALL(set_##view), "Set the fields of view " #view "; those not given become zero."},
PyMethodDef message_view_methods[] = {MESSAGE_VIEWS(METHOD_ROWS){0}};
