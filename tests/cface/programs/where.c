/* where.c: prints the path of the socket that the library would connect to. */
#include <stdio.h>

#include "../../../csrc/lib/paths.h"

int main(void) {
    char path[PATH_ROOM];
    puts(path_of_socket(path) ? path : "no node");
    return 0;
}
