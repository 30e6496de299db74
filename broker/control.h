/*
 * The broker's socket: accepts peers, reads one request at a time from each, and sends what the
 * handlers answer. Whatever is not exactly a message of the table costs that peer its connection
 * and nobody else anything; so do too many connections and answers that are never read.
 */
#pragma once

#include "broker.h"
#include "peer.h"

#include <stdbool.h>
#include <stdint.h>

struct connection;

/* Binds and listens at [broker] socket (replacing a socket that nobody listens on): mode 0660,
 * group broker->peers.admin_group, and an access control list for the web users. 0 or a negative
 * errno. */
int control_open(struct broker *broker, struct control **ret);
void control_close(struct control *control);

const struct peer *connection_peer(const struct connection *connection);
/* The socket itself, for a worker that sends a long answer. */
int connection_fd(const struct connection *connection);

/* Queues one message of the answer. A failure closes the connection later; nothing to check. */
void connection_send(struct connection *connection, uint16_t id, const void *body);
/* The last message of the answer: the connection may send its next request. `field` as in
 * messages.h. */
void connection_done(struct connection *connection, uint32_t outcome, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void connection_refuse(struct connection *connection, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The answer was sent already, by a worker. */
void connection_answered(struct connection *connection);

/* A request's body lives until its final answer, or until the peer hangs up, so that a handler may
 * answer later and keep a pointer. This wipes it earlier, once its secrets are used; in the handler
 * itself it changes nothing. */
void connection_forget_request(struct connection *connection);

/* A handler that answers later says whom to tell when the peer hangs up first: the connection is
 * gone behind that call. Cleared by the final answer. */
typedef void connection_abandoned(struct connection *connection, void *user_data);
void connection_later(struct connection *connection, connection_abandoned *abandoned,
                      void *user_data);

/* A long answer is sent piece by piece, as the peer reads it: true when there is enough in the
 * queue for now; connection_go_on() then has `drained` called once, when the queue is empty and
 * others had their turn, with the user_data of connection_later(). */
typedef void connection_drained(struct connection *connection, void *user_data);
bool connection_full(const struct connection *connection);
void connection_go_on(struct connection *connection, connection_drained *drained);
