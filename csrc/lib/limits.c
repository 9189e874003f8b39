/* limits.c: reading DRVS_LIMITS ("name=number,…") and DRVS_DISABLE ("name,…"). */
#define _GNU_SOURCE
#include "limits.h"

#include <stdlib.h>
#include <string.h>

static const struct { const char *name; int64_t usual; } TABLE[LIMITS] = {
    [LIMIT_SPIN_US] = {"spin_us", 20},
    [LIMIT_CALL_MS] = {"call_ms", 30000},
    [LIMIT_CONNECT_TRIES] = {"connect_tries", 40},
    [LIMIT_CONNECT_WAIT_MS] = {"connect_wait_ms", 25},
    [LIMIT_IDLE_CONNECTIONS] = {"idle_connections", 4},
};

static const char *next_word(const char *at, size_t *length) {
    at += strspn(at, ", \t");
    *length = strcspn(at, ",");
    while (*length && (at[*length - 1] == ' ' || at[*length - 1] == '\t')) --*length;
    return at;
}

/* The number behind "name=" in a word; -1: the word is about something else. */
static int64_t number_in(const char *word, size_t length, const char *name) {
    size_t n = strlen(name);
    if (length <= n + 1 || memcmp(word, name, n) != 0 || word[n] != '=') return -1;
    int64_t value = strtoll(word + n + 1, NULL, 10);
    return value >= 0 && value <= INT32_MAX ? value : -1;
}

int64_t limit_value(enum limit limit) {
    const char *at = getenv("DRVS_LIMITS");
    int64_t found = TABLE[limit].usual;
    size_t length;
    for (at = at ? at : ""; *(at = next_word(at, &length)); at += length) {
        int64_t value = number_in(at, length, TABLE[limit].name);
        if (value >= 0) found = value;
    }
    return found;
}

bool feature_disabled(const char *name) {
    const char *at = getenv("DRVS_DISABLE");
    size_t length;
    for (at = at ? at : ""; *(at = next_word(at, &length)); at += length)
        if (length == strlen(name) && memcmp(at, name, length) == 0) return true;
    return false;
}
