/* process.c: looking at processes and waking them (guide 4.1.11). */
#include <string.h>

#include "memory.h"
#include "noded.h"

enum { VISIBLE = K_RTS_VISIBLE };

static void fill_process(proc_usr_t *usr, const struct reply *reply) {
    char name[64];
    unsigned long rts = reply_word(reply, "rts_all");
    memset(usr, 0, sizeof *usr);
    usr->p_nr = (int)reply_integer(reply, "p_nr");
    usr->p_endpoint = (int)reply_integer(reply, "endpoint");
    usr->p_vmid = (int)reply_integer(reply, "vmid");
    usr->p_rts_flags = rts & VISIBLE;
    usr->p_lpid = (int)reply_integer(reply, "pid");
    usr->p_nodeid = (int)reply_integer(reply, "node");
    usr->p_nodemap = reply_word(reply, "nodes64");
    usr->p_misc_flags = reply_word(reply, "misc");
    usr->p_getfrom = rts & RECEIVING ? (int)reply_integer(reply, "getfrom") : NONE;
    usr->p_sendto = rts & SENDING ? (int)reply_integer(reply, "sendto") : NONE;
    usr->p_waitmigr = NONE;
    usr->p_proxy = (int)reply_integer(reply, "px");
    usr->p_lclsent = reply_word(reply, "sent_local");
    usr->p_rmtsent = reply_word(reply, "sent_remote");
    reply_text(reply, "name", name, sizeof name);
    memcpy(usr->p_name, name, strnlen(name, MAXPROCNAME - 1));
}

long mnx_getprocinfo(int vmid, int p_nr, struct proc_usr *proc_usr_ptr) {
    struct request q;
    struct reply reply;
    if (!memory_writable(proc_usr_ptr, sizeof *proc_usr_ptr)) return ended(EMOLINVAL);
    request_begin(&q, "getprocinfo", REPEAT);
    json_put_integer(&q.json, "vmid", vmid);
    json_put_integer(&q.json, "p_nr", p_nr);
    int code = noded_ask(&q, &reply);
    if (code == OK) fill_process(proc_usr_ptr, &reply);
    reply_end(&reply);
    return ended(code);
}

long mnx_wakeup(int vmid, int endpoint) {
    struct request q;
    request_begin(&q, "wakeup", 0);
    json_put_integer(&q.json, "vmid", vmid);
    json_put_integer(&q.json, "endpoint", endpoint);
    return ended(noded_tell(&q));
}
