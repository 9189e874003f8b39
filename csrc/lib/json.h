/* json.h: as much JSON as the control protocol needs, strict in both directions.
 *
 * Written: one object, member by member, into room of the caller. Read: one object, checked from end to end before anything
 * is taken out of it (depth, grammar, UTF-8); members are then found by name.
 */
#ifndef M3IPC_JSON_H
#define M3IPC_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum json_trouble { JSON_FINE, JSON_NO_ROOM, JSON_NOT_UTF8 };

struct json_writer {
    char *text;
    size_t used, room;
    enum json_trouble trouble; /* the first one; nothing is written after it */
};

/* "{", members, "}". A name is a plain word. */
void json_begin(struct json_writer *w, char *room, size_t bytes);
void json_put_integer(struct json_writer *w, const char *name, int64_t value);
void json_put_word(struct json_writer *w, const char *name, uint64_t value);
void json_put_text(struct json_writer *w, const char *name, const char *text, size_t bytes);
void json_put_bool(struct json_writer *w, const char *name, bool value);
void json_put_null(struct json_writer *w, const char *name);
void json_end(struct json_writer *w);

struct json { const char *at, *end; }; /* a value within a text that was checked */

/* True if these bytes are one object and nothing else. */
bool json_check(struct json *object, const char *text, size_t bytes);
/* The value of a member; false if there is none of this name. */
bool json_member(struct json object, const char *name, struct json *value);
/* What a value is, if it is that: a number without fraction, a string that fits `room` with its NUL. */
bool json_integer(struct json value, int64_t *number);
bool json_word(struct json value, uint64_t *number);
bool json_text(struct json value, char *into, size_t room);

#endif
