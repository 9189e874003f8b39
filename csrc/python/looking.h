/* looking.h: short waits of a proxy: a look for a moment, where a sleep would cost more than what is waited for; and a sleep for a moment. */
#ifndef DRVS_LOOKING_H
#define DRVS_LOOKING_H

#include <stdbool.h>
#include <stdint.h>

enum looked { LOOKED_IN_VAIN, LOOKED_READY, LOOKED_READABLE };

/* Look until CLOCK_MONOTONIC is `until_ns`: ready(context) says yes, or there is something to read from `fd`. In vain at once if what
 * came last through `fd` was handled on this CPU: then it is needed for what is to come, or it is not known (SO_INCOMING_CPU). */
enum looked look_on(int fd, uint64_t until_ns, bool (*ready)(const void *context), const void *context);

/* Sleep until there is something to read from `fd`, for at most `ns`; a signal ends it, too. */
void doze_on(int fd, uint64_t ns);

#endif
