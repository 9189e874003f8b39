/* paths.h: where the node is (the rules of src/drvs/base/paths.py). */
#ifndef M3IPC_PATHS_H
#define M3IPC_PATHS_H

#include <stdbool.h>

enum { PATH_ROOM = 256 };

/* The path of the socket of the node that the environment chooses now. False: DRVS_NODE is no node id. */
bool path_of_socket(char path[PATH_ROOM]);

#endif
