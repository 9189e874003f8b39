/* mailbox.h: where a process and its dumper meet: a fixed struct in the process, read and written through /proc/PID/mem.
 *
 * A native thread named "drvs-hooks" sleeps in rt_sigtimedwait with `info` as the place for the answer. So whoever may trace the
 * process finds the mailbox without a descriptor: by the thread's name, and the address in /proc/PID/task/TID/syscall.
 *
 *   dumper sends `signal` to that thread, with a ticket of its choice     IDLE, FAILED -> ASKED
 *   the main thread comes to Python code and runs its hooks               ASKED -> HOOKS
 *   it waits on the futex `verdict`, or says what went wrong              HOOKS -> READY or FAILED
 *   dumper or restorer writes a verdict; the hooks after it run           READY -> AFTER -> IDLE
 *
 * Who waits in READY looks every 20 ms whether its dumper still lives, and goes on by itself if not. Nothing here is Python's.
 */
#ifndef DRVS_IMAGE_MAILBOX_H
#define DRVS_IMAGE_MAILBOX_H
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#define MAILBOX_MAGIC "drvs mailbox 1"
#define MAILBOX_THREAD "drvs-hooks"
#define MAILBOX_PROBLEM 256

enum mailbox_state { MAILBOX_IDLE, MAILBOX_ASKED, MAILBOX_HOOKS, MAILBOX_READY, MAILBOX_AFTER, MAILBOX_FAILED };
enum mailbox_verdict { MAILBOX_NONE, MAILBOX_GOES_ON, MAILBOX_RESTORED, MAILBOX_ABANDONED, MAILBOX_REFUSED };
enum mailbox_flag { MAILBOX_AT_READY = 1 }; /* the program waits in image.ready() to be dumped */

/* Only 8-byte words at 8-byte places are written from outside. src/drvs/procspace/image/mailbox.py knows this layout too. */
struct mailbox {
    char magic[16];
    uint32_t state;
    uint32_t ticket;
    uint32_t verdict; /* futex */
    uint32_t verdict_high;
    int32_t dumper;
    int32_t signal;
    uint32_t flags;
    uint32_t rounds; /* futex: how many dumps and restores are over */
    uint64_t bytes_written;
    uint64_t rank, size;
    uint64_t payload, payload_bytes;
    uint64_t cancelled; /* the ticket of a request whose dumper gave up, perhaps before it was seen here */
    char problem[MAILBOX_PROBLEM];
    uint64_t set;
    siginfo_t info;
};

extern struct mailbox mailbox;

/* Start and stop the thread. `nudge` is called in it while a request waits for the main thread, again and again. */
int mailbox_start(int signal, void (*nudge)(bool first));
void mailbox_stop(void);
/* In a forked child, whose thread did not come along: nothing is under way here. */
void mailbox_reset(void);

/* The main thread takes a request (false: there is none, or its dumper gave up); or a thread begins a round of its own. */
bool mailbox_take(void);
bool mailbox_claim(void);
/* The hooks have run: wait for the verdict. Keeps whatever lock the caller holds. */
enum mailbox_verdict mailbox_wait(void);
void mailbox_fail(const char *problem, uint32_t nbytes);
/* The round is over. */
void mailbox_end(void);
/* Sleep until `rounds` is not what it was, or a signal comes. */
void mailbox_sleep(uint32_t rounds);

#endif
