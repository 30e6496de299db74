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

/* A handler. The body lives until the answer. */
typedef int request_handler(struct broker *broker, struct connection *connection, const void *body);

/* requests_images.c */
request_handler request_images;
/* requests_create.c */
request_handler request_create;
/* requests_share.c */
request_handler request_show, request_remove, request_extend, request_add;
/* requests_session.c */
request_handler request_session_begin, request_session_end, request_release;
/* requests_password.c */
request_handler request_password_add, request_password_remove, request_password_list;
