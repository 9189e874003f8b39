/* A program that counts the real-time signals it gets, which carry numbers: one that comes twice or out of order is a mistake. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static volatile sig_atomic_t expected, mistakes;

static void on_signal(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    if (info->si_value.sival_int != expected) mistakes = mistakes + 1;
    expected = info->si_value.sival_int + 1;
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    char line[64];
    sigaction(SIGRTMIN + 1, &action, NULL);
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        printf("%d %d\n", (int)expected, (int)mistakes);
        fflush(stdout);
    }
    return 0;
}
