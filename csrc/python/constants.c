/* constants.c: the numbers of the core that Python code and tests need, under the core's own short names. */
#include "binding.h"

#include "../core/command.h"

struct constant { const char *name; long long value; };

#define CODE(name) {#name, K_##name}
static const struct constant codes[] = {
    CODE(OK), CODE(PERM), CODE(INTR), CODE(AGAIN), CODE(NOMEM), CODE(FAULT), CODE(BUSY), CODE(EXIST), CODE(INVAL), CODE(RANGE),
    CODE(NAMETOOLONG), CODE(NOSYS), CODE(TIMEDOUT), CODE(NOTCONN), CODE(SHUTDOWN), CODE(MSGSIZE), CODE(LOCKED), CODE(CALLDENIED),
    CODE(NOTREADY), CODE(SRCDIED), CODE(DSTDIED), CODE(TRAPDENIED), CODE(BADNODEID), CODE(BADVMID), CODE(VMNOTRUN), CODE(BADPROC),
    CODE(BADPID), CODE(ENDPOINT), CODE(NOPROXY), CODE(RMTPROC), CODE(LCLPROC), CODE(NOTBIND), CODE(NOVMNODE), CODE(PROCSTS), CODE(ONCOPY), CODE(OVERRUN),
    CODE(SLOTUSED),
    CODE(WOKENUP), CODE(RESTARTSYS), CODE(BLOCKED), CODE(CONTENDED), CODE(MORE), {NULL, 0},
};

#define NUMBER(name) {#name, K_##name}
static const struct constant numbers[] = {
    NUMBER(ANY), NUMBER(NOBODY), NUMBER(SELF), NUMBER(HARDWARE), NUMBER(SYSTEM),
    NUMBER(SEND), NUMBER(RECEIVE), NUMBER(NOTIFY), NUMBER(SENDREC), NUMBER(RCVRQST), NUMBER(REPLY), NUMBER(VCOPY), NUMBER(RELAY),
    NUMBER(BLOCKED), NUMBER(CONTENDED), NUMBER(MORE),
    NUMBER(RTS_FREE), NUMBER(RTS_SENDING), NUMBER(RTS_RECEIVING), NUMBER(RTS_ONCOPY), NUMBER(RTS_MIGRATING), NUMBER(RTS_REMOTE),
    NUMBER(RTS_RMTOPER), NUMBER(RTS_HELD),
    NUMBER(RTS_REQUESTS), NUMBER(RTS_CLOSING),
    NUMBER(MISC_PROXY), NUMBER(MISC_NOTIFY), NUMBER(MISC_BACKUP), NUMBER(MISC_LEADER), NUMBER(MISC_WOKENUP),
    NUMBER(IN_NOTIFY), NUMBER(IN_REQUEST), NUMBER(IN_TRACE), NUMBER(CALL_NOWAIT), NUMBER(CALL_TRACE),
    NUMBER(VM_RUNNING), NUMBER(VM_ENDED), NUMBER(VM_CORRUPT), NUMBER(BIND_LOCAL), NUMBER(BIND_REMOTE), NUMBER(BIND_BACKUP),
    NUMBER(NOTIFY_TYPE), NUMBER(NAME_BYTES), NUMBER(KERNEL_SLOTS), NUMBER(LAYOUT_VERSION), NUMBER(REDO_PAIRS), NUMBER(WAKES_MAX),
    NUMBER(ROUTE_VM), NUMBER(ROUTE_CONNECTED), NUMBER(ROUTE_PX_SHIFT), NUMBER(WIRE_HEADER), NUMBER(WIRE_DATA_MAX), NUMBER(WIRE_RECORD_MAX),
    NUMBER(CMD_SEND_MSG), NUMBER(CMD_NTFY_MSG), NUMBER(CMD_SNDREC_MSG), NUMBER(CMD_REPLY_MSG), NUMBER(CMD_COPYIN_DATA), NUMBER(CMD_COPYOUT_RQST),
    NUMBER(CMD_COPYLCL_RQST), NUMBER(CMD_COPYRMT_RQST), NUMBER(CMD_COPYIN_RQST), NUMBER(CMD_HELLO), NUMBER(CMD_SHUTDOWN), NUMBER(CMD_CANCEL),
    NUMBER(CMD_ACK), NUMBER(CMD_SEND_ACK), NUMBER(CMD_NTFY_ACK), NUMBER(CMD_SNDREC_ACK), NUMBER(CMD_REPLY_ACK), NUMBER(CMD_COPYIN_ACK),
    NUMBER(CMD_COPYOUT_DATA), NUMBER(CMD_COPYLCL_ACK), NUMBER(CMD_COPYRMT_ACK), NUMBER(CMD_LAST), NUMBER(CMD_TRACE), NUMBER(CMD_NOACK),
    {"NIL", K_NIL}, {NULL, 0},
};

