/* memory.h: whether a program's pointer can be used: a bad one gives a code, not a crash.
 *
 * Only the kernel of Linux knows, and asking it costs more than a whole call. So each thread remembers the pages of its last
 * messages that were good; a page that the program unmaps afterwards is found out the hard way, by itself alone: messages
 * are copied before and after a transition, never with a VM's lock held.
 */
#ifndef M3IPC_MEMORY_H
#define M3IPC_MEMORY_H

#include "lib.h"

enum { PAGE_BITS = 12 }; /* the smallest page there is; on larger ones several entries stand for one */

/* These bytes can be read; written. Asks the kernel. */
bool memory_readable(const void *at, size_t bytes);
bool memory_writable(void *at, size_t bytes);

/* Ask, and remember the pages if they are good. */
bool memory_learn(const message *m, bool written);

/* Memcheck cannot see what another process writes into shared memory, and takes a message that came from there for whatever this
 * process last wrote to the place. Under it, what was received is declared written; elsewhere this is one test of a flag. */
extern bool memory_is_tracked __attribute__((visibility("hidden")));
void memory_was_written(void *at, size_t bytes);

static inline bool page_is_known(const uintptr_t *pages, uintptr_t page) {
    return pages[page % KNOWN_PAGES] == page + 1;
}

/* A message that is read, or `written` (and maybe read as well). */
static inline bool message_usable(const message *m, bool written) {
    const uintptr_t *pages = written ? this_thread.writable : this_thread.readable;
    uintptr_t at = (uintptr_t)m, first = at >> PAGE_BITS, last = (at + sizeof *m - 1) >> PAGE_BITS;
    if (at % _Alignof(message)) return false;
    if (page_is_known(pages, first) && (first == last || page_is_known(pages, last))) return true;
    return memory_learn(m, written);
}

#endif
