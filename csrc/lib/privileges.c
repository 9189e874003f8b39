/* privileges.c: what an endpoint may do, and to whom (guide 4.1.14, 4.1.15).
 *
 * The control protocol writes maps in hexadecimal, as wide as the VM's system slots ask for. priv_usr shows the first NR_SYS_PROCS
 * bits of them: setting those leaves the bits beyond as they are.
 */
#include <stdio.h>
#include <string.h>

#include "memory.h"
#include "noded.h"

enum { MAP_DIGITS = 256, SHOWN_DIGITS = NR_SYS_PROCS / 4, DIGITS_PER_CHUNK = BITS_PER_CHUNK / 4, SECOND_NS = 1000000000 };

/* ---- maps ----------------------------------------------------------------------------------------------------------------- */

/* A map's digits without "0x", at least SHOWN_DIGITS of them. */
static void read_digits(const struct reply *reply, const char *name, char digits[MAP_DIGITS + 1]) {
    char text[MAP_DIGITS + 3];
    reply_text(reply, name, text, sizeof text);
    const char *from = strncmp(text, "0x", 2) == 0 ? text + 2 : text;
    size_t n = strlen(from), missing = 0;
    if (n > MAP_DIGITS) n = 0; /* no map that noded could have sent */
    if (n < SHOWN_DIGITS) missing = SHOWN_DIGITS - n;
    memset(digits, '0', missing);
    memcpy(digits + missing, from, n);
    digits[missing + n] = 0;
}

static void show_map(const char *digits, sys_map_t *map) {
    const char *last = digits + strlen(digits);
    for (int i = 0; i < NR_SYS_CHUNKS; i++) {
        unsigned chunk = 0;
        sscanf(last - (i + 1) * DIGITS_PER_CHUNK, "%4x", &chunk);
        map->chunk[i] = (unsigned short)chunk;
    }
}

static void put_map(struct json_writer *json, const char *name, char digits[MAP_DIGITS + 1], const sys_map_t *map) {
    char chunk[DIGITS_PER_CHUNK + 1], *last = digits + strlen(digits);
    for (int i = 0; i < NR_SYS_CHUNKS; i++) {
        snprintf(chunk, sizeof chunk, "%04x", map->chunk[i]);
        memcpy(last - (i + 1) * DIGITS_PER_CHUNK, chunk, DIGITS_PER_CHUNK);
    }
    json_put_text(json, name, digits, strlen(digits));
}

/* ---- alarms: ticks since boot there, nanoseconds here ------------------------------------------------------------------------ */

static uint64_t ns_of_ticks(unsigned long ticks) {
    if (ticks / MINIX_HZ > INT64_MAX / SECOND_NS) return UINT64_MAX; /* later than there is time: noded says RANGE */
    return ticks / MINIX_HZ * SECOND_NS + (ticks % MINIX_HZ * SECOND_NS + MINIX_HZ / 2) / MINIX_HZ;
}

static unsigned long ticks_of_ns(uint64_t ns) {
    return ns / SECOND_NS * MINIX_HZ + (ns % SECOND_NS * MINIX_HZ + SECOND_NS / 2) / SECOND_NS;
}

/* ---- get, set ------------------------------------------------------------------------------------------------------------------ */

static int ask_privileges(int vmid, int endpoint, struct reply *reply) {
    struct request q;
    request_begin(&q, "getpriv", REPEAT);
    json_put_integer(&q.json, "vmid", vmid);
    json_put_integer(&q.json, "endpoint", endpoint);
    return noded_ask(&q, reply);
}

static void fill_privileges(priv_usr_t *usr, const struct reply *reply) {
    char digits[MAP_DIGITS + 1];
    memset(usr, 0, sizeof *usr);
    usr->s_id = (sys_id_t)reply_integer(reply, "id");
    usr->s_warn = (int)reply_integer(reply, "warn");
    usr->s_level = (int)reply_integer(reply, "level");
    usr->s_trap_mask = (short)reply_word(reply, "traps");
    usr->s_call_mask = (long)reply_word(reply, "calls");
    usr->s_alarm_timer.tmr_exp_time = ticks_of_ns(reply_word(reply, "alarm_ns"));
    read_digits(reply, "ipc_from", digits);
    show_map(digits, &usr->s_ipc_from);
    read_digits(reply, "ipc_to", digits);
    show_map(digits, &usr->s_ipc_to);
}

long mnx_getpriv(int vmid, int proc_ep, priv_usr_t *u_priv) {
    struct reply reply;
    if (!memory_writable(u_priv, sizeof *u_priv)) return ended(EMOLINVAL);
    int code = ask_privileges(vmid, proc_ep, &reply);
    if (code == OK) fill_privileges(u_priv, &reply);
    reply_end(&reply);
    return ended(code);
}

/* s_trap_mask is a short: its sign stands for the bits that it has no room for. */
static void put_privileges(struct json_writer *json, const priv_usr_t *usr, const struct reply *present) {
    char digits[MAP_DIGITS + 1];
    json_put_integer(json, "id", usr->s_id);
    json_put_integer(json, "warn", usr->s_warn);
    json_put_integer(json, "level", usr->s_level);
    json_put_integer(json, "traps", (int64_t)usr->s_trap_mask & UINT32_MAX);
    json_put_word(json, "calls", (uint64_t)usr->s_call_mask);
    json_put_word(json, "alarm_ns", ns_of_ticks(usr->s_alarm_timer.tmr_exp_time));
    read_digits(present, "ipc_from", digits);
    put_map(json, "ipc_from", digits, &usr->s_ipc_from);
    read_digits(present, "ipc_to", digits);
    put_map(json, "ipc_to", digits, &usr->s_ipc_to);
}

long mnx_setpriv(int vmid, int proc_ep, priv_usr_t *u_priv) {
    struct request q;
    struct reply present;
    if (!memory_readable(u_priv, sizeof *u_priv)) return ended(EMOLINVAL);
    int code = ask_privileges(vmid, proc_ep, &present);
    if (code != OK) return ended(code == EMOLDSTDIED ? EMOLBADPROC : code); /* setpriv has one code for both */
    request_begin(&q, "setpriv", 0);
    json_put_integer(&q.json, "vmid", vmid);
    json_put_integer(&q.json, "endpoint", proc_ep);
    put_privileges(&q.json, u_priv, &present);
    reply_end(&present);
    return ended(noded_tell(&q));
}
