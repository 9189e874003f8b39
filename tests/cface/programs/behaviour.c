/* behaviour.c: what only a C program shows: `behaviour NAME` runs one case, and prints what went wrong. */
#include <errno.h>
#include <m3ipc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ME = 10, OTHER = 11, THREAD = 12 };

static int vmid, failures;
static volatile sig_atomic_t signals;

#define expect(what, wanted) expect_at(__LINE__, #what, (what), (wanted))

static void expect_at(int line, const char *what, long got, long wanted) {
    if (got == wanted || failures > 5) return;
    failures++;
    printf("line %d: %s is %ld, not %ld\n", line, what, got, wanted);
}

static void new_vm(void) {
    VM_usr_t vm = {.vm_vmid = -1, .vm_nr_procs = NR_PROCS, .vm_nr_tasks = NR_TASKS, .vm_nr_sysprocs = NR_SYS_PROCS};
    snprintf(vm.vm_name, sizeof vm.vm_name, "case%d", (int)getpid());
    expect(mnx_vm_init(&vm), OK);
    vmid = vm.vm_vmid;
}

static void wait_state(int p_nr, unsigned long flags) {
    proc_usr_t process;
    do expect(mnx_getprocinfo(vmid, p_nr, &process), OK);
    while (process.p_rts_flags != flags && !failures);
}

/* ---- signals ---------------------------------------------------------------------------------------------------------- */

static void count(int number) {
    (void)number;
    signals++;
}

static void handle(int flags) {
    struct sigaction action = {.sa_handler = count, .sa_flags = flags};
    sigaction(SIGUSR1, &action, NULL);
}

/* Signal the parent as soon as it sleeps, and until it has gone on. */
static pid_t pester(void) {
    pid_t parent = getpid(), child = fork();
    if (child) return child;
    while (kill(parent, SIGUSR1) == 0 && getppid() == parent) poll(NULL, 0, 20);
    _exit(0);
}

