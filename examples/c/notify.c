/* notify.c: notifications: from a process, with a value, on behalf of another, from the hardware; and a wake-up. */
#include "example.h"

enum { ME = 10, OTHER = 11, CLOCK = 12 };

static void show(const char *what, const message *m) {
    printf("%s: type %#x from %d, argument %d\n", what, (unsigned)m->m_type, m->m_source, m->m9_l1);
}

static void receive(const char *what, int source) {
    message m;
    must(mnx_receive_T(source, &m, 1000));
    show(what, &m);
}

static void notify_me(int vmid) {
    must(mnx_bind(vmid, OTHER));
    must(mnx_ntfy_value(SELF, ME, 5)); /* one that waits is not left twice: arguments are ORed */
    must(mnx_ntfy_value(SELF, ME, 2));
    message m;
    mnx_receive(ME, &m); /* stays until it is answered: what it left would go with it */
}

int main(void) {
    int vmid = new_vm("notify");
    message m;
    must(mnx_bind(vmid, ME));
    pid_t other = start(notify_me, vmid);
    must(mnx_wait4bindep(OTHER));
    wait_until(vmid, OTHER, RECEIVING);
    receive("a process, twice", ANY);
    printf("no other: %ld\n", mnx_receive_T(ANY, &m, TIMEOUT_NOWAIT) - EMOLAGAIN);
    must(mnx_notify(OTHER));
    status_of(other);
    must(mnx_src_notify(CLOCK, ME));
    receive("on behalf of another", ANY);
    must(mnx_hdw_notify(vmid, ME));
    receive("the hardware", ANY);
    must(mnx_wakeup(vmid, ME)); /* nobody receives: the next one ends with it */
    printf("woken up: %ld\n", mnx_receive(ANY, &m) - EMOLWOKENUP);
    must(mnx_vm_end(vmid));
    return 0;
}
