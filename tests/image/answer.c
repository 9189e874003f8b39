/* A program that counts the lines it reads, in four threads of which three sleep and count too; small and quick to dump. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static atomic_int ticks;

static void *tick(void *unused) {
    struct timespec nap = {0, 1000000};
    for (;;) {
        clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
        atomic_fetch_add(&ticks, 1);
    }
    return unused;
}

int main(void) {
    char line[64];
    pthread_t thread;
    for (int i = 0; i < 3; i++) pthread_create(&thread, NULL, tick, NULL);
    puts("ready");
    fflush(stdout);
    for (int count = 1; fgets(line, sizeof line, stdin); count++) {
        int before = atomic_load(&ticks);
        struct timespec nap = {0, 100000};
        while (atomic_load(&ticks) < before + 3) clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
        printf("%d\n", count);
        fflush(stdout);
    }
    return 7;
}
