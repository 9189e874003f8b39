/* copier.c: `copier VMID ENDPOINT PID ADDRESS`: what Linux says to a copy out of a process, then what mnx_vcopy makes of it. */
#include <errno.h>
#include <m3ipc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

int main(int argc, char **argv) {
    char block[64] = "";
    if (argc != 5) return 2;
    void *there = (void *)strtoul(argv[4], NULL, 0);
    struct iovec local = {block, sizeof block}, remote = {there, sizeof block};
    long moved = process_vm_readv(atoi(argv[3]), &local, 1, &remote, 1, 0);
    printf("%s\n", moved < 0 && errno == EPERM ? "forbidden" : "allowed");
    mnx_bind(atoi(argv[1]), 20);
    printf("%ld\n", mnx_vcopy(atoi(argv[2]), there, SELF, block, sizeof block));
    printf("%s\n", block);
    return mnx_errno != OK;
}
