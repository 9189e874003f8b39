/* binding.c: mapping VMs, opening and retiring endpoints, letting noded copy for this process.
 *
 * A thread may be on its way into a call while another unbinds, and nothing on the path of a message tells of it. So a retired
 * binding keeps its place in memory: it is used again only after many others, and its VM's region stays mapped until
 * some more VMs have come and gone.
 */
#define _GNU_SOURCE
#include "binding.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../core/fork.h"
#include "current.h"
#include "limits.h"

struct mapping {
    void *base;
    size_t bytes;
    dev_t device;
    ino_t inode;
    struct k_region region;
    unsigned users;
    uint64_t left; /* when the last user left: a count, for the order */
    struct mapping *next;
};

static struct mapping *mappings;
static struct binding *bindings;
static unsigned retired;
static uint64_t departures;

/* ---- regions -------------------------------------------------------------------------------------------------------------- */

static struct mapping *mapping_of(const struct stat *file) {
    struct mapping *m = mappings;
    while (m && (m->device != file->st_dev || m->inode != file->st_ino)) m = m->next;
    return m;
}

static int map_region(struct reply *reply, const struct stat *file, struct mapping **made) {
    struct mapping *m = calloc(1, sizeof *m);
    if (!m) return EMOLNOMEM;
    m->bytes = (size_t)file->st_size;
    m->device = file->st_dev, m->inode = file->st_ino;
    m->base = mmap(NULL, m->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, reply->fds[0], 0);
    int code = m->base == MAP_FAILED ? EMOLNOMEM : k_region_attach(&m->region, m->base, m->bytes) ? EMOLBADVMID : OK;
    if (code == EMOLBADVMID) munmap(m->base, m->bytes);
    if (code != OK) return free(m), code;
    m->region.doorbell = reply_take(reply, 1);
    m->next = mappings;
    mappings = m;
    *made = m;
    return OK;
}

/* The one that nobody has used for longest, if too many are kept. */
static struct mapping **longest_unused(void) {
    struct mapping **oldest = NULL;
    unsigned kept = 0;
    for (struct mapping **at = &mappings; *at; at = &(*at)->next) {
        if ((*at)->users) continue;
        kept++;
        if (!oldest || (*at)->left < (*oldest)->left) oldest = at;
    }
    return kept > MAPPINGS_KEPT ? oldest : NULL;
}

static void drop_old_mappings(void) {
    for (struct mapping **at; (at = longest_unused());) {
        struct mapping *m = *at;
        *at = m->next;
        munmap(m->base, m->bytes);
        close(m->region.doorbell);
        free(m);
    }
}

/* The region that came first with an answer, and its doorbell, which came second. */
static int use_region(struct reply *reply, struct mapping **found) {
    struct stat file;
    if (reply->nfds < 2 || fstat(reply->fds[0], &file) < 0) return EMOLGENERIC;
    int code = (*found = mapping_of(&file)) ? OK : map_region(reply, &file, found);
    if (code == OK) (*found)->users++;
    return code;
}

static void leave_region(struct mapping *m) {
    if (--m->users == 0) m->left = ++departures;
    drop_old_mappings();
}

/* ---- bindings --------------------------------------------------------------------------------------------------------------- */

/* A retired one in which nobody is: its `busy` word is this function's from now on. */
static bool recyclable(struct binding *b) {
    return !b->live && !b->mapping && atomic_load(&b->handle.busy) == 1;
}

static struct binding *oldest_retired(void) {
    struct binding *found = NULL;
    for (struct binding *b = bindings; b; b = b->next)
        if (recyclable(b)) found = b;
    return found;
}

/* To the front of the list, so that the last retired one in it is the oldest. */
static void move_to_front(struct binding *b) {
    for (struct binding **at = &bindings; *at; at = &(*at)->next) {
        if (*at != b) continue;
        *at = b->next;
        break;
    }
    b->next = bindings;
    bindings = b;
}

