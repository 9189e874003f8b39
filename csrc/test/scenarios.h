/* scenarios.h: operations to be killed in, each with the processes that sleep around it. */
#ifndef DRVS_TEST_SCENARIOS_H
#define DRVS_TEST_SCENARIOS_H

#include "world.h"

enum {
    SLEEPERS = 4,
    FROM_ANY = 1000, /* as `peer` of a sleeper */
    ASLEEP = 99,     /* as the end of a sleeper: it has none */
    EITHER = 98,     /* one that depends on the state reached; as `commits`: any number */
    NO_ORDER = 97,   /* as `commits`: it changes words one by one, and whoever comes next does it all again */
};

struct sleeper {
    uint32_t slot, op, peer;
    int undone, done; /* how its call ends after the burying, if the operation had not happened, had happened */
};

struct scenario {
    const char *name;
    uint32_t victim;                /* slot that operates; a kernel slot for management */
    int (*operate)(struct world *); /* in the victim */
    int code;                       /* what it returns unless killed */
    uint32_t commits;               /* how many states after the first it goes through */
    struct sleeper sleepers[SLEEPERS]; /* real processes asleep in a futex, in this order; op 0 ends the list */
    void (*before)(struct world *); /* stepped before they sleep */
    void (*after)(struct world *);  /* stepped when they do */
    int (*redo)(struct world *);    /* what a successor at a kernel slot runs again, to K_OK */
};

extern const struct scenario scenarios[], far_scenarios[]; /* within a node, between nodes */
extern const uint32_t scenarios_n, far_scenarios_n;

#endif
