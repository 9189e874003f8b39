/* command.c: commands between nodes as dictionaries, for tests and for proxies that a program writes itself.
 *
 * Both directions go by one table of fields, so that encode(decode(record)) is the record.
 */
#include "binding.h"

#include <string.h>

#include "../core/command.h"

enum field_kind { SIGNED, UNSIGNED, WIDE };

struct field { const char *name; enum field_kind kind; size_t at; int64_t min, max; };

#define FIELD(name, kind, member, min, max) {name, kind, offsetof(struct k_command, member), min, max}
#define NODE_FIELD(name, kind, member) FIELD(name, kind, member, 0, UINT16_MAX)
#define ENDPOINT_FIELD(name, member) FIELD(name, SIGNED, member, INT32_MIN, INT32_MAX)
#define WORD_FIELD(name, member) FIELD(name, UNSIGNED, member, 0, UINT32_MAX)

static const struct field fields[] = {
    NODE_FIELD("cmd", SIGNED, cmd), NODE_FIELD("vmid", SIGNED, vmid), ENDPOINT_FIELD("src", src), ENDPOINT_FIELD("dst", dst),
    NODE_FIELD("snode", SIGNED, snode), NODE_FIELD("dnode", SIGNED, dnode), ENDPOINT_FIELD("rcode", rcode), NODE_FIELD("rnode", UNSIGNED, rnode),
    ENDPOINT_FIELD("v_src", v.src), ENDPOINT_FIELD("v_dst", v.dst), ENDPOINT_FIELD("v_rqtr", v.rqtr), WORD_FIELD("v_bytes", v.bytes),
    FIELD("v_saddr", WIDE, v.saddr, 0, 0), FIELD("v_daddr", WIDE, v.daddr, 0, 0), NODE_FIELD("flags", UNSIGNED, flags), WORD_FIELD("call", call),
    WORD_FIELD("answers", answers), WORD_FIELD("incarnation", incarnation), {NULL, 0, 0, 0, 0},
};

/* ---- decode ------------------------------------------------------------------------------------------------------------ */

static PyObject *get_field(const struct k_command *c, const struct field *f) {
    const uint8_t *at = (const uint8_t *)c + f->at;
    uint64_t wide;
    uint32_t word;
    memcpy(&word, at, sizeof word);
    if (f->kind == SIGNED) return PyLong_FromLong((int32_t)word);
    if (f->kind == UNSIGNED) return PyLong_FromUnsignedLong(word);
    memcpy(&wide, at, sizeof wide);
    return PyLong_FromUnsignedLongLong(wide);
}

static bool put(PyObject *dict, const char *key, PyObject *value) {
    bool ok = value && PyDict_SetItemString(dict, key, value) == 0;
    Py_XDECREF(value);
    return ok;
}

static PyObject *to_dict(const struct k_command *c, const char *payload) {
    PyObject *dict = PyDict_New();
    bool ok = dict != NULL;
    for (const struct field *f = fields; ok && f->name; f++) ok = put(dict, f->name, get_field(c, f));
    ok = ok && put(dict, "time_ns", PyLong_FromLongLong(c->seconds * 1000000000 + c->nanoseconds))
        && put(dict, "trace", PyBytes_FromStringAndSize((const char *)c->trace, sizeof c->trace))
        && put(dict, "payload", PyBytes_FromStringAndSize(payload, c->len));
    if (!ok) Py_CLEAR(dict);
    return dict;
}

PyObject *decode_command(PyObject *module, PyObject *record) {
    (void)module;
    struct k_command c;
    Py_buffer view;
    size_t length;
    if (PyObject_GetBuffer(record, &view, PyBUF_SIMPLE) < 0) return NULL;
    const char *wrong = k_wire_decode(view.buf, (size_t)view.len, &c, &length);
    if (!wrong && length != (size_t)view.len) wrong = "something follows it";
    PyObject *dict = wrong ? PyErr_Format(PyExc_ValueError, "not a command: %s", wrong) : to_dict(&c, (const char *)view.buf + K_WIRE_HEADER);
    PyBuffer_Release(&view);
    return dict;
}

/* ---- refuse ------------------------------------------------------------------------------------------------------------- */

static struct signature refuse_signature = {"refuse_command", 2, {OBJECT_PARAM("record"), INT_PARAM("code", -4095, -1, 0)}, {NULL}};

