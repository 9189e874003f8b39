/* echo.c: a server that answers requests, and a client that makes three.
 *
 *     cc echo.c $(pkg-config --cflags --libs m3ipc) -o echo && ./echo
 */
#include "example.h"

enum { SERVER = 10, CLIENT = 50, ADD = 1, STOP = 2 };

static void serve(int vmid) {
    message m;
    must(mnx_bind(vmid, SERVER));
    do {
        must(mnx_rcvrqst(&m));
        m.m1_i3 = m.m1_i1 + m.m1_i2;
        must(mnx_reply(m.m_source, &m));
    } while (m.m_type != STOP);
}

int main(void) {
    int vmid = new_vm("echo");
    pid_t server = start(serve, vmid);
    message m;
    must(mnx_bind(vmid, CLIENT));
    must(mnx_wait4bindep(SERVER)); /* a system slot's endpoint is its process number */
    for (int i = 1; i <= 3; i++) {
        m.m_type = i < 3 ? ADD : STOP;
        m.m1_i1 = 40;
        m.m1_i2 = i;
        must(mnx_sendrec_T(SERVER, &m, 1000));
        printf("40 + %d = %d\n", i, m.m1_i3);
    }
    printf("server ended with %d\n", status_of(server));
    must(mnx_vm_end(vmid));
    return 0;
}
