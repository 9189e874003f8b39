/* copy.c: bytes from one endpoint's memory to another's.
 *
 * Both parties are marked ONCOPY by a transition, the bytes move without any lock (process_vm_readv/writev: no intermediate copy
 * when the caller is a party, one bounce buffer when it is not), and a second transition lets the parties go. A party whose
 * wait ends meanwhile stays put until then, because its buffer is in use.
 *
 * A pid that stands in shared memory is only believed if that process maps this very region: a scribbled pid can misdirect a copy to
 * a member of the same VM, never to a stranger.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "farcopy.h"
#include "handle.h"
#include "trust.h"

/* ---- transitions ------------------------------------------------------------------------------------------------------ */

static int find_party(struct k_txn *t, int32_t endpoint, int dead, uint32_t *index) {
    if (endpoint == K_SELF || endpoint == k_me(t)->endpoint) {
        *index = t->me;
        return K_OK;
    }
    return k_find(t, endpoint, dead, index);
}

int k_check_party(const struct k_txn *t, uint32_t index) {
    const struct k_slot *s = k_slot_at(t->region, index);
    if (index == t->me) return K_OK;
    if (s->rts & (K_RTS_ONCOPY | K_RTS_HELD)) return K_BUSY;
    return s->rts == K_RTS_RECEIVING || s->rts == (K_RTS_RECEIVING | K_RTS_REQUESTS) ? K_OK : K_PROCSTS;
}

static void hold_party(struct k_txn *t, uint32_t index) {
    struct k_slot *s = k_slot_at(t->region, index);
    if (index != t->me) k_set(t, &s->rts, s->rts | K_RTS_ONCOPY);
}

int k_drop_stale_copy(struct k_txn *t, struct k_slot *me) {
    k_release_parties(t, me);
    return t->pairs ? k_commit(t) : K_OK;
}

/* Who the parties are: K_RMTPROC, with both found, if one is of another node. */
static int find_parties(struct k_txn *t, int32_t src, int32_t dst, uint64_t bytes, uint32_t *si, uint32_t *di) {
    int code = k_check_caller(t, K_VCOPY);
    if (code == K_OK && bytes > t->region->limits.copy_len_max) code = K_RANGE;
    if (code == K_OK) code = find_party(t, src, K_SRCDIED, si);
    if (code == K_OK) code = find_party(t, dst, K_DSTDIED, di);
    if (code == K_OK && *si == *di) code = K_ENDPOINT;
    if (code != K_OK) return code;
    return k_is_remote(k_slot_at(t->region, *si)) || k_is_remote(k_slot_at(t->region, *di)) ? K_RMTPROC : K_OK;
}

static int copy_begin(struct k_txn *t, int32_t src, int32_t dst, uint64_t bytes, uint32_t *si, uint32_t *di) {
    struct k_slot *me = k_me(t);
    int code = find_parties(t, src, dst, bytes, si, di);
    if (code == K_OK) code = k_check_party(t, *si);
    if (code == K_OK) code = k_check_party(t, *di);
    if (code == K_OK) code = k_drop_stale_copy(t, me);
    if (code != K_OK) return code;
    me->copy_src_incarnation = k_slot_at(t->region, *si)->incarnation;
    me->copy_dst_incarnation = k_slot_at(t->region, *di)->incarnation;
    k_set(t, &me->copy_src, *si + 1);
    k_set(t, &me->copy_dst, *di + 1);
    hold_party(t, *si);
    hold_party(t, *di);
    return k_commit(t);
}

int k_step_copy_begin(struct k_region *region, uint32_t me, int32_t src, int32_t dst, uint64_t bytes, uint32_t *src_slot, uint32_t *dst_slot) {
    struct k_txn t;
    int code = k_enter(&t, region, me, K_FOREVER);
    return code == K_OK ? k_leave_with(&t, copy_begin(&t, src, dst, bytes, src_slot, dst_slot)) : code;
}

/* As copy_begin, and where that finds a remote party, ask for the copy. */
static int copy_begin_anywhere(struct k_txn *t, struct k_far *f) {
    int code = copy_begin(t, f->src, f->dst, f->bytes, &f->src_slot, &f->dst_slot);
    if (code != K_RMTPROC) return code;
    f->src = k_slot_at(t->region, f->src_slot)->endpoint, f->dst = k_slot_at(t->region, f->dst_slot)->endpoint; /* K_SELF has no meaning there */
    return k_copy_abroad(t, f);
}

int k_step_copy_far(struct k_region *region, uint32_t me, int32_t src, uint64_t src_address, int32_t dst, uint64_t dst_address, uint64_t bytes, struct k_wakes *wakes) {
    struct k_txn t;
    struct k_far f = {.src = src, .dst = dst, .src_address = src_address, .dst_address = dst_address, .bytes = bytes};
    k_no_wakes(wakes);
    int code = k_enter(&t, region, me, K_FOREVER);
    if (code != K_OK) return code;
    code = find_parties(&t, src, dst, bytes, &f.src_slot, &f.dst_slot);
    code = code == K_RMTPROC ? copy_begin_anywhere(&t, &f) : code == K_OK ? K_LCLPROC : code;
    k_leave(&t, wakes);
    return code;
}

