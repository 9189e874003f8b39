/* current.c: the process's binding, the threads' own, what a fork and the end of a thread do to them. */
#define _GNU_SOURCE
#include "current.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "../core/fork.h"
#include "binding.h"
#include "limits.h"

__thread struct thread this_thread __attribute__((tls_model("initial-exec"), visibility("hidden")));
struct binding *_Atomic shared_binding;

static pthread_mutex_t lock = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t leaving; /* its destructor runs when a thread ends that bound itself */
static _Atomic uint32_t epoch;

/* ---- the lock, and forks ----------------------------------------------------------------------------------------------- */

static void start_over(void) {
    atomic_store(&shared_binding, NULL);
    this_thread.own = NULL;
    pthread_setspecific(leaving, NULL);
    atomic_store(&epoch, k_fork_epoch());
    bindings_disown();
}

static void before_fork(void) { pthread_mutex_lock(&lock); }
static void in_parent(void) { pthread_mutex_unlock(&lock); }

static void in_child(void) {
    lock = (pthread_mutex_t)PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
    start_over();
}

static void leave_with_thread(void *binding);

static void begin(void) {
    atomic_store(&epoch, k_fork_epoch());
    pthread_atfork(before_fork, in_parent, in_child);
    pthread_key_create(&leaving, leave_with_thread);
}

bool tables_lock(void) {
    pthread_once(&once, begin);
    if (pthread_mutex_lock(&lock) != 0) return false;
    if (atomic_load(&epoch) != k_fork_epoch()) start_over(); /* a fork that libc knows nothing of */
    return true;
}

void tables_unlock(void) {
    pthread_mutex_unlock(&lock);
}

/* ---- what there is ------------------------------------------------------------------------------------------------------- */

static bool same_binding(const struct binding *a, const struct binding *b) {
    return a->mapping == b->mapping && a->handle.slot == b->handle.slot && a->handle.incarnation == b->handle.incarnation;
}

struct binding *keep_shared(struct binding *b) {
    struct binding *present = NULL;
    if (!tables_lock()) return b;
    present = atomic_load(&shared_binding);
    bool same = present && present != b && same_binding(present, b);
    if (!same) atomic_store(&shared_binding, b);
    tables_unlock();
    if (present && present != b) binding_retire(same ? b : present);
    return same ? present : b;
}

void keep_own(struct binding *b) {
    this_thread.own = b;
    pthread_setspecific(leaving, b);
}

void forget(struct binding *b) {
    struct binding *expected = b;
    if (this_thread.own == b) keep_own(NULL);
    atomic_compare_exchange_strong(&shared_binding, &expected, NULL);
    binding_retire(b);
}

/* ---- what noded knows of --------------------------------------------------------------------------------------------------- */

/* Attach to the binding of this process that another made, or that its last image had. */
static struct binding *find(int *code) {
    struct request q;
    struct reply reply;
    struct binding *found = NULL;
    request_begin(&q, "wait4bind", REPEAT);
    json_put_integer(&q.json, "timeout_ms", 0);
    *code = noded_ask(&q, &reply);
    if (*code == OK) *code = binding_open(&reply, &found);
    reply_end(&reply);
    if (*code == OK) return keep_shared(found);
    *code = *code == EMOLDRVSINIT ? EMOLDRVSINIT : EMOLNOTBIND;
    return NULL;
}

struct binding *process_binding(int *code) {
    struct binding *shared = atomic_load(&shared_binding);
    return shared ? shared : find(code);
}

struct binding *current_binding(int *code) {
    struct binding *known = known_binding();
    return known ? known : find(code);
}

struct binding *binding_after(const struct binding *stale, int *code) {
    *code = EMOLNOTBIND;
    if (tables_lock()) tables_unlock(); /* notices a fork */
    if (this_thread.own == stale) return NULL;
    struct binding *found = find(code);
    return found == stale ? NULL : found;
}

struct binding *bound_here(int vmid, int endpoint) {
    int code;
    if (endpoint == SELF) return current_binding(&code);
    struct binding *each[] = {this_thread.own, process_binding(&code)};
    for (int i = 0; i < 2; i++)
        if (each[i] && each[i]->handle.endpoint == endpoint && each[i]->vmid == vmid) return each[i];
    return NULL;
}

/* ---- the end of a thread ----------------------------------------------------------------------------------------------------- */

/* noded watches single threads where Linux can (6.9); elsewhere it finds out within a second, so those who wait are told here. */
static bool noded_watches_threads(void) {
    struct utsname linux_is;
    int major = 0, minor = 0;
    if (feature_disabled("pidfd_thread") || feature_disabled("pidfd") || uname(&linux_is) < 0) return false;
    return sscanf(linux_is.release, "%d.%d", &major, &minor) == 2 && (major > 6 || (major == 6 && minor >= 9));
}

static void leave_with_thread(void *binding) {
    struct binding *own = binding;
    struct request q;
    if (own->handle.fork_epoch == k_fork_epoch() && !noded_watches_threads()) {
        request_begin(&q, "unbind", 0);
        json_put_integer(&q.json, "vmid", own->vmid);
        json_put_integer(&q.json, "endpoint", own->handle.endpoint);
        json_put_integer(&q.json, "incarnation", own->handle.incarnation);
        noded_tell(&q);
    }
    forget(own);
}
