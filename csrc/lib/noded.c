/* noded.c: connections to noded, and exchanges over them (src/drvs/daemon/client.py does the same for Python).
 *
 * An exchange takes an idle connection or makes one, so threads do not wait for each other. noded knows a caller by the process
 * that connected: after a fork, or a change of user, new connections are made. A program that closes all descriptors it
 * does not know (a daemon) closes ours too, so a kept one is looked at before it is used.
 */
#define _GNU_SOURCE
#include "noded.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../core/fork.h"
#include "current.h"
#include "limits.h"
#include "paths.h"

enum { PROTOCOL = 1, GONE = 1, STALE = 2 }; /* instead of a code: the connection ended under the call; before it */

/* ---- requests and replies ---------------------------------------------------------------------------------------------- */

void request_begin(struct request *q, const char *op, uint32_t kind) {
    q->kind = kind;
    q->wait_ms = 0;
    json_begin(&q->json, q->room, sizeof q->room);
    json_put_integer(&q->json, "v", PROTOCOL);
    json_put_text(&q->json, "op", op, strlen(op));
}

void request_wait(struct request *q, long to_ms) {
    q->kind |= WAITS;
    q->wait_ms = to_ms < 0 || to_ms > INT32_MAX ? -1 : to_ms;
    json_put_integer(&q->json, "timeout_ms", q->wait_ms);
}

void reply_end(struct reply *reply) {
    for (unsigned i = 0; i < reply->nfds; i++)
        if (reply->fds[i] >= 0) close(reply->fds[i]);
    free(reply->text);
    reply->nfds = 0;
    reply->text = NULL;
}

int reply_take(struct reply *reply, unsigned which) {
    if (which >= reply->nfds) return -1;
    int fd = reply->fds[which];
    reply->fds[which] = -1;
    return fd;
}

int64_t reply_integer(const struct reply *reply, const char *name) {
    struct json value;
    int64_t number;
    return json_member(reply->fields, name, &value) && json_integer(value, &number) ? number : 0;
}

uint64_t reply_word(const struct reply *reply, const char *name) {
    struct json value;
    uint64_t number;
    return json_member(reply->fields, name, &value) && json_word(value, &number) ? number : 0;
}

void reply_text(const struct reply *reply, const char *name, char *into, size_t room) {
    struct json value;
    if (!json_member(reply->fields, name, &value) || !json_text(value, into, room)) into[0] = 0;
}

/* ---- connections ----------------------------------------------------------------------------------------------------------- */

struct connection {
    int fd;
    ino_t inode; /* of the socket: tells it from a descriptor that the program opened under its number */
    uid_t user;
    uint32_t fork_epoch;
    char path[PATH_ROOM];
};

static struct connection idle[IDLE_CONNECTIONS_MAX];
static unsigned idle_count;
static _Atomic uint64_t known; /* which node answered before (a hash of its path): its absence may be a restart */

static bool still_ours(const struct connection *c) {
    struct stat status;
    return fstat(c->fd, &status) == 0 && S_ISSOCK(status.st_mode) && status.st_ino == c->inode;
}

static bool usable_for(const struct connection *c, const char *path) {
    return c->fork_epoch == k_fork_epoch() && c->user == geteuid() && strcmp(c->path, path) == 0;
}

/* An idle connection to this path; others that are of no use to anybody are closed on the way. */
static bool take_idle(struct connection *found, const char *path) {
    bool got = false;
    if (!tables_lock()) return false;
    while (!got && idle_count) {
        *found = idle[--idle_count];
        bool ours = still_ours(found);
        got = ours && usable_for(found, path);
        if (ours && !got) close(found->fd);
    }
    tables_unlock();
    return got;
}

static void give_back(const struct connection *c) {
    int64_t room = limit_value(LIMIT_IDLE_CONNECTIONS);
    bool kept = false;
    if (tables_lock()) {
        kept = idle_count < IDLE_CONNECTIONS_MAX && idle_count < room;
        if (kept) idle[idle_count++] = *c;
        tables_unlock();
    }
    if (!kept) close(c->fd);
}

