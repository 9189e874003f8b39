/* fork_exec.c: a forked child is not bound until somebody binds it; a process that execs another program stays bound. */
#include "example.h"

enum { PARENT = 10, CHILD = 20 };

/* The program that the child becomes: it finds its endpoint at its first call. */
static int second_image(void) {
    message m;
    printf("after exec: endpoint %d\n", (int)must(mnx_wait4bind()));
    m.m_type = 2;
    must(mnx_send(PARENT, &m));
    return 0;
}

static const char *program; /* its own path */
static int unbound_yet[2]; /* a pipe: the child has seen that it is not bound */

static void become_another(int vmid) {
    message m;
    (void)vmid;
    printf("after fork: %ld\n", mnx_notify(PARENT) - EMOLNOTBIND);
    fflush(stdout);
    close(unbound_yet[1]);
    printf("bound by the parent: endpoint %d\n", mnx_wait4bind_T(5000));
    fflush(stdout);
    m.m_type = 1;
    must(mnx_send(PARENT, &m));
    execl(program, program, "second", (char *)NULL);
    _exit(1);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "second") == 0) return second_image();
    program = argv[0];
    int vmid = new_vm("fork_exec");
    message m;
    char end;
    if (pipe(unbound_yet)) return 1;
    must(mnx_bind(vmid, PARENT));
    pid_t child = start(become_another, vmid);
    close(unbound_yet[1]);
    if (read(unbound_yet[0], &end, 1) != 0) return 1;
    must(mnx_lclbind(vmid, child, CHILD));
    must(mnx_receive(CHILD, &m));
    must(mnx_receive(CHILD, &m)); /* from the same endpoint, and another program */
    printf("type %d from %d; the child ended with %d\n", m.m_type, m.m_source, status_of(child));
    printf("the parent still is %ld\n", must(mnx_getep(getpid())));
    must(mnx_vm_end(vmid));
    return 0;
}