static struct binding *new_binding(void) {
    struct binding *b = retired > BINDINGS_KEPT ? oldest_retired() : NULL;
    if (b) retired--;
    else b = calloc(1, sizeof *b);
    if (b) move_to_front(b);
    return b;
}

/* Close what is retired and not closed yet, as soon as no call holds it. */
static void close_retired(void) {
    for (struct binding *b = bindings; b; b = b->next) {
        if (b->live || !b->mapping || atomic_exchange(&b->handle.busy, 1)) continue;
        k_handle_close(&b->handle);
        leave_region(b->mapping);
        b->mapping = NULL;
    }
}

static int open_locked(struct reply *reply, struct binding **opened) {
    struct mapping *mapping;
    close_retired();
    int code = use_region(reply, &mapping);
    if (code != OK) return code;
    struct binding *b = new_binding();
    if (!b) return leave_region(mapping), EMOLNOMEM;
    uint32_t slot = (uint32_t)reply_integer(reply, "slot"), incarnation = (uint32_t)reply_integer(reply, "incarnation");
    int64_t spin_us = limit_value(LIMIT_SPIN_US);
    uint32_t spin_ns = spin_us < SPIN_US_MAX ? (uint32_t)spin_us * 1000 : SPIN_US_MAX * 1000;
    code = k_handle_open(&b->handle, &mapping->region, slot, incarnation, (int32_t)reply_integer(reply, "endpoint"), spin_ns);
    if (code != K_OK) { /* a slot that the VM does not have */
        atomic_store(&b->handle.busy, 1);
        retired++;
        return leave_region(mapping), EMOLBADVMID;
    }
    b->mapping = mapping;
    b->vmid = (int)reply_integer(reply, "vmid");
    b->live = true;
    *opened = b;
    return OK;
}

/* ---- Yama: noded may copy for those whom Linux does not let -------------------------------------------------------------------- */

static bool yama_restricts(void) {
    char digit = '0';
    int fd = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    bool restricts = read(fd, &digit, 1) == 1 && digit != '0';
    close(fd);
    return restricts;
}

void allow_noded(int64_t noded) {
    static _Atomic int64_t allowed;
    int64_t who = noded ^ (int64_t)k_fork_epoch() << 32; /* a forked child has to say it again */
    if (atomic_exchange(&allowed, who) == who || !yama_restricts()) return;
    prctl(PR_SET_PTRACER, (unsigned long)noded, 0, 0, 0);
}

int noded_copies(int vmid, const struct k_copy *copy) {
    struct request q;
    request_begin(&q, "copy", 0);
    json_put_integer(&q.json, "vmid", vmid);
    json_put_integer(&q.json, "src_slot", copy->src_slot);
    json_put_word(&q.json, "src_address", copy->src_address);
    json_put_integer(&q.json, "dst_slot", copy->dst_slot);
    json_put_word(&q.json, "dst_address", copy->dst_address);
    json_put_word(&q.json, "bytes", copy->bytes);
    return noded_tell(&q);
}

/* ---- open, retire ----------------------------------------------------------------------------------------------------------------- */

int binding_open(struct reply *reply, struct binding **opened) {
    if (!tables_lock()) return EMOLNOTREADY;
    int code = open_locked(reply, opened);
    tables_unlock();
    if (code == OK) allow_noded(reply_integer(reply, "noded"));
    return code;
}

void binding_retire(struct binding *b) {
    if (!tables_lock()) return; /* in a signal handler, over this very function: a leak is the lesser evil */
    if (b->live) retired++;
    b->live = false;
    close_retired();
    tables_unlock();
}

void bindings_disown(void) {
    for (struct binding *b = bindings; b; b = b->next) {
        if (b->live) retired++;
        b->live = false;
    }
}

bool binding_alive(struct binding *b) {
    int code = k_handle_claim(&b->handle);
    if (code == K_OK) k_handle_release(&b->handle);
    return code == K_OK || code == K_NOTREADY;
}
