/* json_write.c: writing one JSON object. */
#include "json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "utf8.h"

static void put(struct json_writer *w, const char *bytes, size_t n) {
    if (w->trouble) return;
    if (n > w->room - w->used) {
        w->trouble = JSON_NO_ROOM;
        return;
    }
    memcpy(w->text + w->used, bytes, n);
    w->used += n;
}

static void put_name(struct json_writer *w, const char *name) {
    if (w->used > 1) put(w, ",", 1);
    put(w, "\"", 1);
    put(w, name, strlen(name));
    put(w, "\":", 2);
}

void json_begin(struct json_writer *w, char *room, size_t bytes) {
    *w = (struct json_writer){.text = room, .room = bytes};
    put(w, "{", 1);
}

void json_put_integer(struct json_writer *w, const char *name, int64_t value) {
    char digits[24];
    put_name(w, name);
    put(w, digits, (size_t)snprintf(digits, sizeof digits, "%" PRId64, value));
}

void json_put_word(struct json_writer *w, const char *name, uint64_t value) {
    char digits[24];
    put_name(w, name);
    put(w, digits, (size_t)snprintf(digits, sizeof digits, "%" PRIu64, value));
}

void json_put_bool(struct json_writer *w, const char *name, bool value) {
    put_name(w, name);
    put(w, value ? "true" : "false", value ? 4 : 5);
}

void json_put_null(struct json_writer *w, const char *name) {
    put_name(w, name);
    put(w, "null", 4);
}

static void put_character(struct json_writer *w, const char *at, size_t n) {
    char escape[8];
    if (*at == '"' || *at == '\\') put(w, "\\", 1);
    if ((unsigned char)*at < 0x20) put(w, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", (unsigned char)*at));
    else put(w, at, n);
}

void json_put_text(struct json_writer *w, const char *name, const char *text, size_t bytes) {
    put_name(w, name);
    put(w, "\"", 1);
    for (size_t i = 0, n; i < bytes; i += n) {
        n = utf8_length(text + i, bytes - i);
        if (!n) {
            if (!w->trouble) w->trouble = JSON_NOT_UTF8;
            return;
        }
        put_character(w, text + i, n);
    }
    put(w, "\"", 1);
}

void json_end(struct json_writer *w) {
    put(w, "}", 1);
}
