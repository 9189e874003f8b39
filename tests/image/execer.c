/* A program of several threads, one of which executes the program again after some milliseconds, for ever. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static void *rest(void *unused) {
    for (;;) pause();
    return unused;
}

static void *exec_again(void *unused) {
    struct timespec nap = {0, 3000000};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
    execl("/proc/self/exe", "execer", "again", (char *)NULL);
    return unused;
}

int main(int count, char **words) {
    pthread_t thread;
    (void)words;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that is killed leaves nothing that runs for ever */
    if (count == 1) {
        puts("ready");
        fflush(stdout);
    }
    for (int i = 0; i < 4; i++) pthread_create(&thread, NULL, rest, NULL);
    pthread_create(&thread, NULL, exec_again, NULL);
    for (;;) pause();
}
