/*
 * The other end of the broker's socket, for cdss and the web application.
 */
#pragma once

#include "wire.h"

/* Connects to the broker's socket. A descriptor, or a negative errno (-ENOENT, -ECONNREFUSED: not
 * running; -EACCES: not allowed). */
int client_connect(const char *socket_path);

/* Sends one request. 0 or a negative errno (-ETIMEDOUT: the broker does not read); *ret_field as in
 * wire_encode. That the broker hung up is for client_receive() to say, for its last words may wait.
 */
int client_send(int fd, uint16_t id, const void *body, const char **ret_field);

/* Waits at most timeout_ms (-1: for ever) for the next answer. 0; -ETIMEDOUT; -ECONNRESET when the
 * broker hung up; -EPROTO. The caller frees *ret with wire_free(). */
int client_receive(int fd, int timeout_ms, struct wire_message *ret);
