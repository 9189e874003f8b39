/* endpoint_calls.c: the methods of Endpoint that talk: the only hot code of the binding.
 *
 * A call starts and spins its first microsecond with the GIL held, since giving it up and taking it back costs a third of a whole
 * answered call; only then does the thread let go of it and wait (a bit later if it is alone). A signal ends the wait for as long as its Python handler
 * runs; then the wait goes on to the same deadline (PEP 475). If the handler raises, the call is cancelled.
 */
#include "binding.h"

#include "../core/fork.h"

#include <dlfcn.h>
#include <limits.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    GIL_SPIN_NS = 1000,
    ALONE_NAP_NS = 10 * 1000 * 1000, /* a shorter timer would have to be programmed into the hardware each time: 7 us in a VM */
    RAISED = INT_MIN, /* instead of a code: a Python exception is set */
};

/* One call as Python made it: the core's, and what it takes to run and report it. */
struct request {
    struct k_call call;
    struct message *message;
    struct timeout timeout;
    bool resume; /* after a signal; otherwise cancel with K_RESTARTSYS */
};

static struct endpoint *as_endpoint(PyObject *self) {
    return (struct endpoint *)self;
}

/* ---- is this the only Python thread? ---------------------------------------------------------------------------------- */

/* CPython's own list of threads: public, but outside the stable ABI, so looked up at run time. Not found: assume others. */
static PyThreadState *(*first_thread)(PyInterpreterState *);
static PyThreadState *(*next_thread)(PyThreadState *);

void endpoint_calls_init(void) {
    first_thread = (PyThreadState * (*)(PyInterpreterState *)) dlsym(RTLD_DEFAULT, "PyInterpreterState_ThreadHead");
    next_thread = (PyThreadState * (*)(PyThreadState *)) dlsym(RTLD_DEFAULT, "PyThreadState_Next");
}

bool only_thread(void) {
    return first_thread && next_thread && !next_thread(first_thread(PyInterpreterState_Get()));
}

/* ---- running one call ---------------------------------------------------------------------------------------------- */

/* Leave the call. It may have ended by now: then this is its own code. */
static int give_up(struct endpoint *self, struct request *r, int verdict) {
    int code;
    Py_BEGIN_ALLOW_THREADS
    code = k_call_cancel(&self->handle, &r->call, verdict);
    Py_END_ALLOW_THREADS
    return code;
}

/* A signal handler raised: its exception is what the caller gets, however the call ended. */
static int raised(struct endpoint *self, struct request *r) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    give_up(self, r, K_INTR);
    PyErr_Restore(type, value, traceback);
    return RAISED;
}

/* Python runs signal handlers in the main thread only; thousands of others need not take the GIL every second to find none. */
static bool handles_signals(void) {
    return gettid() == getpid();
}

/* Until the call has ended. The core comes back every second although it has not: a signal that came between the last look at
 * signals and the sleep is then seen. */
static int wait_without_gil(struct endpoint *self, struct request *r) {
    int64_t deadline = r->timeout.forever ? K_FOREVER : k_now_ns() + r->timeout.ns;
    for (;;) {
        int code;
        Py_BEGIN_ALLOW_THREADS
        do code = k_call_wait(&self->handle, &r->call, deadline);
        while (code == K_BLOCKED && !handles_signals());
        Py_END_ALLOW_THREADS
        /* A handler may have come back in a process restored from an image, which is as unbound as a forked child. */
        if (r->call.ended) return self->handle.fork_epoch == k_fork_epoch() ? code : K_NOTBIND;
        if (PyErr_CheckSignals() < 0) return raised(self, r);
        if (code == K_RESTARTSYS && !r->resume) return give_up(self, r, K_RESTARTSYS);
    }
}

int wait_for_call(struct endpoint *self, const struct k_call *call) {
    struct request r = {.call = *call, .timeout = {.forever = true}, .resume = true};
    return wait_without_gil(self, &r);
}

/* The only Python thread of the process keeps the GIL through a short sleep: nobody else wants it, and handing it out and back takes
 * longer than many answers. Longer sleeps go without, for threads that come from C. */
