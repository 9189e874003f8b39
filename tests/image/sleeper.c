/* A program that sleeps half a second at a time and says how each sleep ended: "slept" or "interrupted". */
#include <errno.h>
#include <stdio.h>
#include <time.h>

int main(void) {
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct timespec nap = {0, 500000000};
        puts(clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL) ? "interrupted" : "slept");
        fflush(stdout);
    }
}
