/* paths.c: DRVS_RUNTIME_DIR, else this user's own node if it has a socket, else the system's; DRVS_NODE chooses which. */
#define _GNU_SOURCE
#include "paths.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SYSTEM_DIR "/run/drvs"
#define SOCKET "/noded.sock"

enum { NODE_MAX = 4095 };

static const char *environment(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

/* The number that DRVS_NODE has; -1: it is none. */
static int node_id(void) {
    const char *text = environment("DRVS_NODE");
    int node = 0;
    while (*text == ' ') text++;
    for (; *text >= '0' && *text <= '9' && node <= NODE_MAX; text++) node = node * 10 + (*text - '0');
    while (*text == ' ') text++;
    return *text || node > NODE_MAX ? -1 : node;
}

/* "-3" behind a directory for node 3, nothing for node 0. */
static void suffix_of(int node, char suffix[16]) {
    suffix[0] = 0;
    if (node) snprintf(suffix, 16, "-%d", node);
}

/* A path too long for the room is too long for a socket as well: what is left of it leads to none. */
static void own_socket(const char *suffix, char path[PATH_ROOM]) {
    const char *session = environment("XDG_RUNTIME_DIR");
    if (geteuid() == 0) snprintf(path, PATH_ROOM, SYSTEM_DIR "%s" SOCKET, suffix);
    else if (*session) snprintf(path, PATH_ROOM, "%s/drvs%s" SOCKET, session, suffix);
    else snprintf(path, PATH_ROOM, "/tmp/drvs-%u%s" SOCKET, (unsigned)geteuid(), suffix);
}

bool path_of_socket(char path[PATH_ROOM]) {
    const char *explicit_dir = environment("DRVS_RUNTIME_DIR");
    char suffix[16];
    if (*explicit_dir) {
        snprintf(path, PATH_ROOM, "%s" SOCKET, explicit_dir);
        return true;
    }
    int node = node_id();
    if (node < 0) return false;
    suffix_of(node, suffix);
    own_socket(suffix, path);
    if (access(path, F_OK) == 0) return true;
    char system[PATH_ROOM];
    snprintf(system, sizeof system, SYSTEM_DIR "%s" SOCKET, suffix);
    if (access(system, F_OK) == 0) memcpy(path, system, sizeof system);
    return true;
}