static int wait_alone(struct endpoint *self, struct request *r) {
    int64_t ns = r->timeout.forever || r->timeout.ns > ALONE_NAP_NS ? ALONE_NAP_NS : r->timeout.ns;
    int code = k_call_spin(&self->handle, &r->call, self->handle.spin_ns);
    if (code == K_BLOCKED) code = k_call_nap(&self->handle, &r->call, ns);
    if (r->call.ended) return code;
    if (code == K_RESTARTSYS && PyErr_CheckSignals() < 0) return raised(self, r);
    if (code == K_RESTARTSYS && !r->resume) return give_up(self, r, K_RESTARTSYS);
    return K_BLOCKED;
}

static inline int go_on(struct endpoint *self, struct request *r, int code) {
    if (code == K_BLOCKED) code = only_thread() ? wait_alone(self, r) : k_call_spin(&self->handle, &r->call, GIL_SPIN_NS);
    if (code > 0) code = wait_without_gil(self, r);
    return code;
}

static inline int run(struct endpoint *self, struct request *r) {
    self->calls++;
    int code = go_on(self, r, k_call_start(&self->handle, &r->call));
    self->calls--;
    return code;
}

/* ---- building a call ------------------------------------------------------------------------------------------------- */

static inline void set_up(struct request *r, uint32_t op, int32_t peer, struct message *message) {
    r->call.op = op;
    r->call.peer = peer;
    r->call.flags = r->timeout.nowait ? K_CALL_NOWAIT : 0;
    r->call.answers = 0;
    r->call.replies = false;
    r->call.message = &message->m;
    r->call.in_flags = 0;
    r->call.in_call = 0;
    r->message = message;
    r->resume = true;
}

/* What is sent takes the message's trace along. */
static inline void attach_trace(struct request *r) {
    if (!(r->message->in_flags & K_IN_TRACE)) return;
    r->call.flags |= K_CALL_TRACE;
    memcpy(r->call.trace, r->message->trace, sizeof r->call.trace);
}

/* The request in this message is what a message to `peer` answers, if it came from there. */
static inline uint32_t answered_call(const struct message *message, int32_t peer) {
    return message->in_flags & K_IN_REQUEST && message->m.source == peer ? message->in_call : 0;
}

static inline void take_envelope(struct request *r) {
    r->message->in_flags = r->call.in_flags;
    r->message->in_call = r->call.in_call;
    if (r->call.in_flags & K_IN_TRACE) memcpy(r->message->trace, r->call.trace, sizeof r->call.trace);
}

static struct message *need_message(PyObject *object, const char *name) {
    if (is_message(object)) return (struct message *)object;
    PyErr_Format(PyExc_TypeError, "%s must be a Message, not %R", name, (PyObject *)Py_TYPE(object));
    return NULL;
}

/* The caller's message, or a new one: a new reference either way. */
static inline struct message *message_or_new(PyObject *object) {
    if (!object || object == Py_None) return message_new();
    return (struct message *)Py_XNewRef((PyObject *)need_message(object, "msg"));
}

static PyObject *failed(struct endpoint *self, const char *operation, int code, const struct k_call *call) {
    if (code == RAISED) return NULL;
    return raise_code(self, operation, code, call->peer == K_ANY ? NULL : &call->peer);
}

static inline PyObject *nothing(struct endpoint *self, const char *operation, int code, const struct k_call *call) {
    if (code != K_OK) return failed(self, operation, code, call);
    Py_RETURN_NONE;
}

/* The message that was received, its reference passed on to the caller; or the error, the reference dropped. */
static inline PyObject *received(struct endpoint *self, const char *operation, int code, struct request *r) {
    if (code == K_OK) {
        take_envelope(r);
        return (PyObject *)r->message;
    }
    failed(self, operation, code, &r->call);
    Py_DECREF((PyObject *)r->message);
    return NULL;
}

/* ---- send, sendrec ----------------------------------------------------------------------------------------------------- */

