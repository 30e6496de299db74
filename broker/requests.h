/*
 * Which request may come from whom, and who handles it: one table.
 */
#pragma once

#include "control.h"
#include "wire.h"

/* Handles one decoded request; it is answered now or later, exactly once. -EACCES: not for this
 * peer's role; -EPROTO: no request at all (an answer's id). Both cost the peer its connection. */
int request_handle(struct broker *broker, struct connection *connection,
                   const struct wire_message *message);

/* requests_images.c: the one handler that is long enough for a file of its own. */
int request_images(struct broker *broker, struct connection *connection, const void *body);
/* requests_password.c */
int request_password_add(struct broker *broker, struct connection *connection, const void *body);
int request_password_remove(struct broker *broker, struct connection *connection, const void *body);
int request_password_list(struct broker *broker, struct connection *connection, const void *body);
