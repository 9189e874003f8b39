/* smaps.c: read what /proc/PID/smaps says. Nothing is trusted to be there: a line that looks otherwise counts as nothing. */
#include "smaps.h"

#include <string.h>

struct line { const char *at, *end; };

static int next_line(const char **text, const char *end, struct line *line) {
    if (*text >= end) return 0;
    const char *stop = memchr(*text, '\n', (size_t)(end - *text));
    *line = (struct line){*text, stop ? stop : end};
    *text = stop ? stop + 1 : end;
    return 1;
}

static uint64_t number(struct line *line, unsigned base) {
    uint64_t value = 0;
    for (; line->at < line->end; line->at++) {
        unsigned digit = (unsigned)(unsigned char)*line->at;
        digit = digit >= 'a' ? digit - 'a' + 10 : digit - '0';
        if (digit >= base) break;
        value = value * base + digit;
    }
    return value;
}

static void skip(struct line *line, char what) {
    while (line->at < line->end && *line->at == what) line->at++;
}

static void skip_word(struct line *line) {
    while (line->at < line->end && *line->at != ' ') line->at++;
    skip(line, ' ');
}

/* start-end rwxp offset device inode     name */
static void take_head(struct line line, struct smaps_entry *entry) {
    memset(entry, 0, sizeof *entry);
    entry->start = number(&line, 16);
    skip(&line, '-');
    entry->end = number(&line, 16);
    skip(&line, ' ');
    if (line.end - line.at >= 4) {
        entry->protection = (line.at[0] == 'r') | (line.at[1] == 'w') << 1 | (line.at[2] == 'x') << 2;
        entry->shared = line.at[3] == 's';
    }
    skip_word(&line);
    entry->offset = number(&line, 16);
    skip(&line, ' ');
    skip_word(&line);
    entry->inode = number(&line, 10);
    skip(&line, ' ');
    entry->name = line.at;
    entry->name_bytes = (size_t)(line.end - line.at);
    entry->flags = "";
}

static int begins(struct line *line, const char *word) {
    size_t nbytes = strlen(word);
    if ((size_t)(line->end - line->at) < nbytes || memcmp(line->at, word, nbytes)) return 0;
    line->at += nbytes;
    skip(line, ' ');
    return 1;
}

static void take_field(struct line line, struct smaps_entry *entry) {
    if (begins(&line, "Anonymous:") || begins(&line, "Swap:")) {
        entry->own_kb += number(&line, 10);
    } else if (begins(&line, "VmFlags:")) {
        entry->flags = line.at;
        entry->flags_bytes = (size_t)(line.end - line.at);
    }
}

/* Fields begin with a capital, addresses are in small letters. */
static int is_field(struct line line) {
    return line.at < line.end && *line.at >= 'A' && *line.at <= 'Z';
}

int next_smaps(const char **text, const char *end, struct smaps_entry *entry) {
    struct line line;
    if (!next_line(text, end, &line) || is_field(line)) return 0;
    take_head(line, entry);
    for (const char *next = *text; next_line(&next, end, &line) && is_field(line); *text = next) take_field(line, entry);
    return entry->start < entry->end;
}