static struct signature send_signature = {"send", 2, {OBJECT_PARAM("dst"), OBJECT_PARAM("msg"), OBJECT_PARAM("timeout")}, {NULL}};
static struct signature sendrec_signature = {"sendrec", 2, {OBJECT_PARAM("dst"), OBJECT_PARAM("msg"), OBJECT_PARAM("timeout")}, {NULL}};

/* Parse (dst, msg, timeout) into a call. */
static inline bool prepare_send(struct endpoint *self, struct request *r, uint32_t op, PyObject *const *arg, const char *operation) {
    int32_t dst;
    struct message *message = need_message(arg[1], "msg");
    if (!message || !to_int32(arg[0], "dst", &dst) || !parse_timeout(arg[2], &r->timeout)) return false;
    set_up(r, op, dst, message);
    attach_trace(r);
    return endpoint_usable(self, operation);
}

static PyObject *endpoint_send(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct endpoint *self = as_endpoint(object);
    struct request r;
    PyObject *arg[PARAMS_MAX];
    if (!match_args(&send_signature, args, nargs, kwnames, arg) || !prepare_send(self, &r, K_SEND, arg, "send")) return NULL;
    r.call.answers = answered_call(r.message, r.call.peer);
    return nothing(self, "send", run(self, &r), &r.call);
}

static PyObject *endpoint_sendrec(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct endpoint *self = as_endpoint(object);
    struct request r;
    PyObject *arg[PARAMS_MAX];
    if (!match_args(&sendrec_signature, args, nargs, kwnames, arg) || !prepare_send(self, &r, K_SENDREC, arg, "sendrec")) return NULL;
    r.call.answers = answered_call(r.message, r.call.peer);
    Py_INCREF((PyObject *)r.message);
    return received(self, "sendrec", run(self, &r), &r);
}

/* ---- receive ------------------------------------------------------------------------------------------------------------- */

static struct signature receive_signature = {"receive", 0, {OBJECT_PARAM("src"), OBJECT_PARAM("msg"), OBJECT_PARAM("timeout")}, {NULL}};
static struct signature receive_request_signature = {"receive_request", 0, {OBJECT_PARAM("msg"), OBJECT_PARAM("timeout")}, {NULL}};

static PyObject *receive(struct endpoint *self, struct request *r, uint32_t op, int32_t source, PyObject *message, const char *operation) {
    if (!endpoint_usable(self, operation)) return NULL;
    struct message *into = message_or_new(message);
    if (!into) return NULL;
    set_up(r, op, source, into);
    return received(self, operation, run(self, r), r);
}

static PyObject *endpoint_receive(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct request r;
    PyObject *arg[PARAMS_MAX];
    int32_t source = K_ANY;
    if (!match_args(&receive_signature, args, nargs, kwnames, arg)) return NULL;
    if ((arg[0] && !to_int32(arg[0], "src", &source)) || !parse_timeout(arg[2], &r.timeout)) return NULL;
    return receive(as_endpoint(object), &r, K_RECEIVE, source, arg[1], "receive");
}

static PyObject *endpoint_receive_request(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct request r;
    PyObject *arg[PARAMS_MAX];
    if (!match_args(&receive_request_signature, args, nargs, kwnames, arg) || !parse_timeout(arg[1], &r.timeout)) return NULL;
    return receive(as_endpoint(object), &r, K_RCVRQST, K_ANY, arg[0], "receive_request");
}

/* ---- reply --------------------------------------------------------------------------------------------------------------- */

static struct signature reply_signature = {"reply", 2, {OBJECT_PARAM("to"), OBJECT_PARAM("msg"), OBJECT_PARAM("timeout")}, {NULL}};
static struct signature reply_receive_signature = {"reply_receive", 2, {OBJECT_PARAM("to"), OBJECT_PARAM("msg"), OBJECT_PARAM("timeout")}, {NULL}};

/* Whom to answer, and which call: a request message says both; for a number it is the request in `msg` if that came from there,
 * else (0) the call last accepted from there. */
