/* A program that keeps known values in every register it can, spins, and says "same" at SIGUSR1 while they are all there. */
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t asked;

static void on_signal(int number) {
    (void)number;
    asked = 1;
}

static void answer(int good) {
    if (write(1, good ? "same\n" : "DIFF\n", 5) != 5) _exit(1);
}

/* Returns 1 if rbx, r12-r15 and xmm0-xmm3 hold after the spin what they held before it. */
static int spin(void) {
    uint64_t in[4] = {0x1111111111111111, 0x2222222222222222, 0x3333333333333333, 0x4444444444444444}, out[8] = {0};
    __asm__ volatile(
        "mov %[a], %%r12\n\tmov %[b], %%r13\n\tmov %[c], %%r14\n\tmov %[d], %%r15\n\t"
        "movq %[a], %%xmm0\n\tmovq %[b], %%xmm1\n\tmovq %[c], %%xmm2\n\tmovq %[d], %%xmm3\n\t"
        "1: pause\n\tcmpl $0, %[asked]\n\tje 1b\n\t"
        "mov %%r12, 0(%[out])\n\tmov %%r13, 8(%[out])\n\tmov %%r14, 16(%[out])\n\tmov %%r15, 24(%[out])\n\t"
        "movq %%xmm0, 32(%[out])\n\tmovq %%xmm1, 40(%[out])\n\tmovq %%xmm2, 48(%[out])\n\tmovq %%xmm3, 56(%[out])\n\t"
        :
        : [a] "r"(in[0]), [b] "r"(in[1]), [c] "r"(in[2]), [d] "r"(in[3]), [out] "r"(out), [asked] "m"(asked)
        : "r12", "r13", "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3", "memory");
    return memcmp(out, in, sizeof in) == 0 && memcmp(out + 4, in, sizeof in) == 0;
}

int main(void) {
    signal(SIGUSR1, on_signal);
    answer(1);
    for (;;) {
        int good = spin();
        asked = 0;
        answer(good);
    }
}
