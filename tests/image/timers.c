/* A program with POSIX timers under the ids 0 and 2: one far away that repeats, one that signals its second thread when a line
 * asks for it. It answers each line with what it finds. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int far, near;
static atomic_int second_thread;
static atomic_int seen_value;

static long make(struct sigevent *event, int *id) {
    return syscall(SYS_timer_create, CLOCK_MONOTONIC, event, id);
}

static void *wait_for_timer(void *unused) {
    sigset_t wanted;
    siginfo_t info;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGRTMIN + 2);
    atomic_store(&second_thread, (int)syscall(SYS_gettid));
    for (;;)
        if (sigwaitinfo(&wanted, &info) > 0) atomic_store(&seen_value, info.si_value.sival_int);
    return unused;
}

static void make_timers(void) {
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    int between;
    make(&event, &far);
    make(&event, &between);
    event = (struct sigevent){.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 2};
    event.sigev_value.sival_int = 42;
    event._sigev_un._tid = atomic_load(&second_thread);
    make(&event, &near);
    syscall(SYS_timer_delete, between);
    struct itimerspec setting = {{7, 0}, {1000, 0}};
    syscall(SYS_timer_settime, far, 0, &setting, NULL);
}

int main(void) {
    sigset_t blocked;
    pthread_t thread;
    char line[64];
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGRTMIN + 2);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    pthread_create(&thread, NULL, wait_for_timer, NULL);
    while (!atomic_load(&second_thread)) sched_yield();
    make_timers();
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        struct itimerspec left = {{0}}, soon = {{0, 0}, {0, 1000}};
        atomic_store(&seen_value, 0);
        syscall(SYS_timer_gettime, far, &left);
        long failed = syscall(SYS_timer_settime, near, 0, &soon, NULL);
        while (!failed && !atomic_load(&seen_value)) sched_yield();
        printf("%d %d %ld %s %d\n", far, near, (long)left.it_interval.tv_sec,
               left.it_value.tv_sec > 900 && left.it_value.tv_sec <= 1000 ? "running" : "stopped", atomic_load(&seen_value));
        fflush(stdout);
    }
    return 0;
}
