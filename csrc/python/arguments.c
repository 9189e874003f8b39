/* arguments.c: from Python's arguments to C values, with errors that name the argument and what it may be. */
#include "binding.h"

#include <math.h>
#include <string.h>

/* ---- integers ------------------------------------------------------------------------------------------------- */

/* Whether the error that is set, if any, is an object's own and not about the number: then it stays. */
static bool is_its_own_error(void) {
    return PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_TypeError) && !PyErr_ExceptionMatches(PyExc_OverflowError);
}

/* Replace a TypeError by one that names the argument: true if there was one. */
static bool wrong_type(PyObject *object, const char *name) {
    bool wrong = PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_TypeError);
    PyErr_Clear();
    if (wrong) PyErr_Format(PyExc_TypeError, "%s must be an integer, not %R", name, (PyObject *)Py_TYPE(object));
    return wrong;
}

bool integer_failed(PyObject *object, const char *name, int64_t min, int64_t max) {
    if (!is_its_own_error() && !wrong_type(object, name)) {
        PyErr_Format(PyExc_OverflowError, "%s must be between %lld and %lld, not %R", name, (long long)min, (long long)max, object);
    }
    return false;
}

static bool address_failed(PyObject *object, const char *name) {
    if (!is_its_own_error() && !wrong_type(object, name)) {
        PyErr_Format(PyExc_OverflowError, "%s must be between 0 and 2**64 - 1, not %R", name, object);
    }
    return false;
}

bool to_integer(PyObject *object, const char *name, int64_t min, int64_t max, int64_t *out) {
    int overflow;
    *out = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow || (*out == -1 && PyErr_Occurred()) || *out < min || *out > max) return integer_failed(object, name, min, max);
    return true;
}

bool to_address(PyObject *object, const char *name, uint64_t *out) {
    int overflow;
    long plain = PyLong_AsLongAndOverflow(object, &overflow); /* most addresses, in half the time */
    *out = (uint64_t)plain;
    if (plain >= 0) return true;
    PyErr_Clear();
    *out = PyLong_AsUnsignedLongLong(object);
    if (*out != UINT64_MAX || !PyErr_Occurred()) return true;
    if (!PyErr_ExceptionMatches(PyExc_TypeError)) return address_failed(object, name);
    PyErr_Clear();
    PyObject *index = PyNumber_Index(object); /* numpy's integers are not ints */
    if (!index) return address_failed(object, name);
    *out = PyLong_AsUnsignedLongLong(index);
    Py_DECREF(index);
    return *out != UINT64_MAX || !PyErr_Occurred() || address_failed(object, name);
}

/* ---- timeouts and names ---------------------------------------------------------------------------------------- */

bool to_timeout(PyObject *seconds, struct timeout *timeout) {
    double value = PyFloat_AsDouble(seconds);
    if (value == -1.0 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_TypeError)) return false;
        PyErr_Format(PyExc_TypeError, "timeout must be a number of seconds or None, not %R", (PyObject *)Py_TYPE(seconds));
        return false;
    }
    if (!(value >= 0)) { /* so that NaN is caught too */
        PyErr_Format(PyExc_ValueError, "timeout must be 0 or more seconds, or None to wait for ever, not %R", seconds);
        return false;
    }
    timeout->nowait = value == 0;
    timeout->forever = value > 9e9; /* 285 years: the nanoseconds would not fit */
    timeout->ns = timeout->forever ? 0 : (int64_t)ceil(value * 1e9);
    return true;
}

bool to_name(PyObject *text, const char *name, char out[K_NAME_BYTES]) {
    Py_ssize_t size;
    if (!PyUnicode_Check(text)) {
        PyErr_Format(PyExc_TypeError, "%s must be a str, not %R", name, (PyObject *)Py_TYPE(text));
        return false;
    }
    const char *utf8 = PyUnicode_AsUTF8AndSize(text, &size);
    if (!utf8) return false;
    if (size >= K_NAME_BYTES || memchr(utf8, 0, (size_t)size)) {
        PyErr_Format(PyExc_ValueError, "%s must be at most %d bytes without a NUL, not %R", name, K_NAME_BYTES - 1, text);
        return false;
    }
    memset(out, 0, K_NAME_BYTES);
    memcpy(out, utf8, (size_t)size);
    return true;
}

/* ---- matching arguments to parameters ---------------------------------------------------------------------------- */

