/* bad_input.c: pointers that are NULL, misaligned, unmapped, read-only, half there, at the end of all addresses: each gives a code. */
#include <m3ipc.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PEER = 10, PAGE = 4096 };

static int vmid, failures;

static void expect(const char *call, const char *pointer, long code, long wanted) {
    if (code == wanted && mnx_errno == wanted) return;
    failures++;
    printf("%s with a %s pointer: %ld, mnx_errno %d, not %ld\n", call, pointer, code, mnx_errno, wanted);
}

static void every_message_call(const char *kind, void *bad, int readable) {
    message *m = (message *)bad;
    expect("receive", kind, mnx_receive_T(ANY, m, TIMEOUT_NOWAIT), EMOLMSGSIZE);
    expect("rcvrqst", kind, mnx_rcvrqst_T(m, TIMEOUT_NOWAIT), EMOLMSGSIZE);
    expect("sendrec", kind, mnx_sendrec_T(PEER, m, TIMEOUT_NOWAIT), EMOLMSGSIZE);
    if (readable) return; /* to send it, it is good enough */
    expect("send", kind, mnx_send_T(PEER, m, TIMEOUT_NOWAIT), EMOLMSGSIZE);
    expect("reply", kind, mnx_reply(PEER, m), EMOLMSGSIZE);
    expect("relay", kind, mnx_relay(PEER, m), EMOLMSGSIZE);
}

static void every_structure_call(const char *kind, void *bad) {
    expect("drvs_init", kind, mnx_drvs_init(0, (drvs_usr_t *)bad), EMOLRANGE);
    expect("getdrvsinfo", kind, mnx_getdrvsinfo((drvs_usr_t *)bad), EMOLINVAL);
    expect("vm_init", kind, mnx_vm_init((VM_usr_t *)bad), EMOLRANGE);
    expect("getvminfo", kind, mnx_getvminfo(vmid, (VM_usr_t *)bad), EMOLINVAL);
    expect("getprocinfo", kind, mnx_getprocinfo(vmid, PEER, (proc_usr_t *)bad), EMOLINVAL);
    expect("getpriv", kind, mnx_getpriv(vmid, PEER, (priv_usr_t *)bad), EMOLINVAL);
}

static void all(const char *kind, void *bad) {
    every_message_call(kind, bad, 0);
    every_structure_call(kind, bad);
    expect("setpriv", kind, mnx_setpriv(vmid, PEER, (priv_usr_t *)bad), EMOLINVAL);
}

static void copies(char *unmapped) {
    char here[64] = "";
    message m;
    long code = mnx_receive(ANY, &m); /* the peer waits for an answer: it may be copied from */
    expect("receive", "good", code, OK);
    expect("vcopy to", "unmapped", mnx_vcopy(PEER, m.m1_p1, SELF, unmapped, 64), EMOLFAULT);
    expect("vcopy to", "NULL", mnx_vcopy(PEER, m.m1_p1, SELF, NULL, 64), EMOLFAULT);
    expect("vcopy from", "unmapped", mnx_vcopy(SELF, unmapped, PEER, m.m1_p1, 64), EMOLFAULT);
    expect("vcopy into the peer's", "unmapped", mnx_vcopy(SELF, here, PEER, (void *)16, 64), EMOLFAULT);
    expect("vcopy of a negative number", "good", mnx_vcopy(PEER, m.m1_p1, SELF, here, -1), EMOLRANGE);
    mnx_reply(PEER, &m);
}

static int peer(void) {
    static char block[64];
    message m;
    m.m_type = 1;
    m.m1_p1 = block;
    mnx_bind(vmid, PEER);
    return mnx_sendrec(11, &m) != OK; /* and lives to have its answer */
}

int main(int argc, char **argv) {
    static VM_usr_t vm;
    static proc_usr_t process;
    char *pages = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    vm = (VM_usr_t){.vm_vmid = -1, .vm_nr_procs = 100, .vm_nr_tasks = 10, .vm_nr_sysprocs = 40, .vm_name = "bad"};
    if (mnx_vm_init(&vm) != OK) return 1;
    vmid = vm.vm_vmid;
    mprotect(pages + PAGE, PAGE, PROT_READ);
    mprotect(pages + 2 * PAGE, PAGE, PROT_NONE);
    mnx_bind(vmid, 11);
    if (fork() == 0) _exit(peer());
    mnx_wait4bindep(PEER);
    do mnx_getprocinfo(vmid, PEER, &process);
    while (process.p_rts_flags != (SENDING | RECEIVING));
    all("NULL", NULL);
    all("low", (void *)16);
    all("unreadable", pages + 2 * PAGE);
    expect("rmtbind", "NULL", mnx_rmtbind(vmid, NULL, 100, 1), EMOLINVAL);
    expect("rmtbind", "unreadable", mnx_rmtbind(vmid, pages + 2 * PAGE, 100, 1), EMOLINVAL);
    all("half unreadable", pages + 2 * PAGE - 16);
    all("last", (void *)(UINTPTR_MAX & ~(uintptr_t)15));
    all("non-canonical", (void *)((uintptr_t)1 << 62));
    every_message_call("misaligned", pages + 4, 0);
    every_message_call("odd", pages + 1, 0);
    every_message_call("read-only", pages + PAGE, 1);
    every_message_call("half read-only", pages + PAGE - 16, 1);
    every_structure_call("read-only", pages + PAGE);
    /* A constant message can be sent; but the peer waits for this process. */
    expect("send", "read-only", mnx_send_T(PEER, (message *)(void *)(pages + PAGE), TIMEOUT_NOWAIT), EMOLLOCKED);
    if (argc == 1 || strcmp(argv[1], "without-copies") != 0) copies(pages + 2 * PAGE); /* at which valgrind cries out */
    mnx_vm_end(vmid);
    printf("%d failures\n", failures);
    return failures != 0;
}
