/* module.c: drvs.core._core: its functions, and how its parts come together. */
#include "binding.h"
#include "../core/cpu.h"
#include "image.h"
#include "looking.h"

#if __has_include("../bench/pingpong.h")
#define HAVE_BENCH 1
#include "bench.h"
#endif

/* ---- functions ------------------------------------------------------------------------------------------------------ */

static PyObject *this_cpu(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyLong_FromLong((long)k_this_cpu() - 1);
}

static PyObject *now_ns(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyLong_FromLongLong(k_now_ns());
}

static struct signature is_earlier_signature = {"is_earlier", 2, {ENDPOINT_PARAM("endpoint"), ENDPOINT_PARAM("other")}, {NULL}};

static PyObject *is_earlier(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    (void)module;
    union value v[PARAMS_MAX];
    if (!parse_args(&is_earlier_signature, args, nargs, kwnames, v)) return NULL;
    return PyBool_FromLong(k_endpoint_is_earlier((int32_t)v[0].integer, (int32_t)v[1].integer));
}

static struct signature doze_signature = {"doze", 2, {INT_PARAM("fd", 0, INT32_MAX, 0), ADDRESS_PARAM("ns")}, {NULL}};

static PyObject *doze(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    (void)module;
    union value v[PARAMS_MAX];
    if (!parse_args(&doze_signature, args, nargs, kwnames, v)) return NULL;
    Py_BEGIN_ALLOW_THREADS
    doze_on((int)v[0].integer, v[1].address);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static struct signature copy_bytes_signature = {"copy_bytes", 6, {
    INT_PARAM("src_pid", 0, INT32_MAX, 0), ADDRESS_PARAM("src_address"), INT_PARAM("dst_pid", 0, INT32_MAX, 0), ADDRESS_PARAM("dst_address"),
    ADDRESS_PARAM("nbytes"), INT_PARAM("chunk", 1, UINT32_MAX, 0),
}, {NULL}};

static PyObject *copy_bytes(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    (void)module;
    union value v[PARAMS_MAX];
    int code;
    if (!parse_args(&copy_bytes_signature, args, nargs, kwnames, v)) return NULL;
    Py_BEGIN_ALLOW_THREADS
    code = k_copy_bytes((int32_t)v[0].integer, v[1].address, (int32_t)v[2].integer, v[3].address, v[4].address, (uint32_t)v[5].integer);
    Py_END_ALLOW_THREADS
    return PyLong_FromLong(code);
}

/* The bytes stay where they are for as long as their buffer is exported, which is the caller's to see to. */
static PyObject *span_of(PyObject *module, PyObject *buffer) {
    (void)module;
    Py_buffer view;
    if (PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE) < 0) return NULL;
    PyObject *span = Py_BuildValue("(Kn)", (unsigned long long)(uintptr_t)view.buf, view.len);
    PyBuffer_Release(&view);
    return span;
}

static PyMethodDef functions[] = {
    {"this_cpu", this_cpu, METH_NOARGS, "this_cpu() -> int: the CPU that this thread runs on, -1 if unknown."},
    {"now_ns", now_ns, METH_NOARGS, "now_ns() -> int: CLOCK_MONOTONIC, the clock of all deadlines."},
    {"is_earlier", FASTCALL(is_earlier), "is_earlier(endpoint, other) -> bool: of two owners of one slot."},
    {"doze", FASTCALL(doze), "doze(fd, ns): sleep until there is something to read from fd, for at most ns."},
    {"copy_bytes", FASTCALL(copy_bytes), "copy_bytes(src_pid, src_address, dst_pid, dst_address, nbytes, chunk) -> code: between host processes (0: the caller)."},
    {"encode_command", encode_command, METH_O, "encode_command(fields) -> the record that carries a command between nodes."},
    {"decode_command", decode_command, METH_O, "decode_command(record) -> its fields, the payload among them; ValueError says what is wrong with it."},
    {"refuse_command", FASTCALL(refuse_command), "refuse_command(record, code) -> (node, record) | None: what tells the other side that a command came to nothing."},
    {"span_of", span_of, METH_O, "span_of(buffer) -> (address, nbytes): where the bytes of a contiguous buffer are."},
    {"set_error_factory", set_error_factory, METH_O, "set_error_factory(f): f(code, operation, endpoint, peer, object) makes what is raised (None: RuntimeError). Returns the one before."},
    {"set_copy_fallback", set_copy_fallback, METH_O,
     "set_copy_fallback(f): f(object, src_slot, src_pid, src_address, dst_slot, dst_pid, dst_address, nbytes) -> code, where Linux refuses a copy."},
    {NULL, NULL, 0, NULL},
};

/* ---- module ---------------------------------------------------------------------------------------------------------- */

static bool add_functions(PyObject *module) {
#ifdef HAVE_BENCH
    if (PyModule_AddFunctions(module, bench_functions) < 0) return false;
#endif
    return PyModule_AddFunctions(module, functions) == 0 && PyModule_AddFunctions(module, image_functions) == 0
        && PyModule_AddFunctions(module, mailbox_functions) == 0;
}

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "drvs.core._core", .m_size = -1,
    .m_doc = "The kernel core for Python: Message, Endpoint, Region. The layers above import it; programs use drvs.",
};

PyMODINIT_FUNC PyInit__core(void) {
    PyObject *module = PyModule_Create(&definition);
    endpoint_calls_init();
    if (module && message_init_type(module) && region_init_type(module) && proxy_init_type(module) && endpoint_init_type(module) && span_init_type(module) && add_constants(module)
        && add_functions(module)) return module;
    Py_XDECREF(module);
    return NULL;
}