static void stop(pid_t child) {
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void signals_end_calls_that_sleep(void) {
    message m;
    new_vm();
    mnx_bind(vmid, ME);
    for (int restart = 0; restart < 2; restart++) {
        handle(restart ? SA_RESTART : 0);
        pid_t child = pester();
        expect(mnx_receive(ANY, &m), -ERESTARTSYS);
        expect(mnx_rcvrqst_T(&m, 60000), -ERESTARTSYS);
        expect(mnx_wait4unbind(ME), -ERESTARTSYS);
        expect(mnx_wait4bindep_T(OTHER, 60000), -ERESTARTSYS);
        expect(mnx_errno, -ERESTARTSYS);
        stop(child);
    }
    expect(signals > 0, 1);
    expect(mnx_getep(getpid()), ME); /* the connection that was given up is replaced */
}

/* ---- threads ------------------------------------------------------------------------------------------------------------- */

static void *receive_forever(void *code) {
    message m;
    *(long *)code = mnx_receive(OTHER, &m);
    return NULL;
}

static void one_endpoint_takes_one_call_at_a_time(void) {
    message m;
    pthread_t thread;
    long code = 0;
    pid_t child;
    new_vm();
    if (!(child = fork())) {
        mnx_bind(vmid, OTHER);
        for (;;) pause();
    }
    mnx_bind(vmid, ME);
    mnx_wait4bindep(OTHER);
    pthread_create(&thread, NULL, receive_forever, &code);
    wait_state(ME, RECEIVING);
    expect(mnx_receive(ANY, &m), EMOLNOTREADY);
    expect(mnx_send(OTHER, &m), EMOLNOTREADY);
    stop(child);
    pthread_join(thread, NULL);
    expect(code, EMOLSRCDIED);
    expect(mnx_errno, EMOLNOTREADY); /* this thread's own */
}

static void *bind_and_leave(void *unused) {
    expect(mnx_tbind(vmid, THREAD), THREAD);
    expect(mnx_tbind(vmid, THREAD + 1), EMOLBUSY);
    expect(mnx_getep(getpid()), ME);
    return unused;
}

static void a_thread_takes_its_endpoint_along(void) {
    pthread_t thread;
    new_vm();
    mnx_bind(vmid, ME);
    for (int i = 0; i < 20; i++) {
        pthread_create(&thread, NULL, bind_and_leave, NULL);
        pthread_join(thread, NULL);
        expect(mnx_wait4unbind_T(THREAD, 5000), OK);
    }
}

/* A thread unbinds what another one is waiting on. */
static void unbinding_ends_the_call_of_another_thread(void) {
    pthread_t thread;
    long code = 0;
    pid_t child;
    new_vm();
    if (!(child = fork())) {
        mnx_bind(vmid, OTHER);
        for (;;) pause();
    }
    mnx_bind(vmid, ME);
    mnx_wait4bindep(OTHER);
    for (int i = 0; i < 50; i++) {
        pthread_create(&thread, NULL, receive_forever, &code);
        wait_state(ME, RECEIVING);
        expect(mnx_unbind(vmid, ME), OK);
        pthread_join(thread, NULL);
        expect(code, EMOLSHUTDOWN);
        expect(mnx_bind(vmid, ME), ME);
    }
    stop(child);
}

/* ---- processes -------------------------------------------------------------------------------------------------------------- */

static void a_daemon_may_close_all_descriptors(void) {
    new_vm();
    mnx_bind(vmid, ME);
    for (int fd = 3; fd < 64; fd++) close(fd);
    int other = dup(0); /* takes the number that a connection had */
    expect(mnx_getep(getpid()), ME);
    expect(close(other), 0); /* still its own */
}

static void a_child_is_not_bound(void) {
    message m;
    new_vm();
    mnx_bind(vmid, ME);
    pid_t child = fork();
    if (!child) {
        expect(mnx_receive_T(ANY, &m, TIMEOUT_NOWAIT), EMOLNOTBIND);
        expect(mnx_unbind(vmid, SELF) < 0, 1);
        expect(mnx_bind(vmid, OTHER), OTHER);
        m.m_type = 1;
        expect(mnx_send(ME, &m), OK);
        _exit(failures);
    }
    int status;
    expect(mnx_wait4bindep(OTHER), OTHER);
    expect(mnx_receive(OTHER, &m), OK);
    waitpid(child, &status, 0);
    expect(status, 0);
    expect(mnx_receive_T(ANY, &m, TIMEOUT_NOWAIT), EMOLAGAIN);
}

static void binding_anew_many_times(void) {
    message m;
    new_vm();
    for (int i = 0; i < 300; i++) {
        expect(mnx_bind(vmid, ME), ME);
        expect(mnx_receive_T(ANY, &m, TIMEOUT_NOWAIT), EMOLAGAIN);
        expect(mnx_unbind(vmid, i % 2 ? ME : SELF), OK);
        expect(mnx_receive_T(ANY, &m, TIMEOUT_NOWAIT), EMOLNOTBIND);
    }
}

static void many_vms_one_after_the_other(void) {
    for (int i = 0; i < 20; i++) {
        new_vm();
        expect(mnx_bind(vmid, ME), ME);
        signal(SIGPIPE, SIG_IGN);
        expect(mnx_vm_end(vmid), OK);
        expect(mnx_notify(OTHER), EMOLVMNOTRUN);
    }
}

static void errno_is_left_alone(void) {
    message m;
    new_vm();
    mnx_bind(vmid, ME);
    errno = 77;
    mnx_receive_T(ANY, NULL, 0);
    mnx_receive_T(ANY, &m, 5);
    mnx_getep(-1);
    mnx_vcopy(SELF, NULL, 12345, NULL, 1);
    expect(errno, 77);
}

static void later_chapters_say_so(void) {
    expect(mnx_migr_start(1, 2), EMOLNOSYS);
    expect(mnx_migr_rollback(1, 2), EMOLNOSYS);
    expect(mnx_migr_commit(1, 2, 3, 4), EMOLNOSYS);
    expect(mnx_errno, EMOLNOSYS);
}

static void names_are_text(void) {
    static VM_usr_t vm = {.vm_vmid = -1, .vm_nr_procs = 10, .vm_nr_tasks = 3, .vm_nr_sysprocs = 5};
    memcpy(vm.vm_name, "0123456789abcdef", 16);
    expect(mnx_vm_init(&vm), EMOLNAMETOOLONG);
    memcpy(vm.vm_name, "a\xff\xfe", 4);
    expect(mnx_vm_init(&vm), EMOLRANGE);
    memcpy(vm.vm_name, "a\"b\\\xc3\xa9", 7);
    expect(mnx_vm_init(&vm), OK);
    expect(mnx_getvminfo(vm.vm_vmid, &vm), OK);
    expect(strcmp(vm.vm_name, "a\"b\\\xc3\xa9"), 0);
    expect(mnx_rmtbind(vm.vm_vmid, (char[]){"a name that is too long"}, 7, 1), EMOLNAMETOOLONG);
    expect(mnx_vm_end(vm.vm_vmid), OK);
}

static void privileges_come_back_as_they_were_set(void) {
    priv_usr_t set, got;
    message m;
    new_vm();
    mnx_bind(vmid, ME);
    expect(mnx_getpriv(vmid, ME, &set), OK);
    expect(set.s_trap_mask, -1);
    expect(set.s_ipc_to.chunk[5], 0xffff);
    set.s_ipc_to.chunk[4] = 0x1234;
    set.s_level = SERVER_PRIV;
    set.s_trap_mask = (short)~(1 << 2); /* RECEIVE */
    expect(mnx_setpriv(vmid, ME, &set), OK);
    expect(mnx_getpriv(vmid, ME, &got), OK);
    expect(memcmp(&set, &got, sizeof got), 0);
    expect(mnx_receive_T(ANY, &m, TIMEOUT_NOWAIT), EMOLTRAPDENIED);
    set.s_level = 99;
    expect(mnx_setpriv(vmid, ME, &set), EMOLRANGE);
    expect(mnx_setpriv(vmid, 29000, &set), EMOLBADPROC);
}

static const struct { const char *name; void (*run)(void); } cases[] = {
#define CASE(name) {#name, name}
    CASE(signals_end_calls_that_sleep), CASE(one_endpoint_takes_one_call_at_a_time), CASE(a_thread_takes_its_endpoint_along),
    CASE(unbinding_ends_the_call_of_another_thread), CASE(a_daemon_may_close_all_descriptors), CASE(a_child_is_not_bound),
    CASE(binding_anew_many_times), CASE(many_vms_one_after_the_other), CASE(errno_is_left_alone), CASE(later_chapters_say_so),
    CASE(names_are_text), CASE(privileges_come_back_as_they_were_set),
};

int main(int argc, char **argv) {
    for (size_t i = 0; argc > 1 && i < sizeof cases / sizeof cases[0]; i++)
        if (strcmp(argv[1], cases[i].name) == 0) cases[i].run();
    signal(SIGPIPE, SIG_IGN);
    mnx_vm_end(vmid);
    return failures != 0;
}
