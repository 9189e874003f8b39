/* proxies.c: what proxies do (guide 5.1.10, 5.1.11): take what goes to other nodes, deliver what comes from there.
 *
 * A thread that calls one of these is known by what it was registered as. noded hands out every VM's region and doorbell to it, and an
 * eventfd that counts up when a VM has come or gone. They are in one epoll, by their edges: none is ever read. Each thread has
 * its own maps, so that a sender and a receiver in one process share nothing; they go with the thread.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../core/command.h"
#include "../core/fork.h"
#include "../core/region.h"
#include "binding.h"
#include "memory.h"

static_assert(sizeof(cmd_t) == sizeof(struct k_command) && offsetof(cmd_t, c_flags) == offsetof(struct k_command, flags), "one struct, two names");

enum { LOCK_MS = 1000, SLEEP_MS = 1000, LEDGER_WORDS = 4 };
enum role { SENDER, RECEIVER, ROLES };

struct served { /* a VM */
    void *base;
    size_t bytes;
    struct k_region region; /* its doorbell is this struct's to close */
    struct k_proxy proxy;
    struct served *next;
};

struct hands { /* what a thread works with, in one of its roles */
    bool open;
    uint32_t fork_epoch;
    int px, node, changed, epoll;
    int64_t pair; /* what this very registration is known by */
    int64_t last; /* serial of the VM that came last */
    uint64_t *ledger;
    size_t ledger_bytes;
    struct served *vms;
};

static __thread struct hands *mine[ROLES];
static pthread_key_t leaving;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *const names[ROLES] = {"sender", "receiver"};

/* ---- letting go ---------------------------------------------------------------------------------------------------------- */

static void leave_vm(struct hands *h, struct served **at) {
    struct served *vm = *at;
    *at = vm->next;
    k_proxy_close(&vm->proxy);
    epoll_ctl(h->epoll, EPOLL_CTL_DEL, vm->region.doorbell, NULL); /* closing it would not: others have it open, too */
    close(vm->region.doorbell);
    munmap(vm->base, vm->bytes);
    free(vm);
}

static void let_go(struct hands *h) {
    bool ours = h->fork_epoch == k_fork_epoch();
    if (!ours && h->epoll >= 0) { /* shared with the parent, which goes on using it */
        close(h->epoll);
        h->epoll = -1;
    }
    while (h->vms) leave_vm(h, &h->vms);
    if (h->ledger) munmap(h->ledger, h->ledger_bytes);
    if (h->changed >= 0) close(h->changed);
    if (h->epoll >= 0) close(h->epoll);
    *h = (struct hands){.changed = -1, .epoll = -1};
}

static void leave_thread(void *both) {
    struct hands **each = both;
    for (int i = 0; i < ROLES; i++) {
        if (!each[i]) continue;
        let_go(each[i]);
        free(each[i]);
        each[i] = NULL;
    }
}

static void begin(void) {
    pthread_key_create(&leaving, leave_thread);
}

/* ---- the VMs of the node ---------------------------------------------------------------------------------------------------- */

static int watch(struct hands *h, int fd, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    return epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? OK : EMOLNOMEM;
}

