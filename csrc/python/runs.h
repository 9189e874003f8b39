/* runs.h: records for one node, one after the other in one buffer, as objects that can be sent as they are. */
#ifndef DRVS_RUNS_H
#define DRVS_RUNS_H

#include "binding.h"

#include "../core/command.h"

struct run_buffer { PyObject *bytes; size_t size; }; /* a bytearray, kept from call to call; NULL: none yet */

/* What is being taken: `list` gets (node, records, count) for each run. */
struct run {
    struct run_buffer *buffer;
    PyObject *list;
    size_t used, total, most;         /* bytes of this run, of all, and after which no more are taken */
    Py_ssize_t count, taken, limit;   /* records of this run, of all, and at most */
    int32_t node;
};

void run_drop(struct run_buffer *buffer);
/* Where the next record goes: there is space for its header and `room` bytes. NULL: an exception. */
uint8_t *run_end(const struct run *run, size_t room);
/* The payload stands behind `at`, where run_end said. False: an exception. */
bool run_add(struct run *run, const struct k_command *c, uint8_t *at);
/* No more are added. False: an exception. */
bool run_finish(struct run *run);

#endif
