/*
 * A connection is idle (reads), busy (a handler owes it an answer) or draining (its answer waits in
 * the queue because it does not read). Requests are read only when it is idle and its queue is
 * empty: a peer that does not read its answers cannot ask for more.
 */
#include "control.h"

#include "acl.h"
#include "cleanup.h"
#include "log.h"
#include "messages.h"
#include "requests.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define CONNECTIONS_ROOT  1100 /* of uid 0 */
#define CONNECTIONS_OTHER 64   /* of any other uid */
#define QUEUE_MAX         (32u * 1024 * 1024)
#define IDLE_NS           (120ull * 1000000000)

struct packet {
    struct packet *next;
    size_t length;
    char bytes[];
};

struct connection {
    struct control *control;
    struct connection *next;
    int fd;
    struct loop_watch *watch;
    struct loop_timer *idle;
    struct peer peer;
    bool busy;                   /* a request is being handled */
    bool asking;                 /* its handler has not returned yet, and looks at the body */
    struct wire_message request; /* with the body, as long as the request is not answered */
    bool broken;                 /* to be closed by the loop, not under a handler's feet */
    connection_abandoned *abandoned;
    connection_drained *drained;
    void *user_data;
    struct packet *first, *last;
    size_t queued;
};

struct control {
    struct broker *broker;
    int fd;
    struct loop_watch *watch;
    struct connection *connections;
};

static void connection_close(struct connection *connection)
{
    struct control *control = connection->control;
    struct connection **place = &control->connections;

    if (connection->abandoned != NULL) {
        connection->abandoned(connection, connection->user_data);
    }
    while (*place != connection) {
        place = &(*place)->next;
    }
    *place = connection->next;
    while (connection->first != NULL) {
        struct packet *packet = connection->first;
        connection->first = packet->next;
        free(packet);
    }
    wire_free(&connection->request);
    loop_cancel(&connection->idle);
    loop_unwatch(&connection->watch);
    shutdown(connection->fd, SHUT_RDWR); /* a worker may hold a copy of the descriptor */
    close(connection->fd);
    free(connection);
}

static void idle_elapsed(void *user_data)
{
    struct connection *connection = user_data;

    connection->idle = NULL;
    connection_close(connection);
}

/* What the loop should tell us about, by the state that the connection is in. */
static void connection_update(struct connection *connection)
{
    uint32_t events = EPOLLRDHUP;
    bool idle = !connection->busy && connection->first == NULL;

    if (connection->first != NULL || connection->broken || connection->drained != NULL) {
        events |= EPOLLOUT;
    } else if (idle) {
        events |= EPOLLIN;
    }
    loop_change(connection->watch, events);
    loop_cancel(&connection->idle);
    if (!connection->busy) {
        loop_at(connection->control->broker->loop, loop_now() + IDLE_NS, idle_elapsed, connection,
                &connection->idle);
    }
}