#define OFFSET(of, member) {#of "." #member, offsetof(struct k_##of, member)}
static const struct constant layout[] = {
    {"version", K_LAYOUT_VERSION}, {"header_bytes", K_HEADER_BYTES}, {"slot_bytes", sizeof(struct k_slot)}, {"note_bytes", sizeof(struct k_note)},
    OFFSET(header, lock), OFFSET(header, commit), OFFSET(header, epoch), OFFSET(header, state), OFFSET(header, note_free),
    OFFSET(header, notes_used), OFFSET(header, bound), OFFSET(header, magic), OFFSET(header, version), OFFSET(header, vmid),
    OFFSET(header, node), OFFSET(header, nr_procs), OFFSET(header, nr_tasks), OFFSET(header, nr_sysprocs), OFFSET(header, notes),
    OFFSET(header, buckets), OFFSET(header, copy_len_max), OFFSET(header, copy_buf), OFFSET(header, owner_uid), OFFSET(header, nr_nodes), OFFSET(header, nr_proxies), OFFSET(header, bytes),
    OFFSET(header, name),
    OFFSET(slot, rts), OFFSET(slot, seq), OFFSET(slot, waiting), OFFSET(slot, endpoint), OFFSET(slot, getfrom), OFFSET(slot, sendto),
    OFFSET(slot, call), OFFSET(slot, verdict), OFFSET(slot, in_call), OFFSET(slot, next), OFFSET(slot, prev), OFFSET(slot, waiters),
    OFFSET(slot, senders_head), OFFSET(slot, senders_tail), OFFSET(slot, requests_head), OFFSET(slot, requests_tail),
    OFFSET(slot, message), OFFSET(slot, cpu), OFFSET(slot, last_peer), OFFSET(slot, pid), OFFSET(slot, tid), OFFSET(slot, incarnation),
    OFFSET(slot, misc), OFFSET(slot, self), OFFSET(slot, node), OFFSET(slot, ticket), OFFSET(slot, ticket_next),
    OFFSET(slot, restricted), OFFSET(slot, priv), OFFSET(slot, notes_head), OFFSET(slot, notes_tail), OFFSET(slot, notes_out),
    OFFSET(slot, summary), OFFSET(slot, trace), OFFSET(slot, in_trace), OFFSET(slot, name), OFFSET(slot, generation),
    OFFSET(slot, bkup_of), OFFSET(slot, debts), OFFSET(slot, call_next), OFFSET(slot, copy_src), OFFSET(slot, copy_dst),
    OFFSET(slot, copy_src_incarnation), OFFSET(slot, copy_dst_incarnation), OFFSET(slot, sent_local), OFFSET(slot, sent_remote),
    OFFSET(slot, copied_local), OFFSET(slot, copied_remote), OFFSET(slot, redo_count), OFFSET(slot, redo),
    OFFSET(slot, px), OFFSET(slot, px_next), OFFSET(slot, px_prev), OFFSET(slot, px_head), OFFSET(slot, px_tail), OFFSET(slot, armed),
    OFFSET(slot, out_cmd), OFFSET(slot, out_node), OFFSET(slot, out_src), OFFSET(slot, out_dst), OFFSET(slot, out_call), OFFSET(slot, out_answers),
    OFFSET(slot, out_flags), OFFSET(slot, out_value), OFFSET(slot, out_code), OFFSET(slot, v_src), OFFSET(slot, v_dst), OFFSET(slot, v_rqtr),
    OFFSET(slot, v_rnode), OFFSET(slot, v_dnode), OFFSET(slot, v_bytes), OFFSET(slot, v_done), OFFSET(slot, v_saddr), OFFSET(slot, v_daddr),
    OFFSET(slot, holder), OFFSET(slot, remote_call), OFFSET(slot, remote_incarnation), OFFSET(slot, newest_call),
    OFFSET(priv, id), OFFSET(priv, warn), OFFSET(priv, level), OFFSET(priv, traps), OFFSET(priv, calls), OFFSET(priv, alarm), OFFSET(priv, maps),
    OFFSET(note, dst), OFFSET(note, src), OFFSET(note, src_ep), OFFSET(note, value), OFFSET(note, chain), OFFSET(note, next), OFFSET(note, prev),
    {NULL, 0},
};

static bool add_numbers(PyObject *module) {
    for (const struct constant *c = numbers; c->name; c++) {
        PyObject *value = PyLong_FromLongLong(c->value);
        int failed = PyModule_AddObjectRef(module, c->name, value);
        Py_XDECREF(value);
        if (failed) return false;
    }
    return true;
}

static bool add_dict(PyObject *module, const char *name, const struct constant *table) {
    PyObject *dict = PyDict_New();
    for (const struct constant *c = table; dict && c->name; c++) {
        PyObject *value = PyLong_FromLongLong(c->value);
        if (!value || PyDict_SetItemString(dict, c->name, value) < 0) Py_CLEAR(dict);
        Py_XDECREF(value);
    }
    int failed = PyModule_AddObjectRef(module, name, dict);
    Py_XDECREF(dict);
    return !failed;
}

bool add_constants(PyObject *module) {
    return add_numbers(module) && add_dict(module, "CODES", codes) && add_dict(module, "LAYOUT", layout)
        && PyModule_AddStringConstant(module, "VERSION", "0.1.0") == 0;
}
