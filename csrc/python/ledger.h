/* ledger.h: counts and times of what a proxy carries, in memory that listings read (drvs.daemon.ledger): four words of 64 bits for each node.
 * Each word has one writer, and no rule depends on it. */
#ifndef DRVS_LEDGER_H
#define DRVS_LEDGER_H

#include "binding.h"

enum ledger_column { LEDGER_SENT, LEDGER_RECEIVED, LEDGER_COLUMNS }; /* times first, then counts */

struct ledger { Py_buffer view; bool open; };

/* Use a writable buffer, or none (None). False: an exception. */
bool ledger_use(struct ledger *ledger, PyObject *buffer);
void ledger_drop(struct ledger *ledger);

static inline void ledger_note(const struct ledger *ledger, enum ledger_column column, uint32_t node, uint64_t now_ns) {
    size_t at = ((size_t)node * 2 + 1) * LEDGER_COLUMNS * sizeof(uint64_t); /* of the node's counts */
    if (!ledger->open || at + LEDGER_COLUMNS * sizeof(uint64_t) > (size_t)ledger->view.len) return;
    uint64_t *counts = (uint64_t *)((char *)ledger->view.buf + at);
    __atomic_store_n(counts + column, counts[column] + 1, __ATOMIC_RELAXED);
    __atomic_store_n(counts - LEDGER_COLUMNS + column, now_ns, __ATOMIC_RELAXED);
}

#endif
