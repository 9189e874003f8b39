/* A program that vforks for ever: its child lives in its memory until it has executed a program. With an argument it forks. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **words) {
    (void)words;
    puts("ready");
    fflush(stdout);
    for (long turns = 1;; turns++) {
        pid_t child = count > 1 ? fork() : vfork();
        if (child == 0 && count > 1) _exit(0);
        if (child == 0) {
            execl("/bin/true", "true", (char *)NULL);
            _exit(1);
        }
        int status = 0;
        /* A restored program has lost a child that was dead already and that nobody had waited for. */
        if (child < 0 || (waitpid(child, &status, 0) != child && errno != ECHILD) || status) return 3;
        if (turns % 50 == 0) {
            printf("%ld\n", turns);
            fflush(stdout);
        }
    }
}