static int map_vm(struct served *vm, int fd) {
    struct stat file;
    if (fd < 0 || fstat(fd, &file) < 0) return EMOLGENERIC;
    vm->bytes = (size_t)file.st_size;
    vm->base = mmap(NULL, vm->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (vm->base == MAP_FAILED) return EMOLNOMEM;
    if (!k_region_attach(&vm->region, vm->base, vm->bytes)) return OK;
    munmap(vm->base, vm->bytes);
    return EMOLBADVMID;
}

static struct served **find_vm(struct hands *h, int vmid) {
    struct served **at = &h->vms;
    while (*at && (int)(*at)->region.limits.vmid != vmid) at = &(*at)->next;
    return at;
}

static int copy_by_noded(void *context, const struct k_copy *copy) {
    const struct served *vm = context;
    return noded_copies((int)vm->region.limits.vmid, copy);
}

/* Serve the VM whose region and doorbell came with an answer, in place of an earlier one with its number. */
static int enter_vm(struct hands *h, struct reply *reply, unsigned first) {
    struct served *vm = calloc(1, sizeof *vm);
    int code = !vm ? EMOLNOMEM : first + 1 < reply->nfds ? map_vm(vm, reply->fds[first]) : EMOLGENERIC;
    if (code != OK) return free(vm), code;
    struct served **before = find_vm(h, (int)vm->region.limits.vmid);
    if (*before) leave_vm(h, before);
    vm->region.doorbell = reply_take(reply, first + 1);
    vm->next = h->vms;
    h->vms = vm;
    code = k_proxy_open(&vm->proxy, &vm->region, (uint32_t)h->px, (uint32_t)h->node);
    vm->proxy.fallback = copy_by_noded, vm->proxy.context = vm;
    return code == K_OK ? watch(h, vm->region.doorbell, EPOLLIN | EPOLLET) : code;
}

static int map_ledger(struct hands *h, int fd) {
    struct stat file;
    if (fd < 0 || fstat(fd, &file) < 0) return EMOLGENERIC;
    h->ledger_bytes = (size_t)file.st_size;
    void *at = mmap(NULL, h->ledger_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return EMOLNOMEM;
    h->ledger = at;
    return OK;
}

/* What comes with the first answer alone. */
static int take_tools(struct hands *h, struct reply *reply) {
    h->px = (int)reply_integer(reply, "px"), h->node = (int)reply_integer(reply, "node"), h->pair = reply_integer(reply, "pair");
    allow_noded(reply_integer(reply, "noded"));
    h->changed = reply_take(reply, 0);
    h->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (h->changed < 0 || h->epoll < 0) return EMOLNOMEM;
    int code = watch(h, h->changed, EPOLLIN | EPOLLET);
    return code == OK ? map_ledger(h, reply->nfds > 1 ? reply->fds[1] : -1) : code;
}

static int take_answer(struct hands *h, struct reply *reply, bool *more) {
    struct json vm, serial, flag;
    bool first = !h->open;
    int code = first ? take_tools(h, reply) : OK;
    int64_t last;
    if (code != OK || !json_member(reply->fields, "vm", &vm)) return code;
    if (*vm.at != '{') return OK; /* null: there is none */
    code = enter_vm(h, reply, first ? 2 : 0);
    if (code == OK && json_member(vm, "serial", &serial) && json_integer(serial, &last)) h->last = last;
    *more = code == OK && json_member(reply->fields, "more", &flag) && *flag.at == 't';
    return code;
}

/* Ask for VMs until there are no more. */
static int ask_for_vms(struct hands *h, enum role role) {
    bool more = true;
    int code = OK;
    while (code == OK && more) {
        struct request q;
        struct reply reply;
        more = false;
        request_begin(&q, "proxy_attach", REPEAT);
        json_put_text(&q.json, "role", names[role], strlen(names[role]));
        json_put_integer(&q.json, "tid", gettid());
        json_put_integer(&q.json, "after", h->last);
        json_put_bool(&q.json, "begin", !h->open);
        if (h->open) json_put_integer(&q.json, "px", h->px);
        if (h->open) json_put_integer(&q.json, "pair", h->pair);
        code = noded_ask(&q, &reply);
        if (code == OK) code = take_answer(h, &reply, &more);
        reply_end(&reply);
        if (code == OK) h->open = true;
    }
    return code;
}

/* Serve what has come, and what has gone no longer. */
static int refresh(struct hands *h, enum role role) {
    for (struct served **at = &h->vms; *at;) {
        if (atomic_load(&k_header(&(*at)->region)->state) == K_VM_RUNNING) at = &(*at)->next;
        else leave_vm(h, at);
    }
    return ask_for_vms(h, role);
}

/* Sleep until a doorbell rings, a VM comes or goes, which is attended to, or the time is over. */
static int doze(struct hands *h, enum role role, int64_t ms) {
    struct epoll_event events[16];
    int n = epoll_wait(h->epoll, events, 16, (int)(ms < SLEEP_MS ? ms : SLEEP_MS));
    if (n < 0) return errno == EINTR ? -ERESTARTSYS : EMOLGENERIC;
    for (int i = 0; i < n; i++)
        if (events[i].data.fd == h->changed) return refresh(h, role);
    return OK;
}

/* The hands of the calling thread in this role; a forked child's are empty. */
static int my_hands(enum role role, struct hands **found) {
    pthread_once(&once, begin);
    struct hands *h = mine[role];
    if (!h) {
        if (!(h = mine[role] = calloc(1, sizeof *h))) return EMOLNOMEM;
        h->changed = h->epoll = -1;
        pthread_setspecific(leaving, mine);
    }
    if (h->open && (h->fork_epoch != k_fork_epoch() || doze(h, role, 0) != OK)) let_go(h);
    h->fork_epoch = k_fork_epoch();
    int code = h->open ? OK : ask_for_vms(h, role);
    if (code != OK) let_go(h);
    *found = h;
    return code;
}

static void count(struct hands *h, int column, int node) {
    struct timespec now;
    size_t at = (size_t)node * LEDGER_WORDS + (size_t)column;
    if (node < 0 || (at + 3) * sizeof(uint64_t) > h->ledger_bytes) return;
    clock_gettime(CLOCK_REALTIME, &now);
    h->ledger[at] = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    h->ledger[at + 2]++;
}

/* ---- get2rmt ------------------------------------------------------------------------------------------------------------------ */

/* A command of one of the VMs. The VM that gave one goes to the end of the list, so that all have their turn. */
static int take(struct hands *h, struct k_command *c, void *payload) {
    for (struct served **at = &h->vms, *vm; (vm = *at); at = &vm->next) {
        if (!k_proxy_ready(&vm->proxy)) continue;
        if (k_proxy_room(&vm->proxy) > sizeof(proxy_payload_t)) return EMOL2BIG; /* its copy_buf is larger than the guide's structure */
        if (k_proxy_take(&vm->proxy, NULL, c, payload, LOCK_MS) != K_OK) continue;
        struct served **end = at;
        *at = vm->next;
        while (*end) end = &(*end)->next;
        *end = vm;
        vm->next = NULL;
        return OK;
    }
    return EMOLAGAIN;
}

static bool arm(struct hands *h) {
    for (struct served *vm = h->vms; vm; vm = vm->next)
        if (k_proxy_arm(&vm->proxy, NULL, 1, LOCK_MS) == K_AGAIN) return false;
    return true;
}

static int next_command(struct hands *h, struct k_command *c, void *payload, long to_ms) {
    int64_t deadline = to_ms < 0 || to_ms > INT32_MAX ? INT64_MAX : k_now_ns() + (int64_t)to_ms * 1000000;
    for (;;) {
        int code = take(h, c, payload);
        if (code != EMOLAGAIN) return code;
        if (!arm(h)) continue;
        int64_t now = k_now_ns();
        if (now >= deadline) return to_ms == 0 ? EMOLAGAIN : EMOLTIMEDOUT;
        int64_t left = deadline - now; /* rounded up: a wait never ends before its time */
        code = doze(h, SENDER, left > (int64_t)SLEEP_MS * 1000000 ? SLEEP_MS : (left + 999999) / 1000000);
        if (code != OK) return code;
    }
}

int mnx_get2rmt_T(cmd_t *header, proxy_payload_t *payload, long to_ms) {
    struct hands *h;
    struct k_command c;
    if (!memory_writable(header, sizeof *header) || !memory_writable(payload, sizeof *payload)) return (int)ended(EMOLINVAL);
    int code = my_hands(SENDER, &h);
    if (code == OK) code = next_command(h, &c, payload, to_ms);
    if (code == EMOLNOPROXY || code == EMOLBADPROXY || code == EMOLDRVSINIT) let_go(h);
    if (code != OK) return (int)ended(code);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    c.seconds = now.tv_sec, c.nanoseconds = now.tv_nsec;
    count(h, 0, c.dnode);
    c.rnode++; /* there 0 stands for the source's */
    memcpy(header, &c, sizeof c);
    return (int)ended(OK);
}

int mnx_get2rmt(cmd_t *header, proxy_payload_t *payload) {
    return mnx_get2rmt_T(header, payload, TIMEOUT_FOREVER);
}

/* ---- put2lcl ------------------------------------------------------------------------------------------------------------------ */

static int put(struct hands *h, const struct k_command *c, const void *payload) {
    struct served *vm = *find_vm(h, c->vmid);
    return vm ? k_proxy_put(&vm->proxy, c, payload, LOCK_MS) : EMOLBADVMID;
}

/* The bytes that a header's payload has; -1: fewer than the command needs. */
static int payload_bytes(const cmd_t *header) {
    if (k_cmd_has_message(header->c_cmd)) return (int)sizeof(message);
    if (!k_cmd_has_data(header->c_cmd)) return 0;
    return header->c_len >= 0 && header->c_len <= MAXCOPYBUF ? header->c_len : -1;
}

int mnx_put2lcl(cmd_t *header, proxy_payload_t *payload) {
    struct hands *h;
    struct k_command c;
    if (!memory_readable(header, sizeof *header)) return (int)ended(EMOLINVAL);
    int bytes = payload_bytes(header);
    if (bytes < 0 || (bytes && !memory_readable(payload, (size_t)bytes))) return (int)ended(EMOLINVAL);
    memcpy(&c, header, sizeof c);
    c.len = bytes;
    if (k_cmd_has_data(c.cmd)) c.v.bytes = bytes;
    if (k_command_fault(&c)) return (int)ended(EMOLINVAL);
    c.rnode = c.rnode ? c.rnode - 1 : (uint32_t)c.snode;
    int code = my_hands(RECEIVER, &h);
    if (code == OK) code = put(h, &c, payload);
    if (code == EMOLBADVMID || code == EMOLVMNOTRUN) { /* one that has come since, or was made anew? */
        int again = h->open ? refresh(h, RECEIVER) : EMOLBADPROXY;
        if (again == OK) code = put(h, &c, payload);
        else let_go(h);
    }
    if (code == OK) count(h, 1, c.snode);
    return (int)ended(code);
}
