/* runs.c: see runs.h. Bytes of a copy are read straight into the buffer that is sent. */
#include "runs.h"

#include <string.h>

enum { COPIED_BYTES = 4096 }; /* a shorter run is copied out of the buffer, a longer one is the buffer */

void run_drop(struct run_buffer *buffer) {
    Py_CLEAR(buffer->bytes);
}

uint8_t *run_end(const struct run *run, size_t room) {
    struct run_buffer *buffer = run->buffer;
    size_t size = run->most + K_WIRE_HEADER + room;
    if (buffer->size < size) run_drop(buffer);
    if (!buffer->bytes) buffer->bytes = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)(buffer->size = size));
    return buffer->bytes ? (uint8_t *)PyByteArray_AsString(buffer->bytes) + run->used : NULL;
}

static PyObject *cut(const struct run *run) {
    struct run_buffer *buffer = run->buffer;
    if (run->used < COPIED_BYTES) return PyBytes_FromStringAndSize(PyByteArray_AsString(buffer->bytes), (Py_ssize_t)run->used);
    PyObject *records = buffer->bytes;
    buffer->bytes = NULL;
    if (PyByteArray_Resize(records, (Py_ssize_t)run->used) < 0) Py_CLEAR(records);
    return records;
}

bool run_finish(struct run *run) {
    if (!run->count) return true;
    PyObject *records = cut(run), *row = records ? Py_BuildValue("(iNn)", (int)run->node, records, run->count) : NULL;
    int failed = !row || PyList_Append(run->list, row) < 0;
    Py_XDECREF(row);
    run->used = 0, run->count = 0;
    return !failed;
}

/* The record behind the run is for another node: it begins the next one. */
static bool begin_next(struct run *run, const uint8_t *record, size_t length) {
    PyObject *next = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)run->buffer->size);
    if (!next) return false;
    memcpy(PyByteArray_AsString(next), record, length);
    bool ok = run_finish(run);
    Py_XDECREF(run->buffer->bytes);
    run->buffer->bytes = next;
    return ok;
}

bool run_add(struct run *run, const struct k_command *c, uint8_t *at) {
    size_t length = K_WIRE_HEADER + (size_t)c->len;
    k_wire_encode(c, at);
    if (run->count && run->node != c->dnode && !begin_next(run, at, length)) return false;
    run->node = c->dnode;
    run->used += length, run->total += length;
    run->count++, run->taken++;
    return true;
}
