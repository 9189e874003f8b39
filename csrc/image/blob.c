/* blob.c: the code of blob.h for x86-64. It is copied elsewhere as bytes, so whatever it calls stands in its own section. */
#include "blob.h"

#if defined(__x86_64__)
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>

/* What compilers add to functions (canaries, counters, sanitizers, vector registers) would not survive the copy. */
#if defined(__clang__)
#define ALONE
#else
#define ALONE no_stack_protector, no_profile_instrument_function, no_sanitize("address"), no_sanitize("undefined"),
#endif
#define BLOB __attribute__((section("drvs_blob"), used, noinline, ALONE target("general-regs-only")))
#define PART static inline __attribute__((always_inline, ALONE target("general-regs-only")))

extern const char __start_drvs_blob[] __attribute__((visibility("hidden")));
extern const char __stop_drvs_blob[] __attribute__((visibility("hidden")));

PART long call6(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f) {
    long result;
    register uint64_t r10 __asm__("r10") = d;
    register uint64_t r8 __asm__("r8") = e;
    register uint64_t r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return result;
}

PART uint64_t crc_word(uint64_t crc, uint64_t word) {
    __asm__("crc32q %1, %0" : "+r"(crc) : "r"(word));
    return crc;
}

PART uint64_t crc_half(uint64_t crc, uint32_t half) {
    uint32_t low = (uint32_t)crc;
    __asm__("crc32l %1, %0" : "+r"(low) : "r"(half));
    return low;
}

static BLOB int64_t read_exactly(uint64_t fd, uint64_t address, uint64_t nbytes) {
    while (nbytes) {
        long n = call6(SYS_read, fd, address, nbytes, 0, 0, 0);
        if (n == -EINTR) continue;
        if (n <= 0) return n ? n : -ENODATA;
        address += (uint64_t)n;
        nbytes -= (uint64_t)n;
    }
    return 0;
}

static BLOB _Bool sound(const struct blob_record *record) {
    uint64_t crc = crc_half(UINT32_MAX, record->kind);
    crc = crc_word(crc_word(crc, record->address), record->length);
    if (record->kind == BLOB_RECORD_PAGES) {
        const uint64_t *word = (const uint64_t *)record->address;
        for (uint64_t n = record->length / 8; n; n--) crc = crc_word(crc, *word++);
    }
    return (uint32_t)~crc == record->crc;
}

/* Pages go only below the limit, and never over the blob that reads them. */
PART _Bool may_be_written(const struct blob_record *r, const uint64_t *arg) {
    if (r->length == 0 || r->length > BLOB_RECORD_MAX || (r->address | r->length) % BLOB_PAGE) return 0;
    if (r->address >= arg[3] || r->length > arg[3] - r->address) return 0;
    return r->address + r->length <= arg[1] || r->address >= arg[2];
}

static BLOB int64_t read_pages(const uint64_t *arg) {
    struct blob_record record;
    uint64_t total = 0;
    for (;;) {
        int64_t failed = read_exactly(arg[0], (uint64_t)&record, sizeof record);
        if (failed) return failed;
        if (record.kind == BLOB_RECORD_END) return sound(&record) && record.address == total ? 0 : -EILSEQ;
        if (record.kind != BLOB_RECORD_PAGES || !may_be_written(&record, arg)) return -EILSEQ;
        failed = read_exactly(arg[0], record.address, record.length);
        if (failed) return failed;
        if (!sound(&record)) return -EILSEQ;
        total += record.length;
    }
}

static BLOB __attribute__((noreturn)) void work(struct blob_op *op, struct blob_head *head);

/* The new thread has the registers of its maker and an empty stack of its own: it goes straight to work and never returns. */
static BLOB int64_t start_thread(uint64_t clone_args, uint64_t ops, struct blob_head *head) {
    long result;
    __asm__ volatile(
        "mov %2, %%r12\n\tmov %3, %%r13\n\t"
        "syscall\n\t"
        "test %%rax, %%rax\n\tjnz 1f\n\t"
        "xor %%ebp, %%ebp\n\tmov %%r12, %%rdi\n\tmov %%r13, %%rsi\n\tcall *%4\n\t"
        "1:"
        : "=a"(result) : "a"((long)SYS_clone3), "r"(ops), "r"(head), "b"(work), "D"(clone_args), "S"(88UL)
        : "rcx", "r11", "r12", "r13", "memory");
    return result;
}

