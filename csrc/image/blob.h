/* blob.h: the piece of code that runs inside another program: a table of system calls, and who works through it.
 *
 * A dump injects it to ask a process what only the process itself can say; a restore becomes the restored process by it.
 * It is position independent, uses no library, no data outside its arguments, and no floating point or vector register.
 */
#ifndef DRVS_IMAGE_BLOB_H
#define DRVS_IMAGE_BLOB_H
#include <stddef.h>
#include <stdint.h>

/* One line of the table. `what` is a system call's number or one of BLOB_*, with BLOB_MAY_FAIL if its error is an answer. */
struct blob_op {
    uint64_t what;
    uint64_t arg[6];
    int64_t result;
};

#define BLOB_MAY_FAIL (UINT64_C(1) << 32)
#define BLOB_PAGES 0x10000u     /* fd, area, area end, highest address, bytes expected: read page records to their places */
#define BLOB_THREAD 0x10001u    /* clone_args, ops: start a thread that works through a table of its own */
#define BLOB_PATCH_TID 0x10002u /* address, old tid: the C library keeps its thread's id there */
#define BLOB_ARRIVE 0x10003u    /* a thread is made: tell, and wait until all are let go */
#define BLOB_AWAIT 0x10004u     /* n: wait until n threads have arrived */
#define BLOB_RELEASE 0x10005u   /* let them go */
#define BLOB_SIGRETURN 0x10006u /* frame + 8: enter the program; the table's last line */
#define BLOB_QUEUE 0x10007u     /* signal, siginfo: make it pending for the calling thread */
#define BLOB_STORE 0x10008u     /* address, value: 8 bytes */
#define BLOB_STORE_RANK 0x10009u /* address: the rank of this copy, 8 bytes */
#define BLOB_STORE_SIZE 0x1000au /* address: how many copies there are, 8 bytes */
#define BLOB_DIGITS 0x1000bu    /* start, end, line: write the rank where the line BPROC_RANK=XXXXXXX stands */
#define BLOB_SERVE 0x1000cu     /* control, maker's pidfd, first descriptor: wait for orders; each copy goes on with the next line */
#define BLOB_RECEIVE 0x1000du   /* socket, first, n: take n descriptors out of messages, and number them from `first` on */
#define BLOB_STATUS 0x1000eu    /* fd, number: move the status descriptor there */
#define BLOB_SYSTEM 0x1000fu    /* distance from the vDSO, bytes, target: move one of the kernel's own mappings */
#define BLOB_ANSWER 0x10010u    /* tell the maker that all is well */
#define BLOB_BECOME 0x10011u    /* pid: go on in a sibling with this pid */

/* The first bytes of the memory that the blob works in. A later dump knows by the magic what it may remove; a dump's own area
 * ends this at 64 bytes. */
#define BLOB_MAGIC "drvs image area"
struct blob_head {
    char magic[16];
    uint64_t area_bytes;
    int32_t status_fd;  /* answers go there, as struct blob_answer */
    uint32_t arrived;   /* futex: threads that wait for the start */
    uint32_t go;        /* futex: 1 when all may enter the program */
    uint32_t unused;
    uint64_t serial, rank, size; /* of the order that a copy was made by */
    uint64_t base, code, code_bytes; /* its address; where in it the code is, which ends the first part of its file */
    uint64_t data;                   /* where in it the rest of the file belongs; between are stacks, and behind */
    uint64_t entry, ops, stack;      /* addresses to begin with */
    uint64_t vdso;      /* where the kernel put it */
};

/* What the process tells its maker: a failed line of its table, a copy's pid (what is BLOB_SERVE), or that all is well (0). */
struct blob_answer {
    uint64_t serial;
    int64_t pid;
    uint64_t what;
    uint64_t first_argument;
    int64_t result;
};

/* What the maker asks a template for. Descriptors come along, in as many messages as it takes: all but the last say `more`. */
struct blob_order {
    uint64_t serial, rank, size;
    int32_t pid; /* wanted, 0 for any */
    uint32_t more;
};

/* A program of nothing but the blob finds its socket and its area (a file) there. */
#define BLOB_CONTROL_FD 3
#define BLOB_AREA_FD 4

/* The stream's records: see src/drvs/procspace/image/format.py, which explains them. */
struct blob_record {
    uint32_t kind;
    uint32_t crc;  /* CRC-32C of kind, address, length and the payload */
    uint64_t address;
    uint64_t length;
};
#define BLOB_RECORD_PAGES 3u
#define BLOB_RECORD_END 4u
#define BLOB_RECORD_MAX (UINT64_C(1) << 20)
#define BLOB_PAGE UINT64_C(4096)

struct blob_places {
    const void *code;
    size_t nbytes;
    size_t entry; /* entered as entry(ops, head) */
    size_t begin; /* entered as a program of its own */
};

/* Where the code is, for copying it; false: no blob for this machine. */
_Bool blob_code(struct blob_places *places);

#endif
