/* server.c: serve clients of any language: `./server VMID P_NR` adds m1_i1 and m1_i2 until the VM ends. */
#include "example.h"

int main(int argc, char **argv) {
    message m;
    if (argc != 3) return fprintf(stderr, "usage: %s VMID P_NR\n", argv[0]), 2;
    signal(SIGPIPE, SIG_IGN); /* which the end of a VM sends: here it is an event like others */
    printf("%ld\n", must(mnx_bind(atoi(argv[1]), atoi(argv[2]))));
    fflush(stdout);
    for (;;) {
        long code = mnx_rcvrqst(&m);
        if (code != OK) return code == EMOLVMNOTRUN ? 0 : 1;
        m.m1_i3 = m.m1_i1 + m.m1_i2;
        mnx_reply(m.m_source, &m); /* a client that is gone is no concern of ours */
    }
}