static inline bool parse_to(PyObject *to, const struct message *message, int32_t *peer, uint32_t *answers) {
    if (is_message(to)) {
        message = (const struct message *)to;
        *peer = message->m.source;
    } else if (!to_int32(to, "to", peer)) {
        return false;
    }
    *answers = answered_call(message, *peer);
    return true;
}

static inline bool prepare_reply(struct endpoint *self, struct request *r, PyObject *const *arg, const char *operation) {
    int32_t peer;
    uint32_t answers;
    struct message *message = need_message(arg[1], "msg");
    if (!message || !parse_to(arg[0], message, &peer, &answers) || !parse_timeout(arg[2], &r->timeout)) return false;
    set_up(r, K_REPLY, peer, message);
    r->call.answers = answers;
    attach_trace(r);
    return endpoint_usable(self, operation);
}

static PyObject *endpoint_reply(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct endpoint *self = as_endpoint(object);
    struct request r;
    PyObject *arg[PARAMS_MAX];
    if (!match_args(&reply_signature, args, nargs, kwnames, arg) || !prepare_reply(self, &r, arg, "reply")) return NULL;
    return nothing(self, "reply", run(self, &r), &r.call);
}

static PyObject *endpoint_reply_receive(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct endpoint *self = as_endpoint(object);
    struct request r;
    PyObject *arg[PARAMS_MAX];
    if (!match_args(&reply_receive_signature, args, nargs, kwnames, arg) || !prepare_reply(self, &r, arg, "reply_receive")) return NULL;
    Py_INCREF((PyObject *)r.message);
    self->calls++;
    int code = go_on(self, &r, k_call_start_reply_receive(&self->handle, &r.call));
    self->calls--;
    self->reply_code = r.call.reply_code;
    return received(self, "reply_receive", code, &r);
}

/* ---- notify, relay --------------------------------------------------------------------------------------------------------- */

static struct signature notify_signature = {"notify", 1, {ENDPOINT_PARAM("dst"), INT_PARAM("value", 0, UINT32_MAX, 0)}, {NULL}};
static struct signature relay_signature = {"relay", 2, {ENDPOINT_PARAM("dst"), OBJECT_PARAM("request")}, {NULL}};

static void add_notification(struct k_call *call, uint32_t value) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    call->now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    call->value = value;
    call->as_p_nr = INT32_MIN;
}

static PyObject *endpoint_notify(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct endpoint *self = as_endpoint(object);
    struct request r = {.timeout = {.forever = true}, .resume = true};
    union value v[PARAMS_MAX];
    if (!parse_args(&notify_signature, args, nargs, kwnames, v) || !endpoint_usable(self, "notify")) return NULL;
    r.call.op = K_NOTIFY;
    r.call.peer = (int32_t)v[0].integer;
    add_notification(&r.call, (uint32_t)v[1].integer);
    return nothing(self, "notify", run(self, &r), &r.call);
}

static PyObject *endpoint_relay(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct endpoint *self = as_endpoint(object);
    struct request r = {.timeout = {.forever = true}};
    union value v[PARAMS_MAX];
    if (!parse_args(&relay_signature, args, nargs, kwnames, v) || !endpoint_usable(self, "relay")) return NULL;
    struct message *message = need_message(v[1].object, "request");
    if (!message) return NULL;
    set_up(&r, K_RELAY, (int32_t)v[0].integer, message);
    r.call.answers = answered_call(message, message->m.source);
    attach_trace(&r);
    return nothing(self, "relay", run(self, &r), &r.call);
}

/* ---- interrupt, raw ---------------------------------------------------------------------------------------------------------- */

static PyObject *endpoint_interrupt(PyObject *object, PyObject *unused) {
    (void)unused;
    struct endpoint *self = as_endpoint(object);
    int code;
    if (!endpoint_usable(self, "interrupt")) return NULL;
    self->calls++;
    Py_BEGIN_ALLOW_THREADS
    code = k_handle_interrupt(&self->handle);
    Py_END_ALLOW_THREADS
    self->calls--;
    return PyBool_FromLong(code == K_OK || code == K_BLOCKED); /* blocked: as soon as the copy of its memory ends */
}

