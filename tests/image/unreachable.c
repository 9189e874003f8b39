/* A program whose first thread sleeps where no signal but SIGKILL reaches it, like one that waits for a dead disk: it has made a
   thread as vfork does, and waits for the end of that, which comes with a line. Then it answers each line with it. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static char stack[65536] __attribute__((aligned(16)));

static int wait_for_a_line(void *unused) {
    char byte;
    (void)unused;
    while (read(0, &byte, 1) == 1 && byte != '\n') {}
    syscall(SYS_exit, 0); /* of this thread alone */
    return 0;
}

int main(void) {
    char line[256];
    puts("ready");
    fflush(stdout);
    clone(wait_for_a_line, stack + sizeof stack, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_VFORK, NULL);
    puts("reached");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        fputs(line, stdout);
        fflush(stdout);
    }
    return 0;
}
