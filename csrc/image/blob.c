/* blob.c: the code of blob.h for x86-64. It is copied elsewhere as bytes, so whatever it calls stands in its own section. */
#define _GNU_SOURCE
#include "blob.h"

#if defined(__x86_64__)
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* What compilers add to functions (canaries, counters, sanitizers, vector registers) would not survive the copy. */
#if defined(__clang__)
#define ALONE
#else
#define ALONE no_stack_protector, no_profile_instrument_function, no_sanitize("address"), no_sanitize("undefined"),
#endif
#define BLOB __attribute__((section("drvs_blob"), used, noinline, ALONE target("general-regs-only")))
#define PART static inline __attribute__((always_inline, ALONE target("general-regs-only")))

#define CRC_PART PART
#include "crc.h"

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
        for (uint64_t n = record->length / BLOB_PAGE; n; n--, word += CRC_PAGE_WORDS) crc = crc_page(crc, word);
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
        /* One call for all the page faults of the read; kernels before 5.14 do not know it, and take them one by one. */
        call6(SYS_madvise, record.address, record.length, 23 /* MADV_POPULATE_WRITE */, 0, 0, 0);
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

PART void leave(int status) {
    for (;;) call6(SYS_exit_group, (uint64_t)status, 0, 0, 0, 0, 0);
}

/* ---- descriptors that come as messages ------------------------------------------------------------------------------- */

enum { FDS_AT_ONCE = 253, FD_ROOM = CMSG_SPACE(FDS_AT_ONCE * sizeof(int)) };

struct letter {
    struct blob_order order;
    struct iovec part;
    struct msghdr message;
    char room[FD_ROOM] __attribute__((aligned(8)));
};

/* Take one message; its descriptors get the numbers from `first` on. Returns how many came, -ENODATA when the maker is gone. */
static BLOB int64_t open_letter(struct letter *letter, uint64_t socket, uint64_t first) {
    letter->part.iov_base = &letter->order;
    letter->part.iov_len = sizeof letter->order;
    letter->message.msg_name = (void *)0;
    letter->message.msg_namelen = 0;
    letter->message.msg_iov = &letter->part;
    letter->message.msg_iovlen = 1;
    letter->message.msg_control = letter->room;
    letter->message.msg_controllen = FD_ROOM;
    letter->message.msg_flags = 0;
    long n = call6(SYS_recvmsg, socket, (uint64_t)&letter->message, MSG_CMSG_CLOEXEC, 0, 0, 0);
    if (n != sizeof letter->order) return n < 0 ? n : n ? -EPROTO : -ENODATA;
    if (letter->message.msg_flags & MSG_CTRUNC) return -EMFILE;
    const struct cmsghdr *head = (const struct cmsghdr *)(const void *)letter->room;
    if (letter->message.msg_controllen < sizeof *head) return 0;
    uint64_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    const int *fd = (const int *)(const void *)(letter->room + CMSG_LEN(0));
    for (uint64_t i = 0; i < count; i++) {
        long moved = call6(SYS_dup3, (uint64_t)fd[i], first + i, 02000000 /* O_CLOEXEC */, 0, 0, 0);
        if (moved < 0) return moved;
        call6(SYS_close, (uint64_t)fd[i], 0, 0, 0, 0, 0);
    }
    return (int64_t)count;
}

static BLOB int64_t receive(uint64_t socket, uint64_t first, uint64_t want) {
    struct letter letter;
    for (uint64_t have = 0; have < want;) {
        int64_t n = open_letter(&letter, socket, first + have);
        if (n == -EINTR) continue;
        if (n <= 0) return n ? n : -EPROTO;
        have += (uint64_t)n;
    }
    return 0;
}

PART int64_t move_status(const uint64_t *arg, struct blob_head *head) {
    long moved = call6(SYS_dup3, arg[0], arg[1], 02000000, 0, 0, 0);
    if (moved < 0) return moved;
    head->status_fd = (int32_t)arg[1];
    return call6(SYS_close, arg[0], 0, 0, 0, 0, 0);
}

/* A socket, so that a reader that is gone is an error and no signal. */
static BLOB int64_t answer(const struct blob_head *head, int64_t pid, uint64_t what, uint64_t first_argument, int64_t result) {
    struct blob_answer said = {head->serial, pid, what, first_argument, result};
    long n = call6(SYS_sendto, (uint64_t)head->status_fd, (uint64_t)&said, sizeof said, MSG_NOSIGNAL, 0, 0);
    return n < 0 ? n : 0;
}

