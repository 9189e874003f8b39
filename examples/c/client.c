/* client.c: call a server of any language: `./client VMID ENDPOINT A B` asks it for A + B. See server.py of the tutorial, or server.c. */
#include "example.h"

int main(int argc, char **argv) {
    message m;
    if (argc != 5) return fprintf(stderr, "usage: %s VMID ENDPOINT A B\n", argv[0]), 2;
    int vmid = atoi(argv[1]), server = atoi(argv[2]);
    must(mnx_bind(vmid, 60));
    must(mnx_wait4bindep_T(server, 5000));
    m.m_type = 1;
    m.m1_i1 = atoi(argv[3]);
    m.m1_i2 = atoi(argv[4]);
    must(mnx_sendrec_T(server, &m, 5000));
    printf("%s + %s = %d\n", argv[3], argv[4], m.m1_i3);
    return 0;
}
