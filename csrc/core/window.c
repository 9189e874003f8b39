/* window.c: see window.h.
 *
 * A member's mapping is found by its address (the ioctl PROCMAP_QUERY, Linux 6.11), its file among the member's descriptors by device and inode.
 * That descriptor is duplicated, not opened again: nothing else can have taken its place. Everything else stays with
 * process_vm_readv and process_vm_writev: private memory, memory whose size is not sealed, older kernels.
 */
#define _GNU_SOURCE
#include "window.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

enum { KEPT_NS = 1000000000, FILES_MAX = 1024 /* descriptors of a member that are looked at */ };

/* ---- asking the kernel ------------------------------------------------------------------------------------------------- */

struct map_query { /* struct procmap_query of linux/fs.h, which Debian 12 does not have */
    uint64_t size, flags, address, start, end, vma_flags, page_size, offset, inode;
    uint32_t major, minor, name_size, build_id_size;
    uint64_t name, build_id;
};

enum { READABLE = 1, WRITABLE = 2, SHARED = 8 };

#define QUERY_MAP _IOWR('f', 17, struct map_query)

/* What a member has at an address: 0, or an errno. */
static int ask(int maps, uint64_t address, struct map_query *q) {
    *q = (struct map_query){.size = sizeof *q, .address = address};
    return ioctl(maps, QUERY_MAP, q) ? errno : 0;
}

static bool allows(const struct map_query *q, bool write) {
    uint64_t needed = READABLE | SHARED | (write ? WRITABLE : 0);
    return (q->vma_flags & needed) == needed;
}

static int open_maps(int32_t pid) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- the file behind it -------------------------------------------------------------------------------------------------- */

static bool is_file(const struct stat *s, const struct k_window *v) {
    return S_ISREG(s->st_mode) && s->st_ino == v->inode && major(s->st_dev) == v->major && minor(s->st_dev) == v->minor;
}

/* Memory that is all there and stays: nothing faults that touches it. */
static bool is_steady(int fd, const struct stat *s) {
    struct statfs fs;
    int seals = fcntl(fd, F_GET_SEALS);
    bool sealed = seals != -1 && seals & F_SEAL_SHRINK, whole = s->st_blocks * 512 >= s->st_size;
    return sealed && whole && fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

static int duplicate(int pidfd, int fd, const struct k_window *v) {
    struct stat s;
    int mine = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
    if (mine >= 0 && fstat(mine, &s) == 0 && is_file(&s, v) && (fcntl(mine, F_GETFL) & O_ACCMODE) == O_RDWR && is_steady(mine, &s)) return mine;
    if (mine >= 0) close(mine);
    return -1;
}

/* A descriptor of the member's that has the file. -1: it has none. */
static int find_file(const struct k_window *v) {
    char path[32];
    struct dirent *entry;
    struct stat s;
    int found = -1, pidfd = (int)syscall(SYS_pidfd_open, v->pid, 0);
    snprintf(path, sizeof path, "/proc/%d/fd", v->pid);
    DIR *all = pidfd >= 0 ? opendir(path) : NULL;
    for (int i = 0; all && found < 0 && i < FILES_MAX && (entry = readdir(all)); i++)
        if (entry->d_name[0] != '.' && fstatat(dirfd(all), entry->d_name, &s, 0) == 0 && is_file(&s, v)) found = duplicate(pidfd, atoi(entry->d_name), v);
    if (all) closedir(all);
    if (pidfd >= 0) close(pidfd);
    return found;
}

static uint8_t *map_file(const struct k_window *v) {
    int fd = find_file(v);
    if (fd < 0) return NULL;
    void *here = mmap(NULL, v->to - v->from, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)v->offset);
    close(fd);
    return here == MAP_FAILED ? NULL : here;
}

/* ---- windows ------------------------------------------------------------------------------------------------------------- */

static void forget(struct k_window *v) {
    if (!v->pid) return;
    if (v->here) munmap(v->here, v->to - v->from);
    if (v->maps >= 0) close(v->maps);
    *v = (struct k_window){.maps = -1};
}

/* The member's mapping of the file that the window shows. */
static bool is_same(const struct k_window *v, const struct map_query *q) {
    return v->from == q->start && v->to == q->end && v->offset == q->offset && v->inode == q->inode && v->major == q->major && v->minor == q->minor;
}

/* A free place, or that of the one which has not been used for longest. */
static struct k_window *free_place(struct k_windows *w) {
    struct k_window *oldest = &w->all[0];
    for (int i = 0; i < K_WINDOWS; i++)
        if (!w->all[i].pid || (oldest->pid && w->all[i].used_ns < oldest->used_ns)) oldest = &w->all[i];
    forget(oldest);
    return oldest;
}

static struct k_window *known(struct k_windows *w, int32_t pid, uint64_t address) {
    for (int i = 0; i < K_WINDOWS; i++) {
        struct k_window *v = &w->all[i];
        if (v->pid == pid && address >= v->from && address < v->to) return v;
    }
    return NULL;
}

/* What cannot be mapped is remembered too, for a while. */
static struct k_window *look(struct k_windows *w, int32_t pid, uint64_t address) {
    struct map_query q;
    int maps = open_maps(pid), code = maps < 0 ? errno : ask(maps, address, &q);
    if (code == ENOTTY || code == EINVAL) w->unable = true;
    struct k_window *v = free_place(w);
    if (code) q = (struct map_query){.start = 0, .end = UINT64_MAX};
    if (code == ENOENT) q = (struct map_query){.start = address & ~(uint64_t)4095, .end = (address | 4095) + 1};
    *v = (struct k_window){
        .pid = pid, .maps = maps, .from = q.start, .to = q.end, .offset = q.offset, .inode = q.inode, .major = q.major, .minor = q.minor,
        .writable = !code && allows(&q, true),
    };
    if (!code && allows(&q, false) && q.inode) v->here = map_file(v);
    v->used_ns = now_ns();
    return v;
}

/* The member has the same memory there as when it was looked for, and may do the same with it. The pieces of a copy follow each other. */
static bool is_there(const struct k_windows *w, const struct k_window *v, uint64_t address, bool first) {
    struct map_query q;
    if (!first && v == w->asked) return true;
    return ask(v->maps, address, &q) == 0 && is_same(v, &q) && allows(&q, v->writable);
}

uint8_t *k_window(struct k_windows *w, int32_t pid, uint64_t address, uint64_t bytes, bool write, bool first) {
    if (bytes < K_WINDOW_PIECE_MIN || w->unable) return NULL;
    struct k_window *v = known(w, pid, address);
    if (v && !v->here && now_ns() - v->used_ns < KEPT_NS) return NULL;
    if (v && !(v->here && is_there(w, v, address, first))) forget(v), v = NULL;
    if (!v) v = look(w, pid, address);
    w->asked = v;
    if (!v->here || bytes > v->to - address || (write && !v->writable)) return NULL;
    v->used_ns = now_ns();
    return v->here + (address - v->from);
}

void k_windows_sweep(struct k_windows *w) {
    uint64_t now = now_ns();
    if (now - w->swept_ns < KEPT_NS) return;
    w->swept_ns = now;
    for (int i = 0; i < K_WINDOWS; i++)
        if (w->all[i].pid && now - w->all[i].used_ns >= KEPT_NS) forget(&w->all[i]);
}

void k_windows_close(struct k_windows *w) {
    for (int i = 0; i < K_WINDOWS; i++) forget(&w->all[i]);
}