PART int64_t patch_tid(const uint64_t *arg) {
    volatile int32_t *place = (volatile int32_t *)arg[0];
    if (*place == (int32_t)arg[1]) *place = (int32_t)call6(SYS_gettid, 0, 0, 0, 0, 0, 0);
    return 0;
}

PART int64_t wait_until(uint32_t *word, uint32_t want) {
    uint32_t now;
    while ((now = __atomic_load_n(word, __ATOMIC_ACQUIRE)) != want) call6(SYS_futex, (uint64_t)word, FUTEX_WAIT, now, 0, 0, 0);
    return 0;
}

PART int64_t change(uint32_t *word) {
    __atomic_add_fetch(word, 1, __ATOMIC_ACQ_REL);
    call6(SYS_futex, (uint64_t)word, FUTEX_WAKE, INT32_MAX, 0, 0, 0);
    return 0;
}

PART int64_t enter_program(const uint64_t *arg) {
    __asm__ volatile("mov %0, %%rsp\n\tmov $15, %%eax\n\tsyscall" : : "r"(arg[0]) : "memory");
    __builtin_unreachable();
}

PART int64_t queue_to_self(const uint64_t *arg) {
    uint64_t pid = (uint64_t)call6(SYS_getpid, 0, 0, 0, 0, 0, 0), tid = (uint64_t)call6(SYS_gettid, 0, 0, 0, 0, 0, 0);
    return call6(SYS_rt_tgsigqueueinfo, pid, tid, arg[0], arg[1], 0, 0);
}

/* Compilers make a switch, or ifs that amount to one, into a table of addresses outside the section: hide what is compared. */
PART _Bool is(uint32_t what, uint32_t which) {
    __asm__("" : "+r"(what));
    return what == which;
}

static BLOB int64_t perform(const struct blob_op *op, struct blob_head *head) {
    const uint64_t *arg = op->arg;
    uint32_t what = (uint32_t)op->what;
    if (what < BLOB_PAGES) return call6((long)what, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
    if (is(what, BLOB_PAGES)) return read_pages(arg);
    if (is(what, BLOB_THREAD)) return start_thread(arg[0], arg[1], head);
    if (is(what, BLOB_PATCH_TID)) return patch_tid(arg);
    if (is(what, BLOB_ARRIVE)) return change(&head->arrived) + wait_until(&head->go, 1);
    if (is(what, BLOB_AWAIT)) return wait_until(&head->arrived, (uint32_t)arg[0]);
    if (is(what, BLOB_RELEASE)) return change(&head->go);
    if (is(what, BLOB_QUEUE)) return queue_to_self(arg);
    if (is(what, BLOB_SIGRETURN)) return enter_program(arg);
    return -ENOSYS;
}

static BLOB __attribute__((noreturn)) void work(struct blob_op *op, struct blob_head *head) {
    for (;; op++) {
        op->result = perform(op, head);
        if (op->result >= 0 || op->result < -4095 || op->what & BLOB_MAY_FAIL) continue;
        struct blob_failure failure = {op->what, op->arg[0], op->result};
        call6(SYS_write, (uint64_t)head->status_fd, (uint64_t)&failure, sizeof failure, 0, 0, 0);
        for (;;) call6(SYS_exit_group, 127, 0, 0, 0, 0, 0);
    }
}

_Bool blob_code(const void **code, size_t *nbytes, size_t *entry) {
    *code = __start_drvs_blob;
    *nbytes = (size_t)(__stop_drvs_blob - __start_drvs_blob);
    *entry = (size_t)((const char *)work - __start_drvs_blob);
    return 1;
}

#else

_Bool blob_code(const void **code, size_t *nbytes, size_t *entry) {
    *code = NULL;
    *nbytes = *entry = 0;
    return 0;
}

#endif