static bool party_is_there(const struct k_txn *t, uint32_t party, uint32_t incarnation) {
    const struct k_slot *p = k_slot_checked(t->region, party - 1);
    return p && k_is_bound(p) && p->incarnation == incarnation;
}

static int copy_end(struct k_txn *t) {
    struct k_slot *me = k_me(t);
    if (!me->copy_src || !me->copy_dst) return K_BADVMID;
    int code = !party_is_there(t, me->copy_src, me->copy_src_incarnation) ? K_SRCDIED
        : !party_is_there(t, me->copy_dst, me->copy_dst_incarnation) ? K_DSTDIED : K_OK;
    k_release_parties(t, me);
    int committed = k_commit(t);
    return committed == K_OK ? code : committed;
}

int k_step_copy_end(struct k_region *region, uint32_t me, struct k_wakes *wakes) {
    struct k_txn t;
    k_no_wakes(wakes);
    int code = k_enter(&t, region, me, K_FOREVER);
    if (code != K_OK) return code;
    code = copy_end(&t);
    k_leave(&t, wakes);
    return code;
}

/* ---- the bytes ---------------------------------------------------------------------------------------------------------- */

static struct iovec piece_of(uint64_t address, uint64_t bytes) {
    return (struct iovec){.iov_base = (void *)(uintptr_t)address, .iov_len = bytes};
}

/* ESRCH: the process is gone; a short copy met memory that is not there. */
static int code_of(ssize_t moved, uint64_t bytes, int gone) {
    if (moved >= 0) return (uint64_t)moved == bytes ? K_OK : K_FAULT;
    return errno == ESRCH ? gone : errno == EPERM ? K_PERM : errno == ENOSYS ? K_NOSYS : errno == ENOMEM ? K_NOMEM : K_FAULT;
}

static int pull(int32_t pid, uint64_t from, uint64_t to, uint64_t bytes) {
    struct iovec local = piece_of(to, bytes), remote = piece_of(from, bytes);
    return code_of(process_vm_readv(pid, &local, 1, &remote, 1, 0), bytes, K_SRCDIED);
}

static int push(int32_t pid, uint64_t from, uint64_t to, uint64_t bytes) {
    struct iovec local = piece_of(from, bytes), remote = piece_of(to, bytes);
    return code_of(process_vm_writev(pid, &local, 1, &remote, 1, 0), bytes, K_DSTDIED);
}

/* The caller is neither party: Linux moves bytes to and from the caller only, so they pass through a buffer of one piece. */
static int bounce(int32_t src_pid, uint64_t from, int32_t dst_pid, uint64_t to, uint64_t bytes, uint32_t chunk) {
    void *buffer = malloc(chunk);
    int code = buffer ? K_OK : K_NOMEM;
    for (uint64_t done = 0; code == K_OK && done < bytes; done += chunk) {
        uint64_t n = bytes - done < chunk ? bytes - done : chunk;
        code = pull(src_pid, from + done, (uintptr_t)buffer, n);
        if (code == K_OK) code = push(dst_pid, (uintptr_t)buffer, to + done, n);
    }
    free(buffer);
    return code;
}

int k_copy_bytes(int32_t src_pid, uint64_t src_address, int32_t dst_pid, uint64_t dst_address, uint64_t bytes, uint32_t chunk) {
    if (bytes == 0) return K_OK;
    if (!src_pid && !dst_pid) src_pid = getpid();
    if (!dst_pid) return pull(src_pid, src_address, dst_address, bytes);
    if (!src_pid) return push(dst_pid, src_address, dst_address, bytes);
    return bounce(src_pid, src_address, dst_pid, dst_address, bytes, chunk ? chunk : 65536);
}

/* ---- who is believed --------------------------------------------------------------------------------------------------------- */

/* Which file a mapping of ours is of: device and inode, as /proc/PID/maps prints them. */
static bool line_names(const char *line, const char *needle) {
    return strstr(line, needle) != NULL;
}

static FILE *open_maps(int32_t pid) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    return fopen(path, "re");
}

/* "fd:01 12345 " of the mapping that holds `address` in this process. */
static bool own_mapping(const void *address, char *needle, size_t size) {
    char line[512];
    FILE *maps = open_maps(getpid());
    bool found = false;
    while (maps && !found && fgets(line, sizeof line, maps)) {
        unsigned long from, to, inode;
        char device[16];
        if (sscanf(line, "%lx-%lx %*s %*s %15s %lu", &from, &to, device, &inode) != 4) continue;
        found = (uintptr_t)address >= from && (uintptr_t)address < to;
        if (found) snprintf(needle, size, " %s %lu ", device, inode);
    }
    if (maps) fclose(maps);
    return found;
}

enum standing { MEMBER, STRANGER, GONE };