static PyObject *refusal(const struct k_command *c, int code) {
    struct k_command ack;
    uint8_t header[K_WIRE_HEADER];
    if (!k_command_refuse(c, code, &ack)) Py_RETURN_NONE;
    k_wire_encode(&ack, header);
    return Py_BuildValue("(iy#)", (int)ack.dnode, (const char *)header, (Py_ssize_t)sizeof header);
}

PyObject *refuse_command(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    (void)module;
    union value v[PARAMS_MAX];
    struct k_command c;
    Py_buffer view;
    size_t length;
    if (!parse_args(&refuse_signature, args, nargs, kwnames, v) || PyObject_GetBuffer(v[0].object, &view, PyBUF_SIMPLE) < 0) return NULL;
    const char *wrong = k_wire_decode(view.buf, (size_t)view.len, &c, &length);
    PyBuffer_Release(&view);
    return wrong ? PyErr_Format(PyExc_ValueError, "not a command: %s", wrong) : refusal(&c, (int)v[1].integer);
}

/* ---- encode ------------------------------------------------------------------------------------------------------------ */

static bool set_field(struct k_command *c, const struct field *f, PyObject *value) {
    uint8_t *at = (uint8_t *)c + f->at;
    int64_t integer;
    uint64_t wide;
    if (f->kind == WIDE) {
        if (!to_address(value, f->name, &wide)) return false;
        memcpy(at, &wide, sizeof wide);
        return true;
    }
    if (!to_integer(value, f->name, f->min, f->max, &integer)) return false;
    memcpy(at, &integer, 4); /* little-endian: as everything that this core is built for */
    return true;
}

/* Bytes into a field of fixed size, or NULL to measure only. */
static bool get_bytes(PyObject *value, const char *name, void *to, Py_ssize_t size) {
    Py_buffer view;
    if (PyObject_GetBuffer(value, &view, PyBUF_SIMPLE) < 0) return false;
    bool fits = view.len == size;
    if (fits) memcpy(to, view.buf, (size_t)size);
    else PyErr_Format(PyExc_ValueError, "%s must have %zd bytes, not %zd", name, size, view.len);
    PyBuffer_Release(&view);
    return fits;
}

static bool set_time(struct k_command *c, PyObject *value) {
    int64_t ns;
    if (!to_integer(value, "time_ns", 0, INT64_MAX, &ns)) return false;
    c->seconds = ns / 1000000000, c->nanoseconds = ns % 1000000000;
    return true;
}

static bool set_named(struct k_command *c, PyObject *key, PyObject *value, PyObject **payload) {
    for (const struct field *f = fields; f->name; f++)
        if (PyUnicode_CompareWithASCIIString(key, f->name) == 0) return set_field(c, f, value);
    if (PyUnicode_CompareWithASCIIString(key, "time_ns") == 0) return set_time(c, value);
    if (PyUnicode_CompareWithASCIIString(key, "trace") == 0) return get_bytes(value, "trace", c->trace, sizeof c->trace);
    if (PyUnicode_CompareWithASCIIString(key, "payload") == 0) return (*payload = value) != NULL;
    PyErr_Format(PyExc_TypeError, "a command has no field %R", key);
    return false;
}

static PyObject *to_record(struct k_command *c, const Py_buffer *payload) {
    if (payload->len > K_WIRE_DATA_MAX) return PyErr_Format(PyExc_ValueError, "payload takes at most %d bytes, not %zd", K_WIRE_DATA_MAX, payload->len);
    c->len = (int32_t)payload->len;
    PyObject *record = PyBytes_FromStringAndSize(NULL, K_WIRE_HEADER + payload->len);
    if (!record) return NULL;
    uint8_t *at = (uint8_t *)PyBytes_AsString(record);
    k_wire_encode(c, at);
    if (payload->len) memcpy(at + K_WIRE_HEADER, payload->buf, (size_t)payload->len);
    return record;
}

PyObject *encode_command(PyObject *module, PyObject *dict) {
    (void)module;
    struct k_command c = {0};
    PyObject *key, *value, *payload = NULL;
    Py_ssize_t at = 0;
    Py_buffer view = {0};
    if (!PyDict_Check(dict)) return PyErr_Format(PyExc_TypeError, "a command is a dict of its fields, not %R", (PyObject *)Py_TYPE(dict));
    while (PyDict_Next(dict, &at, &key, &value))
        if (!PyUnicode_Check(key) ? !PyErr_Format(PyExc_TypeError, "fields have names, not %R", key) : !set_named(&c, key, value, &payload)) return NULL;
    if (payload && PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE) < 0) return NULL;
    PyObject *record = to_record(&c, &view);
    if (payload) PyBuffer_Release(&view);
    return record;
}
