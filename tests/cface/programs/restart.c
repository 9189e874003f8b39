/* restart.c: a management call while noded is being restarted: it is repeated until noded is there again. */
#include <m3ipc.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
    static VM_usr_t vm = {.vm_vmid = -1, .vm_nr_procs = 100, .vm_nr_tasks = 10, .vm_nr_sysprocs = 40, .vm_name = "restart"};
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (mnx_vm_init(&vm) != OK || mnx_bind(vm.vm_vmid, 10) != 10) return 1;
    puts("bound");
    getchar();
    puts("asking");
    long endpoint = mnx_getep(getpid());
    printf("still %ld\n", endpoint);
    return mnx_vm_end(vm.vm_vmid) != OK;
}