static Py_ssize_t count_params(const struct signature *s) {
    Py_ssize_t n = 0;
    while (n < PARAMS_MAX && s->params[n].name) n++;
    return n;
}

static bool intern_keys(struct signature *s) {
    for (Py_ssize_t i = count_params(s); i-- > 0;) { /* backwards: keys[0] says that all are there */
        if (!(s->keys[i] = PyUnicode_InternFromString(s->params[i].name))) return false;
    }
    return true;
}

/* Keywords in code are interned, so nearly always the first loop finds them. */
static Py_ssize_t find_key(const struct signature *s, PyObject *key) {
    for (Py_ssize_t i = 0; i < PARAMS_MAX && s->keys[i]; i++) {
        if (s->keys[i] == key) return i;
    }
    for (Py_ssize_t i = 0; i < PARAMS_MAX && s->keys[i]; i++) {
        if (PyUnicode_Compare(s->keys[i], key) == 0) return i;
    }
    return -1;
}

static bool put_keyword(struct signature *s, PyObject *key, PyObject *value, PyObject **objects) {
    if (!s->keys[0] && !intern_keys(s)) return false;
    Py_ssize_t i = find_key(s, key);
    if (i >= 0 && !objects[i]) {
        objects[i] = value;
        return true;
    }
    const char *problem = i < 0 ? "%s() has no parameter %R" : "%s() got two values for %R";
    PyErr_Format(PyExc_TypeError, problem, s->function, key);
    return false;
}

static bool put_keywords(struct signature *s, PyObject *const *values, PyObject *kwnames, PyObject **objects) {
    Py_ssize_t n = PyTuple_Size(kwnames);
    for (Py_ssize_t i = 0; i < n; i++) {
        if (!put_keyword(s, PyTuple_GetItem(kwnames, i), values[i], objects)) return false;
    }
    return true;
}

static bool check_required(const struct signature *s, PyObject *const *objects) {
    for (Py_ssize_t i = 0; i < s->required; i++) {
        if (objects[i]) continue;
        PyErr_Format(PyExc_TypeError, "%s() needs %s", s->function, s->params[i].name);
        return false;
    }
    return true;
}

static bool too_many(const struct signature *s, Py_ssize_t nargs) {
    PyErr_Format(PyExc_TypeError, "%s() takes at most %zd arguments, not %zd", s->function, count_params(s), nargs);
    return false;
}

bool match_args(struct signature *s, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, PyObject **objects) {
    Py_ssize_t i = 0;
    for (; i < PARAMS_MAX && s->params[i].name; i++) objects[i] = i < nargs ? args[i] : NULL;
    if (nargs > i) return too_many(s, nargs);
    if (kwnames && !put_keywords(s, args + nargs, kwnames, objects)) return false;
    return (nargs >= s->required) || check_required(s, objects);
}

static bool convert(const struct param *p, PyObject *object, union value *value) {
    switch (p->kind) {
    case PARAM_INT:
        value->integer = p->missing;
        return !object || to_integer(object, p->name, p->min, p->max, &value->integer);
    case PARAM_ADDRESS:
        value->address = 0;
        return !object || to_address(object, p->name, &value->address);
    default:
        value->object = object;
        return true;
    }
}

static bool convert_all(const struct signature *s, PyObject *const *objects, union value *values) {
    for (Py_ssize_t i = 0; i < PARAMS_MAX && s->params[i].name; i++) {
        if (!convert(&s->params[i], objects[i], &values[i])) return false;
    }
    return true;
}

bool parse_args(struct signature *s, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, union value *values) {
    PyObject *objects[PARAMS_MAX];
    return match_args(s, args, nargs, kwnames, objects) && convert_all(s, objects, values);
}

bool parse_init_args(struct signature *s, PyObject *args, PyObject *kwargs, union value *values) {
    PyObject *objects[PARAMS_MAX] = {0}, *key, *value;
    Py_ssize_t nargs = PyTuple_Size(args), at = 0;
    if (nargs > count_params(s)) return too_many(s, nargs);
    for (Py_ssize_t i = 0; i < nargs; i++) objects[i] = PyTuple_GetItem(args, i);
    while (kwargs && PyDict_Next(kwargs, &at, &key, &value)) {
        if (!put_keyword(s, key, value, objects)) return false;
    }
    return check_required(s, objects) && convert_all(s, objects, values);
}