/* 0 when the queue is empty, 1 when the socket is full, negative errno when it is broken. */
static int flush_queue(struct connection *connection)
{
    while (connection->first != NULL) {
        struct packet *packet = connection->first;
        if (send(connection->fd, packet->bytes, packet->length, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
            return errno == EAGAIN ? 1 : -errno;
        }
        connection->first = packet->next;
        connection->queued -= packet->length;
        free(packet);
    }
    connection->last = NULL;
    return 0;
}

static int enqueue(struct connection *connection, uint16_t id, const void *body)
{
    CLEANUP_TEXT struct text bytes = {0};
    const char *field = NULL;
    int r = wire_encode(id, body, &bytes, &field);

    if (r < 0) {
        log_write(LOG_LEVEL_ERROR, "control.encode", NULL, "message %u, field %s: %s", id,
                  field ? field : "-", strerror(-r));
        return r;
    }
    struct packet *packet = malloc(sizeof *packet + bytes.length);
    if (packet == NULL || connection->queued + bytes.length > QUEUE_MAX) {
        free(packet);
        return -ENOBUFS;
    }
    packet->next = NULL;
    packet->length = bytes.length;
    memcpy(packet->bytes, bytes.data, bytes.length);
    if (connection->first == NULL) {
        connection->first = packet;
    } else {
        connection->last->next = packet;
    }
    connection->last = packet;
    connection->queued += packet->length;
    return 0;
}

void connection_send(struct connection *connection, uint16_t id, const void *body)
{
    if (connection->broken) {
        return;
    }
    if (enqueue(connection, id, body) < 0 || flush_queue(connection) < 0) {
        connection->broken = true;
        /* The loop hears of it though nobody reads there, and the peer that it misses something. */
        shutdown(connection->fd, SHUT_RDWR);
    }
    connection_update(connection);
}

void connection_forget_request(struct connection *connection)
{
    if (!connection->asking) {
        wire_free(&connection->request);
    }
}

void connection_answered(struct connection *connection)
{
    connection->busy = false;
    connection_forget_request(connection);
    connection->abandoned = NULL;
    connection->drained = NULL;
    connection_update(connection);
}

void connection_done(struct connection *connection, uint32_t outcome, const char *format, ...)
{
    char sentence[1000];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    connection_send(connection, MESSAGE_DONE,
                    &(struct message_done){.outcome = outcome, .sentence = sentence});
    connection_answered(connection);
}

void connection_refuse(struct connection *connection, const char *field, const char *format, ...)
{
    char sentence[1000];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    connection_send(
        connection, MESSAGE_REFUSED,
        &(struct message_refused){.field = (char *)(uintptr_t)field, .sentence = sentence});
    connection_answered(connection);
}

void connection_later(struct connection *connection, connection_abandoned *abandoned,
                      void *user_data)
{
    connection->abandoned = abandoned;
    connection->user_data = user_data;
}

bool connection_full(const struct connection *connection)
{
    return connection->first != NULL;
}

void connection_go_on(struct connection *connection, connection_drained *drained)
{
    connection->drained = drained;
    connection_update(connection);
}

const struct peer *connection_peer(const struct connection *connection)
{
    return &connection->peer;
}

int connection_fd(const struct connection *connection)
{
    return connection->fd;
}

/* Reads and handles one request. Negative errno: the peer has lost its connection. */
static int read_request(struct connection *connection)
{
    static char packet[WIRE_PACKET_MAX];
    ssize_t length = recv(connection->fd, packet, sizeof packet, MSG_DONTWAIT | MSG_TRUNC);

    if (length < 0) {
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    }
    if (length == 0) {
        return -ECONNRESET;
    }
    if ((size_t)length > sizeof packet) {
        return -EMSGSIZE;
    }
    wire_free(&connection->request);
    int r = wire_decode(packet, (size_t)length, &connection->request);
    explicit_bzero(packet, (size_t)length);
    if (r < 0) {
        return r;
    }
    connection->busy = connection->asking = true;
    r = request_handle(connection->control->broker, connection, &connection->request);
    connection->asking = false;
    if (!connection->busy) {
        connection_forget_request(connection);
    }
    if (r == 0) {
        connection_update(connection);
    }
    return r;
}

/* As flush_queue(). An answer that was waiting for that goes on. */
static int write_on(struct connection *connection)
{
    int r = flush_queue(connection);

    if (r == 0) {
        connection_drained *drained = connection->drained;
        connection->drained = NULL;
        connection_update(connection);
        if (drained != NULL) {
            drained(connection, connection->user_data);
        }
    }
    return r;
}

static void connection_ready(uint32_t events, void *user_data)
{
    struct connection *connection = user_data;
    int r = connection->broken ? -EPIPE : 0;

    if (r == 0 && events & EPOLLOUT) {
        r = write_on(connection);
    }
    if (r == 0 && events & EPOLLIN && !connection->busy) {
        r = read_request(connection);
        if (r < 0 && r != -ECONNRESET) {
            log_write(LOG_LEVEL_WARN, "control.refused", NULL, "uid %u pid %d: %s",
                      connection->peer.uid, connection->peer.pid, strerror(-r));
        }
    } else if (r >= 0 && events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) {
        r = -ECONNRESET;
    }
    if (r < 0) {
        connection_close(connection);
    }
}

static unsigned connections_of(const struct control *control, uid_t uid)
{
    unsigned n = 0;

    for (const struct connection *c = control->connections; c != NULL; c = c->next) {
        n += c->peer.uid == uid;
    }
    return n;
}

/* One sentence to somebody who may not speak here, as far as it gets. */
static void turn_away(int fd, const struct peer *peer, const char *sentence)
{
    CLEANUP_TEXT struct text bytes = {0};
    struct message_refused refused = {.field = (char[]){""},
                                      .sentence = (char *)(uintptr_t)sentence};

    log_write(LOG_LEVEL_WARN, "control.refused", NULL, "uid %u pid %d: %s", peer->uid, peer->pid,
              sentence);
    if (wire_encode(MESSAGE_REFUSED, &refused, &bytes, NULL) == 0) {
        (void)!send(fd, bytes.data, bytes.length, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}

static void connection_new(struct control *control, int accepted)
{
    CLEANUP_CLOSE int fd = accepted;
    struct peer peer;
    int size = 2 * WIRE_PACKET_MAX;

    if (peer_identify(fd, &control->broker->peers, &peer) < 0) {
        return;
    }
    if (peer.role == PEER_STRANGER) {
        turn_away(fd, &peer, "You are not allowed to talk to the broker.");
        return;
    }
    if (connections_of(control, peer.uid) >=
        (peer.uid == 0 ? CONNECTIONS_ROOT : CONNECTIONS_OTHER)) {
        turn_away(fd, &peer, "There are too many connections of this user.");
        return;
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        return;
    }
    *connection = (struct connection){.control = control, .fd = fd, .peer = peer};
    if (loop_watch(control->broker->loop, fd, EPOLLRDHUP, connection_ready, connection,
                   &connection->watch) < 0) {
        free(connection);
        return;
    }
    TAKE_FD(fd);
    connection->next = control->connections;
    control->connections = connection;
    connection_update(connection);
}

static void control_ready(uint32_t events, void *user_data)
{
    struct control *control = user_data;

    (void)events;
    for (int i = 0; i < 64; i++) {
        int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            return;
        }
        connection_new(control, fd);
    }
}

/* Who may speak is decided by identity at accept; the mode keeps others from even trying. */
static int let_in(const char *path, const struct peer_rules *rules)
{
    if (rules->admin_group != (gid_t)-1 && chown(path, 0, rules->admin_group) < 0) {
        return -errno;
    }
    int r = acl_let_in(path, rules->web_users, rules->n_web_users, ACL_MAY_CONNECT);
    if (r < 0) {
        log_write(LOG_LEVEL_WARN, "control.socket", NULL, "web_users cannot connect to %s: %s",
                  path, strerror(-r));
    }
    return 0;
}

static int bind_socket(const char *path, const struct peer_rules *rules)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        return -errno;
    }
    if (strlen(path) >= sizeof address.sun_path) {
        return -ENAMETOOLONG;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    /* The broker holds the lock on its run directory: a socket that is there belongs to nobody. */
    if (unlink(path) < 0 && errno != ENOENT) {
        return -errno;
    }
    mode_t before = umask(0117);
    int r = bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
    umask(before);
    if (r < 0) {
        return r;
    }
    r = let_in(path, rules);
    if (r == 0 && listen(fd, 256) < 0) {
        r = -errno;
    }
    if (r < 0) {
        unlink(path);
        return r;
    }
    return TAKE_FD(fd);
}

int control_open(struct broker *broker, struct control **ret)
{
    CLEANUP_FREE struct control *control = calloc(1, sizeof *control);

    if (control == NULL) {
        return -ENOMEM;
    }
    control->broker = broker;
    control->fd = bind_socket(broker->settings.socket, &broker->peers);
    if (control->fd < 0) {
        return control->fd;
    }
    int r = loop_watch(broker->loop, control->fd, EPOLLIN, control_ready, control, &control->watch);
    if (r < 0) {
        close(control->fd);
        unlink(broker->settings.socket);
        return r;
    }
    *ret = TAKE_PTR(control);
    return 0;
}

void control_close(struct control *control)
{
    if (control == NULL) {
        return;
    }
    while (control->connections != NULL) {
        connection_close(control->connections);
    }
    unlink(control->broker->settings.socket);
    loop_unwatch(&control->watch);
    close(control->fd);
    free(control);
}
