/* json_check.c: says of each document on stdin (a length on a line, then the bytes) whether the client of noded accepts it, and
 * the integer and the text (in hexadecimal) that its members "n" and "s" are. */
#include <stdio.h>
#include <stdlib.h>

#include "../../../csrc/lib/json.h"

static void tell(struct json object) {
    struct json value;
    long long number = 0;
    int64_t n;
    char text[64] = "";
    if (json_member(object, "n", &value) && json_integer(value, &n)) number = n;
    if (json_member(object, "s", &value) && !json_text(value, text, sizeof text)) text[0] = 0;
    printf("1 %lld ", number);
    for (const char *c = text; *c; c++) printf("%02x", (unsigned char)*c);
    puts("");
}

int main(void) {
    size_t bytes;
    while (scanf("%zu", &bytes) == 1 && getchar() == '\n') {
        struct json object;
        char *document = malloc(bytes ? bytes : 1); /* exactly as long: a sanitizer sees a byte too far */
        if (fread(document, 1, bytes, stdin) != bytes) return 1;
        if (json_check(&object, document, bytes)) tell(object);
        else puts("0");
        free(document);
    }
    return 0;
}
