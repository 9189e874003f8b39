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

/* The first bytes of the memory that the blob works in. A later dump knows by the magic what it may remove. */
#define BLOB_MAGIC "drvs image area"
struct blob_head {
    char magic[16];
    uint64_t area_bytes;
    int32_t status_fd;  /* failures of a restore are written there, as struct blob_failure */
    uint32_t arrived;   /* futex: threads that wait for the start */
    uint32_t go;        /* futex: 1 when all may enter the program */
    uint32_t unused;
};

struct blob_failure {
    uint64_t what;
    uint64_t first_argument;
    int64_t result;
};

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

/* Where the code is, for copying it, and how far behind its start it is entered as entry(ops, head); false: no blob for this machine. */
_Bool blob_code(const void **code, size_t *nbytes, size_t *entry);

#endif