static struct signature raw_signature = {"raw", 4, {
    INT_PARAM("op", 0, 63, 0), ENDPOINT_PARAM("peer"), OBJECT_PARAM("msg"), INT_PARAM("timeout_ms", INT64_MIN, INT64_MAX, -1),
    INT_PARAM("value", 0, UINT32_MAX, 0),
}, {NULL}};

static bool has_message(uint32_t op) {
    return op != K_NOTIFY;
}

static bool receives(uint32_t op) {
    return op == K_RECEIVE || op == K_RCVRQST || op == K_SENDREC;
}

/* The guide's milliseconds: 0 does not wait, anything below waits for ever. */
static struct timeout timeout_from_ms(int64_t ms) {
    const int64_t longest = INT64_MAX / 4 / 1000000;
    return (struct timeout){.nowait = ms == 0, .forever = ms < 0 || ms > longest, .ns = ms < 0 || ms > longest ? 0 : ms * 1000000};
}

static bool prepare_raw(struct request *r, const union value *v) {
    uint32_t op = (uint32_t)v[0].integer;
    int32_t peer = (int32_t)v[1].integer;
    r->timeout = timeout_from_ms(v[3].integer);
    if (has_message(op)) {
        struct message *message = need_message(v[2].object, "msg");
        if (!message) return false;
        set_up(r, op, peer, message);
        r->call.answers = answered_call(message, op == K_RELAY ? message->m.source : peer);
        if (op != K_RECEIVE && op != K_RCVRQST) attach_trace(r);
    } else {
        r->call = (struct k_call){.op = op, .peer = peer};
        add_notification(&r->call, (uint32_t)v[4].integer);
    }
    r->resume = false;
    return true;
}

static PyObject *endpoint_raw(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    struct endpoint *self = as_endpoint(object);
    struct request r;
    union value v[PARAMS_MAX];
    if (!parse_args(&raw_signature, args, nargs, kwnames, v) || !prepare_raw(&r, v)) return NULL;
    if (!self->open) return PyLong_FromLong(K_NOTBIND);
    int code = run(self, &r);
    if (code == RAISED) return NULL;
    if (code == K_OK && receives(r.call.op)) take_envelope(&r);
    return PyLong_FromLong(code);
}

/* ---- table ------------------------------------------------------------------------------------------------------------------- */

PyMethodDef endpoint_call_methods[] = {
    {"send", FASTCALL(endpoint_send), "send(dst, msg, timeout=None): send a message, and wait until it is received."},
    {"receive", FASTCALL(endpoint_receive), "receive(src=ANY, msg=None, timeout=None) -> Message: wait for a message or notification."},
    {"receive_request", FASTCALL(endpoint_receive_request), "receive_request(msg=None, timeout=None) -> Message: wait for a request, of anyone."},
    {"sendrec", FASTCALL(endpoint_sendrec), "sendrec(dst, msg, timeout=None) -> Message: send a request and wait for its answer, in the same message."},
    {"reply", FASTCALL(endpoint_reply), "reply(to, msg, timeout=None): answer a request; to is its message or its sender."},
    {"reply_receive", FASTCALL(endpoint_reply_receive), "reply_receive(to, msg, timeout=None) -> Message: answer, then receive from anyone, in the same message."},
    {"notify", FASTCALL(endpoint_notify), "notify(dst, value=0): leave a notification; waits for nobody but, between nodes, the proxy that takes it."},
    {"relay", FASTCALL(endpoint_relay), "relay(dst, request): pass a request on; its sender is answered by dst."},
    {"interrupt", endpoint_interrupt, METH_NOARGS, "interrupt() -> bool: end the call in which another thread is blocked here."},
    {"raw", FASTCALL(endpoint_raw), "raw(op, peer, msg, timeout_ms, value=0) -> int: one call by number; its code instead of an exception."},
    {NULL, NULL, 0, NULL},
};
