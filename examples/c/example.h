/* example.h: what the examples share: calls that must work, a VM of their own, processes that end with them. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <m3ipc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* The result of a call that must not fail. An endpoint may be negative: mnx_errno tells it from an error. */
#define must(call) must_be_fine((call), #call, __FILE__, __LINE__)

static inline long must_be_fine(long result, const char *call, const char *file, int line) {
    if (mnx_errno == OK) return result;
    fprintf(stderr, "%s:%d: %s: %d\n", file, line, call, mnx_errno);
    exit(1);
}

/* A VM with the usual limits; its number. Ended by mnx_vm_end. */
static inline int new_vm(const char *name) {
    VM_usr_t vm;
    memset(&vm, 0, sizeof vm);
    vm.vm_vmid = -1; /* any */
    vm.vm_nr_procs = NR_PROCS;
    vm.vm_nr_tasks = NR_TASKS;
    vm.vm_nr_sysprocs = NR_SYS_PROCS;
    snprintf(vm.vm_name, sizeof vm.vm_name, "%s", name);
    must(mnx_vm_init(&vm));
    return vm.vm_vmid;
}

/* A child that runs `work` and dies with its parent at the latest. */
static inline pid_t start(void (*work)(int vmid), int vmid) {
    pid_t parent = getpid(), pid;
    fflush(NULL);
    pid = fork();
    if (pid) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    work(vmid);
    fflush(NULL);
    _exit(0);
}

/* Wait until a child has ended: its exit status, 128 + the signal that ended it. */
static inline int status_of(pid_t pid) {
    int status;
    if (waitpid(pid, &status, 0) != pid) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Wait until the process in slot `p_nr` is in exactly this state. */
static inline void wait_until(int vmid, int p_nr, unsigned long rts_flags) {
    proc_usr_t process;
    do must(mnx_getprocinfo(vmid, p_nr, &process));
    while (process.p_rts_flags != rts_flags);
}

#endif
