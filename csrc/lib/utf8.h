/* utf8.h: the characters that JSON is made of. */
#ifndef M3IPC_UTF8_H
#define M3IPC_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at `at`, of which `left` bytes are there; 0: it is not UTF-8 (overlong, a surrogate, cut short). */
static inline size_t utf8_length(const char *at, size_t left) {
    static const uint32_t LEAST[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t lead = (uint8_t)*at;
    if (lead < 0x80) return 1;
    size_t n = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc0 || lead > 0xf4 || left < n) return 0;
    uint32_t c = lead & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if (((uint8_t)at[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | ((uint8_t)at[i] & 0x3f);
    }
    return c < LEAST[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

/* Write a character; bytes written, at most 4. */
static inline size_t utf8_encode(uint32_t c, char into[4]) {
    if (c < 0x80) return into[0] = (char)c, 1;
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6) into[i] = (char)(0x80 | (c & 0x3f));
    into[0] = (char)((0xf00u >> n & 0xf0u) | c);
    return n;
}

#endif
