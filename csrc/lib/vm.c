/* vm.c: VMs: made, ended, described (guide 4.1.4 to 4.1.6, 4.1.13). */
#include <string.h>

#include "memory.h"
#include "noded.h"

static void fill_vm(VM_usr_t *usr, const struct reply *reply) {
    char name[64];
    memset(usr, 0, sizeof *usr);
    usr->vm_vmid = (int)reply_integer(reply, "vmid");
    usr->vm_flags = (int)reply_integer(reply, "flags");
    usr->vm_nr_procs = (int)reply_integer(reply, "nr_procs");
    usr->vm_nr_tasks = (int)reply_integer(reply, "nr_tasks");
    usr->vm_nr_sysprocs = (int)reply_integer(reply, "nr_sysprocs");
    usr->vm_nr_nodes = (int)reply_integer(reply, "nr_nodes");
    usr->vm_nodes = reply_word(reply, "nodes64");
    reply_text(reply, "name", name, sizeof name);
    memcpy(usr->vm_name, name, strnlen(name, MAXVMNAME - 1));
}

/* One that fills its 16 bytes is too long, and is passed on as that. */
static void put_vm(struct json_writer *json, const VM_usr_t *usr) {
    if (usr->vm_vmid == -1) json_put_null(json, "vmid");
    else json_put_integer(json, "vmid", usr->vm_vmid);
    json_put_integer(json, "nr_procs", usr->vm_nr_procs);
    json_put_integer(json, "nr_tasks", usr->vm_nr_tasks);
    json_put_integer(json, "nr_sysprocs", usr->vm_nr_sysprocs);
    json_put_text(json, "name", usr->vm_name, strnlen(usr->vm_name, MAXVMNAME));
}

long mnx_vm_init(VM_usr_t *vmu_addr) {
    struct request q;
    struct reply reply;
    if (!memory_writable(vmu_addr, sizeof *vmu_addr)) return ended(EMOLRANGE);
    request_begin(&q, "vm_init", 0);
    put_vm(&q.json, vmu_addr);
    if (q.json.trouble) return ended(EMOLRANGE); /* a name that is no text */
    int code = noded_ask(&q, &reply);
    if (code == OK) fill_vm(vmu_addr, &reply);
    reply_end(&reply);
    return ended(code);
}

static void request_vm(struct request *q, const char *op, uint32_t kind, long vmid) {
    request_begin(q, op, kind);
    json_put_integer(&q->json, "vmid", vmid);
}

long mnx_vm_end(long vmid) {
    struct request q;
    request_vm(&q, "vm_end", 0, vmid);
    return ended(noded_tell(&q));
}

long mnx_getvminfo(int vmid, VM_usr_t *vm_usr_ptr) {
    struct request q;
    struct reply reply;
    if (!memory_writable(vm_usr_ptr, sizeof *vm_usr_ptr)) return ended(EMOLINVAL);
    request_vm(&q, "getvminfo", REPEAT, vmid);
    int code = noded_ask(&q, &reply);
    if (code == OK) fill_vm(vm_usr_ptr, &reply);
    reply_end(&reply);
    return ended(code);
}

long mnx_proc_dump(int vmid) {
    struct request q;
    request_vm(&q, "proc_dump", REPEAT, vmid);
    return ended(noded_tell(&q));
}
