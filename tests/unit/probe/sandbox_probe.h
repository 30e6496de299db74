/*
 * The stand-in for cdss-supervisor: it answers commands on the listening socket of its service, one
 * command a connection (SOCK_SEQPACKET):
 *
 *   cat PATH | stat PATH | write PATH | list DIRECTORY | fds | try NAME | env | run NUMBER WORD...
 *
 * with "as UID" before it, a child that became UID does it. The answer is text, or "errno NAME".
 * "run" executes a program with descriptor NUMBER kept and named in CDSS_FUSE_FD, and leaves it
 * running.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Tries something that a captured server would; 0 when it worked, or the errno. -1: no such try. */
int probe_try(const char *name);
/* The names of the tries, one after the other; NULL behind the last. Lawful: a server may do it. */
const char *probe_name(size_t index, bool *ret_lawful);
