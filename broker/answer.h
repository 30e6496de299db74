/*
 * What a user is told about a share: the SHARE message with what to type on a client.
 */
#pragma once

#include "share.h"

/* Sends one SHARE message. */
void answer_share(struct connection *connection, const struct share *share);
