/* A program that executes itself again, for ever: execer [THREADS NAP_US [TURN]]. Of so many threads (none: the first one
   itself) the last does it, after a nap. Its turns stand in its arguments, for all to read. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static const char *threads = "5", *nap_us = "3000";
static long turn;

static void *rest(void *unused) {
    for (;;) pause();
    return unused;
}

static void *exec_again(void *unused) {
    struct timespec nap = {0, atol(nap_us) * 1000};
    char next[24];
    snprintf(next, sizeof next, "%ld", turn + 1);
    if (nap.tv_nsec) clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
    execl("/proc/self/exe", "execer", threads, nap_us, next, (char *)NULL);
    return unused;
}

int main(int count, char **words) {
    pthread_t thread;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that is killed leaves nothing that runs for ever */
    if (count > 2) threads = words[1], nap_us = words[2];
    if (count > 3) turn = atol(words[3]);
    if (turn == 0) {
        puts("ready");
        fflush(stdout);
    }
    for (long i = atol(threads); i > 1; i--) pthread_create(&thread, NULL, rest, NULL);
    if (atol(threads) == 0) exec_again(NULL);
    pthread_create(&thread, NULL, exec_again, NULL);
    for (;;) pause();
}
