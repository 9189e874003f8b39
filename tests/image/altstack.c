/* A program that answers a line from within a signal handler on its alternate stack, and says "back" when it has returned. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STACK_BYTES = 65536 };

static void on_signal(int number) {
    char line[64];
    stack_t now;
    (void)number;
    puts("in the handler");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) return;
    sigaltstack(NULL, &now);
    puts(now.ss_flags & SS_ONSTACK ? "on the alternate stack" : "on another stack");
    fflush(stdout);
}

int main(void) {
    stack_t stack = {.ss_sp = malloc(STACK_BYTES), .ss_size = STACK_BYTES};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    sigaltstack(&stack, NULL);
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    puts("back");
    fflush(stdout);
    getchar();
    return 0;
}
