/* vcopy.c: copies between address spaces, with the requester as their source, their destination, and neither.
 *
 * The two others wait in a sendrec to the requester meanwhile, which is when their memory may be touched. They tell in
 * their requests where it is.
 */
#include "example.h"

enum { ROOT = 10, ALICE = 20, BOB = 21, BLOCK = 4096 };

static char block[BLOCK];

static void fill(char with) {
    memset(block, with, sizeof block);
}

static int full_of(char with) {
    for (size_t i = 0; i < sizeof block; i++)
        if (block[i] != with) return 0;
    return 1;
}

/* Ask, with the block's address, and say what is in it when the answer comes. */
static void ask(const char *name) {
    message m;
    m.m_type = 1;
    m.m1_p1 = block;
    m.m1_i1 = BLOCK;
    must(mnx_sendrec(ROOT, &m));
    printf("%s has %c\n", name, full_of(block[0]) ? block[0] : '?');
    fflush(stdout);
}

static void alice(int vmid) {
    must(mnx_bind(vmid, ALICE));
    fill('a');
    ask("alice");
}

static void bob(int vmid) {
    must(mnx_bind(vmid, BOB));
    fill('b');
    ask("bob");
}

static void *request_of(int client) {
    message m;
    must(mnx_receive(client, &m));
    return m.m1_p1;
}

static void answer(int client) {
    message m;
    m.m_type = 0;
    must(mnx_reply(client, &m));
}

int main(void) {
    int vmid = new_vm("vcopy");
    must(mnx_bind(vmid, ROOT));
    pid_t a = start(alice, vmid), b = start(bob, vmid);
    must(mnx_wait4bindep(ALICE));
    must(mnx_wait4bindep(BOB));
    char *at_alice = request_of(ALICE), *at_bob = request_of(BOB);

    fill('r');
    must(mnx_vcopy(ALICE, at_alice, SELF, block, BLOCK)); /* the requester as destination */
    printf("the requester has %c\n", full_of('a') ? 'a' : '?');
    fill('r');
    must(mnx_vcopy(SELF, block, ALICE, at_alice, BLOCK)); /* as source */
    must(mnx_vcopy(ALICE, at_alice, BOB, at_bob, BLOCK)); /* as a third party */
    printf("too much: %ld\n", mnx_vcopy(ALICE, at_alice, BOB, at_bob, MAXCOPYLEN + 1) - EMOLRANGE);
    fflush(stdout);

    answer(ALICE);
    status_of(a);
    answer(BOB);
    status_of(b);
    must(mnx_vm_end(vmid));
    return 0;
}
