/*
 * Sessions of a share: somebody who knew its password shows a random token from then on. The broker
 * makes the tokens and keeps their SHA-256, in the share's row and in the registry, so that they
 * outlive it. A share has REGISTRY_SESSIONS_MAX at most, the oldest goes; each lasts 8 hours and
 * never longer than the share.
 */
#pragma once

#include "share.h"

#include <stdbool.h>

#define SESSION_TOKEN_SIZE SHA256_TEXT_SIZE /* 64 hexadecimal digits and NUL */

/* A new one. The token is the caller's to wipe; seconds until it ends. 0 or a negative errno. */
int session_begin(struct share *share, char token[SESSION_TOKEN_SIZE], uint64_t *ret_seconds);

/* The same, and sends it. */
int session_answer(struct share *share, struct connection *connection);

/* The share that the token is for, and the token as it is kept; NULL: none that is alive. Takes the
 * same time for every token. */
struct share *session_find(struct broker *broker, const char *token, struct sha256 *ret);

/* Ends the one, or all others (`others`; NULL: all). */
void session_end(struct share *share, const struct sha256 *token, bool others);
