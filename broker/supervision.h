/*
 * The broker's end of a supervisor's control socket, RUN/shares/ID/control, and its status. What
 * comes from a supervisor is hostile input: sizes are fixed, text is made printable, and nobody
 * waits for it.
 */
#pragma once

#include "supervisor.h"

#include <stdbool.h>
#include <stddef.h>

/* Tells the supervisor that its deadline was changed, and does not wait for the answer. It would
 * find out at the old deadline anyway: this matters when the new one is earlier. */
void supervision_reload(int run_shares_fd, const char *id);

/* In a worker: hands a further reader to the supervisor; waits at most `timeout_ms` for an answer.
 */
int supervision_add_reader(int run_shares_fd, const char *id,
                           const struct supervisor_service *service, int fuse_fd, int timeout_ms);

/* What a supervisor said, from `length` bytes that may be anything. Exactly one message, or
 * -EPROTO. Texts of *ret end within their fields; they are still to be made printable. */
int supervision_parse_ready(const void *bytes, size_t length, struct supervisor_ready *ret);
/* The errno of its answer to a request: 0, or negative; -EPROTO also when it is none. */
int supervision_parse_reply(const void *bytes, size_t length);

/* Asks a supervisor for its status memfd, as a broker must that was not there when it was made.
 * Nobody waits: `came` is called once, with the descriptor (owned), or -1 where there was no answer
 * within some seconds, or not one that can be believed: no memfd of that size, sealed so that it
 * can neither shrink nor grow. 0 or a negative errno; then `came` is not called. The question must
 * be dropped, before or after. */
struct loop;
struct supervision_question;
typedef void supervision_came(int status_fd, void *user_data);
int supervision_ask_status(struct loop *loop, int run_shares_fd, const char *id,
                           supervision_came *came, void *user_data,
                           struct supervision_question **ret);
void supervision_drop(struct supervision_question **question);

/* Reads the status memfd. 0 or a negative errno. */
int supervision_status(int status_fd, struct supervisor_status *ret);
