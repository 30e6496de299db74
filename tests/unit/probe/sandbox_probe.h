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

/* Tries something that a captured server would; 0 when it worked, or the errno. -1: no such try. */
int probe_try(const char *name);
