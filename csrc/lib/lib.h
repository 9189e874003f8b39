/* lib.h: libm3ipc inside, as a table of contents.
 *
 *   ipc.c            chapter 3: a call of the guide around a call of the core
 *   node.c vm.c bind.c wait.c process.c privileges.c nodes.c later.c      chapters 4 to 6: a call, a request to noded, its answer
 *   proxies.c        get2rmt and put2lcl: around a proxy of the core
 *   binding.c        regions this process maps, and its endpoints' handles
 *   current.c        whose endpoint a call uses: the process's, or the thread's own; forks, exits of threads
 *   noded.c json.c   the control protocol
 *   paths.c limits.c where the node is, and what bounds the client
 *   memory.c         whether a program's pointer can be used
 *
 * No rule of the kernel is repeated here: what a message may do is csrc/core's to say, what a binding may be is noded's.
 *
 * Locks: one, of the process's own tables (tables_lock), held for a few instructions and never over a system call that waits.
 * No lock is taken on the path of a message.
 */
#ifndef M3IPC_LIB_H
#define M3IPC_LIB_H

#include <m3ipc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/core.h"
#include "../core/handle.h"

/* ---- bindings (binding.c) ------------------------------------------------------------------------------------------ */

struct mapping; /* a VM's region, mapped once however many endpoints the process has there */

struct binding {
    struct k_handle handle;
    struct mapping *mapping;
    int vmid;
    bool live;           /* some thread may begin a call on it */
    struct binding *next; /* all there ever were: a struct is used again, never freed, for a late reader may hold it */
};

/* ---- the calling thread (current.c) ----------------------------------------------------------------------------------- */

enum { KNOWN_PAGES = 8 };

struct thread {
    struct binding *own; /* of mnx_tbind; NULL: the process's */
    int code;            /* mnx_errno */
    uint32_t spins;      /* of its endpoint, when it last called */
    uintptr_t readable[KNOWN_PAGES], writable[KNOWN_PAGES]; /* pages of messages (+ 1) that were usable before */
};
extern __thread struct thread this_thread __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* How every public call ends: leave the code in mnx_errno and return it, or 0 and the result. */
static inline long ended(int code) {
    this_thread.code = code;
    return code;
}

static inline long returned(long result) {
    this_thread.code = OK;
    return result;
}

#endif