/* A process that is exiting has an empty map. One whose map cannot be read passes: then Linux refuses the copy itself. */
static enum standing standing_of(const struct k_region *region, int32_t pid) {
    char needle[64] = "", line[512];
    FILE *maps = open_maps(pid);
    enum standing standing = GONE;
    if (!maps) return errno == EACCES || errno == EPERM ? MEMBER : GONE;
    if (!own_mapping(region->base, needle, sizeof needle)) standing = STRANGER;
    while (standing != MEMBER && fgets(line, sizeof line, maps)) standing = *needle && line_names(line, needle) ? MEMBER : STRANGER;
    if (ferror(maps)) standing = errno == EACCES || errno == EPERM ? MEMBER : GONE;
    fclose(maps);
    return standing;
}

int k_believe(const struct k_region *region, uint64_t **members, int32_t own_pid, uint32_t slot, int32_t *pid, int gone) {
    const struct k_slot *s = k_slot_at(region, slot);
    uint64_t claim = (uint64_t)s->incarnation << 32 | (uint32_t)s->pid;
    *pid = (int32_t)(uint32_t)claim;
    if (*pid == own_pid || (*members && (*members)[slot] == claim)) return K_OK;
    enum standing standing = *pid > 0 ? standing_of(region, *pid) : STRANGER;
    if (standing != MEMBER) return standing == GONE ? gone : K_BADPID;
    if (!*members) *members = k_handle_table(region, sizeof **members);
    if (*members) (*members)[slot] = claim;
    return K_OK;
}

static int believe(struct k_handle *h, uint32_t slot, int32_t *pid, int gone) {
    if (slot != h->slot) return k_believe(&h->region, &h->members, h->pid, slot, pid, gone);
    *pid = h->pid;
    return K_OK;
}

/* ---- a whole copy --------------------------------------------------------------------------------------------------------------- */

int k_copy_trusted(const struct k_copy *c, int32_t own_pid, uint32_t chunk, k_copy_fallback *fallback, void *context) {
    int32_t from = c->src_pid == own_pid ? 0 : c->src_pid, to = c->dst_pid == own_pid ? 0 : c->dst_pid;
    int code = k_copy_bytes(from, c->src_address, to, c->dst_address, c->bytes, chunk);
    return (code == K_PERM || code == K_NOSYS) && fallback ? fallback(context, c) : code;
}

static int copy_held(struct k_handle *h, struct k_copy *c, k_copy_fallback *fallback, void *context) {
    int code = believe(h, c->src_slot, &c->src_pid, K_SRCDIED);
    if (code == K_OK) code = believe(h, c->dst_slot, &c->dst_pid, K_DSTDIED);
    return code == K_OK ? k_copy_trusted(c, h->pid, h->region.limits.copy_buf, fallback, context) : code;
}

static int begin_as(struct k_handle *h, struct k_far *f) {
    struct k_txn t;
    int code = k_enter_as(&t, h, K_FOREVER, false);
    return code == K_OK ? k_leave_with(&t, copy_begin_anywhere(&t, f)) : code;
}

static int copy(struct k_handle *h, struct k_far *f, k_copy_fallback *fallback, void *context) {
    int code = h->cancel_owed ? k_handle_settle(h) : K_OK;
    if (code == K_OK) code = begin_as(h, f);
    if (code != K_OK) return code;
    struct k_copy c = {
        .src_slot = f->src_slot, .dst_slot = f->dst_slot, .src_address = f->src_address, .dst_address = f->dst_address, .bytes = f->bytes,
    };
    code = copy_held(h, &c, fallback, context);
    int ended = k_step_copy_end(&h->region, h->slot, NULL);
    if (code == K_OK && ended == K_OK) k_slot_at(&h->region, h->slot)->copied_local++;
    return code == K_OK || ended == K_SRCDIED || ended == K_DSTDIED ? ended : code;
}

int k_copy_start(struct k_handle *h, struct k_call *call, const struct k_copy *c, int32_t src, int32_t dst, k_copy_fallback *fallback, void *context) {
    struct k_far f = {.src = src, .dst = dst, .src_address = c->src_address, .dst_address = c->dst_address, .bytes = c->bytes};
    *call = (struct k_call){.op = K_VCOPY, .peer = dst, .started = true};
    if (!h->privileged) return K_PERM;
    int code = k_handle_claim(h);
    if (code != K_OK) return code;
    code = copy(h, &f, fallback, context);
    if (code != K_BLOCKED) k_handle_release(h);
    return code;
}

int k_copy(struct k_handle *h, int32_t src, uint64_t src_address, int32_t dst, uint64_t dst_address, uint64_t bytes, k_copy_fallback *fallback, void *context) {
    struct k_copy c = {.src_address = src_address, .dst_address = dst_address, .bytes = bytes};
    struct k_call call;
    int code = k_copy_start(h, &call, &c, src, dst, fallback, context);
    while (code == K_BLOCKED) code = k_call_wait(h, &call, K_FOREVER);
    return code == K_RESTARTSYS && !call.ended ? k_call_cancel(h, &call, K_RESTARTSYS) : code;
}
