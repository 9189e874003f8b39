/* json_read.c: checking a JSON object, and taking values out of it. */
#include "json.h"

#include <string.h>

#include "utf8.h"

enum { DEPTH_MAX = 16 };

/* ---- the grammar: each skips one thing, or says that it is not there ---------------------------------------------------- */

static bool skip_value(struct json *t, int depth);

static void skip_blanks(struct json *t) {
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\t' || *t->at == '\n' || *t->at == '\r')) t->at++;
}

static bool skip_one(struct json *t, char c) {
    return t->at < t->end && *t->at == c && (t->at++, true);
}

static bool skip_word(struct json *t, const char *word) {
    size_t n = strlen(word);
    if ((size_t)(t->end - t->at) < n || memcmp(t->at, word, n) != 0) return false;
    t->at += n;
    return true;
}

static bool skip_digits(struct json *t) {
    const char *from = t->at;
    while (t->at < t->end && *t->at >= '0' && *t->at <= '9') t->at++;
    return t->at > from;
}

static bool skip_number(struct json *t) {
    skip_one(t, '-');
    if (!skip_one(t, '0') && !skip_digits(t)) return false;
    if (skip_one(t, '.') && !skip_digits(t)) return false;
    if (!skip_one(t, 'e') && !skip_one(t, 'E')) return true;
    if (!skip_one(t, '+')) skip_one(t, '-');
    return skip_digits(t);
}

static int hex_digit(char c) {
    const char *digits = "0123456789abcdef", *found = c ? strchr(digits, c | ('A' <= c && c <= 'F' ? 0x20 : 0)) : NULL;
    return found ? (int)(found - digits) : -1;
}

/* Four hexadecimal digits: their value, or -1. */
static int32_t skip_hex(struct json *t) {
    int32_t value = 0;
    for (int i = 0; i < 4; i++, t->at++) {
        int digit = t->at < t->end ? hex_digit(*t->at) : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* One character of a string, decoded; -1: there is none. A surrogate must come with its other half. */
static int32_t skip_character(struct json *t) {
    static const char ESCAPES[] = "\"\\/bfnrt", MEANT[] = "\"\\/\b\f\n\r\t";
    if (t->at >= t->end || (uint8_t)*t->at < 0x20) return -1;
    if (!skip_one(t, '\\')) {
        size_t n = utf8_length(t->at, (size_t)(t->end - t->at));
        int32_t c = n == 1 ? (uint8_t)*t->at : (uint8_t)*t->at & (0x7f >> n);
        for (size_t i = 1; i < n; i++) c = c << 6 | ((uint8_t)t->at[i] & 0x3f);
        t->at += n;
        return n ? c : -1;
    }
    const char *found = t->at < t->end && *t->at ? strchr(ESCAPES, *t->at) : NULL;
    if (found) return t->at++, MEANT[found - ESCAPES];
    int32_t high = skip_one(t, 'u') ? skip_hex(t) : -1;
    if (high < 0xd800 || high > 0xdfff) return high;
    int32_t low = high < 0xdc00 && skip_word(t, "\\u") ? skip_hex(t) : -1;
    return low >= 0xdc00 && low <= 0xdfff ? 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00) : -1;
}

static bool skip_string(struct json *t) {
    if (!skip_one(t, '"')) return false;
    while (!skip_one(t, '"'))
        if (skip_character(t) < 0) return false;
    return true;
}

/* One "name": value or one value, with blanks around it. */
static bool skip_item(struct json *t, bool named, int depth) {
    skip_blanks(t);
    if (named) {
        if (!skip_string(t)) return false;
        skip_blanks(t);
        if (!skip_one(t, ':')) return false;
    }
    return skip_value(t, depth);
}

static bool skip_items(struct json *t, char close, int depth) {
    skip_blanks(t);
    if (skip_one(t, close)) return true;
    do {
        if (!skip_item(t, close == '}', depth)) return false;
    } while (skip_one(t, ','));
    return skip_one(t, close);
}

static bool skip_value(struct json *t, int depth) {
    bool good;
    skip_blanks(t);
    if (t->at >= t->end || depth <= 0) return false;
    switch (*t->at) {
    case '{': t->at++, good = skip_items(t, '}', depth - 1); break;
    case '[': t->at++, good = skip_items(t, ']', depth - 1); break;
    case '"': good = skip_string(t); break;
    case 't': good = skip_word(t, "true"); break;
    case 'f': good = skip_word(t, "false"); break;
    case 'n': good = skip_word(t, "null"); break;
    default: good = skip_number(t);
    }
    skip_blanks(t);
    return good;
}

/* ---- taking out ------------------------------------------------------------------------------------------------------------ */

bool json_check(struct json *object, const char *text, size_t bytes) {
    struct json t = {text, text + bytes};
    skip_blanks(&t);
    *object = t;
    return t.at < t.end && *t.at == '{' && skip_value(&t, DEPTH_MAX) && t.at == t.end;
}

/* A string of the text equals a plain word. */
static bool string_is(struct json t, const char *word) {
    size_t n = strlen(word);
    return (size_t)(t.end - t.at) >= n + 2 && memcmp(t.at + 1, word, n) == 0 && t.at[n + 1] == '"';
}

bool json_member(struct json object, const char *name, struct json *value) {
    struct json t = object;
    if (!skip_one(&t, '{')) return false;
    do {
        skip_blanks(&t);
        bool this_one = string_is(t, name);
        if (!skip_string(&t)) return false; /* an empty object */
        skip_blanks(&t);
        skip_one(&t, ':');
        skip_blanks(&t);
        *value = t;
        if (!skip_value(&t, DEPTH_MAX)) return false;
        value->end = t.at;
        if (this_one) return true;
    } while (skip_one(&t, ','));
    return false;
}

bool json_word(struct json value, uint64_t *number) {
    uint64_t n = 0;
    const char *at = value.at;
    for (; at < value.end && *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(*at - '0'), &n)) return false;
    }
    bool whole = at == value.end || !strchr(".eE", *at);
    *number = n;
    return at > value.at && whole;
}

bool json_integer(struct json value, int64_t *number) {
    bool minus = skip_one(&value, '-');
    uint64_t n;
    if (!json_word(value, &n) || n > (uint64_t)INT64_MAX) return false;
    *number = minus ? -(int64_t)n : (int64_t)n;
    return true;
}

bool json_text(struct json value, char *into, size_t room) {
    size_t used = 0;
    if (!skip_one(&value, '"')) return false;
    while (!skip_one(&value, '"')) {
        char bytes[4];
        int32_t c = skip_character(&value);
        size_t n = c > 0 ? utf8_encode((uint32_t)c, bytes) : 0;
        if (!n || used + n >= room) return false;
        memcpy(into + used, bytes, n);
        used += n;
    }
    into[used] = 0;
    return room > 0;
}