static int address_of(const char *path, struct sockaddr_un *address) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address->sun_path) return ENOENT;
    memcpy(address->sun_path, path, strlen(path) + 1);
    return 0;
}

/* 0, or an errno. */
static int connect_once(struct connection *c, const char *path) {
    struct sockaddr_un address;
    struct stat status;
    int error = address_of(path, &address);
    if (error) return error;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return errno;
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0 || fstat(fd, &status) < 0) {
        error = errno;
        close(fd);
        return error;
    }
    *c = (struct connection){.fd = fd, .inode = status.st_ino, .user = geteuid(), .fork_epoch = k_fork_epoch()};
    memcpy(c->path, path, PATH_ROOM);
    return 0;
}

static void pause_ms(int64_t ms) {
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

/* A connection, after at most `tries` attempts while nobody listens, and as many as there are while noded lets nobody in. */
static int take_connection(struct connection *c, const char *path, int64_t tries) {
    if (take_idle(c, path)) return OK;
    for (int64_t attempt = 1, most = limit_value(LIMIT_CONNECT_TRIES);; attempt++) {
        int error = connect_once(c, path);
        if (error == 0) return OK;
        if (error == EACCES || error == EPERM) return EMOLPERM;
        if (error == ENOMEM || error == EMFILE || error == ENFILE || error == ENOBUFS) return EMOLNOMEM;
        if (attempt >= most || (attempt >= tries && error != EAGAIN)) return EMOLDRVSINIT;
        pause_ms(limit_value(LIMIT_CONNECT_WAIT_MS));
    }
}

/* ---- one exchange ------------------------------------------------------------------------------------------------------------ */

static int64_t deadline_of(const struct request *q) {
    return q->wait_ms < 0 ? K_FOREVER : k_now_ns() + (q->wait_ms + limit_value(LIMIT_CALL_MS)) * 1000000;
}

/* OK when the descriptor is ready; EMOLTIMEDOUT; -ERESTARTSYS after a signal, for calls that wait. */
static int wait_ready(const struct connection *c, short what, int64_t deadline, bool interruptible) {
    for (;;) {
        struct pollfd ready = {.fd = c->fd, .events = what};
        int64_t left_ms = deadline == K_FOREVER ? 60000 : (deadline - k_now_ns() + 999999) / 1000000;
        if (left_ms <= 0) return EMOLTIMEDOUT;
        int n = poll(&ready, 1, left_ms > 60000 ? 60000 : (int)left_ms);
        if (n > 0) return OK;
        if (n < 0 && errno == EINTR && interruptible) return -ERESTARTSYS;
        if (n < 0 && errno != EINTR) return EMOLNOMEM;
    }
}

/* noded may have said why before it closed the connection: then that is the answer. */
static bool has_last_words(const struct connection *c) {
    char byte;
    return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static int send_request(const struct connection *c, const struct request *q, int64_t deadline) {
    for (;;) {
        if (send(c->fd, q->json.text, q->json.used, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return OK;
        if (errno == EAGAIN) {
            int code = wait_ready(c, POLLOUT, deadline, false);
            if (code != OK) return code;
        } else if (errno != EINTR) {
            return has_last_words(c) ? OK : STALE;
        }
    }
}

static void keep_descriptors(struct msghdr *header, struct reply *reply) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
            int each;
            memcpy(&each, CMSG_DATA(c) + i * sizeof each, sizeof each);
            if (reply->nfds < REPLY_FDS) reply->fds[reply->nfds++] = each;
            else close(each);
        }
    }
}

/* Take a packet: its length; 0 at the end of the connection; -1 if there is none yet. */
static ssize_t take_packet(const struct connection *c, struct reply *reply) {
    union { struct cmsghdr align; char room[CMSG_SPACE((REPLY_FDS + 1) * sizeof(int))]; } ancillary;
    struct iovec body = {.iov_base = reply->text, .iov_len = PACKET_BYTES};
    struct msghdr header = {.msg_iov = &body, .msg_iovlen = 1, .msg_control = &ancillary, .msg_controllen = sizeof ancillary};
    ssize_t n = recvmsg(c->fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0) return errno == EAGAIN || errno == EINTR ? -1 : 0;
    keep_descriptors(&header, reply);
    return header.msg_flags & MSG_TRUNC ? 0 : n;
}

/* What a packet says. One too long for it lies in a memfd beside it: nobody here asks for more than its code, which is 0. */
static int understand(struct reply *reply, size_t bytes) {
    struct json value;
    int64_t code;
    if (!json_check(&reply->fields, reply->text, bytes)) return EMOLGENERIC;
    if (!json_member(reply->fields, "code", &value) || !json_integer(value, &code)) return EMOLGENERIC;
    return code > 0 || code < -4095 ? EMOLGENERIC : (int)code;
}

static int receive_reply(const struct connection *c, const struct request *q, struct reply *reply, int64_t deadline) {
    for (;;) {
        ssize_t n = take_packet(c, reply);
        if (n == 0) return GONE;
        if (n > 0) return understand(reply, (size_t)n);
        int code = wait_ready(c, POLLIN, deadline, q->kind & WAITS);
        if (code == -ERESTARTSYS && (n = take_packet(c, reply)) > 0) return understand(reply, (size_t)n);
        if (code != OK) return code;
    }
}

static bool finished(int code) {
    return code != GONE && code != STALE && code != EMOLTIMEDOUT && code != -ERESTARTSYS;
}

/* Over one connection. It is closed if an answer may still come over it: that also ends what noded does for the call. */
static int exchange(struct connection *c, struct request *q, struct reply *reply, int64_t deadline) {
    int code = send_request(c, q, deadline);
    if (code != OK) close(c->fd);
    if (code != OK) return code;
    code = receive_reply(c, q, reply, deadline);
    bool answered = reply->text && reply->fields.at;
    if (finished(code) || answered) give_back(c);
    else close(c->fd);
    return code;
}

static uint64_t hash_of(const char *path) {
    uint64_t hash = 0xcbf29ce484222325;
    for (; *path; path++) hash = (hash ^ (uint8_t)*path) * 0x100000001b3;
    return hash;
}

static int ask_at(const char *path, struct request *q, struct reply *reply) {
    int64_t tries = known == hash_of(path) ? limit_value(LIMIT_CONNECT_TRIES) : 1, deadline = deadline_of(q);
    for (;;) {
        struct connection c;
        int code = take_connection(&c, path, tries);
        if (code != OK) return code;
        code = exchange(&c, q, reply, deadline);
        if (code == STALE) continue; /* to noded's predecessor: there are finitely many */
        if (code != GONE) {
            known = hash_of(path);
            return code;
        }
        if (!(q->kind & REPEAT) || --tries <= 0) return EMOLDRVSINIT;
    }
}

int noded_ask(struct request *q, struct reply *reply) {
    char path[PATH_ROOM] = "";
    int before = errno;
    json_end(&q->json);
    *reply = (struct reply){.nfds = 0};
    if (q->json.trouble) return reply->code = q->json.trouble == JSON_NO_ROOM ? EMOL2BIG : EMOLINVAL;
    if (!path_of_socket(path)) return reply->code = EMOLBADNODEID;
    reply->text = malloc(PACKET_BYTES);
    reply->code = reply->text ? ask_at(path, q, reply) : EMOLNOMEM;
    if (reply->code != OK) reply_end(reply);
    errno = before;
    return reply->code;
}

int noded_tell(struct request *q) {
    struct reply reply;
    int code = noded_ask(q, &reply);
    reply_end(&reply);
    return code;
}
