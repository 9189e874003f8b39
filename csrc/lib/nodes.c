/* nodes.c: proxy pairs and the nodes that they lead to (guide 5.1.1 to 5.1.9). */
#include <string.h>

#include "memory.h"
#include "noded.h"

/* A name that is long enough to be found too long. */
static bool put_name(struct json_writer *json, const char *name) {
    if (!memory_readable(name, 1)) return false;
    json_put_text(json, "name", name, strnlen(name, 2 * MAXPROXYNAME));
    return true;
}

/* ---- proxy pairs ------------------------------------------------------------------------------------------------------- */

int mnx_proxies_bind(char *name, int pxid, int spid, int rpid) {
    struct request q;
    request_begin(&q, "proxies_bind", 0);
    if (!put_name(&q.json, name)) return (int)ended(EMOLINVAL);
    json_put_integer(&q.json, "px", pxid);
    json_put_integer(&q.json, "sender", spid);
    json_put_integer(&q.json, "receiver", rpid);
    return (int)ended(noded_tell(&q));
}

int mnx_proxy_conn(int pxid, int status) {
    struct request q;
    request_begin(&q, "proxy_conn", REPEAT);
    json_put_integer(&q.json, "px", pxid);
    json_put_integer(&q.json, "status", status);
    return (int)ended(noded_tell(&q));
}

int mnx_proxy_unbind(int pxid) {
    struct request q;
    request_begin(&q, "proxy_unbind", 0);
    json_put_integer(&q.json, "px", pxid);
    return (int)ended(noded_tell(&q));
}

int mnx_proxies_unbind(int pxid) {
    return mnx_proxy_unbind(pxid);
}

static void fill_proxy(proc_usr_t *usr, const struct reply *reply, const char *role) {
    struct json whole;
    char name[64];
    if (!json_member(reply->fields, role, &whole)) return;
    struct reply proxy = {.fields = whole};
    memset(usr, 0, sizeof *usr);
    usr->p_nr = usr->p_proxy = (int)reply_integer(&proxy, "px");
    usr->p_endpoint = usr->p_getfrom = usr->p_sendto = usr->p_waitmigr = NONE;
    usr->p_vmid = PROXY_NO_VM;
    usr->p_lpid = (int)reply_integer(&proxy, "tid");
    usr->p_nodeid = (int)reply_integer(&proxy, "node");
    usr->p_nodemap = reply_word(&proxy, "nodes64");
    usr->p_misc_flags = reply_word(&proxy, "misc");
    reply_text(&proxy, "name", name, sizeof name);
    memcpy(usr->p_name, name, strnlen(name, MAXPROCNAME - 1));
}

long mnx_getproxyinfo(int pxid, proc_usr_t *sproc_usr, proc_usr_t *rproc_usr) {
    struct request q;
    struct reply reply;
    if (!memory_writable(sproc_usr, sizeof *sproc_usr) || !memory_writable(rproc_usr, sizeof *rproc_usr)) return ended(EMOLINVAL);
    request_begin(&q, "getproxyinfo", REPEAT);
    json_put_integer(&q.json, "px", pxid);
    int code = noded_ask(&q, &reply);
    if (code == OK) {
        fill_proxy(sproc_usr, &reply, "sender");
        fill_proxy(rproc_usr, &reply, "receiver");
    }
    reply_end(&reply);
    return ended(code);
}

/* ---- nodes --------------------------------------------------------------------------------------------------------------- */

int mnx_node_up(char name[], int nodeid, int pxid) {
    struct request q;
    request_begin(&q, "node_up", REPEAT);
    if (!put_name(&q.json, name)) return (int)ended(EMOLINVAL);
    json_put_integer(&q.json, "node", nodeid);
    json_put_integer(&q.json, "px", pxid);
    return (int)ended(noded_tell(&q));
}

int mnx_node_down(int nodeid) {
    struct request q;
    request_begin(&q, "node_down", 0);
    json_put_integer(&q.json, "node", nodeid);
    return (int)ended(noded_tell(&q));
}

static struct timespec time_of(const struct reply *reply, const char *name) {
    uint64_t ns = reply_word(reply, name);
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
}

static void fill_node_usr(node_usr_t *usr, const struct reply *reply) {
    char name[64];
    memset(usr, 0, sizeof *usr);
    usr->n_nodeid = (int)reply_integer(reply, "node");
    usr->n_flags = reply_word(reply, "flags");
    usr->n_proxies = (int)reply_integer(reply, "px");
    usr->n_vms = reply_word(reply, "vms64");
    usr->n_stimestamp = time_of(reply, "sent_ns");
    usr->n_rtimestamp = time_of(reply, "received_ns");
    reply_text(reply, "name", name, sizeof name);
    memcpy(usr->n_name, name, strnlen(name, MAXNODENAME - 1));
}

long mnx_getnodeinfo(int nodeid, node_usr_t *node_usr_ptr) {
    struct request q;
    struct reply reply;
    if (!memory_writable(node_usr_ptr, sizeof *node_usr_ptr)) return ended(EMOLINVAL);
    request_begin(&q, "getnodeinfo", REPEAT);
    json_put_integer(&q.json, "node", nodeid);
    int code = noded_ask(&q, &reply);
    if (code == OK) fill_node_usr(node_usr_ptr, &reply);
    reply_end(&reply);
    return ended(code);
}

/* ---- the nodes of a VM ----------------------------------------------------------------------------------------------------- */

static int tell_vm_node(const char *op, int vmid, int nodeid) {
    struct request q;
    request_begin(&q, op, 0);
    json_put_integer(&q.json, "vmid", vmid);
    json_put_integer(&q.json, "node", nodeid);
    return (int)ended(noded_tell(&q));
}

int mnx_add_node(int vmid, int nodeid) {
    return tell_vm_node("add_node", vmid, nodeid);
}

int mnx_del_node(int vmid, int nodeid) {
    return tell_vm_node("del_node", vmid, nodeid);
}
