/* node.c: the node: drvs_init, drvs_end, its limits, its log (guide 4.1.1 to 4.1.3, 4.1.12). */
#include "memory.h"
#include "noded.h"

static void put_limits(struct json_writer *json, const drvs_usr_t *usr) {
    json_put_integer(json, "nr_vms", usr->d_nr_vms);
    json_put_integer(json, "nr_nodes", usr->d_nr_nodes);
    json_put_integer(json, "nr_procs", usr->d_nr_procs);
    json_put_integer(json, "nr_tasks", usr->d_nr_tasks);
    json_put_integer(json, "nr_sysprocs", usr->d_nr_sysprocs);
    if (usr->d_max_copybuf) json_put_integer(json, "copy_buf", usr->d_max_copybuf);
    if (usr->d_max_copylen) json_put_integer(json, "copy_len_max", usr->d_max_copylen);
    json_put_word(json, "debug", usr->d_dbglvl);
}

static void fill_node(drvs_usr_t *usr, const struct reply *reply) {
    *usr = (drvs_usr_t){
        .d_nr_vms = (int)reply_integer(reply, "nr_vms"),
        .d_nr_nodes = (int)reply_integer(reply, "nr_nodes"),
        .d_nr_procs = (int)reply_integer(reply, "nr_procs"),
        .d_nr_tasks = (int)reply_integer(reply, "nr_tasks"),
        .d_nr_sysprocs = (int)reply_integer(reply, "nr_sysprocs"),
        .d_max_copybuf = (int)reply_integer(reply, "copy_buf"),
        .d_max_copylen = (int)reply_integer(reply, "copy_len_max"),
        .d_dbglvl = reply_word(reply, "debug"),
        .d_version = (int)reply_integer(reply, "version"),
        .d_subver = (int)reply_integer(reply, "subversion"),
    };
}

/* Fill it in, and tell the node's number; EMOLDRVSINIT while it has none. */
static int ask_limits(drvs_usr_t *usr, int *node) {
    struct request q;
    struct reply reply;
    request_begin(&q, "getdrvsinfo", REPEAT);
    int code = noded_ask(&q, &reply);
    if (code != OK) return code;
    *node = (int)reply_integer(&reply, "node");
    if (*node >= 0) fill_node(usr, &reply);
    reply_end(&reply);
    return *node < 0 ? EMOLDRVSINIT : OK;
}

long mnx_drvs_init(int nodeid, drvs_usr_t *du_addr) {
    struct request q;
    int node;
    if (!memory_writable(du_addr, sizeof *du_addr)) return ended(EMOLRANGE);
    request_begin(&q, "drvs_init", 0);
    json_put_integer(&q.json, "node", nodeid);
    put_limits(&q.json, du_addr);
    int code = noded_tell(&q);
    if (code == OK) ask_limits(du_addr, &node);
    return ended(code);
}

long mnx_drvs_end(void) {
    struct request q;
    request_begin(&q, "drvs_end", 0);
    return ended(noded_tell(&q));
}

long mnx_getdrvsinfo(drvs_usr_t *drvs_usr_ptr) {
    int node;
    if (!memory_writable(drvs_usr_ptr, sizeof *drvs_usr_ptr)) return ended(EMOLINVAL);
    return ended(ask_limits(drvs_usr_ptr, &node));
}

long mnx_getdvsinfo(drvs_usr_t *drvs_usr_ptr) {
    int node;
    if (!memory_writable(drvs_usr_ptr, sizeof *drvs_usr_ptr)) return ended(EMOLINVAL);
    int code = ask_limits(drvs_usr_ptr, &node);
    ended(code);
    return code == OK ? node : code == EMOLDRVSINIT ? DRVS_NO_INIT : code;
}

long mnx_vm_dump(void) {
    struct request q;
    request_begin(&q, "vm_dump", REPEAT);
    return ended(noded_tell(&q));
}
