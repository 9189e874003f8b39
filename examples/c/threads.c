/* threads.c: both ways of dealing with threads (4.1.7): one endpoint for all of a process, and one for each thread. */
#include <pthread.h>

#include "example.h"

enum { MAIN = 10, FIRST = 20, THREADS = 4, ROUNDS = 100 };

static int vmid;

static void *with_its_own(void *number) {
    int p_nr = FIRST + (int)(long)number;
    message m;
    must(mnx_tbind(vmid, p_nr)); /* ends with the thread */
    for (int i = 0; i < ROUNDS; i++) {
        m.m_type = i;
        m.m1_i1 = p_nr;
        must(mnx_sendrec(MAIN, &m));
        if (m.m1_i1 != -p_nr) exit(1);
    }
    return NULL;
}

/* A thread without an endpoint of its own uses that of the process, which others must leave alone meanwhile. */
static void *with_the_shared_one(void *unused) {
    message m;
    printf("the process's endpoint, in a thread: %ld\n", must(mnx_getep(getpid())));
    printf("nothing waits: %ld\n", mnx_receive_T(ANY, &m, TIMEOUT_NOWAIT) - EMOLAGAIN);
    return unused;
}

static void serve_threads(void) {
    message m;
    for (int i = 0; i < THREADS * ROUNDS; i++) {
        must(mnx_rcvrqst(&m));
        m.m1_i1 = -m.m1_i1;
        must(mnx_reply(m.m_source, &m));
    }
}

int main(void) {
    pthread_t thread[THREADS], other;
    vmid = new_vm("threads");
    printf("before the main thread is bound: %ld\n", mnx_getep(getpid()) - EMOLNOTBIND);
    must(mnx_bind(vmid, MAIN));
    pthread_create(&other, NULL, with_the_shared_one, NULL);
    pthread_join(other, NULL);
    for (long i = 0; i < THREADS; i++) pthread_create(&thread[i], NULL, with_its_own, (void *)i);
    serve_threads();
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    must(mnx_wait4unbind_T(FIRST, 5000));
    printf("%d threads, %d calls each\n", THREADS, ROUNDS);
    must(mnx_vm_end(vmid));
    return 0;
}