/* ---- copies ---------------------------------------------------------------------------------------------------------- */

/* A child of our parent. The exit signal is ours. */
static BLOB int64_t clone_sibling(int32_t pid) {
    uint64_t args[11];
    volatile uint64_t *word = args; /* not memset, which is elsewhere */
    for (int i = 0; i < 11; i++) word[i] = 0;
    word[0] = 0x8000; /* CLONE_PARENT */
    if (pid) {
        word[8] = (uint64_t)&pid;
        word[9] = 1;
    }
    return call6(SYS_clone3, (uint64_t)args, sizeof args, 0, 0, 0, 0);
}

/* Take a whole order. Ends the template when its maker has closed the socket or is dead. */
static BLOB int64_t take_order(const uint64_t *arg, struct letter *letter, uint64_t *have) {
    *have = 0;
    do {
        struct pollfd fd[2] = {{(int)arg[0], POLLIN, 0}, {(int)arg[1], POLLIN, 0}};
        if (call6(SYS_ppoll, (uint64_t)fd, 2, 0, 0, 0, 0) < 0) continue;
        if (fd[1].revents) leave(0);
        int64_t n = open_letter(letter, arg[0], arg[2] + *have);
        if (n == -ENODATA || n == -ECONNRESET) leave(0);
        if (n < 0) return n;
        *have += (uint64_t)n;
    } while (letter->order.more);
    return 0;
}

/* Wait for orders; whoever returns is a copy. */
static BLOB int64_t serve(const uint64_t *arg, struct blob_head *head) {
    struct letter letter;
    uint64_t have;
    for (;;) {
        letter.order.more = 0;
        int64_t made = take_order(arg, &letter, &have);
        head->serial = letter.order.serial;
        head->rank = letter.order.rank;
        head->size = letter.order.size;
        if (made == 0) made = clone_sibling(letter.order.pid);
        if (made == 0) return 0;
        if (have) call6(SYS_close_range, arg[2], arg[2] + have - 1, 0, 0, 0, 0);
        if (answer(head, made, BLOB_SERVE, (uint64_t)letter.order.pid, made) < 0) leave(0);
    }
}

PART int64_t become(const uint64_t *arg) {
    int64_t made = clone_sibling((int32_t)arg[0]);
    if (made > 0) leave(0);
    return made;
}

PART int64_t store(uint64_t address, uint64_t value) {
    *(volatile uint64_t *)address = value;
    return 0;
}

enum { NAME = 11, DIGITS = 7 };

static BLOB _Bool is_rank_line(const volatile char *at, const volatile char *start, const volatile char *line) {
    if (at > start && at[-1]) return 0;
    for (int i = 0; i <= NAME + DIGITS; i++)
        if (at[i] != line[i]) return 0;
    return 1;
}

/* The environment is a row of strings; the digits of the one that is meant are replaced in place. */
static BLOB int64_t write_digits(const uint64_t *arg, uint64_t rank) {
    volatile char *start = (volatile char *)arg[0], *end = (volatile char *)arg[1];
    for (volatile char *at = start; at + NAME + DIGITS + 1 <= end; at++) {
        if (!is_rank_line(at, start, (const volatile char *)arg[2])) continue;
        for (int i = NAME + DIGITS - 1; i >= NAME; i--, rank /= 10) at[i] = (char)('0' + rank % 10);
        return 0;
    }
    return 0;
}

PART int64_t move_system(const uint64_t *arg, const struct blob_head *head) {
    return call6(SYS_mremap, head->vdso + arg[0], arg[1], arg[1], MREMAP_MAYMOVE | MREMAP_FIXED, arg[2], 0);
}

