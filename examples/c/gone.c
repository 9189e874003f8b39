/* gone.c: a peer unbinds, or exits, while others wait for it in every way there is: each is told at once. */
#include "example.h"

enum { PEER = 10, WAITER = 20, WAYS = 5 };

static long send_to(message *m) { return mnx_send(PEER, m); }
static long sendrec_to(message *m) { return mnx_sendrec(PEER, m); }
static long sendrec_T_to(message *m) { return mnx_sendrec_T(PEER, m, TIMEOUT_MOLCALL); }
static long receive_from(message *m) { return mnx_receive(PEER, m); }

/* A way to wait for the peer, the state it shows in, and how it ends when the peer goes. */
static const struct {
    const char *name;
    long (*wait)(message *m);
    unsigned long state;
    int taken; /* the peer takes the message, and goes without an answer */
    long code;
} ways[WAYS] = {
    {"send, not yet taken", send_to, SENDING, 0, EMOLDSTDIED},
    {"sendrec, not yet taken", sendrec_to, SENDING | RECEIVING, 0, EMOLDSTDIED},
    {"sendrec, taken but not answered", sendrec_to, RECEIVING, 1, EMOLSRCDIED},
    {"receive from it alone", receive_from, RECEIVING, 0, EMOLSRCDIED},
    {"sendrec_T, taken but not answered", sendrec_T_to, RECEIVING, 1, EMOLSRCDIED},
};

static int way, leaves_by_unbind;

static void wait_for_peer(int vmid) {
    message m;
    memset(&m, 0, sizeof m);
    must(mnx_bind(vmid, WAITER));
    must(mnx_wait4bindep(PEER));
    long code = ways[way].wait(&m);
    printf("  %s: %s\n", ways[way].name, code == ways[way].code ? "as promised" : "something else");
}

static void go(int vmid) {
    message m;
    must(mnx_bind(vmid, PEER));
    must(mnx_wait4bindep(WAITER));
    if (ways[way].taken) must(mnx_receive(ANY, &m));
    wait_until(vmid, WAITER, ways[way].state);
    if (!leaves_by_unbind) _exit(0); /* noded sees it, and unbinds it */
    must(mnx_unbind(vmid, PEER));
    printf("  after unbinding: %ld\n", mnx_receive_T(ANY, &m, TIMEOUT_NOWAIT) - EMOLNOTBIND);
}

int main(void) {
    int vmid = new_vm("gone"), bad = 0;
    for (leaves_by_unbind = 1; leaves_by_unbind >= 0; leaves_by_unbind--) {
        printf("the peer %s\n", leaves_by_unbind ? "unbinds" : "exits");
        for (way = 0; way < WAYS; way++) {
            pid_t waiter = start(wait_for_peer, vmid), peer = start(go, vmid);
            bad += status_of(peer) + status_of(waiter);
            wait_until(vmid, PEER, SLOT_FREE); /* noded has seen them go */
            wait_until(vmid, WAITER, SLOT_FREE);
        }
    }
    must(mnx_vm_end(vmid));
    return bad;
}