/* ---- the table ------------------------------------------------------------------------------------------------------- */

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
    if (is(what, BLOB_STORE)) return store(arg[0], arg[1]);
    if (is(what, BLOB_STORE_RANK)) return store(arg[0], head->rank);
    if (is(what, BLOB_STORE_SIZE)) return store(arg[0], head->size);
    if (is(what, BLOB_DIGITS)) return write_digits(arg, head->rank);
    if (is(what, BLOB_SERVE)) return serve(arg, head);
    if (is(what, BLOB_RECEIVE)) return receive(arg[0], arg[1], arg[2]);
    if (is(what, BLOB_STATUS)) return move_status(arg, head);
    if (is(what, BLOB_SYSTEM)) return move_system(arg, head);
    if (is(what, BLOB_ANSWER)) return answer(head, call6(SYS_getpid, 0, 0, 0, 0, 0, 0), 0, 0, 0);
    if (is(what, BLOB_BECOME)) return become(arg);
    if (is(what, BLOB_SIGRETURN)) return enter_program(arg);
    return -ENOSYS;
}

static BLOB __attribute__((noreturn)) void work(struct blob_op *op, struct blob_head *head) {
    for (;; op++) {
        int64_t result = perform(op, head);
        if (op->result != result) op->result = result; /* an unchanged page stays shared with the other copies */
        if (result >= 0 || result < -4095 || op->what & BLOB_MAY_FAIL) continue;
        answer(head, call6(SYS_getpid, 0, 0, 0, 0, 0, 0), op->what, op->arg[0], result);
        leave(127);
    }
}

/* ---- a program of nothing but this ----------------------------------------------------------------------------------- */

PART uint64_t auxiliary(const uint64_t *stack, uint64_t what) {
    const uint64_t *at = stack + 1 + stack[0] + 1;
    while (*at) at++;
    for (at++; *at; at += 2)
        if (*at == what) return at[1];
    return 0;
}

/* Read what the area's file has at `from` to an address, at most `nbytes`. */
static BLOB int64_t read_part(uint64_t address, uint64_t nbytes, uint64_t from) {
    while (nbytes) {
        long n = call6(SYS_pread64, BLOB_AREA_FD, address, nbytes, from, 0, 0);
        if (n <= 0) return n;
        address += (uint64_t)n;
        from += (uint64_t)n;
        nbytes -= (uint64_t)n;
    }
    return 0;
}

static BLOB int64_t read_area(const struct blob_head *head) {
    uint64_t first = head->code + head->code_bytes;
    long n = call6(SYS_mmap, head->base, head->area_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
                   ~UINT64_C(0), 0);
    if (n < 0 || (uint64_t)n != head->base) return n < 0 ? n : -EEXIST;
    int64_t failed = read_part(head->base, first, 0);
    if (!failed) failed = read_part(head->base + head->data, head->area_bytes - head->data, first);
    return failed ? failed : call6(SYS_mprotect, head->base + head->code, head->code_bytes, PROT_READ | PROT_EXEC, 0, 0, 0);
}

static BLOB __attribute__((noreturn)) void begin_on(const uint64_t *stack) {
    struct blob_head head;
    head.status_fd = BLOB_CONTROL_FD;
    head.serial = 0;
    int64_t result = call6(SYS_pread64, BLOB_AREA_FD, (uint64_t)&head, sizeof head, 0, 0, 0);
    if (result == sizeof head) result = read_area(&head);
    if (result < 0) {
        answer(&head, 0, SYS_mmap, head.base, result);
        leave(127);
    }
    struct blob_head *area = (struct blob_head *)head.base;
    area->vdso = auxiliary(stack, 33 /* AT_SYSINFO_EHDR */);
    __asm__ volatile("mov %0, %%rsp\n\tpush $0\n\txor %%ebp, %%ebp\n\tjmp *%1"
                     : : "r"(head.stack), "r"(head.entry), "D"(head.ops), "S"(area) : "memory");
    __builtin_unreachable();
}

static BLOB __attribute__((naked, noreturn)) void begin(void) {
    __asm__ volatile("mov %%rsp, %%rdi\n\tand $-16, %%rsp\n\tcall %P0" : : "i"(begin_on));
}

_Bool blob_code(struct blob_places *places) {
    places->code = __start_drvs_blob;
    places->nbytes = (size_t)(__stop_drvs_blob - __start_drvs_blob);
    places->entry = (size_t)((const char *)work - __start_drvs_blob);
    places->begin = (size_t)((const char *)begin - __start_drvs_blob);
    return 1;
}

#else

_Bool blob_code(struct blob_places *places) {
    places->code = (void *)0;
    places->nbytes = places->entry = places->begin = 0;
    return 0;
}

#endif
